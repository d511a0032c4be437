"""The Open Inference Protocol, version 2: tensors in, tensors out.

Here is what a tensor may be, and its form as JSON; its form as bytes is in `binary`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from workbench.core.errors import DataError, did_you_mean
from workbench.core.records import Column, Role
from workbench.serving.columns import expected
from workbench.serving.models import Model
from workbench.serving.request import encode
from workbench.serving.service import Answered
from workbench.serving.session import Bundle

_NUMBER = frozenset({int, float, type(None)})
_WHOLE = frozenset({int, type(None)})
_KINDS: Mapping[str, frozenset[type]] = {
    "FP32": _NUMBER,
    "FP64": _NUMBER,
    "INT64": _WHOLE,
    "INT32": _WHOLE,
    "UINT8": _WHOLE,
    "BOOL": frozenset({bool, type(None)}),
    "BYTES": frozenset({str, type(None)}),
}
_WITHIN = {"INT64": (-(2**63), 2**63 - 1), "INT32": (-(2**31), 2**31 - 1), "UINT8": (0, 255)}

_TAKES: Mapping[Role, tuple[str, ...]] = {
    "number": ("FP32", "FP64", "INT64", "INT32", "UINT8", "BOOL"),
    "word": ("BYTES", "INT64", "INT32"),
    "time": ("INT64", "INT32", "FP64", "BYTES"),
    "text": ("BYTES",),
    "list": ("BYTES",),
    "image": ("UINT8",),
}
"""Datatypes that a column of each role accepts; the first is the one that metadata states."""

_GIVES = {
    "f4": "FP32",
    "f8": "FP64",
    "f2": "FP16",
    "i8": "INT64",
    "i4": "INT32",
    "i2": "INT16",
    "i1": "INT8",
    "u8": "UINT64",
    "u4": "UINT32",
    "u2": "UINT16",
    "u1": "UINT8",
    "b1": "BOOL",
}
MAX_NESTED = 16
"""Lists within lists of `data`: more than any tensor has dimensions."""
_GRAPH = {
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(float16)": "FP16",
    **{f"tensor({sign}int{n})": f"{sign.upper()}INT{n}" for sign in ("", "u") for n in (8, 16, 32)},
    "tensor(int64)": "INT64",
    "tensor(uint64)": "UINT64",
    "tensor(bool)": "BOOL",
}


def takes(column: Column) -> tuple[str, ...]:
    """The datatypes in which `column` may come."""
    return _TAKES[column.role]


class InferInput(msgspec.Struct):
    """One tensor; `data` is flat in row-major order, or nested; or bytes after the JSON."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: dict[str, Any] | None = None


class InferOutput(msgspec.Struct):
    """An output that the client wants."""

    name: str
    parameters: dict[str, Any] | None = None


class InferRequest(msgspec.Struct):
    """A v2 inference request. `id` is the client's own and comes back as it is."""

    inputs: list[InferInput]
    id: str | None = None
    outputs: list[InferOutput] | None = None
    parameters: dict[str, Any] | None = None


decode_infer = msgspec.json.Decoder(InferRequest).decode
decode_any = msgspec.json.Decoder().decode


def decoded(body: bytes, decode: Callable[[bytes], Any]) -> Any:
    """Decode a body; DataError says what is wrong with it and where."""
    try:
        return decode(body)
    except UnicodeDecodeError:
        raise DataError("The body is not UTF-8.") from None
    except RecursionError:
        raise DataError("The body is nested too deeply.") from None
    except msgspec.ValidationError as error:
        raise DataError(f"The request does not fit: {error}.") from None
    except msgspec.DecodeError as error:
        place = re.search(r"byte (\d+)", str(error))
        rest = body[int(place[1]) :] if place else b""
        if re.match(rb"-?(NaN|Inf)", rest, re.IGNORECASE):
            raise DataError(
                "JSON has no NaN and no Infinity: send null for a missing number."
            ) from None
        raise DataError(f"The body is not JSON: {error}.") from None


def columns_in(request: InferRequest, bundle: Bundle) -> tuple[dict[str, Any], int]:
    """Return the request's tensors as columns for `Bundle.predict`, and the number of rows.

    DataError names the first tensor that is unknown, given twice, or of wrong type or shape.
    """
    if not request.inputs:
        raise DataError(f"No inputs given: expected some of {', '.join(sorted(bundle.inputs))}.")
    columns: dict[str, Any] = {}
    rows = request.inputs[0].shape[0] if request.inputs[0].shape else 0
    for tensor in request.inputs:
        column = bundle.inputs.get(tensor.name)
        if column is None:
            raise DataError(
                f"Unknown input '{tensor.name[:80]}'.{did_you_mean(tensor.name, bundle.inputs)}"
            )
        if tensor.name in columns:
            raise DataError(f"Input '{tensor.name}' is given twice.")
        columns[tensor.name] = _values(tensor, column)
        if tensor.shape[0] != rows:
            raise DataError(
                f"Input '{tensor.name}' has {tensor.shape[0]} rows, "
                f"'{request.inputs[0].name}' has {rows}."
            )
    return columns, rows


def rows_in(request: InferRequest) -> int:
    """The most rows that any tensor says it has and has values for."""
    sizes = ((t.shape[0], 0 if t.data is None else len(t.data)) for t in request.inputs if t.shape)
    return max(map(min, sizes), default=0)


def check_outputs(request: InferRequest, bundle: Bundle) -> None:
    """Refuse an output that the bundle does not have, before anything is computed.

    One that is named twice is refused too: a short request must not ask for gigabytes.
    """
    named: set[str] = set()
    for wanted in request.outputs or ():
        name = wanted.name
        if name not in bundle.output_names:
            raise DataError(
                f"Unknown output '{name[:80]}'.{did_you_mean(name, bundle.output_names)}"
            )
        if name in named:
            raise DataError(f"Output '{name}' is named twice.")
        named.add(name)


def infer_response(request: InferRequest, answer: Answered) -> bytes:
    """Encode the answer as JSON."""
    outputs = answer.outputs
    names = [wanted.name for wanted in request.outputs] if request.outputs else outputs
    return encode(
        response_head(
            request,
            answer,
            [{**described(n, outputs[n]), "data": outputs[n].ravel().tolist()} for n in names],
        )
    )


def response_head(request: InferRequest, answer: Answered, outputs: list[Any]) -> dict[str, Any]:
    """The answer around its outputs.

    `parameters` hold the prediction's own id, the model's notice and the warnings: the protocol
    allows only plain values there, so warnings are one text, a line each.
    """
    model = answer.model
    parameters = {"id": answer.id}
    if model.bundle.signature.notice:
        parameters["notice"] = model.bundle.signature.notice
    if answer.warnings:
        parameters["warnings"] = "\n".join(answer.warnings)
    return {
        "model_name": model.pipeline,
        "model_version": model.version,
        "id": answer.id if request.id is None else request.id,
        "parameters": parameters,
        "outputs": outputs,
    }


def described(name: str, values: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Name, shape and datatype of one output."""
    datatype = _GIVES.get(values.dtype.str[1:], "BYTES")
    return {"name": name, "shape": values.shape, "datatype": datatype}


def metadata(model: Model) -> dict[str, Any]:
    """What a client must know of a model: names, datatypes and shapes, -1 where they vary."""
    return {
        "name": model.pipeline,
        "versions": [model.version],
        "platform": "onnx_onnxruntime",
        "inputs": [
            {
                "name": name,
                "datatype": _TAKES[column.role][0],
                "shape": [-1, *(() if column.role == "text" else column.shape)],
                "parameters": {"role": column.role, "expected": expected(column)},
            }
            for name, column in model.bundle.inputs.items()
        ],
        "outputs": [
            {
                "name": output.name,
                "datatype": _GRAPH.get(output.type, "BYTES"),
                "shape": [size if isinstance(size, int) else -1 for size in output.shape],
            }
            for output in model.bundle.session.get_outputs()
        ],
    }


def _values(tensor: InferInput, column: Column) -> Any:
    """The values of one tensor, row by row, as `workbench.serving.columns.array_of` takes them."""
    name, datatype, shape = tensor.name, tensor.datatype, tensor.shape
    takes = _TAKES[column.role]
    if datatype not in takes:
        raise DataError(
            f"Input '{name}' takes datatype {' or '.join(takes)} ({expected(column)}), "
            f"got '{datatype[:20]}'."
        )
    data = tensor.data
    if type(data) is not list:
        return _array(tensor, column)
    if not _KINDS[datatype].issuperset(map(type, data)):
        data = _flat(tensor, data)
    _check_shape(tensor, column, len(data))
    if datatype in _WITHIN:
        low, high = _WITHIN[datatype]
        if not all(value is None or low <= value <= high for value in data):
            raise DataError(f"Input '{name}' has a value that is no {datatype}.")
    if column.role == "image":
        if None in data:
            raise DataError(f"Input '{name}' must be {expected(column)}, got null.")
        return np.array(data, np.uint8).reshape(shape)
    if column.role == "list":
        return [data[start : start + shape[1]] for start in range(0, len(data), shape[1])]
    if datatype == "BOOL":
        return [None if value is None else int(value) for value in data]
    return data


def _array(tensor: InferInput, column: Column) -> np.ndarray[Any, Any]:
    """A tensor that came as bytes: many numbers stay the array that they are."""
    data: Any = tensor.data
    if data is None:
        raise DataError(
            f"Input '{tensor.name}' has neither `data` nor a `binary_data_size` in its parameters."
        )
    _check_shape(tensor, column, len(data))
    return data.reshape(tensor.shape) if column.role == "image" else data


def _flat(tensor: InferInput, data: list[Any]) -> list[Any]:
    """Unnest `data`; DataError for the first value that its datatype does not have."""
    kinds = _KINDS[tensor.datatype]
    for _ in range(MAX_NESTED):
        if not data or not all(type(value) is list for value in data):
            break
        data = list(itertools.chain.from_iterable(data))
    else:
        raise DataError(f"The data of input '{tensor.name}' is nested too deeply.")
    for place, value in enumerate(data):
        if type(value) not in kinds:
            shown = repr(value)[:40]
            raise DataError(
                f"Input '{tensor.name}' has datatype {tensor.datatype}, got {shown} "
                f"in data[{place}]."
            )
    return data


def _check_shape(tensor: InferInput, column: Column, values: int) -> None:
    """A shape is [rows, ...] as the column has it, and counts as many values as there are."""
    shape = tensor.shape
    if values and shape == [values] and not column.shape:
        return
    inner = () if column.role == "text" else column.shape
    fits = len(shape) == len(inner) + 1 and all(
        size in (given, -1) for size, given in zip(inner, shape[1:], strict=True)
    )
    fits = fits or (not inner and len(shape) == 2 and shape[1] == 1)  # a column as a matrix
    if not fits or min(shape) < 1:
        raise DataError(
            f"Input '{tensor.name}' must have shape {[-1, *inner]} with at least one row, "
            f"got {shape[:6]}."
        )
    count = 1
    for size in shape:
        count *= size
    if count != values:
        raise DataError(
            f"Input '{tensor.name}' has shape {shape} and {values} values, expected {count}."
        )
