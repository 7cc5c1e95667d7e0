import pytest

from flowact.evaluate.metrics.behaviour import asked_action, score_behaviour


def test_a_gesture_says_more_than_a_state():
    assert asked_action("talk", "wave") == "wave"
    assert asked_action("talk", "none") == "talk"


def test_recognition_is_counted_whole_and_by_action():
    score = score_behaviour(["wave", "wave", "nod", "talk"], ["wave", "talk", "talk", "talk"])
    assert score.recognised == pytest.approx(2 / 4)
    assert score.gestures == pytest.approx(1 / 3)
    assert score.states == 1
    assert score.by_action == (("nod", 0.0, 1), ("talk", 1.0, 1), ("wave", 0.5, 2))
    assert score.mistaken == (("nod", "talk", 1), ("wave", "talk", 1))
    assert score_behaviour([], []) is None
    assert score_behaviour(["idle"], ["idle"]).gestures is None
