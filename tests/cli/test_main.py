"""The program as a whole: what it imports, and how it tells errors."""

from __future__ import annotations

import json
import sys

from tests.checkout import Checkout

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
