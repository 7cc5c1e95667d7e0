"""Contact sheets: many moments of many clips in one picture, to be looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from flowact.core.clock import FPS
from flowact.core.errors import ConfigError
from flowact.studio.dataset import iterate
from flowact.studio.performance import GESTURES, State

_CAPTION_PX = 18
_BACKGROUND, _INK, _MARK = (250, 249, 246), (40, 40, 46), (30, 160, 110)


@dataclass(frozen=True)
class Row:
    """One line of a sheet: its caption, [F, H, W, 3] uint8 pictures and, to be outlined, [F, 4] mouth boxes."""

    caption: str
    frames: NDArray[np.uint8]
    mouth_box: NDArray[np.float32]


def draw_sheet(rows: Iterable[Row], columns: int = 8, boxes: bool = False) -> Image.Image:
    """Lay out `columns` evenly spaced moments of each row under its caption; `boxes` outlines the mouth labels."""
    strips = [_strip(row, columns, boxes) for row in rows]
    if not strips:
        raise ConfigError("a contact sheet needs at least one row, got none: name shards that hold clips")
    sheet = Image.new("RGB", (max(s.width for s in strips), sum(s.height for s in strips)), _BACKGROUND)
    y = 0
    for strip in strips:
        sheet.paste(strip, (0, y))
        y += strip.height
    return sheet


def rows_from_shards(shards: Iterable[Path], limit: int) -> list[Row]:
    """The first `limit` clips of the shards."""
    rows = []
    for sample in islice(iterate(shards), limit):
        meta = sample.meta
        who = ", ".join(meta["description"].values())
        caption = f"{sample.key} {meta['split']} {meta['kind']} ({who}) {meta['voice']}: {meta['sentence']}"
        rows.append(Row(caption, sample.frames, sample.tracks["mouth_box"]))
    return rows


def rows_of_people(first: int, count: int, frames: int, size: int, assets: Path, framing: str = "bust") -> list[Row]:
    """One freshly rendered clip for each of `count` people."""
    from flowact.studio.cast import Cast

    cast, rows = Cast(size, assets), []
    for identity in range(first, first + count):
        performance, clip, about = cast.play(identity, identity, frames, framing=framing)
        who = ", ".join(about["description"].values())
        rows.append(Row(f"{identity} {about['kind']} ({who}): {performance.sentence}", clip.frames, clip.mouth_box))
    return rows


def rows_of_actions(identity: int, frames: int, size: int, assets: Path, framing: str = "bust") -> list[Row]:
    """One freshly rendered clip of one person for every state and every gesture."""
    from flowact.studio.cast import Cast

    cast, rows = Cast(size, assets), []
    for state in get_args(State):
        if state != "gesture":
            _, clip, _ = cast.play(identity, identity, frames, framing=framing, state=state, gesture="none")
            rows.append(Row(state, clip.frames, clip.mouth_box))
    for gesture in GESTURES[1:]:
        _, clip, _ = cast.play(identity, identity, frames, framing=framing, state="gesture", gesture=gesture)
        rows.append(Row(gesture, clip.frames, clip.mouth_box))
    return rows


def _strip(row: Row, columns: int, boxes: bool) -> Image.Image:
    count, height, width, _ = row.frames.shape
    strip = Image.new("RGB", (width * columns, height + _CAPTION_PX), _BACKGROUND)
    pen, font = ImageDraw.Draw(strip), ImageFont.load_default(11)
    pen.text((4, 3), row.caption, _INK, font)
    for column, frame in enumerate(np.linspace(0, count - 1, columns).round().astype(int).tolist()):
        x = column * width
        strip.paste(Image.fromarray(row.frames[frame]), (x, _CAPTION_PX))
        pen.text((x + 3, _CAPTION_PX + 2), f"{frame / FPS:.2f} s", _INK, font, stroke_width=1, stroke_fill=_BACKGROUND)
        if boxes:
            x0, y0, x1, y1 = row.mouth_box[frame].tolist()
            pen.rectangle((x + x0, _CAPTION_PX + y0, x + x1, _CAPTION_PX + y1), outline=_MARK)
    return strip
