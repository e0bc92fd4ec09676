import struct
import warnings
import zlib

import numpy as np
import pytest
from deepsense_examples import write_picture
from PIL import Image

from kdtasks.errors import DataError
from kdtasks.scenarios.deepsense_files import LUMA, probe_image, read_image


def pixels(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def resized(image, size):
    """Bilinear resize of Pillow by its definition: a triangle as wide as the scale."""

    def weights(count):
        scale = count / size
        centre = (np.arange(size) + 0.5) * scale
        apart = np.abs(np.arange(count) + 0.5 - centre[:, None]) / max(scale, 1.0)
        weight = np.maximum(1.0 - apart, 0.0)
        return weight / weight.sum(axis=1, keepdims=True)

    rows, columns = weights(image.shape[0]), weights(image.shape[1])
    return np.einsum("tj,sjc->stc", columns, np.tensordot(rows, image, 1))


@pytest.mark.parametrize("size", [16, 40])
def test_a_picture_is_made_gray_and_small_by_the_formula(tmp_path, size):
    image = pixels((54, 96, 3))
    write_picture(tmp_path / "a.png", image)
    wanted = resized(image.astype(float), size) @ np.array(LUMA)
    read = read_image(tmp_path / "a.png", size)
    assert read.dtype == np.uint8
    assert read.shape == (size, size)
    assert np.abs(read - wanted).max() <= 1.6  # two roundings


def test_gray_pictures_of_the_right_size_stay_as_they_are(tmp_path):
    image = pixels((16, 16))
    write_picture(tmp_path / "a.png", image)
    write_picture(tmp_path / "b.png", np.repeat(image[..., None], 3, axis=2))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", 16), image)
    np.testing.assert_array_equal(read_image(tmp_path / "b.png", 16), image)


def test_a_frame_of_the_real_size(tmp_path):
    smooth = np.add.outer(np.linspace(0, 200, 540), np.linspace(0, 55, 960)).astype(np.uint8)
    write_picture(tmp_path / "image_BS2_39159_17_52_41.jpg", np.stack([smooth] * 3, axis=2))
    read = read_image(tmp_path / "image_BS2_39159_17_52_41.jpg", 64).astype(float)
    wanted = resized(smooth[..., None].astype(float), 64)[..., 0]
    assert np.abs(read - wanted).max() < 3.0


def huge_png(side):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [6_000, 10_000, 60_000])
def test_a_picture_that_would_fill_the_memory_is_refused_unopened(tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(huge_png(side))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for look in (probe_image, lambda path: read_image(path, 64)):
            with pytest.raises(DataError, match=r"bomb\.png: .*more than \d+"):
                look(tmp_path / "bomb.png")


def test_damaged_pictures_are_refused_and_never_raise_anything_else(tmp_path):
    for name in ("a.jpg", "a.png"):
        write_picture(tmp_path / name, pixels((54, 96, 3)))
        whole = (tmp_path / name).read_bytes()
        rng = np.random.default_rng(0)
        cut = [whole[:length] for length in (0, 3, 100, len(whole) // 2)]
        for damaged in cut:
            (tmp_path / name).write_bytes(damaged)
            with pytest.raises(DataError, match=f"{name}: not a readable"):
                read_image(tmp_path / name, 32)
        for place in rng.integers(0, len(whole), 80):
            (tmp_path / name).write_bytes(whole[:place] + b"\xff\x13" + whole[place + 2 :])
            try:
                read_image(tmp_path / name, 32)
            except DataError as error:
                assert name in str(error)  # noqa: PT017 - some damage is harmless


def test_other_picture_formats_are_not_even_tried(tmp_path):
    Image.fromarray(pixels((8, 8))).save(tmp_path / "a.tiff")
    (tmp_path / "a.tiff").rename(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="not a readable JPEG or PNG"):
        read_image(tmp_path / "a.jpg", 8)
