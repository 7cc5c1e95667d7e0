"""Graphs of small random networks in both number formats, made once for the tests of this room."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from flowact.models.video_vae.config import CloseupConfig
from flowact.models.video_vae.model import VideoVAE
from flowact.speed.backbone import FastBackbone
from flowact.speed.cache import GraphCache
from flowact.speed.codec import FastCodec
from flowact.speed.graph import Maker
from flowact.speed.runtime import Doors, Work, has_native_bf16
from flowact.stream.avatar import Avatar
from tests.stream.conftest import SIZE, avatar, portrait  # noqa: F401

PRECISIONS = [
    "f32",
    pytest.param("bf16", marks=pytest.mark.skipif(not has_native_bf16(), reason="bfloat16 would be emulated")),
]


@pytest.fixture(scope="session")
def eager(avatar: Avatar) -> Avatar:  # noqa: F811
    """The small model with flows that move the portrait and a backbone that reads: as they start, they do not."""
    moving = copy.deepcopy(avatar)
    with torch.no_grad():
        for head in (moving.codec.painter.coarse_flow, moving.codec.painter.fine_flow):
            head.weight.normal_(std=0.1)
            head.bias.normal_(std=0.5)
        for told in (moving.codec.trunk.told_16, moving.codec.trunk.told_8):
            told.tell.weight.normal_(std=0.05)
        moving.codec.teller.field.normal_(std=0.5)
        moving.codec.painter.trust.weight.normal_(std=0.1)
        moving.backbone.where_told.normal_(std=0.1)
        moving.backbone.motion_in.tell.weight.normal_(std=0.1)
    return moving


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> GraphCache:
    return GraphCache(tmp_path_factory.mktemp("graphs"))


@pytest.fixture(scope="session")
def traced() -> dict[str, object]:
    return {}


@pytest.fixture(scope="session", params=PRECISIONS)
def fast(request: pytest.FixtureRequest, eager: Avatar, cache: GraphCache, traced: dict[str, object]) -> Doors:
    maker = Maker(request.param, cache, 1, traced)
    maker.keep()
    backbone, motion = FastBackbone(eager.backbone, maker), FastBackbone(eager.networks()["motion"], maker)
    return Doors(backbone, FastCodec(eager.codec, SIZE, maker), motion)


@pytest.fixture(scope="session")
def closer(eager: Avatar) -> VideoVAE:
    """The codec of the small model with close-ups that paint."""
    torch.manual_seed(6)
    sizes = CloseupConfig(side_px=32, width_4=8, blocks_4=1, width_2=8, blocks_2=1)
    codec = VideoVAE(replace(eager.codec.config, eyes=sizes, mouth=sizes, hand=sizes)).eval()
    codec.load_state_dict({**codec.state_dict(), **eager.codec.state_dict()})
    for closeup in codec.closeups.values():
        torch.nn.init.normal_(closeup.head.weight, std=0.1)
    return codec


@pytest.fixture(scope="session")
def fast_closer(fast: Doors, closer: VideoVAE, cache: GraphCache, traced: dict[str, object]) -> FastCodec:
    return FastCodec(closer, SIZE, Maker(fast.backbone.precision, cache, 1, traced))


@pytest.fixture
def bound(request: pytest.FixtureRequest, fast: Doors) -> float:
    """Mean absolute error over mean absolute deviation that is allowed: rounding, of either number format."""
    return 0.02 if fast.backbone.precision == "bf16" else 1e-5


@pytest.fixture
def work(eager: Avatar) -> Work:
    config = eager.config
    return Work(
        eager.backbone, eager.codec, SIZE, passes=1, precision=torch.float32, slots=config.bank.size,
        motion=eager.networks()["motion"], motion_passes=2, motion_slots=config.motion_bank.size,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
