"""export: what was trained becomes a bundle, and is shown to answer as it was trained."""

from __future__ import annotations

import base64
import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file

from workbench.core.errors import BundleError
from workbench.core.files import read_json, write_json, write_text
from workbench.core.params import Serve, Train
from workbench.core.records import VERSION, Signature
from workbench.data.fitted import Fitted, arrays
from workbench.data.tables import Tables, read_tables
from workbench.data.tokens import TOKENIZER
from workbench.serving.session import Bundle
from workbench.stages.frame import opened
from workbench.storage.bundle import seal
from workbench.training.batches import Batches, tensors
from workbench.training.card import model_card
from workbench.training.export import export_onnx
from workbench.training.loop import rows_at_once
from workbench.training.served import Served, default_served

PARITY = 1e-4
SAMPLE_BYTES = 65_536


def run(pipeline: str) -> None:
    """Write the bundle, then compare it with the torch module on the whole test side."""
    with opened("export", pipeline, Serve, after=("clean", "split", "train")) as stage:
        trained = stage.input("train")
        settings = stage.other_part(Train)
        torch.set_num_threads(settings.threads)
        fitted = read_json(trained / "fitted.json", Fitted)
        summary = read_json(trained / "summary.json")
        model = stage.notebook.model(fitted, settings)
        model.load_state_dict(load_file(trained / "model.safetensors"))
        model.eval()
        test = pq.read_table(stage.input("split") / "test.parquet")
        serve = stage.function("serve")
        data = read_tables(stage.input("clean"), stage.backend)
        columns = tensors(test, fitted, data)
        served = (
            serve(model, fitted, data, stage.params)
            if serve
            else default_served(model, fitted, settings.balance)
        )
        bundle = stage.out
        export_onnx(
            served.module,
            {**columns, **served.example},
            served.inputs,
            served.outputs,
            fitted,
            bundle / "model.onnx",
        )
        _write_parts(bundle, served, data)
        names = {column.name for column in served.inputs}
        sample = dict(served.sample) or _sample(test, served)
        signature = Signature(
            version=VERSION,
            pipeline=pipeline,
            interface=served.interface,
            task=fitted.task,
            inputs=served.inputs,
            outputs=served.outputs,
            target=fitted.target,
            classes=fitted.classes if fitted.task == "multiclass" else (),
            threshold=summary["threshold"],
            notice=stage.params.notice,
            example=sample,
        )
        write_json(bundle / "signature.json", signature)
        write_text(bundle / "card.md", model_card(signature, data.facts, summary))
        digest = seal(bundle)
        stage.report = {
            "digest": digest,
            "bytes": sum(file.stat().st_size for file in bundle.rglob("*") if file.is_file()),
        }
        if names <= set(test.column_names):
            used = {name: column for name, column in columns.items() if name in names}
            stage.report |= _parity(
                bundle, served, test, used, summary["threshold"], rows_at_once(settings.batch_size)
            )


def _write_parts(bundle: Path, served: Served, data: Tables) -> None:
    """Look-up tables and files beside the graph; text needs the tokenizer of its training."""
    for name, table in served.lookups.items():
        write_json(bundle / "lookups" / f"{name}.json", table)
    files = dict(served.files)
    if any(c.role == "text" for c in served.inputs) and TOKENIZER in data.assets:
        files.setdefault(TOKENIZER, data.assets[TOKENIZER])
    for name, path in files.items():
        (bundle / "files").mkdir(exist_ok=True)
        shutil.copyfile(path, bundle / "files" / name)


def _sample(test: Any, served: Served) -> dict[str, Any]:
    """One real row, for people who try the model: times as text, image files as base64."""
    row = test.slice(0, 1).to_pylist()[0]
    sample: dict[str, Any] = {}
    for column in served.inputs:
        value = row.get(column.name)
        if column.role == "image":
            if not isinstance(value, bytes) or len(value) > SAMPLE_BYTES:
                continue  # too long to be read, or to be sent by hand
            value = base64.b64encode(value).decode()
        elif isinstance(value, dt.date):  # a datetime is one
            value = value.isoformat()
        if column.name in row:
            sample[column.name] = value
    return sample


def _parity(
    folder: Path,
    served: Served,
    test: Any,
    columns: dict[str, Any],
    threshold: float | None,
    size: int,
) -> dict[str, Any]:
    """Compare bundle and module on every test row; BundleError beyond 1e-4.

    Values beyond one are compared by their size: a price in dollars has no four digits behind the
    point in float32. Row numbers must be equal, except where their scores are: equals may come in
    any order.
    """
    raw = arrays(test, {c.name: c.role for c in served.inputs})
    found = Bundle(folder, threads=2).predict(raw)
    rows = Batches.of(columns, None, torch.device("cpu"))
    worst, differing = 0.0, 0
    for part in rows.in_order(size):
        with torch.no_grad():
            wanted = {n: t.numpy() for n, t in served.module(rows.take(part)[0]).items()}
        for name, theirs in wanted.items():
            ours = found[name][part]
            if np.issubdtype(theirs.dtype, np.floating):
                # Equal infinities are equal, though their difference is not a number.
                size_of = np.maximum(1.0, np.abs(theirs))
                gap = np.where(ours == theirs, 0.0, np.abs(ours - theirs) / size_of)
                worst = max(worst, float(np.max(gap, initial=0.0)))
            else:
                scores = [w for w in wanted.values() if np.issubdtype(w.dtype, np.floating)]
                differing += int(np.sum((ours != theirs) & ~_tied(theirs, scores)))
            if name == "score" and threshold is not None:
                near = np.abs(theirs - threshold) <= PARITY
                differing += int(np.sum(((ours >= threshold) != (theirs >= threshold)) & ~near))
    if not worst <= PARITY or differing:
        raise BundleError(
            f"The exported model differs from the trained one by {worst:.2g} "
            f"(allowed {PARITY:g}; {differing} decisions differ).",
            kept="the trained weights",
            fix="look at the operations in `forward` that ONNX does otherwise",
        )
    return {
        "parity_max_difference": worst,
        "parity_rows": test.num_rows,
        "parity_decisions_differing": differing,
    }


def _tied(numbers: Any, scores: list[Any]) -> Any:
    """Where a ranked answer could as well be another: its score is that of a neighbour.

    The last place counts as tied: who came next is not in the answer.
    """
    tied = np.zeros(numbers.shape, bool)
    for score in scores:
        if score.ndim == 2 and score.shape == numbers.shape:
            equal = np.abs(np.diff(score, axis=1)) <= PARITY
            tied[:, :-1] |= equal
            tied[:, 1:] |= equal
            tied[:, -1] = True
    return tied
