"""Tensors as bytes: the binary extension of the Open Inference Protocol, version 2.

A body is a head of JSON, whose length a header states, and then the bytes of the tensors, little
endian, in the order in which the head names them. Numbers are read where they lie, without a copy;
an image in this form costs a third of what it costs as JSON.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from workbench.core.errors import DataError
from workbench.serving.protocols.tensors import (
    InferInput,
    InferRequest,
    decode_infer,
    decoded,
    described,
    response_head,
)
from workbench.serving.request import Headers, Reply, encode
from workbench.serving.service import Answered, check_rows
from workbench.serving.session import Outputs

HEAD_LENGTH = b"inference-header-content-length"
MEDIA = b"application/octet-stream"
FEW = 64
"""Numbers up to which a list is used: it is answered in one batch with requests in JSON."""

_NUMPY = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8", "INT32": "<i4", "UINT8": "u1", "BOOL": "u1"}
_LARGEST = float(np.finfo(np.float32).max)


def decoded_with_bytes(body: bytes, length: bytes) -> InferRequest:
    """Decode a body whose JSON is `length` bytes long; DataError says what does not fit."""
    if not re.fullmatch(rb"[0-9]{1,10}", length) or int(length) > len(body):
        raise DataError(
            "Inference-Header-Content-Length must be the number of bytes of the JSON before the "
            f"tensors, at most {len(body)} here, got '{length[:20].decode('latin-1')}'."
        )
    asked = decoded(body[: int(length)], decode_infer)
    check_rows(max((tensor.shape[0] for tensor in asked.inputs if tensor.shape), default=0))
    rest, at = memoryview(body)[int(length) :], 0
    for tensor in asked.inputs:
        size = (tensor.parameters or {}).get("binary_data_size")
        if size is None:
            continue
        if tensor.data is not None:
            raise DataError(f"Input '{tensor.name[:80]}' has both `data` and `binary_data_size`.")
        if type(size) is not int or not 0 <= size <= len(rest) - at:
            raise DataError(
                f"Input '{tensor.name[:80]}' must have a binary_data_size of at most the "
                f"{len(rest) - at} bytes that are left, got {str(size)[:20]}."
            )
        values: Any = _values(tensor, rest[at : at + size])
        tensor.data, at = values, at + size
    if at != len(rest):
        raise DataError(f"{len(rest) - at} bytes follow the last tensor.")
    return asked


def wanted(asked: InferRequest, outputs: Outputs) -> frozenset[str]:
    """Names of the outputs that are to come as bytes."""
    all_of_them = (asked.parameters or {}).get("binary_data_output") is True
    if not asked.outputs:
        return frozenset(outputs) if all_of_them else frozenset()
    return frozenset(
        output.name
        for output in asked.outputs
        if (output.parameters or {}).get("binary_data", all_of_them) is True
    )


def reply(
    asked: InferRequest, answer: Answered, as_bytes: frozenset[str], headers: Headers
) -> Reply:
    """The answer with the outputs `as_bytes` after the JSON."""
    described_all: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for name in [output.name for output in asked.outputs or ()] or answer.outputs:
        values = answer.outputs[name]
        one = described(name, values)
        if name in as_bytes:
            parts.append(_raw(values))
            one["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            one["data"] = values.ravel().tolist()
        described_all.append(one)
    head = encode(response_head(asked, answer, described_all))
    return Reply(
        b"".join([head, *parts]),
        headers=(*headers, (HEAD_LENGTH, b"%d" % len(head))),
        media=MEDIA,
    )


def _values(tensor: InferInput, part: memoryview) -> Any:
    """One tensor's bytes as a flat list, or as an array over these bytes where they are many."""
    count = math.prod(max(size, 0) for size in tensor.shape)
    if tensor.datatype == "BYTES":
        if count * 4 > len(part):
            raise _misfit(tensor, "4 bytes of length before each value", len(part))
        return list(_texts(tensor, part))
    if tensor.datatype not in _NUMPY:
        return []  # refused by its datatype when its column is known
    kind = np.dtype(_NUMPY[tensor.datatype])
    if count * kind.itemsize != len(part):
        raise _misfit(tensor, f"{count * kind.itemsize} bytes", len(part))
    array = np.frombuffer(part, kind)
    if kind.kind == "f":
        array = _without_infinities(tensor, array)
    if tensor.datatype == "BOOL":
        array = array != 0
        return array.tolist() if len(array) <= FEW else array.view(np.uint8)
    if len(array) > FEW:
        return array
    if kind.kind == "f":
        return [None if value != value else value for value in array.tolist()]
    return array.tolist()


def _without_infinities(tensor: InferInput, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """NaN is a missing number, in one form only: others trip over the processor's own checks."""
    missing = np.isnan(array)
    if (np.abs(array, where=~missing, out=np.zeros_like(array)) > _LARGEST).any():
        raise DataError(f"Input '{tensor.name[:80]}' has a number that 32 bits cannot hold.")
    return np.where(missing, array.dtype.type(np.nan), array) if missing.any() else array


def _texts(tensor: InferInput, part: memoryview) -> Iterator[str]:
    """Texts of a BYTES tensor: each after its length in four bytes."""
    at = 0
    while at < len(part):
        if at + 4 > len(part):
            raise _misfit(tensor, "4 bytes of length before each value", len(part))
        (size,) = struct.unpack_from("<I", part, at)
        at += 4
        if at + size > len(part):
            raise _misfit(tensor, f"{size} bytes of a value at byte {at}", len(part))
        try:
            yield str(part[at : at + size], "utf-8")
        except UnicodeDecodeError:
            raise DataError(f"Input '{tensor.name[:80]}' has a value that is no UTF-8.") from None
        at += size


def _misfit(tensor: InferInput, expected: str, size: int) -> DataError:
    return DataError(
        f"Input '{tensor.name[:80]}' of {tensor.datatype[:20]} and shape {tensor.shape[:6]} "
        f"must have {expected}; its bytes are {size}."
    )


def _raw(values: np.ndarray[Any, Any]) -> bytes:
    if values.dtype.kind in "OUS":
        texts = [str(value).encode() for value in values.ravel().tolist()]
        return b"".join(part for text in texts for part in (struct.pack("<I", len(text)), text))
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
