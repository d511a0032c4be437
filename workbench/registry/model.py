"""A bundle in MLflow's clothes: a folder that `mlflow.pyfunc` and `mlflow.onnx` both load.

The bundle goes in as it is, with a small loader; there is no pickle and nothing is inferred by
running the model, so it takes a fraction of what `log_model` does.
"""

from __future__ import annotations

import datetime as dt
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.registry import loader
from workbench.storage.bundle import read_signature

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

    from workbench.core.records import Column, Signature

LOADER = "workbench_bundle_loader"
_OUTPUT_TYPES = {"number": "double", "time": "long"}


def write_model(bundle: Path, target: Path, digest: str) -> None:
    """Write the MLflow model of a bundle to the folder `target`, which must not exist yet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of its own classes when it is imported
        import mlflow.models
        import mlflow.pyfunc
    import onnx
    import onnxruntime

    signature = read_signature(bundle)
    shape = _signature(signature)
    source = target.with_name("bundle")
    code = target.with_name(f"{LOADER}.py")
    shutil.copytree(bundle, source)
    shutil.copyfile(loader.__file__, code)
    model = mlflow.models.Model(
        metadata={
            "digest": digest,
            "pipeline": signature.pipeline,
            "roles": {column.name: column.role for column in signature.inputs},
        }
    )
    model.add_flavor(
        "onnx",
        onnx_version=onnx.__version__,
        data="data/bundle/model.onnx",
        providers=["CPUExecutionProvider"],
        code=None,
    )
    needs = [f"onnxruntime=={onnxruntime.__version__}", "numpy", "pandas"]
    if any(column.role == "text" for column in signature.inputs):
        needs.append("tokenizers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a bundle may have no example, as one of images
        mlflow.pyfunc.save_model(
            str(target),
            loader_module=LOADER,
            data_path=str(source),
            code_paths=[str(code)],
            mlflow_model=model,
            signature=shape,
            input_example=_example(signature),
            pip_requirements=needs,
        )


def _signature(signature: Signature) -> ModelSignature:
    """Inputs by name, each of which may be missing; outputs as they come."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = Schema([ColSpec(_input(c), c.name, required=False) for c in signature.inputs])
    outputs = Schema([ColSpec(_output(c), c.name) for c in signature.outputs])
    return ModelSignature(inputs=inputs, outputs=outputs)


def _input(column: Column) -> Any:
    """MLflow's type of an input.

    Numbers and times are of any type: MLflow would refuse whole numbers where it was told
    `double`, and timestamps where it was told `long`. The loader takes all of them.
    """
    from mlflow.types import DataType
    from mlflow.types.schema import AnyType, Array

    if column.role in ("number", "time"):
        return AnyType()
    if column.role == "list":
        return Array(DataType.string)
    return Array(Array(Array(DataType.long))) if column.role == "image" else DataType.string


def _output(column: Column) -> Any:
    """MLflow's type of an output; an array in each row where it is wide."""
    from mlflow.types import DataType
    from mlflow.types.schema import Array

    looked_up = column.lookup or column.role not in _OUTPUT_TYPES
    plain = DataType.string if looked_up else DataType[_OUTPUT_TYPES[column.role]]
    return Array(plain) if column.shape else plain


def _example(signature: Signature) -> Any:
    """One row as a DataFrame, None where the bundle has no example of all it takes."""
    import pandas as pd

    row = dict(signature.example)
    for column in signature.inputs:
        value = row.get(column.name)
        if column.role == "time" and isinstance(value, str):
            moment = dt.datetime.fromisoformat(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
            row[column.name] = int(moment.timestamp())
        if column.role == "number" and value is not None:
            row[column.name] = float(value)
    return pd.DataFrame([row]) if row else None
