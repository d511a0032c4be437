"""A person's table as a notebook shows it, and as it becomes a pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checkout import Checkout, new_checkout
from workbench.core.errors import DataError, PipelineError
from workbench.core.params import read_params
from workbench.notebook import sample
from workbench.notebook.look import Looked, columns, look
from workbench.notebook.pipeline import pipeline

HOSTILE = "<img src=x onerror='alert(1)'>"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    monkeypatch.delenv("WORKBENCH_HOME", raising=False)
    made = new_checkout(tmp_path / "checkout")
    monkeypatch.chdir(made.root)
    return made


@pytest.fixture
def wine(checkout: Checkout) -> Path:
    return sample.wines(checkout.root / "wine.csv")


def test_the_sample_is_the_same_bytes_each_time_and_as_dirty_as_it_says(wine: Path) -> None:
    again = sample.wines(wine.with_name("again.csv"))
    assert wine.read_bytes() == again.read_bytes()
    seen = look(wine, sample.TARGET)
    assert seen.found.rows == 178
    assert [leak["column"] for leak in seen.leaks()] == ["cellar"]
    uses = {row["column"]: row["use"] for row in seen.beliefs()}
    assert {uses["country"], uses["cellar"]} == {"left out"}
    read_as = {row["column"]: row["read as"] for row in seen.beliefs()}
    assert "decimal=','" in read_as["alcohol"]
    assert "%d.%m.%Y" in read_as["analysed"]
    assert any(row["missing"] > 0 for row in seen.beliefs())


def test_a_table_tells_its_columns_before_a_target_is_chosen(wine: Path) -> None:
    assert columns(wine)[-1] == sample.TARGET


def test_a_look_is_corrected_word_by_word_and_later_words_win(wine: Path) -> None:
    seen = look(wine, sample.TARGET, "drop taster")
    assert use(seen, "taster") == "left out"
    assert use(seen.correct("drop hue"), "taster") == "left out"
    assert use(seen.correct("keep taster"), "taster") == "feature"


def use(seen: Looked, column: str) -> str:
    return next(row["use"] for row in seen.beliefs() if row["column"] == column)


def test_markup_in_names_and_values_is_shown_as_text(checkout: Checkout) -> None:
    rows = [f"{n},{HOSTILE},{'yes' if n % 3 else 'no'}" for n in range(60)]
    rows[0] = f"0,{HOSTILE}b,yes"
    file = checkout.root / "<b>file.csv"
    file.write_text("\n".join([f"a,{HOSTILE},target<i>", *rows]))
    shown = look(file, "target<i>")._repr_html_()
    for markup in ("<img", "<b>file", "<i>"):
        assert markup not in shown
    assert "&lt;img" in shown


def test_what_is_agreed_on_becomes_a_pipeline(checkout: Checkout, wine: Path) -> None:
    made = look(wine, sample.TARGET, "drop taster").write("bottles", licence="CC-BY-4.0")
    assert made.name == "bottles"
    assert made.paths.notebook("bottles").exists()
    assert read_params(checkout.paths.params).block("bottles").collect.licence == "CC-BY-4.0"
    with pytest.raises(PipelineError, match="exists already"):
        look(wine, sample.TARGET).write("bottles")


def test_a_table_that_changed_since_it_was_looked_at_is_not_written(
    checkout: Checkout, wine: Path
) -> None:
    settings = checkout.paths.params.read_text()
    seen = look(wine, sample.TARGET)
    wine.write_text(wine.read_text().replace("Barbera", "Dolcetto"))
    with pytest.raises(DataError, match="changed since it was looked at"):
        seen.write("bottles")
    assert not checkout.paths.notebook("bottles").exists()
    assert checkout.paths.params.read_text() == settings


def test_a_frame_in_memory_is_sent_to_a_file_with_the_words_to_do_it() -> None:
    import pandas as pd

    with pytest.raises(DataError, match="DataFrame stands in memory") as raised:
        look(pd.DataFrame({"a": [1]}), "a")  # type: ignore[arg-type]
    assert "to_parquet" in str(raised.value)


def test_a_look_is_one_line_in_a_terminal(wine: Path) -> None:
    shown = repr(look(wine, sample.TARGET))
    assert "\n" not in shown
    assert "178 rows" in shown


def test_a_file_with_letters_of_its_own_gives_a_name_that_can_be_read(wine: Path) -> None:
    told = {"Kündigungen 2026.csv": "kuendigungen_2026", "2026.csv": "mine", "déjà.csv": "deja"}
    for file, name in told.items():
        path = wine.rename(wine.with_name(file))
        assert look(path, sample.TARGET).proposed == name
        path.rename(wine)


def test_a_pipeline_is_known_by_the_table_that_it_began_with(wine: Path) -> None:
    seen = look(wine, sample.TARGET)
    assert seen.began(seen.write("wine"))
    assert not seen.began(pipeline("small"))
    other = look(wine.rename(wine.with_name("other.csv")), sample.TARGET)
    assert not other.began(pipeline("wine"))
