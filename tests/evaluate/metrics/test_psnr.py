import numpy as np
import pytest

from flowact.evaluate.metrics.psnr import psnr, psnr_in_box

GREY = np.full((2, 32, 32, 3), 100, np.uint8)


def test_a_known_error_has_its_known_value():
    made = GREY.copy()
    made[1] += 10
    assert psnr(made, GREY).tolist() == pytest.approx([60, 20 * np.log10(255 / 10)], abs=1e-4)


def test_only_the_box_counts():
    made = GREY.copy()
    made[:, 20:] += 50
    inside, outside = np.asarray([[0, 0, 10, 10]] * 2, float), np.asarray([[0, 20, 10, 30]] * 2, float)
    assert psnr_in_box(made, GREY, inside) == pytest.approx(60, abs=1e-4)
    assert psnr_in_box(made, GREY, outside) == pytest.approx(20 * np.log10(255 / 50), abs=1e-4)


def test_a_box_without_pixels_has_no_value():
    boxes = np.asarray([[40, 40, 60, 60], [np.nan] * 4], float)
    assert np.isnan(psnr_in_box(GREY, GREY, boxes)).all()
