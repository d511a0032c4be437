"""A dataset: named Ibis tables, where they come from, and which of their rows were dropped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.errors import DataError, did_you_mean
from workbench.core.files import digest_file, read_json, write_json
from workbench.data.engine import count_rows, write_parquet
from workbench.data.rules import TAKEN_BY, Drop, Unique, apply, check_kind

if TYPE_CHECKING:
    import ibis


@dataclass(frozen=True)
class Facts:
    """What is known of a source: kept beside its data, shown wherever the data is shown.

    origin: where it comes from, for people. licence: SPDX name or a sentence. version: the
    source's own word for its state, such as a release, a seed or a date.
    """

    origin: str
    licence: str
    version: str = ""
    note: str = ""


@dataclass
class Tables(Mapping[str, Any]):
    """Named tables of a pipeline; `data["labs"]` is an `ibis.Table`.

    Rows leave only through `drop` and `unique`, which name a rule; what they take is kept in
    quarantine with that rule. facts: by table, or one for all under "*". assets: files that
    belong to the data, such as pretrained weights.
    """

    tables: dict[str, Any]
    facts: dict[str, Facts] = field(default_factory=dict)
    assets: dict[str, Path] = field(default_factory=dict)
    schemas: dict[str, Any] = field(default_factory=dict)
    unique_by: dict[str, tuple[str, ...]] = field(default_factory=dict)
    dropped: dict[str, list[Any]] = field(default_factory=dict)
    _waiting: dict[str, list[Drop | Unique]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> ibis.Table:
        self._need(name)
        self._settle(name)
        return self.tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)

    def replace(self, name: str, table: Any) -> Tables:
        """Put `table` (an Ibis table, or a function of the present one) under `name`."""
        new = table(self[name]) if callable(table) and name in self.tables else table
        self.tables[name] = new
        self.unique_by.pop(name, None)  # nobody knows whether the key is still one
        return self

    def drop(self, name: str, rule: str, bad: Any) -> Tables:
        """Take the rows of table `name` for which `bad` is true, and remember them under `rule`.

        rule: starts with its kind: invalid, duplicate, irrelevant or outlier. bad: a boolean Ibis
        column, or a function from the table to one; rows where it is null stay.
        """
        self._need(name)
        check_kind(rule)
        condition: Callable[[Any], Any] = bad if callable(bad) else lambda _: bad
        self._waiting.setdefault(name, []).append(Drop(rule, condition))
        return self

    def unique(
        self,
        name: str,
        by: str | Sequence[str],
        *,
        first: str | Sequence[str] = (),
        rule: str = "duplicate key",
    ) -> Tables:
        """Keep one row for each value of `by`: the first in the order of the columns `first`.

        Rows that are equal in both are told apart by their other columns, so that the same one
        stays every time. Rows with a missing key stay.
        """
        self._need(name)
        check_kind(rule)
        keys = (by,) if isinstance(by, str) else tuple(by)
        order = (first,) if isinstance(first, str) else tuple(first)
        self._waiting.setdefault(name, []).append(Unique(rule, keys, order))
        self.unique_by[name] = keys
        return self

    def expect(self, name: str, schema: Any) -> Tables:
        """Have table `name` validated by a `pandera.ibis` schema on the way out."""
        self._need(name)
        self.schemas[name] = schema
        return self

    def _need(self, name: str) -> None:
        if name not in self.tables:
            raise DataError(f"No table '{name}'.{did_you_mean(name, self.tables)}")

    def _settle(self, name: str) -> None:
        """Apply the rules that wait, kept and dropped rows apart."""
        if rules := self._waiting.pop(name, []):
            self.tables[name], gone = apply(self.tables[name], rules)
            self.dropped.setdefault(name, []).extend(gone)

    def write(self, folder: Path) -> dict[str, Any]:
        """Write every table to `folder`/<name>.parquet with `tables.json`; return its content."""
        for name in self.tables:
            self._settle(name)
        described: dict[str, Any] = {}
        for name, table in self.tables.items():
            path = folder / f"{name}.parquet"
            write_parquet(table, path, self._order(name))
            facts = self.facts.get(name) or self.facts.get("*")
            described[name] = {
                "rows": count_rows(path),
                "sha256": digest_file(path),
                "columns": {column: str(kind) for column, kind in table.schema().items()},
                "facts": asdict(facts) if facts else None,
            }
        for name, path in self.assets.items():
            (folder / "assets").mkdir(exist_ok=True)
            shutil.copyfile(path, folder / "assets" / name)
        write_json(folder / "tables.json", described)
        return described

    def _order(self, name: str) -> tuple[str, ...]:
        """Columns that order a table totally: its key, if it is one for every row; else all."""
        import ibis

        keys = self.unique_by.get(name, ())
        if not keys:
            return ()
        table = self.tables[name]
        missing = table.filter(ibis.or_(*(table[key].isnull() for key in keys))).count()
        return keys if int(missing.execute()) == 0 else ()

    def write_quarantine(self, folder: Path) -> dict[str, dict[str, int]]:
        """Write dropped rows to `folder`/<table>-<n>.parquet; return counts by table and rule."""
        counts: dict[str, dict[str, int]] = {}
        for name, parts in self.dropped.items():
            for number, part in enumerate(parts):
                write_parquet(part, folder / f"{name}-{number}.parquet")
                tally = part.group_by(TAKEN_BY).agg(rows=part.count()).execute()
                counts.setdefault(name, {}).update(
                    {
                        rule: int(rows)
                        for rule, rows in zip(tally[TAKEN_BY], tally["rows"], strict=True)
                    }
                )
        return {name: dict(sorted(by_rule.items())) for name, by_rule in counts.items()}


def read_tables(folder: Path, backend: Any) -> Tables:
    """Open a dataset that `Tables.write` left; tables are read lazily from Parquet."""
    described = read_json(folder / "tables.json")
    assets = folder / "assets"
    return Tables(
        tables={name: backend.read_parquet(folder / f"{name}.parquet") for name in described},
        facts={n: Facts(**d["facts"]) for n, d in described.items() if d["facts"]},
        assets={p.name: p for p in sorted(assets.iterdir())} if assets.is_dir() else {},
    )
