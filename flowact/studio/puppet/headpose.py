"""Where the head is in one frame: flat drawings laid on a round head, so that a turn shows as parallax."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowact.studio.puppet.pen import Points, View, rotation

HALF_HEIGHT = 0.275
"""Half of chin to crown, in shoulder widths."""

_SURFACE = (0.26, 0.38, 0.19)
_TURN = 0.85  # a full turn would show the flat drawing from its side


@dataclass(frozen=True)
class HeadPose:
    """The head of one frame.

    Attributes:
        view: the camera.
        centre: [3] middle of the head in shoulder widths.
        turn: [3, 3] yaw and pitch of the features.
        roll: [2, 2] rotation in the picture plane alone.
        lean: sines of yaw and pitch, by which outlines shift.
        half_width: of the face, beyond which nothing on it can be seen.
    """

    view: View
    centre: Points
    turn: Points
    roll: Points
    lean: tuple[float, float]
    half_width: float

    @classmethod
    def at(cls, view: View, centre: Points, angles: tuple[float, float, float], half_width: float) -> HeadPose:
        """The pose for angles in degrees, positive to the person's left and up."""
        yaw, pitch = np.clip(angles[0] * _TURN, -48, 48), np.clip(angles[1] * _TURN, -38, 38)
        lean = (float(np.sin(np.radians(yaw))), float(np.sin(np.radians(pitch))))
        return cls(view, centre, rotation(yaw, pitch, 0.0), rotation(0, 0, angles[2])[:2, :2], lean, half_width)

    def on(self, flat: Points, lift: float = 0.0) -> Points:
        """Pixels of [N, 2] points of the face, laid on its surface and raised by `lift`."""
        a, b, depth = _SURFACE
        z = depth * np.sqrt(np.clip(1.0 - (flat[:, 0] / a) ** 2 - (flat[:, 1] / b) ** 2, 0.0, 1.0)) + lift
        turned = np.column_stack([flat, z]) @ self.turn.T
        # What would turn out of sight gathers at the outline instead.
        turned[:, 0] = np.clip(turned[:, 0], -self.half_width, self.half_width)
        return self._placed(turned[:, :2] @ self.roll.T)

    def edge(self, contour: Points) -> Points:
        """Pixels of [N, 3] contour points: a round head keeps its width in a turn, and what lies forward shifts."""
        shifted = contour[:, :2] + contour[:, 2:] * np.array(self.lean)
        return self._placed(shifted @ self.roll.T)

    def _placed(self, flat: Points) -> Points:
        points = np.column_stack([flat + self.centre[:2], np.full(len(flat), self.centre[2])])
        return self.view.pixels(points)
