import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowact.serve.voices.errors import ServiceError
from flowact.serve.voices.pcm import PcmReader, to_wav

TONE = (0.5 * np.sin(np.arange(1000) * 0.2)).astype(np.float32)


@given(st.lists(st.integers(1, 700), min_size=1, max_size=8), st.sampled_from(["wav", "raw", "stereo"]))
def test_sound_does_not_depend_on_the_cuts(cuts, kind):
    data = to_wav(TONE, 22_050)
    if kind == "raw":
        data = data[44:]
    if kind == "stereo":
        both = np.repeat(np.frombuffer(data[44:], "<i2"), 2).tobytes()
        data = data[:22] + b"\x02\x00" + data[24:40] + len(both).to_bytes(4, "little") + both
    reader, got, start = PcmReader(8_000), [], 0
    for cut in [*cuts, len(data)]:
        got.append(reader.feed(data[start : start + cut]))
        start += cut
    assert reader.rate_hz == (8_000 if kind == "raw" else 22_050)
    np.testing.assert_allclose(np.concatenate(got), TONE, atol=1e-4)


def test_wav_with_another_chunk_before_the_sound():
    data = to_wav(TONE, 16_000)
    data = data[:36] + b"LIST\x05\x00\x00\x00hello\x00" + data[36:]
    assert len(PcmReader().feed(data)) == len(TONE)


def test_wav_that_is_not_16_bit_is_refused():
    data = bytearray(to_wav(TONE, 16_000))
    data[34] = 24
    with pytest.raises(ServiceError, match="24 bits"):
        PcmReader().feed(bytes(data))


def test_riff_without_sound_ends():
    with pytest.raises(ServiceError, match="without sound"):
        PcmReader().feed(b"RIFF\x00\x00\x00\x00WAVEjunk\xff\xff\x00\x00" + bytes(70_000) + b"more" * 5000)
