from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from flowact.core.errors import ConfigError
from flowact.studio.behaviour import MIN_SEGMENT_S, plan_segments
from flowact.studio.performance import GESTURES, STATES


def test_segments_cover_the_clip_and_talk_is_about_half():
    time, gestures = Counter(), set()
    for seed in range(600):
        segments = plan_segments(np.random.default_rng(seed), 120)
        assert 1 <= len(segments) <= 3
        assert segments[0].start_s == 0.0
        assert segments[-1].end_s == 4.8
        assert all(a.end_s == b.start_s for a, b in pairwise(segments))
        assert len(segments) == 1 or min(s.end_s - s.start_s for s in segments) > MIN_SEGMENT_S - 0.05
        for segment in segments:
            time[segment.state] += segment.end_s - segment.start_s
            gestures.add(segment.gesture)
    assert set(time) == set(STATES)
    assert gestures == set(GESTURES)
    assert 0.42 < time["talk"] / sum(time.values()) < 0.58


@pytest.mark.parametrize("state", STATES)
def test_a_forced_state_fills_the_clip(state):
    (segment,) = plan_segments(np.random.default_rng(0), 50, state=state)
    assert (segment.state, segment.start_s, segment.end_s) == (state, 0.0, 2.0)


@pytest.mark.parametrize("gesture", GESTURES)
def test_a_forced_gesture_fills_the_clip(gesture):
    (segment,) = plan_segments(np.random.default_rng(0), 120, gesture=gesture)
    assert segment.gesture == gesture


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, None, None), "12 frames"),
        ((50, "dance", None), "unknown state 'dance'"),
        ((50, None, "bow"), "unknown gesture 'bow'"),
        ((50, "gesture", "none"), "needs a gesture"),
    ],
)
def test_bad_requests_are_told(arguments, message):
    with pytest.raises(ConfigError, match=message):
        plan_segments(np.random.default_rng(0), *arguments)


def test_busy_hands_are_raised_in_every_segment_that_is_long_enough():
    for seed in range(200):
        segments = plan_segments(np.random.default_rng(seed), 160, busy_hands=True)
        assert {segment.state for segment in segments} <= {"talk", "gesture"}
        for segment in segments:
            if segment.end_s - segment.start_s >= 1.8:
                assert segment.gesture not in ("none", "nod", "shake")
