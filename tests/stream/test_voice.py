from __future__ import annotations

import numpy as np

from flowact.core.clock import SAMPLES_PER_FRAME
from flowact.stream.voice import VoiceTick


def test_a_broken_off_tick_falls_silent_within_20_ms() -> None:
    faded = VoiceTick(np.full(SAMPLES_PER_FRAME, 0.5, np.float32), "speech", ends=True).faded()
    half = SAMPLES_PER_FRAME // 2
    assert faded.sound.dtype == np.float32
    assert faded.sound[0] == 0.5
    assert (np.diff(faded.sound[:half]) < 0).all()
    assert not faded.sound[half:].any()
    assert (faded.segment, faded.ends) == (None, False)
