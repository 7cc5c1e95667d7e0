"""Contact sheets: pictures in rows and columns with names, to judge by eye."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

_NAME_PX, _HEAD_PX, _GAP_PX = 120, 18, 2
_PAPER, _INK = (250, 250, 250), (20, 20, 20)


def write_sheet(
    path: Path,
    rows: Sequence[tuple[str, Sequence[NDArray[np.uint8]]]],
    columns: Sequence[str],
    side_px: int = 160,
) -> None:
    """Draw a PNG.

    Args:
        path: the file to write.
        rows: name and square pictures [H, W, 3] of each row; a row may be shorter than the others.
        columns: their names.
        side_px: side of each picture on the sheet.
    """
    step = side_px + _GAP_PX
    width = _NAME_PX + step * max([len(columns), *(len(pictures) for _, pictures in rows)])
    sheet = Image.new("RGB", (width, _HEAD_PX + step * len(rows)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for c, name in enumerate(columns):
        draw.text((_NAME_PX + c * step + 3, 3), name, fill=_INK)
    for r, (name, pictures) in enumerate(rows):
        top = _HEAD_PX + r * step
        draw.text((3, top + side_px // 2), name, fill=_INK)
        for c, picture in enumerate(pictures):
            small = Image.fromarray(picture).resize((side_px, side_px), Image.Resampling.LANCZOS)
            sheet.paste(small, (_NAME_PX + c * step, top))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
