"""A checkout in which `workbench new` took tables of every kind, and `workbench repro` ran them."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests import own_tables as tables
from tests.checkout import Checkout, once
from tests.commands import commands

TASKS = {
    "people": "binary",
    "nasty": "multiclass",
    "houses": "regression",
    "visits": "binary",
    "few_words": "binary",
    "few_classes": "multiclass",
    "few_numbers": "regression",
}
"""Pipelines and what each learns."""


def released(shared: Path) -> Checkout:
    """The checkout after `repro` went to a release of each; only to be looked at."""
    return once(shared / "own", _release)


def sources(root: Path) -> dict[str, tuple[str, str]]:
    """Write the tables; where each is, and its target."""
    few = {"few_words": "binary", "few_classes": "multiclass", "few_numbers": "regression"}
    outside = root.parent / "elsewhere"
    outside.mkdir(exist_ok=True)
    people = tables.as_csv(outside / "people.txt", tables.people(), ";", "utf-8-sig")
    found = {
        "people": (str(people), "left us"),
        "nasty": (tables.as_lines(root / "nasty.json", tables.nasty()).name, "what kind?"),
        "houses": (tables.as_parquet(root / "houses.dat", tables.houses()).name, "final price"),
        "visits": (tables.as_sqlite(root / "visits.db", tables.visits()), "admitted"),
    }
    return found | {
        name: (tables.as_csv(root / f"{name}.csv", tables.tiny(task)).name, "answer")
        for name, task in few.items()
    }


def quick(made: Checkout, *names: str) -> None:
    """Let pipelines train and judge as briefly as it goes."""
    path = made.root / "params.yaml"
    params = yaml.safe_load(path.read_text())
    for name in names:
        params[name]["train"]["epochs"] = 2
        params[name]["evaluate"]["bootstrap"] = 20
    path.write_text(yaml.safe_dump(params, sort_keys=False, allow_unicode=True))


def _release(made: Checkout) -> None:
    lines = [
        ["new", name, "--data", where, "--target", target, "--yes"]
        for name, (where, target) in sources(made.root).items()
    ]
    for ended in commands(made, lines):
        ended.ok()
    quick(made, *TASKS)
    made.workbench("repro", *TASKS).ok()
