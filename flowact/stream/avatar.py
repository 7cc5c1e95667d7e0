"""The engine as a library: load a model, open sessions, or stream a whole clip."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowact.core.clock import SAMPLES_PER_CHUNK, SHIFT_S, chunks_for_seconds
from flowact.core.device import choose_device, choose_precision
from flowact.core.errors import CheckpointError, ConfigError
from flowact.core.types import Clip
from flowact.diffusion.guidance import ClassifierFree, EmbeddedGuidance, Guidance, NoGuidance, VoiceGuidance
from flowact.diffusion.plan import Staircase
from flowact.memory.bank import BankConfig
from flowact.models.anchor import Anchor
from flowact.models.audio.encoder import AudioEncoder
from flowact.models.lips import Lips
from flowact.models.mmdit.model import MMDiT
from flowact.models.motion_codec import MotionCodec
from flowact.models.text.encoder import TextEncoder
from flowact.models.video_vae.model import VideoVAE
from flowact.models.weights import config_from_json, config_to_json, load_model, save_model
from flowact.rollout.motion import Mover
from flowact.speed.runtime import Choice, Runtime, Work, begin_loading, choose_runtime
from flowact.stream.session import Session

DEFAULT_MODEL = Path(__file__).resolve().parents[2] / "weights" / "nano"
IDLE_SECONDS = 10.0
DEFAULT_PROMPT = "a person talks to the camera"
IDLE_PROMPT = "a person idles and looks at the camera"
_MEASURED = ("anchor", "motion_codec", "lips")
"""Parts that are kept in float32."""

Audio = NDArray[np.float32] | Iterable[NDArray[np.float32]]


@dataclass(frozen=True)
class TimedPrompt:
    """A behaviour and when it begins."""

    start_s: float
    text: str


class MotionParts(NamedTuple):
    """What moves a body: the network that imagines motion, the codec of its latents, and lips."""

    network: MMDiT
    codec: MotionCodec
    lips: Lips

    @staticmethod
    def load(folder: Path) -> MotionParts:
        """Read the parts from their folders in `folder`; CheckpointError if one is missing or damaged."""
        return MotionParts(
            load_model(MMDiT, folder / "motion"),
            load_model(MotionCodec, folder / "motion_codec"),
            load_model(Lips, folder / "lips"),
        )


@dataclass(frozen=True)
class AvatarConfig:
    """How the networks of a model folder are used together.

    Attributes:
        name: of the model.
        size: side of the square picture, in pixels.
        plan: the denoising staircase.
        bank: sizes of the memory.
        guidance: "none", "voice" (at the mouth only; two evaluations a pass), "classifier_free" (everywhere; two) or
            "embedded" (a distilled model; one).
        guidance_weight: how strongly voice and prompt are followed; 1 is plain.
        noise_scale: deviation of the noise a chunk starts from; below 1 gives calmer, cleaner pictures.
        mouth_noise_scale: the same at the mouth, where the voice says what comes.
        motion_plan: how motion is denoised, for a model with a network for it: one chunk.
        motion_bank: sizes of the memory of motion.
        motion_noise_scale: deviation of the noise that motion starts from.
        motion_guidance_weight: how strongly motion follows voice and prompt; 1 is plain, more takes two evaluations.
    """

    name: str = "flowact-nano"
    size: int = 256
    plan: Staircase = field(default_factory=Staircase)
    bank: BankConfig = field(default_factory=BankConfig)
    guidance: str = "none"
    guidance_weight: float = 1.0
    noise_scale: float = 1.0
    mouth_noise_scale: float = 1.0
    motion_plan: Staircase = field(default_factory=lambda: Staircase(chunks=1, micro_steps=6))
    motion_bank: BankConfig = field(default_factory=lambda: BankConfig(long=0, short=12))
    motion_noise_scale: float = 1.0
    motion_guidance_weight: float = 1.0

    def make_guidance(self, mouth: Tensor) -> Guidance:
        """The guidance that was asked for; `mouth` [H, W] is where mouths are, of the anchor.

        Raises:
            ConfigError: its name is not known.
        """
        if self.guidance == "none":
            return NoGuidance()
        if self.guidance == "voice":
            return VoiceGuidance(self.guidance_weight, mouth)
        if self.guidance == "classifier_free":
            return ClassifierFree(self.guidance_weight)
        if self.guidance == "embedded":
            return EmbeddedGuidance(self.guidance_weight)
        raise ConfigError(f'Guidance is "{self.guidance}"; expected "none", "voice", "classifier_free" or "embedded".')

    def make_motion_guidance(self) -> Guidance:
        """The guidance of motion."""
        is_plain = self.motion_guidance_weight == 1
        return NoGuidance() if is_plain else ClassifierFree(self.motion_guidance_weight)

    @property
    def motion_passes_per_chunk(self) -> int:
        """Evaluations of the network for motion for each chunk."""
        return self.motion_plan.micro_steps * (1 if self.motion_guidance_weight == 1 else 2)

    @property
    def passes_per_chunk(self) -> int:
        """Evaluations of the backbone for each chunk that is shown."""
        return self.plan.micro_steps * (2 if self.guidance in ("voice", "classifier_free") else 1)


class Avatar:
    """A loaded model. It holds no state of any stream, so any number of sessions may share it.

    Attributes:
        backbone, codec, mover: the doors that sessions use; `use_runtime` may put faster ones there. A model whose
            backbone is not told of motion has no mover.
        motion_dim: numbers that say what a body does in a frame; 0 without a mover.
        runtime: what computes behind these doors.
    """

    backbone: Any
    codec: Any
    mover: Any

    def __init__(
        self,
        config: AvatarConfig,
        codec: VideoVAE,
        hearing: AudioEncoder,
        text: TextEncoder,
        backbone: MMDiT,
        anchor: Anchor,
        motion: MotionParts | None,
        device: torch.device,
    ) -> None:
        self.config, self.device = config, device
        self.motion_dim = backbone.config.motion_dim
        if codec.config.motion_dim and not self.motion_dim:
            raise CheckpointError(
                "The decoder wants to be told what the body does, but the backbone comes without a network for it. "
                "Take codec and backbone from one model."
            )
        self.codec = codec.to(device).eval()
        self.hearing = hearing.to(device).eval()
        self.text = text.to(device).eval()
        self.backbone = backbone.to(device).eval()
        self.anchor = anchor.to(device).eval()
        self._networks = {
            "codec": self.codec,
            "audio": self.hearing,
            "text": self.text,
            "backbone": self.backbone,
            "anchor": self.anchor,
        }
        if motion is not None:
            parts = {"motion": motion.network, "motion_codec": motion.codec, "lips": motion.lips}
            self._networks |= {name: part.to(device).eval() for name, part in parts.items()}
        self.mover = self._mover(self._networks.get("motion"))
        self.runtime = Runtime.TORCH
        self.plan, self.guidance = config.plan, config.make_guidance(self.anchor.mouth)
        self.noise_scale = self.anchor.noise_scale(config.noise_scale, config.mouth_noise_scale)
        self.precision = choose_precision(device)
        self._read: dict[str, Tensor] = {}

    @staticmethod
    def from_pretrained(path: Path | str | None = None, device: str | None = None, runtime: str = "torch") -> Avatar:
        """Load a model folder; without one, the model that ships with the project.

        Args:
            path: the folder.
            device: "cpu" or "cuda"; the best there is by default.
            runtime: as for `use_runtime`.

        Raises:
            CheckpointError: the folder is missing, incomplete, damaged or foreign.
            ConfigError: the runtime cannot be used.
        """
        begin_loading(runtime)
        folder = Path(path) if path is not None else DEFAULT_MODEL
        index = folder / "model_index.json"
        if not index.is_file():
            raise CheckpointError(
                f"{folder} holds no FlowAct model (model_index.json is missing). "
                "Give --model a folder that save_pretrained wrote, or leave it out for the default model."
            )
        try:
            config = config_from_json(AvatarConfig, json.loads(index.read_text())["avatar"])
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{index} is damaged ({error}). Restore it from where the model came from."
            ) from error
        backbone = load_model(MMDiT, folder / "backbone")
        avatar = Avatar(
            config,
            load_model(VideoVAE, folder / "codec"),
            load_model(AudioEncoder, folder / "audio"),
            load_model(TextEncoder, folder / "text"),
            backbone,
            load_model(Anchor, folder / "anchor"),
            MotionParts.load(folder) if backbone.config.motion_dim else None,
            choose_device(device),
        )
        avatar.use_runtime(runtime)
        return avatar

    def save_pretrained(self, folder: Path | str, dtype: torch.dtype = torch.bfloat16) -> None:
        """Write a model folder in the hub's layout: an index, and config and safetensors of each network."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, module in self.networks().items():
            save_model(module, module.config, folder / name, torch.float32 if name in _MEASURED else dtype)
        index = {"library": "flowact", "avatar": config_to_json(self.config)}
        (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")

    def networks(self) -> dict[str, Any]:
        """The networks by the name of their folder."""
        return dict(self._networks)

    def use_runtime(self, name: str, again: bool = False) -> Choice:
        """Let "auto" (the fastest on this machine), "openvino" or "torch" compute the backbone and the decoder.

        The first time with some weights, graphs are made and kept (docs/speed.md). With OpenVINO, PyTorch is left one
        thread: two pools of threads on the same cores wait for each other.

        Args:
            name: what to use.
            again: measure even if it is remembered what is fastest here.

        Raises:
            ConfigError: the name is not known, or OpenVINO cannot be used here.
        """
        work = Work(
            backbone=self._networks["backbone"],
            codec=self._networks["codec"],
            size=self.config.size,
            passes=self.config.passes_per_chunk,
            precision=self.precision,
            slots=self.config.bank.size,
            motion=self._networks.get("motion"),
            motion_passes=self.config.motion_passes_per_chunk,
            motion_slots=self.config.motion_bank.size,
        )
        choice, doors = choose_runtime(work, name, self.device.type, again=again)
        self.runtime, self.backbone, self.codec = choice.runtime, doors.backbone, doors.codec
        self.mover = self._mover(doors.motion)
        if self.runtime is not Runtime.TORCH:
            torch.set_num_threads(1)
        return choice

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Inference in the number format that is fast here."""
        mixed = self.precision != torch.float32
        with torch.inference_mode(), torch.autocast(self.device.type, self.precision, enabled=mixed):
            yield

    def _mover(self, network: Any) -> Mover | None:
        if network is None:
            return None
        c = self.config
        codec, lips = self._networks["motion_codec"], self._networks["lips"]
        return Mover(network, codec, lips, c.motion_plan, c.motion_bank, c.make_motion_guidance(), c.motion_noise_scale)

    def read(self, prompt: str) -> Tensor:
        """Tokens of a behaviour prompt, [1, L, Dt]; the last few prompts are remembered."""
        if prompt not in self._read:
            if len(self._read) > 64:
                self._read.clear()
            with torch.inference_mode():
                self._read[prompt] = self.text.encode([prompt]).to(self.device).float()
        return self._read[prompt]

    def open(self, portrait: NDArray[np.uint8], seed: int = 0) -> Session:
        """Begin a stream of the person in a portrait, uint8 RGB [size, size, 3]."""
        self.check_portrait(portrait)
        return Session(self, portrait, seed)

    def check_portrait(self, portrait: NDArray[np.uint8]) -> None:
        """Refuse a portrait that is not uint8 RGB [size, size, 3] with a ConfigError."""
        size = self.config.size
        if portrait.shape != (size, size, 3) or portrait.dtype != np.uint8:
            raise ConfigError(
                f"The portrait is {portrait.dtype} {portrait.shape}; this model takes uint8 ({size}, {size}, 3). "
                f"Use flowact.media.portrait.load_portrait(path, size={size})."
            )

    def stream(
        self,
        image: NDArray[np.uint8],
        audio: Audio | None = None,
        prompt: str | list[TimedPrompt] | None = None,
        seed: int = 0,
        seconds: float | None = None,
    ) -> Iterator[Clip]:
        """Make a clip chunk by chunk, in constant memory and at constant speed.

        Args:
            image: portrait, uint8 RGB [size, size, 3].
            audio: 16 kHz mono float32, whole or in blocks; None for silence.
            prompt: a behaviour, or behaviours with times; None says what the audio suggests.
            seed: of the noise.
            seconds: length; None for that of the audio (or 10 s of silence).

        Yields:
            One `Clip` of 12 frames (0.48 s) at a time.
        """
        session = self.open(image, seed)
        script = _script(prompt, audio is not None)
        silence = np.zeros(SAMPLES_PER_CHUNK, np.float32)
        waiting: deque[NDArray[np.float32]] = deque()
        entered, shown, total = 0, 0, None
        since = time.perf_counter()
        blocks = iter(_blocks(audio, seconds))
        while total is None or shown < total:
            block = next(blocks, None)
            if block is not None:
                waiting.append(block)
            elif total is None:
                total = shown + len(waiting)
            session.hear(silence if block is None else block)
            while session.ready and (total is None or shown < total):
                done = session.generate(session.condition(prompt_at(script, entered * SHIFT_S)))
                entered += 1
                if done is not None:
                    frames, now = session.decode(done), time.perf_counter()
                    yield Clip(shown, frames, waiting.popleft(), now - since)
                    shown, since = shown + 1, time.perf_counter()


def _script(prompt: str | list[TimedPrompt] | None, speaks: bool) -> list[TimedPrompt]:
    if prompt is None:
        return [TimedPrompt(0.0, DEFAULT_PROMPT if speaks else IDLE_PROMPT)]
    if isinstance(prompt, str):
        return [TimedPrompt(0.0, prompt)]
    return sorted(prompt, key=lambda p: p.start_s)


def prompt_at(script: list[TimedPrompt], at_s: float) -> str:
    """The behaviour at the middle of the chunk that begins at `at_s`; before the first one, nothing is asked for."""
    begun = [p.text for p in script if p.start_s <= at_s + SHIFT_S / 2]
    return begun[-1] if begun else ""


def _blocks(audio: Audio | None, seconds: float | None) -> Iterator[NDArray[np.float32]]:
    """Sound in blocks of one chunk; the last is filled with silence. `seconds` cuts it or makes it longer."""
    if audio is None:
        audio, seconds = np.zeros(0, np.float32), IDLE_SECONDS if seconds is None else seconds
    limit = None if seconds is None else chunks_for_seconds(seconds)
    pieces = [audio] if isinstance(audio, np.ndarray) else audio
    whole = _regroup(pieces)
    if limit is None:
        yield from whole
    else:
        empty = itertools.repeat(np.zeros(SAMPLES_PER_CHUNK, np.float32))
        yield from itertools.islice(itertools.chain(whole, empty), limit)


def _regroup(pieces: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Pieces of any length as blocks of one chunk."""
    rest = np.zeros(0, np.float32)
    for piece in pieces:
        rest = np.concatenate((rest, piece.astype(np.float32, copy=False)))
        while len(rest) >= SAMPLES_PER_CHUNK:
            block, rest = rest[:SAMPLES_PER_CHUNK], rest[SAMPLES_PER_CHUNK:]
            yield block
    if len(rest):
        yield np.pad(rest, (0, SAMPLES_PER_CHUNK - len(rest)))
