import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tried import times

from kdtasks.contract.errors import DataError
from kdtasks.sensing.deepsense.camera_masks import motion_masks


def frames(seed, count=3, size=10):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size), np.uint8)


def mirrored(index, size):
    """Return the pixel seen behind the border: the picture repeats, turned over."""
    index %= 2 * size
    return index if index < size else 2 * size - 1 - index


def blurred_by_loops(picture):
    size = len(picture)
    weight = {d: math.exp(-0.5 * d * d) for d in range(-4, 5)}
    total = sum(weight.values()) ** 2
    out = np.zeros((size, size))
    for r in range(size):
        for c in range(size):
            for dr, row_weight in weight.items():
                for dc, column_weight in weight.items():
                    value = picture[mirrored(r + dr, size)][mirrored(c + dc, size)]
                    out[r, c] += row_weight * column_weight * value / total
    return out


@settings(max_examples=times(3))
@given(st.integers(0, 99))
def test_masks_are_those_of_loops_over_pixels(seed):
    pictures = frames(seed)
    smooth = [blurred_by_loops(picture / 255.0) for picture in pictures]
    for i, mask in enumerate(motion_masks(pictures)):
        change = np.abs(smooth[i + 1] - smooth[i])
        threshold = 0.1 * change.max()
        sure = np.abs(change - threshold) > 1e-5
        np.testing.assert_array_equal(mask[sure], (change > threshold)[sure])


@given(st.integers(0, 99))
def test_equal_frames_have_an_empty_mask(seed):
    (picture,) = frames(seed, count=1)
    assert not motion_masks(np.stack([picture, picture, picture])).any()


@settings(max_examples=times(30))
@given(st.integers(0, 99), st.floats(0.05, 1.0))
def test_masks_do_not_see_contrast(seed, contrast):
    pictures = (frames(seed) / 255.0).astype(np.float32)
    one, other = motion_masks(pictures), motion_masks(np.float32(contrast) * pictures)
    assert np.mean(one != other) < 0.01


def test_bytes_and_shares_of_one_are_the_same_frames():
    pictures = frames(1)
    as_shares = pictures.astype(np.float32) * np.float32(1.0 / 255.0)
    np.testing.assert_array_equal(motion_masks(pictures), motion_masks(as_shares))


def test_a_pixel_that_changes_marks_where_its_blur_is_above_a_tenth():
    pictures = np.zeros((2, 21, 21), np.uint8)
    pictures[1, 10, 10] = 255
    row, column = np.mgrid[-10:11, -10:11]
    # exp(-d^2 / 2) > 0.1 where d^2 < 2 ln 10 = 4.6.
    np.testing.assert_array_equal(motion_masks(pictures)[0], row**2 + column**2 <= 4)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_frames_have_no_mask(count):
    assert motion_masks(np.zeros((count, 8, 8), np.uint8)).shape == (0, 8, 8)


def test_coloured_frames_are_refused():
    with pytest.raises(DataError, match=r"\(2, 8, 8, 3\)"):
        motion_masks(np.zeros((2, 8, 8, 3), np.uint8))
