"""FlowAct: real-time interactive humanoid video from one portrait, streaming speech and streaming text.

import flowact
avatar = flowact.load()
for clip in avatar.stream(image, audio, "a person talks and waves"):
    ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pathlib import Path

    from flowact.stream.avatar import Avatar


def load(path: Path | str | None = None, device: str | None = None, runtime: str = "auto") -> Avatar:
    """Load an avatar model from a folder; without one, the default model that ships with the project.

    Args:
        path: the folder.
        device: "cpu" or "cuda"; the best there is by default.
        runtime: "auto" (the fastest on this machine), "openvino" or "torch".

    Raises:
        CheckpointError: the folder holds no usable model.
        ConfigError: the runtime cannot be used.
    """
    from flowact.stream.avatar import Avatar

    return Avatar.from_pretrained(path, device, runtime)
