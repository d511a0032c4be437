from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from tests.servers import free_port, postgres_url
from workbench.core.errors import BusyError, StateError
from workbench.core.records import Commit, RunRecord, Usage, Window
from workbench.metering import database, schema
from workbench.metering.ledger import Ledger
from workbench.metering.site import Site

ROOT = Path(__file__).parents[2]
SITE = Site(grid_g_per_kwh=100, electricity_usd_per_kwh=0.5, hardware_usd_per_hour=0.36)
DAY_S = 86_400.0


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with postgres_url() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh ledger on each database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'deep' / 'ledger.db'}"
        return
    import psycopg

    server = request.getfixturevalue("server")
    name = f"ledger_{os.urandom(4).hex()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    yield server.rsplit("/", 1)[0] + f"/{name}"


def run_id(n: int, day: int = 1) -> str:
    return f"202501{day:02}T000000{n:06}Z-00000000"


def record(n: int = 0, **changes: Any) -> RunRecord:
    """A finished run of one second on 1 January 2025 (or `day`) with 3 J known exactly."""
    day = changes.pop("day", 1)
    start_s = 1_735_689_600 + (day - 1) * DAY_S + n
    cpu = Usage("cpu", 2e-6, 1e-6, 4e-6, "modelled")
    memory = Usage("memory", 1e-6, 1e-6, 1e-6, "modelled", 0.5)
    window = Window("train@fraud", start_s, start_s + 1, 1.0, 0.5, 1000 + n, (cpu, memory))
    values: dict[str, Any] = {
        "version": 1,
        "id": run_id(n, day),
        "pipeline": "fraud",
        "stage": "train",
        "key": "k",
        "fingerprint": "f",
        "state": "finished",
        "window": window,
        "commit": Commit("abc", "main", False),
        "notebook": "pipelines/fraud.py",
        "function": "model",
        "user": "ada",
    }
    return RunRecord(**values | changes)


def test_a_row_holds_usage_carbon_and_cost_and_its_domains(url: str):
    ledger = Ledger(url)
    assert ledger.append(record(), SITE, {"team": "risk"})
    (row,) = ledger.rows()
    assert row["energy_kwh"] == pytest.approx(3e-6)
    assert (row["energy_lo"], row["energy_hi"]) == pytest.approx((2e-6, 5e-6))
    assert row["carbon_g"] == pytest.approx(3e-4)
    assert row["cost_usd"] == pytest.approx(3e-6 * 0.5 + 1 / 3600 * 0.36)
    assert row["provenance"] == "modelled"
    assert (row["commit_sha"], row["user"], row["tags"]) == ("abc", "ada", {"team": "risk"})
    assert (row["day"], row["duration_s"], row["cpu_s"]) == ("2025-01-01", 1.0, 0.5)
    assert row["peak_memory_bytes"] == 1000
    window = record().window
    assert window is not None
    assert tuple(ledger.usages(run_id(0))) == window.usages


def test_a_run_is_added_once_whatever_comes_later(url: str):
    ledger = Ledger(url)
    assert ledger.append(record(), SITE)
    assert not ledger.append(record(user="eve"), SITE)
    assert ledger.append_all([record(0), record(1), record(1)], SITE) == 1
    assert [row["user"] for row in ledger.rows()] == ["ada", "ada"]
    assert len(ledger.usages(run_id(0))) == 2
    assert ledger.run_ids() == {run_id(0), run_id(1)}


def test_a_running_run_waits_for_its_end(url: str):
    ledger = Ledger(url)
    assert not ledger.append(record(state="running", window=None), SITE)
    assert ledger.append(record(state="failed"), SITE)
    assert [row["state"] for row in ledger.rows()] == ["failed"]


def test_a_killed_run_has_a_row_that_knows_only_when_it_began(url: str):
    ledger = Ledger(url)
    ledger.append(record(state="failed", window=None), SITE)
    (row,) = ledger.rows()
    assert row["day"] == "2025-01-01"
    assert row["start_s"] == 1_735_689_600
    for name in ("duration_s", "energy_kwh", "carbon_g", "cost_usd", "provenance"):
        assert row[name] is None


def test_what_was_not_measured_stays_none_in_rows_and_sums(url: str):
    ledger = Ledger(url)
    window = Window(
        "w",
        1_735_689_600,
        1_735_689_601,
        1.0,
        0.5,
        1,
        (Usage("gpu0", None, None, None, "default"),),
    )
    ledger.append(record(0, window=window), SITE)
    (total,) = ledger.summary()
    assert (total["runs"], total["measured"]) == (1, 0)
    assert total["energy_kwh"] is total["carbon_g"] is total["cost_usd"] is None
    ledger.append(record(1), Site())
    (total,) = ledger.summary()
    assert (total["runs"], total["measured"]) == (2, 1)
    assert total["energy_kwh"] == pytest.approx(3e-6)
    assert total["carbon_g"] is None
    assert total["provenance"] == "default"


def test_sums_by_each_grouping_are_those_of_the_rows(url: str):
    ledger = Ledger(url)
    ledger.append_all(
        [
            record(0),
            record(1, state="failed"),
            record(2, stage="export", commit=Commit("def", "main", True)),
            record(3, pipeline="chat", day=2),
        ],
        SITE,
    )
    stages = {row["stage"]: row for row in ledger.summary("stage")}
    assert stages["train"]["runs"] == 3
    assert stages["train"]["failed"] == 1
    assert stages["train"]["energy_kwh"] == pytest.approx(9e-6)
    assert stages["train"]["duration_s"] == pytest.approx(3)
    assert stages["train"]["peak_memory_bytes"] == 1003
    assert [(r["pipeline"], r["runs"]) for r in ledger.summary("pipeline")] == [
        ("chat", 1),
        ("fraud", 3),
    ]
    assert [(r["day"], r["runs"]) for r in ledger.summary("day")] == [
        ("2025-01-01", 3),
        ("2025-01-02", 1),
    ]
    assert [r["run"] for r in ledger.summary("run")] == sorted(ledger.run_ids())
    assert {r["commit"]: r["runs"] for r in ledger.summary("commit")} == {"abc": 3, "def": 1}
    total = sum(row["cost_usd"] for row in ledger.rows())
    assert sum(r["cost_usd"] for r in ledger.summary("run")) == pytest.approx(total)


def test_summaries_and_rows_can_be_narrowed(url: str):
    ledger = Ledger(url)
    ledger.append_all([record(0), record(1, pipeline="chat"), record(2, day=2)], SITE)
    second_day = 1_735_689_600 + DAY_S
    assert [r["runs"] for r in ledger.summary("stage", since=second_day)] == [1]
    assert [r["runs"] for r in ledger.summary("stage", pipeline="chat")] == [1]
    assert [r["run_id"] for r in ledger.rows(pipeline="fraud")] == [run_id(2, 2), run_id(0)]
    assert [r["run_id"] for r in ledger.rows(limit=1)] == [run_id(2, 2)]
    assert [r["run_id"] for r in ledger.rows(run_id=run_id(1))] == [run_id(1)]
    assert ledger.rows(stage="export") == []


def test_the_last_of_each_stage_comes_in_the_order_of_stages(url: str):
    ledger = Ledger(url)
    ledger.append_all(
        [
            record(0, stage="train"),
            record(1, stage="collect"),
            record(2, stage="train"),
            record(3, stage="train", state="failed"),
            record(4, stage="collect", pipeline="chat"),
        ],
        SITE,
    )
    found = ledger.last("fraud")
    assert [(r["stage"], r["run_id"]) for r in found] == [
        ("collect", run_id(1)),
        ("train", run_id(2)),
    ]
    assert [r["run_id"] for r in ledger.last("fraud", state=None)] == [run_id(1), run_id(3)]


def test_ten_processes_write_at_once_into_a_ledger_that_is_not_there_yet(url: str):
    # one process that has imported everything forks ten, which begin at the same instant
    code = textwrap.dedent("""
        import json, multiprocessing, sys
        import sqlalchemy.dialects.postgresql.psycopg, sqlalchemy.dialects.sqlite.pysqlite
        from tests.metering.test_ledger import SITE, record
        from workbench.metering.ledger import Ledger

        def write(me):
            ledger = Ledger(sys.argv[1])
            barrier.wait()
            shared = sum(ledger.append(record(n), SITE) for n in range(5))
            own = sum(ledger.append(record(100 + me * 10 + n), SITE) for n in range(5))
            answers.put((shared, own))

        context = multiprocessing.get_context("fork")
        barrier, answers = context.Barrier(10), context.Queue()
        writers = [context.Process(target=write, args=(me,)) for me in range(10)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert [writer.exitcode for writer in writers] == [0] * 10
        print(json.dumps([answers.get() for _ in writers]))
    """)
    done = subprocess.run(
        [sys.executable, "-c", code, url], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert sum(shared for shared, _ in counts) == 5  # each raced run was added by exactly one
    assert [own for _, own in counts] == [5] * 10
    ledger = Ledger(url)
    assert len(ledger.rows()) == 55
    assert sum(len(ledger.usages(run)) for run in ledger.run_ids()) == 110


def test_an_old_ledger_is_migrated_in_order_and_keeps_its_rows(
    url: str, monkeypatch: pytest.MonkeyPatch
):
    Ledger(url).append(record(), SITE)
    steps = schema.MIGRATIONS | {
        2: lambda c: c.execute(text("ALTER TABLE usage ADD COLUMN billed_usd FLOAT")),
        3: lambda c: c.execute(text("UPDATE usage SET billed_usd = cost_usd * 2")),
    }
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    Ledger(url).ensure()
    Ledger(url).ensure()  # each step ran once: a second ADD COLUMN would fail
    monkeypatch.undo()
    with pytest.raises(StateError, match="has version 3; this workbench knows"):
        Ledger(url).rows()


def test_an_old_ledger_that_many_open_at_once_is_migrated_once(
    url: str, monkeypatch: pytest.MonkeyPatch
):
    Ledger(url).ensure()
    began = threading.Barrier(4)

    def slow(connection: Connection) -> None:
        time.sleep(0.05)  # the others have looked at the version by now
        connection.execute(text("ALTER TABLE usage ADD COLUMN billed_usd FLOAT"))

    def opens() -> None:
        began.wait()
        Ledger(url).ensure()

    monkeypatch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS | {2: slow})
    with ThreadPoolExecutor(4) as pool:
        for opened in [pool.submit(opens) for _ in range(4)]:
            opened.result()


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(
    url: str, monkeypatch: pytest.MonkeyPatch
):
    Ledger(url).append(record(), SITE)

    def fails(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE usage ADD COLUMN half FLOAT"))
        raise RuntimeError("power cut")

    monkeypatch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS | {2: fails})
    with pytest.raises(RuntimeError, match="power cut"):
        Ledger(url).ensure()
    monkeypatch.undo()
    (row,) = Ledger(url).rows()
    assert "half" not in row
    assert Ledger(url).append(record(1), SITE)


def test_a_damaged_file_is_explained_with_the_way_out_and_the_way_works(tmp_path: Path):
    file = tmp_path / "ledger.db"
    Ledger(f"sqlite:///{file}").append(record(), SITE)
    file.write_bytes(b"this is no database, " * 1000)
    with pytest.raises(StateError, match="damaged or out of reach") as caught:
        Ledger(f"sqlite:///{file}").rows()
    assert caught.value.fix is not None
    assert "workbench sync" in caught.value.fix
    command = caught.value.fix.split("`")[1]
    subprocess.run(command, shell=True, check=True)
    ledger = Ledger(f"sqlite:///{file}")
    assert ledger.append(record(), SITE)
    assert len(ledger.rows()) == 1


def test_a_ledger_in_a_place_that_cannot_be_written_is_explained(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StateError, match="out of reach"):
        Ledger(f"sqlite:///{tmp_path / 'file' / 'ledger.db'}").ensure()


def test_a_server_that_does_not_answer_is_explained_without_its_password():
    with pytest.raises(StateError, match="out of reach") as caught:
        Ledger(f"postgresql://ada:s3cret@127.0.0.1:{free_port()}/x").rows()
    assert "s3cret" not in str(caught.value)
    assert "workbench sync" in str(caught.value)


@pytest.mark.parametrize(
    "url", ["mysql://u:s3cret@h/x", "no url s3cret", "postgresql+pg8000://h/x"]
)
def test_another_database_is_refused_without_its_password(url: str):
    with pytest.raises(StateError, match="ledger") as caught:
        Ledger(url)
    assert "s3cret" not in str(caught.value)


def test_a_lock_that_is_never_released_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(database, "WAIT_S", 0.05)
    file = tmp_path / "ledger.db"
    ledger = Ledger(f"sqlite:///{file}")
    ledger.ensure()
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(BusyError, match="locked by another process"):
            ledger.append(record(), SITE)
        assert ledger.rows() == []  # readers do not wait for writers
    finally:
        holder.close()
    assert ledger.append(record(), SITE)


def test_nothing_is_opened_before_the_first_use(tmp_path: Path):
    Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert list(tmp_path.iterdir()) == []
