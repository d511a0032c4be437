"""What a person says against a look, a line each."""

from __future__ import annotations

import pytest

from workbench.core.errors import DataError
from workbench.data.kinds import Date, Number, Text, Word
from workbench.data.look.beliefs import Corrections
from workbench.notebook.corrections import HELP, all_corrected, corrected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("drop a 'b c'", Corrections(drop=("a", "b c"))),
        ("keep id", Corrections(keep=("id",))),
        ("only a b", Corrections(only=("a", "b"))),
        ("number price", Corrections(kinds={"price": Number()})),
        ("number price ,", Corrections(kinds={"price": Number(decimal=",")})),
        ("number price , .", Corrections(kinds={"price": Number(decimal=",", thousands=".")})),
        ("date day %d.%m.%Y iso", Corrections(kinds={"day": Date(("%d.%m.%Y", "iso"))})),
        ("date day", Corrections(kinds={"day": Date()})),
        ("word zip", Corrections(kinds={"zip": Word()})),
        ("text note", Corrections(kinds={"note": Text()})),
        ("key shop day", Corrections(key=("shop", "day"))),
        ("key none", Corrections(key=())),
        ("time day", Corrections(time="day")),
        ("time none", Corrections(time="")),
        ("group none", Corrections(group="")),
        ('positive "left us"', Corrections(positive="left us")),
        ("task regression", Corrections(task="regression")),
    ],
)
def test_each_word_says_what_its_help_says(line: str, said: Corrections) -> None:
    assert corrected(Corrections(), line) == said


def test_every_word_of_the_help_is_tried_above() -> None:
    words = {line.split()[0] for line in HELP.splitlines()}
    tried = test_each_word_says_what_its_help_says.pytestmark[0].args[1]
    assert words == {line.split()[0] for line, _ in tried}


def test_the_later_line_wins() -> None:
    said = all_corrected(["drop a b", "keep a", "word zip", "number zip", "time x", "time none"])
    assert said == Corrections(drop=("b",), keep=("a",), kinds={"zip": Number()}, time="")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("wrod zip", r"'wrod' is no correction. Did you mean 'word'\?"),
        ("drop", "`drop` needs a name after it"),
        ("time left us", r"`time` takes one value, and 2 were given[\s\S]*\"left us\""),
        ('drop "open', "is not understood"),
        ("number price xx", "decimal mark 'xx'"),
        ("date day DD.MM.YYYY", "'DD.MM.YYYY' is no format of a date"),
    ],
)
def test_what_is_not_understood_is_said(line: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        corrected(Corrections(), line)


def test_patterns_name_columns_and_a_name_with_a_star_is_a_name() -> None:
    columns = ["gene_1", "gene_2", "a*", "ab"]
    said = all_corrected(["drop gene_*", "keep a*"]).among(columns)
    assert said.drop == ("gene_1", "gene_2")
    assert said.keep == ("a*",)
    with pytest.raises(DataError, match=r"names column 'none_\*'"):
        all_corrected(["only none_*"]).among(columns).check(columns, "y")


@pytest.mark.parametrize("line", ["task guess", "positive 3"])
def test_values_are_judged_by_the_look_and_not_here(line: str) -> None:
    assert corrected(Corrections(), line) != Corrections()
