"""Random edits of a miniature: what changes an answer changes the digest, and prose does not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests import edits
from tests.core import miniature
from tests.core.miniature import STAGES
from tests.edits import Edit
from workbench.core.fingerprint import fingerprint_all

EDITS = 50
"""Edits a seed and kind; five seeds."""

SEEDS = range(5)

# edits of what only the miniature has


def swap_import(rng: random.Random, files: dict[str, str]) -> str:
    name = "workbench/data/readers.py"
    target = rng.choice(["offset", "clamp", "square", "unreached"])
    files[name] = files[name].replace("double as times_two", f"{target} as times_two")
    return name


def move_home(rng: random.Random, files: dict[str, str]) -> str:
    name = "workbench/__init__.py"
    target = rng.choice(["square", "offset", "clamp"])
    files[name] = files[name].replace("numbers:double", f"numbers:{target}")
    return name


def move_re_export(rng: random.Random, files: dict[str, str]) -> str:
    name = "workbench/data/__init__.py"
    target = rng.choice(["square", "double", "clamp"])
    files[name] = files[name].replace("offset as shift", f"{target} as shift")
    return name


def add_registration(rng: random.Random, files: dict[str, str]) -> str:
    name = "workbench/data/readers.py"
    files[name] += rng.choice(
        [
            '\nTABLE["plain"] = lambda x: x\n',
            '\n@source("double")\ndef newer(x):\n    return -x\n',
            '\nregistry.NAMES.append("double")\n',
            '\nregistry.NAMES[0] = "plain"\n',
            '\nfor key in ("raw", "plain"):\n    TABLE[key] = abs\n',
        ]
    )
    return name


def register_type(rng: random.Random, files: dict[str, str]) -> str:
    name = "workbench/training/loop.py"
    files[name] += rng.choice(
        [
            "\n@show.register(int)\ndef _(value):\n    return 'INT'\n",
            "\nshow.register(str, lambda value: 'text')\n",
            "\nRATES.append(3)\nOFFSETS.append(9)\n",
            "\nOFFSETS[0] = 40\n",
            "\ndef pick(flag):\n    return 3\n",
        ]
    )
    return name


def override_method(rng: random.Random, files: dict[str, str]) -> str:
    name = "workbench/data/boxes.py"
    files[name] += rng.choice(
        [
            "\nBox.unit = staticmethod(lambda: 3)\n",
            "\nBase.weight = 6\n",
            "\nsetattr(Base, 'weight', 7)\n",
            "\nBox.total = lambda self: 0\n",
        ]
    )
    return name


MEANING: tuple[Edit, ...] = (
    *edits.MEANING,
    edits.change_constant,
    edits.swap_names,
    swap_import,
    move_home,
    move_re_export,
    add_registration,
    register_type,
    override_method,
)


# edits that mean nothing


def edit_unreached(rng: random.Random, files: dict[str, str]) -> str:
    name = "workbench/data/numbers.py"
    old, new = rng.choice([("UNUSED = 99", "UNUSED = 98"), ("x - UNUSED", "x + UNUSED")])
    files[name] = files[name].replace(old, new)
    return name


def edit_notebook_prose(rng: random.Random, files: dict[str, str]) -> str:
    name = "pipelines/demo.py"
    old, new = rng.choice(
        [
            ('width="medium"', 'width="full"'),
            ('app_title="Demo"', 'app_title="Another"'),
            ("RATE * 2", "RATE * 7"),
            ("# # Demo", "# # Another title"),
            ("@app.cell(hide_code=True)", "@app.cell"),
            ("@app.function(hide_code=True)", "@app.function"),
            ('"""A pipeline."""', '"""Another."""'),
            ("0.25.2", "0.26.0"),
        ]
    )
    assert old in files[name]
    files[name] = files[name].replace(old, new)
    return name


def edit_observer(rng: random.Random, files: dict[str, str]) -> str:
    name = "workbench/tracking/__init__.py"
    files[name] = files[name].replace("{name}=", "{name} is ")
    files["workbench/core/progress.py"] += "\nWIDTH = 80\n"
    return name


def add_log_line(rng: random.Random, files: dict[str, str]) -> str:
    name, old = rng.choice(
        [
            ("workbench/training/loop.py", "    return total + counted()"),
            ("workbench/training/loop.py", "    low, high = 4, 9"),
        ]
    )
    line = rng.choice(
        [
            '    progress.note("here")\n',
            '    progress.note(f"at {len(RATES)}")\n',
            '    from workbench import tracking\n\n    tracking.log("n", 3)\n',
        ]
    )
    files[name] = files[name].replace(old, line + old)
    return name


NEUTRAL: tuple[Edit, ...] = (
    *edits.NEUTRAL,
    edit_unreached,
    edit_notebook_prose,
    edit_observer,
    add_log_line,
)


def _digests(root: Path) -> dict[str, str]:
    made = fingerprint_all(root, ["demo"])
    return {stage: made[stage, "demo"].digest for stage in STAGES}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[str, str]]:
    root = miniature.write(tmp_path_factory.mktemp("base"))
    return miniature.run(root), _digests(root)


def _edited(
    tmp_path: Path, rng: random.Random, grammar: tuple[Edit, ...], count: int
) -> tuple[Path, str]:
    files = dict(miniature.FILES)
    said = []
    for edit in rng.choices(grammar, k=count):
        # The miniature's own edits name their places; the others keep inside the border.
        place = files if edit.__module__ == __name__ else edits.inside(files)
        said.append(f"{edit.__name__} in {edit(rng, place)}")
        files |= place
    return miniature.write(tmp_path, files), "; ".join(said)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_edit_that_changes_an_answer_changes_the_digest(
    seed: int, tmp_path: Path, base: tuple[dict[str, str], dict[str, str]]
) -> None:
    rng = random.Random(seed)
    answers, digests = base
    misses, told = [], 0
    for _ in range(EDITS):
        root, said = _edited(tmp_path, rng, MEANING, rng.choice([1, 1, 2]))
        after, now = miniature.run(root), _digests(root)
        for stage in STAGES:
            if after[stage] not in (answers[stage], miniature.NO_IMPORT):
                told += 1
                if now[stage] == digests[stage]:
                    misses.append(f"{stage}: {said}: {answers[stage]} became {after[stage]}")
    assert misses == []
    assert told >= EDITS / 2, "the edits change too little to prove anything"


@pytest.mark.parametrize("seed", SEEDS)
def test_edits_that_mean_nothing_leave_every_digest(
    seed: int, tmp_path: Path, base: tuple[dict[str, str], dict[str, str]]
) -> None:
    rng = random.Random(seed)
    answers, digests = base
    for number in range(EDITS):
        root, said = _edited(tmp_path, rng, NEUTRAL, rng.choice([1, 2, 3]))
        assert _digests(root) == digests, said
        if number % 6 == 0:
            assert miniature.run(root) == answers, said
