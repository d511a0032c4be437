"""How a source is read, and what there is to say about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from workbench.core.errors import ParamsError, did_you_mean

BadLines = Literal["stop", "skip"]
WHERE = "where"
"""The name of `Recipe.source` in params.yaml, where `source` is the whole."""

Format = Literal["csv", "parquet", "jsonl", "database"]


@dataclass(frozen=True)
class Recipe:
    """How a source is read, the same way each time; written into params.yaml under `collect`.

    source: path, relative to the checkout where it is inside it; or an SQLAlchemy URL without a
    password. sha256: of the bytes of a file; of a database, of the rows read, in a total order.
    quote: "" where nothing is quoted. skip_lines: lines of text before the header. table, query:
    of a database, one of the two. bad_lines: `stop` names the first malformed line, `skip` counts
    them.
    """

    source: str
    format: Format
    sha256: str
    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    header: bool = True
    skip_lines: int = 0
    table: str = ""
    query: str = ""
    bad_lines: BadLines = "stop"

    def place(self, root: Path) -> Path:
        """The file, where the source is one."""
        return root / self.source

    @property
    def shown(self) -> str:
        """The source in a sentence: the name of a file, the address of a database."""
        return self.source if self.format == "database" else Path(self.source).name


def recipe_of(settings: Mapping[str, Any]) -> Recipe:
    """Return the recipe that `collect.source` of params.yaml holds."""
    known = [WHERE, *(one.name for one in fields(Recipe) if one.name != "source")]
    for name in settings:
        if name not in known:
            raise ParamsError(f"No setting '{name}' in collect.source.{did_you_mean(name, known)}")
    for name in (WHERE, "format", "sha256"):
        if name not in settings:
            raise ParamsError(
                f"params.yaml lacks '{name}' in collect.source.",
                fix="`workbench new` writes it: begin again, or add it to this block by hand",
            )
    rest = {name: value for name, value in settings.items() if name != WHERE}
    return Recipe(source=settings[WHERE], **rest)


def written(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as `collect.source` of params.yaml: what differs from the usual."""
    rest = {
        one.name: getattr(recipe, one.name)
        for one in fields(Recipe)
        if one.name != "source" and getattr(recipe, one.name) != one.default
    }
    return {WHERE: recipe.source, **rest}


@dataclass
class Notes:
    """What reading guessed, changed or left out: a sentence each, in the order of its finding."""

    sentences: list[str] = field(default_factory=list)

    def say(self, sentence: str) -> None:
        if sentence not in self.sentences:  # a source is recognised and read, and says it once
            self.sentences.append(sentence)
