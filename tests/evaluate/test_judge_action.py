import io

import numpy as np
import torch
from rich.console import Console

from flowact.evaluate.judge_action import pad, train_action
from flowact.evaluate.judge_data import Stretch
from flowact.evaluate.judge_errors import ReadingErrors
from flowact.evaluate.judge_tracks import HANDS_SEEN, take_steps
from flowact.evaluate.probes import ACTIONS, TRACK_WIDTH


def _act(rng: np.random.Generator, action: str) -> Stretch:
    """A hand that is up, or a head that goes up and down; the rest is the same noise."""
    tracks = 0.2 * rng.normal(size=(int(rng.integers(30, 70)), TRACK_WIDTH)).astype(np.float32)
    if action == "wave":
        tracks[8:, HANDS_SEEN.start + int(rng.integers(2))] += 1
    else:
        tracks[:, 1] += np.sin(np.arange(len(tracks)) * 0.6)
    return Stretch(tracks, action)


def test_the_probe_tells_actions_apart_that_it_did_not_see():
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    learnt, unseen = ([_act(rng, action) for action in ("wave", "nod") * 30] for _ in range(2))
    errors = ReadingErrors.measure([], [])
    probe = train_action(learnt, learnt[:6], errors, Console(file=io.StringIO()), rng, passes=30)
    with torch.inference_mode():
        scores = probe(*pad([take_steps(s.tracks) for s in unseen]))
    named = [ACTIONS[i] for i in scores.argmax(1)]
    assert np.mean([name == s.action for name, s in zip(named, unseen)]) > 0.95


def test_a_batch_is_as_long_as_its_longest_stretch():
    x, steps = pad([np.ones((3, TRACK_WIDTH), np.float32), np.ones((7, TRACK_WIDTH), np.float32)])
    assert x.shape == (2, 7, TRACK_WIDTH)
    assert steps.tolist() == [3, 7]
    assert x[0, 3:].abs().max() == 0
