import numpy as np
import torch

from flowact.core.motion import (
    MOTION_SCALE,
    MOTION_TRACKS,
    MOTION_WIDTH,
    aim_hands,
    hand_points,
    motion_slice,
    pack_motion,
    seen_from,
    unpack_motion,
)


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
    for name in ("visemes", "face", "gaze", "hand_active"):
        np.testing.assert_allclose(found[name], given[name], rtol=1e-5)
    np.testing.assert_allclose(found["breath"], given["breath"][:, 0], rtol=1e-5)
    np.testing.assert_allclose(found["wrist"][1:, 0], given["wrist"][1:, 0], rtol=1e-5)
    assert not found["wrist"][:, 1].any(), "the right hand hangs"
    assert found["curl"].shape == (6, 2, 5)


def test_where_a_hand_is_fades_in_with_the_hand() -> None:
    motion = pack_motion(tracks())
    left, right = motion[:, motion_slice("curl")][:, :5], motion[:, motion_slice("curl")][:, 5:]
    assert not left[0].any()
    assert left[-1].all()
    assert not right.any()


def hand_up(x: float, y: float) -> torch.Tensor:
    """Motion of five frames whose right wrist is at (x, y) shoulder widths from the neck, fingers up."""
    motion = torch.zeros(5, MOTION_WIDTH)
    motion[:, motion_slice("hand_active")] = torch.tensor([0.0, 1.0]) * MOTION_SCALE["hand_active"]
    motion[:, motion_slice("wrist")] = torch.tensor([0, 0, 0, x, y, 0]) * MOTION_SCALE["wrist"]
    motion[:, motion_slice("fingers")] = torch.tensor([0, 0, 0, 0, 1, 0]) * MOTION_SCALE["fingers"]
    return motion


def test_a_raised_hand_is_where_the_framing_shows_it_and_a_hanging_one_is_out_of_the_picture() -> None:
    left, right = hand_points(hand_up(-0.3, 0.2))[0]
    assert bool((left[:, 1] > 1.2).all())
    assert 0.1 < float(right[0, 0]) < 0.3, "the person's right is on the left of the picture"
    assert 0.6 < float(right[0, 1]) < 0.8
    assert float(right[2, 1]) < float(right[1, 1]) < float(right[0, 1]), "fingers point up"


def test_aimed_hands_lie_where_they_were_seen_and_those_not_seen_stay() -> None:
    motion = hand_up(-0.3, 0.2)
    seen = torch.full((5, 2, 2, 2), torch.nan)
    seen[:, 1] = torch.tensor([[0.3, 0.8], [0.35, 0.55]])
    seen[4] = torch.nan
    aimed = aim_hands(motion, seen)
    torch.testing.assert_close(hand_points(aimed)[:4, 1, :2], seen[:4, 1])
    assert torch.equal(aimed[4], motion[4])
    hands = [
        *range(*motion_slice("wrist").indices(MOTION_WIDTH)),
        *range(*motion_slice("fingers").indices(MOTION_WIDTH)),
    ]
    others = [i for i in range(MOTION_WIDTH) if i not in hands]
    assert torch.equal(aimed[:, others], motion[:, others])
    assert torch.equal(aimed[:, motion_slice("wrist")][:, :3], motion[:, motion_slice("wrist")][:, :3]), "left"
    assert torch.equal(motion, hand_up(-0.3, 0.2)), "what is given is not changed"


def test_a_body_is_seen_from_its_portrait_but_for_its_hands() -> None:
    motion, stance = torch.randn(2, 5, MOTION_WIDTH), torch.randn(2, 1, MOTION_WIDTH)
    seen = seen_from(motion, stance)
    for track in MOTION_TRACKS:
        part = motion_slice(track)
        is_hand = track in ("hand_active", "wrist", "palm", "fingers", "curl")
        expected = motion if is_hand else motion - stance
        assert torch.equal(seen[..., part], expected[..., part])
