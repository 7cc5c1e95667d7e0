"""How well the judges judge true clips of people they never saw: the ceiling of every score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowact.core.clock import FPS
from flowact.evaluate.judge_data import Entry
from flowact.evaluate.judges import FIRST_SECOND, LAST_SECOND, Judges, Observation
from flowact.evaluate.looking import Float
from flowact.evaluate.metrics.behaviour import asked_action, score_behaviour
from flowact.evaluate.metrics.identity import equal_error, mean_direction, pair_similarities
from flowact.evaluate.metrics.lips import score_lips
from flowact.evaluate.probes import ACTIONS


def check_judges(judges: Judges, entries: Sequence[Entry]) -> dict[str, Any]:
    """Watch true clips and compare with their labels; plain numbers by name."""
    seen: list[Observation] = []
    openings, people, asked, named, errors = [], [], [], [], []
    for entry in entries:
        sample = entry.sample()
        observation = judges.observe(sample.frames)
        seen.append(observation)
        openings.append(sample.tracks["mouth_open"])
        people.append(int(sample.meta["identity"]))
        errors.append(np.abs(observation.mouth_open - sample.tracks["mouth_open"]).mean())
        wanted, got = name_segments(judges, observation.tracks, sample.meta["segments"])
        asked += wanted
        named += got
    lips = score_lips([s.mouth_open for s in seen], openings)
    behaviour = score_behaviour(asked, named)
    ends = [np.stack([mean_direction(s.embeddings[part]) for s in seen]) for part in (FIRST_SECOND, LAST_SECOND)]
    same, different = pair_similarities(ends[0], ends[1], np.asarray(people))
    rate, _ = equal_error(same, different)
    return {
        "clips": len(seen),
        "people": len(set(people)),
        "lips_correlation": lips.correlation if lips else None,
        "opening_error": float(np.mean(errors)),
        "identity_equal_error": rate,
        "identity_same_kept": float(np.mean(same > judges.same_person)),
        "identity_different_kept": float(np.mean(different > judges.same_person)),
        "action_recognised": behaviour.recognised if behaviour else None,
        "action_by_name": behaviour.by_action if behaviour else (),
    }


def name_segments(judges: Judges, tracks: Float, segments: Sequence[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Actions asked for in a clip's segments and those that the judges name; segments past the end are left out."""
    asked, named = [], []
    for segment in segments:
        first, last = round(segment["start_s"] * FPS), round(segment["end_s"] * FPS)
        if last <= len(tracks) and last - first >= 2:
            asked.append(asked_action(segment["state"], segment["gesture"]))
            named.append(ACTIONS[int(judges.name_action(tracks[first:last]).argmax())])
    return asked, named
