"""A small real checkout: run records, a bundle that ONNX Runtime answers, a candidate.

The stages' own outputs, made here in milliseconds, without torch and without DVC.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pyarrow as pa
import pyarrow.parquet as pq
from onnx import TensorProto, helper

from workbench.core.files import digest_folder, write_json, write_text
from workbench.core.paths import Paths
from workbench.core.records import Column, RunRecord, Signature, Usage, Window
from workbench.metering.runs import open_run
from workbench.storage.bundle import seal
from workbench.training.evaluation import judge

PARAMS = """\
version: 1
pipelines: [fraud]
site: {}
fraud:
  collect: {as_of: "2026-06-30"}
  split: {by: time}
  serve: {gates: {worse_by: 0.02, model_mb: 1}}
"""
BEFORE = ("collect", "clean", "label", "split", "train", "export", "evaluate")


@functools.cache
def empty_mlflow() -> Path:
    """A migrated, empty MLflow database: making one takes seconds, copying it none."""
    folder = tempfile.TemporaryDirectory()
    _KEPT.append(folder)
    file = Path(folder.name) / "mlflow.db"
    from workbench.tracking.store import Store

    store = Store(Paths(root=Path(folder.name), home=Path(folder.name)))
    assert store.client.search_experiments()
    return file


_KEPT: list[Any] = []


def make_checkout(root: Path, params: str = PARAMS) -> Checkout:
    paths = Paths(root=root, home=root / ".workbench")
    write_text(paths.params, params)
    paths.home.mkdir(exist_ok=True)
    shutil.copyfile(empty_mlflow(), paths.home / "mlflow.db")
    return Checkout(paths)


@dataclass(frozen=True)
class Checkout:
    paths: Paths

    def train(
        self,
        weight: float = 1.5,
        *,
        epochs: int = 3,
        energy_kwh: float | None = 0.002,
    ) -> RunRecord:
        """Leave the outputs and the record of a training; its weights are its learning rate."""
        run = self.begin(weight)
        for epoch in range(epochs):
            run.log(epoch, {"train_loss": 1 / (epoch + 1), "valid_loss": 2 / (epoch + 1)})
        folder = self.paths.stage("train", "fraud")
        shutil.rmtree(folder, ignore_errors=True)
        write_json(folder / "weights.json", weight)
        return run.close(
            "finished",
            window=window(energy_kwh),
            outputs={"train": digest_folder(folder)},
            metrics={"best_epoch": 2.0, "valid_loss": 0.6},
        )

    def begin(self, weight: float = 1.5) -> Any:
        return open_run(
            self.paths,
            pipeline="fraud",
            stage="train",
            key="k" * 64,
            fingerprint="f" * 64,
            notebook="pipelines/fraud.py",
            function="train",
            params={"learning_rate": weight, "hidden": [64, 32], "net": {"dropout": 0.1}},
            inputs={"clean": "c" * 64, "split": "5" * 64},
            packages={"torch": "2.9.0"},
        )

    def candidate(
        self, weight: float = 1.5, *, first_row: int = 0, rows: int = 600, **changes: Any
    ) -> str:
        """Write everything from `split` to `candidate`; the bundle's digest.

        first_row: where the test side begins. changes: fields of `candidate.json` to replace.
        """
        paths = self.paths
        write_json(
            paths.stage("split", "fraud") / "examples.json",
            {"key": ["payment"], "task": "binary", "target": "fraud", "roles": ROLES},
        )
        test = examples(first_row, rows)
        pq.write_table(test, paths.stage("split", "fraud") / "test.parquet")
        bundle = paths.stage("export", "fraud")
        digest = make_bundle(bundle, weight)
        score = answers(bundle, test)
        label = test["fraud"].cast("float64").to_numpy()
        judged = judge(
            "binary",
            label,
            {"model": score, "linear": np.full(rows, 0.5)},
            bootstrap=50,
            seed=0,
        )
        kept = {"payment": test["payment"], "label": test["fraud"], "model": score}
        pq.write_table(pa.table(kept), _folder(paths, "evaluate") / "predictions.parquet")
        report = {"rows": rows, "metrics": judged.pop("model"), "baselines": judged}
        report |= {"main": "auc", "higher_is_better": True, "operating_point": {"recall": 0.5}}
        write_json(paths.report("evaluate", "fraud"), report)
        write_json(paths.plots("fraud") / "evaluate" / "roc.json", [{"x": 0, "y": 0}])
        for name in ("collect", "clean", "label"):
            write_json(_folder(paths, name) / "rows.json", name)
        content = {
            "version": 1,
            "pipeline": "fraud",
            "bundle": digest,
            "data": {name: digest_folder(paths.stage(name, "fraud")) for name in BEFORE},
            "fingerprints": dict.fromkeys((*BEFORE, "candidate"), "f" * 64),
            "facts": {"payments": {"licence": "free to use", "origin": "made here"}},
            "as_of": "2026-06-30",
            "metrics": report["metrics"],
            "main": "auc",
            "higher_is_better": True,
            "baselines": judged,
            "parity_max_difference": 1e-7,
            "bytes": 20_000,
            "leaks": {"shared_keys": 0, "future_rows": 0, "strongest_features": {}},
        }
        write_json(_folder(paths, "candidate") / "candidate.json", content | changes)
        return digest

    def trained(self, weight: float = 1.5, **how: Any) -> str:
        """A training and its candidate; the bundle's digest."""
        self.train(weight)
        return self.candidate(weight, **how)


ROLES = {"amount": "number", "channel": "word", "paid_at": "time"}


def window(energy_kwh: float | None = 0.002) -> Window:
    energy = {"energy_kwh": energy_kwh, "lo": None, "hi": None}
    if energy_kwh is not None:
        energy |= {"lo": energy_kwh / 2, "hi": energy_kwh * 2}
    usages = (
        Usage(domain="cpu", provenance="modelled", **energy),
        Usage(domain="gpu0", provenance="counter", **energy),
    )
    return Window(
        name="train@fraud",
        start_s=1_780_000_000.0,
        end_s=1_780_000_060.0,
        duration_s=60.0,
        cpu_s=90.0,
        peak_memory_bytes=2**30,
        usages=usages,
    )


def examples(first_row: int, rows: int) -> pa.Table:
    """Test rows; a row's content follows from its number, whatever slice it is in."""
    number = np.arange(first_row, first_row + rows)
    draws = np.array([np.random.default_rng(int(n)).normal(size=3) for n in number])
    channel = np.where(draws[:, 1] > 0.3, "online", "chip")
    noisy = 2 * draws[:, 0] + (channel == "online") + draws[:, 2]
    return pa.table(
        {
            "payment": [f"p{n}" for n in number],
            "amount": draws[:, 0].astype(np.float32),
            "channel": channel,
            "paid_at": 1_780_000_000 + number,
            "fraud": noisy > 0.5,
        }
    )


def make_bundle(folder: Path, weight: float) -> str:
    """A bundle of raw named columns: score = sigmoid(weight * amount + what the channel adds)."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    onnx.save_model(_graph(weight), str(folder / "model.onnx"))
    inputs = tuple(Column(name, role) for name, role in ROLES.items())  # pyright: ignore
    write_json(
        folder / "signature.json",
        Signature(
            version=1,
            pipeline="fraud",
            interface="tabular",
            task="binary",
            inputs=inputs,
            outputs=(Column("score", "number"),),
            target="fraud",
            threshold=0.5,
            example={"amount": 2.5, "channel": "chip", "paid_at": "2026-05-09T08:30:37"},
        ),
    )
    write_text(folder / "card.md", f"# Fraud, weight {weight}\n")
    return seal(folder)


def _graph(weight: float) -> onnx.ModelProto:
    """Missing amounts count as 0, unknown channels too; time counts a little."""
    tensors = [
        helper.make_tensor("weight", TensorProto.FLOAT, [], [weight]),
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("tiny", TensorProto.FLOAT, [], [1e-12]),
    ]
    nodes = [
        helper.make_node("IsNaN", ["amount"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "amount"], ["filled"]),
        helper.make_node("Mul", ["filled", "weight"], ["weighted"]),
        helper.make_node(
            "LabelEncoder",
            ["channel"],
            ["coded"],
            domain="ai.onnx.ml",
            keys_strings=["online", "chip"],
            values_floats=[1.0, 0.0],
            default_float=0.0,
        ),
        helper.make_node("Cast", ["paid_at"], ["moment"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["moment", "tiny"], ["late"]),
        helper.make_node("Add", ["weighted", "coded"], ["sum"]),
        helper.make_node("Add", ["sum", "late"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    kinds = {
        "amount": TensorProto.FLOAT,
        "channel": TensorProto.STRING,
        "paid_at": TensorProto.INT64,
    }
    graph = helper.make_graph(
        nodes,
        "fraud",
        [helper.make_tensor_value_info(n, kind, ["rows"]) for n, kind in kinds.items()],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows"])],
        tensors,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def answers(bundle: Path, rows: pa.Table) -> np.ndarray:
    session = ort.InferenceSession(str(bundle / "model.onnx"), providers=["CPUExecutionProvider"])
    feed = {name: rows[name].to_numpy() for name in ROLES}
    feed["channel"] = feed["channel"].astype(object)
    return np.asarray(session.run(["score"], feed)[0]).astype(np.float64)


def _folder(paths: Paths, stage: str) -> Path:
    folder = paths.stage(stage, "fraud")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
