"""Bundles answered by ONNX Runtime: no torch, no MLflow, no pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from workbench.core.errors import BundleError, DataError, did_you_mean
from workbench.core.files import read_json
from workbench.core.records import Column, Signature
from workbench.storage.bundle import read_signature, verify

MAX_TOKENS = 256


class Bundle:
    """A loaded bundle. Thread-safe: sessions may run concurrently and nothing else changes.

    digest: SHA-256 of its checksums, verified at load. threads: of one call; small models are
    fastest with one.
    """

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        self.folder = folder
        self.digest = verify(folder)
        self.signature: Signature = read_signature(folder)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self.session = ort.InferenceSession(
                str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's own errors share no base class
            raise BundleError(f"model.onnx of {folder} cannot be loaded: {error}.") from None
        self.inputs: dict[str, Column] = {c.name: c for c in self.signature.inputs}
        self.output_names = [o.name for o in self.session.get_outputs()]
        self.lookups: dict[str, list[Any]] = {
            path.stem: read_json(path) for path in sorted((folder / "lookups").glob("*.json"))
        }
        self._tokenizer: Any = None

    def predict(self, columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Answer rows given by column: arrays or lists, all of equal length.

        Missing numbers are None or NaN, missing words None or ""; a column may be left out
        entirely and counts as missing. Returns outputs by name as arrays [rows, ...], row numbers
        not yet looked up. DataError names an unknown column or a value of the wrong kind.
        """
        for name in columns:
            if name not in self.inputs:
                raise DataError(f"Unknown input '{name}'.{did_you_mean(name, self.inputs)}")
        lengths = {len(values) for values in columns.values()}
        if len(lengths) != 1:
            raise DataError("Columns have different lengths." if lengths else "No columns given.")
        rows = lengths.pop()
        feed = {
            name: self._array(column, columns.get(name), rows)
            for name, column in self.inputs.items()
        }
        answers = self.session.run(self.output_names, feed)
        return {n: np.asarray(a) for n, a in zip(self.output_names, answers, strict=True)}

    def named(self, answers: Mapping[str, np.ndarray]) -> dict[str, list[Any]]:
        """Turn outputs into plain lists, row numbers into what their look-up table says."""
        found: dict[str, list[Any]] = {}
        tables = {c.name: c.lookup for c in self.signature.outputs}
        for name, values in answers.items():
            table = self.lookups.get(tables.get(name) or "")
            found[name] = _look_up(values.tolist(), table) if table else values.tolist()
        threshold = self.signature.threshold
        if threshold is not None and "score" in answers:
            found["decision"] = (answers["score"] >= np.float32(threshold)).tolist()
        if self.signature.classes and "scores" in answers:
            found["class"] = [self.signature.classes[i] for i in answers["scores"].argmax(1)]
        return found

    def _array(self, column: Column, values: Any, rows: int) -> np.ndarray:
        """One column as the array that the graph takes."""
        try:
            return _convert(column, values, rows, self)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"Input '{column.name}' is not a {column.role}: {error}.",
            ) from None

    @property
    def tokenizer(self) -> Any:
        """The bundle's own tokenizer, for text columns."""
        if self._tokenizer is None:
            from tokenizers import Tokenizer

            path = self.folder / "files" / "tokenizer.json"
            if not path.is_file():
                raise BundleError(f"Bundle {self.folder} takes text but has no tokenizer.json.")
            tokenizer = Tokenizer.from_file(str(path))
            tokenizer.enable_padding()
            tokenizer.enable_truncation(MAX_TOKENS)
            self._tokenizer = tokenizer
        return self._tokenizer


def _convert(column: Column, values: Any, rows: int, bundle: Bundle) -> np.ndarray:
    """Convert by role; see `workbench.data.fitted.arrays` for the same rules at training."""
    if column.role == "number":
        if values is None:
            return np.full(rows, np.nan, np.float32)
        if isinstance(values, np.ndarray):
            return values.astype(np.float32, copy=False)
        _no_text(values)
        return np.array([np.nan if v is None else v for v in values], dtype=np.float32)
    if column.role == "time":
        if values is None:
            return np.zeros(rows, np.int64)
        array = np.asarray(values)
        if array.dtype.kind in "mM":
            return array.astype("datetime64[s]").astype(np.int64)
        if array.dtype.kind in "UO":
            return np.array([_moment(v) for v in values], dtype=np.int64)
        return array.astype(np.int64)
    if column.role == "word":
        if values is None:
            return np.full(rows, "", dtype=object)
        return np.array(["" if v is None else str(v) for v in values], dtype=object)
    if column.role == "text":
        texts = ["" if v is None else str(v) for v in values if True]
        return np.array([e.ids for e in bundle.tokenizer.encode_batch(texts)], dtype=np.int64)
    if column.role == "list":
        lists = [[str(v) for v in row or () if v != ""] for row in values or [[]] * rows]
        longest = max((len(row) for row in lists), default=0) or 1
        return np.array([row + [""] * (longest - len(row)) for row in lists], dtype=object)
    array = np.asarray(values, dtype=np.uint8)
    if array.shape[1:] != column.shape:
        raise ValueError(f"expected rows of shape {column.shape}, got {array.shape[1:]}")
    return array


def _no_text(values: Sequence[Any]) -> None:
    """Numbers in quotes are not numbers: a client that sends them has mixed up columns."""
    for value in values:
        if isinstance(value, str | bytes | bool):
            raise ValueError(f"got {value!r}")


def _moment(value: Any) -> int:
    """Seconds since 1970-01-01 UTC of an ISO 8601 text, a datetime or a number."""
    import datetime as dt

    if value is None:
        return 0
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value)
    moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
    if not hasattr(moment, "tzinfo"):
        raise ValueError(f"got {value!r}")
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return int(moment.timestamp())


def _look_up(values: Any, table: list[Any]) -> Any:
    if isinstance(values, list):
        return [_look_up(value, table) for value in values]
    return table[values] if 0 <= values < len(table) else None
