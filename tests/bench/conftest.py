"""A model folder that is measured in seconds instead of minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowact.stream.avatar import Avatar
from tests.stream.conftest import avatar, portrait

__all__ = ["avatar", "portrait", "tiny"]


@pytest.fixture(scope="session")
def tiny(avatar: Avatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    avatar.save_pretrained(folder)
    return folder
