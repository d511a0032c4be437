"""CSV as people have it is read as it is written, or refused in a sentence."""

from __future__ import annotations

import gzip

import pytest

from tests.data.sources.conftest import Reader
from workbench.core.errors import DataError

PEOPLE = "name,age,town\nAda,36,London\nGrace,85,\nLin, 7 ,Köln\n"


def test_every_field_is_text_as_written_and_an_empty_one_is_missing(take: Reader) -> None:
    taken = take("people.csv", 'a,b,c\n007,1e3,"x,\ny"\n, 5 ,""\nNA,null,"say ""hi"""\n')
    assert taken.kinds == {"a": "string", "b": "string", "c": "string"}
    assert taken.rows == [
        ("007", "1e3", "x,\ny"),
        (None, " 5 ", None),
        ("NA", "null", 'say "hi"'),
    ]


@pytest.mark.parametrize("sign", [",", ";", "\t", "|", "^", "~", "\x1f", "¦"])
def test_the_delimiter_is_found(take: Reader, sign: str) -> None:
    taken = take("x.txt", PEOPLE.replace(",", sign))
    assert taken.recipe.delimiter == sign
    assert taken.rows[2] == ("Lin", " 7 ", "Köln")


def test_decimal_commas_do_not_pass_for_delimiters(take: Reader) -> None:
    taken = take("x.csv", "a;b\n1,5;2,5\n3,5;4,5\n")
    assert (taken.recipe.delimiter, taken.rows[0]) == (";", ("1,5", "2,5"))
    assert take("one.csv", "price\n1,5\n2,5\n").rows == [("1,5",), ("2,5",)]


def test_one_column_of_prose_stays_one_column(take: Reader) -> None:
    taken = take("x.csv", "comment\nwell, hello\nno\nthis; and that\n")
    assert taken.rows == [("well, hello",), ("no",), ("this; and that",)]


def test_columns_of_numbers_parted_by_blanks_are_columns(take: Reader) -> None:
    assert take("x.dat", "x y\n1 2\n3 4\n").rows == [("1", "2"), ("3", "4")]


def test_a_delimiter_that_a_person_gives_is_followed(take: Reader) -> None:
    assert take("x.csv", "a;b,c\n1;2,3\n", delimiter="semicolon").columns == ["a", "b,c"]
    with pytest.raises(DataError, match=r"holds no '\|'"):
        take("x.csv", delimiter="|")
    with pytest.raises(DataError, match="not one character"):
        take("x.csv", delimiter="||")


def test_single_quotes_are_found(take: Reader) -> None:
    taken = take("x.csv", "a,b\n'x, y',1\n'it''s',2\n'z',3\n")
    assert (taken.recipe.quote, taken.rows[1]) == ("'", ("it's", "2"))


def test_lines_before_the_header_are_left_out_and_said(take: Reader) -> None:
    top = '"Report, of\nlast year"\n\n# made by hand\n'
    taken = take("x.csv", top + "a;b\n1;2\n3;4\n")
    assert (taken.recipe.skip_lines, taken.columns) == (4, ["a", "b"])
    assert taken.rows == [("1", "2"), ("3", "4")]
    assert "begins in line 5" in taken.notes


def test_excels_line_that_names_the_delimiter_is_no_row(take: Reader) -> None:
    assert take("x.csv", "sep=;\r\na;b\r\n1;2\r\n").rows == [("1", "2")]


def test_a_file_without_a_header_gets_numbered_columns(take: Reader) -> None:
    taken = take("x.csv", "1,2.5,red\n2,3.5,blue\n3,1.5,red\n")
    assert taken.columns == ["column_1", "column_2", "column_3"]
    assert len(taken.rows) == 3
    assert "columns are numbered" in taken.notes


def test_years_as_names_are_a_header(take: Reader) -> None:
    assert take("x.csv", "city,2019,2020\nRome,1,2\nOslo,3,4\n").columns == ["city", "2019", "2020"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_any_system_are_read(take: Reader, end: str) -> None:
    assert take("x.csv", end.join(["a,b", "1,2", "3,4"])).rows == [("1", "2"), ("3", "4")]


def test_mixed_line_ends_are_read(take: Reader) -> None:
    assert take("x.csv", "a,b\r\n1,2\n3,4\r\n5,6\n").rows == [("1", "2"), ("3", "4"), ("5", "6")]


def test_gzip_is_unpacked_whatever_the_name(take: Reader) -> None:
    assert take("x.csv", gzip.compress(PEOPLE.encode())).rows[0] == ("Ada", "36", "London")


def test_a_cut_off_gzip_is_said(take: Reader) -> None:
    whole = gzip.compress("".join(f"{n},{n * n}\n" for n in range(9000)).encode())
    with pytest.raises(DataError, match="damaged or cut-off gzip"):
        take("x.csv.gz", whole[:-200])


def test_names_with_brackets_stars_and_quotes_are_only_names(take: Reader) -> None:
    assert take("it's [1]*.csv", PEOPLE).rows[0] == ("Ada", "36", "London")


def test_a_line_with_too_many_or_few_fields_stops_with_its_number_in_the_file(take: Reader) -> None:
    rows = [f'{n},"x\ny"' for n in range(2000)]
    with pytest.raises(DataError, match=r"Line 4002 of x.csv has 3 fields where 2 are expected"):
        take("x.csv", "\n".join(["a,b", *rows, "1,2,3", "4,5", ""]))
    with pytest.raises(DataError, match=r"Line 5 of y.csv has 1 field where 3 are expected"):
        take("y.csv", "# top\n\na,b,c\n1,2,3\n4\n1,2,3\n")


def test_malformed_lines_are_left_out_and_counted_where_a_person_says_so(take: Reader) -> None:
    taken = take("x.csv", "a,b\n1,2\n3\n4,5,6\n7,8\n9,9\n", bad_lines="skip")
    assert taken.rows == [("1", "2"), ("7", "8"), ("9", "9")]
    assert "2 malformed lines were left out" in taken.notes


def test_more_malformed_lines_than_good_ones_are_not_skipped_in_silence(take: Reader) -> None:
    with pytest.raises(DataError, match="3 lines are malformed and only 1 are not"):
        take("x.csv", "a,b\n1,2\n3\n4,5,6\n7\n", bad_lines="skip")


def test_a_quote_that_is_not_closed_is_named_by_its_line(take: Reader) -> None:
    rows = "".join(f'{n},"x {n}"\n' for n in range(50))
    with pytest.raises(DataError, match=r"quote .* in or after line 52 of x.csv is not closed"):
        take("x.csv", f'a,b\n{rows}7,"oh\n8,9\n10,11\n')


@pytest.mark.parametrize("content", ['a,b\n"x\\"y",2\n3,4\n', 'a,b\n1,"x', '"a,b\n1,2\n'])
def test_quotes_that_do_not_match_at_the_very_top_are_said_too(take: Reader, content: str) -> None:
    with pytest.raises(DataError, match=r"A quote .* line [12] of x.csv is not closed"):
        take("x.csv", content)


def test_a_line_beyond_the_limit_is_said(take: Reader) -> None:
    with pytest.raises(DataError, match=r"Line 3 of x.csv is longer than 2,000,000 bytes"):
        take("x.csv", f"a,b\n1,2\n{'x' * 2_100_000},4\n")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        (" \n\n \n", "nothing but blanks"),
        ("a,b,c\n", "only one line, its header"),
        ("a,b,c", "only one line, its header"),
    ],
)
def test_a_file_without_rows_is_said(take: Reader, content: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        take("x.csv", content)


def test_one_row_is_read(take: Reader) -> None:
    assert take("x.csv", "a,b\n1,2").rows == [("1", "2")]


def test_ten_thousand_columns_are_read_and_more_are_refused(take: Reader) -> None:
    names = ",".join(f"n{n}" for n in range(10_000))
    cells = ",".join("1" for _ in range(10_000))
    taken = take("wide.csv", f"{names}\n{cells}\n{cells}\n")
    assert (len(taken.columns), len(taken.rows)) == (10_000, 2)
    with pytest.raises(DataError, match="10,001 columns; at most 10,000"):
        take("wider.csv", f"{names},z\n{cells},1\n")
