from __future__ import annotations

import json
import math
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.core.paths import Paths
from workbench.core.records import VERSION, Window
from workbench.metering.meter import Meter
from workbench.metering.runs import (
    Run,
    damaged,
    open_run,
    opened_s,
    read_run,
    read_runs,
    read_series,
    reap,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(root=tmp_path, home=tmp_path / ".workbench")


def start(paths: Paths, stage: str = "train") -> Run:
    return open_run(
        paths,
        pipeline="fraud",
        stage=stage,
        key="k",
        fingerprint="f",
        notebook="pipelines/fraud.py",
        function="model",
        params={"seed": 1},
        inputs={"examples": "d1"},
        packages={"torch": "2.13.0"},
    )


def in_process(paths: Paths, code: str) -> subprocess.CompletedProcess[str]:
    head = f"""
        import os, signal
        from pathlib import Path
        from workbench.core.paths import Paths
        from workbench.metering.runs import open_run
        paths = Paths(Path({str(paths.root)!r}), Path({str(paths.home)!r}))
        run = open_run(paths, pipeline="p", stage="train", key="k", fingerprint="f",
                       notebook="n", function="g")
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(code)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_a_run_is_on_disk_as_running_from_its_first_moment(paths: Paths):
    run = start(paths)
    (record,) = read_runs(paths)
    assert record == run.record
    assert (record.state, record.window, record.version) == ("running", None, VERSION)
    assert record.inputs == {"examples": "d1"}
    assert record.packages == {"torch": "2.13.0"}
    assert record.hardware["cores"] == os.cpu_count()


def test_a_closed_run_reads_back_as_it_was_closed(paths: Paths):
    run = start(paths)
    with Meter().window("train@fraud") as metered:
        pass
    closed = run.close(
        "finished", window=metered.window, outputs={"model": "d2"}, metrics={"auc": 0.9}
    )
    assert read_run(paths, run.id) == closed
    assert closed.window == metered.window
    assert closed.outputs == {"model": "d2"}
    assert closed.metrics == {"auc": 0.9}
    assert sorted(path.name for path in run.folder.iterdir()) == ["record.json"]


def test_ids_sort_by_time_and_tell_it(paths: Paths):
    runs = [start(paths) for _ in range(3)]
    assert [record.id for record in read_runs(paths)] == [run.id for run in runs]
    moments = [opened_s(run.id) for run in runs]
    assert moments == sorted(moments)
    assert moments[0] == pytest.approx(runs[0].folder.stat().st_mtime, abs=5)


def test_logged_lines_are_all_there_after_close_in_order(paths: Paths):
    run = start(paths)
    for step in range(450):
        run.log(step, {"loss": 1 / (step + 1)})
    run.close("finished", window=None)
    series = read_series(paths, run.id)
    assert [line["step"] for line in series] == list(range(450))
    assert series[9]["values"] == {"loss": 0.1}
    assert [line["time_s"] for line in series] == sorted(line["time_s"] for line in series)


def test_a_run_under_way_can_be_followed_while_it_writes_in_batches(paths: Paths):
    run = start(paths)
    run.log(0, {"loss": 1.0})
    assert len(read_series(paths, run.id)) == 1  # the first line at once
    for step in range(1, 202):
        run.log(step, {"loss": 1.0})
    assert len(read_series(paths, run.id)) in range(200, 203)  # then after 200


def test_last_logged_values_are_the_metrics_and_given_ones_go_before_them(paths: Paths):
    run = start(paths)
    run.log(1, {"loss": 0.5, "auc": 0.7})
    run.log(2, {"loss": 0.25})
    record = run.close("finished", window=None, metrics={"auc": 0.8})
    assert record.metrics == {"loss": 0.25, "auc": 0.8}


def test_numpy_scalars_are_logged_as_numbers(paths: Paths):
    run = start(paths)
    run.log(1, {"loss": np.float32(0.5), "n": np.int64(3)})
    record = run.close("finished", window=None)
    assert record.metrics == {"loss": 0.5, "n": 3.0}
    assert read_series(paths, run.id)[0]["values"] == {"loss": 0.5, "n": 3}


def test_a_loss_that_is_not_a_number_leaves_a_readable_record(paths: Paths):
    run = start(paths)
    run.log(1, {"loss": math.nan, "norm": math.inf, "lr": 0.1})
    run.close("failed", window=None, error="loss is not a number")
    record = read_run(paths, run.id)
    assert record is not None
    assert record.metrics == {"lr": 0.1}
    assert read_series(paths, run.id)[0]["values"]["loss"] is None


def test_what_changes_after_logging_does_not_change_the_line(paths: Paths):
    run = start(paths)
    values = {"loss": 1.0}
    run.log(1, values)
    run.log(2, values)
    values["loss"] = 99.0
    run.close("finished", window=None)
    assert [line["values"]["loss"] for line in read_series(paths, run.id)] == [1.0, 1.0]


def test_a_killed_run_is_found_and_marked_failed_once(paths: Paths):
    done = in_process(paths, "run.log(1, {'loss': 1.0}); os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert read_runs(paths)[0].state == "running"
    (reaped,) = reap(paths)
    assert reaped.state == "failed"
    assert "is gone" in reaped.error
    assert read_runs(paths) == [reaped]
    assert reap(paths) == []
    assert len(read_series(paths, reaped.id)) == 1


def test_runs_of_living_processes_and_of_other_machines_are_left_alone(paths: Paths):
    mine, theirs = start(paths), start(paths)
    owner = theirs.folder / "owner.json"
    owner.write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": "then"}))
    assert reap(paths) == []
    assert [record.state for record in read_runs(paths)] == ["running", "running"]
    assert mine.close("finished", window=None).state == "finished"


def test_a_process_that_took_over_the_number_of_a_dead_one_does_not_hide_it(paths: Paths):
    run = start(paths)
    owner = json.loads((run.folder / "owner.json").read_text())
    assert owner["pid"] == os.getpid()
    (run.folder / "owner.json").write_text(json.dumps(owner | {"started": "another boot 1"}))
    assert [record.id for record in reap(paths)] == [run.id]


def test_damaged_records_are_named_and_hide_no_other(paths: Paths):
    good, cut, wrong, newer = (start(paths) for _ in range(4))
    half = (cut.folder / "record.json").read_bytes()
    (cut.folder / "record.json").write_bytes(half[: len(half) // 2])
    (wrong.folder / "record.json").write_text('{"version": 1, "id": 3}')
    later = json.loads((newer.folder / "record.json").read_text()) | {"version": VERSION + 1}
    (newer.folder / "record.json").write_text(json.dumps(later))
    (paths.runs / "20990101T000000000000Z-00000000").mkdir()
    (paths.runs / ".20990101T000000000001Z-00000000.part").mkdir()  # killed while opening
    assert [record.id for record in read_runs(paths)] == [good.id]
    named = {folder.name: reason for folder, reason in damaged(paths)}
    assert "cannot be read" in named[cut.id]
    assert "id" in named[wrong.id]
    assert "newer workbench" in named[newer.id]
    assert named["20990101T000000000000Z-00000000"] == "no record.json"
    assert len(named) == 4


def test_without_any_run_there_is_nothing_to_read(paths: Paths):
    assert read_runs(paths) == []
    assert reap(paths) == []
    assert damaged(paths) == []
    assert read_run(paths, "20990101T000000000000Z-00000000") is None
    assert read_run(paths, "../../etc") is None


def test_a_series_cut_by_a_crash_loses_only_its_last_line(paths: Paths):
    run = start(paths)
    run.log(1, {"loss": 1.0})
    with (run.folder / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 2, "ti')
    assert [line["step"] for line in read_series(paths, run.id)] == [1]


def test_opening_a_run_loads_no_database(paths: Paths):
    done = in_process(
        paths,
        """
        import sys
        run.close("finished", window=None)
        print({"sqlalchemy", "psycopg", "numpy", "socket"} & set(sys.modules))
        """,
    )
    assert done.stdout.strip() == "set()", done.stderr


def test_a_window_survives_its_record(paths: Paths):
    run = start(paths)
    window = Window("w", 1.5, 2.5, 1.0, 0.5, 10)
    run.close("failed", window=window, error="boom")
    record = read_run(paths, run.id)
    assert record is not None
    assert (record.window, record.error) == (window, "boom")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"id": "../../elsewhere"}, "is of run '../../elsewhere'"),
        ({"pipeline": "../fraud"}, "no name of a pipeline"),
        ({"pipeline": "Fraud\x1b[31m"}, "no name of a pipeline"),
        ({"window": {"start_s": 1e300}}, "its times are none"),
        ({"window": {"end_s": -5}}, "its times are none"),
        ({"window": {"duration_s": 1e18}}, "its times are none"),
    ],
)
def test_a_record_that_no_stage_writes_is_damaged_and_the_others_are_read(
    paths: Paths, changes: dict[str, Any], said: str
):
    good, bad = start(paths), start(paths)
    with Meter().window("train@fraud") as metered:
        pass
    for run in (good, bad):
        run.close("finished", window=metered.window)
    content = json.loads((bad.folder / "record.json").read_text())
    if "window" in changes:
        changes = {"window": content["window"] | changes["window"]}
    (bad.folder / "record.json").write_text(json.dumps(content | changes))
    assert [run.id for run in read_runs(paths)] == [good.id]
    assert read_run(paths, bad.id) is None
    ((folder, reason),) = damaged(paths)
    assert folder == bad.folder
    assert said in reason


@pytest.mark.parametrize("name", ["notes", "99999999T999999999999Z-00000000"])
def test_a_folder_whose_name_is_no_id_is_damaged(paths: Paths, name: str):
    run = start(paths)
    content = json.loads((run.folder / "record.json").read_text()) | {"id": name}
    folder = run.folder.rename(paths.runs / name)
    (folder / "record.json").write_text(json.dumps(content))
    assert damaged(paths) == [(folder, "its id is none")]


def test_a_record_that_cannot_be_opened_is_damaged(paths: Paths):
    run = start(paths)
    (run.folder / "record.json").unlink()
    (run.folder / "record.json").mkdir()
    ((folder, reason),) = damaged(paths)
    assert folder == run.folder
    assert "cannot be read" in reason


def test_runs_are_made_where_only_their_owner_looks(paths: Paths):
    start(paths)
    assert stat.S_IMODE(paths.home.stat().st_mode) == 0o700
