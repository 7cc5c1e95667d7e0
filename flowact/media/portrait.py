"""Any picture of a person in, the square head-and-shoulders portrait that the model was trained on out."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from flowact.core.errors import ConfigError

CROPS = ("auto", "centre", "none")

HEAD_SHARE = 0.55
"""Height of the head, crown to chin, as a share of the frame."""
EYE_LINE = 0.37
"""Distance of the eyes from the top, as a share of the frame."""

SMALLEST_SIDE = 64
LARGEST_PIXELS = 80_000_000

_DETECTOR_SIDE = 640
# The Haar box (alt2) spans 0.44 of the studio's renders, eyes at 0.35. Photographs have more chin and hair outside it,
# so they are cut a little wider, within what training shows.
_HEAD_PER_BOX = 1.4
_EYES_IN_BOX = 0.38
_BACKDROP = (128, 128, 128)


@dataclass(frozen=True)
class Portrait:
    """A portrait ready for the model.

    Attributes:
        pixels: [size, size, 3] uint8 RGB.
        source_size: width and height of the picture in the file, upright.
        face_box: x0, y0, x1, y1 of the face in `pixels`; None where no face was looked for.
        notes: what the user should know: several faces, an animation, a face that is small.
    """

    pixels: NDArray[np.uint8]
    source_size: tuple[int, int]
    face_box: tuple[float, float, float, float] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Square:
    """A crop in source pixels; it may reach beyond the picture."""

    left: float
    top: float
    side: float


def load_portrait(source: Path | str | bytes, size: int = 256, crop: str = "auto") -> Portrait:
    """Read a picture and frame it as the model knows people.

    Args:
        source: a file or the bytes of one: PNG, JPEG, WebP, GIF, TIFF, BMP ...; any size, aspect, rotation, depth;
            transparency lies on grey.
        size: side of the square portrait in pixels.
        crop: "auto" puts the face where the model expects it, "centre" takes the largest centred square,
            "none" expects a picture that is square already.

    Raises:
        ConfigError: the file is missing, empty, damaged, no picture, too small or too large, or shows no face.
    """
    if crop not in CROPS:
        raise ConfigError(f"crop is {crop!r}; expected one of {', '.join(CROPS)}")
    path = Path("upload") if isinstance(source, bytes) else Path(source)
    image, notes = _decode(path, io.BytesIO(source)) if isinstance(source, bytes) else _read(path)
    width, height = image.size
    if crop == "none" and width != height:
        raise ConfigError(
            f"portrait {path} is {width}x{height}, not square, and crop is 'none'; use crop 'auto' or 'centre'"
        )
    face = None
    square = _centre_square(width, height)
    if crop == "auto":
        face, more = _find_face(path, image)
        notes += more
        square = _frame(face, width, height)
    pixels = _cut(image, square, size)
    scale = size / square.side
    box = None
    if face is not None:
        x, y, side = (face[0] - square.left) * scale, (face[1] - square.top) * scale, face[2] * scale
        box = (x, y, x + side, y + side)
    return Portrait(pixels, (width, height), box, tuple(notes))


def _read(path: Path) -> tuple[Image.Image, list[str]]:
    if not path.is_file():
        raise ConfigError(f"portrait {path} does not exist or is not a file; give the path of a picture")
    if path.stat().st_size == 0:
        raise ConfigError(f"portrait {path} is empty (0 bytes); give a picture")
    return _decode(path, path)


def _decode(path: Path, file: Path | io.BytesIO) -> tuple[Image.Image, list[str]]:
    notes: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(file)
        with opened as image:
            _check_size(path, *image.size)
            frames = getattr(image, "n_frames", 1)
            if frames > 1:
                notes.append(f"{path.name} is animated ({frames} frames): its first frame is used")
            image.seek(0)
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image)), notes
    except Image.DecompressionBombError as error:
        raise ConfigError(
            f"portrait {path} is too large: more than {LARGEST_PIXELS:,} pixels; scale it down"
        ) from error
    except UnidentifiedImageError as error:
        raise ConfigError(f"portrait {path} is not a picture that can be read; save it as PNG or JPEG") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ConfigError(
            f"portrait {path} is damaged or truncated ({error}); save it again or take another"
        ) from error


def _check_size(path: Path, width: int, height: int) -> None:
    if min(width, height) < SMALLEST_SIDE:
        raise ConfigError(
            f"portrait {path} is {width}x{height} pixels, too small; it needs at least {SMALLEST_SIDE} on each side"
        )
    if width * height > LARGEST_PIXELS:
        raise ConfigError(
            f"portrait {path} is {width}x{height} pixels, too large; scale it below {LARGEST_PIXELS:,} pixels"
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        # Pillow clips deep grey pictures when it converts them, so they are scaled by hand.
        deep = np.asarray(image).astype(np.float64)
        top = 1.0 if image.mode == "F" and deep.max() <= 1.0 else 65535.0
        image = Image.fromarray((np.clip(deep / top, 0, 1) * 255).round().astype(np.uint8))
    if image.has_transparency_data:
        front = image.convert("RGBA")
        back = Image.new("RGBA", front.size, (*_BACKDROP, 255))
        return Image.alpha_composite(back, front).convert("RGB")
    return image.convert("RGB")


def _find_face(path: Path, image: Image.Image) -> tuple[tuple[float, float, float], list[str]]:
    """The largest face as left, top, side of the detector's square, in source pixels."""
    grey = np.asarray(image.convert("L"))
    scale = _DETECTOR_SIDE / max(grey.shape)
    grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    # A margin lets faces that touch the border be found.
    margin = _DETECTOR_SIDE // 8
    padded = cv2.copyMakeBorder(grey, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml"))
    faces = cascade.detectMultiScale(padded, scaleFactor=1.05, minNeighbors=4, minSize=(32, 32))
    if len(faces) == 0:
        raise ConfigError(
            f"no face found in {path}; use a frontal, evenly lit portrait, "
            "or keep your own framing with --crop centre (head about half the height, eyes a little above the middle)"
        )
    x, y, side, _ = max(faces, key=lambda box: box[2])
    notes = []
    if sum(box[2] > 0.5 * side for box in faces) > 1:
        notes.append(f"{path.name} shows several faces: the largest is used")
    if side / scale < 48:
        notes.append(f"the face in {path.name} is only {side / scale:.0f} pixels wide: expect a soft picture")
    return ((x - margin) / scale, (y - margin) / scale, side / scale), notes


def _centre_square(width: int, height: int) -> _Square:
    side = min(width, height)
    return _Square((width - side) / 2, (height - side) / 2, side)


def _frame(face: tuple[float, float, float], width: int, height: int) -> _Square:
    """Where to cut, so that head height and eye line are those of the training pictures."""
    left, top, box = face
    ideal = _HEAD_PER_BOX * box / HEAD_SHARE
    centre_x, eyes = left + box / 2, top + _EYES_IN_BOX * box
    whole = _centre_square(width, height)
    off_x = centre_x - (whole.left + whole.side / 2)
    off_y = eyes - (whole.top + EYE_LINE * whole.side)
    if 0.8 < ideal / whole.side < 1.35 and max(abs(off_x), abs(off_y)) < 0.08 * whole.side:
        return whole
    # A slightly larger head is better than a replicated border.
    side = max(min(ideal, whole.side), 0.75 * ideal)
    return _Square(
        _pull_inside(centre_x - side / 2, side, width),
        _pull_inside(eyes - EYE_LINE * side, side, height),
        side,
    )


def _pull_inside(start: float, side: float, limit: int) -> float:
    """Shift the crop by at most 6 % of its side to keep it within the picture."""
    wanted = min(max(start, 0.0), max(limit - side, 0.0))
    return start + float(np.clip(wanted - start, -0.06 * side, 0.06 * side))


def _cut(image: Image.Image, square: _Square, size: int) -> NDArray[np.uint8]:
    left, top, side = round(square.left), round(square.top), max(1, round(square.side))
    right, bottom = left + side, top + side
    inside = (max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height))
    cut = np.asarray(image.crop(inside))
    beyond = (inside[1] - top, bottom - inside[3], inside[0] - left, right - inside[2])
    if any(beyond):
        cut = cv2.copyMakeBorder(cut, *beyond, cv2.BORDER_REPLICATE)
    resized = Image.fromarray(cut).resize((size, size), Image.Resampling.LANCZOS)
    return np.array(resized, dtype=np.uint8)
