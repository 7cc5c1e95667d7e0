from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def _plain_runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Commands compute as the reference does, and no graph is taken from, or left in, the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWACT_RUNTIME", "torch")
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _signing_key_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Films of tests are signed by a key of their own, never by that of the user who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWACT_KEY_DIR", str(tmp_path_factory.mktemp("keys")))
        yield
