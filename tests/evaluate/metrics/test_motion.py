import numpy as np
import pytest

from flowact.evaluate.metrics.motion import MotionMeter, edge_ratio, energy_ratio


def _drifting(frames: int, step: float = 4.0) -> np.ndarray:
    x = np.arange(64)
    rows = [128 + 100 * np.sin((x + step * f) / 10) for f in range(frames)]
    return np.broadcast_to(np.asarray(rows, np.uint8)[:, None, :, None], (frames, 64, 64, 3)).copy()


def test_cutting_the_stream_changes_nothing():
    frames = _drifting(20)
    whole, cut = MotionMeter(), MotionMeter()
    whole.add(frames)
    for part in (frames[:1], frames[1:7], frames[7:]):
        cut.add(part)
    assert whole.velocity.tolist() == cut.velocity.tolist()
    assert whole.jump.tolist() == cut.jump.tolist()
    assert (len(whole.velocity), len(whole.jump)) == (19, 18)


def test_a_still_picture_has_no_energy_and_a_faster_one_more():
    still, slow, fast = MotionMeter(), MotionMeter(), MotionMeter()
    still.add(_drifting(12, 0))
    slow.add(_drifting(12, 2))
    fast.add(_drifting(12, 4))
    assert energy_ratio([still.velocity], [slow.velocity]) == 0
    assert energy_ratio([fast.velocity], [slow.velocity]) == pytest.approx(2, rel=0.1)


def test_a_step_at_chunk_edges_shows_and_one_inside_does_not():
    frames = _drifting(49, 1.0).astype(int)
    smooth, edged, inside = MotionMeter(), MotionMeter(), MotionMeter()
    smooth.add(frames.astype(np.uint8))
    chunk = np.arange(49) // 12
    edged.add((frames + 20 * (chunk % 2)[:, None, None, None]).clip(0, 255).astype(np.uint8))
    shifted = (np.arange(49) + 6) // 12
    inside.add((frames + 20 * (shifted % 2)[:, None, None, None]).clip(0, 255).astype(np.uint8))
    assert edge_ratio([smooth.jump]) == pytest.approx(1, abs=0.05)
    assert edge_ratio([edged.jump]) > 3
    assert edge_ratio([inside.jump]) < 0.5
