"""`params.yaml`, read here and nowhere else, into validated models.

Keys that the library reads are typed below. A pipeline's own keys are known from its notebook:
a key that no function of the pipeline reads is an error, and so is one that is read but not set
(see `workbench.core.reads`).
"""

from __future__ import annotations

import datetime as dt
import keyword
import re
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from workbench.core.deploy import Deploy
from workbench.core.errors import ParamsError, did_you_mean
from workbench.core.records import VERSION

FIXED = frozenset({"version", "pipelines", "engine", "site"})
"""What stands in params.yaml beside the blocks of pipelines."""

PARTS = ("collect", "clean", "label", "split", "train", "evaluate", "serve")

_UNITS = {
    "days": "days",
    "hours": "hours",
    "minutes": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "usd": "US dollars",
    "kwh": "kilowatt-hours",
    "g": "grams",
    "fraction": "a fraction of one",
}


class Part(BaseModel):
    """A block of settings; unknown attributes are an error with a suggestion."""

    model_config = ConfigDict(frozen=True, extra="allow")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        extra = self.__pydantic_extra__ or {}
        if name in extra:
            return extra[name]
        known = [*extra, *type(self).model_fields]
        raise ParamsError(
            f"No setting '{name}' in {type(self).__name__.lower()}.{did_you_mean(name, known)}",
            fix=f"add `{name}:` to this block of params.yaml",
        )


class Collect(Part):
    """What is taken from the source; `as_of` pins it, `workbench refresh` moves it."""

    as_of: dt.date


class Clean(Part):
    """Settings of the cleaning rules; all are the pipeline's own."""


class Label(Part):
    """Settings of labels and features; all are the pipeline's own."""


class Split(BaseModel):
    """How examples are divided.

    by time: the last `test_fraction` of time is test, the stretch before it valid.
    by group or hash: whole groups (or single keys) go to the side that the hash of their key says.
    gap_days: examples within this many days before a border in time are left out, for labels that
    arrive late. valid_from, test_from: borders in time as moments (ISO 8601, UTC), in place of
    fractions; `workbench refresh` writes them, so that no row changes side when new ones come.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Literal["time", "group", "hash"]
    valid_fraction: float = Field(gt=0, lt=0.5, default=0.15)
    test_fraction: float = Field(gt=0, lt=0.5, default=0.2)
    gap_days: float = Field(ge=0, default=0)
    salt: str = ""
    valid_from: str = ""
    test_from: str = ""

    @model_validator(mode="after")
    def _borders(self) -> Split:
        given = [border for border in (self.valid_from, self.test_from) if border]
        if given and (len(given) < 2 or self.by != "time"):
            raise ValueError("give both valid_from and test_from, with `by: time`, or neither")
        moments = [dt.datetime.fromisoformat(border) for border in given]
        if moments and not moments[0] < moments[1]:
            raise ValueError("valid_from lies before test_from")
        return self


class Train(Part):
    """What the training loop itself reads; a pipeline adds the settings of its model.

    schedule: of the learning rate; cosine lets it fall to zero over `epochs`.
    """

    seed: int = 0
    epochs: int = Field(gt=0, default=20)
    batch_size: int = Field(gt=0, default=1024)
    learning_rate: float = Field(gt=0, default=1e-3)
    schedule: Literal["constant", "cosine"] = "constant"
    weight_decay: float = Field(ge=0, default=1e-4)
    patience: int = Field(gt=0, default=5)
    balance: Literal["none", "sqrt", "full"] = "none"
    device: Literal["auto", "cpu", "cuda", "xpu", "mps"] = "auto"
    threads: int = Field(gt=0, default=2)


class Evaluate(Part):
    """How the bundle is judged on the test side."""

    bootstrap: int = Field(ge=0, default=500)
    seed: int = 0
    baseline_rows: int = Field(gt=0, default=200_000)


class Gates(BaseModel):
    """Bounds that a candidate must keep to be released."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = "auto"
    worse_by: float = Field(ge=0, default=0.01)
    parity: float = Field(gt=0, default=1e-4)
    model_mb: float = Field(gt=0, default=200)


class Serve(Part):
    """How answers are given; nothing here retrains."""

    gates: Gates = Gates()
    notice: str = ""


class Block(BaseModel):
    """One pipeline."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    collect: Collect
    clean: Clean = Clean()
    label: Label = Label()
    split: Split
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    serve: Serve = Serve()
    deploy: Deploy = Deploy()


class Engine(BaseModel):
    """DuckDB's limits; they never change results."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    memory_limit: str = "2GB"
    threads: int = Field(gt=0, default=2)

    @field_validator("memory_limit")
    @classmethod
    def _size(cls, value: str) -> str:
        if not re.fullmatch(r"\d+(\.\d+)?\s?(MB|GB|TB|MiB|GiB|TiB)", value):
            raise ValueError("write a size with its unit, such as 2GB")
        return value


class SiteParams(BaseModel):
    """Where work runs: grid and prices. What is not set is shown as not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grid_g_per_kwh: float | None = Field(ge=0, default=None)
    grid_source: str = ""
    grid_year: int | None = None
    pue: float = Field(ge=1, default=1.0)
    electricity_usd_per_kwh: float | None = Field(ge=0, default=None)
    hardware_usd_per_hour: float | None = Field(ge=0, default=None)
    price_source: str = ""
    price_as_of: dt.date | None = None


class Params(BaseModel):
    """The whole of `params.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    pipelines: tuple[str, ...]
    engine: Engine = Engine()
    site: SiteParams = SiteParams()
    blocks: dict[str, Block]

    def block(self, pipeline: str) -> Block:
        """Settings of one pipeline; ParamsError if it has none."""
        if pipeline not in self.blocks:
            raise ParamsError(
                f"No pipeline '{pipeline}' in params.yaml.{did_you_mean(pipeline, self.blocks)}"
            )
        return self.blocks[pipeline]


def read_params(path: Path) -> Params:
    """Read and check `params.yaml`; ParamsError names the key, what is wrong and what is meant."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" line {where.line + 1}" if where else ""
        raise ParamsError(
            f"{path.name}{line} is not YAML: {getattr(error, 'problem', error)}.",
            fix="mend that line; nothing was run",
        ) from None
    if not isinstance(raw, dict):
        raise ParamsError(f"{path.name} is empty or not a mapping of names to settings.")
    if raw.get("version") != VERSION:
        raise ParamsError(
            f"{path.name} has version {raw.get('version')!r}; this workbench reads {VERSION}.",
            fix="set `version: 1`"
            if "version" not in raw
            else "use the workbench it was made with",
        )
    listed = raw.get("pipelines") or []
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise ParamsError("`pipelines` in params.yaml is a list of names.")
    for name in listed:
        check_name(name)
        if name not in raw:
            raise ParamsError(
                f"Pipeline '{name}' is listed in params.yaml but has no block there.",
                fix=f"add a block `{name}:` or take it from `pipelines:`",
            )
    blocks = {name: value for name, value in raw.items() if name not in FIXED}
    for name in blocks:
        if name not in listed:
            raise ParamsError(
                f"Unknown key '{name}' in params.yaml.{did_you_mean(name, [*FIXED, *listed])}",
                fix="a pipeline's block must also be listed under `pipelines:`",
            )
    for name, block in blocks.items():
        _check_units(name, block)
    content = {key: value for key, value in raw.items() if key in FIXED}
    content["pipelines"] = listed
    try:
        return Params.model_validate({**content, "blocks": blocks})
    except ValidationError as error:
        raise ParamsError(_sentence(error, raw)) from None


def check_name(name: str) -> None:
    """Raise ParamsError when `name` cannot name a pipeline."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ParamsError(f"'{name}' cannot name a pipeline: use lower-case letters, digits and _.")
    if name in FIXED or keyword.iskeyword(name):
        raise ParamsError(f"'{name}' has a meaning of its own.", fix="choose another name")


def require_parts(params: Params, pipeline: str) -> None:
    """Raise ParamsError if a part of the pipeline's block is not written down.

    DVC asks for every part that a stage depends on, and would ask after the stages before it.
    """
    written = params.block(pipeline).model_fields_set
    for part in PARTS:
        if part not in written:
            raise ParamsError(
                f"params.yaml lacks '{pipeline}.{part}'.",
                fix=f"write `{part}: {{}}` there if nothing is set",
            )


P = TypeVar("P", bound=BaseModel)


def part_of(path: Path, pipeline: str, model: type[P]) -> P:
    """Read one part of one pipeline's block, such as `Train`.

    A stage reads its own part only, so that a new setting of another part changes nothing for it.
    The whole file is checked by `read_params` before any stage runs.
    """
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    return model.model_validate((raw.get(pipeline) or {}).get(model.__name__.lower()) or {})


def engine_of(path: Path) -> Engine:
    """Read DuckDB's limits."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Engine.model_validate(raw.get("engine") or {})


def _sentence(error: ValidationError, raw: dict[str, Any]) -> str:
    """Turn pydantic's first complaint into one sentence about a key."""
    first = error.errors()[0]
    steps = [str(step) for step in first["loc"] if step != "blocks"]
    where = ".".join(steps)
    if first["type"] == "extra_forbidden":
        return f"Unknown key '{where}' in params.yaml.{did_you_mean(steps[-1], _known(steps))}"
    if first["type"] == "missing":
        return f"params.yaml lacks '{where}'."
    value = first.get("input")
    return f"'{where}: {value}' in params.yaml: {first['msg'].removeprefix('Value error, ')}."


def _known(steps: list[str]) -> list[str]:
    """Keys that are valid beside the last of `steps`."""
    fixed: dict[str, type[BaseModel]] = {"engine": Engine, "site": SiteParams}
    if steps[0] in fixed:
        return list(fixed[steps[0]].model_fields)
    model: type[BaseModel] = Block
    for step in steps[1:-1]:
        inner = model.model_fields[step].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)


def _check_units(where: str, value: Any) -> None:
    """A key that ends in a unit holds a plain number in that unit; a date is in quotes."""
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        name = f"{where}.{key}"
        if isinstance(inner, dt.date):
            # DVC writes params as JSON for its run cache, and JSON has no dates.
            raise ParamsError(
                f"'{name}: {inner}' in params.yaml: put the date in quotes.",
                fix=f'write `{key}: "{inner}"`',
            )
        unit = _UNITS.get(str(key).rsplit("_", 1)[-1]) if "_" in str(key) else None
        is_number = isinstance(inner, int | float) and not isinstance(inner, bool)
        is_numbers = isinstance(inner, list) and all(isinstance(x, int | float) for x in inner)
        if unit and inner is not None and not (is_number or is_numbers):
            raise ParamsError(f"'{name}: {inner}' in params.yaml: give a plain number, in {unit}.")
        _check_units(name, inner)
