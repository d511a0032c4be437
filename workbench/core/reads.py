"""Which settings a pipeline reads, found in its syntax tree.

A typed settings class in every notebook would say the same thing twice; the code that reads
`params.window_days` is the declaration. So a misspelt key is found before anything runs, and a
key that nothing reads does not linger.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.core.errors import ParamsError, did_you_mean
from workbench.core.params import PARTS, Params

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


@dataclass(frozen=True)
class Misfit:
    """A setting that nothing reads, one that is read but not set, or both where they are near.

    key: below the pipeline's block, such as `clean.max_km`. line: of the notebook, None where only
    params.yaml is to be changed.
    """

    key: str
    line: int | None
    error: ParamsError


def params_read(notebook: Path) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Return keys read as `params.<key>` with their first line: by part, and those in helpers."""
    tree = ast.parse(notebook.read_text(encoding="utf-8"), str(notebook))
    by_part: dict[str, dict[str, int]] = {part: {} for part in PARTS}
    anywhere: dict[str, int] = {}
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        part = PART_OF.get(node.name)
        found = by_part[part] if part else anywhere
        for inner in ast.walk(node):
            if (
                isinstance(inner, ast.Attribute)
                and isinstance(inner.value, ast.Name)
                and inner.value.id == "params"
            ):
                found[inner.attr] = min(inner.lineno, found.get(inner.attr, inner.lineno))
    return by_part, anywhere


def check_reads(params: Params, pipeline: str, notebook: Path) -> None:
    """Raise ParamsError for the first key that nothing reads, or that is read but not set."""
    for misfit in misfits(params, pipeline, notebook):
        raise misfit.error


def misfits(params: Params, pipeline: str, notebook: Path) -> Iterator[Misfit]:
    """Yield what does not fit between a pipeline's block of params.yaml and its notebook."""
    block = params.block(pipeline)
    by_part, anywhere = params_read(notebook)
    models = {part: getattr(block, part) for part in PARTS}
    own = {part: set(type(model).model_fields) for part, model in models.items()}
    given = {
        part: set(getattr(model, "__pydantic_extra__", None) or {})
        for part, model in models.items()
    }
    set_somewhere = set().union(*own.values(), *given.values())
    stray = {key: line for key, line in anywhere.items() if key not in set_somewhere}
    for part in PARTS:
        read = by_part[part]
        unset = {key: line for key, line in read.items() if key not in own[part] | given[part]}
        for key in sorted(given[part] - read.keys() - anywhere.keys()):
            where = f"{part}.{key}"
            near = difflib.get_close_matches(key, sorted({*unset, *stray}), n=1)
            if near:
                line = unset.pop(near[0], None) or stray[near[0]]
                yield Misfit(where, line, _two_spellings(pipeline, where, near[0], notebook, line))
            else:
                known = {*read, *anywhere, *own[part]} - given[part]
                yield Misfit(where, None, _unread(pipeline, where, known, set(read), notebook))
        for key, line in sorted(unset.items()):
            yield Misfit(f"{part}.{key}", line, _unset(pipeline, part, key, notebook, line))


def _two_spellings(pipeline: str, where: str, read: str, notebook: Path, line: int) -> ParamsError:
    """Which of the two is wrong only their writer knows."""
    return ParamsError(
        f"{notebook.name}:{line} reads `{read}`, params.yaml sets `{where.rpartition('.')[2]}` "
        f"(as '{pipeline}.{where}').",
        fix="make them the same",
    )


def _unread(
    pipeline: str, where: str, known: set[str], read: set[str], notebook: Path
) -> ParamsError:
    key = where.rpartition(".")[2]
    return ParamsError(
        f"Nothing reads '{pipeline}.{where}' of params.yaml.{did_you_mean(key, known)}",
        fix=f"correct the key, or take it out; {notebook.name} reads: "
        f"{', '.join(sorted(read)) or 'none of its own'}",
    )


def _unset(pipeline: str, part: str, key: str, notebook: Path, line: int) -> ParamsError:
    return ParamsError(
        f"{notebook.name}:{line} reads '{key}' but params.yaml sets no '{pipeline}.{part}.{key}'.",
        fix=f"add `{key}:` under `{pipeline}: {part}:` in params.yaml, or correct the notebook",
    )
