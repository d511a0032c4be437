"""The model card inside a bundle: what it takes and gives, what it learnt from, what it is not for.

Quality is not in it: it is measured on the finished bundle, and stands in the release.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.core.records import Column, Signature
from workbench.data.tables import Facts


def model_card(signature: Signature, facts: Mapping[str, Facts], summary: Mapping[str, Any]) -> str:
    """Return the card as Markdown. summary: of training (rows, epochs, parameters)."""
    lines = [f"# {signature.pipeline}", ""]
    if signature.notice:
        lines += [f"> {signature.notice}", ""]
    what = f"predicts `{signature.target}`" if signature.target else "answers"
    lines += [
        f"A {signature.interface} model ({signature.task}) that {what}.",
        "",
        "## Takes",
        "",
        "| column | role | range in training | missing in training |",
        "|---|---|---|---|",
        *(_row(column) for column in signature.inputs),
        "",
        "## Gives",
        "",
        *(f"- `{column.name}`{_meaning(column)}" for column in signature.outputs),
    ]
    if signature.threshold is not None:
        lines.append(f"- `decision`: yes from score {signature.threshold:.4f} on")
    lines += [
        "",
        "## Learnt from",
        "",
        f"{summary['rows']:,} rows, {summary['epochs']} epochs, {summary['parameters']:,} weights.",
        "",
        *(f"- {name}: {f.origin}. Licence: {f.licence}. {f.version}" for name, f in facts.items()),
        "",
        "## Not for",
        "",
        "Rows unlike those above: values outside the ranges, other places, other times. Nothing",
        "here says why two things go together.",
        "",
    ]
    return "\n".join(lines)


def _row(column: Column) -> str:
    if column.words:
        seen = ", ".join(word or "(missing)" for word in column.words[:8])
        seen += ", ..." if len(column.words) > 8 else ""
    elif column.role == "number" and column.low is not None:
        seen = f"{column.low:g} to {column.high:g}"
    else:
        seen = ""
    return f"| `{column.name}` | {column.role} | {seen} | {column.missing_fraction:.1%} |"


def _meaning(column: Column) -> str:
    if column.lookup:
        return f": row numbers of `lookups/{column.lookup}.json`"
    return f": {column.description}" if column.description else ""
