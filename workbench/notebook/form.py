"""A bundle as a form: a field for each of its columns, and what it answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.core.records import Column

MOST_FIELDS = 24
MOST_WORDS = 200


def fields(bundle: Any) -> Any:
    """A marimo dictionary of one element a column, filled with the example row of a `wb.Bundle`.

    Of many columns the first MOST_FIELDS are shown; the others keep the example's values.
    """
    import marimo as mo

    example = bundle.signature.example
    shown = [c for c in bundle.signature.inputs if c.role in ("number", "word", "time", "text")]
    elements = {c.name: _field(c, example.get(c.name)) for c in shown[:MOST_FIELDS]}
    return mo.ui.dictionary(elements)


def ask(bundle: Any, values: Mapping[str, Any]) -> Any:
    """The answer of `bundle` to the example row with `values` put in, as marimo shows it."""
    import marimo as mo

    row = bundle.signature.example | {name: _sent(value) for name, value in values.items()}
    answer = bundle.named(bundle.predict({name: [value] for name, value in row.items()}))
    signature = bundle.signature
    if signature.task == "binary":
        said = "yes" if answer["decision"][0] else "no"
        return mo.stat(
            f"{answer['score'][0]:.1%}", label=signature.target, caption=said, bordered=True
        )
    if signature.task == "multiclass":
        ranked = sorted(
            zip(answer["scores"][0], signature.classes, strict=True), key=lambda pair: -pair[0]
        )
        likely = [f"{name}: {score:.1%}" for score, name in ranked[:5]]
        return mo.stat(
            answer["class"][0], label=signature.target, caption=" · ".join(likely), bordered=True
        )
    return mo.vstack(
        [mo.stat(f"{values[0]:.4g}", label=name, bordered=True) for name, values in answer.items()]
    )


def _field(column: Column, value: Any) -> Any:
    import marimo as mo

    label = _label(column.name)
    if column.role == "word" and column.words and len(column.words) <= MOST_WORDS:
        words = sorted({*column.words, *([value] if value else [])})
        return mo.ui.dropdown(words, value=value or None, label=label, allow_select_none=True)
    if column.role == "number":
        return mo.ui.number(value=value, label=label)
    if column.role == "time":
        return mo.ui.datetime(value=_moment(value), label=label)
    return mo.ui.text(value=str(value or ""), label=label, full_width=True)


def _moment(value: Any) -> dt.datetime:
    """A moment of an example row: ISO 8601, or seconds since 1970."""
    if isinstance(value, str):
        return dt.datetime.fromisoformat(value).replace(tzinfo=None)
    return dt.datetime.fromtimestamp(int(value or 0), dt.UTC).replace(tzinfo=None)


def _label(name: str) -> str:
    """A column's name in a label, which marimo reads as Markdown: signs stand for themselves."""
    from html import escape

    return "".join(f"&#{ord(c)};" if c in "\\`*_{}[]()#+-.!|$<>~:" else c for c in escape(name))


def _sent(value: Any) -> Any:
    """A field's value as a client sends it: moments in ISO 8601."""
    return value.isoformat() if isinstance(value, dt.datetime) else value
