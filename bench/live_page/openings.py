"""How soon a person is there: from the click, and from the request for a session, to the first picture."""

from __future__ import annotations

import numpy as np

from bench.live_page.host import LivePage
from bench.live_page.notes import Notes

_REST_S = (0.5, 2.0)
_FIRST_TICKS_S = "flowact_first_frame_seconds_sum"


def measure_openings(page: LivePage, count: int, seed: int = 0) -> dict[str, list[float]]:
    """Begin and end a session again and again, with random rests; times in seconds.

    - `click_to_first_frame`: from the click on the page's button to the display of the first picture.
    - `open_to_first_frame`: the same from the page's `POST /v1/sessions`.
    - `open_to_first_tick`: from the arrival of that request at the server to the first tick; the server's own measure.
    """
    chance = np.random.default_rng(seed)
    times: dict[str, list[float]] = {
        name: [] for name in ("click_to_first_frame", "open_to_first_tick", "open_to_first_frame")
    }
    for _ in range(count):
        page.wait(float(chance.uniform(*_REST_S)))
        page.take()
        before_s = page.metric(_FIRST_TICKS_S)
        clicked_ms = page.start()
        notes = Notes.read([page.take()])
        assert notes.requested_ms is not None, "the page did not ask for a session"
        first_ms = float(notes.shown.at_ms[0])
        times["click_to_first_frame"].append((first_ms - clicked_ms) / 1000)
        times["open_to_first_frame"].append((first_ms - notes.requested_ms) / 1000)
        times["open_to_first_tick"].append(page.metric(_FIRST_TICKS_S) - before_s)
        page.end()
    return times
