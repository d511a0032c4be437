"""Names of columns are unique for DuckDB, readable, and changed as little as may be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.data.sources.conftest import Reader
from workbench.data.sources.names import clean_names
from workbench.data.sources.recipe import Notes


def test_names_are_trimmed_numbered_and_told_apart() -> None:
    notes = Notes()
    names = clean_names([" id ", "Name", "", "name", "NAME", "name_2", "a\nb\x00\x07"], notes)
    assert names == ("id", "Name", "column_3", "name_3", "NAME_4", "name_2", "a b")
    assert "Column 3 has no name in the source" in " ".join(notes.sentences)


def test_good_names_are_kept_in_silence() -> None:
    notes = Notes()
    kept = ["😀", "<b>bold</b>", 'say "hi"', "o'clock", "naïve café", "a;DROP TABLE x", "👩‍💻"]
    assert clean_names(kept, notes) == tuple(kept)
    assert notes.sentences == []


def test_many_changes_are_summed_up() -> None:
    notes = Notes()
    clean_names(["x"] * 30, notes)
    assert len(notes.sentences) == 6
    assert "24 more" in notes.sentences[-1]


@given(st.lists(st.text(max_size=8), min_size=1, max_size=12))
def test_names_are_always_unique_printable_and_the_same_again(raw: list[str]) -> None:
    names = clean_names(raw, Notes())
    assert len({name.lower() for name in names}) == len(raw)
    assert all(name and name == name.strip() for name in names)
    assert clean_names(names, Notes()) == names


def test_emoji_markup_and_quotes_in_names_reach_the_table(take: Reader) -> None:
    header = '😀,<script>alert(1)</script>,"say ""hi""",o\'clock,"two\nlines",A,a,'
    taken = take("x.csv", header + "\n1,2,3,4,5,6,7,8\n9,9,9,9,9,9,9,9\n")
    assert taken.columns == [
        "😀",
        "<script>alert(1)</script>",
        'say "hi"',
        "o'clock",
        "two lines",
        "A",
        "a_2",
        "column_8",
    ]
    assert taken.rows[0] == tuple("12345678")
