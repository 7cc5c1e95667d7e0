"""Renders a character playing a performance: moderngl on EGL (a GPU, or llvmpipe on a CPU), with exact labels."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import moderngl
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from flowact.studio.character import MATERIALS, Character3D
from flowact.studio.labels import label_clip
from flowact.studio.occlusion import OcclusionBaker
from flowact.studio.performance import FACE_UNITS, Performance, RenderedClip
from flowact.studio.scene import Scene, make_scene
from flowact.studio.shaders import BACKGROUND, BACKGROUND_VERTEX, FRAGMENTS, VERTEX
from flowact.studio.skeleton import POSED, pose

Float = NDArray[np.float32]
Int = NDArray[np.int32]

STATIC_FORMAT = "3f4 2f4 4f4 4f4 4f4"
STATIC_NAMES = ("rest", "uv", "colour", "bone_index", "bone_weight")
NOISE_PX = 256
# What hides much comes first, so that hidden fragments are never shaded; blended things come last.
DRAW_ORDER = ("hair", "cloth", "skin", "eye", "teeth", "soft")
TWO_SIDED = ("hair", "cloth", "soft")


@dataclass(frozen=True)
class _Visible:
    """The part of a character that one framing can see, moving vertices first."""

    order: Int  # [N] render vertices in buffer order
    moving: int
    triangles: dict[str, Int]
    unit_columns: Int  # columns of the character's unit table for the moving vertices


class Renderer3D:
    """One GL context; draws clips one after another. Not for use from several threads."""

    def __init__(self, size: int = 256, supersample: int = 2) -> None:
        self.size = size
        self.inner = size * supersample
        self.supersample = supersample
        self.context = moderngl.create_standalone_context(backend="egl")  # type: ignore[arg-type]
        self.colour = self.context.texture((self.inner, self.inner), 3)
        self.depth = self.context.depth_texture((self.inner, self.inner))
        self.target = self.context.framebuffer([self.colour], self.depth)
        vertex = VERTEX.replace("BONES", str(len(POSED)))
        self.programs = {
            name: self.context.program(vertex_shader=vertex, fragment_shader=source)
            for name, source in FRAGMENTS.items()
        }
        self.backdrop = self.context.program(vertex_shader=BACKGROUND_VERTEX, fragment_shader=BACKGROUND)
        corners = np.asarray([[-1, -1], [3, -1], [-1, 3]], np.float32)
        self.backdrop_quad = self.context.vertex_array(self.backdrop, [(self.context.buffer(corners), "2f", "corner")])
        self.occlusion = OcclusionBaker(self.context)
        self.baked: WeakKeyDictionary[Character3D, Float] = WeakKeyDictionary()
        self.noise = self.context.texture((NOISE_PX, NOISE_PX), 4, _noise().tobytes())
        self.noise.build_mipmaps()
        # Blending between two mipmap levels costs a tenth of the frame and cannot be seen in noise.
        self.noise.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)
        self.noise.repeat_x = self.noise.repeat_y = True

    def render(
        self, character: Character3D, performance: Performance, framing_seed: int, framing: str = "bust"
    ) -> RenderedClip:
        """Draw every frame of a performance.

        Args:
            character: who performs.
            performance: what is done, F frames.
            framing_seed: fixes camera, light and background.
            framing: "face", "bust", "waist" or "full".

        Returns:
            F frames of [size, size, 3] and their labels.

        Raises:
            ConfigError: unknown framing.
        """
        scene = make_scene(character, framing_seed, framing, self.size)
        poser = pose(character.skeleton, performance)
        matrices = poser.matrices()
        weights = _unit_weights(performance)
        visible = _visible(character, scene, performance)
        units = weights @ character.units[:, visible.unit_columns]
        frames, depths = self._draw(character, scene, visible, units, matrices)
        return label_clip(character, scene, self.size, frames, depths, poser, matrices, weights)

    def _draw(
        self, character: Character3D, scene: Scene, visible: _Visible, units: Float, matrices: Float
    ) -> tuple[NDArray[np.uint8], Float]:
        """Frames [F, size, size, 3] and their depth buffers [F, size, size], the first row at the bottom."""
        dynamic = np.concatenate([character.positions, character.normals], 1)[visible.order].astype(np.float32)
        rest = dynamic[: visible.moving].copy()
        moving_buffer = self.context.buffer(dynamic.tobytes())
        arrays, resources = self._arrays(character, visible, moving_buffer, self._light(character))
        self._set_scene(character, scene)
        picture = self.context.texture(
            (self.size, self.size), 3, np.ascontiguousarray(scene.background[::-1]).tobytes()
        )
        picture.filter = (moderngl.NEAREST, moderngl.NEAREST)
        frames = np.empty((len(matrices), self.size, self.size, 3), np.uint8)
        depths = np.empty((len(matrices), self.size, self.size), np.float32)
        for f in range(len(matrices)):
            moving_buffer.write((rest + units[f].reshape(-1, 6)).tobytes())
            bones = matrices[f].reshape(-1, 4).tobytes()
            for program in self.programs.values():
                program["bones"].write(bones)  # type: ignore[union-attr]
            self._draw_frame(arrays, picture)
            raw = Image.frombytes("RGB", (self.inner, self.inner), self.target.read(components=3, alignment=1))
            frames[f] = np.asarray(raw.reduce(self.supersample) if self.supersample > 1 else raw)[::-1]
            depth = np.frombuffer(self.depth.read(alignment=1), np.float32).reshape(self.inner, self.inner)
            depths[f] = depth[:: self.supersample, :: self.supersample]
        for array in arrays.values():
            array.release()
        for buffer in (*resources, moving_buffer):
            buffer.release()
        picture.release()
        return frames, depths

    def _draw_frame(self, arrays: dict[str, moderngl.VertexArray], picture: moderngl.Texture) -> None:
        context = self.context
        self.target.use()
        self.target.clear(0, 0, 0, 1)
        context.disable(moderngl.DEPTH_TEST | moderngl.BLEND)
        picture.use(1)
        self.backdrop_quad.render(moderngl.TRIANGLES, vertices=3)
        context.enable(moderngl.DEPTH_TEST)
        self.noise.use(0)
        for name in DRAW_ORDER:
            if name not in arrays:
                continue
            # Hair cards and collars are seen from both sides; closed bodies only from outside.
            (context.disable if name in TWO_SIDED else context.enable)(moderngl.CULL_FACE)
            if name == "soft":
                context.enable(moderngl.BLEND)
            arrays[name].render(moderngl.TRIANGLES)

    def _light(self, character: Character3D) -> Float:
        """[R] ambient light of a character, baked once and kept as long as the character lives."""
        if character not in self.baked:
            seen = self.occlusion.bake(character)
            self.baked[character] = np.clip(0.25 + 0.95 * seen, 0, 1).astype(np.float32)
        return self.baked[character]

    def _arrays(
        self, character: Character3D, visible: _Visible, moving: moderngl.Buffer, light: Float
    ) -> tuple[dict[str, moderngl.VertexArray], list[moderngl.Buffer]]:
        order = visible.order
        lit = character.colour.copy()
        shaded = character.lit
        lit[shaded, 3] *= light[shaded]
        columns = (character.positions, character.uv, lit, character.bone_index, character.bone_weight)
        table = np.concatenate([np.asarray(c[order], np.float32) for c in columns], 1)
        static = self.context.buffer(np.ascontiguousarray(table, np.float32).tobytes())
        arrays, resources = {}, [static]
        for name, triangles in visible.triangles.items():
            index = self.context.buffer(triangles.astype(np.int32).tobytes())
            resources.append(index)
            program = self.programs[name]
            used = [n if n in program else None for n in STATIC_NAMES]
            parts = zip(STATIC_FORMAT.split(), used)
            layout = " ".join(form if n else f"{int(form[0]) * 4}x" for form, n in parts)
            sources = [(moving, "3f4 3f4", "position", "normal"), (static, layout, *(n for n in used if n))]
            arrays[name] = self.context.vertex_array(program, sources, index_buffer=index, index_element_size=4)
        return arrays, resources

    def _set_scene(self, character: Character3D, scene: Scene) -> None:
        values = {
            "eye": scene.eye,
            "key_direction": scene.key_direction,
            "key_colour": scene.key_colour,
            "sky": scene.sky,
            "ground": scene.ground,
            "rim_colour": scene.rim_colour,
            "camera": scene.camera.T,
            "centres": character.eye_centres,
            "freckles": np.float32(character.identity.freckles),
            "stripe": np.asarray(character.stripe, np.float32),
            "stripe_colour": character.identity.shirt_accent,
            "strand": np.asarray([14.0, 1.6], np.float32),
        }
        for program in self.programs.values():
            for name, value in values.items():
                if name in program:
                    program[name].write(np.ascontiguousarray(value, np.float32).tobytes())  # type: ignore[union-attr]
            if "noise" in program:
                program["noise"] = 0
        self.backdrop["picture"] = 1


def _unit_weights(performance: Performance) -> Float:
    """[F, U] weights in the order of UNITS; the upper lids follow the gaze up and down."""
    face = performance.face.astype(np.float32).copy()
    pitch = performance.gaze[:, 1]
    for side in ("Left", "Right"):
        blink, wide = FACE_UNITS.index(f"eyeBlink{side}"), FACE_UNITS.index(f"eyeWide{side}")
        face[:, blink] = np.clip(face[:, blink] + np.clip(-pitch / 60, 0, 0.4), 0, 1)
        face[:, wide] += np.clip(pitch / 50, 0, 0.4)
    return np.concatenate([performance.visemes, face], 1).astype(np.float32)


def _visible(character: Character3D, scene: Scene, performance: Performance) -> _Visible:
    """Drop what this framing can never show; legs below a bust, and a margin around the frame for movement."""
    pixels = scene.project(character.positions, 1)
    inside = (pixels[:, 0] > -0.35) & (pixels[:, 0] < 1.35) & (pixels[:, 1] < 1.25)
    shoulder = character.positions[:, 1] > float(character.skeleton.neck_base[1]) - 2.6
    bones = character.bone_index[:, 0]
    for side, letter in enumerate("LR"):
        if performance.hand_active[:, side].max() > 0 or inside.mean() > 0.5:
            arm = [i for i, name in enumerate(POSED) if name.endswith(f".{letter}") and name[:3] not in ("eye", "cla")]
            inside |= np.isin(bones, arm)
    inside |= shoulder & np.isin(bones, [i for i, n in enumerate(POSED) if n.startswith(("upperarm", "shoulder"))])
    keep = inside[character.triangles].any(1)
    used = np.zeros(len(inside), bool)
    used[character.triangles[keep].ravel()] = True
    moves = np.zeros(len(inside), bool)
    moves[character.moving] = True
    first, second = np.flatnonzero(used & moves), np.flatnonzero(used & ~moves)
    order = np.concatenate([first, second]).astype(np.int32)
    place = np.full(len(inside), -1, np.int32)
    place[order] = np.arange(len(order))
    groups = {}
    for i, name in enumerate(MATERIALS):
        chosen = character.triangles[keep & (character.material_of == i)]
        if len(chosen):
            groups[name] = place[chosen]
    slots = np.searchsorted(character.moving, first)
    columns = (slots[:, None] * 6 + np.arange(6)).ravel().astype(np.int32)
    return _Visible(order, len(first), groups, columns)


def _noise() -> NDArray[np.uint8]:
    """[N, N, 4] tiling noise: fine, middle, spots and broad, each spread over 0..255."""
    rng = np.random.default_rng(5)
    layers = []
    for sigma in (0.8, 2.5, 1.3, 9.0):
        layer = gaussian_filter(rng.standard_normal((NOISE_PX, NOISE_PX)), sigma, mode="wrap")
        layers.append(np.clip(layer / layer.std() * 0.2 + 0.5, 0, 1))
    return np.asarray(np.stack(layers, -1) * 255, np.uint8)
