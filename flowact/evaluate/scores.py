"""From what was filmed to scores: each beside the same judge's score on true renders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowact.evaluate.judge_check import name_segments
from flowact.evaluate.judges import FIRST_SECOND, LAST_SECOND, Judges, Observation
from flowact.evaluate.looking import Float
from flowact.evaluate.metrics.behaviour import BehaviourScore, score_behaviour
from flowact.evaluate.metrics.identity import IdentityScore, mean_direction, score_identity
from flowact.evaluate.metrics.lips import LipScore, score_lips
from flowact.evaluate.metrics.motion import edge_ratio, energy_ratio
from flowact.evaluate.metrics.resources import ResourceScore, score_resources
from flowact.evaluate.report import Line
from flowact.evaluate.subjects import Subject

_MOST_MB = 3 * 1024


class Borrowed(NamedTuple):
    """Lips to somebody else's voice.

    Attributes:
        seen: [F] the opening seen in a stream to that voice.
        true: [F'] that of the person whose voice it is.
    """

    seen: Float
    true: Float


@dataclass(frozen=True)
class Take:
    """One stream that was made, as the judges saw it.

    Attributes:
        subject: whom it plays, and the truth.
        seen: what the judges saw.
        mesh: [F] what the face mesh saw; empty without a mesh.
        loudness: [F] of the voice.
        borrowed: lips of a second stream of the same person, to a wrong voice; None where none was made.
        chunk_seconds, resident_mb: cost, chunk by chunk.
        pictures: a few frames by number.
    """

    subject: Subject
    seen: Observation
    mesh: Float
    loudness: Float
    borrowed: Borrowed | None
    chunk_seconds: list[float]
    resident_mb: list[float]
    pictures: dict[int, NDArray[np.uint8]]

    @property
    def frames(self) -> int:
        """Length of the stream."""
        return len(self.seen.tracks)


def score_takes(judges: Judges, takes: Sequence[Take]) -> tuple[list[Line], dict[str, Any]]:
    """The lines of the report, and everything behind them."""
    lips, lip_details = _lips(takes)
    who, who_details = _identity(judges, takes)
    what, what_details = _behaviour(judges, takes)
    cost, cost_details = _resources(takes)
    return [*lips, *who, *what, *_motion(takes), *cost], lip_details | who_details | what_details | cost_details


def _lips(takes: Sequence[Take]) -> tuple[list[Line], dict[str, Any]]:
    truth = [t.subject.opening for t in takes]
    ceiling = score_lips([join_openings(t.subject)[: t.frames] for t in takes], truth)
    score = score_lips([t.seen.mouth_open for t in takes], truth)
    borrowed = [(t.borrowed, t.subject.opening) for t in takes if t.borrowed is not None]
    wrong = score_lips([lips.seen for lips, _ in borrowed], [opening for _, opening in borrowed])
    # Two people who each speak as they do agree by chance as well.
    chance = score_lips([lips.true for lips, _ in borrowed], [opening for _, opening in borrowed])
    lines = [
        Line("lips: correlation with the true opening", _of(score), _of(ceiling), low=0.8, is_capped=True),
        Line(
            "lips: best lag, frames",
            score.best_lag if score else None,
            ceiling.best_lag if ceiling else None,
            low=-1,
            high=1,
        ),
        Line(
            "lips: streams within one frame",
            score.within_one if score else None,
            ceiling.within_one if ceiling else None,
        ),
        Line("lips: spread of the opening", score.spread if score else None, ceiling.spread if ceiling else None),
        Line("lips: correlation to a wrong voice", _of(wrong), _of(chance), low=-0.15, high=0.15),
    ]
    meshed = [t for t in takes if len(t.mesh)]
    if meshed:
        lines += _mesh(meshed)
    return lines, {
        "lips": _plain(score),
        "lips_true": _plain(ceiling),
        "lips_wrong_voice": _plain(wrong),
        "lips_chance": _plain(chance),
    }


def _mesh(takes: Sequence[Take]) -> list[Line]:
    made, real = [t.mesh for t in takes], [t.subject.true_mesh for t in takes]
    truth = [t.subject.opening for t in takes]
    # Only streams that speak have a loudness worth comparing; `score_lips` would keep noise.
    speaks = [t for t in takes if t.subject.opening.std() > 0.02]
    loud = [t.loudness / max(float(t.loudness.std()), 1e-6) for t in speaks]
    to_loud = score_lips([t.mesh for t in speaks], loud)
    true_to_loud = score_lips([t.subject.true_mesh for t in speaks], loud)
    found, true_found = (float(np.isfinite(np.concatenate(part)).mean()) for part in (made, real))
    return [
        Line(
            "lips by face mesh: correlation with the true opening",
            _of(score_lips(made, truth)),
            _of(score_lips(real, truth)),
            is_capped=True,
        ),
        Line("lips by face mesh: correlation with loudness", _of(to_loud), _of(true_to_loud), is_capped=True),
        Line("face mesh: frames with a face", found, true_found),
    ]


def _identity(judges: Judges, takes: Sequence[Take]) -> tuple[list[Line], dict[str, Any]]:
    made = [t.seen.embeddings for t in takes]
    real = [t.subject.true[0].embeddings for t in takes]
    portraits = [r[0] for r in real]
    score = score_identity(_ends(made), portraits, judges.same_person)
    ceiling = score_identity(_ends(real), portraits, judges.same_person)
    lines = [
        Line("identity: first and last second one person", score.kept, ceiling.kept, low=0.95),
        Line("identity: last second is the portrait's person", score.kept_portrait, ceiling.kept_portrait, low=0.95),
        Line("identity: similarity of first and last second", score.similarity, ceiling.similarity),
    ]
    fade = [[float(p @ e) for e in m[:: FIRST_SECOND.stop]] for p, m in zip(portraits, made)]
    shortest = min(len(row) for row in fade)
    by_second = np.mean([row[:shortest] for row in fade], 0).round(4).tolist()
    return lines, {"identity": _plain(score), "identity_true": _plain(ceiling), "portrait_similarity": by_second}


def _ends(embeddings: Sequence[Float]) -> list[tuple[Float, Float]]:
    return [(mean_direction(e[FIRST_SECOND]), mean_direction(e[LAST_SECOND])) for e in embeddings]


def _behaviour(judges: Judges, takes: Sequence[Take]) -> tuple[list[Line], dict[str, Any]]:
    made: tuple[list[str], list[str]] = ([], [])
    real: tuple[list[str], list[str]] = ([], [])
    for take in takes:
        tracks = np.concatenate([o.tracks for o in take.subject.true])[: take.frames]
        for pool, seen in ((made, take.seen.tracks), (real, tracks)):
            asked, named = name_segments(judges, seen, take.subject.segments)
            pool[0].extend(asked)
            pool[1].extend(named)
    score, ceiling = score_behaviour(*made), score_behaviour(*real)
    lines = [
        Line(
            "behaviour: asked-for action recognised",
            score.recognised if score else None,
            ceiling.recognised if ceiling else None,
            low=0.85,
            is_capped=True,
        ),
        Line(
            "behaviour: asked-for gesture recognised",
            score.gestures if score else None,
            ceiling.gestures if ceiling else None,
            is_capped=True,
        ),
        Line(
            "behaviour: asked-for state recognised, no gesture asked",
            score.states if score else None,
            ceiling.states if ceiling else None,
            is_capped=True,
        ),
        Line(
            "behaviour: actions recognised, share of those on true renders",
            score.recognised / ceiling.recognised if score and ceiling and ceiling.recognised else None,
        ),
    ]
    return lines, {"behaviour": _plain(score), "behaviour_true": _plain(ceiling)}


def _motion(takes: Sequence[Take]) -> list[Line]:
    real = [o for t in takes for o in t.subject.true]
    speed = energy_ratio([t.seen.velocity for t in takes], [o.velocity for o in real])
    jerk = energy_ratio([t.seen.jump for t in takes], [o.jump for o in real])
    edges = edge_ratio([t.seen.jump for t in takes])
    detail = energy_ratio([t.seen.detail for t in takes], [o.detail for o in real])
    return [
        Line("sharpness of the face, share of the data's", detail, 1.0, low=0.8),
        Line("motion: energy, share of the data's", speed, 1.0, low=0.7, high=1.3),
        Line("motion: jerk per energy, share of the data's", jerk / max(speed, 1e-9), 1.0),
        Line("motion: jump at chunk edges over inside", edges, edge_ratio([o.jump for o in real]), high=1.2),
    ]


def _resources(takes: Sequence[Take]) -> tuple[list[Line], dict[str, Any]]:
    # The longest stream tells most about growth.
    longest = max(takes, key=lambda t: len(t.chunk_seconds))
    score = score_resources(longest.chunk_seconds, longest.resident_mb)
    if score is None:
        return [], {}
    lines = [
        Line("cost: seconds per chunk of 0.48 s, median", score.chunk_s),
        Line("cost: slowest chunk, seconds", score.slowest_s),
        Line("cost: chunk time, last quarter over first", score.slowdown, high=1.1),
        Line("cost: resident memory at most, MB, judges included", score.peak_mb, high=_MOST_MB),
        Line("cost: memory growth, MB per minute", score.growth_mb_per_minute),
    ]
    return lines, {"resources": _plain(score)}


def join_openings(subject: Subject) -> Float:
    """The opening seen in a subject's true frames, its clips joined."""
    return np.concatenate([o.mouth_open for o in subject.true])


def _of(score: LipScore | None) -> float | None:
    return None if score is None else score.correlation


def _plain(score: LipScore | IdentityScore | BehaviourScore | ResourceScore | None) -> dict[str, Any] | None:
    return None if score is None else asdict(score)
