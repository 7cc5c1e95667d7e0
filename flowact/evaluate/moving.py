"""Judge what moves the body on its numbers alone: no picture is made, so a hundred clips take a minute."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flowact.core.clock import FRAMES_PER_CHUNK, SAMPLES_PER_CHUNK, SHIFT_S
from flowact.core.errors import ConfigError
from flowact.core.motion import motion_slice, pack_motion, unpack_motion
from flowact.evaluate.judge_check import name_segments
from flowact.evaluate.judge_data import Entry, Score, choose, index_shards, load_scores
from flowact.evaluate.judge_scores import Rig
from flowact.evaluate.judges import Judges
from flowact.evaluate.looking import Float
from flowact.evaluate.metrics.behaviour import BehaviourScore, score_behaviour
from flowact.evaluate.metrics.lips import score_lips
from flowact.evaluate.metrics.motion import edge_ratio, energy_ratio
from flowact.evaluate.report import Line, write_report
from flowact.evaluate.subjects import prompts_of
from flowact.stream.avatar import Avatar, TimedPrompt, prompt_at
from flowact.studio.clipfile import LABELS, SOUND, WORDS, decode_labels, decode_sound
from flowact.studio.dataset import find_shards


@dataclass(frozen=True)
class _Moved:
    """One clip: motion [F, M] as it was made and as it is in the score, and the labels of the clip."""

    made: Float
    true: Float
    score: Score


def evaluate_moving(
    avatar: Avatar,
    data: Path,
    judges: Judges,
    out: Path,
    clips: int,
    split: str,
    seed: int,
    note: Callable[[str], None],
) -> str:
    """Let the avatar's body move to voices and prompts of held-out clips; writes report.json and report.md.

    Raises:
        ConfigError: the model has no network for motion, or the data holds too few clips.
    """
    if avatar.mover is None:
        raise ConfigError("This model has no network for motion; expected a folder with motion/ in it: pass --model.")
    entries = choose(index_shards(find_shards(data, split)), clips)
    scores = load_scores(entries)
    rig = Rig.fit(scores)
    moved = []
    for i, (entry, score) in enumerate(zip(entries, scores)):
        note(f"{i + 1}/{len(entries)} {entry.key}")
        moved.append(_move(avatar, entry, score, seed))
    lines, details = _lines(judges, rig, moved)
    return write_report(out, f"motion of {len(moved)} clips, split {split}", lines, {"details": details})


def move(avatar: Avatar, audio: Float, prompts: Sequence[TimedPrompt], chunks: int, seed: int = 0) -> Float:
    """What the body does to 16 kHz speech and timed prompts in so many chunks, [12 * chunks, M]."""
    size = avatar.config.size
    session = avatar.open(np.zeros((size, size, 3), np.uint8), seed)
    sound = np.zeros((chunks + 2) * SAMPLES_PER_CHUNK, np.float32)
    sound[: len(audio)] = audio[: len(sound)]
    session.hear(sound)
    made = [session.condition(prompt_at(list(prompts), i * SHIFT_S)).motion for i in range(chunks)]
    return np.concatenate([part[0].flatten(0, 1).float().cpu().numpy() for part in made])


def _move(avatar: Avatar, entry: Entry, score: Score, seed: int) -> _Moved:
    files = entry.read((LABELS, SOUND, WORDS))
    true = pack_motion(decode_labels(files[LABELS]))
    chunks = -(-len(true) // FRAMES_PER_CHUNK)
    made = move(avatar, decode_sound(files[SOUND]), prompts_of(json.loads(files[WORDS])), chunks, seed)
    # To the last frame: a stretch that is cut short is not judged.
    return _Moved(made[: len(true)], true, score)


def _lines(judges: Judges, rig: Rig, moved: Sequence[_Moved]) -> tuple[list[Line], dict[str, Any]]:
    seen, real = (
        [rig.show(unpack_motion(motion)) for motion in part] for part in zip(*((m.made, m.true) for m in moved))
    )
    score, ceiling = (_named(judges, tracks, moved) for tracks in (seen, real))
    opening = [m.score.openings[: len(m.made), 0] for m in moved]
    lips, best = (score_lips([tracks[:, -1] for tracks in part], opening) for part in (seen, real))
    head = motion_slice("head")
    # Trembling is fast and turns nowhere: how far a head turns says what speed alone would not.
    turns = [[m[:, head].std(0) for m in part] for part in zip(*((m.made, m.true) for m in moved))]
    speeds = [[_change(m[:, head]) for m in part] for part in zip(*((m.made, m.true) for m in moved))]
    jumps = [[_change(m, 2) for m in part] for part in zip(*((m.made, m.true) for m in moved))]
    lines = [
        Line("action recognised", _of(score, "recognised"), _of(ceiling, "recognised"), low=0.85, is_capped=True),
        Line("gesture where one was asked", _of(score, "gestures"), _of(ceiling, "gestures"), is_capped=True),
        Line("state where no gesture was asked", _of(score, "states"), _of(ceiling, "states"), is_capped=True),
        Line(
            "lips: correlation of the opening with the true one",
            None if lips is None else lips.correlation,
            None if best is None else best.correlation,
            low=0.8,
            is_capped=True,
        ),
        Line(
            "lips: spread of the opening", None if lips is None else lips.spread, None if best is None else best.spread
        ),
        Line("head: how far it turns, share of the data's", energy_ratio(*turns), 1.0, low=0.7, high=1.3),
        Line("head: speed, share of the data's", energy_ratio(*speeds), 1.0, low=0.7, high=1.3),
        Line("trembling: change of speed, share of the data's", energy_ratio(*jumps), 1.0, high=1.5),
        Line("jump at chunk edges over inside", edge_ratio(jumps[0]), edge_ratio(jumps[1]), high=1.2),
    ]
    return lines, {"behaviour": None if score is None else asdict(score)}


def _named(judges: Judges, tracks: Sequence[Float], moved: Sequence[_Moved]) -> BehaviourScore | None:
    found = [name_segments(judges, one, m.score.segments) for one, m in zip(tracks, moved)]
    return score_behaviour([a for asked, _ in found for a in asked], [n for _, named in found for n in named])


def _change(values: Float, order: int = 1) -> Float:
    """Mean absolute difference of some order from frame to frame, [F - order]."""
    return np.asarray(np.abs(np.diff(values, n=order, axis=0)).mean(1), np.float32)


def _of(score: BehaviourScore | None, name: str) -> float | None:
    return None if score is None else getattr(score, name)
