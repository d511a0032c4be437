"""A source is found, described and pinned; every way to get lost ends in a sentence."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.data.sources.conftest import Reader
from workbench.core.errors import DataError, ParamsError
from workbench.core.params import Engine
from workbench.data import sources
from workbench.data.engine import connected
from workbench.data.sources.reading import checked
from workbench.data.sources.recipe import written
from workbench.data.sources.recognition import recognise

PEOPLE = "name,age\nAda,36\nGrace,85\n"


def test_a_file_inside_the_checkout_is_written_down_relative_to_it(root: Path) -> None:
    (root / "raw").mkdir()
    (root / "raw" / "people.csv").write_text(PEOPLE)
    recipe = recognise(str(root / "raw" / "people.csv"), root=root)
    assert recipe.source == "raw/people.csv"
    assert recipe.sha256 == hashlib.sha256(PEOPLE.encode()).hexdigest()


def test_a_file_elsewhere_keeps_its_whole_path(root: Path, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(PEOPLE)
    assert recognise("../people.csv", root=root).source == str(tmp_path / "people.csv")


def test_a_path_is_seen_from_here_and_then_from_the_checkout(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "people.csv").write_text(PEOPLE)
    (root / "sub").mkdir()
    monkeypatch.chdir(root / "sub")
    assert recognise("../people.csv", root=root) == recognise("people.csv", root=root)


def test_a_missing_file_brings_a_near_name(root: Path) -> None:
    (root / "people.csv").write_text(PEOPLE)
    with pytest.raises(DataError, match=r"no file poeple.csv. Did you mean 'people.csv'\?"):
        recognise("poeple.csv", root=root)
    with pytest.raises(DataError, match="no folder data either"):
        recognise("data/people.csv", root=root)


def test_a_folder_elsewhere_is_named_whole(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "all.csv").write_text(PEOPLE)
    with pytest.raises(DataError) as error:
        recognise(str(folder), root=root)
    assert f"such as {folder}/all.csv" in str(error.value.fix)


def test_a_folder_is_no_file(root: Path) -> None:
    (root / "raw").mkdir()
    (root / "raw" / "people.csv").write_text(PEOPLE)
    with pytest.raises(DataError, match="raw is a folder") as error:
        recognise("raw", root=root)
    assert "raw/people.csv" in str(error.value)


@pytest.mark.parametrize("url", ["https://example.org/x.csv?token=s3cret", "s3://bucket/x.csv"])
def test_addresses_of_files_are_to_be_downloaded_first(root: Path, url: str) -> None:
    with pytest.raises(DataError, match="download it first") as error:
        recognise(url, root=root)
    assert "s3cret" not in str(error.value)


def test_a_source_that_changed_or_went_is_refused(root: Path) -> None:
    (root / "people.csv").write_text(PEOPLE)
    recipe = recognise("people.csv", root=root)
    checked(recipe, root=root)
    (root / "people.csv").write_text(PEOPLE + "Lin,7\n")
    with pytest.raises(DataError, match=r"has changed since it was taken[\s\S]*workbench refresh"):
        checked(recipe, root=root)
    (root / "people.csv").unlink()
    with pytest.raises(DataError, match=r"is gone[\s\S]*Kept"):
        checked(recipe, root=root)


def test_the_collect_block_alone_gives_the_tables(root: Path, tmp_path: Path) -> None:
    (root / "people.csv").write_text(PEOPLE)
    recipe = recognise("people.csv", root=root)
    source = {"where": recipe.source, "format": recipe.format, "sha256": recipe.sha256}
    with connected(tmp_path / "scratch", Engine()):
        data = sources.read(source, as_of="2026-01-31", licence="CC-BY-4.0")
        described = data.write(tmp_path / "out")
    assert described["rows"]["rows"] == 2
    assert described["rows"]["facts"] == {
        "origin": "people.csv",
        "licence": "CC-BY-4.0",
        "version": f"2026-01-31 sha256 {recipe.sha256}",
        "note": "",
    }
    assert list((tmp_path / "scratch").iterdir()) == []  # nothing is left behind
    written = b"".join(p.read_bytes() for p in (tmp_path / "out").iterdir())
    assert b"scratch" not in written


def test_the_same_source_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    (root / "people.csv").write_text(PEOPLE)
    recipe = recognise("people.csv", root=root)
    for out in ("one", "two"):
        with connected(tmp_path / "scratch", Engine()):
            sources.read(written(recipe)).write(tmp_path / out)
    first, second = ((tmp_path / n / "rows.parquet").read_bytes() for n in ("one", "two"))
    assert first == second


def test_a_misspelt_setting_of_a_source_is_named(root: Path) -> None:
    (root / "people.csv").write_text(PEOPLE)
    source = written(recognise("people.csv", root=root))
    with pytest.raises(ParamsError, match=r"No setting 'delimeter'.*Did you mean 'delimiter'"):
        sources.read(source | {"delimeter": ";"})
    del source["sha256"]
    with pytest.raises(ParamsError, match="lacks 'sha256'"):
        sources.read(source)


def test_skip_is_the_only_other_word_for_bad_lines(take: Reader) -> None:
    with pytest.raises(DataError, match="say stop or skip"):
        take("x.csv", PEOPLE, bad_lines="ignore")


def test_a_table_of_a_file_makes_no_sense(take: Reader) -> None:
    with pytest.raises(DataError, match="has no table or query"):
        take("x.csv", PEOPLE, table="people")
