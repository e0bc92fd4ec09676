"""Reader of the pictures of a DeepSense 6G scenario: gray, square and upright, whatever their mode.

Shape suffixes in this file: S = pixels along either side.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from kdtasks.contract.errors import DataError

MAX_PIXELS = 32 * 2**20
"""Largest picture that is unpacked [pixels]; those of the scenarios have 0.5 million."""

LUMA = (0.2125, 0.7154, 0.0721)
"""Weights of red, green and blue in a gray value, as in the released pre-processing."""

END_BYTES = 4096
"""Within which the end of a picture is looked for; some programs write behind it."""

UPRIGHT = 1
"""Orientation in EXIF data of a picture that is not turned."""

_END_MARKS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND"}


def read_image(path: Path, size: int) -> NDArray[np.uint8]:
    """Return a camera frame: bilinear resize, then gray, 0..255, shape [S, S].

    Pictures are turned upright as their EXIF data say; 16-bit gray values count in 257ths.

    Raises:
        DataError: If it is damaged, too large, or partly transparent, so that its gray values
            depend on an unknown background.
    """
    with _opened(path) as image:
        image = _plain(image, path)
        if image.size != (size, size):
            image = image.resize((size, size), Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
    if pixels.ndim == 3:
        pixels = pixels @ np.array(LUMA)
    return np.asarray(np.rint(pixels), np.uint8)


def probe_image(path: Path) -> None:
    """Raise what `read_image` would, as far as header and end of the file tell.

    Only a file whose end is missing where it should be, or that may be transparent, is unpacked.
    """
    with _opened(path) as image:
        mark = _END_MARKS[image.format or ""]
        if image.has_transparency_data or mark not in _end_of(path):
            _plain(image, path).load()


def _plain(image: Image.Image, path: Path) -> Image.Image:
    """Return a picture upright, gray (8-bit, or floats from 0 to 255) or as RGB."""
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if (alpha < 255).any():
            raise DataError(
                f"{path}: {(alpha < 255).mean():.0%} of its pixels are transparent; save it "
                "without transparency, as it is to be seen"
            )
    if image.getexif().get(ExifTags.Base.Orientation, UPRIGHT) != UPRIGHT:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        # Of 16 bits: converting would clip them at 255.
        return Image.fromarray(np.asarray(image, np.float32) / np.float32(257.0))
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            # Of bombs, to which its limit is higher than ours, and of EXIF data that do not matter.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=("JPEG", "PNG")) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DataError(
                        f"{path}: {image.width} x {image.height} pixels, more than {MAX_PIXELS}"
                    )
                yield image
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: more than {MAX_PIXELS} pixels") from error
    except Exception as error:
        raise DataError(f"{path}: not a readable JPEG or PNG picture ({error})") from error


def _end_of(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - END_BYTES, 0))
        return file.read()
