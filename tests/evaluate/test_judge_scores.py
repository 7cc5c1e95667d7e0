import numpy as np

from flowact.evaluate.judge_data import Stretch
from flowact.evaluate.judge_scores import make_stretches
from flowact.evaluate.judges import hand_mask
from flowact.evaluate.probes import ACTION_STEPS, ACTIONS, TRACK_WIDTH


def _talk() -> Stretch:
    return Stretch(np.random.default_rng(0).uniform(0.2, 0.4, (50, TRACK_WIDTH)).astype(np.float32), 2.0, "talk")


def test_every_action_but_talk_is_made_in_turn():
    made = make_stretches(28, [])
    assert [s.action for s in made[:14]] == [s.action for s in made[14:]]
    assert {s.action for s in made} == set(ACTIONS) - {"talk"}
    assert all(s.tracks.shape == (ACTION_STEPS, TRACK_WIDTH) for s in made)
    assert all((s.tracks[:, -1] == 0).all() for s in made)


def test_a_wave_shows_a_hand_and_a_nod_does_not():
    made = {s.action: s.tracks for s in make_stretches(14, [])}
    seen = slice(8, 10)
    assert made["wave"][:, seen].max() == 1
    assert made["nod"][:, seen].max() == 0
    hidden = hand_mask(made["wave"][:, seen]) == 0
    assert (made["wave"][:, 10:38][hidden] == 0).all()


def test_some_gestures_are_made_while_talking():
    mouths = [
        s.tracks[:, -1].max() for s in make_stretches(60, [_talk()]) if s.action in ("wave", "point", "clap", "nod")
    ]
    assert 0 < np.mean(np.asarray(mouths) > 0.1) < 1
