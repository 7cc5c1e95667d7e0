"""The labels of every rendered frame that training uses: how wide each is, and how to bring them to one scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

LABELS = {"visemes": 15, "mouth_open": 1, "eye_open": 2, "gaze": 2, "head": 3}
LABEL_SCALE = {"visemes": 4.0, "mouth_open": 4.0, "eye_open": 1.0, "gaze": 0.1, "head": 0.1}
"""Brings weights in 0..1 and angles in degrees to a spread of about one."""
MOUTH_LABELS = ("visemes", "mouth_open")
LABEL_WIDTH = sum(LABELS.values())


def scaled_labels(tracks: Mapping[str, Any]) -> np.ndarray:
    """All labels of a clip side by side, [F, LABEL_WIDTH] float32; NaN where unknown."""
    columns = [np.reshape(tracks[name], (-1, width)) * LABEL_SCALE[name] for name, width in LABELS.items()]
    return np.concatenate(columns, 1).astype(np.float32)
