"""Images in tables: PNG or JPEG bytes in a binary column, pixels for models."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.core.errors import DataError

if TYPE_CHECKING:
    import numpy as np


def pixels(images: Sequence[Any], shape: tuple[int, ...] = ()) -> np.ndarray:
    """Return uint8 [rows, height, width, channels] of `images`, all of one size.

    Each is PNG or JPEG bytes, the same as base64 text (what JSON can carry), or pixels already.
    shape: what a row must be, when it is known. DataError for what is no image, missing, or of
    another size than the rest.
    """
    import numpy as np

    found = [_decode(image) for image in images]
    wanted = shape or (found[0].shape if found else (0, 0, 0))
    for number, one in enumerate(found):
        if one.shape != wanted:
            raise DataError(
                f"Image {number} has the shape {list(one.shape)}, not {list(wanted)}.",
                fix="bring all images to one size in `clean`",
            )
    return np.stack(found) if found else np.zeros((0, *wanted), np.uint8)


def _decode(image: Any) -> np.ndarray:
    """One image as uint8 [height, width, channels]; grey has one channel."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    if image is None:
        raise DataError("An image is missing.", fix="drop such rows by a rule in `clean`")
    if isinstance(image, str | bytes):
        try:
            content = base64.b64decode(image, validate=True) if isinstance(image, str) else image
            with Image.open(io.BytesIO(content)) as opened:
                mode = "L" if opened.mode in ("1", "L") else "RGB"
                image = np.asarray(opened.convert(mode))
        except (UnidentifiedImageError, binascii.Error, OSError) as error:
            raise DataError(f"This is no PNG or JPEG image: {error}.") from None
    array = np.asarray(image)
    if array.dtype != np.uint8:
        if array.dtype.kind not in "iu" or array.min() < 0 or array.max() > 255:
            raise DataError("Pixels are whole numbers from 0 to 255.")
        array = array.astype(np.uint8)
    return array[:, :, None] if array.ndim == 2 else array
