"""A voice bot with a face: Pipecat listens, thinks and speaks, FlowAct shows the person.

pip install 'flowact[pipecat]' 'pipecat-ai[webrtc,openai,silero,runner]'
OPENAI_API_KEY=... python examples/pipecat_bot.py      # then open the address that it prints

OPENAI_BASE_URL names any other server with the same interface (speech to text, chat, text to speech).
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.runner.types import RunnerArguments
from pipecat.runner.utils import create_transport
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.openai.stt import OpenAISTTService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.transports.base_transport import BaseTransport, TransportParams
from pipecat.workers.runner import WorkerRunner

import flowact
from flowact.core.clock import FPS
from flowact.integrations.pipecat import FlowActVideoService
from flowact.media.portrait import load_portrait
from flowact.stream.engine import Engine, leave_cores_to_engine

PORTRAIT = Path(__file__).resolve().parents[1] / "samples" / "portrait.png"


@functools.cache
def person() -> tuple[Engine, NDArray[np.uint8]]:
    """The engine, started once for all visitors, and the portrait."""
    threads = leave_cores_to_engine()
    avatar = flowact.load()
    engine = Engine(avatar, threads=threads)
    engine.start()
    return engine, load_portrait(PORTRAIT, avatar.config.size).pixels


def build(transport: BaseTransport, face: FlowActVideoService) -> Pipeline:
    """Ears, mind, voice, face; the transport at both ends."""
    server = {"api_key": os.environ["OPENAI_API_KEY"], "base_url": os.environ.get("OPENAI_BASE_URL")}
    context = LLMContext(
        [{"role": "system", "content": "You speak with a person face to face. Answer in one or two sentences."}]
    )
    words = LLMContextAggregatorPair(context, user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer()))
    return Pipeline(
        [
            transport.input(),
            OpenAISTTService(**server),
            words.user(),
            OpenAILLMService(**server),
            OpenAITTSService(**server),
            face,
            transport.output(),
            words.assistant(),
        ]
    )


async def bot(arguments: RunnerArguments) -> None:
    """Serve one visitor."""
    engine, portrait = person()
    size = portrait.shape[0]
    params = TransportParams(
        audio_in_enabled=True,
        audio_out_enabled=True,
        video_out_enabled=True,
        video_out_is_live=True,
        video_out_framerate=FPS,
        video_out_width=size,
        video_out_height=size,
    )
    transport = await create_transport(arguments, {"webrtc": lambda: params})
    face = FlowActVideoService(session=engine.open(portrait))
    worker = PipelineWorker(build(transport, face))

    @transport.event_handler("on_client_disconnected")
    async def gone(*_: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=arguments.handle_sigint)
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    from pipecat.runner.run import main

    person()
    main()
