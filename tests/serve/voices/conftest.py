from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.serve.voices.fake_services import FakeServices, running


@pytest.fixture
async def services() -> AsyncIterator[FakeServices]:
    async with running(FakeServices()) as fake:
        yield fake
