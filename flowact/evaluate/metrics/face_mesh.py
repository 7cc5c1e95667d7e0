"""A judge from outside: the lip gap that MediaPipe's public face mesh finds. It never saw our people."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowact.core.clock import SAMPLES_PER_FRAME
from flowact.core.errors import ConfigError

Float = NDArray[np.float32]

# Points of the mesh: middle of the inner lips, outer corners of the eyes.
_UPPER_LIP, _LOWER_LIP, _RIGHT_EYE, _LEFT_EYE = 13, 14, 33, 263


class FaceMesh:
    """Follows one face through a stream; make a new one for each stream, and close it.

    Raises:
        ConfigError: mediapipe is not installed.
    """

    def __init__(self) -> None:
        try:
            from mediapipe.python.solutions import face_mesh
        except ImportError as error:
            raise ConfigError(
                f"the face mesh needs mediapipe 0.10 ({error}); install it with: pip install 'flowact[evaluate]', "
                "or judge without it: --no-face-mesh"
            ) from error
        self._mesh: Any = face_mesh.FaceMesh(static_image_mode=False, max_num_faces=1)

    def read(self, frames: NDArray[np.uint8]) -> Float:
        """Lip gap in eye distances, [F], of frames [F, H, W, 3]; NaN where no face is found."""
        return np.asarray([self._read_frame(frame) for frame in frames], np.float32)

    def close(self) -> None:
        """Give back what the mesh holds."""
        self._mesh.close()

    def _read_frame(self, frame: NDArray[np.uint8]) -> float:
        faces = self._mesh.process(np.ascontiguousarray(frame)).multi_face_landmarks
        if not faces:
            return float("nan")
        height, width = frame.shape[:2]
        wanted = (_UPPER_LIP, _LOWER_LIP, _RIGHT_EYE, _LEFT_EYE)
        points = np.asarray([(faces[0].landmark[i].x * width, faces[0].landmark[i].y * height) for i in wanted])
        eyes = float(np.linalg.norm(points[2] - points[3]))
        return float(np.linalg.norm(points[0] - points[1])) / max(eyes, 1.0)


def loudness(audio: Float, frames: int) -> Float:
    """Root mean square of the sound during each of `frames` frames, from 16 kHz samples [S]; [frames]."""
    needed = frames * SAMPLES_PER_FRAME
    heard = np.pad(audio[:needed], (0, max(0, needed - len(audio))))
    return np.asarray(np.sqrt((heard.reshape(frames, SAMPLES_PER_FRAME) ** 2).mean(1)), np.float32)
