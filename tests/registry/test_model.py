from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper

from workbench.core.files import write_json
from workbench.core.records import Column, Signature
from workbench.registry.model import write_model
from workbench.storage.bundle import seal


def test_lists_images_times_and_looked_up_names_go_through_pyfunc(tmp_path: Path) -> None:
    import mlflow

    bundle = tmp_path / "sealed"
    bundle.mkdir()
    onnx.save_model(_graph(), str(bundle / "model.onnx"))
    write_json(bundle / "lookups" / "films.json", ["Alien", "Brazil", "Cube"])
    inputs = (
        Column("seen", "list", shape=(-1,)),
        Column("frame", "image", shape=(2, 1, 1)),
        Column("at", "time"),
    )
    outputs = (Column("next", "number", lookup="films"), Column("light", "number"))
    outputs += (Column("moment", "number"),)
    signature = Signature(1, "films", "ranking", "ranking", inputs, outputs)
    write_json(bundle / "signature.json", signature)

    write_model(bundle, tmp_path / "model", seal(bundle))
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))

    rows = pd.DataFrame(
        {
            "seen": [["Cube", "Alien"], [], ["never seen"]],
            "frame": [[[[1]], [[2]]]] * 3,
            "at": [1_778_315_437, 0, 5],
        }
    )
    answer = model.predict(rows)
    assert answer["next"].tolist() == ["Cube", "Alien", "Alien"]
    assert answer["light"].tolist() == [2.0, 2.0, 2.0]
    assert answer["moment"].tolist() == [1_778_315_437, 0, 5]
    assert model.predict(rows.drop(columns="seen"))["next"].tolist() == ["Alien"] * 3


def _graph() -> onnx.ModelProto:
    """The last film in the order of names, the lightest part of the image, and the time itself."""
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node(
            "LabelEncoder", ["seen"], ["codes"], domain="ai.onnx.ml",
            keys_strings=["Alien", "Brazil", "Cube"], values_int64s=[0, 1, 2], default_int64=0,
        ),
        helper.make_node("ReduceMax", ["codes", "axes"], ["next"], keepdims=0),
        helper.make_node("Cast", ["frame"], ["light_parts"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["light_parts", "flat"], ["parts"]),
        helper.make_node("ReduceMax", ["parts", "axes"], ["light"], keepdims=0),
        helper.make_node("Identity", ["at"], ["moment"]),
    ]  # fmt: skip
    flat = helper.make_tensor("flat", TensorProto.INT64, [2], np.array([0, -1]))
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "films",
        [
            info("seen", TensorProto.STRING, ["rows", "n"]),
            info("frame", TensorProto.UINT8, ["rows", 2, 1, 1]),
            info("at", TensorProto.INT64, ["rows"]),
        ],
        [
            info("next", TensorProto.INT64, ["rows"]),
            info("light", TensorProto.FLOAT, ["rows"]),
            info("moment", TensorProto.INT64, ["rows"]),
        ],
        [axes, flat],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)
