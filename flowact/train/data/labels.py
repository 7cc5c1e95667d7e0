"""The labels of every rendered frame that training uses: how wide each is, and how to bring them to one scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

LABELS = {"visemes": 15, "mouth_open": 1, "eye_open": 2, "gaze": 2, "head": 3}
"""What a codec's latents must tell of a face."""
BODY_LABELS = {"hand_active": 2, "wrist": 6, "shoulders": 2, "torso": 3}
"""What a backbone must know besides, to act as the prompt says."""
MOUTH_LABELS = ("visemes", "mouth_open")
ALL_LABELS = LABELS | BODY_LABELS
LABEL_SCALE = {
    "visemes": 4.0,
    "mouth_open": 4.0,
    "eye_open": 1.0,
    "gaze": 0.1,
    "head": 0.1,
    "hand_active": 2.0,
    "wrist": 4.0,
    "shoulders": 8.0,
    "torso": 1.0,
}
"""Brings weights in 0..1, angles in degrees and places in shoulder widths to a spread of about one."""
LABEL_WIDTH = sum(ALL_LABELS.values())
_FIRST_BODY = sum(LABELS.values())
HANDS_ACTIVE = slice(_FIRST_BODY, _FIRST_BODY + BODY_LABELS["hand_active"])
"""Columns of the labels that say how far each hand is up."""


def scaled_labels(tracks: Mapping[str, Any]) -> np.ndarray:
    """All labels of a clip side by side, [F, LABEL_WIDTH] float32; NaN where unknown."""
    columns = [np.reshape(tracks[name], (-1, width)) * LABEL_SCALE[name] for name, width in ALL_LABELS.items()]
    return np.concatenate(columns, 1).astype(np.float32)
