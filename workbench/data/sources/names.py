"""Column names that DuckDB can tell apart and a person can read."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from workbench.core.errors import DataError
from workbench.data.sources.recipe import Notes

MAX_COLUMNS = 10_000
"""As many were read within DuckDB's 2 GB in 9 s; 20,000 ran out of memory."""
SHOWN = 5
OURS = ("label_weight", "label_confidence", "row_md5", "row_copy")
"""What stages add to tables, and what a person's column is therefore not called."""


def clean_names(raw: Sequence[str], notes: Notes) -> tuple[str, ...]:
    """Return a unique, printable name for each column, and say which ones had to change.

    Trimmed, control characters out, whitespace inside made plain; an empty name becomes
    `column_3`; a name that was there before, also in other letter case since DuckDB ignores it,
    or is one of OURS, gets `_2`. Emoji, quotes and markup stay. DataError above MAX_COLUMNS.
    """
    if len(raw) > MAX_COLUMNS:
        raise DataError(
            f"The table has {len(raw):,} columns; at most {MAX_COLUMNS:,} can be read.",
            fix="leave columns out, or turn groups of them into rows (one row a measurement)",
        )
    plain = [_plain(name) or f"column_{place}" for place, name in enumerate(raw, start=1)]
    reserved = {name.lower() for name in plain}
    taken: set[str] = set(OURS)
    final = []
    for name in plain:
        unique, number = name, 2
        while unique.lower() in taken or (unique != name and unique.lower() in reserved):
            unique, number = f"{name}_{number}", number + 1
        taken.add(unique.lower())
        final.append(unique)
    _tell(raw, final, notes)
    return tuple(final)


def _plain(name: str) -> str:
    visible = "".join(
        " " if letter.isspace() else letter
        for letter in name
        if letter.isspace() or unicodedata.category(letter) not in ("Cc", "Cs")
    )
    return " ".join(visible.replace("\ufeff", "").split(" ")).strip()


def _tell(raw: Sequence[str], final: Sequence[str], notes: Notes) -> None:
    changed = [
        (place, old, new)
        for place, (old, new) in enumerate(zip(raw, final, strict=True), start=1)
        if old != new
    ]
    for place, old, new in changed[:SHOWN]:
        if old.strip():
            notes.say(f"Column {place} is called {old!r} in the source and '{new}' here.")
        else:
            notes.say(f"Column {place} has no name in the source: it is called '{new}' here.")
    if len(changed) > SHOWN:
        notes.say(f"{len(changed) - SHOWN:,} more column names were made unique and readable.")
