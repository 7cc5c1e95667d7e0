"""A planner of FlowAct-R1's kind: a multimodal language model looks at the moment and chooses what the person does.

It runs beside the clock. The engine's thread only leaves the newest moment and reads the newest answer; an event
loop asks the model. Where it is silent, late or wrong, the rules choose.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import soxr
from numpy.typing import NDArray

from flowact.core.clock import SAMPLE_RATE_HZ
from flowact.serve.voices.client import connect, service_errors
from flowact.serve.voices.config import VoicesConfig
from flowact.serve.voices.errors import ServiceError
from flowact.serve.voices.pcm import to_wav
from flowact.serve.voices.planner_words import INSTRUCTIONS, describe, read_action, response_format
from flowact.stream.planner import Action, Moment, Planner

logger = logging.getLogger(__name__)

_HEARD_S = 3.0
_MOST_TOKENS = 120


@dataclass(frozen=True)
class PlannerTimes:
    """When the model is asked, and how long its answer counts, in seconds.

    Attributes:
        deadline_s: an answer that takes longer is given up.
        every_s: it is asked again after this, or at once when somebody begins or stops speaking.
        look_s: how often that is looked at.
        holds_s: an answer is used so long after it came.
    """

    deadline_s: float = 1.5
    every_s: float = 1.0
    look_s: float = 0.05
    holds_s: float = 3.0


@dataclass(frozen=True)
class PlannerStats:
    """How the model fares.

    Attributes:
        asked: questions sent.
        used: answers that became behaviour.
        late: questions given up because the deadline or the situation passed.
        failures: errors of the service, and answers that are not a valid action.
        ruled: moments in which the rules chose.
    """

    asked: int = 0
    used: int = 0
    late: int = 0
    failures: int = 0
    ruled: int = 0


@dataclass(frozen=True)
class _Answer:
    action: Action
    asked_at: Moment


class LanguagePlanner:
    """Chooses by a language model, and by rules where that does not answer. One per session.

    Enter it as an async context manager, or `start` and `close` it, in the event loop; `propose` may be called from any
    thread at any time.
    """

    def __init__(
        self,
        url: str,
        model: str,
        rules: Planner,
        key: str = "",
        portrait: NDArray[np.uint8] | None = None,
        hears: bool = False,
        times: PlannerTimes | None = None,
    ) -> None:
        """Nothing is sent before `start`.

        Args:
            url: base of an OpenAI-compatible API.
            model: its name there.
            rules: choose where the model does not.
            key: API key.
            portrait: uint8 RGB [H, W, 3]; shown once: what the model says about it goes with every question.
            hears: send the last seconds of the user's voice; the model must take `input_audio`.
            times: when to ask.

        Raises:
            ConfigError: the package `openai` is not installed.
        """
        self._url, self._model, self._rules, self._hears = url, model, rules, hears
        self._portrait, self._times = portrait, times or PlannerTimes()
        self._client = connect(url, key, self._times.deadline_s, retries=0)
        self._task: asyncio.Task[None] | None = None
        self._has_schema = True
        self._appearance = ""
        self._lock = threading.Lock()
        # Guarded by the lock.
        self._moment: Moment | None = None
        self._answer: _Answer | None = None
        self._fresh = False
        self._ruled_action: Action | None = None
        self._is_ruling = True
        self._counts = {"asked": 0, "used": 0, "late": 0, "failures": 0, "ruled": 0}
        self._heard: deque[NDArray[np.float32]] = deque()

    # -- the engine's thread ---------------------------------------------------------------------------------------

    def propose(self, moment: Moment) -> Action | None:
        """The newest answer where it still fits, else what the rules say. Never waits for the model."""
        ruled = self._rules.propose(moment)
        with self._lock:
            self._moment = moment
            self._ruled_action = ruled or self._ruled_action
            if self._fits(moment):
                assert self._answer is not None
                first, self._fresh, self._is_ruling = self._fresh, False, False
                if not first:
                    return None
                self._counts["used"] += 1
                return self._answer.action
            if self._fresh:
                self._counts["late"] += 1
            self._answer, self._fresh = None, False
            self._counts["ruled"] += 1
            # The rules keep silent while nothing changes for them; after an answer of the model they must speak.
            was_ruling, self._is_ruling = self._is_ruling, True
            return ruled if was_ruling else self._ruled_action

    def _fits(self, moment: Moment) -> bool:
        if self._answer is None:
            return False
        age_s = moment.clock_s - self._answer.asked_at.clock_s
        return age_s <= self._times.holds_s and _situation(moment) == _situation(self._answer.asked_at)

    # -- the event loop --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to ask."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop asking; from now on the rules choose."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._client.close()
        with self._lock:
            self._answer, self._fresh = None, False

    async def __aenter__(self) -> LanguagePlanner:
        self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def overhear(self, sound: NDArray[np.float32], rate: int) -> None:
        """The user's voice, mono [S] in -1..1; the last seconds are kept where the model hears."""
        if not self._hears or not len(sound):
            return
        at_16k = sound if rate == SAMPLE_RATE_HZ else soxr.resample(sound, rate, SAMPLE_RATE_HZ)
        self._heard.append(at_16k.astype(np.float32, copy=False))
        while sum(map(len, self._heard)) - len(self._heard[0]) >= _HEARD_S * SAMPLE_RATE_HZ:
            self._heard.popleft()

    @property
    def stats(self) -> PlannerStats:
        """How the model fares."""
        with self._lock:
            return PlannerStats(**self._counts)

    async def _run(self) -> None:
        """Ask, again and again; a question about a situation that has passed is given up for one about the present."""
        loop = asyncio.get_running_loop()
        if self._portrait is not None:
            await self._look_at(self._portrait)
        question: asyncio.Task[None] | None = None
        about: Moment | None = None
        asked_s = float("-inf")
        try:
            while True:
                with self._lock:
                    moment = self._moment
                if moment is not None and moment is not about:
                    has_changed = about is None or _situation(moment) != _situation(about)
                    is_asking = question is not None and not question.done()
                    if has_changed or (not is_asking and loop.time() - asked_s >= self._times.every_s):
                        if question is not None and not question.done():
                            question.cancel()
                            self._count("late")
                        question, about, asked_s = loop.create_task(self._ask(moment)), moment, loop.time()
                await asyncio.sleep(self._times.look_s)
        finally:
            if question is not None:
                question.cancel()
                await asyncio.gather(question, return_exceptions=True)

    async def _ask(self, moment: Moment) -> None:
        self._count("asked")
        try:
            async with asyncio.timeout(self._times.deadline_s):
                text = await self._complete(self._question(moment))
            action = read_action(text, moment)
        except TimeoutError:
            self._count("late")
        except ServiceError as error:
            self._count("late" if error.is_late else "failures")
            logger.info("the planner's model gave no action: %s", error)
        else:
            with self._lock:
                if self._answer is None or self._answer.asked_at.clock_s <= moment.clock_s:
                    self._answer, self._fresh = _Answer(action, moment), True

    async def _complete(self, content: Sequence[dict[str, Any]]) -> str:
        """The model's text; the schema is asked for until the server says that it knows none."""
        from openai import BadRequestError, UnprocessableEntityError

        turns: Any = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": content}]
        options: dict[str, Any] = {"model": self._model, "max_tokens": _MOST_TOKENS, "temperature": 0.7}
        with service_errors("the planner", self._url):
            if self._has_schema:
                try:
                    answer = await self._client.chat.completions.create(
                        messages=turns, response_format=response_format(), **options
                    )
                    return answer.choices[0].message.content or ""
                except (BadRequestError, UnprocessableEntityError):
                    self._has_schema = False
            answer = await self._client.chat.completions.create(messages=turns, **options)
            return answer.choices[0].message.content or ""

    async def _look_at(self, portrait: NDArray[np.uint8]) -> None:
        is_written, jpeg = cv2.imencode(".jpg", cv2.cvtColor(portrait, cv2.COLOR_RGB2BGR))
        assert is_written
        url = "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
        ask = "Describe this person's look and mood in one plain sentence of at most 20 words."
        turns: Any = [
            {
                "role": "user",
                "content": [{"type": "text", "text": ask}, {"type": "image_url", "image_url": {"url": url}}],
            }
        ]
        try:
            with service_errors("the planner", self._url):
                # Reading a picture takes longer than the usual question.
                answer = await self._client.chat.completions.create(
                    model=self._model, max_tokens=_MOST_TOKENS, messages=turns, timeout=10 * self._times.deadline_s
                )
                self._appearance = " ".join((answer.choices[0].message.content or "").split())[:200]
        except ServiceError:
            self._count("failures")

    def _question(self, moment: Moment) -> list[dict[str, Any]]:
        facts = describe(moment) | ({"person": self._appearance} if self._appearance else {})
        content: list[dict[str, Any]] = [{"type": "text", "text": json.dumps(facts)}]
        if self._hears and self._heard:
            wav = to_wav(np.concatenate(self._heard)[-round(_HEARD_S * SAMPLE_RATE_HZ) :], SAMPLE_RATE_HZ)
            sound = {"data": base64.b64encode(wav).decode(), "format": "wav"}
            content.append({"type": "input_audio", "input_audio": sound})
        return content

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1


def choose_planner(
    config: VoicesConfig, rules: Planner, portrait: NDArray[np.uint8] | None = None
) -> LanguagePlanner | None:
    """The planner of one session with a language model, if one is configured; start it in the event loop.

    Raises:
        ConfigError: the package `openai` is not installed.
    """
    if not config.planner_url:
        return None
    return LanguagePlanner(
        config.planner_url,
        config.planner_model,
        rules,
        config.planner_key,
        portrait if config.planner_sees else None,
        config.planner_hears,
        PlannerTimes(deadline_s=config.planner_deadline_s),
    )


def _situation(moment: Moment) -> tuple[bool, bool, str]:
    """What an answer is about; once it has changed, the answer is no longer of use."""
    return moment.is_user_speaking, moment.is_avatar_speaking, moment.user_text
