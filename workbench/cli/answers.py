"""What `workbench predict` is asked and says: rows out of a table, outputs in people's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.errors import DataError

if TYPE_CHECKING:
    from workbench.core.paths import Paths
    from workbench.core.records import Signature

_MOST_CLASSES = 5


def rows_of(paths: Paths, file: Path, signature: Signature) -> tuple[list[dict[str, Any]], str]:
    """Rows of a CSV or Parquet file, with the model's own columns alone; which others it has.

    What is missing stays missing. DataError names the row and the column of what is no number.
    """
    from workbench.notebook.begin import opened

    roles = {column.name: column.role for column in signature.inputs}
    with opened(paths, str(file)) as source:
        known = [name for name in source.table.columns if name in roles]
        if not known:
            raise DataError(
                f"{file.name} has none of the columns that {signature.pipeline} takes.",
                fix=f"name its columns {', '.join(list(roles)[:8])}",
            )
        cells = source.table.select(known).to_pyarrow().to_pylist()
        others = [name for name in source.table.columns if name not in roles]
    rows = [
        {name: _cell(value, roles[name], name, place) for name, value in row.items()}
        for place, row in enumerate(cells, start=1)
    ]
    return rows, ", ".join(others)


def _cell(value: Any, role: str, name: str, place: int) -> Any:
    """A cell as a client sends it: text becomes a number where the model takes one."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if role != "number" or not isinstance(value, str):
        return str(value) if role == "word" and value is not None else value
    try:
        return float(value)
    except ValueError:
        raise DataError(
            f"Row {place}: '{name}' is '{value[:40]}', and a plain number such as 12.5 is needed.",
            fix="write it so; leave it empty where it is not known",
        ) from None


def in_words(outputs: Mapping[str, Any], signature: Signature) -> dict[str, list[Any]]:
    """Outputs by what they are called in the data, a list each, one entry a row."""
    found = {name: values for name, values in outputs.items() if isinstance(values, list)}
    target = signature.target or "answer"
    if signature.task == "regression" and "value" in found:
        return {target if name == "value" else name: values for name, values in found.items()}
    if signature.task == "binary" and {"score", "decision"} <= set(found):
        says = ["yes" if yes else "no" for yes in found.pop("decision")]
        return {
            target: says,
            "chance of yes": [f"{score:.1%}" for score in found.pop("score")],
            **found,
        }
    if signature.task == "multiclass" and {"scores", "class"} <= set(found):
        likely = [_likely(scores, signature.classes) for scores in found.pop("scores")]
        return {target: found.pop("class"), "likely": likely, **found}
    return found


def _likely(scores: Sequence[float], classes: Sequence[str]) -> str:
    """The likeliest classes, each with its share."""
    ranked = sorted(zip(scores, classes, strict=True), reverse=True)
    return "  ".join(f"{name} {score:.1%}" for score, name in ranked[:_MOST_CLASSES])
