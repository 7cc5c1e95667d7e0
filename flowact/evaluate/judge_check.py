"""How well the judges judge true clips of people they never saw: the ceiling of every score."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from flowact.evaluate.judge_data import Entry, cut_stretches
from flowact.evaluate.judge_tracks import join_tracks
from flowact.evaluate.judges import FIRST_SECOND, LAST_SECOND, Judges
from flowact.evaluate.looking import Float
from flowact.evaluate.metrics.behaviour import score_behaviour
from flowact.evaluate.metrics.identity import equal_error, mean_direction, pair_similarities
from flowact.evaluate.metrics.lips import score_lips
from flowact.evaluate.probes import ACTIONS


@dataclass(frozen=True)
class Watched:
    """A true clip of F frames, as it is labelled and as the judges see it.

    Attributes:
        identity: number of the person.
        segments: the true behaviour: state, gesture, start_s, end_s.
        tracks: [F, TRACK_WIDTH] by the labels.
        seen: [F, TRACK_WIDTH] by the judges.
        embeddings: as in `Observation`.
    """

    identity: int
    segments: list[dict[str, Any]]
    tracks: Float
    seen: Float
    embeddings: Float


def watch(judges: Judges, entries: Sequence[Entry]) -> list[Watched]:
    """Have the judges watch true clips."""

    def look(entry: Entry) -> Watched:
        sample = entry.sample()
        observation = judges.observe(sample.frames)
        return Watched(
            int(sample.meta["identity"]),
            sample.meta["segments"],
            join_tracks(sample.tracks),
            observation.tracks,
            observation.embeddings,
        )

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(look, entries))


def check_judges(judges: Judges, entries: Sequence[Entry]) -> dict[str, Any]:
    """Watch true clips and compare with their labels; plain numbers by name."""
    watched = watch(judges, entries)
    seen, true = [w.seen[:, -1] for w in watched], [w.tracks[:, -1] for w in watched]
    lips = score_lips(seen, true)
    people = np.asarray([w.identity for w in watched])
    ends = [np.stack([mean_direction(w.embeddings[part]) for w in watched]) for part in (FIRST_SECOND, LAST_SECOND)]
    same, different = pair_similarities(ends[0], ends[1], people)
    rate, _ = equal_error(same, different)
    pairs = [name_segments(judges, w.seen, w.segments) for w in watched]
    behaviour = score_behaviour([a for asked, _ in pairs for a in asked], [n for _, named in pairs for n in named])
    return {
        "clips": len(watched),
        "people": len(set(people.tolist())),
        "lips_correlation": lips.correlation if lips else None,
        "opening_error": float(np.mean([np.abs(a - b).mean() for a, b in zip(seen, true)])),
        "identity_equal_error": rate,
        "identity_same_kept": float(np.mean(same > judges.same_person)),
        "identity_different_kept": float(np.mean(different > judges.same_person)),
        "behaviour": asdict(behaviour) if behaviour else None,
    }


def name_segments(judges: Judges, tracks: Float, segments: Sequence[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Actions asked for in a clip's segments and those that the judges name; segments past the end are left out."""
    stretches = cut_stretches(tracks, segments)
    named = [ACTIONS[int(judges.name_action(stretch.tracks).argmax())] for stretch in stretches]
    return [stretch.action for stretch in stretches], named
