"""Events of one session to all who listen: the WebSocket, the data channel, or both."""

from __future__ import annotations

from collections.abc import Callable

from flowact.serve.messages import ServerEvent

Listener = Callable[[str], None]


class EventHub:
    """Passes each event to every listener at once, as JSON. Use it from the event loop only."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def join(self, listener: Listener) -> Callable[[], None]:
        """Listen from now on; the answer is called to leave. Listeners return at once and do not raise."""
        self._listeners.append(listener)

        def leave() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return leave

    def tell(self, event: ServerEvent) -> None:
        """Send an event to everyone."""
        text = event.model_dump_json()
        for listener in tuple(self._listeners):
            listener(text)
