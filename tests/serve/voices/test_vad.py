import subprocess
import sys
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowact.core.errors import ConfigError, ShapeError
from flowact.serve.voices.vad import (
    WINDOW,
    VadConfig,
    VoiceConfirmed,
    VoiceDetector,
    VoiceEnded,
    VoiceStarted,
    load_silero,
)

WINDOW_S = WINDOW / 16_000


def loud_is_speech(window, state):
    """A judge that can be steered: the level of the newest samples is the probability."""
    return float(window[-1]), state


def sound(*levels):
    """One value a window."""
    return np.repeat(np.array(levels, np.float32), WINDOW)


def test_onset_and_end_with_hysteresis():
    detector = VoiceDetector(loud_is_speech, VadConfig(onset_s=4 * WINDOW_S, end_s=3 * WINDOW_S, before_s=WINDOW_S))
    assert detector.hear(sound(0, 0.9, 0.9, 0.9, 0.0), 16_000) == []  # three windows are a noise
    assert detector.hear(sound(0, 0.9, 0.9, 0.4, 0.9), 16_000) == []
    assert detector.hear(sound(0.9), 16_000) == [VoiceStarted(7 * WINDOW_S)]
    assert detector.is_speaking
    assert detector.hear(sound(0.0, 0.0, 0.9, 0.0, 0.0), 16_000) == []  # a short pause does not end it
    (ended,) = detector.hear(sound(0.0), 16_000)
    assert isinstance(ended, VoiceEnded)
    assert ended.is_whole
    assert ended.at_s == pytest.approx(14 * WINDOW_S)
    assert not detector.is_speaking
    assert len(ended.sound) == 11 * WINDOW
    assert detector.hear(sound(*[0.0] * 20), 16_000) == []


def test_a_long_utterance_is_cut_and_goes_on():
    detector = VoiceDetector(loud_is_speech, VadConfig(before_s=0.0, longest_s=10 * WINDOW_S, end_s=2 * WINDOW_S))
    events = detector.hear(sound(*[0.9] * 25, 0, 0), 16_000)
    started, confirmed, *ended = events
    assert (type(started), type(confirmed)) == (VoiceStarted, VoiceConfirmed)
    assert [event.is_whole for event in ended] == [False, False, True]
    assert all(event.is_confirmed for event in ended)
    assert sum(len(event.sound) for event in ended) == 27 * WINDOW


@pytest.mark.parametrize(("windows", "is_confirmed"), [(4, False), (9, False), (10, True), (30, True)])
def test_what_is_shorter_than_300_ms_is_not_confirmed(windows, is_confirmed):
    detector = VoiceDetector(loud_is_speech)
    events = detector.hear(sound(*[0] * 5, *[0.9] * windows, *[0] * 20), 16_000)
    assert [event.at_s for event in events if isinstance(event, VoiceConfirmed)] == [15 * WINDOW_S] * is_confirmed
    assert events[-1].is_confirmed == is_confirmed


def test_pauses_do_not_count_as_speech():
    detector = VoiceDetector(loud_is_speech)
    cough = [0.9] * 4 + [0.4] * 3 + [0.9] * 3 + [0.0] * 5
    assert [type(event) for event in detector.hear(sound(*cough), 16_000)] == [VoiceStarted]
    assert [type(event) for event in detector.hear(sound(0.9, 0.9, 0.9), 16_000)] == [VoiceConfirmed]


def test_every_window_comes_with_the_end_of_the_one_before_and_the_state_goes_round():
    seen = []

    def judge(window, state):
        seen.append((window, state[0, 0, 0]))
        return 0.0, state + 1

    ramp = np.arange(3 * WINDOW, dtype=np.float32)
    VoiceDetector(judge).hear(ramp, 16_000)
    padded = np.concatenate([np.zeros(64, np.float32), ramp])
    for number, (window, state) in enumerate(seen):
        np.testing.assert_array_equal(window, padded[number * WINDOW : number * WINDOW + WINDOW + 64])
        assert state == number
    assert len(seen) == 3


def test_waiting_keeps_no_sound():
    detector = VoiceDetector(loud_is_speech)
    detector.hear(sound(*[0.0] * 2000), 16_000)
    assert sum(map(len, detector._kept)) <= 16_000


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 9_000), min_size=1, max_size=30), st.sampled_from([8_000, 16_000, 44_100, 48_000]))
def test_events_do_not_depend_on_the_pieces(pieces, rate):
    level = np.concatenate([np.zeros(rate), np.full(rate, 0.9), np.zeros(rate)]).astype(np.float32)
    whole = VoiceDetector(loud_is_speech).hear(level, rate)
    detector, got, start = VoiceDetector(loud_is_speech), [], 0
    for piece in [*pieces, len(level)]:
        got += detector.hear(level[start : start + piece], rate)
        start += piece
    assert [(type(e), e.at_s) for e in got] == [(type(e), e.at_s) for e in whole]
    assert len(whole) == 3
    np.testing.assert_allclose(got[-1].sound, whole[-1].sound, atol=1e-4)


@pytest.mark.parametrize(("bad", "rate"), [(np.zeros((2, 5), np.float32), 16_000), (np.zeros(5, np.float32), 100)])
def test_what_is_no_sound_is_refused(bad, rate):
    with pytest.raises(ShapeError, match="mono"):
        VoiceDetector(loud_is_speech).hear(bad, rate)


def test_thresholds_in_the_wrong_order_are_refused():
    with pytest.raises(ConfigError, match="silence"):
        VadConfig(speech=0.3, silence=0.5)


def test_silero_hears_speech_and_nothing_else(tmp_path):
    pytest.importorskip("onnxruntime")
    path = tmp_path / "speech.wav"
    try:
        command = ["flite", "-voice", "slt", "-t", "Good morning, how is the weather over there?", "-o", str(path)]
        subprocess.run(command, check=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("flite is not installed")
    with wave.open(str(path)) as file:
        voice = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 65536
    noise = np.random.default_rng(0).normal(0, 0.003, 16_000 + len(voice) + 24_000).astype(np.float32)
    noise[16_000 : 16_000 + len(voice)] += voice
    judge = load_silero()
    events = VoiceDetector(judge).hear(noise, 16_000)
    assert [type(event) for event in events] == [VoiceStarted, VoiceConfirmed, VoiceEnded]
    assert events[0].at_s == pytest.approx(1.0, abs=0.35)
    assert events[-1].at_s == pytest.approx(1.0 + len(voice) / 16_000, abs=0.4)
    tone = (0.3 * np.sin(np.arange(32_000) * 0.17)).astype(np.float32)
    assert VoiceDetector(judge).hear(tone, 16_000) == []


def test_loading_silero_leaves_torch_alone():
    pytest.importorskip("onnxruntime")
    code = (
        "import sys; from flowact.serve.voices.vad import load_silero; load_silero(); "
        "assert 'silero_vad' not in sys.modules and 'torchaudio' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
