"""How soon a person is there: from the click, and from the request for a session, to the first picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.live_page.host import LivePage
from bench.live_page.notes import Notes

STEPS = {
    "asked": "`POST /v1/sessions` is sent, with the offer",
    "first_tick": "the server has the first tick, as it counts itself",
    "answered": "the answer is there",
    "checking": "ICE begins",
    "gathered": "the browser knows all its addresses",
    "ice": "ICE is connected",
    "dtls": "DTLS is done",
    "received": "the first picture was received whole",
    "decoded": "it was decoded",
    "shown": "it is displayed",
}
"""What happens between click and first picture; `probe.js` notes all but the tick."""
_REST_S = (0.5, 2.0)
_FIRST_TICKS_S = "flowact_first_frame_seconds_sum"


@dataclass(frozen=True)
class Openings:
    """Starts of sessions, one value each.

    Attributes:
        times_s: `click_to_first_frame`: from the click on the page's button to the display of the first picture;
            `open_to_first_frame`: the same from the page's `POST /v1/sessions`; `open_to_first_tick`: from the arrival
            of that request at the server to the first tick, the server's own measure.
        steps_s: from the click to each of `STEPS`; None where it did not happen before the first picture was noted.
    """

    times_s: dict[str, list[float]]
    steps_s: dict[str, list[float | None]]


def measure_openings(page: LivePage, count: int, seed: int = 0) -> Openings:
    """Begin and end a session again and again, with random rests."""
    chance = np.random.default_rng(seed)
    times: dict[str, list[float]] = {
        name: [] for name in ("click_to_first_frame", "open_to_first_tick", "open_to_first_frame")
    }
    steps: dict[str, list[float | None]] = {name: [] for name in STEPS}
    for _ in range(count):
        page.wait(float(chance.uniform(*_REST_S)))
        page.take()
        before_s = page.metric(_FIRST_TICKS_S)
        clicked_ms = page.start()
        notes = Notes.read([page.take()])
        tick_s, first_ms = page.metric(_FIRST_TICKS_S) - before_s, float(notes.shown.at_ms[0])
        asked_ms = notes.steps_ms["asked"]
        times["click_to_first_frame"].append((first_ms - clicked_ms) / 1000)
        times["open_to_first_frame"].append((first_ms - asked_ms) / 1000)
        times["open_to_first_tick"].append(tick_s)
        at_ms = {"first_tick": asked_ms + 1000 * tick_s, **notes.steps_ms}
        for name, values in steps.items():
            values.append((at_ms[name] - clicked_ms) / 1000 if name in at_ms else None)
        page.end()
    return Openings(times, steps)
