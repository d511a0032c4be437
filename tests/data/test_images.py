"""Images reach a model as pixels, whatever they came as."""

from __future__ import annotations

import base64
import io
import zlib

import numpy as np
import pytest
from PIL import Image

from workbench.core.errors import DataError
from workbench.data.images import pixels

PICTURE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def file_of(array: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind)
    return file.getvalue()


def test_a_png_gives_back_its_pixels_as_bytes_text_and_array() -> None:
    png = file_of(PICTURE)
    found = pixels([png, base64.b64encode(png).decode(), PICTURE, PICTURE.tolist()])
    assert found.dtype == np.uint8
    assert (found == PICTURE).all()


def test_a_jpeg_has_the_shape_of_its_picture() -> None:
    assert pixels([file_of(PICTURE, "JPEG")]).shape == (1, 5, 7, 3)


def test_a_grey_picture_has_one_channel() -> None:
    assert pixels([file_of(PICTURE[:, :, 0])]).shape == (1, 5, 7, 1)


def test_colours_with_transparency_lose_it() -> None:
    clear = np.concatenate([PICTURE, np.full((5, 7, 1), 255, np.uint8)], axis=2)
    assert (pixels([file_of(clear)])[0] == PICTURE).all()


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ([b"no image"], "no PNG or JPEG"),
        (["*no base64*"], "no PNG or JPEG"),
        ([file_of(PICTURE)[:40]], "no PNG or JPEG"),
        ([None], "missing"),
        ([PICTURE, PICTURE[:4]], r"Image 1 has the shape \[4, 7, 3\], not \[5, 7, 3\]"),
        ([PICTURE.astype(int) + 200], "from 0 to 255"),
        ([PICTURE / 255], "whole numbers"),
    ],
)
def test_what_is_no_image_of_that_size_is_refused_in_a_sentence(images: list, said: str) -> None:
    with pytest.raises(DataError, match=said):
        pixels(images)


def test_a_known_shape_is_demanded_of_the_first_image_too() -> None:
    with pytest.raises(DataError, match="Image 0"):
        pixels([PICTURE], (9, 9, 3))


@pytest.mark.parametrize("kind", ["BMP", "GIF", "TIFF", "PPM"])
def test_formats_that_are_not_promised_are_not_opened(kind: str) -> None:
    with pytest.raises(DataError, match="no PNG or JPEG"):
        pixels([file_of(PICTURE, kind)])


def test_a_file_is_measured_before_it_is_decoded() -> None:
    """The files are cut off behind their size: who decoded them would complain of that."""
    large = file_of(np.zeros((5000, 5000), np.uint8))[:60]
    with pytest.raises(DataError, match=r"Image 0 has the shape \[5000, 5000, 1\], not \[5, 7, 3"):
        pixels([large], (5, 7, 3))
    with pytest.raises(DataError, match=r"Image 1 has the shape \[5000, 5000, 1\], not \[5, 7, 3"):
        pixels([PICTURE, large])


@pytest.mark.parametrize("side", [8500, 13_000, 20_000])
def test_a_small_file_that_unfolds_to_gigabytes_is_refused(side: int) -> None:
    large = _png_head(side)
    with pytest.raises(DataError, match="too large"):
        pixels([large])
    with pytest.raises(DataError, match="too large"):
        pixels([large], (-1, -1, 1))


def test_a_side_that_may_vary_is_taken_as_it_comes() -> None:
    assert pixels([PICTURE], (-1, 7, 3)).shape == (1, 5, 7, 3)
    with pytest.raises(DataError, match="Image 0"):
        pixels([PICTURE], (-1, 8, 3))


def _png_head(side: int) -> bytes:
    """The beginning of a grey PNG of `side` x `side` pixels."""
    file = bytearray(file_of(np.zeros((2, 2), np.uint8)))
    file[16:24] = side.to_bytes(4, "big") * 2
    file[29:33] = zlib.crc32(file[12:29]).to_bytes(4, "big")
    return bytes(file)
