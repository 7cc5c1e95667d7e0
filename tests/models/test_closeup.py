import pytest
import torch

from flowact.core.arms import BONES, FINGERS, arm_bones
from flowact.core.errors import ConfigError
from flowact.core.motion import MOTION_SCALE, MOTION_WIDTH, aim_hands, motion_slice
from flowact.models.video_vae.closeup import (
    FACE_NUMBERS,
    HAND_NUMBERS,
    Closeup,
    Finder,
    Shots,
    beside_moved,
    cut,
    face_shots,
    follow_irises,
    hand_shots,
    heard_numbers,
    mirrored,
    paste,
)
from flowact.models.video_vae.config import CloseupConfig
from flowact.models.video_vae.told import Teller

SIDE = 80
SMALL = CloseupConfig(side_px=SIDE, width_4=8, blocks_4=1, width_2=8, blocks_2=1)


def awake(closeup: Closeup) -> Closeup:
    with torch.no_grad():
        closeup.head.weight.normal_(std=0.1)
    return closeup.eval()


@pytest.fixture
def mouth() -> Closeup:
    torch.manual_seed(0)
    return awake(Closeup("mouth", SMALL))


@pytest.fixture
def hand() -> Closeup:
    torch.manual_seed(0)
    return awake(Closeup("hand", SMALL))


def raised(rows: int, frames: int) -> torch.Tensor:
    """Motion of people who hold both hands up, the left on the right side, each finger bent its own way."""
    motion = torch.randn(rows, frames, MOTION_WIDTH, generator=torch.Generator().manual_seed(0))
    motion[..., motion_slice("hand_active")] = MOTION_SCALE["hand_active"]
    seen = torch.tensor([[[0.75, 0.8], [0.75, 0.6]], [[0.3, 0.8], [0.3, 0.6]]])
    return aim_hands(motion.flatten(0, 1), seen.expand(rows * frames, -1, -1, -1)).unflatten(0, (rows, frames))


def test_what_is_cut_can_be_put_back() -> None:
    pictures, corners = torch.rand(4, 2, 20, 24), torch.tensor([[0, 0], [8, 3], [-5, 10], [90, 4]])
    squares = cut(pictures, corners, 16)
    assert torch.equal(squares[1], pictures[1, :, 3:19, 8:24])
    assert torch.equal(squares[2, :, :10, 5:], pictures[2, :, 10:, :11])
    assert torch.equal(squares[2, :, :, :5], squares[2, :, :, 5:6].expand(-1, -1, 5)), "its border is repeated"
    assert torch.equal(cut(pictures, corners[1:3], 16, torch.tensor([1, 2])), squares[1:3])
    changed, rows = pictures.clone(), torch.arange(4)
    paste(changed, rows, squares + 1, corners)
    assert torch.equal(changed[3], pictures[3]), "a square beside the picture changes nothing"
    assert torch.equal(cut(changed, corners, 16)[:3], squares[:3] + 1)
    paste(changed, rows, squares, corners)
    assert torch.equal(changed, pictures)
    paste(changed, torch.tensor([2]), squares[1:2] + 1, corners[1:2])
    assert torch.equal(changed[:2], pictures[:2]), "each into its own picture"
    assert torch.equal(changed[2, :, 3:19, 8:24], squares[1] + 1)


@torch.no_grad()
def test_only_what_is_seen_is_drawn_again_and_by_what_is_told(mouth: Closeup) -> None:
    clip, portrait = torch.rand(2, 3, 3, 128, 128) * 2 - 1, torch.rand(2, 3, 128, 128) * 2 - 1
    places = torch.full((2, 3, 2), 0.5)
    places[1] = 0.95  # at the border of the picture
    shots = face_shots(torch.full((2, 2), 0.5), places, torch.randn(2, 3, FACE_NUMBERS))
    before = clip.clone()
    made = mouth.redraw(clip, portrait, shots)
    assert torch.equal(clip, before), "the pictures given are not touched"
    changed = (made != clip).any(2)
    for row, corner in ((0, 24), (1, 82)):
        assert changed[row, :, corner : corner + SIDE, corner : corner + SIDE].flatten(1).any(1).all()
        changed[row, :, corner : corner + SIDE, corner : corner + SIDE] = False
    assert not changed.any()
    assert (mouth.redraw(clip, portrait, shots._replace(numbers=shots.numbers + 1)) != made).any()
    assert (mouth.redraw(clip, portrait.flip(0), shots) != made).any()
    hidden = shots.is_seen.clone()
    hidden[0, 1] = False
    some = mouth.redraw(clip, portrait, shots._replace(is_seen=hidden))
    assert torch.equal(some[0, 1], clip[0, 1])
    some[0, 1] = made[0, 1]
    torch.testing.assert_close(some, made)
    assert mouth.redraw(clip, portrait, shots._replace(is_seen=hidden & False)) is clip


@torch.no_grad()
def test_what_was_decoded_in_the_hole_does_not_matter_to_a_hand(hand: Closeup) -> None:
    one, stills, bones = torch.rand(2, 3, SIDE, SIDE), torch.rand(2, 3, SIDE, SIDE), torch.full((2, BONES, 2, 3), 5.0)
    bones[:, FINGERS] = 0.5
    hole, numbers = hand.hole(bones), torch.randn(2, HAND_NUMBERS)
    assert float(hole[..., SIDE // 2, SIDE // 2].min()) == 1
    assert float(hole[..., 0, :].max()) == 0
    made = hand(one, stills, numbers, bones)
    other = torch.where(hole == 0, one, torch.rand(()))
    whole = hole.expand_as(made) == 1
    torch.testing.assert_close(hand(other, stills, numbers, bones)[whole], made[whole])
    assert torch.equal(torch.where(hole == 0, made, 0.0), torch.where(hole == 0, one, 0.0))


@torch.no_grad()
def test_a_new_hand_is_a_sketch_in_the_colour_of_the_skin_in_front_of_the_portrait() -> None:
    hand = Closeup("hand", SMALL)
    squares, stills, numbers = torch.rand(1, 3, SIDE, SIDE), torch.rand(1, 3, SIDE, SIDE), torch.zeros(1, HAND_NUMBERS)
    numbers[0, -3:] = torch.tensor([0.5, 0.2, -0.1])
    bones = torch.full((1, BONES, 2, 3), 5.0)
    bones[:, FINGERS] = torch.tensor([[0.3, 0.5, 0.0], [0.7, 0.5, 0.0]])
    made = hand(squares, stills, numbers, bones)[0]
    torch.testing.assert_close(made[:, SIDE // 2, SIDE // 2], numbers[0, -3:], atol=0.02, rtol=0)
    hole = hand.hole(bones)[0, 0]
    beside = int((hole[:, SIDE // 2] == 1).nonzero()[0])
    torch.testing.assert_close(made[:, beside, SIDE // 2], stills[0, :, beside, SIDE // 2])
    assert torch.equal(made[:, 2], squares[0, :, 2])


@torch.no_grad()
def test_a_mouth_is_painted_over_what_was_decoded(mouth: Closeup) -> None:
    one, stills, numbers = torch.rand(1, 3, SIDE, SIDE), torch.rand(1, 3, SIDE, SIDE), torch.randn(1, FACE_NUMBERS)
    bones = torch.zeros(1, 0, 2, 3)
    made, hole = mouth(one, stills, numbers, bones), mouth.hole(bones)
    middle = (slice(None), slice(None), slice(36, 44), slice(36, 44))
    assert float(hole[middle].min()) == 1
    darker = one.clone()
    darker[middle] -= 0.3
    assert (mouth(darker, stills, numbers, bones) - made)[middle].abs().max() > 1e-3
    assert torch.equal(torch.where(hole == 0, made, 0.0), torch.where(hole == 0, one, 0.0))


@torch.no_grad()
def test_lids_do_not_listen_to_lips_and_neither_to_hands(mouth: Closeup) -> None:
    eyes = awake(Closeup("eyes", SMALL))
    heard = {part: set(heard_numbers(part)) for part in ("eyes", "mouth")}
    for part, closeup in (("eyes", eyes), ("mouth", mouth)):
        one, stills = torch.rand(1, 3, SIDE, SIDE), torch.rand(1, closeup.still_channels, SIDE, SIDE)
        rest, bones = torch.zeros(1, FACE_NUMBERS), torch.zeros(1, 0, 2, 3)
        made = closeup(one, stills, rest, bones)
        for track in ("visemes", "face", "gaze", "hand_active", "breath"):
            told = rest.clone()
            told[:, motion_slice(track)] = 1
            is_heard = motion_slice(track).start in heard[part]
            assert torch.equal(closeup(one, stills, told, bones), made) != is_heard
    lips, look = motion_slice("visemes").start, motion_slice("gaze").start
    assert lips in heard["mouth"] - heard["eyes"]
    assert look in heard["eyes"] - heard["mouth"]


@torch.no_grad()
def test_bytes_are_drawn_as_numbers_are(mouth: Closeup) -> None:
    clip = torch.randint(0, 256, (1, 2, 3, 96, 96), dtype=torch.uint8)
    shots = face_shots(torch.full((1, 2), 0.5), torch.full((1, 2, 2), 0.5), torch.randn(1, 2, FACE_NUMBERS))
    portrait = torch.rand(1, 3, 96, 96)
    made, exact = mouth.redraw(clip, portrait, shots), mouth.redraw(clip / 127.5 - 1, portrait, shots)
    assert made.dtype == torch.uint8
    assert ((made / 127.5 - 1).clamp(-1, 1) - exact.clamp(-1, 1)).abs().max() <= 0.51 / 127.5


@torch.no_grad()
def test_a_right_hand_is_a_left_one_in_a_mirror(hand: Closeup) -> None:
    """A person seen in a mirror has the other hand up; the picture is the mirror's."""
    left, _ = hand_shots(raised(1, 2), torch.rand(1, 3))
    left = left._replace(places=torch.full((1, 2, 2), 0.5), still_places=torch.full((1, 2, 2), 0.5))
    right = left._replace(bones=mirrored(left.bones), is_mirrored=True)
    clip, portrait = torch.rand(1, 2, 3, 256, 256), torch.rand(1, 3, 256, 256)
    made = hand.redraw(clip, portrait, left)
    assert (made != clip).any()
    torch.testing.assert_close(hand.redraw(clip.flip(-1), portrait.flip(-1), right).flip(-1), made, atol=1e-4, rtol=0)


def test_hands_are_shown_where_motion_puts_them() -> None:
    motion, skin = raised(2, 3), torch.rand(2, 3)
    motion[1, 2, motion_slice("hand_active")] = 0
    left, right = hand_shots(motion, skin)
    # Between their joints, whatever these do.
    for shots in (left, right):
        inside = shots.bones[0, :, 1:, 1, :2]
        assert bool((inside.amin(1) < shots.places[0]).all() and (shots.places[0] < inside.amax(1)).all())
    assert bool((left.places[0, :, 0] > 0.6).all() and (right.places[0, :, 0] < 0.45).all())
    assert left.bones.shape == (2, 3, BONES, 2, 3)
    assert torch.equal(right.bones, arm_bones(motion)[:, :, 1])
    assert left.is_seen.tolist() == [[True] * 3, [True, True, False]]
    assert (left.is_mirrored, right.is_mirrored) == (False, True)
    assert left.numbers.shape == (2, 3, HAND_NUMBERS)
    assert torch.equal(left.numbers[..., -3:], skin[:, None].expand(-1, 3, -1))
    palm = motion[..., motion_slice("palm")]
    torch.testing.assert_close(right.numbers[..., 1:4], palm[..., 3:] * torch.tensor([-1.0, 1.0, 1.0]))
    away, _ = hand_shots(aim_hands(motion[0], torch.full((3, 2, 2, 2), 1.4))[None], skin[:1])
    assert not away.is_seen.any()


@torch.no_grad()
def test_fingers_are_told_by_their_bones_and_painted_around_them(hand: Closeup) -> None:
    squares, numbers = torch.rand(1, 3, SIDE, SIDE), torch.zeros(1, HAND_NUMBERS)
    bones = torch.full((1, BONES, 2, 3), 5.0)  # far outside
    assert torch.equal(hand(squares, squares, numbers, bones), squares)
    bones[0, 7] = torch.tensor([[0.3, 0.3, 5.0], [0.5, 0.3, 5.0]])
    hole = hand.hole(bones)[0, 0]
    assert float(hole[24, 32]) == 1
    assert float(hole[60:].max()) == 0
    made = hand(squares, squares, numbers, bones)
    inside = (hole == 1).expand(1, 3, -1, -1)
    nearer = bones.clone()
    nearer[0, 7, :, 2] += 0.1
    for changed in (nearer, bones.flip(-2)):
        assert (hand(squares, squares, numbers, changed) - made)[inside].abs().max() > 1e-4, "how it lies is told"
    bones[0, 13], bones[0, 7] = bones[0, 7], 5.0  # another finger's
    assert (hand(squares, squares, numbers, bones) - made)[inside].abs().max() > 1e-4


def test_a_mouth_is_found_where_mouths_usually_are_or_where_it_shows() -> None:
    finder = Finder("mouth", 5)
    features = torch.randn(2, 5, 16, 16)
    torch.testing.assert_close(finder(features), torch.tensor([[0.5, 0.54]]).expand(2, -1), atol=0.01, rtol=0)
    with torch.no_grad():
        finder.likely.weight[0, 0, 1, 1] = 20.0
    shown = torch.zeros(1, 5, 16, 16)
    shown[:, 1] = 1
    shown[0, :2, 10, 6] = torch.tensor([1.0, 0.0])
    where = torch.tensor([[6.5, 10.5]]) / 16
    torch.testing.assert_close(finder(shown), where, atol=1e-3, rtol=0)
    torch.testing.assert_close(finder(30 * shown), where, atol=1e-3, rtol=0)


def test_eyes_are_usually_above_the_mouth_and_their_hole_is_wider() -> None:
    features = torch.randn(1, 5, 16, 16)
    torch.testing.assert_close(Finder("eyes", 5)(features), torch.tensor([[0.5, 0.348]]), atol=0.01, rtol=0)
    eyes, mouth = (Closeup(part, SMALL).hole(torch.zeros(1, 0, 2, 3))[0, 0] for part in ("eyes", "mouth"))
    assert bool((eyes >= mouth).all())
    assert float(eyes[SIDE // 2, 4]) == 1, "to the far corner of an eye"
    assert float(mouth[SIDE // 2, 4]) == 0
    assert float(eyes[20, 10]) > 0, "and its corners are not cut"
    assert float(eyes[:8].max()) == 0


def test_every_weight_learns(hand: Closeup) -> None:
    squares = torch.rand(2, 3, SIDE, SIDE)
    drawn = hand(squares, squares.flip(0), torch.randn(2, HAND_NUMBERS), torch.rand(2, BONES, 2, 3))
    drawn.square().mean().backward()
    assert not [name for name, p in hand.named_parameters() if p.grad is None or not p.grad.any()]


def test_sizes_that_cannot_be_are_refused() -> None:
    for wrong in ({"side_px": 30}, {"width_4": 0}):
        with pytest.raises(ConfigError, match="CloseupConfig"):
            CloseupConfig(**wrong)


@torch.no_grad()
def test_places_follow_the_common_flow() -> None:
    teller = Teller(8)
    teller.field[3] = torch.tensor([-12.8, 25.6])[:, None, None]  # found to the left and below: it went right and up
    teller.field[4, 0, :, :4] = 12.8
    motion = torch.zeros(2, 8, MOTION_WIDTH)
    motion[1, 4, 3] = 2
    motion[:, 7, 4] = 1
    place = torch.tensor([[0.2, 0.5], [0.9, 0.5]])
    went = teller.follow(place, motion) - place[:, None]
    assert went.shape == (2, 8, 2)
    torch.testing.assert_close(went[1, 4], torch.tensor([0.1, -0.2]))
    torch.testing.assert_close(went[0, 7], torch.tensor([-0.05, 0.0]))
    went[1, 4] = went[0, 7] = 0
    assert float(went.abs().max()) < 1e-6, "who does not move stays, and only the left half knows the other number"


@torch.no_grad()
def test_a_hand_that_was_drawn_stays_where_the_next_one_is_not() -> None:
    hand = Closeup("hand", SMALL)  # a new one sketches
    clip, portrait = torch.zeros(1, 2, 3, 256, 256), -torch.ones(1, 3, 256, 256)

    def shots(column: float, colour: float, *, is_mirrored: bool) -> Shots:
        numbers, bones = torch.zeros(1, 2, HAND_NUMBERS), torch.full((1, 2, BONES, 2, 3), 5.0)
        numbers[..., -3:] = colour
        bones[:, :, FINGERS] = torch.tensor([[column, 0.45, 0.0], [column, 0.55, 0.0]])
        places = torch.full((1, 2, 2), 0.5)
        return Shots(places, places, numbers, bones, torch.ones(1, 2, dtype=torch.bool), is_mirrored)

    left, right = shots(0.45, 0.6, is_mirrored=False), shots(0.55, 0.3, is_mirrored=True)
    first = hand.redraw(clip, portrait, left)
    assert 0.4 < float(first[0, 0, 0, 128, 115]) <= 0.6
    alone, both = hand.redraw(first, portrait, right), hand.redraw(first, portrait, right, behind=left)
    assert float(alone[0, 0, 0, 128, 121]) < -0.5, "its hole shows the portrait"
    assert float(both[0, 0, 0, 128, 119]) > 0.4, "and not where the other hand is"
    torch.testing.assert_close(both[..., 128, 140], alone[..., 128, 140])
    unseen = left._replace(is_seen=torch.tensor([[False, True]]))
    half = hand.redraw(first, portrait, right, behind=unseen)
    assert torch.equal(half[0, 0], alone[0, 0])
    assert torch.equal(half[0, 1], both[0, 1])


def test_eyes_see_the_portrait_twice_the_second_time_moved_as_irises_were() -> None:
    squares = torch.zeros(2, 3, 32, 32)
    squares[:, :, 10:14, 8:12] = 1
    both = beside_moved(squares, torch.tensor([[3.0, -2.0], [0.0, 0.0]]))
    assert torch.equal(both[:, :3], squares)
    torch.testing.assert_close(both[0, 3:], squares[0].roll((-2, 3), (1, 2)))
    torch.testing.assert_close(both[1, 3:], squares[1])


def test_irises_go_where_eyes_turn() -> None:
    moved = torch.zeros(3, FACE_NUMBERS)
    moved[0, motion_slice("gaze")] = torch.tensor([10.0, 0.0]) * MOTION_SCALE["gaze"]  # to the person's left
    moved[1, motion_slice("gaze")] = torch.tensor([0.0, 10.0]) * MOTION_SCALE["gaze"]  # up
    left, up, straight = (256 * follow_irises(moved)).tolist()
    assert left == pytest.approx([1.15, 0], abs=0.01)
    assert up == pytest.approx([0, -1.15], abs=0.01)
    assert straight == [0, 0]


@torch.no_grad()
def test_what_is_drawn_of_eyes_depends_on_where_they_look() -> None:
    eyes = awake(Closeup("eyes", SMALL))
    clip, portrait = torch.rand(1, 2, 3, 128, 128), torch.rand(1, 3, 128, 128)
    place, places, motion = torch.full((1, 2), 0.5), torch.full((1, 2, 2), 0.5), torch.zeros(1, 2, FACE_NUMBERS)
    irises = torch.tensor([[[0.0, 0.0], [0.02, 0.0]]])
    made = eyes.redraw(clip[:, :1].expand(-1, 2, -1, -1, -1), portrait, face_shots(place, places, motion, irises))
    assert not torch.allclose(made[0, 0], made[0, 1])
