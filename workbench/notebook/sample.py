"""A small table that is dirty as real ones are, for those who have none at hand."""

from __future__ import annotations

import csv
import datetime as dt
import io
from pathlib import Path
from typing import Any

from workbench.core.files import write_text

TARGET = "wine"
"""The column to predict in the sample."""

_WINES = ("Barolo", "Grignolino", "Barbera")
_CELLARS = {"Barolo": "north", "Grignolino": "south", "Barbera": "west"}
_PEOPLE = ("Anna", "Bruno", "Carla")


def wines(path: Path) -> Path:
    """Write 178 wines of three kinds as a CSV file, the same bytes each time; returns `path`.

    The measurements are those of UCI's wine data, which come with scikit-learn. Decimal commas,
    spellings of "missing", days, taster, country and cellar are put in: a table as a person would
    have it, with a constant column and one that gives the answer away.
    """
    import numpy as np
    from sklearn.datasets import load_wine

    found: Any = load_wine()
    rng = np.random.default_rng(7)
    names = [
        name.replace("od280/od315_of_diluted_wines", "od280_od315") for name in found.feature_names
    ]
    file = io.StringIO()
    out = csv.writer(file, delimiter=";", lineterminator="\n")
    out.writerow(["bottle", "analysed", "taster", *names, "country", "cellar", TARGET])
    first = dt.date(2026, 1, 5)
    for number, row in enumerate(rng.permutation(len(found.data))):
        wine = _WINES[found.target[row]]
        cells = [
            _spelt(value, gone) for value, gone in zip(found.data[row], rng.random(13), strict=True)
        ]
        day = first + dt.timedelta(days=int(number * 0.8))
        taster = _PEOPLE[rng.integers(len(_PEOPLE))]
        out.writerow(
            [f"B{number:04d}", f"{day:%d.%m.%Y}", taster, *cells, "Italy", _CELLARS[wine], wine]
        )
    write_text(path, file.getvalue())
    return path


def _spelt(value: float, chance: float) -> str:
    """A number with a decimal comma; a few are missing, in two spellings."""
    if chance < 0.03:
        return "n/a" if chance < 0.015 else ""
    return f"{value:g}".replace(".", ",")
