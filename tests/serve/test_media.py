from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from aioice import mdns
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.codecs import vpx
from aiortc.mediastreams import MediaStreamTrack

from flowact.core.types import State, Tick
from flowact.media.provenance import Provenance
from flowact.serve.bitrate import limits, set_limits
from flowact.serve.recording import Recording
from flowact.serve.tracks import MOST_WAITING, ToOutputRate, ToPackets, TrackPair
from flowact.serve.webrtc import Call, CallDoors, to_mono

TONE = np.sin(2 * np.pi * 400 * np.arange(640) / 16000).astype(np.float32)
"""16 whole waves."""


def tick(index: int, level: float = 0.0, segment: str | None = None) -> Tick:
    frame = np.full((64, 64, 3), 40 + 5 * index % 200, np.uint8)
    return Tick(index, 0, frame, TONE * np.float32(level), State.IDLE, segment, False, False)


def decoded(packets: list[av.Packet]) -> list[np.ndarray]:
    """The sound of each packet, [960] in -1..1."""
    decoder = av.CodecContext.create("libopus", "r")
    return [to_mono(block) for packet in packets for block in decoder.decode(packet)]


class Microphone(MediaStreamTrack):
    """A tone in blocks of 20 ms."""

    kind = "audio"
    blocks = 0

    async def recv(self) -> av.AudioFrame:
        await asyncio.sleep(0.02)
        wave = np.sin(2 * np.pi * 400 * np.arange(960) / 48000) * 10000
        block = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], "s16", "mono")
        block.sample_rate, block.pts, block.time_base = 48000, self.blocks * 960, Fraction(1, 48000)
        self.blocks += 1
        return block


async def some(indices: range | list[int], level: float = 0.0, pause_s: float = 0.0) -> AsyncGenerator[Tick, None]:
    for index in indices:
        yield tick(index, level)
        await asyncio.sleep(pause_s)


def test_sound_keeps_its_length_and_pitch() -> None:
    resampler, t = ToOutputRate(), np.arange(640 * 50) / 16000
    wave = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    out = np.concatenate([resampler.tick(piece) for piece in wave.reshape(-1, 640)])
    assert out.shape == (1920 * 50,)
    assert out.dtype == np.int16
    steady = out[9600:-9600].astype(float)
    spectrum = np.abs(np.fft.rfft(steady * np.hanning(len(steady))))
    assert np.argmax(spectrum) * 48000 / len(steady) == pytest.approx(440, abs=1)
    assert steady.std() / 32767 == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


def test_sound_is_a_millisecond_late() -> None:
    sound = np.zeros((10, 640), np.float32)
    sound[3, 100] = 0.9
    resampler = ToOutputRate()
    out = np.concatenate([resampler.tick(piece) for piece in sound])
    assert np.argmax(np.abs(out)) == 3 * (3 * 640 + 100) + 48


def test_sound_becomes_one_packet_of_20_ms_that_is_hardly_later() -> None:
    sound = np.zeros((20, 960), np.int16)
    sound[10:] = (9000 * np.sin(2 * np.pi * 1000 * np.arange(9600) / 48000)).astype(np.int16).reshape(10, 960)
    packets = ToPackets()
    made = [packets.encode(block, 960 * (i + 5)) for i, block in enumerate(sound)]
    assert [packet.pts for packet in made] == [960 * (i + 5) for i in range(20)]
    assert {packet.time_base for packet in made} == {Fraction(1, 48000)}
    out = np.concatenate(decoded(made))
    assert len(out) == 20 * 960
    assert 0 < np.argmax(np.abs(out) > 0.1) - 9600 < 48 * 4


async def test_speech_that_is_broken_off_falls_silent_in_the_middle_of_a_tick() -> None:
    heard = asyncio.Event()
    pair = TrackPair(lambda count: None, lambda tick: not heard.is_set() or tick.segment is None)
    asking = asyncio.create_task(pair.video.recv()), asyncio.create_task(pair.audio.recv())
    await asyncio.sleep(0)
    ticks: asyncio.Queue[Tick] = asyncio.Queue()

    async def released() -> AsyncGenerator[Tick, None]:
        while True:
            yield await ticks.get()

    feeding = asyncio.create_task(pair.feed(released()))
    for index in range(2):
        ticks.put_nowait(tick(index, 0.5, "speech"))
    _, first = await asyncio.gather(*asking)
    packets = [first, await pair.audio.recv(), await pair.audio.recv()]
    heard.set()
    packets.append(await pair.audio.recv())
    ticks.put_nowait(tick(2, 0.5))  # the engine lets it fall from full loudness
    packets += [await pair.audio.recv(), await pair.audio.recv()]
    heard.clear()
    ticks.put_nowait(tick(3, 0.5, "more"))
    packets += [await pair.audio.recv(), await pair.audio.recv()]
    begins, loud, still_loud, falls, quiet, silent, _, again = (np.abs(block) for block in decoded(packets))
    assert min(block.max() for block in (begins, loud, still_loud, again)) > 0.4
    assert falls[:240].max() > 0.2
    assert max(falls[480:].max(), quiet.max(), silent.max()) < 0.02
    feeding.cancel()
    pair.stop()


async def test_both_tracks_show_the_same_ticks() -> None:
    pair = TrackPair(lambda count: None, lambda tick: True)
    first = asyncio.create_task(pair.video.recv()), asyncio.create_task(pair.audio.recv())
    await asyncio.sleep(0)
    feeding = asyncio.create_task(pair.feed(some(range(7, 12))))
    frame, block = await asyncio.gather(*first)
    assert frame.pts * frame.time_base == block.pts * block.time_base == Fraction(7 * 40, 1000)
    second, third = await pair.audio.recv(), await pair.audio.recv()
    assert [second.pts, third.pts] == [7 * 1920 + 960, 8 * 1920]
    assert (await pair.video.recv()).pts == 8 * 3600
    await feeding
    pair.stop()


async def test_nothing_is_sent_before_both_are_asked() -> None:
    pair = TrackPair(lambda count: None, lambda tick: True)
    asking = asyncio.create_task(pair.video.recv())
    await asyncio.sleep(0)
    await pair.feed(some(range(5)))
    assert not asking.done()
    assert pair.audio.queue.empty()
    asking.cancel()


async def test_a_slow_sender_skips_on_both_tracks() -> None:
    dropped: list[int] = []
    pair = TrackPair(dropped.append, lambda tick: True)
    asking = asyncio.create_task(pair.video.recv()), asyncio.create_task(pair.audio.recv())
    await asyncio.sleep(0)
    await pair.feed(some(range(MOST_WAITING + 2)))
    frame, block = await asyncio.gather(*asking)
    assert sum(dropped) >= MOST_WAITING - 1
    assert frame.pts // 3600 == block.pts // 1920
    pictures = [pair.video.queue.get_nowait().index for _ in range(pair.video.queue.qsize())]
    sounds = [pair.audio.queue.get_nowait()[0].index for _ in range(pair.audio.queue.qsize())]
    assert pictures == sounds == [MOST_WAITING + 1]


def test_bit_rates_grow_with_the_picture() -> None:
    small, large = limits(256, 256), limits(512, 512)
    assert small[0] < small[1] < small[2]
    assert all(a < b for a, b in zip(small, large, strict=True))
    before = (vpx.MIN_BITRATE, vpx.DEFAULT_BITRATE, vpx.MAX_BITRATE)
    try:
        set_limits(512, 512)
        assert vpx.Vp8Encoder().target_bitrate == large[1]
    finally:
        vpx.MIN_BITRATE, vpx.DEFAULT_BITRATE, vpx.MAX_BITRATE = before


async def test_recording_is_the_timeline(tmp_path: Path) -> None:
    recording = Recording(64, Provenance.now("fake", 0, "0"), longest_s=60)
    recording.start(some([3, 4, 5, 8, 9], level=0.2))
    while recording.is_running:
        await asyncio.sleep(0.01)
    await recording.stop()
    assert recording.trouble is None
    with av.open(str(recording.path)) as file:
        assert sum(1 for _ in file.decode(video=0)) == 7  # two ticks were missed and stand in as repeats
    with av.open(str(recording.path)) as file:
        assert sum(f.samples for f in file.decode(audio=0)) / 48000 == pytest.approx(7 / 25, abs=0.03)
    await recording.discard()
    assert not recording.path.parent.exists()


async def test_recording_ends_by_itself() -> None:
    recording = Recording(64, Provenance.now("fake", 0, "0"), longest_s=0.2)
    recording.start(some(range(1000), pause_s=0.001))
    while recording.is_running:
        await asyncio.sleep(0.01)
    await recording.discard()


async def test_a_call_carries_pictures_sound_microphone_and_events() -> None:
    heard: list[float] = []
    replies: asyncio.Queue[str] = asyncio.Queue()
    doors = CallDoors(
        heard=lambda sound, rate: heard.append(float(np.abs(sound).max())),
        muted=lambda: None,
        joined=lambda send: send("hello"),
        received=lambda text, reply: reply(f"got {text}"),
        left=lambda send: None,
        failed=lambda code, message: pytest.fail(message),
        dropped=lambda count: None,
        audible=lambda tick: True,
    )
    call, browser = Call((), doors), RTCPeerConnection()
    browser.addTransceiver("video", direction="recvonly")
    browser.addTransceiver(Microphone(), direction="sendrecv")
    channel = browser.createDataChannel("events")
    channel.on("message", replies.put_nowait)
    channel.on("open", lambda: channel.send("hi"))
    await browser.setLocalDescription(await browser.createOffer())
    answer = await call.answer(browser.localDescription.sdp, some(range(1000), 0.3, 0.04), ice_timeout_s=20)
    await browser.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    tracks = {receiver.track.kind: receiver.track for receiver in browser.getReceivers()}
    async with asyncio.timeout(60):
        frames = [await tracks["video"].recv() for _ in range(5)]
        blocks = [await tracks["audio"].recv() for _ in range(25)]
        assert [await replies.get(), await replies.get()] == ["hello", "got hi"]
        while max(heard, default=0) < 0.1:
            await asyncio.sleep(0.02)
    assert (frames[0].width, frames[0].height) == (64, 64)
    assert np.diff([frame.pts for frame in frames]).tolist() == [3600] * 4
    assert max(np.abs(block.to_ndarray()).max() for block in blocks) > 3000
    assert call.is_connected
    await call.close()
    await call.close()
    await browser.close()


async def test_a_call_does_not_wait_for_addresses_that_nobody_can_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def resolve(self: mdns.MDnsProtocol, hostname: str, timeout: float | None = None) -> None:
        asked.append(hostname)
        await asyncio.Event().wait()

    monkeypatch.setattr(mdns.MDnsProtocol, "resolve", resolve)
    nothing = lambda *_: None  # noqa: E731
    doors = CallDoors(*[nothing] * 5, lambda code, message: pytest.fail(message), nothing, lambda tick: True)
    call, browser = Call((), doors), RTCPeerConnection()
    for kind in ("video", "audio"):
        browser.addTransceiver(kind, direction="recvonly")
    await browser.setLocalDescription(await browser.createOffer())
    offer = re.sub(r"(a=candidate:\S+ 1 udp \d+) \S+", r"\1 8d2c6a0e.local", browser.localDescription.sdp)
    assert ".local" in offer
    async with asyncio.timeout(60):
        answer = await call.answer(offer, some(range(1000), pause_s=0.04), ice_timeout_s=20)
        await browser.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await browser.getReceivers()[0].track.recv()
    assert set(asked) == {"8d2c6a0e.local"}
    await call.close()
    await browser.close()


async def test_a_microphone_that_falls_silent_is_muted_and_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowact.serve.webrtc.QUIET_S", 0.05)
    blocks: asyncio.Queue[av.AudioFrame] = asyncio.Queue()
    told: list[str] = []
    nothing = lambda *_: None  # noqa: E731
    doors = CallDoors(
        lambda sound, rate: told.append("heard"),
        lambda: told.append("muted"),
        nothing,
        nothing,
        nothing,
        nothing,
        nothing,
        lambda tick: True,
    )

    class Silent(MediaStreamTrack):
        kind = "audio"

        async def recv(self) -> av.AudioFrame:
            return await blocks.get()

    call, microphone = Call((), doors), Microphone()
    listening = asyncio.create_task(call._listen(Silent()))
    for expected in (["heard", "muted"], ["heard", "muted", "heard", "muted"]):
        blocks.put_nowait(await microphone.recv())
        async with asyncio.timeout(5):
            while told != expected:
                await asyncio.sleep(0.01)
    listening.cancel()
    await call.close()
