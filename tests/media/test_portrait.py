from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowact.core.errors import ConfigError
from flowact.media import portrait as door
from flowact.media.portrait import EYE_LINE, load_portrait
from tests.media.samples import draw_face


@pytest.fixture
def face() -> Image.Image:
    return Image.fromarray(draw_face(800, 500, 500, 180, 160))


def eyes_of(box: tuple[float, float, float, float]) -> tuple[float, float]:
    """Middle of the eyes of the drawn face, from the detector's box."""
    return (box[0] + box[2]) / 2, box[1] + 0.38 * (box[3] - box[1])


def test_face_lands_where_the_model_expects_it(tmp_path: Path, face: Image.Image) -> None:
    face.save(tmp_path / "p.png")
    result = load_portrait(tmp_path / "p.png", 256)
    assert result.pixels.shape == (256, 256, 3)
    assert result.pixels.dtype == np.uint8
    assert result.source_size == (800, 500)
    assert result.notes == ()
    assert result.face_box is not None
    x, y = eyes_of(result.face_box)
    assert x == pytest.approx(128, abs=8)
    assert y == pytest.approx(256 * EYE_LINE, abs=8)
    # The iris is the darkest thing near its place: the pixels agree with the box, not only the arithmetic.
    around = result.pixels[:, :, 0][round(y) - 14 : round(y) + 14, 128 - 40 : 128 + 40]
    assert around.min() < 80


def test_framed_picture_is_not_framed_again(tmp_path: Path, face: Image.Image) -> None:
    face.save(tmp_path / "p.png")
    once = load_portrait(tmp_path / "p.png", 256)
    Image.fromarray(once.pixels).save(tmp_path / "again.png")
    assert np.array_equal(load_portrait(tmp_path / "again.png", 256).pixels, once.pixels)


def test_crop_beyond_the_border_repeats_the_border(tmp_path: Path) -> None:
    Image.fromarray(draw_face(400, 400, 200, 190, 300)).save(tmp_path / "close.png")
    result = load_portrait(tmp_path / "close.png", 128)
    assert (result.pixels[:, 0] == result.pixels[:, 3]).all()
    assert result.pixels[0].std(axis=0).max() < 60


def test_rotated_phone_picture_stands_upright(tmp_path: Path, face: Image.Image) -> None:
    face.save(tmp_path / "up.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    face.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    turned, up = load_portrait(tmp_path / "turned.png"), load_portrait(tmp_path / "up.png")
    assert turned.source_size == (800, 500)
    assert np.array_equal(turned.pixels, up.pixels)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "LA", "1"])
def test_colour_modes(tmp_path: Path, face: Image.Image, mode: str) -> None:
    path = tmp_path / ("p.tif" if mode == "CMYK" else "p.png")
    face.convert(mode).save(path)
    assert load_portrait(path, 64, "centre").pixels.shape == (64, 64, 3)


def test_sixteen_bit_grey_is_not_clipped(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 65535, 100).astype(np.uint16), (100, 1))
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    row = load_portrait(tmp_path / "deep.png", 100, "none").pixels[50, :, 0]
    assert row[50] == pytest.approx(129, abs=3)
    assert (np.diff(row.astype(int)) >= 0).all()


def test_transparency_lies_on_grey(tmp_path: Path) -> None:
    Image.new("RGBA", (80, 80), (255, 0, 0, 0)).save(tmp_path / "ghost.png")
    assert (load_portrait(tmp_path / "ghost.png", 80, "none").pixels == 128).all()


def test_animation_gives_its_first_frame_and_says_so(tmp_path: Path, face: Image.Image) -> None:
    black = Image.new("RGB", face.size)
    face.save(tmp_path / "a.gif", save_all=True, append_images=[black, Image.new("RGB", face.size, "red")])
    result = load_portrait(tmp_path / "a.gif", 64, "centre")
    assert result.pixels.mean() > 60
    assert "animated (3 frames)" in result.notes[0]


def test_two_faces_largest_wins(tmp_path: Path) -> None:
    pair = np.concatenate([draw_face(400, 400, 200, 150, 110), draw_face(400, 400, 200, 170, 150)], axis=1)
    Image.fromarray(pair).save(tmp_path / "two.png")
    result = load_portrait(tmp_path / "two.png")
    assert result.face_box is not None
    assert "several faces" in result.notes[0]


def test_small_face_is_told(tmp_path: Path) -> None:
    Image.fromarray(draw_face(320, 240, 160, 90, 30)).save(tmp_path / "far.png")
    assert "pixels wide" in load_portrait(tmp_path / "far.png").notes[0]


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces a size and holds almost nothing: a decompression bomb in small."""

    def part(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(b"\0" * 100)) + part(b"IEND", b"")


BAD = {
    "missing": (None, "does not exist"),
    "empty": (b"", "is empty"),
    "text": (b"I am a letter, not a picture.", "not a picture"),
    "huge": (png_header(12_000, 12_000), "too large"),
    "bomb": (png_header(100_000, 100_000), "too large"),
    "hollow": (png_header(500, 500), "damaged or truncated"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_file_gives_one_clear_message(tmp_path: Path, kind: str) -> None:
    content, words = BAD[kind]
    path = tmp_path / "bad.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        load_portrait(path)
    assert "bad.png" in str(caught.value)


@pytest.mark.parametrize("name", ["p.png", "p.jpg", "p.webp", "p.gif"])
def test_truncated_picture(tmp_path: Path, face: Image.Image, name: str) -> None:
    face.save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 3])
    with pytest.raises(ConfigError, match=r"damaged or truncated|not a picture"):
        load_portrait(tmp_path / name)


def test_too_small(tmp_path: Path) -> None:
    Image.new("RGB", (63, 200)).save(tmp_path / "s.png")
    with pytest.raises(ConfigError, match="63x200 pixels, too small"):
        load_portrait(tmp_path / "s.png")


def test_no_face_names_the_way_out(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "n.png")
    with pytest.raises(ConfigError, match="--crop centre"):
        load_portrait(tmp_path / "n.png")
    assert load_portrait(tmp_path / "n.png", crop="centre").face_box is None


def test_unknown_crop_and_oblong_without_crop(tmp_path: Path) -> None:
    Image.new("RGB", (100, 200)).save(tmp_path / "s.png")
    with pytest.raises(ConfigError, match="expected one of auto, centre, none"):
        load_portrait(tmp_path / "s.png", crop="middle")
    with pytest.raises(ConfigError, match="100x200, not square"):
        load_portrait(tmp_path / "s.png", crop="none")


def test_size_limit_is_below_pillows_own() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert door.LARGEST_PIXELS < Image.MAX_IMAGE_PIXELS


def test_bytes_are_read_like_a_file(tmp_path: Path) -> None:
    path = tmp_path / "face.png"
    Image.fromarray(draw_face(300, 300, 150, 120, 110)).save(path)
    assert np.array_equal(load_portrait(path.read_bytes(), 64).pixels, load_portrait(path, 64).pixels)


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_bad_bytes(data: bytes) -> None:
    with pytest.raises(ConfigError, match="portrait upload"):
        load_portrait(data)
