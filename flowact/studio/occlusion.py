"""How much of the surroundings each vertex of a resting character sees: depth maps from many directions."""

from __future__ import annotations

import moderngl
import numpy as np
from numpy.typing import NDArray

from flowact.studio.character import MATERIALS, Character3D

Float = NDArray[np.float32]

DIRECTIONS = 28
MAP_PX = 192
# Opposed directions see the same depth range from both ends, so one map would do for rigid things; hair is thin.
BIAS_DM = 0.05

_VERTEX = """
#version 330
uniform mat4 view;
in vec3 position;
void main() { gl_Position = view * vec4(position, 1); }
"""
_FRAGMENT = "#version 330\nvoid main() {}\n"


class OcclusionBaker:
    """Computes ambient light per vertex with the renderer's own GL context."""

    def __init__(self, context: moderngl.Context) -> None:
        self.context = context
        self.depth = context.depth_texture((MAP_PX, MAP_PX))
        self.target = context.framebuffer(depth_attachment=self.depth)
        self.program = context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)

    def bake(self, character: Character3D) -> Float:
        """[R] share of the sky that is visible from each render vertex, in 0..1."""
        points = character.positions
        solid = character.triangles[character.material_of != MATERIALS.index("soft")]
        buffer = self.context.buffer(points.tobytes())
        index = self.context.buffer(np.ascontiguousarray(solid).tobytes())
        layout = [(buffer, "3f4", "position")]
        array = self.context.vertex_array(self.program, layout, index_buffer=index, index_element_size=4)
        centre, extent = (points.max(0) + points.min(0)) / 2, float(np.linalg.norm(np.ptp(points, axis=0))) / 2
        # The head counts most: the maps cover the upper body only.
        reach = min(extent, 4.5)
        centre[1] = points[:, 1].max() - reach * 0.75
        probe = points + character.normals * 0.04
        seen, total = np.zeros(len(points), np.float32), np.full(len(points), 1e-4, np.float32)
        for direction in _directions():
            weight = np.clip(character.normals @ direction, 0, 1)
            seen += weight * self._visible(array, probe, direction, centre, reach, extent)
            total += weight
        for resource in (array, buffer, index):
            resource.release()
        return np.asarray(seen / total, np.float32)

    def _visible(
        self, array: moderngl.VertexArray, probe: Float, direction: Float, centre: Float, reach: float, extent: float
    ) -> Float:
        side = np.cross([0.03, 0.0, 1.0] if abs(direction[1]) > 0.9 else [0.0, 1.0, 0.0], direction)
        side /= np.linalg.norm(side)
        turn = np.stack([side / reach, np.cross(direction, side) / reach, -direction / (2 * extent)])
        view = np.eye(4, dtype=np.float32)
        view[:3, :3], view[:3, 3] = turn, -turn @ centre
        self.program["view"].write(np.ascontiguousarray(view.T, np.float32).tobytes())  # type: ignore[union-attr]
        self.target.use()
        self.target.clear(depth=1.0)
        self.context.enable(moderngl.DEPTH_TEST)
        array.render(moderngl.TRIANGLES)
        depth = np.frombuffer(self.depth.read(alignment=1), np.float32).reshape(MAP_PX, MAP_PX)
        at = probe @ turn.T + view[:3, 3]
        pixel = np.clip(((at[:, :2] + 1) / 2 * MAP_PX).astype(int), 0, MAP_PX - 1)
        stored = depth[pixel[:, 1], pixel[:, 0]] * 2 - 1
        outside = (np.abs(at[:, :2]) > 1).any(1)
        return np.asarray(outside | (at[:, 2] <= stored + BIAS_DM / (2 * extent)), np.float32)


def _directions() -> Float:
    """[D, 3] unit vectors spread evenly over the sphere."""
    i = np.arange(DIRECTIONS) + 0.5
    height = 1 - 2 * i / DIRECTIONS
    around = np.pi * (1 + 5**0.5) * i
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(around), height, radius * np.sin(around)], 1).astype(np.float32)
