"""Reflectance as numbers, and back."""

import numpy as np
import pytest

from up42_pipelines.sandbox.imagery.encoding import decode, encode

VALID = np.array([[True, True, True, False]])


def band(*values):
    return np.array([[values]], np.float32)


def test_for_analysis_numbers_are_reflectance_times_10000():
    assert encode(band(0.1234, 0, 7, 0.5), VALID, "uint16").tolist() == [[[1234, 1, 65535, 0]]]


def test_for_the_eye_the_dark_is_brightened():
    # 255 * (0.1 / 0.85) ** 0.55 = 78.6
    numbers = encode(band(0.1, 0.85, -1, 0.5), VALID, "uint8")
    assert (numbers.dtype, numbers.tolist()) == (np.uint8, [[[79, 255, 1, 0]]])


@pytest.mark.parametrize(("dtype", "largest"), [("uint8", 255), ("uint16", 10_000)])
def test_what_was_written_is_read_back(dtype, largest):
    numbers = np.arange(1, largest + 1, dtype=dtype)[None, None]
    assert np.array_equal(encode(decode(numbers), np.ones(numbers.shape[1:], bool), dtype), numbers)


def test_numbers_of_other_kinds_are_spread():
    read = decode(np.linspace(-300, 700, 1000, dtype=np.float64)[None, None])
    assert (read.min(), read.max()) == (0, pytest.approx(0.408, abs=0.01))
    assert np.isfinite(decode(np.array([[[np.nan, 1, 2, 3]]]))).all()


def test_what_is_no_data_spreads_nothing():
    heights = np.linspace(100, 200, 100)[None, None]
    holes = np.concatenate([heights, np.full((1, 1, 40), -9999), np.full((1, 1, 9), np.nan)], axis=2)
    assert np.array_equal(decode(holes, holes[0] > 0)[..., :100], decode(heights))
    assert not decode(np.full((1, 2, 2), -9999.0), np.zeros((2, 2), bool)).any()
