"""docs/people.png: what the shipped model makes of the sample portraits, at fixed seconds that nobody chose: they talk,
then they are asked for gestures.

Run: python scripts/people.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import flowact
from flowact.core.clock import FPS
from flowact.evaluate.sheet import write_sheet
from flowact.media.audio import stream_audio
from flowact.media.portrait import load_portrait

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("amara", "clara", "daniel", "edith", "leo", "robin")
SECONDS = (1, 2, 3, 4)
GESTURES = {"waves": "a person waves", "palms": "a person shows open palms", "thumb": "a person gives a thumbs up"}
GESTURE_SECOND = 2


def main() -> None:
    """Let everybody say the sample sentence."""
    avatar = flowact.load()
    rows = []
    for name in NAMES:
        portrait = load_portrait(ROOT / "samples" / f"{name}.png", avatar.config.size)
        voice = stream_audio(ROOT / "samples" / "voice.wav")
        film = np.concatenate([clip.frames for clip in avatar.stream(portrait.pixels, voice, "a person talks", seed=0)])
        shown = [portrait.pixels, *(film[FPS * second] for second in SECONDS)]
        for prompt in GESTURES.values():
            asked = avatar.stream(portrait.pixels, None, prompt, seed=0, seconds=GESTURE_SECOND + 1)
            shown.append(np.concatenate([clip.frames for clip in asked])[FPS * GESTURE_SECOND])
        rows.append((name, shown))
    heads = ["portrait", *(f"{second} s" for second in SECONDS), *(f"{name}, {GESTURE_SECOND} s" for name in GESTURES)]
    write_sheet(ROOT / "docs" / "people.png", rows, heads, side_px=144)


if __name__ == "__main__":
    main()
