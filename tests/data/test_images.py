"""Images reach a model as pixels, whatever they came as."""

from __future__ import annotations

import base64
import io

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
