"""Tables as people bring them, written as files: messy, hostile, tiny; each can be learnt."""

from __future__ import annotations

import csv
import datetime as dt
import json
import random
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
NASTY = (
    "row",
    "side",
    "label",
    "model",
    "score",
    "label_weight",
    "columns",
    "row_md5_",
    "class",
    "lambda",
    "2nd price",
    "a\nb",
    'he said "no"',
    "it's",
    "<b>bold</b>",
    "${name}",
    "😀 mood",
    "back\\slash",
    "a,b;c",
    "größe",
    "*_[x](y)`",
    "Data",
    "data",
)
"""Names of columns that could break code, SQL, Markdown, HTML or a stage that uses the word."""

WORDS = ("red", "green", "blue", "ochre", "teal")


def people(rows: int = 400) -> list[Row]:
    """Who leaves: a key, many categories, dates, prose, gaps, a constant; a clear yes or no."""
    chance = random.Random(1)
    found = []
    for number in range(rows):
        age, plan = chance.randint(18, 90), chance.choice(WORDS)
        leaves = (age > 55) + (plan == "blue") + chance.gauss(0, 0.5) > 1
        joined = dt.date(2020, 1, 1) + dt.timedelta(days=chance.randint(0, 900))
        found.append(
            {
                "person id": f"P{number:05d}",
                "age": "" if chance.random() < 0.1 else age,
                "plan": plan,
                "town": f"town {chance.randint(0, 250)}",
                "born": (dt.date(2020, 1, 1) - dt.timedelta(days=365 * age)).strftime("%d.%m.%Y"),
                "spend": f"{chance.gauss(1500, 300):,.2f}".translate(str.maketrans(",.", ".,")),
                "said": f"I called about {chance.choice(WORDS)} and waited {number * 7919} "
                f"minutes for {chance.choice(WORDS)} on {joined}",
                "always": "x",
                "nothing": "",
                "zip": f"{chance.randint(0, 99):05d}",
                "left us": "yes" if leaves else "no",
            }
        )
    return found


def nasty(rows: int = 300) -> list[Row]:
    """Which of three kinds: names that break things, equal rows, no key; the target has blanks."""
    chance = random.Random(2)
    found = []
    for _ in range(rows):
        values: Row = {name: chance.randint(0, 30) / 2 for name in NASTY}
        values["side"] = chance.choice(["train", "test", 'o"k', "<i>", "\u202e", "😀"])
        kind = WORDS[int(values["row"] > 5) + int(values["columns"] > 7)]
        found.append({"what kind?": kind, **values})
    return found[: rows - 20] + found[:20]


def houses(rows: int = 300) -> list[Row]:
    """A price, over time: a regression by a Parquet file with types of its own."""
    chance = random.Random(3)
    found = []
    for number in range(rows):
        area = round(chance.uniform(30, 200), 1)
        found.append(
            {
                "house": number,
                "sold on": dt.datetime(2023, 1, 1) + dt.timedelta(hours=40 * number),
                "area": area if chance.random() > 0.05 else None,
                "garden": chance.random() < 0.4,
                "quarter": chance.choice(WORDS),
                "built": dt.date(1900 + chance.randint(0, 120), 5, 1),
                "final price": round(area * 1000 + chance.gauss(0, 5000) + 3 * number, 2),
            }
        )
    return found


def visits(rows: int = 300) -> list[Row]:
    """Several rows of each patient, as a database has them."""
    chance = random.Random(4)
    found = []
    for number in range(rows):
        pulse = chance.randint(50, 120)
        found.append(
            {
                "visit_id": number,
                "patient_id": number // 4,
                "pulse": pulse,
                "ward": chance.choice(WORDS),
                "admitted": int(pulse + chance.gauss(0, 10) > 95),
            }
        )
    return found


def tiny(task: str, rows: int = 30) -> list[Row]:
    """Thirty rows, of which five are of the rarest class."""
    chance = random.Random(5)
    target: Callable[[int], Any] = {
        "binary": lambda n: n % 6 == 0,
        "multiclass": lambda n: ("a", "b", "a", "b", "a", "c")[n % 6],
        "regression": lambda n: round(n * 1.5 + chance.random(), 2),
    }[task]
    return [
        {"x": chance.randint(0, 9) + n % 6, "w": chance.choice("uv"), "answer": target(n)}
        for n in range(rows)
    ]


# ---- forms


def as_csv(path: Path, rows: Sequence[Row], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_lines(path: Path, rows: Sequence[Row]) -> Path:
    path.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))
    return path


def as_parquet(path: Path, rows: Sequence[Row]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def as_sqlite(path: Path, rows: Sequence[Row], table: str = "visits") -> str:
    """Write or replace the table; the URL of the database."""
    names = list(rows[0])
    with sqlite3.connect(path) as database:
        database.execute(f'DROP TABLE IF EXISTS "{table}"')
        database.execute(f'CREATE TABLE "{table}" ({", ".join(names)})')
        marks = ", ".join("?" * len(names))
        database.executemany(
            f'INSERT INTO "{table}" VALUES ({marks})', [list(row.values()) for row in rows]
        )
    database.close()
    return f"sqlite:///{path.name}"
