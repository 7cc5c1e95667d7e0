import numpy as np

from flowact.evaluate.judge_errors import ReadingErrors
from flowact.evaluate.judge_tracks import HAND_COLUMNS, HANDS_SEEN, mirror_tracks
from flowact.evaluate.probes import TRACK_WIDTH


def _true(rng: np.random.Generator, seen: tuple[float, float]) -> np.ndarray:
    tracks = rng.normal(size=(40, TRACK_WIDTH)).astype(np.float32)
    tracks[:, HANDS_SEEN] = seen
    for side, columns in enumerate(HAND_COLUMNS):
        tracks[:, columns] *= seen[side]
    return tracks


def _read(tracks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A reader that halves whatever it sees, shifts the head, and errs by a tenth."""
    read = 0.5 * tracks + 0.1 * rng.normal(size=tracks.shape).astype(np.float32)
    read[:, 0] += 3
    read[:, HANDS_SEEN] = tracks[:, HANDS_SEEN]
    for side, columns in enumerate(HAND_COLUMNS):
        read[:, columns] *= tracks[:, HANDS_SEEN.start + side, None]
    return read


def test_exact_tracks_are_spoilt_as_the_reader_errs():
    rng = np.random.default_rng(0)
    true = [_true(rng, seen) for seen in ((0, 0), (0, 1), (1, 0), (1, 1)) * 5]
    errors = ReadingErrors.measure(true, [_read(t, rng) for t in true])
    fresh = _true(rng, (1, 0))
    spoilt = errors.spoil(fresh, rng)
    left = spoilt - 0.5 * fresh
    assert abs(left[:, 0].mean() - 3) < 0.1
    assert 0.05 < left[:, 40:].std() < 0.2
    assert 0.05 < left[:, HAND_COLUMNS[0]].std() < 0.2
    assert (spoilt[:, HAND_COLUMNS[1]] == 0).all()


def test_a_short_error_is_run_forth_and_back():
    rng = np.random.default_rng(1)
    true = [_true(rng, (0, 0))[:6] for _ in range(4)]
    errors = ReadingErrors.measure(true, [_read(t, rng) for t in true])
    spoilt = errors.spoil(np.zeros((30, TRACK_WIDTH), np.float32), rng)
    np.testing.assert_allclose(spoilt[:10], spoilt[10:20], atol=1e-6)
    assert np.ptp(spoilt[:10, 5]) > 0.01


def test_nothing_known_of_the_readers_spoils_nothing():
    tracks = _true(np.random.default_rng(2), (1, 1))
    errors = ReadingErrors.measure([], [])
    np.testing.assert_allclose(errors.spoil(tracks, np.random.default_rng(0)), tracks)


def test_both_hands_teach_the_errors_of_either():
    rng = np.random.default_rng(3)
    true = [_true(rng, (0, 1)) for _ in range(8)]
    read = [_read(t, rng) for t in true]
    as_right = ReadingErrors.measure(true, read)
    as_left = ReadingErrors.measure([mirror_tracks(t) for t in true], [mirror_tracks(r) for r in read])
    np.testing.assert_allclose(as_right.slope[HAND_COLUMNS[0]], as_left.slope[HAND_COLUMNS[0]], atol=1e-5)
    assert len(as_right.hand) == len(as_left.hand) == 8
