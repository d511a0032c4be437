"""The program as a whole: what it imports, and how it tells errors."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest
import yaml

from tests.checkout import Checkout
from workbench.cli import main

HEAVY = ("torch", "pandas", "ibis", "duckdb", "pydantic", "mlflow", "onnxruntime", "numpy")
COMMANDS = "check status repro refresh release rollback sync serve predict explain up runs doctor"
TOLD = f"import json, sys; print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
HELP = "import sys; from workbench.cli.main import app; app(['--help'], standalone_mode=False)"


def imported(desk: Checkout, code: str) -> list[str]:
    """Heavy modules that `code` imports."""
    return json.loads(desk.run(sys.executable, "-c", f"{code}\n{TOLD}").ok().text.splitlines()[-1])


def test_the_library_imports_nothing_heavy_until_it_is_used(desk: Checkout) -> None:
    assert imported(desk, "import workbench") == []
    assert "numpy" in imported(desk, "import workbench; workbench.Bundle")


def test_help_names_every_command_and_imports_nothing_heavy(desk: Checkout) -> None:
    assert imported(desk, HELP) == []
    told = desk.workbench("--help").ok().text
    for command in COMMANDS.split():
        assert f" {command} " in told


def test_an_error_is_a_sentence_with_the_next_step_and_debug_shows_where(desk: Checkout) -> None:
    desk.workbench("explain", "nope").failed("'nope' is no prediction id", "Next:")
    told = desk.workbench("--debug", "explain", "nope")
    assert told.code == 1
    assert "Traceback" in told.text


def test_what_nobody_foresaw_is_a_sentence_too(desk: Checkout) -> None:
    code = "from workbench.cli import main; main.app = lambda: [][0]; main.main()"
    desk.run(sys.executable, "-c", code).failed("This should not happen: IndexError", "--debug")


def test_outside_of_a_checkout_it_says_so(desk: Checkout) -> None:
    code = "import os; os.chdir('/'); from workbench.cli.main import main; main()"
    told = desk.run(sys.executable, "-c", code, "status", PYTHONPATH=str(desk.root))
    told.failed("No params.yaml at or above /")


def test_a_file_nested_without_end_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def deep() -> None:
        yaml.safe_load("[" * 5_000)

    monkeypatch.setattr(main, "app", deep)
    monkeypatch.delenv("WORKBENCH_DEBUG", raising=False)
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 1
    assert "A file is nested too deeply to be read." in capsys.readouterr().err


def test_any_command_makes_the_state_of_a_checkout_for_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("version: 1\npipelines: []\nsite: {}\n")
    Checkout(tmp_path).workbench("runs").ok()
    assert stat.S_IMODE((tmp_path / ".workbench").stat().st_mode) == 0o700
