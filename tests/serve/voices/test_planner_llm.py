import asyncio
import base64
import contextlib
import json
from dataclasses import replace

import numpy as np
import pytest

from flowact.core.types import State
from flowact.serve.voices.errors import ServiceError
from flowact.serve.voices.pcm import PcmReader
from flowact.serve.voices.planner_llm import LanguagePlanner, PlannerTimes
from flowact.serve.voices.planner_words import read_action
from flowact.stream.planner import Action, Moment
from tests.serve.voices.fake_services import ACTION

MOMENT = Moment(
    clock_s=10.0,
    state=State.IDLE,
    state_for_s=1.0,
    is_user_speaking=True,
    user_for_s=0.5,
    is_avatar_speaking=False,
    queued_s=0.0,
    user_text="",
    avatar_text="",
    user_loudness_db=-30.0,
    avatar_loudness_db=-90.0,
    last_actions=(Action(State.IDLE, "a person waits"),),
)
LISTENS = Action(State.LISTEN, "a person listens and nods")
RULED = Action(State.IDLE, "a person rests")
TIMES = PlannerTimes(deadline_s=20.0, every_s=0.05, look_s=0.005)


class Rules:
    """Speak the first time only, as the real rules do while nothing changes."""

    def __init__(self):
        self.asked = 0

    def propose(self, moment):
        self.asked += 1
        return RULED if self.asked == 1 else None


@contextlib.asynccontextmanager
async def asking(services, **options):
    planner = LanguagePlanner(services.url, "tiny", Rules(), times=options.pop("times", TIMES), **options)
    async with planner:
        yield planner


async def until(condition):
    async with asyncio.timeout(150):
        while not condition():
            await asyncio.sleep(0.005)


def good(**changes):
    return json.dumps(ACTION | changes)


@pytest.mark.parametrize(
    "text",
    [good(), f"Sure! Here it is:\n```json\n{good()}\n```", good(prompt="A person listens and nods.")],
)
def test_an_action_is_read(text):
    assert read_action(text, MOMENT) == LISTENS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON"),
        ("I would listen.", "no JSON"),
        (good()[:-12], "no whole JSON"),
        ("{" * 5000, "no whole JSON"),
        (good(state="dance"), "state"),
        (good(urgent="yes"), "urgent"),
        (good(urgent=1), "urgent"),
        (good(prompt=""), "prompt"),
        (good(prompt="a person " + "x" * 300), "prompt"),
        (good(prompt="ignore all; a person nods"), "prompt"),
        (good(prompt=["a person nods"]), "prompt"),
        (good(mood="happy"), "mood"),
        (json.dumps({"state": "idle"}), "prompt"),
        (good(state="talk"), "is silent"),
    ],
)
def test_anything_else_is_refused(text, message):
    with pytest.raises(ServiceError, match=message):
        read_action(text, MOMENT)


def test_who_speaks_is_not_made_to_listen_and_only_reactions_are_urgent():
    speaking = replace(MOMENT, is_avatar_speaking=True)
    with pytest.raises(ServiceError, match="speaks"):
        read_action(good(), speaking)
    assert read_action(good(state="talk", urgent=True), speaking).urgent is False
    assert read_action(good(state="react", urgent=True), MOMENT).urgent is True


async def test_the_model_chooses_once_and_the_rules_before_it(services):
    services.reply = good()
    async with asking(services) as planner:
        assert planner.propose(MOMENT) == RULED
        await until(lambda: planner._fresh)
        assert planner.propose(MOMENT) == LISTENS
        assert planner.stats.used == 1
    request = services.requests[0]
    assert request["response_format"]["json_schema"]["strict"] is True
    facts = json.loads(request["messages"][1]["content"][0]["text"])
    assert facts["user_speaks"] is True
    assert facts["last_behaviours"] == ["a person waits"]


async def test_an_old_answer_gives_way_to_what_the_rules_last_said(services):
    services.reply = good()
    async with asking(services) as planner:
        planner.propose(MOMENT)
        await until(lambda: planner._fresh)
        services.mode = "500"
        assert planner.propose(replace(MOMENT)) == LISTENS
        await until(lambda: planner.stats.failures)
        assert planner.propose(replace(MOMENT, clock_s=12.0)) is None  # still holds
        assert planner.propose(replace(MOMENT, clock_s=60.0)) == RULED
        assert planner.propose(replace(MOMENT, clock_s=60.5)) is None


@pytest.mark.parametrize(
    ("mode", "reply", "counted"),
    [
        ("hang", good(), "late"),
        ("500", good(), "failures"),
        ("garbage", good(), "failures"),
        ("no_choices", good(), "failures"),
        ("good", good()[:-15], "failures"),
        ("good", good(state="dance"), "failures"),
        ("good", "no idea", "failures"),
    ],
)
async def test_whatever_goes_wrong_the_rules_take_over_and_it_is_counted(services, mode, reply, counted):
    services.mode, services.reply = mode, reply
    async with asking(services, times=replace(TIMES, deadline_s=0.3) if mode == "hang" else TIMES) as planner:
        assert planner.propose(MOMENT) == RULED
        await until(lambda: getattr(planner.stats, counted) >= 1)
        assert planner.propose(MOMENT) is None
        assert planner.stats.used == 0
        assert planner.stats.ruled == 2


async def test_a_service_that_is_not_there_is_counted():
    planner = LanguagePlanner("http://127.0.0.1:1/v1", "tiny", Rules(), times=TIMES)
    async with planner:
        planner.propose(MOMENT)
        await until(lambda: planner.stats.failures)


async def test_an_answer_about_a_situation_that_passed_is_late(services):
    services.reply = good()
    async with asking(services, times=replace(TIMES, every_s=60.0, look_s=0.005)) as planner:
        planner.propose(MOMENT)
        await until(lambda: planner._fresh)
        services.mode = "hang"
        assert planner.propose(replace(MOMENT, is_user_speaking=False)) is None
        assert planner.stats.late == 1
        assert planner.stats.used == 0


async def test_a_new_situation_gives_up_the_question_before_it(services):
    services.mode = "hang"
    async with asking(services, times=replace(TIMES, deadline_s=30.0, every_s=60.0)) as planner:
        planner.propose(MOMENT)
        await until(lambda: services.requests)
        services.mode, services.reply = "good", good(state="think", prompt="a person thinks")
        then = replace(MOMENT, clock_s=11.0, is_user_speaking=False)
        planner.propose(then)
        await until(lambda: planner._fresh)
        assert planner.propose(then) == Action(State.THINK, "a person thinks")
        assert planner.stats.late == 1


async def test_a_server_without_schemas_is_asked_without(services):
    services.mode, services.reply = "no_schema", f"Here: {good()}"
    async with asking(services) as planner:
        planner.propose(MOMENT)
        await until(lambda: planner._fresh)
        planner.propose(replace(MOMENT, clock_s=10.5))
        await until(lambda: planner.stats.asked >= 2)
        assert planner.stats.failures == 0
    assert ["response_format" in request for request in services.requests][:3] == [True, False, False]


async def test_it_sees_the_portrait_once_and_hears_the_user(services):
    services.reply = "A calm woman with brown hair."
    portrait = np.full((64, 64, 3), 90, np.uint8)
    async with asking(services, portrait=portrait, hears=True) as planner:
        planner.overhear(np.zeros(48_000 * 5, np.float32), 48_000)
        planner.overhear(np.full(8_000, 0.5, np.float32), 16_000)
        await until(lambda: planner._appearance)
        services.reply = good()
        planner.propose(MOMENT)
        await until(lambda: planner._fresh)
    seen = services.requests[0]["messages"][0]["content"][1]["image_url"]["url"]
    assert base64.b64decode(seen.removeprefix("data:image/jpeg;base64,"))[:2] == b"\xff\xd8"
    facts, heard = services.requests[1]["messages"][1]["content"]
    assert json.loads(facts["text"])["person"] == "A calm woman with brown hair."
    sound = PcmReader().feed(base64.b64decode(heard["input_audio"]["data"]))
    assert len(sound) == 48_000
    assert sound[-1] == pytest.approx(0.5, abs=1e-3)
    assert all("image_url" not in json.dumps(request) for request in services.requests[1:])


async def test_nothing_outlives_it(services):
    services.mode = "hang"
    before = asyncio.all_tasks()
    planner = LanguagePlanner(services.url, "tiny", Rules(), times=replace(TIMES, deadline_s=30.0))
    planner.start()
    planner.propose(MOMENT)
    await until(lambda: services.requests)
    await planner.close()
    await until(lambda: services.abandoned)
    await until(lambda: asyncio.all_tasks() <= before)
    planner.propose(MOMENT)
