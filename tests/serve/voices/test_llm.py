import asyncio
import contextlib

import pytest

from flowact.serve.voices.errors import ServiceError
from flowact.serve.voices.llm import OpenAIChat

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def chat(services):
    model = OpenAIChat(services.url, "small", timeout_s=20.0)
    yield model
    await model.close()


async def collect(chat, into):
    async with contextlib.aclosing(chat.answer(HELLO)) as sentences:
        async for sentence in sentences:
            into.append(sentence)
    return into


async def test_an_answer_comes_in_sentences(services, chat):
    assert await collect(chat, []) == ["Hello there.", "How are you today?"]
    request = services.requests[0]
    assert request["stream"] is True
    assert request["model"] == "small"
    assert [turn["role"] for turn in request["messages"]] == ["system", "user"]
    assert "short" in request["messages"][0]["content"]


@pytest.mark.parametrize(
    ("mode", "said", "message"),
    [
        ("hang", [], "in time"),
        ("500", [], "out of memory"),
        ("garbage", [], "cannot be read"),
        ("broken_stream", ["Hello there."], "cannot be read"),
        ("stalled_stream", ["Hello there."], "in time"),
    ],
)
async def test_a_model_that_fails_is_told_and_its_words_are_kept(services, mode, said, message):
    services.mode = mode
    chat, got = OpenAIChat(services.url, "small", timeout_s=1.5 if message == "in time" else 20.0), []
    with pytest.raises(ServiceError, match=message):
        await collect(chat, got)
    await chat.close()
    assert got == said


async def test_an_empty_answer_is_told(services, chat):
    services.reply = ""
    with pytest.raises(ServiceError, match="without words"):
        await collect(chat, [])


async def test_a_cancelled_answer_hangs_up(services):
    services.mode = "hang"
    chat = OpenAIChat(services.url, "small", timeout_s=30)
    task = asyncio.create_task(collect(chat, []))
    while not services.requests:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10):
        while not services.abandoned:
            await asyncio.sleep(0.005)
    await chat.close()
