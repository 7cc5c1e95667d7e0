import numpy as np

from flowact.evaluate.judge_tracks import (
    HAND_COLUMNS,
    HANDS_SEEN,
    as_left,
    hand_mask,
    mirror_columns,
    mirror_places,
    mirror_tracks,
    take_steps,
)
from flowact.evaluate.probes import HAND_LABELS, TRACK_WIDTH

TRACKS = np.random.default_rng(0).normal(size=(9, TRACK_WIDTH)).astype(np.float32)


def test_a_hidden_left_hand_hides_the_left_half_of_each_label():
    mask = hand_mask(np.asarray([[0, 1]], np.float32))[0]
    start = 0
    for width in HAND_LABELS.values():
        assert mask[start : start + width].tolist() == [0] * (width // 2) + [1] * (width // 2)
        start += width
    assert not mask[np.asarray(HAND_COLUMNS[0]) - HANDS_SEEN.stop].any()
    assert mask[np.asarray(HAND_COLUMNS[1]) - HANDS_SEEN.stop].all()


def test_mirroring_swaps_the_hands_and_turns_the_head():
    turned = mirror_tracks(TRACKS)
    np.testing.assert_allclose(mirror_tracks(turned), TRACKS)
    np.testing.assert_allclose(turned[:, :3], TRACKS[:, :3] * [-1, 1, -1])
    np.testing.assert_allclose(turned[:, HANDS_SEEN], TRACKS[:, HANDS_SEEN][:, ::-1])
    np.testing.assert_allclose(turned[:, HAND_COLUMNS[0]], as_left(TRACKS[:, HAND_COLUMNS[1]], 1))
    np.testing.assert_allclose(turned[:, -1], TRACKS[:, -1])


def test_mirrored_columns_are_those_of_mirrored_tracks():
    for first, width in ((0, 10), (10, 6), (38, 13)):
        part = TRACKS[:, first : first + width]
        np.testing.assert_allclose(mirror_columns(part, first), mirror_tracks(TRACKS)[:, first : first + width])


def test_mirrored_places_are_where_the_mirrored_picture_has_them():
    places = np.asarray([[0.4, 0.5, 0.2, 0.1, 0.6, 0.7, 0.9, 0.8, 0.3, 0.6]], np.float32)
    turned = mirror_places(places)
    np.testing.assert_allclose(turned, [[0.6, 0.5, 0.4, 0.1, 0.8, 0.7, 0.7, 0.6, 0.1, 0.8]], atol=1e-6)
    np.testing.assert_allclose(mirror_places(turned), places, atol=1e-6)


def test_steps_are_means_of_two_frames():
    steps = take_steps(TRACKS)
    assert steps.shape == (4, TRACK_WIDTH)
    np.testing.assert_allclose(steps[1], TRACKS[2:4].mean(0), rtol=1e-6)
    np.testing.assert_allclose(take_steps(TRACKS[:1]), TRACKS[:1])
