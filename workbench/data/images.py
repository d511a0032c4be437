"""Images in tables: PNG or JPEG bytes in a binary column, pixels for models."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.core.errors import DataError

if TYPE_CHECKING:
    import numpy as np


MAX_PIXELS = 64 << 20
"""Of one image whose size is not known beforehand: a file of some KB can unfold to gigabytes."""


def pixels(images: Sequence[Any], shape: tuple[int, ...] = ()) -> np.ndarray:
    """Return uint8 [rows, height, width, channels] of `images`, all of one size.

    Each is PNG or JPEG bytes, the same as base64 text (what JSON can carry), or pixels already.
    shape: what a row must be, where it is known; -1 where it may vary between calls. DataError
    for what is no image, missing, or of another size than the rest. A file's size is compared
    before it is decoded.
    """
    import numpy as np

    found: list[np.ndarray] = []
    for number, image in enumerate(images):
        found.append(_decode(image, number, found[0].shape if found else shape))
    return np.stack(found) if found else np.zeros((0, *map(abs, shape or (0, 0, 0))), np.uint8)


def _check_shape(number: int, shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    fits = not wanted or (
        len(shape) == len(wanted)
        and all(size in (given, -1) for size, given in zip(wanted, shape, strict=True))
    )
    if not fits:
        raise DataError(
            f"Image {number} has the shape {list(shape)}, not {list(wanted)}.",
            fix="bring all images to one size in `clean`",
        )


def _decode(image: Any, number: int, wanted: tuple[int, ...]) -> np.ndarray:
    """One image as uint8 [height, width, channels]; grey has one channel."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    if image is None:
        raise DataError("An image is missing.", fix="drop such rows by a rule in `clean`")
    if isinstance(image, str | bytes):
        try:
            content = base64.b64decode(image, validate=True) if isinstance(image, str) else image
            # Pillow reads dozens of formats; the others are not promised, and some run programs.
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as opened:
                mode = "L" if opened.mode in ("1", "L") else "RGB"
                size = (opened.height, opened.width, 1 if mode == "L" else 3)
                _check_shape(number, size, wanted)
                if opened.height * opened.width > MAX_PIXELS:
                    raise DataError(f"Image {number} is too large: {size[1]} x {size[0]} pixels.")
                image = np.asarray(opened.convert(mode))
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise DataError(f"Image {number} is too large to be decoded.") from None
        # ValueError: base64 with letters that it does not have; SyntaxError: a broken PNG.
        except (UnidentifiedImageError, ValueError, OSError, SyntaxError) as error:
            raise DataError(f"This is no PNG or JPEG image: {error}.") from None
    array = np.asarray(image)
    if array.dtype != np.uint8:
        if array.dtype.kind not in "iu" or array.min() < 0 or array.max() > 255:
            raise DataError("Pixels are whole numbers from 0 to 255.")
        array = array.astype(np.uint8)
    array = array[:, :, None] if array.ndim == 2 else array
    _check_shape(number, array.shape, wanted)
    return array
