"""What the routes work with: the parts of one server, made once and handed around."""

from __future__ import annotations

from dataclasses import dataclass

from flowact.serve.config import ServeConfig
from flowact.serve.metrics import Metrics
from flowact.serve.portraits import PortraitShelf
from flowact.serve.renders import RenderQueue
from flowact.serve.security import Guard
from flowact.serve.sessions import SessionBook
from flowact.serve.talk import Equipment
from flowact.stream.avatar import Avatar
from flowact.stream.engine import Engine


@dataclass(frozen=True)
class Services:
    """The parts of one server."""

    engine: Engine
    avatar: Avatar
    config: ServeConfig
    guard: Guard
    book: SessionBook
    portraits: PortraitShelf
    renders: RenderQueue
    metrics: Metrics
    equipment: Equipment
