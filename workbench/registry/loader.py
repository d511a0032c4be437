"""A bundle as an MLflow `pyfunc`: takes raw columns, strings and missing values included.

A copy of this file travels beside each registered model, so that it answers wherever MLflow loads
it. It therefore imports nothing of the workbench: numpy and ONNX Runtime are enough.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

MAX_TOKENS = 256


class Model:
    """A loaded bundle, for `mlflow.pyfunc`."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        self._folder = folder
        self._signature = json.loads((folder / "signature.json").read_text())
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), providers=["CPUExecutionProvider"]
        )

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Answer rows of a pandas DataFrame, or columns by name.

        A column that is left out counts as missing. Returns a DataFrame with a column for each
        output, row numbers replaced by what the bundle's look-up tables call them.
        """
        import pandas as pd

        frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(dict(data))
        feed = {
            column["name"]: self._array(column, frame, len(frame))
            for column in self._signature["inputs"]
        }
        names = [output.name for output in self._session.get_outputs()]
        answers = zip(names, self._session.run(names, feed), strict=True)
        return pd.DataFrame({name: self._named(name, values) for name, values in answers})

    def _array(self, column: Mapping[str, Any], frame: Any, rows: int) -> Any:
        """One column as the array that the graph takes."""
        role, name = column["role"], column["name"]
        values = [None] * rows
        if name in frame:
            series = frame[name]
            values = series.astype(object).where(series.notna(), None).tolist()
        if role == "number":
            return np.array([np.nan if v is None else v for v in values], dtype=np.float32)
        if role == "time":
            return np.array([_seconds(v) for v in values], dtype=np.int64)
        if role == "word":
            return np.array(["" if v is None else str(v) for v in values], dtype=object)
        if role == "list":
            rows_ = [[str(v) for v in (() if row is None else row)] for row in values]
            longest = max(map(len, rows_), default=0) or 1
            return np.array([row + [""] * (longest - len(row)) for row in rows_], dtype=object)
        if role == "text":
            return self._tokens(["" if v is None else str(v) for v in values])
        return np.array(values, dtype=np.uint8).reshape(rows, *column["shape"])

    def _tokens(self, texts: list[str]) -> Any:
        """Token numbers by the bundle's own tokenizer, padded."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._folder / "files" / "tokenizer.json"))
        own = tokenizer.padding or {}
        tokenizer.enable_padding(
            pad_id=own.get("pad_id", 0), pad_token=own.get("pad_token", "[PAD]"), length=None
        )
        if tokenizer.truncation is None:
            tokenizer.enable_truncation(MAX_TOKENS)
        codes = np.array([e.ids for e in tokenizer.encode_batch(texts)], dtype=np.int64)
        return codes if codes.size else np.zeros((len(texts), 1), np.int64)

    def _named(self, name: str, values: Any) -> list[Any]:
        """One output as a list with an entry a row."""
        lookups = {column["name"]: column.get("lookup") for column in self._signature["outputs"]}
        lookup = lookups.get(name)
        rows = np.asarray(values).tolist()
        if not lookup:
            return rows
        table = json.loads((self._folder / "lookups" / f"{lookup}.json").read_text())
        return [[table[i] for i in r] if isinstance(r, list) else table[r] for r in rows]


def _seconds(value: Any) -> int:
    """Seconds since 1970-01-01 UTC of a number, a timestamp or ISO 8601 text; 0 if missing."""
    import pandas as pd

    if value is None:
        return 0
    if isinstance(value, int | float):
        return int(value)
    moment: Any = pd.Timestamp(value)
    return int(moment.timestamp())


def _load_pyfunc(path: str) -> Model:
    """MLflow's entry point."""
    return Model(Path(path))
