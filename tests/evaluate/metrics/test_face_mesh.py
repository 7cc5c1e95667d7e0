import sys

import numpy as np
import pytest

from flowact.core.errors import ConfigError
from flowact.evaluate.metrics.face_mesh import FaceMesh, loudness


def test_without_mediapipe_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe.python.solutions", None)
    with pytest.raises(ConfigError, match=r"flowact\[evaluate\]"):
        FaceMesh()


def test_loudness_is_per_frame_and_silent_past_the_end():
    heard = loudness(np.full(640 * 3, 0.5, np.float32), 5)
    assert heard.tolist() == [0.5, 0.5, 0.5, 0, 0]
