"""A table becomes a notebook and its settings: both or neither, and every side gets its share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import own_tables as tables
from tests.checkout import Checkout, new_checkout
from workbench.core.errors import ParamsError
from workbench.core.params import read_params
from workbench.data.look.looking import look
from workbench.notebook import begin


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    made = new_checkout(tmp_path_factory.mktemp("begin") / "checkout")
    yield made
    made.close()


def test_when_params_cannot_be_written_no_notebook_is_left(
    desk: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.as_csv(desk.root / "few.csv", tables.tiny("binary"))
    text = desk.paths.params.read_text()
    monkeypatch.chdir(desk.root)
    try:
        with begin.opened(desk.paths, "few.csv") as source:
            seen = look(source.table, "answer")
            # Meanwhile, in an editor:
            desk.paths.params.write_text(text + "  x: [\n")
            with pytest.raises(ParamsError):
                begin.begin(desk.paths, "few", source, seen, licence="ours")
    finally:
        desk.paths.params.write_text(text)
    assert not desk.paths.notebook("few").exists()
    with begin.opened(desk.paths, "few.csv") as source:
        begin.begin(desk.paths, "few", source, seen, licence="ours")
    assert desk.paths.notebook("few").exists()
    assert read_params(desk.paths.params).block("few").split.by == "group"


@pytest.mark.parametrize("rare", [5, 8])
def test_a_rare_class_among_many_rows_reaches_every_side(
    desk: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rare: int
) -> None:
    from workbench.data.examples import Spec
    from workbench.data.splits import SIDE, assign

    rows = [
        {"id": f"k{n}", "x": n % 7, "answer": "rare" if n < rare else "ab"[n % 2]}
        for n in range(2000)
    ]
    path = tables.as_csv(tmp_path / "rare.csv", rows)
    monkeypatch.chdir(desk.root)
    with begin.opened(desk.paths, str(path)) as source:
        seen = look(source.table, "answer")
        assert seen.key == ("id",)
        split = (
            read_params(desk.paths.params)
            .block("small")
            .split.model_copy(update=begin.block(source, seen, licence="")["split"])
        )
        spec = Spec(key=("id",), roles={}, targets=("answer",))
        sided, _ = assign(source.table, spec, split)
        found = sided.filter(sided.answer == "rare").select(SIDE).distinct().to_pyarrow()
    assert set(found[SIDE].to_pylist()) == {"train", "valid", "test"}
