"""A person without an engine, for the page: a moving picture, a tone, scripted events."""

from __future__ import annotations

import asyncio
import json
import math
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiortc import RTCPeerConnection
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from numpy.typing import NDArray

SIZE, FPS, RATE = 256, 25, 48000
STATES = ["idle", "listen", "think", "react", "talk", "gesture"]
GESTURES = ["wave", "nod", "shake", "shrug", "point", "thumbs_up", "hand_to_chin", "open_palms", "beat", "clap"]
PROMPTS = {state: f"a person is in the state {state}" for state in STATES}


@dataclass
class Behaviour:
    """What the fake does wrong, and how fast it answers.

    Attributes:
        token: bearer token it asks for; None asks for nothing.
        full_times: how many sessions it refuses before it takes one.
        retry_after_s: when refused clients shall ask again.
        blocks_media: no network path is found.
        forgets: heartbeats are answered with 404.
        refuses: behaviours are not taken.
        is_deaf: WebSockets are refused.
        think_s: time before it answers a text.
        speak_s: length of its answers.
        lease_s: the lease it grants.
    """

    token: str | None = None
    full_times: int = 0
    retry_after_s: int = 4
    blocks_media: bool = False
    forgets: bool = False
    refuses: bool = False
    is_deaf: bool = False
    think_s: float = 0.4
    speak_s: float = 4.0
    lease_s: float = 6.0


class Person:
    """One fake session."""

    def __init__(self, name: str, portrait: NDArray[np.uint8], mode: str, behaviour: Behaviour) -> None:
        self.name, self.portrait, self.mode, self.behaviour = name, portrait, mode, behaviour
        self.state, self.prompt, self.epoch, self.segments = "idle", PROMPTS["idle"], 0, 0
        self.spoken_since: float | None = None
        self.heard_blocks = 0
        self.listeners: list[asyncio.Queue[str | None]] = []
        self.answering: asyncio.Task[None] | None = None
        self.call: RTCPeerConnection | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    def tell(self, kind: str, **fields: Any) -> None:
        for queue in self.listeners:
            queue.put_nowait(json.dumps({"type": kind, **fields}))

    def tell_state(self) -> None:
        self.tell("session.state", state=self.state, prompt=self.prompt, epoch=self.epoch)

    def enter(self, state: str, prompt: str | None = None) -> None:
        self.state, self.prompt = state, prompt or PROMPTS[state]
        self.tell_state()

    def start(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def receive(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind in ("input_text.submit", "speech.say"):
            self.cancel()
            if kind == "input_text.submit":
                self.tell("transcript", who="user", text=event["text"], final=True)
            answer = event["text"] if kind == "speech.say" else f'You wrote "{event["text"]}". That is good to know.'
            self.answering = self.start(self.answer(answer))
        elif kind == "response.cancel":
            self.cancel()
        elif kind == "behaviour.set" and self.behaviour.refuses:
            self.tell("error", code="unusable", message="this cannot be done", event=kind)
        elif kind == "behaviour.set":
            state = event.get("state") or ("gesture" if event.get("gesture") else "react")
            gesture = event.get("gesture")
            self.enter(state, event.get("prompt") or (f"a person makes the gesture {gesture}" if gesture else None))
        elif kind == "behaviour.clear":
            self.enter("idle")
        elif kind == "session.update":
            self.mode = event.get("mode") or self.mode
        else:
            self.tell("error", code="unknown_type", message=f'no event is called "{kind}"')

    async def answer(self, text: str) -> None:
        self.enter("think")
        await asyncio.sleep(self.behaviour.think_s)
        self.segments += 1
        self.spoken_since = time.monotonic()
        self.enter("talk")
        self.tell("speech.started", segment=f"s{self.segments}")
        words = text.split()
        for count in range(1, len(words) + 1):
            self.tell("transcript", who="avatar", text=" ".join(words[:count]), final=count == len(words))
            await asyncio.sleep(self.behaviour.speak_s / len(words))
        self.finish(interrupted=False)

    def finish(self, interrupted: bool) -> None:
        since, self.spoken_since = self.spoken_since, None
        if since is not None:
            played_s = time.monotonic() - since
            self.tell("speech.done", segment=f"s{self.segments}", played_s=played_s, interrupted=interrupted)
        self.enter("listen")

    def cancel(self) -> None:
        if self.answering is None or self.answering.done():
            return
        self.answering.cancel()
        self.epoch += 1
        self.finish(interrupted=True)

    async def report(self) -> None:
        while True:
            chunk = {"chunk_ms_p50": 214.0, "chunk_ms_p99": 301.5, "rtf": 0.446}
            stats = {**chunk, "lead_ms": 520, "held_ticks": 0, "last_reaction_ms": 310}
            self.tell("stats", stats=stats)
            await asyncio.sleep(1.0)

    def hang_up(self) -> None:
        """Close the WebSockets."""
        for queue in self.listeners:
            queue.put_nowait(None)

    async def close(self, reason: str) -> None:
        self.tell("session.closed", reason=reason)
        self.hang_up()
        for task in tuple(self.tasks):
            task.cancel()
        if self.call is not None:
            await self.call.close()


class Picture(MediaStreamTrack):
    """The portrait, swaying, with a dot that runs along the bottom."""

    kind = "video"

    def __init__(self, person: Person) -> None:
        super().__init__()
        self.person, self.index, self.start = person, 0, 0.0

    async def recv(self) -> av.VideoFrame:
        self.start = self.start or time.monotonic()
        await asyncio.sleep(max(0.0, self.start + self.index / FPS - time.monotonic()))
        if self.readyState != "live":
            raise MediaStreamError
        sway = round(5 * math.sin(self.index / 14))
        pixels = np.roll(self.person.portrait, sway, axis=1)
        at = self.index * 3 % (SIZE - 8)
        pixels[-6:, at : at + 8] = (95, 214, 195)
        frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
        frame.pts, frame.time_base = self.index, Fraction(1, FPS)
        self.index += 1
        return frame


class Voice(MediaStreamTrack):
    """Silence, and a tone while the person speaks."""

    kind = "audio"

    def __init__(self, person: Person) -> None:
        super().__init__()
        self.person, self.index, self.start = person, 0, 0.0

    async def recv(self) -> av.AudioFrame:
        self.start = self.start or time.monotonic()
        await asyncio.sleep(max(0.0, self.start + self.index / 50 - time.monotonic()))
        if self.readyState != "live":
            raise MediaStreamError
        block = RATE // 50
        t = (np.arange(block) + self.index * block) / RATE
        loud = 0.0 if self.person.spoken_since is None else 0.2
        wave = (loud * 32767 * np.sin(2 * np.pi * 220 * t)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.index * block, Fraction(1, RATE)
        self.index += 1
        return frame
