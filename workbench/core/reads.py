"""Which settings a pipeline reads, found in its syntax tree.

A typed settings class in every notebook would say the same thing twice; the code that reads
`params.window_days` is the declaration. So a misspelt key is found before anything runs, and a
key that nothing reads does not linger.
"""

from __future__ import annotations

import ast
from pathlib import Path

from workbench.core.errors import ParamsError, did_you_mean
from workbench.core.params import PARTS, Block, Params

# Which part of the block each contract function gets as `params`.
PART_OF = {
    "collect": "collect",
    "clean": "clean",
    "label": "label",
    "model": "train",
    "start": "train",
    "loss": "train",
    "evaluate": "evaluate",
    "serve": "serve",
}


def params_read(notebook: Path) -> tuple[dict[str, set[str]], set[str]]:
    """Return the keys read as `params.<key>`: by part, and those in helpers (any part)."""
    tree = ast.parse(notebook.read_text(encoding="utf-8"), str(notebook))
    by_part: dict[str, set[str]] = {part: set() for part in PARTS}
    anywhere: set[str] = set()
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        keys = {
            inner.attr
            for inner in ast.walk(node)
            if isinstance(inner, ast.Attribute)
            and isinstance(inner.value, ast.Name)
            and inner.value.id == "params"
        }
        part = PART_OF.get(node.name)
        (by_part[part] if part else anywhere).update(keys)
    return by_part, anywhere


def check_reads(params: Params, pipeline: str, notebook: Path) -> None:
    """Raise ParamsError for the first key that nothing reads, or that is read but not set."""
    block: Block = params.block(pipeline)
    by_part, anywhere = params_read(notebook)
    for part in PARTS:
        model = getattr(block, part)
        own = set(type(model).model_fields)
        given = set(getattr(model, "__pydantic_extra__", None) or {})
        read = by_part[part]
        for key in sorted(given - read - anywhere):
            raise ParamsError(
                f"Nothing reads '{pipeline}.{part}.{key}' of params.yaml."
                f"{did_you_mean(key, (read | anywhere | own) - given)}",
                fix=f"correct the key, or take it out; {notebook.name} reads: "
                f"{', '.join(sorted(read)) or 'none of its own'}",
            )
        for key in sorted(read - own - given):
            raise ParamsError(
                f"{notebook.name} reads '{key}' but params.yaml sets no '{pipeline}.{part}.{key}'.",
                fix=f"add `{key}:` under `{pipeline}: {part}:`",
            )
