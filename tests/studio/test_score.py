from dataclasses import fields

import numpy as np
import pytest

from flowact.core.errors import ConfigError
from flowact.studio.performance import FACE_UNITS, GESTURES, STATES
from flowact.studio.score import make_performance
from flowact.studio.sentences import is_heldout
from flowact.studio.speech import HELDOUT_SPEAKER


@pytest.fixture(scope="module")
def many():
    return [make_performance(seed) for seed in range(40)]


def _same(one, other):
    pairs = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(one)]
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs)


def test_the_seed_decides_everything():
    assert _same(make_performance(7), make_performance(7))
    assert not _same(make_performance(7), make_performance(8))


def test_augmentation_changes_only_the_sound():
    clean, heard = make_performance(1, augment=False), make_performance(1)
    assert not np.array_equal(clean.audio, heard.audio)
    assert np.array_equal(clean.visemes, heard.visemes)
    assert clean.phones == heard.phones


def test_shapes_and_ranges(many):
    for made in many:
        assert made.audio.shape == (120 * 640,)
        assert made.visemes.shape == (120, 15)
        assert made.face.shape == (120, len(FACE_UNITS))
        for name in ("visemes", "face", "shoulders", "breath", "hand_active", "curl"):
            track = getattr(made, name)
            assert track.dtype == np.float32
            assert track.min() >= 0.0, name
            assert track.max() <= 1.0 + 1e-6, name
        for name in ("head", "torso", "sway", "gaze", "wrist", "palm", "fingers", "audio"):
            assert getattr(made, name).dtype == np.float32
            assert np.isfinite(getattr(made, name)).all()


def test_phones_and_captions_cover_the_clip(many):
    for made in many:
        assert made.phones[0].start_s == 0.0
        assert made.phones[-1].end_s == pytest.approx(4.8)
        assert all(abs(a.end_s - b.start_s) < 1e-6 for a, b in zip(made.phones, made.phones[1:]))
        assert all(phone.end_s > phone.start_s for phone in made.phones)
        for detail in range(3):
            spans = [(c.start_s, c.end_s) for c in made.captions if c.detail == detail]
            assert spans == [(s.start_s, s.end_s) for s in made.segments]


def test_bodies_move_smoothly_within_human_limits(many):
    for made in many:
        assert np.abs(made.head[:, 0]).max() <= 25.0
        assert np.abs(np.diff(made.head, axis=0)).max() < 6.0
        assert np.abs(np.diff(made.torso, axis=0)).max() < 1.5
        assert np.abs(np.diff(made.head, n=2, axis=0)).max() < 3.5
        assert np.abs(np.diff(made.shoulders, axis=0)).max() < 0.25
        assert np.ptp(made.head, axis=0).max() > 0.5


def test_the_mouth_speaks_only_when_there_is_a_voice(many):
    for made in many:
        talks = np.zeros(120, bool)
        for segment in made.segments:
            if segment.state == "talk":
                talks[round(segment.start_s * 25) : round(segment.end_s * 25)] = True
        calm = ~np.convolve(talks, np.ones(9), mode="same").astype(bool)
        assert np.all(made.visemes[calm, 0] > 0.95)
        assert bool(made.sentence) == bool(talks.any())
        if talks.any():
            assert made.visemes[talks, 0].mean() < 0.6


def test_heldout_voice_and_sentences_are_apart(many):
    assert not any(made.voice.startswith(HELDOUT_SPEAKER) for made in many)
    for seed in range(6):
        made = make_performance(seed, split="heldout", state="talk")
        assert made.voice.startswith(HELDOUT_SPEAKER)
    spoken = make_performance(3, split="heldout", state="talk", frames=30).sentence
    assert is_heldout(spoken)


@pytest.mark.parametrize("gesture", GESTURES[1:])
def test_captions_name_the_gesture(gesture):
    words = {
        "wave": ("wav",),
        "nod": ("nod",),
        "shake": ("shak",),
        "point": ("point",),
        "shrug": ("shrug",),
        "hand_to_chin": ("chin",),
        "open_palms": ("palms", "hands"),
        "beat": ("gestur", "beat"),
        "clap": ("clap", "applau"),
        "thumbs_up": ("thumb",),
    }[gesture]
    for seed in range(6):
        made = make_performance(seed, frames=75, state="gesture", gesture=gesture)
        for caption in made.captions:
            assert any(word in caption.text.lower() for word in words), caption.text


@pytest.mark.parametrize("state", STATES)
def test_every_state_can_be_forced(state):
    made = make_performance(2, frames=60, state=state)
    assert [segment.state for segment in made.segments] == [state]


def test_an_unknown_split_is_told():
    with pytest.raises(ConfigError, match="unknown split 'dev'"):
        make_performance(0, split="dev")


def test_a_loose_face_does_what_it_likes_and_the_mouth_still_speaks():
    tight, loose = (make_performance(3, loose_face=value) for value in (False, True))
    np.testing.assert_array_equal(loose.visemes, tight.visemes)
    np.testing.assert_array_equal(loose.head, tight.head)
    jaw = FACE_UNITS.index("jawOpen")
    np.testing.assert_array_equal(loose.face[:, jaw], tight.face[:, jaw])
    assert loose.gaze.std(0).min() > 2

    def together(play, one, other):
        found = np.concatenate([make_performance(seed, loose_face=play).face for seed in range(20)])
        return np.corrcoef(found[:, FACE_UNITS.index(one)], found[:, FACE_UNITS.index(other)])[0, 1]

    pair = ("mouthSmileLeft", "cheekSquintLeft")
    assert together(False, *pair) > 0.9
    assert abs(together(True, *pair)) < 0.3
    found = np.concatenate([make_performance(seed, loose_face=True).face for seed in range(10)])
    assert found.min() >= 0
    assert found.max() <= 1
