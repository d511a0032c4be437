"""A checkout folder, and a source in it read through and through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.core.params import Engine
from workbench.data.engine import connected
from workbench.data.sources.reading import read
from workbench.data.sources.recipe import Notes, Recipe
from workbench.data.sources.recognition import recognise

Reader = Callable[..., "Taken"]


class Taken:
    """What came of a source: its recipe, its notes, the names and the rows."""

    def __init__(self, recipe: Recipe, notes: Notes, table: Any) -> None:
        self.recipe, self.notes = recipe, " ".join(notes.sentences)
        self.columns = list(table.columns)
        self.kinds = {name: str(kind) for name, kind in table.schema().items()}
        frame = table.to_pyarrow()
        self.rows = list(zip(*(c.to_pylist() for c in frame.columns), strict=True))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "params.yaml").write_text("version: 1\n")
    monkeypatch.chdir(checkout)
    return checkout


@pytest.fixture
def take(root: Path, tmp_path: Path) -> Iterator[Reader]:
    """Recognise a source and read it: `take("a.csv", b"...")` or `take("sqlite:///x.db")`."""
    with connected(tmp_path / "scratch", Engine()):

        def taken(where: str, content: bytes | str | None = None, **options: Any) -> Taken:
            if content is not None:
                data = content.encode() if isinstance(content, str) else content
                (root / where).write_bytes(data)
            notes = Notes()
            recipe = recognise(where, root=root, notes=notes, **options)
            table = read(recipe, root=root, scratch=tmp_path / "scratch", notes=notes)
            return Taken(recipe, notes, table)

        yield taken
