"""The door to OpenAI-compatible services: one client a service, and one kind of error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flowact.core.errors import ConfigError
from flowact.serve.voices.errors import ServiceError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_CONNECT_S = 5.0


def connect(url: str, key: str, timeout_s: float, retries: int = 1) -> AsyncOpenAI:
    """A client of the service at `url`; nothing is sent yet.

    Args:
        url: base of the API, such as "http://127.0.0.1:8080/v1".
        key: API key; "" where the server takes any.
        timeout_s: longest silence of the server.
        retries: after a lost connection or an answer of 429 or 5xx.

    Raises:
        ConfigError: the package `openai` is not installed.
    """
    try:
        from openai import AsyncOpenAI, Timeout
    except ImportError as error:
        raise ConfigError(
            f"{url} needs the package openai, which is not installed; install it with: pip install 'flowact[voice]'"
        ) from error
    timeout = Timeout(timeout_s, connect=min(timeout_s, _CONNECT_S))
    return AsyncOpenAI(base_url=url, api_key=key or "none", timeout=timeout, max_retries=retries)


@contextmanager
def service_errors(what: str, url: str) -> Iterator[None]:
    """Turn what a client raises into one `ServiceError` that names the service."""
    # Inside a stream the transport's own errors come through.
    from httpx2 import HTTPError, TimeoutException
    from openai import APIConnectionError, APIStatusError, APITimeoutError, OpenAIError

    try:
        yield
    except APIStatusError as error:
        reason = f"answered {error.status_code}: {_short(error.message)}"
        raise ServiceError(f"{what} at {url} {reason}; see its log, its model's name and its key") from error
    except (TimeoutError, APITimeoutError, TimeoutException) as error:
        message = f"{what} at {url} did not answer in time; it may be loading or too slow"
        raise ServiceError(message, is_late=True) from error
    except (APIConnectionError, HTTPError) as error:
        raise ServiceError(f"{what} at {url} cannot be reached, or broke off; is it running?") from error
    except (OpenAIError, ValueError, AttributeError, IndexError, TypeError) as error:
        raise ServiceError(f"{what} at {url} gave an answer that cannot be read ({_short(str(error))})") from error


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 160 else f"{text[:157]}..."
