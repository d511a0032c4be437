"""Counts over a whole table in one query, and a sample of it that is the same every time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

SAMPLE_ROWS = 40_000
SAMPLE_CELLS = 10_000_000
"""Of a table with thousands of columns fewer rows are looked at."""
MAX_LETTERS = 500
"""Longer texts are cut: their beginning says what they are."""
MAX_COLUMNS_A_QUERY = 1_000


@dataclass(frozen=True)
class Sample:
    """What was counted and taken.

    rows: of the table. repeated: rows equal to another. present, distinct: of the whole table,
    values that are there and about how many differ. cells: Arrow, at most SAMPLE_ROWS rows in an
    order that the content alone gives; columns of no plain type are not in it.
    """

    rows: int
    repeated: int
    present: dict[str, int]
    distinct: dict[str, int]
    cells: Any

    def whole(self, table: Any) -> Any:
        """The Ibis table to count on: the sample itself when it holds every row."""
        import ibis

        return ibis.memtable(self.cells) if self.cells.num_rows == self.rows else table


def take(table: Any) -> Sample:
    """Look at all of an Ibis table once for the counts and once for the sample."""
    plain = [name for name, kind in table.schema().items() if is_plain(kind)]
    rows, different, present, distinct = 0, 0, {}, {}
    for number, names in enumerate(_chunks(list(table.columns))):
        wanted = {"rows": table.count()} | (
            {"different": _content(table).nunique()} if not number else {}
        )
        for place, name in enumerate(names):
            wanted[f"present{place}"] = table[name].count()
            if name in plain:
                wanted[f"distinct{place}"] = table[name].approx_nunique()
        found = table.aggregate(**wanted).to_pyarrow().to_pylist()[0]
        rows, different = found["rows"], found.get("different", different)
        present |= {name: found[f"present{place}"] for place, name in enumerate(names)}
        distinct |= {n: found[f"distinct{p}"] for p, n in enumerate(names) if n in plain}
    cells = _cells(table, plain, rows, different)
    return Sample(rows, rows - different, present, distinct, cells)


def is_plain(kind: Any) -> bool:
    """Whether an Ibis type is text, a number, a truth value or a moment."""
    return (
        kind.is_string()
        or kind.is_numeric()
        or kind.is_boolean()
        or kind.is_timestamp()
        or kind.is_date()
        or kind.is_uuid()
    )


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), MAX_COLUMNS_A_QUERY):
        yield names[start : start + MAX_COLUMNS_A_QUERY]


def _content(table: Any) -> Any:
    """A whole number of 64 bits that the content of a row gives."""
    import ibis

    return ibis.struct({f"c{i}": table[name] for i, name in enumerate(table.columns)}).hash()


def _cells(table: Any, plain: Sequence[str], rows: int, different: int) -> Any:
    import ibis
    import pyarrow as pa

    if not plain:
        return pa.table({})
    limit = max(1_000, min(SAMPLE_ROWS, SAMPLE_CELLS // max(len(plain), 1)))
    content = table.mutate(**{_PLACE: _content(table)})
    if rows > limit:
        # Equal rows stand or fall together by their content: where most are equal, count instead.
        by = content[_PLACE] if different * 2 > rows else ibis.row_number()
        content = content.mutate(**{_TURN: by % -(-rows // limit)}).filter(ibis._[_TURN] == 0)
    wanted = {name: _short(content[name]) for name in plain}
    taken = content.order_by(_PLACE).limit(limit).select(**wanted)
    return taken.to_pyarrow()


_PLACE, _TURN = "place in the sample", "turn in the sample"


def _short(column: Any) -> Any:
    if column.type().is_uuid():
        return column.cast("string")
    return column.left(MAX_LETTERS) if column.type().is_string() else column
