import numpy as np

from flowact.core.motion import MOTION_TRACKS, MOTION_WIDTH, motion_slice, pack_motion, unpack_motion


def tracks(frames: int = 6) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    made = {name: rng.uniform(-1, 1, (frames, width)).astype(np.float32) for name, width in MOTION_TRACKS.items()}
    made["hand_active"] = np.stack([np.linspace(0, 1, frames), np.zeros(frames)], 1).astype(np.float32)
    made["wrist"] = made["wrist"].reshape(frames, 2, 3)
    return made


def test_motion_is_unpacked_as_it_was_packed_where_a_hand_is_up() -> None:
    given = tracks()
    motion = pack_motion(given)
    assert motion.shape == (6, MOTION_WIDTH)
    found = unpack_motion(motion)
    for name in ("visemes", "face", "gaze", "hand_active", "breath"):
        np.testing.assert_allclose(found[name], given[name], rtol=1e-5)
    np.testing.assert_allclose(found["wrist"][-1, :3], given["wrist"][-1, 0], rtol=1e-5)


def test_where_a_hand_is_fades_in_with_the_hand() -> None:
    motion = pack_motion(tracks())
    left, right = motion[:, motion_slice("curl")][:, :5], motion[:, motion_slice("curl")][:, 5:]
    assert not left[0].any()
    assert left[-1].all()
    assert not right.any()
