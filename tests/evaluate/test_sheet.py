import numpy as np
from PIL import Image

from flowact.evaluate.sheet import write_sheet


def test_pictures_lie_in_their_row_and_column(tmp_path):
    red, blue = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    path = tmp_path / "new" / "sheet.png"
    write_sheet(path, [("one", [red, blue]), ("two", [blue])], ["0 s", "10 s"], side_px=32)
    with Image.open(path) as file:
        sheet = np.asarray(file)
    assert sheet.shape == (18 + 2 * 34, 120 + 2 * 34, 3)
    assert sheet[18 + 16, 120 + 16].tolist() == [255, 0, 0]
    assert sheet[18 + 16, 120 + 34 + 16].tolist() == [0, 0, 255]
    assert sheet[18 + 34 + 16, 120 + 16].tolist() == [0, 0, 255]
