"""The record of a fingerprint: packages, Pythons, files, sentences and mistakes."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from tests.core import miniature
from tests.core.miniature import STAGES, stage_of
from tests.needs import not_run
from tests.oracle import executed_bindings, missed
from workbench.core.errors import PipelineError
from workbench.core.fingerprint import (
    changes,
    fingerprint,
    fingerprint_all,
    packages,
    read,
    write_all,
)
from workbench.core.fingerprint.reading import dump
from workbench.core.paths import Paths

NUMBERS, LOOP = "workbench/data/numbers.py", "workbench/training/loop.py"
DEMO = "pipelines/demo.py"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return miniature.write(tmp_path)


# packages and Python


def test_packages_count_where_they_are_reached_and_hidden_needs_with_them(tmp_path: Path) -> None:
    setup = "import ibis\nimport yaml\nimport json"
    used = stage_of(tmp_path, "def clean():\n    return ibis.table", setup=setup).packages
    unused = stage_of(tmp_path, "def clean():\n    return json.loads", setup=setup).packages
    assert set(used) == {"ibis-framework", "duckdb", "pyarrow"}
    assert used["duckdb"] == packages.installed("duckdb") != packages.ABSENT
    assert unused == {}


def test_a_package_behind_a_lazy_attribute_counts(tmp_path: Path) -> None:
    miniature.write(tmp_path)
    miniature.edit(tmp_path, NUMBERS, "import math\n", "import math\nimport yaml\n")
    miniature.edit(tmp_path, NUMBERS, "return 2 * x", "return yaml.dump(2 * x)")
    assert set(fingerprint(tmp_path, "split", "demo").packages) == {"PyYAML"}
    assert fingerprint(tmp_path, "clean", "demo").packages == {}


def test_an_upgrade_changes_the_digest_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, setup = "def clean():\n    return ibis.table", "import ibis"
    before = stage_of(tmp_path, body, setup=setup)
    was = before.packages["duckdb"]
    real = packages.installed
    monkeypatch.setattr(packages, "installed", lambda n: "9.9" if n == "duckdb" else real(n))
    after = stage_of(tmp_path, body, setup=setup)
    assert before.digest != after.digest
    assert changes(before, after) == [f"duckdb {was} became 9.9"]


def test_a_package_that_is_not_installed_is_said_to_be_absent(tmp_path: Path) -> None:
    made = stage_of(tmp_path, "import nowhere_to_be_found as n\ndef clean():\n    n.x()")
    assert made.packages == {"nowhere_to_be_found": "absent"}


F_STRINGS = """
def f(x, w):
    a = f"{x!r:>{w}}" "b" f"{x}" ""
    b = f"{x=}{x:%H:%M}{{}}" 'c'
    c = f"{x:{w}.{w}}{x:}{'é' 'ü'}"
    return f"" f"{a}{b}" rf"\\d{c}" u"kind", b"\\xff"[0:1], a[1:2, ::3]
"""


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_meaning_is_the_same_on_every_python(root: Path, version: str) -> None:
    script = (
        "import ast, json, pathlib, sys\n"
        "from workbench.core.fingerprint.record import fingerprint_all\n"
        "from workbench.core.fingerprint.reading import dump\n"
        "made = fingerprint_all(pathlib.Path(sys.argv[1]), ['demo', 'other'])\n"
        "parts = {f'{s} {p}': f.parts for (s, p), f in made.items()}\n"
        "texts = [dump(s) for a in sys.argv[2:] for s in ast.parse(a).body]\n"
        "print(json.dumps([sys.version_info[:2], parts, texts]))\n"
    )
    sources = [F_STRINGS, Path(textwrap.__file__).read_text()]
    found = [
        path
        for path in Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")
        if path.exists()
    ]
    if not found:
        not_run(f"Python {version}")
    done = subprocess.run(
        [found[0], "-B", "-c", script, root, *sources],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=True,
    )
    told, parts, texts = json.loads(done.stdout)
    here = fingerprint_all(root, ["demo", "other"])
    assert ".".join(map(str, told)) == version
    assert parts == {f"{s} {p}": made.parts for (s, p), made in here.items()}
    assert texts == [dump(stmt) for text in sources for stmt in ast.parse(text).body]


# the witness


@pytest.mark.parametrize("stage", STAGES)
def test_everything_that_a_stage_executes_is_in_its_fingerprint(root: Path, stage: str) -> None:
    def work() -> None:
        notebook = importlib.import_module("pipelines.demo")
        importlib.import_module(f"workbench.stages.{stage}").run(notebook)

    with miniature.imported(root):
        ran = executed_bindings(work, root)
    assert f"workbench.stages.{stage}:run" in ran
    assert missed(fingerprint(root, stage, "demo").parts, ran) == []


def test_the_witness_sees_lambdas_methods_and_lazy_attributes(root: Path) -> None:
    with miniature.imported(root):
        boxes = importlib.import_module("workbench.data.boxes")
        ran = executed_bindings(lambda: boxes.Box(3).total(), root)
        library = importlib.import_module("workbench")
        lazy = executed_bindings(lambda: library.twice(2), root)
    assert ran == {
        "workbench.data.boxes:Base",
        "workbench.data.boxes:Box",
        "workbench.data.numbers:square",
    }
    assert lazy == {"workbench:__getattr__", "workbench.data.numbers:double"}


# the record


def test_a_missing_contract_function_is_recorded_and_its_arrival_named(root: Path) -> None:
    before = fingerprint(root, "train", "demo")
    assert before.parts["pipelines.demo:start"] == "absent"
    begin = "@app.function\ndef start(x):\n    return x\n\n\nif __name__"
    miniature.edit(root, DEMO, "if __name__", begin)
    after = fingerprint(root, "train", "demo")
    assert changes(before, after) == ["pipelines.demo:start added"]
    assert changes(after, before) == ["pipelines.demo:start removed"]


def test_changes_name_what_changed(root: Path) -> None:
    before = fingerprint(root, "split", "demo")
    miniature.edit(root, NUMBERS, "* FACTOR", "* abs(FACTOR)")
    assert changes(before, fingerprint(root, "split", "demo")) == [
        "workbench.data.numbers:_deepest changed"
    ]
    assert changes(before, replace(before, python="3.99")) == [
        f"Python {before.python} became 3.99"
    ]
    assert changes(before, before) == []


def test_one_stage_and_all_stages_agree(root: Path) -> None:
    together = fingerprint_all(root, ["demo", "other"])
    assert set(together) == {(s, p) for s in STAGES for p in ("demo", "other")}
    for (stage, pipeline), made in together.items():
        assert made == fingerprint(root, stage, pipeline)


def test_the_digest_does_not_depend_on_the_folder(root: Path, tmp_path: Path) -> None:
    elsewhere = miniature.write(tmp_path / "elsewhere")
    assert fingerprint_all(root, ["demo"]) == fingerprint_all(elsewhere, ["demo"])


def test_the_digest_does_not_depend_on_hash_seeds(root: Path) -> None:
    script = (
        "import pathlib, sys\n"
        "from workbench.core.fingerprint import fingerprint_all\n"
        "made = fingerprint_all(pathlib.Path(sys.argv[1]), ['demo'])\n"
        "print(*(f.digest for f in made.values()))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", script, root],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            cwd=Path(__file__).parents[2],
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


def test_files_are_written_only_when_their_content_differs(root: Path) -> None:
    paths = Paths(root=root, home=root / ".workbench")
    assert len(write_all(paths, ["demo", "other"])) == 2 * len(STAGES)
    kept = paths.fingerprint("clean", "demo").stat().st_mtime_ns
    assert write_all(paths, ["demo", "other"]) == []
    miniature.edit(root, NUMBERS, "* FACTOR", "+ FACTOR")
    assert write_all(paths, ["demo", "other"]) == [
        paths.fingerprint("split", "demo"),
        paths.fingerprint("split", "other"),
    ]
    assert paths.fingerprint("clean", "demo").stat().st_mtime_ns == kept
    assert read(paths.fingerprint("split", "demo")) == fingerprint(root, "split", "demo")


def test_files_of_vanished_pipelines_are_removed(root: Path) -> None:
    paths = Paths(root=root, home=root / ".workbench")
    write_all(paths, ["demo", "other"])
    gone = write_all(paths, ["demo"])
    assert gone == sorted(paths.fingerprint(stage, "other") for stage in STAGES)
    assert not any(path.exists() for path in gone)


def test_a_damaged_file_reads_as_none_and_is_written_anew(root: Path) -> None:
    paths = Paths(root=root, home=root / ".workbench")
    write_all(paths, ["demo"])
    path = paths.fingerprint("clean", "demo")
    path.write_text('{"version": 0}')
    assert read(path) is None
    assert write_all(paths, ["demo"]) == [path]


# mistakes


def test_an_unknown_stage_is_named_with_the_nearest(root: Path) -> None:
    with pytest.raises(PipelineError, match=r"no stage 'trian'. Did you mean 'train'"):
        fingerprint(root, "trian", "demo")


def test_a_missing_notebook_is_named(root: Path) -> None:
    with pytest.raises(
        PipelineError, match=r"pipelines/dem.py:1 does not exist. Did you mean 'demo'"
    ):
        fingerprint(root, "clean", "dem")


def test_a_syntax_error_names_file_and_line(root: Path) -> None:
    miniature.edit(root, NUMBERS, "    step = 7", "    step = = 7")
    text = (root / NUMBERS).read_text()
    line = text[: text.index("step = =")].count("\n") + 1
    with pytest.raises(PipelineError, match=rf"^workbench/data/numbers.py:{line} is not valid"):
        fingerprint(root, "clean", "demo")


def test_only_reached_modules_are_read(root: Path) -> None:
    (root / LOOP).write_text("this is = not Python")
    assert fingerprint(root, "clean", "demo").parts
    with pytest.raises(PipelineError, match=r"loop\.py:1"):
        fingerprint(root, "train", "demo")


def test_a_file_that_is_not_utf_8_is_named(root: Path) -> None:
    (root / NUMBERS).write_bytes(b"# \xff\n")
    with pytest.raises(PipelineError, match=r"numbers.py:1 is not UTF-8"):
        fingerprint(root, "clean", "demo")


def test_a_checkout_of_pipelines_alone_uses_the_running_library(tmp_path: Path) -> None:
    alone = {DEMO: "def collect():\n    return 1\n"}
    made = fingerprint(miniature.write(tmp_path, alone), "collect", "demo")
    assert {"pipelines.demo:collect", "workbench.stages.collect:run"} <= set(made.parts)
