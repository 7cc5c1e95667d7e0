"""A whole engine with small random networks, shared by the tests of this room."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from flowact.core.motion import MOTION_WIDTH, motion_slice
from flowact.models.anchor import Anchor, AnchorConfig
from flowact.models.audio.config import AudioConfig
from flowact.models.audio.encoder import AudioEncoder
from flowact.models.lips import Lips, LipsConfig
from flowact.models.mmdit.config import MMDiTConfig
from flowact.models.mmdit.model import MMDiT
from flowact.models.motion_codec import MotionCodec, MotionCodecConfig
from flowact.models.text.config import TextConfig
from flowact.models.text.encoder import TextEncoder
from flowact.models.video_vae.config import VideoVAEConfig
from flowact.models.video_vae.model import VideoVAE
from flowact.stream.avatar import Avatar, AvatarConfig, MotionParts

SIZE = 64


@pytest.fixture(scope="session")
def avatar() -> Avatar:
    torch.manual_seed(0)
    codec = VideoVAEConfig(
        latent_channels=4, encoder_width_8=16, encoder_width_16=16, trunk_width=16, frame_width_8=16,
        frame_width_4=16, reference_width_8=16, reference_width_16=16, motion_dim=MOTION_WIDTH,
    )  # fmt: skip
    audio, text = AudioConfig(width=16, bottleneck=8), TextConfig(tokens=2, width=16, buckets=64)
    sizes = MMDiTConfig(
        width=48, depth=2, heads=2, dual_blocks=1, latent_channels=4, grid=SIZE // 16, patch=2,
        audio_dim=audio.features, text_dim=text.width, motion_dim=MOTION_WIDTH, sees_colours=True,
    )  # fmt: skip
    moves = replace(sizes, latent_channels=8, grid=1, patch=1, motion_dim=0, sees_colours=False)
    backbone, motion = MMDiT(sizes), MMDiT(moves)
    with torch.no_grad():
        for p in (*backbone.parameters(), *motion.parameters()):
            p.add_(0.02 * torch.randn_like(p))
    config = AvatarConfig(name="tiny", size=SIZE)
    body = MotionCodec(MotionCodecConfig(8))
    body.basis.copy_(torch.eye(body.basis.shape[1])[motion_slice("head").start :][:8])  # lips are read off the voice
    made = Avatar(
        config, VideoVAE(codec), AudioEncoder(audio), TextEncoder(text), backbone, Anchor(AnchorConfig(4, SIZE // 16)),
        MotionParts(motion, body, Lips(LipsConfig(audio.features))), torch.device("cpu"),
    )  # fmt: skip
    made.precision = torch.float32
    return made


@pytest.fixture
def portrait() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8)
