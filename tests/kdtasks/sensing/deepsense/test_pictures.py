import struct
import warnings
import zlib

import numpy as np
import pytest
from deepsense_examples import write_picture
from PIL import Image

from kdtasks.contract.errors import DataError
from kdtasks.sensing.deepsense.pictures import LUMA, probe_image, read_image


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


def rotated(image, orientation):
    """Return how a picture looks upright, by the table of the EXIF standard."""
    image = image.T if orientation >= 5 else image
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image[::-1] if orientation in (3, 4, 7, 8) else image


GRAY = pixels((16, 16), seed=3)


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA", "P", "I;16", "1"])
def test_a_gray_picture_is_the_same_in_every_mode(tmp_path, mode):
    wanted = (GRAY > 127).astype(np.uint8) * 255 if mode == "1" else GRAY
    if mode == "I;16":
        image = Image.fromarray(wanted.astype(np.uint16) * 257)
    elif mode == "P":
        image = Image.fromarray(wanted).convert("RGB").quantize(256)
    else:
        image = Image.fromarray(wanted).convert(mode)
    image.save(tmp_path / "a.png")
    probe_image(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png", 16).astype(int)
    assert np.abs(read - wanted).max() <= (2 if mode == "P" else 0)


def test_sixteen_bits_are_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    Image.fromarray((ramp // 257).astype(np.uint8)).save(tmp_path / "b.png")
    found, wanted = (read_image(tmp_path / name, 32).astype(int) for name in ("a.png", "b.png"))
    assert np.abs(found - wanted).max() <= 1
    dark = np.full((16, 16), 300, np.uint16)  # nearly black, and was white
    Image.fromarray(dark).save(tmp_path / "dark.png")
    assert read_image(tmp_path / "dark.png", 16).max() == 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_pictures_are_turned_upright(tmp_path, name, orientation):
    flat = np.repeat(np.repeat(pixels((3, 2), seed=5), 8, axis=0), 8, axis=1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(flat).save(tmp_path / name, exif=exif, quality=100)
    Image.fromarray(rotated(flat, orientation)).save(tmp_path / f"upright_{name}", quality=100)
    found, wanted = (read_image(tmp_path / n, 24).astype(int) for n in (name, f"upright_{name}"))
    assert np.abs(found - wanted).max() <= 4


def test_colours_of_print_are_read(tmp_path):
    image = Image.new("RGB", (32, 32), (200, 100, 50))
    image.convert("CMYK").save(tmp_path / "a.jpg", quality=100)
    gray = np.array([200, 100, 50]) @ np.array(LUMA)
    assert np.abs(read_image(tmp_path / "a.jpg", 16) - gray).max() <= 3


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_transparent_pixels_are_a_defect_by_name(tmp_path, mode):
    rgba = np.dstack([pixels((8, 8, 3)), np.full((8, 8), 255, np.uint8)])
    rgba[0, :4, 3] = 0
    how = {}
    if mode == "P":
        image, how = Image.fromarray(rgba[..., :3]).quantize(8), {"transparency": 1}
    else:
        image = Image.fromarray(rgba).convert(mode)
    image.save(tmp_path / "a.png", **how)
    for look in (probe_image, lambda path: read_image(path, 8)):
        with pytest.raises(DataError, match=r"a\.png: \d+% of its pixels are transparent"):
            look(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_picture_that_is_cut_off_is_found_without_unpacking_whole_ones(tmp_path, name):
    path = tmp_path / name
    write_picture(path, pixels((270, 480, 3)))
    whole = path.read_bytes()
    probe_image(path)
    # What other programs write behind the end does no harm.
    path.write_bytes(whole + b"\0" * 10_000)
    probe_image(path)
    read_image(path, 16)
    for cut in (len(whole) - 200, len(whole) * 2 // 3):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match=f"{name}: not a readable JPEG or PNG"):
            probe_image(path)
        with pytest.raises(DataError, match=f"{name}: not a readable JPEG or PNG"):
            read_image(path, 16)


def test_damaged_exif_data_raise_nothing_else(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels((24, 16))).save(tmp_path / "a.jpg", exif=exif)
    whole = (tmp_path / "a.jpg").read_bytes()
    start = whole.index(b"Exif")
    for place in range(start, start + 40):
        for value in (0, 0x7F, 0xFF):
            spoilt = whole[:place] + bytes([value]) + whole[place + 1 :]
            (tmp_path / "a.jpg").write_bytes(spoilt)
            try:
                read_image(tmp_path / "a.jpg", 8)
            except DataError as error:
                assert "a.jpg" in str(error)  # noqa: PT017 - some damage is harmless
