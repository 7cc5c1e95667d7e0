"""How long to wait before what had to be given up is tried again: twice as long after each try that did not last."""

from __future__ import annotations


class Hold:
    """A wait of `shortest_s`, doubled up to `longest_s`, and short again once a try has lasted `longest_s`.

    Attributes:
        seconds: the wait as it is now.
    """

    def __init__(self, shortest_s: float, longest_s: float) -> None:
        self.seconds = self._shortest_s = shortest_s
        self._longest_s = longest_s
        self._tried_s: float | None = None

    def lengthen(self) -> None:
        """A try failed at once."""
        self.seconds = min(2 * self.seconds, self._longest_s)

    def begin(self, now_s: float) -> None:
        """A try begins."""
        self._tried_s = now_s

    def end(self, now_s: float) -> None:
        """What was tried had to be given up; without a try before, the wait stays as it is."""
        if self._tried_s is not None:
            lasted_s = now_s - self._tried_s
            if lasted_s < self.seconds:
                self.lengthen()
            elif lasted_s >= self._longest_s:
                self.seconds = self._shortest_s
        self._tried_s = None
