"""From exact phone times to mouth shapes at 25 fps, with coarticulation.

Every phone claims the mouth with a dominance that swells before it and fades after it; the shape shown is the
dominance-weighted mean. Rounding claims early, tongue sounds claim little, and lip closures are then enforced so that
a 50 ms "b" still closes the lips on at least one frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from flowact.core.clock import FPS
from flowact.studio.performance import VISEMES, Float, Phone
from flowact.studio.speech import SILENCE
from flowact.studio.tracks import Curve

LIP_LEAD_S = 0.03
_CLOSURE_MIN_S = 0.045  # a little over one frame, so that a frame centre always falls inside
_CLOSURE_RAMP_S = 0.05

_SOUNDS_OF: dict[str, tuple[str, ...]] = {
    "sil": (SILENCE,),
    "PP": ("p", "b", "m"),
    "FF": ("f", "v"),
    "TH": ("th", "dh"),
    "DD": ("t", "d"),
    "kk": ("k", "g", "ng"),
    "CH": ("ch", "jh", "sh", "zh"),
    "SS": ("s", "z"),
    "nn": ("n", "l"),
    "RR": ("r", "er", "axr"),
    "aa": ("aa", "ae", "ah"),
    "E": ("eh", "ax", "hh"),
    "I": ("ih", "iy", "y"),
    "O": ("ao",),
    "U": ("uw", "uh", "w"),
}
_SHAPE_OF = {sound: shape for shape, sounds in _SOUNDS_OF.items() for sound in sounds}
_GLIDES = {"aw": ("aa", "U"), "ay": ("aa", "I"), "oy": ("O", "I"), "ey": ("E", "I"), "ow": ("O", "U")}
# How strongly a shape claims the mouth, and how early and late (seconds).
_CLAIM = {
    "sil": (1.0, 0.05, 0.06),
    "PP": (1.2, 0.03, 0.03),
    "FF": (1.2, 0.03, 0.03),
    "TH": (0.8, 0.025, 0.025),
    "DD": (0.55, 0.025, 0.025),
    "kk": (0.4, 0.025, 0.025),
    "CH": (0.9, 0.05, 0.035),
    "SS": (0.7, 0.025, 0.025),
    "nn": (0.5, 0.025, 0.025),
    "RR": (0.65, 0.04, 0.03),
    "aa": (1.1, 0.04, 0.04),
    "E": (1.0, 0.035, 0.035),
    "I": (1.0, 0.035, 0.035),
    "O": (1.1, 0.06, 0.04),
    "U": (1.0, 0.08, 0.04),
}
# How far the jaw drops with each shape, beyond the little that the shape itself opens.
_JAW = {"aa": 1.0, "O": 0.7, "E": 0.6, "I": 0.3, "RR": 0.25, "kk": 0.3, "nn": 0.25, "DD": 0.2, "TH": 0.2, "U": 0.1}
_JAW_DROP = np.array([_JAW.get(shape, 0.0) for shape in VISEMES])
VOWELS = frozenset(("aa", "ae", "ah", "eh", "ih", "iy", "ao", "uw", "uh", "er", "axr", *_GLIDES))
_WEAK = {"ax": 0.6, "hh": 0.15}


class _Claim(NamedTuple):
    shape: int
    start_s: float
    end_s: float
    strength: float
    early_s: float
    late_s: float
    opening: float


def viseme_track(phones: Sequence[Phone], level: Float, frames: int, style: float = 1.0) -> Float:
    """Return viseme weights [frames, 15] for the middle of every frame.

    Args:
        phones: speech sounds in order, covering the clip.
        level: loudness of the clean voice, 100 values a second, 1 = loud vowel.
        frames: number of 25 fps frames.
        style: 1 speaks clearly; less mumbles, more over-articulates.
    """
    time = (np.arange(frames) + 0.5) / FPS + LIP_LEAD_S
    weights = np.zeros((frames, len(VISEMES)))
    claims = [claim for phone in phones for claim in _claims(phone, level, style)]
    total = np.full(frames, 1e-6)
    for claim in claims:
        dominance = _dominance(claim, time)
        weights[:, claim.shape] += dominance * claim.opening
        total += dominance
    weights /= total[:, None]
    for phone in phones:
        if _SHAPE_OF.get(phone.label) in ("PP", "FF"):
            _close(weights, VISEMES.index(_SHAPE_OF[phone.label]), phone, time)
    weights[:, 0] += np.clip(1.0 - weights.sum(axis=1), 0.0, 1.0)
    return weights.clip(0.0, 1.0).astype(np.float32)


def _claims(phone: Phone, level: Float, style: float) -> list[_Claim]:
    length = phone.end_s - phone.start_s
    if phone.label in _GLIDES:
        first, second = _GLIDES[phone.label]
        turn = phone.start_s + 0.55 * length
        spans = [(first, phone.start_s, turn), (second, turn, phone.end_s)]
    else:
        spans = [(_SHAPE_OF.get(phone.label, "E"), phone.start_s, phone.end_s)]
    opening = 1.0
    if phone.label != SILENCE and spans[0][0] not in ("PP", "FF"):
        part = level[int(phone.start_s * 100) : max(int(phone.start_s * 100) + 1, int(phone.end_s * 100))]
        loud = float(part.mean()) if part.size else 0.7
        opening = float(np.clip(style * (0.62 + 0.42 * min(loud, 1.1)), 0.3, 1.0))
        opening *= 0.75 if phone.label == "ax" else 1.0
    claims = []
    for shape, start, end in spans:
        strength, early, late = _CLAIM[shape]
        strength *= _WEAK.get(phone.label, 1.0)
        if shape == "sil":  # a stop's short hush inside a sentence does not shut the mouth
            strength *= float(np.clip((length - 0.03) / 0.12, 0.05, 1.0))
        claims.append(_Claim(VISEMES.index(shape), start, end, strength, early, late, opening))
    return claims


def _dominance(claim: _Claim, time: Curve) -> Curve:
    length = claim.end_s - claim.start_s
    offset = time - 0.5 * (claim.start_s + claim.end_s)
    width = 0.25 * length + np.where(offset < 0, claim.early_s, claim.late_s)
    beyond = np.maximum(np.abs(offset) - 0.25 * length, 0.0) / width
    return claim.strength * np.exp(-1.5 * beyond**2)


def _close(weights: Curve, shape: int, phone: Phone, time: Curve) -> None:
    middle = 0.5 * (phone.start_s + phone.end_s)
    half = 0.5 * max(phone.end_s - phone.start_s, _CLOSURE_MIN_S)
    closed = np.clip(1.0 - (np.abs(time - middle) - half) / _CLOSURE_RAMP_S, 0.0, 1.0)[:, None]
    weights *= 1.0 - closed
    weights[:, shape] += closed[:, 0]


def jaw_track(visemes: Float, drop: float) -> Curve:
    """Extra opening of the jaw [F] for viseme weights [F, 15]; `drop` is its value on a full "aa", 0 on closures."""
    return np.asarray(drop * (visemes @ _JAW_DROP), np.float64)


def accents(phones: Sequence[Phone], level: Float) -> list[tuple[float, float]]:
    """Return (time in seconds, strength 0..1) of the stressed vowels: the long and loud ones, 0.3 s apart at least."""
    scored = []
    for phone in phones:
        if phone.label in VOWELS:
            part = level[int(phone.start_s * 100) : int(phone.end_s * 100) + 1]
            loud = float(part.mean()) if part.size else 0.0
            scored.append((loud * min((phone.end_s - phone.start_s) / 0.16, 1.5), phone))
    if not scored:
        return []
    threshold = float(np.quantile([score for score, _ in scored], 0.45, method="lower"))
    chosen: list[tuple[float, float]] = []
    for score, phone in sorted(scored, key=lambda item: -item[0]):
        at = 0.5 * (phone.start_s + phone.end_s)
        if score >= threshold and all(abs(at - other) > 0.3 for other, _ in chosen):
            chosen.append((at, float(min(score, 1.0))))
    return sorted(chosen)
