"""Writing one run's truth into MLflow. Every step may be repeated: nothing is there twice."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from workbench.tracking.store import SERIES, SYNCED, Known

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

    from workbench.tracking.store import Store
    from workbench.tracking.truth import Dataset, Truth

BATCH = 1000
PARAM_BATCH = 100
_STATUS = {"finished": "FINISHED", "failed": "FAILED"}

T = TypeVar("T")


def write(
    store: Store, experiment: str, truth: Truth, series: list[dict[str, Any]], known: Known | None
) -> str:
    """Make the run say what `truth` says and return MLflow's id of it.

    series: all lines of the record's metric series; those that MLflow has are not sent again.
    The tag that calls the run complete is set last, so that an interrupted sync is taken up.
    """
    client = store.client
    with store.explained():
        if known is None:
            run = client.create_run(
                experiment,
                start_time=_ms(truth.start_s),
                tags=truth.tags,
                run_name=truth.run_id,
            )
        else:
            run = client.get_run(known.mlflow_id)
            if run.info.lifecycle_stage == "deleted":  # someone threw it away, and means it
                return known.mlflow_id
        mlflow_id = run.info.run_id
        _series(client, mlflow_id, series[known.series if known else 0 :], len(series))
        _values(client, mlflow_id, truth, run.data.params, run.data.metrics, new=known is None)
        if truth.state == "running":
            return mlflow_id
        client.log_inputs(mlflow_id, list(_inputs(truth.inputs)))
        _files(client, mlflow_id, truth)
        client.set_terminated(mlflow_id, _STATUS[truth.state], end_time=_ms(truth.end_s))
        client.set_tag(mlflow_id, SYNCED, truth.digest)
    return mlflow_id


def _series(client: MlflowClient, mlflow_id: str, lines: list[dict[str, Any]], total: int) -> None:
    """Log new lines of the series; values that are not numbers stay in the record alone."""
    from mlflow.entities import Metric, RunTag

    points = [
        Metric(name, value, _ms(line["time_s"]), line["step"])
        for line in lines
        for name, value in line["values"].items()
        if value is not None
    ]
    for batch in _batches(points, BATCH):
        client.log_batch(mlflow_id, metrics=batch)
    if lines:
        client.log_batch(mlflow_id, tags=[RunTag(SERIES, str(total))])


def _values(
    client: MlflowClient,
    mlflow_id: str,
    truth: Truth,
    params: dict[str, str],
    metrics: dict[str, float],
    *,
    new: bool,
) -> None:
    """Log params, tags and final values."""
    from mlflow.entities import Metric, Param, RunTag

    wanted = {k: v for k, v in truth.params.items() if k not in params}
    final = [Metric(name, value, _ms(at), 0) for name, (value, at) in truth.metrics.items()]
    if truth.once and "duration_s" not in metrics:
        wanted |= truth.once_params
        final += [Metric(name, v, _ms(truth.end_s), 0) for name, v in truth.once.items()]
    for batch in _batches([Param(k, v[:6000]) for k, v in wanted.items()], PARAM_BATCH):
        client.log_batch(mlflow_id, params=batch)
    for batch in _batches(final, BATCH):
        client.log_batch(mlflow_id, metrics=batch)
    if not new:
        for batch in _batches([RunTag(k, v) for k, v in truth.tags.items()], PARAM_BATCH):
            client.log_batch(mlflow_id, tags=batch)


def _inputs(datasets: Iterable[Dataset]) -> Iterator[DatasetInput]:
    """Datasets as MLflow shows them; it keeps 36 characters of a digest."""
    from mlflow.entities import Dataset as Entity
    from mlflow.entities import DatasetInput, InputTag

    for data in datasets:
        source = {"uri": data.path, "sha256": data.digest, "origin": data.origin}
        entity = Entity(
            name=data.name,
            digest=data.digest[:32],
            source_type="local",
            source=json.dumps(source, sort_keys=True),
            profile=json.dumps({"test_rows": data.rows}) if data.rows is not None else None,
        )
        yield DatasetInput(entity, [InputTag("mlflow.data.context", "training")])


def _files(client: MlflowClient, mlflow_id: str, truth: Truth) -> None:
    """Log all artefacts in one go."""
    if not truth.files:
        return
    with tempfile.TemporaryDirectory(prefix="workbench-") as name:
        for place, content in truth.files.items():
            file = Path(name) / place
            file.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                file.write_bytes(content)
            else:
                shutil.copyfile(content, file)
        client.log_artifacts(mlflow_id, name)


def _batches(values: Sequence[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(values), size):
        yield list(values[start : start + size])


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
