"""A torch module as an ONNX file that takes raw named columns, with bytes that never vary."""

from __future__ import annotations

import itertools
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workbench.core.errors import PipelineError
from workbench.core.records import Column
from workbench.data.fitted import Fitted

OPSET = 20


class _Positional(nn.Module):
    """`forward(columns=...)` with outputs in a fixed order, as the exporter wants it.

    inputs: names of columns by the plain keys that stand for them in the exporter, which trips
    over names with blanks, signs or letters beyond ASCII.
    """

    def __init__(self, module: nn.Module, inputs: dict[str, str], outputs: list[str]) -> None:
        super().__init__()
        self.module = module
        self.inputs = inputs
        self.outputs = outputs

    def forward(self, columns: dict[str, Tensor]) -> tuple[Tensor, ...]:
        answer = self.module({name: columns[key] for key, name in self.inputs.items()})
        return tuple(answer[name] for name in self.outputs)


def export_onnx(
    module: nn.Module,
    example: Mapping[str, Tensor],
    inputs: tuple[Column, ...],
    outputs: tuple[Column, ...],
    fitted: Fitted,
    path: Path,
) -> None:
    """Write `module` to `path` so that it takes raw columns: strings too, missing values too.

    example: tensors by input, of one row or more; two are taken. Word and list inputs get a
    LabelEncoder in front, so that no preprocessing is left outside the file. PipelineError if the
    module cannot be exported.
    """
    import onnx

    module = module.eval()
    names = [column.name for column in inputs]
    keys = {f"c{place:05}": name for place, name in enumerate(names)}
    batch = torch.export.Dim("rows", min=1)
    shapes = {
        key: {0: batch}
        | {
            axis + 1: torch.export.Dim(f"{key}_{axis}", min=1)
            for axis, size in enumerate(column.shape)
            if size == -1
        }
        for key, column in zip(keys, inputs, strict=True)
    }
    missing = [name for name in names if name not in example]
    if missing:
        raise PipelineError(
            f"Input '{missing[0]}' of what is served is no column of the examples.",
            fix=f"give `example={{'{missing[0]}': tensor}}` to wb.Served",
        )
    given = {key: _example(example[name], len(shapes[key])) for key, name in keys.items()}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                _Positional(module, keys, [o.name for o in outputs]).eval(),
                kwargs={"columns": given},
                dynamic_shapes={"columns": shapes},
                dynamo=True,
                opset_version=OPSET,
                verbose=False,
                optimize=True,
            )
    except Exception as error:  # the exporter has no base class of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PipelineError(
            f"The model cannot be exported to ONNX: {reason}",
            kept="the trained weights",
            fix="look for data-dependent Python branches in `forward` or `serve`",
        ) from error
    assert program is not None  # dynamo export without a file name returns the program
    model = program.model_proto
    _rename(model.graph, keys, [o.name for o in outputs])
    _strip(model)
    for column in inputs:
        if column.role in ("word", "list"):
            _encode(model, column.name, fitted.columns[column.name].words)
    model = onnx.shape_inference.infer_shapes(model)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _example(column: Tensor, varying: int) -> Tensor:
    """Two rows of `column`, and at least two along its `varying` first axes.

    torch.export would take a size of one for a constant.
    """
    column = torch.cat([column[:2]] * 2)[:2]
    for axis in range(1, varying):
        if column.shape[axis] < 2:
            column = torch.cat([column, column], dim=axis)
    return column


def _rename(graph: Any, inputs: Mapping[str, str], outputs: list[str]) -> None:
    """Name graph inputs by their columns and outputs by their names.

    inputs: names of columns by key. The exporter flattens the dict in its own order and drops
    inputs that are not used: it names each after its key, `columns_<key>` or plainly.
    """
    taken = {value.name for value in graph.input}
    mapping: dict[str, str] = {}
    for key, name in inputs.items():
        for spelt in (f"columns_{key}", key):
            if spelt in taken:
                mapping[spelt] = name
                break
        else:
            raise PipelineError(f"The exported model lost its input '{name}'.")
    mapping |= {v.name: new for v, new in zip(graph.output, outputs, strict=True)}
    used = {n for node in graph.node for n in (*node.input, *node.output)} - set(mapping)
    used |= {value.name for value in graph.initializer}
    free = (f"inner_{n}" for n in itertools.count())
    for name in sorted(set(mapping.values()) & used):
        mapping[name] = next(one for one in free if one not in used | set(mapping.values()))
    for value in graph.initializer:
        value.name = mapping.get(value.name, value.name)
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.name = mapping.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [mapping.get(n, n) for n in node.input]
        node.output[:] = [mapping.get(n, n) for n in node.output]


def _strip(model: Any) -> None:
    """Remove what says where and when the model was made: paths, line numbers, versions."""
    del model.metadata_props[:]
    model.doc_string = ""
    model.producer_name, model.producer_version = "workbench", ""
    graphs = [model.graph, *model.functions]
    for graph in graphs:
        graph.doc_string = ""
        del graph.metadata_props[:]
        for node in graph.node:
            node.doc_string = ""
            del node.metadata_props[:]
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]
    del graph.value_info[:]


def _encode(model: Any, name: str, words: tuple[str, ...]) -> None:
    """Put a LabelEncoder before the code input `name`, which then takes strings."""
    from onnx import TensorProto, helper

    graph = model.graph
    used = {n for node in graph.node for n in (*node.input, *node.output)}
    used |= {value.name for value in (*graph.input, *graph.initializer)}
    codes = next(one for n in itertools.count() if (one := f"{name}_codes{n or ''}") not in used)
    for node in graph.node:
        node.input[:] = [codes if n == name else n for n in node.input]
    value = next(v for v in graph.input if v.name == name)
    value.type.tensor_type.elem_type = TensorProto.STRING
    # An empty vocabulary is not allowed; a word nobody can send stands in for it.
    keys = list(words) or ["\x00"]
    graph.node.insert(
        0,
        helper.make_node(
            "LabelEncoder",
            [name],
            [codes],
            name=f"encode_{name}",
            domain="ai.onnx.ml",
            keys_strings=keys,
            values_int64s=list(range(1, len(keys) + 1)),
            default_int64=0,
        ),
    )
    if not any(o.domain == "ai.onnx.ml" for o in model.opset_import):
        model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 4))
