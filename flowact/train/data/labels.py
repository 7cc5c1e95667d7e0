"""The labels of a face in a rendered frame: how wide each is, and how to bring them to one scale."""

from __future__ import annotations

LABELS = {"visemes": 15, "mouth_open": 1, "eye_open": 2, "gaze": 2, "head": 3}
"""What a codec's latents must tell of a face."""
MOUTH_LABELS = ("visemes", "mouth_open")
LABEL_SCALE = {
    "visemes": 4.0,
    "mouth_open": 4.0,
    "eye_open": 1.0,
    "gaze": 0.1,
    "head": 0.1,
}
"""Brings weights in 0..1 and angles in degrees to a spread of about one."""
