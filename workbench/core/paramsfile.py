"""`params.yaml` as the text that a person keeps: changed in place, comments and order untouched."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.core.errors import ParamsError
from workbench.core.files import write_text
from workbench.core.params import PARTS, Params, read_params

_WIDE = 4096
"""Columns beyond which a line would be broken: never."""


def add_pipeline(path: Path, name: str, block: Mapping[str, Any]) -> Params:
    """List pipeline `name` and append its block; returns the settings as they then are.

    The file is replaced only if what results can be read. ParamsError where `name` is taken.
    """

    def change(content: Any) -> None:
        if name in content:
            raise ParamsError(
                f"params.yaml already has a block '{name}'.", fix="choose another name"
            )
        if content.get("pipelines") is None:
            content["pipelines"] = []
        content["pipelines"].append(name)
        content[name] = {part: _quoted(block.get(part, {})) for part in PARTS}

    return _change(path, change, before=name)


def set_values(path: Path, pipeline: str, values: Mapping[str, Any]) -> Params:
    """Set values by dotted name within a pipeline's block, such as `collect.as_of`.

    None takes the setting out.
    """

    def change(content: Any) -> None:
        for dotted, value in values.items():
            place = content[pipeline]
            *parents, key = dotted.split(".")
            for parent in parents:
                if not isinstance(place.get(parent), dict):
                    place[parent] = {}
                place = place[parent]
            if value is None:
                place.pop(key, None)
            else:
                _put(place, key, _quoted(value))

    return _change(path, change)


def _change(path: Path, change: Any, before: str = "") -> Params:
    """Load, change, try by reading it as `workbench` will, then replace the file."""
    from ruamel.yaml import YAML

    read_params(path)  # a broken file is told as such, before it is touched
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _WIDE
    text = path.read_text(encoding="utf-8")
    content = yaml.load(text)
    change(content)
    if before:
        content.yaml_set_comment_before_after_key(before, before="\n")
    written = io.StringIO()
    yaml.dump(content, written)
    aside = path.with_name(f".{path.name}.new")
    try:
        write_text(aside, written.getvalue())
        params = read_params(aside)
        write_text(path, written.getvalue())
    finally:
        aside.unlink(missing_ok=True)
    return params


def _put(place: Any, key: str, value: Any) -> None:
    """Set a value; a text keeps the quotes that it had."""
    before = place.get(key)
    quoted = isinstance(before, str) and type(before) is not str and type(value) is str
    place[key] = type(before)(value) if quoted else value


def _quoted(value: Any) -> Any:
    """Plain values as a person would write them: lists in a line, quotes only where needed."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, Mapping):
        return CommentedMap({key: _quoted(inner) for key, inner in value.items()})
    if isinstance(value, list | tuple):
        listed = CommentedSeq([_quoted(inner) for inner in value])
        listed.fa.set_flow_style()
        return listed
    if isinstance(value, str) and not _is_plain(value):
        return DoubleQuotedScalarString(value)
    return value


def _is_plain(text: str) -> bool:
    """Whether YAML reads the bare text as itself: not so `yes`, 2026-11-24 and `a: b`."""
    import yaml

    try:
        return yaml.safe_load(text) == text and "\n" not in text
    except yaml.YAMLError:
        return False
