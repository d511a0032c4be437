"""`workbench new` at a terminal: says what it believes, is corrected, then writes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator, Sequence

import pytest

from tests import own_tables as tables
from tests.checkout import CLI, Checkout, environment, new_checkout
from tests.commands import commands
from tests.terminal import plain
from workbench.core.params import read_params

NEW = ("new", "mine", "--data", "people.csv", "--target", "left us")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout with a table in which nothing ran."""
    made = new_checkout(tmp_path_factory.mktemp("new") / "checkout")
    tables.as_csv(made.root / "people.csv", tables.people(), ";")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def back(desk: Checkout) -> Iterator[None]:
    """Every test leaves the checkout as it was."""
    text = desk.paths.params.read_text()
    yield
    desk.paths.params.write_text(text)
    desk.paths.notebook("mine").unlink(missing_ok=True)


def talk(desk: Checkout, answers: Sequence[str]) -> tuple[int, str]:
    """Run `new` in a terminal and answer each prompt; "^C" presses Ctrl-C."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [*CLI, *NEW],
        cwd=desk.root,
        env=environment() | {"TERM": "xterm"},
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    said, left = b"", list(answers)
    try:
        while part := _read(ours):
            said += part
            if left and said.endswith(b"> "):
                answer = left.pop(0)
                said += b"|"  # the prompt that was answered is not seen again
                if answer == "^C":
                    os.kill(process.pid, signal.SIGINT)
                else:
                    os.write(ours, answer.encode() + b"\n")
    finally:
        with contextlib.suppress(ProcessLookupError):
            if process.poll() is None and left:
                process.kill()
        code = process.wait(60)
        os.close(ours)
    assert not left, said.decode()
    return code, "\n".join(plain(said.decode()))


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""


def is_untouched(desk: Checkout) -> bool:
    return "mine" not in read_params(desk.paths.params).pipelines and not (
        desk.paths.notebook("mine").exists()
    )


def test_a_person_corrects_until_nothing_is_wrong(desk: Checkout) -> None:
    code, said = talk(
        desk, ["?", "wrod zip", "drop towm", "drop town", "number zip", "positive no", ""]
    )
    assert code == 0, said
    assert "leave columns out" in said
    assert "Did you mean 'word'?" in said
    assert "Did you mean 'town'?" in said
    notebook = desk.paths.notebook("mine").read_text()
    assert 'POSITIVE = "no"' in notebook
    assert '"zip": wb.number()' in notebook
    assert '# "town": you left it out' in notebook
    assert "mine" in read_params(desk.paths.params).pipelines


def test_ctrl_c_at_the_prompt_writes_nothing(desk: Checkout) -> None:
    code, said = talk(desk, ["drop town", "^C"])
    assert code in (1, 130), said
    assert "Traceback" not in said
    assert is_untouched(desk)


def test_a_look_writes_nothing_and_tells_machines_all(desk: Checkout) -> None:
    told, shown = commands(desk, [[*NEW, "--look", "--json"], [*NEW, "--look"]])
    seen = json.loads(told.ok().text)
    assert (seen["rows"], seen["task"], seen["key"]) == (400, "binary", ["person id"])
    assert "counts as yes: yes" in shown.ok().text
    assert is_untouched(desk)


def test_each_correction_of_the_command_line_is_followed(desk: Checkout) -> None:
    said = ["word age", "text plan", "date born %d.%m.%Y", "time born", "group town", "key none"]
    said += ["only age plan born", "positive no"]
    corrections = [part for line in said for part in ("-c", line)]
    (told,) = commands(desk, [[*NEW, "--json", *corrections]])
    look = json.loads(told.ok().text)["look"]
    uses = {c["name"]: (c["use"], (c["kind"] or {}).get("role")) for c in look["columns"]}
    assert uses["age"][0] == "feature"
    assert uses["spend"][0] == "left out"
    assert (look["time"], look["group"], look["key"]) == ("born", "town", [])
    assert look["positive"] == "no"
    notebook = desk.paths.notebook("mine").read_text()
    assert '"age": wb.word()' in notebook
    assert '"plan": wb.text()' in notebook
    assert 'time="born"' in notebook
    assert 'group="town"' in notebook


def test_what_exists_is_never_written_over(desk: Checkout) -> None:
    desk.paths.notebook("mine").write_text("# a person's\n")
    params = desk.paths.params.read_text()
    there, taken, named = commands(
        desk,
        [
            [*NEW, "--yes"],
            ["new", "small", *NEW[2:], "--yes"],
            ["new", "My Table", *NEW[2:], "--yes"],
        ],
    )
    there.failed("pipelines/mine.py exists already", "that notebook, as it is")
    taken.failed("pipelines/small.py exists already")
    named.failed("'My Table' cannot name a pipeline", "lower-case letters")
    assert desk.paths.notebook("mine").read_text() == "# a person's\n"
    desk.paths.notebook("mine").unlink()
    assert desk.paths.params.read_text() == params


def test_broken_params_are_told_and_no_notebook_is_left(desk: Checkout) -> None:
    text = desk.paths.params.read_text()
    desk.paths.params.write_text(text + "mine: {collect: {as_of: '2026-01-01'}}\n")
    (told,) = commands(desk, [[*NEW, "--yes"]])
    told.failed("'mine'")
    assert not desk.paths.notebook("mine").exists()
