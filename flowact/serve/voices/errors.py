"""What can go wrong with a service or program outside the process."""

from __future__ import annotations

from flowact.core.errors import FlowActError


class ServiceError(FlowActError):
    """A language model, a voice or a transcriber did not answer, or not with something that can be used.

    Args:
        message: what failed and what to do.
        is_late: whether it took too long.
    """

    def __init__(self, message: str, is_late: bool = False) -> None:
        super().__init__(message)
        self.is_late = is_late
