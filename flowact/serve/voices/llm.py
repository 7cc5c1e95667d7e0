"""What the avatar answers: a language model behind any OpenAI-compatible API, streamed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict

from flowact.serve.voices.client import connect, service_errors
from flowact.serve.voices.config import SYSTEM_PROMPT, VoicesConfig
from flowact.serve.voices.errors import ServiceError
from flowact.serve.voices.sentences import SentenceSplitter

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionChunk

_MOST_TOKENS = 300


class Message(TypedDict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class ChatModel(Protocol):
    """Answers. It keeps nothing between calls, so sessions may share it."""

    def answer(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        """The answer to the last turn, in sentences as they become whole.

        Raises:
            ServiceError: the model failed, was too slow or said nothing.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class OpenAIChat:
    """A chat model behind `/chat/completions`."""

    def __init__(
        self, url: str, model: str, key: str = "", prompt: str = SYSTEM_PROMPT, timeout_s: float = 20.0
    ) -> None:
        """`timeout_s` is the longest wait for the first words, and between words.

        Raises:
            ConfigError: the package `openai` is not installed.
        """
        self._url, self._model, self._prompt, self._timeout_s = url, model, prompt, timeout_s
        self._client = connect(url, key, timeout_s)

    async def answer(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        """The answer in sentences. A stream that breaks off after some words raises, but those words were given."""
        splitter, said = SentenceSplitter(), False
        with service_errors("the language model", self._url):
            async with contextlib.aclosing(self._tokens(messages)) as tokens:
                async for token in tokens:
                    for sentence in splitter.feed(token):
                        said = True
                        yield sentence
        for sentence in splitter.flush():
            said = True
            yield sentence
        if not said:
            raise ServiceError(f"the language model at {self._url} answered without words; try another model")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _tokens(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        turns: Any = [{"role": "system", "content": self._prompt}, *messages]
        async with asyncio.timeout(self._timeout_s):
            stream = await self._client.chat.completions.create(
                model=self._model, messages=turns, stream=True, max_tokens=_MOST_TOKENS
            )
        try:
            chunks: AsyncIterator[ChatCompletionChunk] = aiter(stream)
            while True:
                async with asyncio.timeout(self._timeout_s):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    return
                text = chunk.choices[0].delta.content if chunk.choices else None
                if text:
                    yield text
        finally:
            await stream.close()


def choose_chat(config: VoicesConfig) -> ChatModel | None:
    """The language model that is configured; None where typed text is read out as it is.

    Raises:
        ConfigError: it cannot be used.
    """
    if not config.llm_url:
        return None
    return OpenAIChat(config.llm_url, config.llm_model, config.llm_key, config.llm_prompt, config.llm_timeout_s)
