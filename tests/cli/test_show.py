"""How answers look where a person reads, and that nothing breaks lines where a program does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.terminal import in_terminal, plain, python

ID = "20261124T082719536065Z-b9f70a08"
TABLE = f"""
from workbench.cli.show import table
rows = [
    ["{ID}", "evaluate@healthcare", "finished", "08:27", "1.2 s", "413 MB", "3 mWh", "modelled"]
]
names = ["run", "stage", "state", "started", "took", "memory", "energy", "known by"]
table("", names, rows, whole=names[:4], spare=(("memory",), ("energy", "known by")))
"""
ROOT = Path(__file__).parents[2]


def piped(code: str) -> str:
    environ = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(python(code), env=environ, cwd=ROOT, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_names_are_whole_at_every_usual_width_and_what_is_left_out_is_said() -> None:
    for columns, left_out in ((120, ""), (100, "memory"), (84, "memory, energy, known by")):
        _, row, *rest = plain(in_terminal(*python(TABLE), cwd=ROOT, columns=columns))
        assert row.startswith(f"{ID}  evaluate@healthcare  finished  08:27"), columns
        assert rest == ([f"{left_out}: in a wider terminal, or with --json"] if left_out else [])


def test_nothing_is_broken_into_lines_where_no_terminal_reads() -> None:
    head, row = piped(TABLE).splitlines()
    assert row.split() == [
        *f"{ID} evaluate@healthcare finished 08:27 1.2 s 413 MB 3 mWh".split(),
        "modelled",
    ]
    assert head.split()[-2:] == ["known", "by"]
    assert piped("from workbench.cli.show import say; say('word ' * 100)").count("\n") == 1
    failing = (
        "from workbench.cli import main; from workbench.core.errors import DataError; "
        "main._tell(DataError('word ' * 100, fix='word ' * 100))"
    )
    assert piped(failing).count("\n") == 2


def test_a_passing_line_is_replaced_on_a_terminal_and_left_out_elsewhere() -> None:
    code = (
        "from workbench.cli.show import say_over; "
        "say_over('at work ' * 40, passing=True); say_over('done')"
    )
    assert piped(code) == "done\n"
    shown = in_terminal(*python(code), cwd=ROOT, columns=40)
    assert shown.count("\n") == 1  # cut, so that the cursor stays in the line
    assert shown.endswith("\r\x1b[2Kdone\r\n")


def test_work_shows_on_a_terminal_alone() -> None:
    code = "from workbench.cli.show import working\nwith working('judging'): pass"
    assert piped(code) == ""
    assert "judging" in in_terminal(*python(code), cwd=ROOT)


def test_a_time_of_today_is_its_hour_and_another_its_day() -> None:
    code = "import time; from workbench.cli.show import moment; print(moment({}))"
    assert (
        piped(code.format("time.time()")).strip()
        == piped("import time; print(time.strftime('%H:%M'))").strip()
    )
    assert piped(code.format("86400 * 365")).strip() == "1971-01-01"
