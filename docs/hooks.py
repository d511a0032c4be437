"""MkDocs hook: fills the reference pages from the program itself, so that they cannot drift.

A line `<!-- made: NAME -->` of a page is replaced by what `MADE[NAME]` returns.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from types import NoneType
from typing import Any, Literal, Union, get_args, get_origin

import typer.main
from pydantic import BaseModel

import workbench
from workbench.cli.main import app
from workbench.core.check import ARGUMENTS, REQUIRED
from workbench.core.deploy import Deploy
from workbench.core.fingerprint import STAGE_FUNCTIONS
from workbench.core.params import PARTS, Block, Engine, Gates, Part, SiteParams
from workbench.core.reads import PART_OF

_BRACES = re.compile(r"[{\[](?!OPTIONS)(\w+)[}\]]")
_MARK = re.compile(r"^<!-- made: (\w+) -->$", re.M)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put what was asked for in place of each mark; KeyError for a mark that nothing makes."""
    return _MARK.sub(lambda mark: MADE[mark[1]](), markdown)


def commands() -> str:
    """Every command: its usage, what it does, its arguments and options."""
    group = typer.main.get_command(app)
    parts = ["## workbench", f"{group.help}", _options(group.params)]
    for name, command in all_commands(group).items():
        context = typer.main.get_command(app).make_context("workbench", [name])
        usage = _BRACES.sub(
            lambda m: m[0].upper().strip("{}"), " ".join(command.collect_usage_pieces(context))
        )
        parts += [
            f"## workbench {name}",
            str(command.help),
            f"```text\nworkbench {name} {usage}\n```",
            _options(command.params),
        ]
    return "\n\n".join(part for part in parts if part)


def all_commands(group: Any, before: str = "") -> dict[str, Any]:
    """Commands by name, and those of a group below it: `keys`, `keys add`."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        found[before + name] = command
        if hasattr(command, "commands"):
            found |= all_commands(command, f"{before}{name} ")
    return found


def _options(params: list[Any]) -> str:
    rows = [
        "| argument or option | what it is | default |",
        "| --- | --- | --- |",
    ]
    for param in params:
        is_option = param.param_type_name == "option"
        names = ", ".join([*param.opts, *param.secondary_opts]) if is_option else param.name.upper()
        shown = "required" if param.required else _shown(param.default)
        rows.append(f"| `{names}` | {_cell(param.help or param.name)} | {shown} |")
    return "\n".join(rows) if params else ""


def _shown(value: Any) -> str:
    return "" if value is None or value == "" or value is False else f"`{value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def names() -> str:
    """Every name of `import workbench as wb`, by its docstring."""
    return "\n\n".join(f"::: {home}.{name}" for name, home in sorted(workbench._HOMES.items()))


def contract() -> str:
    """The functions of a pipeline: arguments, settings, stages that call them."""
    rows = [
        "| function | must be there | `params` is | called by |",
        "| --- | --- | --- | --- |",
    ]
    for name, arguments in ARGUMENTS.items():
        stages = ", ".join(stage for stage, called in STAGE_FUNCTIONS.items() if name in called)
        part = f"`{PART_OF[name]}`" if "params" in arguments else "not given"
        must = "yes" if name in REQUIRED else "no"
        rows.append(f"| `{name}({', '.join(arguments)})` | {must} | {part} | {stages} |")
    return "\n".join(rows)


def params() -> str:
    """Every key of `params.yaml` that the library itself reads."""
    sections: list[tuple[str, type[BaseModel]]] = [("engine", Engine), ("site", SiteParams)]
    sections += [(f"PIPELINE.{part}", _model(Block, part)) for part in PARTS]
    sections.append(("PIPELINE.serve.gates", Gates))
    sections += [(f"PIPELINE.deploy.{name}", _model(Deploy, name)) for name in Deploy.model_fields]
    return "\n\n".join("\n\n".join(_section(where, model)) for where, model in sections)


def _model(block: type[BaseModel], part: str) -> type[BaseModel]:
    found = block.model_fields[part].annotation
    assert isinstance(found, type)  # each part is a model
    return found


def _section(where: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"### {where}"
    yield inspect.cleandoc(model.__doc__ or "").replace("\n", "  \n")
    if issubclass(model, Part):
        yield "A pipeline adds keys of its own here."
    rows = [
        f"| `{name}` | {_cell(_kind(field.annotation))} | {_default(field)} |"
        for name, field in model.model_fields.items()
    ]
    if rows:
        yield "\n".join(["| key | value | default |", "| --- | --- | --- |", *rows])


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    if isinstance(field.default, BaseModel):
        return "see below"
    return "not set" if field.default in (None, "") else f"`{field.default}`"


def _kind(annotation: Any) -> str:
    """A type as a person would say it."""
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) is Union or isinstance(annotation, type(int | str)):
        return " or ".join(_kind(a) for a in get_args(annotation) if a is not NoneType)
    said = {"str": "text", "int": "whole number", "float": "number", "date": "date in quotes"}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "settings of its own"
    return said.get(getattr(annotation, "__name__", ""), str(annotation))


MADE = {"commands": commands, "names": names, "contract": contract, "params": params}
