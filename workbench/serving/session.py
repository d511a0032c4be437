"""Bundles answered by ONNX Runtime: no torch, no MLflow, no pandas."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort

from workbench.core.errors import BundleError, DataError, did_you_mean
from workbench.core.files import digest_file, read_json
from workbench.core.records import Column, Signature
from workbench.data.tokens import TOKENIZER, read_tokenizer
from workbench.serving.checks import checks_of
from workbench.serving.columns import array_of, numbers_of
from workbench.storage.bundle import CHECKSUMS, read_signature, verify

MANY_ROWS, HEAVY_ROWS = 8192, 128
"""Answered at once; more are answered in parts. Texts and images are heavy."""

Outputs = dict[str, np.ndarray[Any, Any]]


class Bundle:
    """A loaded bundle. Thread-safe: sessions may run concurrently and nothing else changes.

    digest: SHA-256 of its checksums, verified at load. threads: of one call; small models are
    fastest with one.
    """

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        self.folder = folder
        self.digest = verify(folder)
        self.signature: Signature = read_signature(folder)
        ort.disable_telemetry_events()  # some of its wheels carry a telemetry client
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
        self._run = ort.RunOptions()
        self.inputs: dict[str, Column] = {c.name: c for c in self.signature.inputs}
        self.checks = checks_of(self.inputs)
        self.numbers = [c.name for c in self.signature.inputs if c.role == "number"]
        self.heavy = any(c.role in ("text", "image") for c in self.signature.inputs)
        self.rows_at_once = HEAVY_ROWS if self.heavy else MANY_ROWS
        self.output_names = [o.name for o in self.session.get_outputs()]
        self.lookups: dict[str, list[Any]] = {
            path.stem: _read_lookup(path) for path in sorted((folder / "lookups").glob("*.json"))
        }

        named = ((c.name, self.lookups.get(c.lookup or "")) for c in self.signature.outputs)
        self._tables = {name: table for name, table in named if table}
        threshold = self.signature.threshold
        self._threshold = None if threshold is None else np.float32(threshold)

    def predict(self, columns: Mapping[str, Any]) -> Outputs:
        """Answer rows given by column: arrays or lists, all of equal length.

        Missing numbers are None or NaN, missing words None or ""; a column may be left out
        entirely and counts as missing. Returns outputs by name as arrays [rows, ...], row numbers
        not yet looked up. DataError names an unknown column or a value of the wrong kind;
        BundleError says that the model itself failed.
        """
        for name in columns:
            if name not in self.inputs:
                raise DataError(f"Unknown input '{name[:80]}'.{did_you_mean(name, self.inputs)}")
        lengths = {len(values) for values in columns.values()}
        if len(lengths) != 1:
            raise DataError("Columns have different lengths." if lengths else "No columns given.")
        rows = lengths.pop()
        size = self.rows_at_once
        if rows <= size:
            return self._answer(columns, rows)
        parts = [
            self._answer({n: v[at : at + size] for n, v in columns.items()}, min(size, rows - at))
            for at in range(0, rows, size)
        ]
        return {name: np.concatenate([p[name] for p in parts]) for name in self.output_names}

    def _answer(self, columns: Mapping[str, Any], rows: int) -> Outputs:
        """Answer so few rows that memory is no question."""
        feed = numbers_of([name for name in self.numbers if name in columns], columns)
        for name, column in self.inputs.items():
            if name not in feed:
                feed[name] = array_of(column, columns.get(name), rows, self._tokenizer)
        try:
            answers = self.session.run(self.output_names, feed, self._run)
        except Exception as error:  # ONNX Runtime's own errors share no base class
            raise BundleError(f"The model of {self.folder} failed: {error}.") from None
        return {n: np.asarray(a) for n, a in zip(self.output_names, answers, strict=True)}

    def interrupt(self) -> None:
        """Let the calls that are under way fail, with BundleError; the next ones are answered."""
        self._run.terminate = True
        self._run = ort.RunOptions()

    def named(self, answers: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, list[Any]]:
        """Turn outputs into plain lists, row numbers into what their look-up table says."""
        found: dict[str, list[Any]] = {}
        for name, values in answers.items():
            table = self._tables.get(name)
            found[name] = _look_up(values.tolist(), table) if table else values.tolist()
        if self._threshold is not None and "score" in answers:
            found["decision"] = (answers["score"] >= self._threshold).tolist()
        if self.signature.classes and "scores" in answers:
            found["class"] = [self.signature.classes[i] for i in answers["scores"].argmax(1)]
        return found

    def _tokenizer(self) -> Any:
        return self.tokenizer

    @cached_property
    def tokenizer(self) -> Any:
        """The bundle's own tokenizer, for text columns."""
        path = self.folder / "files" / TOKENIZER
        if not path.is_file():
            raise BundleError(f"Bundle {self.folder} takes text but has no {TOKENIZER}.")
        return read_tokenizer(path)


def released_folder(bundles: Path, digest: str) -> Path:
    """Return the folder of the released bundle `digest` below `bundles`.

    BundleError when it is missing or another one; its files are verified when it is loaded.
    """
    folder = bundles / digest
    again = "run `workbench release`, which copies bundles from the DVC cache"
    if not re.fullmatch("[0-9a-f]{64}", digest) or not (folder / CHECKSUMS).is_file():
        raise BundleError(f"Bundle {digest[:12]} is not in {bundles}.", fix=again)
    link = next((path for path in (folder, *folder.rglob("*")) if path.is_symlink()), None)
    if link is not None:  # a release is a copy; what a link leads to changes behind its back
        raise BundleError(f"Bundle {digest[:12]} was altered: {link.name} is a link.", fix=again)
    found = digest_file(folder / CHECKSUMS)
    if found != digest:
        raise BundleError(f"Bundle {digest[:12]} was altered: it is now {found[:12]}.", fix=again)
    return folder


def check_finite(outputs: Outputs) -> None:
    """Scores are finite numbers, or there is no answer: JSON has no NaN, and no one reads one."""
    for name, values in outputs.items():
        if values.dtype.kind != "f":
            continue
        # For a few numbers, arrays cost more than they give.
        few = values.size <= 64 and all(map(math.isfinite, values.ravel().tolist()))
        if not few and not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            raise DataError(f"The model has no finite '{name}' for rows[{row}].")


def _read_lookup(path: Path) -> list[Any]:
    """A look-up table: row numbers lead into it, so it can only be a list."""
    try:
        return read_json(path, list[Any])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BundleError(
            f"lookups/{path.name} of {path.parents[1]} cannot be read: {error}."
        ) from None


def _look_up(values: Any, table: list[Any]) -> Any:
    if isinstance(values, list):
        return [_look_up(value, table) for value in values]
    return table[values] if 0 <= values < len(table) else None
