"""The ledger: one row for each activity with its energy, carbon and cost, kept in SQL.

Rows are only ever added, once for each run, and can all be made again from the run records.
SQLite by default, PostgreSQL by its URL; any number of processes may write at once.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from workbench.core.paths import STAGES
from workbench.core.records import RunRecord, Usage
from workbench.metering.database import explained, open_engine, parse_url
from workbench.metering.runs import opened_s
from workbench.metering.schema import migrate, tables
from workbench.metering.site import PROVENANCES, Site, total_energy, worst_provenance

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Select

SERVE = "serve"
"""The stage of an hour of serving, which is no run of a stage."""

By = Literal["stage", "pipeline", "day", "run", "commit"]

_COLUMN = {
    "stage": "stage",
    "pipeline": "pipeline",
    "day": "day",
    "run": "run_id",
    "commit": "commit_sha",
}


class Ledger:
    """The ledger behind a SQLAlchemy URL (`sqlite:///...` or `postgresql://...`).

    Nothing is opened before the first use; the tables are made or migrated then. Every method
    raises StateError when the database is damaged, out of reach or newer, BusyError when another
    process keeps it locked.
    """

    def __init__(self, url: str) -> None:
        self._url = parse_url(url)
        self._engine: Engine | None = None

    def ensure(self) -> None:
        """Make or migrate the tables now."""
        self._ready()

    def append(self, record: RunRecord, site: Site, tags: Mapping[str, str] | None = None) -> bool:
        """Add the usage of a run; False if it has a row already, or is still running.

        Raced by another process with the same run, exactly one of the two adds it.
        """
        return self.append_all([record], site, tags) == 1

    def append_all(
        self, records: Iterable[RunRecord], site: Site, tags: Mapping[str, str] | None = None
    ) -> int:
        """Add many in one transaction and return how many were new."""
        added = 0
        with self._begin(write=True) as connection:
            for record in records:
                if record.state != "running":
                    own = dict(tags or {}) | _tags_of(record)
                    added += _insert(connection, record, site, own)
        return added

    def run_ids(self) -> set[str]:
        """Return the runs that have a row, to append only the others."""
        from sqlalchemy import select

        with self._begin() as connection:
            return set(connection.execute(select(tables()[0].c.run_id)).scalars())

    def rows(
        self,
        *,
        pipeline: str | None = None,
        stage: str | None = None,
        run_id: str | None = None,
        since: float | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return rows with all columns, newest first; `since` is in seconds since 1970 UTC."""
        from sqlalchemy import select

        usage = tables()[0]
        query = select(usage).order_by(usage.c.run_id.desc()).limit(limit)
        return self._fetch(
            _where(query, pipeline=pipeline, stage=stage, run_id=run_id, since=since)
        )

    def usages(self, run_id: str) -> list[Usage]:
        """Return the domains of one run, by name."""
        from sqlalchemy import select

        usage, domain = tables()
        query = (
            select(domain)
            .join(usage, usage.c.id == domain.c.usage_id)
            .where(usage.c.run_id == run_id)
            .order_by(domain.c.domain)
        )
        return [
            Usage(
                domain=row["domain"],
                energy_kwh=row["energy_kwh"],
                lo=row["energy_lo"],
                hi=row["energy_hi"],
                provenance=row["provenance"],
                coverage=row["coverage"],
            )
            for row in self._fetch(query)
        ]

    def summary(
        self,
        by: By = "stage",
        *,
        since: float | None = None,
        pipeline: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return totals for each `by`, in order of it, added up by the database.

        Each is `{by, runs, failed, measured, start_s, end_s, duration_s, cpu_s,
        peak_memory_bytes, energy_kwh, energy_lo, energy_hi, provenance, carbon_g, cost_usd}`.
        measured: how many runs have an energy; a sum is over those, and None when there is none.
        Bounds add up, for a model errs the same way each time.
        """
        from sqlalchemy import case, func, select

        usage = tables()[0]
        column = usage.c[_COLUMN[by]]
        rank = case({word: i for i, word in enumerate(PROVENANCES)}, value=usage.c.provenance)
        sums = ("duration_s", "cpu_s", "energy_kwh", "energy_lo", "energy_hi")
        query = (
            select(
                column.label(by),
                func.count().label("runs"),
                func.sum(case((usage.c.state == "failed", 1), else_=0)).label("failed"),
                func.count(usage.c.energy_kwh).label("measured"),
                func.min(usage.c.start_s).label("start_s"),
                func.max(usage.c.end_s).label("end_s"),
                *(func.sum(usage.c[name]).label(name) for name in sums),
                func.max(usage.c.peak_memory_bytes).label("peak_memory_bytes"),
                func.max(rank).label("provenance"),
                func.sum(usage.c.carbon_g).label("carbon_g"),
                func.sum(usage.c.cost_usd).label("cost_usd"),
            )
            .group_by(column)
            .order_by(column)
        )
        found = self._fetch(_where(query, pipeline=pipeline, since=since))
        for row in found:
            worst = row["provenance"]
            row["provenance"] = None if worst is None else PROVENANCES[worst]
        return found

    def last(self, pipeline: str, *, state: str | None = "finished") -> list[dict[str, Any]]:
        """Return the newest row of each stage, in the order of stages; state None: of any state."""
        from sqlalchemy import func, select

        usage = tables()[0]
        newest = select(func.max(usage.c.run_id)).group_by(usage.c.stage)
        newest = newest.where(usage.c.stage != SERVE)  # an hour of serving is no run of a stage
        newest = _where(newest, pipeline=pipeline, state=state)
        order = {stage: i for i, stage in enumerate(STAGES)}
        found = self._fetch(select(usage).where(usage.c.run_id.in_(newest)))
        return sorted(found, key=lambda r: (order.get(r["stage"], len(STAGES)), r["stage"]))

    def _fetch(self, query: Select[Any]) -> list[dict[str, Any]]:
        with self._begin() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _ready(self) -> Engine:
        """Return the engine, its tables made or migrated at the first call."""
        if self._engine is None:
            engine = open_engine(self._url)
            with explained(self._url), engine.execution_options(write=True).begin() as connection:
                migrate(connection)
            self._engine = engine
        return self._engine

    @contextlib.contextmanager
    def _begin(self, *, write: bool = False) -> Iterator[Connection]:
        engine = self._ready()
        with explained(self._url), engine.execution_options(write=write).begin() as connection:
            yield connection


def _where(query: Select[Any], *, since: float | None = None, **equal: str | None) -> Select[Any]:
    usage = tables()[0]
    for name, value in equal.items():
        if value is not None:
            query = query.where(usage.c[name] == value)
    return query if since is None else query.where(usage.c.start_s >= since)


def _insert(connection: Connection, record: RunRecord, site: Site, tags: dict[str, str]) -> int:
    """Add one run unless it is there; return how many rows that made, 0 or 1."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert

    usage, domain = tables()
    usages = record.window.usages if record.window else ()
    statement = (
        insert(usage)
        .values(**_row(record, site), tags=tags)
        .on_conflict_do_nothing(index_elements=["run_id"])
        .returning(usage.c.id)
    )
    usage_id = connection.execute(statement).scalar()
    if usage_id is None:
        return 0
    if usages:
        connection.execute(
            domain.insert(),
            [
                {
                    "usage_id": usage_id,
                    "domain": item.domain,
                    "energy_kwh": item.energy_kwh,
                    "energy_lo": item.lo,
                    "energy_hi": item.hi,
                    "provenance": item.provenance,
                    "coverage": item.coverage,
                }
                for item in usages
            ],
        )
    return 1


def _row(record: RunRecord, site: Site) -> dict[str, Any]:
    """Columns of `usage`; what a window knew of carbon and cost goes before today's site."""
    row: dict[str, Any] = {
        "run_id": record.id,
        "pipeline": record.pipeline,
        "stage": record.stage,
        "key": record.key,
        "name": f"{record.stage}@{record.pipeline}",
        "state": record.state,
        "commit_sha": record.commit.sha,
        "user": record.user,
    }
    window = record.window
    if window is None:  # killed: when it began is known, what it used is not
        start_s = opened_s(record.id)
        return row | {"day": _day(start_s), "start_s": start_s}
    if window.carbon_g is None and window.cost_usd is None:
        window = site.account(window)
    energy_kwh, lo, hi = total_energy(window.usages)
    return row | {
        "name": window.name,
        "day": _day(window.start_s),
        "start_s": window.start_s,
        "end_s": window.end_s,
        "duration_s": window.duration_s,
        "cpu_s": window.cpu_s,
        "peak_memory_bytes": window.peak_memory_bytes,
        "energy_kwh": energy_kwh,
        "energy_lo": lo,
        "energy_hi": hi,
        "provenance": worst_provenance(window.usages),
        "carbon_g": window.carbon_g,
        "cost_usd": window.cost_usd,
    }


def _day(seconds: float) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d}"


def _tags_of(record: RunRecord) -> dict[str, str]:
    """What tells one hour of serving from another, and what its cost is divided by."""
    if record.stage != SERVE:
        return {}
    return {
        "release": str(record.params["release"]),
        "rehearsal": str(record.params["rehearsal"]).lower(),
        "requests": str(int(record.metrics["requests"])),
        "rows": str(int(record.metrics["rows"])),
    }
