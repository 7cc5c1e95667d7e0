"""Requests that follow the published schema, and many that do not quite: none may break the server."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st

from tests.serve.conftest import error_of

EXAMPLES = 20
REFUSED = 200


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_request_breaks_the_server(serve: Callable[..., SimpleNamespace]) -> None:
    server = serve(slots=3, raises=True)
    schema = schemathesis.openapi.from_dict(server.client.get("/v1/openapi.json").json())
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) >= 15
    refused: list[str] = []
    for operation in operations:

        @given(case=st.one_of(operation.as_strategy(mode) for mode in schemathesis.GenerationMode))
        @settings(
            max_examples=EXAMPLES, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
        )
        def ask(case: schemathesis.Case) -> None:
            answer = server.client.request(**_request(case))
            assert answer.status_code < 500 or answer.status_code == 503, (case.as_curl_command(), answer.text)
            if 400 <= answer.status_code < 500:
                refused.append(error_of(answer, answer.status_code))

        ask()
    assert len(refused) >= REFUSED
    assert len(set(refused)) >= 4


def _request(case: schemathesis.Case) -> dict[str, Any]:
    """A generated case as arguments of the test client; one that no HTTP client would send is passed over."""
    wish = case.as_transport_kwargs(base_url="http://127.0.0.1:8000")
    wish.pop("cookies", None)
    try:
        ready = requests.Request(**wish).prepare()
        headers = {name: str(value).encode("latin-1") for name, value in ready.headers.items()}
    except (requests.RequestException, UnicodeError):
        reject()
    return {"method": ready.method, "url": ready.url, "headers": headers, "content": ready.body}
