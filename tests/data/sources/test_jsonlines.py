"""JSON lines and arrays of objects keep their kinds; a broken line is named."""

from __future__ import annotations

import json

import pytest

from tests.data.sources.conftest import Reader
from workbench.core.errors import DataError


def test_kinds_are_kept_dates_stay_text_and_what_is_nested_is_json(take: Reader) -> None:
    first = {"a": 1, "f": 1.5, "b": True, "s": "x", "d": "2024-01-31", "n": {"x": [1]}, "l": [1]}
    second = {"a": 2, "f": None, "s": "ö 😀", "late": "yes", "d": "2024-02-01"}
    taken = take("x.jsonl", "\n".join(json.dumps(one) for one in (first, second)))
    assert taken.columns == ["a", "f", "b", "s", "d", "n", "l", "late"]
    assert taken.rows == [
        (1, 1.5, True, "x", "2024-01-31", '{"x":[1]}', "[1]", None),
        (2, None, None, "ö 😀", "2024-02-01", None, None, "yes"),
    ]
    assert list(taken.kinds.values())[:5] == ["int64", "float64", "boolean", "string", "string"]


def test_an_array_of_objects_is_read(take: Reader) -> None:
    assert take("x.json", '[\n {"a": 1},\n {"a": 2, "b": "x"}]').rows == [(1, None), (2, "x")]


def test_values_of_several_kinds_are_text(take: Reader) -> None:
    assert take("x.jsonl", '{"a": 1}\n{"a": "q"}\n{"a": true}\n').rows == [
        ("1",),
        ("q",),
        ("true",),
    ]


def test_whole_numbers_beyond_64_bits_are_exact(take: Reader) -> None:
    taken = take("x.jsonl", '{"a": 18446744073709551615}\n{"a": 1}\n')
    assert int(taken.rows[0][0]) == 18446744073709551615


def test_keys_equal_but_for_case_are_two_columns(take: Reader) -> None:
    taken = take("x.jsonl", '{"a": 1, "A": "x"}\n{"a": 2, "A": "y"}\n')
    assert taken.columns == ["a", "A_2"]
    assert taken.rows[0] == (1, "x")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_other_encodings_are_read(take: Reader, encoding: str) -> None:
    taken = take("x.jsonl", '{"a": "Köln"}\n{"a": "Größe für Müller"}\n'.encode(encoding))
    assert taken.rows[0] == ("Köln",)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ('{"a": 3, "b', "Line 4 of x.jsonl is not whole JSON"),
        ("[1, 2]", "Line 4 of x.jsonl is not an object"),
        ("5", "Line 4 of x.jsonl is not an object"),
        ('{"a": 1, "a": 2}', "Line 4 of x.jsonl has the key 'a' twice"),
    ],
)
def test_a_broken_line_stops_with_its_number_or_is_skipped(
    take: Reader, bad: str, words: str
) -> None:
    content = f'{{"a": 1}}\n\n{{"a": 2}}\n{bad}\n{{"a": 4}}\n'
    with pytest.raises(DataError, match=words):
        take("x.jsonl", content)
    taken = take("x.jsonl", content, bad_lines="skip")
    assert taken.rows == [(1,), (2,), (4,)]
    assert "1 malformed line was left out" in taken.notes


def test_a_cut_off_array_and_a_lone_object_are_said(take: Reader) -> None:
    with pytest.raises(DataError, match=r"array in x.json cannot be read"):
        take("x.json", '[{"a": 1},\n{"a": 2},\n{"a"')
    with pytest.raises(DataError, match="one JSON object over several lines"):
        take("y.json", '{\n  "a": 1,\n  "b": [1, 2]\n}\n')
