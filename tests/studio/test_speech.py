import subprocess

import numpy as np
import pytest

from flowact.core.clock import SAMPLE_RATE_HZ
from flowact.core.errors import ConfigError
from flowact.studio import speech
from flowact.studio.speech import HELDOUT_SPEAKER, TRAIN_SPEAKERS, Voice, draw_voice, loudness, speak

TEXT = "My mother bought a beautiful blue umbrella for seventy dollars."


@pytest.mark.parametrize("speaker", [*TRAIN_SPEAKERS, HELDOUT_SPEAKER])
@pytest.mark.parametrize("size", [1.0, 1.2])
def test_phones_are_gapless_and_lie_on_their_sounds(speaker, size):
    said = speak(TEXT, Voice(speaker, 120.0, 1.1, size))
    assert said.phones[0].start_s == 0.0
    assert said.phones[-1].end_s == pytest.approx(len(said.samples) / SAMPLE_RATE_HZ)
    for left, right in zip(said.phones, said.phones[1:]):
        assert left.end_s == right.start_s
        assert right.end_s > right.start_s
    level = loudness(said.samples)

    def mean_level(labels):
        parts = [level[int(p.start_s * 100) : int(p.end_s * 100) + 1] for p in said.phones if p.label in labels]
        return float(np.concatenate(parts).mean())

    assert mean_level({"ah", "ao", "iy", "eh", "aa", "uw"}) > 3 * mean_level({"pau"})


def test_size_keeps_the_tempo():
    plain, small = speak(TEXT, Voice("slt", 180.0)), speak(TEXT, Voice("slt", 180.0, 1.0, 1.2))
    assert small.length_s == pytest.approx(plain.length_s, rel=0.03)
    assert [p.label for p in small.phones] == [p.label for p in plain.phones]


def test_heldout_voice_is_never_drawn_for_training():
    rng = np.random.default_rng(0)
    assert {draw_voice(rng).speaker for _ in range(60)} == set(TRAIN_SPEAKERS)
    assert {draw_voice(rng, heldout=True).speaker for _ in range(20)} == {HELDOUT_SPEAKER}


def test_missing_flite_says_how_to_get_it(monkeypatch):
    def absent(*args, **kwargs):
        raise FileNotFoundError("flite")

    monkeypatch.setattr(subprocess, "run", absent)
    with pytest.raises(ConfigError, match="apt-get install flite"):
        speak(TEXT, Voice("slt", 180.0))


def test_nothing_to_say_is_an_error():
    with pytest.raises(ConfigError, match="words"):
        speak("...", Voice("slt", 180.0))


def test_loudness_has_a_hundred_values_a_second():
    assert len(speech.loudness(np.zeros(32000, np.float32))) == 200
