"""What wakes a stage and what does not, a rule at a time."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.core import miniature
from tests.core.miniature import STAGES, stage_of
from workbench.core.fingerprint import changes, fingerprint, fingerprint_all
from workbench.core.fingerprint.reading import dump


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return miniature.write(tmp_path)


def woken(root: Path, name: str, old: str, new: str, pipeline: str = "demo") -> set[str]:
    """Edit one file; return the stages whose fingerprint is another one afterwards."""
    before = fingerprint_all(root, [pipeline])
    miniature.edit(root, name, old, new)
    after = fingerprint_all(root, [pipeline])
    return {stage for stage in STAGES if before[stage, pipeline] != after[stage, pipeline]}


# what wakes exactly the stages that reach it

NUMBERS, BOXES = "workbench/data/numbers.py", "workbench/data/boxes.py"
LOOP, READERS = "workbench/training/loop.py", "workbench/data/readers.py"
DEMO = "pipelines/demo.py"


@pytest.mark.parametrize(
    ("name", "old", "new", "stages"),
    [
        pytest.param(DEMO, "x * RATE for", "x + RATE for", {"collect"}, id="the function itself"),
        pytest.param(NUMBERS, "* FACTOR", "- FACTOR", {"split"}, id="a helper three calls down"),
        pytest.param(NUMBERS, "FACTOR: int = 2", "FACTOR: int = 4", {"split"}, id="its constant"),
        pytest.param(DEMO, "    RATE = 3", "    RATE = 4", {"collect"}, id="a setup constant"),
        pytest.param(DEMO, "HIDDEN = 17", "HIDDEN = 18", {"evaluate"}, id="another setup constant"),
        pytest.param(DEMO, "width = 4", "width = 5", {"train", "export"}, id="a class in a cell"),
        pytest.param(BOXES, "return 8", "return 9", {"export", "candidate"}, id="a class method"),
        pytest.param(BOXES, "return 1", "return 2", {"export", "candidate"}, id="a base class"),
        pytest.param(BOXES, "size: int", "size: float", {"export", "candidate"}, id="a field"),
        pytest.param(BOXES, "size > 2", "size > 3", {"candidate"}, id="a match pattern"),
        pytest.param(NUMBERS, "step = 7", "step = 8", {"clean"}, id="a re-exported function"),
        pytest.param(NUMBERS, "x * x + 1", "x * x", {"export", "candidate"}, id="a lambda"),
        pytest.param(
            "workbench/data/__init__.py", "offset as", "double as", {"clean"}, id="a re-export"
        ),
        pytest.param(
            "workbench/__init__.py", "numbers:double", "numbers:offset", {"split"}, id="a lazy home"
        ),
        pytest.param(
            "workbench/__init__.py",
            "attribute or name",
            "attribute or name.lower()",
            {"split", "export"},
            id="the lazy look-up itself",
        ),
        pytest.param(READERS, "BASE = 11", "BASE = 12", {"collect"}, id="behind a registration"),
        pytest.param(READERS, "x - 6", "x - 7", {"collect"}, id="an assigned registration"),
        pytest.param(READERS, 'append("raw")', 'append("x")', {"collect"}, id="an appended name"),
        pytest.param(LOOP, "value:03d", "value:04d", {"label"}, id="a singledispatch case"),
        pytest.param(LOOP, "rate + 1", "rate + 2", {"train"}, id="a comprehension at the top"),
        pytest.param(LOOP, "_count = 5", "_count = 6", {"train"}, id="a global statement"),
        pytest.param(LOOP, "epochs=3", "epochs=4", {"train"}, id="a default argument"),
        pytest.param(LOOP, "import Box as Case", "import Base as Case", {"export"}, id="an import"),
        pytest.param("workbench/stages/split.py", "range(4)", "range(5)", {"split"}, id="a stage"),
    ],
)
def test_a_change_wakes_exactly_the_stages_that_reach_it(
    root: Path, name: str, old: str, new: str, stages: set[str]
) -> None:
    assert woken(root, name, old, new) == stages


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        pytest.param(DEMO, '"""A pipeline."""', '"""Prose."""', id="prose"),
        pytest.param(DEMO, "# # Demo", "# # Title", id="a comment"),
        pytest.param(DEMO, "RATE * 2", "RATE * 5", id="a cell"),
        pytest.param(DEMO, 'width="medium"', 'width="full"', id="the width of the app"),
        pytest.param(DEMO, "@app.function\ndef label", "@app.function()\ndef label", id="options"),
        pytest.param(DEMO, "app.run()", "app.run(); print(1)", id="the main guard"),
        pytest.param(DEMO, "0.25.2", "0.25.3", id="marimo's version"),
        pytest.param(NUMBERS, "UNUSED = 99", "UNUSED = 1", id="a constant nobody reads"),
        pytest.param(NUMBERS, "x - UNUSED", "x", id="a function nobody calls"),
        pytest.param(NUMBERS, "x: int) -> int", "x: 'float')", id="annotations"),
        pytest.param(NUMBERS, "Three calls down", "Deep down", id="a docstring"),
        pytest.param(NUMBERS, "FACTOR: int = 2", "FACTOR = (  2  )", id="layout"),
        pytest.param(
            NUMBERS, "import math\nfrom f", "import json\nimport math\nfrom f", id="import"
        ),
        pytest.param("workbench/tracking/__init__.py", "{name}=", "{name}: ", id="an observer"),
        pytest.param(LOOP, "epoch {epoch}: {total}", "{epoch}", id="what an observer is told"),
        pytest.param(
            LOOP, '        progress.note(f"epoch {epoch}: {total}")\n', "", id="a log line"
        ),
        pytest.param("pipelines/other.py", "return [1]", "return [2]", id="another pipeline"),
        pytest.param("workbench/__init__.py", "_HOMES = {", '_HOMES = {"x": "y",', id="lazy name"),
    ],
)
def test_what_means_nothing_wakes_nothing(root: Path, name: str, old: str, new: str) -> None:
    assert woken(root, name, old, new) == set()


def test_pipelines_are_independent_and_library_code_is_shared(root: Path) -> None:
    assert woken(root, DEMO, "x * RATE for", "x for", pipeline="other") == set()
    assert woken(root, NUMBERS, "step = 7", "step = 8", pipeline="other") == {"clean"}


# scopes


def test_a_local_hides_a_global_of_the_same_name(root: Path) -> None:
    parts = fingerprint(root, "clean", "demo").parts
    assert "pipelines.demo:clean" in parts
    assert "pipelines.demo:RATE" not in parts


@pytest.mark.parametrize(
    "body",
    [
        "def clean(LIMIT):\n    return LIMIT",
        "def clean():\n    return [LIMIT for LIMIT in range(3)]",
        "def clean():\n    for LIMIT in range(3):\n        pass",
        "def clean():\n    import json as LIMIT\n    return LIMIT",
        "def clean():\n    def inner():\n        return LIMIT\n    LIMIT = 1\n    return inner",
        "def clean(x):\n    match x:\n        case [LIMIT, *_]:\n            return LIMIT",
        "def clean():\n    try:\n        x\n    except OSError as LIMIT:\n        return LIMIT",
    ],
)
def test_names_bound_in_a_function_are_its_own(tmp_path: Path, body: str) -> None:
    assert "pipelines.demo:LIMIT" not in stage_of(tmp_path, body, setup="LIMIT = 3").parts


@pytest.mark.parametrize(
    "body",
    [
        "def clean(x=LIMIT):\n    return x",
        "def clean():\n    return [x for x in LIMIT]",
        "def clean():\n    return [LIMIT for x in y]",
        "def clean():\n    return lambda: (lambda: LIMIT)",
        "def clean():\n    def inner():\n        return LIMIT\n    return inner",
        "def clean():\n    class Inner:\n        LIMIT = LIMIT\n    return Inner",
        "class In:\n    LIMIT = 1\n    def go(self):\n        return LIMIT\ndef clean():\n    In",
        "def clean():\n    global LIMIT\n    LIMIT = 4",
        "def clean():\n    return f'{x:>{LIMIT}}'",
        "values = [LIMIT for x in range(3)]\ndef clean():\n    return values",
        "@LIMIT\ndef clean():\n    pass",
        "class Inner(LIMIT):\n    pass\ndef clean():\n    return Inner()",
        "try:\n    from json import loads\nexcept ImportError:\n    loads = LIMIT\n"
        "def clean():\n    loads()",
    ],
)
def test_names_looked_up_in_the_module_are_found(tmp_path: Path, body: str) -> None:
    assert "pipelines.demo:LIMIT" in stage_of(tmp_path, body, setup="LIMIT = 3").parts


@pytest.mark.parametrize(
    "setup",
    [
        "LIMIT = [3]\nLIMIT.append(HIDDEN)",
        "LIMIT = {}\nLIMIT['x'] = HIDDEN",
        "LIMIT = []\nLIMIT += [HIDDEN]",
        "class LIMIT: pass\nLIMIT.x = HIDDEN",
        "class LIMIT: pass\nsetattr(LIMIT, 'x', HIDDEN)",
        "LIMIT = {}\nfor key in HIDDEN:\n    LIMIT[key] = 1",
        "LIMIT = {}\nif HIDDEN:\n    LIMIT.update(x=1)",
        "LIMIT = []\ndef put(f):\n    LIMIT.append(f)\n    return f\n@put\ndef g():\n    HIDDEN",
        "LIMIT = []\ndef put(f):\n    LIMIT.append(f)\nput(HIDDEN)",
        "LIMIT = Bag()\n@LIMIT.add('x')\ndef g():\n    return HIDDEN",
        "LIMIT = 1\nLIMIT = HIDDEN",
        "def LIMIT():\n    pass\n@LIMIT.register\ndef _(x: int):\n    HIDDEN",
    ],
)
def test_a_later_change_belongs_to_what_it_changes(tmp_path: Path, setup: str) -> None:
    parts = stage_of(tmp_path, "def clean():\n    return LIMIT", setup=f"HIDDEN = 1\n{setup}").parts
    assert "pipelines.demo:HIDDEN" in parts


def test_a_decorator_that_knows_no_table_ties_nothing_together(tmp_path: Path) -> None:
    setup = (
        "TRIES = 3\n"
        "def again(f):\n    return [f] * TRIES\n"
        "@again\ndef other():\n    return HIDDEN\n"
        "HIDDEN = 1"
    )
    parts = stage_of(tmp_path, "@again\ndef clean():\n    return TRIES", setup=setup).parts
    assert "pipelines.demo:TRIES" in parts
    assert "pipelines.demo:HIDDEN" not in parts


# ways to another module


@pytest.mark.parametrize(
    "body",
    [
        "from workbench.data.extra import fn\ndef clean():\n    fn()",
        "from workbench.data.extra import fn as f\ndef clean():\n    f()",
        "from workbench.data import extra\ndef clean():\n    extra.fn()",
        "import workbench.data.extra\ndef clean():\n    workbench.data.extra.fn()",
        "import workbench.data.extra as e\ndef clean():\n    e.fn()",
        "import workbench as wb\ndef clean():\n    wb.data.extra.fn()",
        "def clean():\n    from workbench.data.extra import fn\n    fn()",
        "def clean():\n    import workbench.data.extra\n    workbench.data.extra.fn()",
        "def clean():\n    from workbench.data import extra as e\n    return lambda: e.fn()",
        "from workbench.data.extra import *\ndef clean():\n    fn()",
        "from workbench.data import extra\ndef clean():\n    use(extra)",
        "from importlib import import_module\n"
        "def clean():\n    import_module('workbench.data.extra').fn()",
    ],
)
def test_every_kind_of_import_is_followed(tmp_path: Path, body: str) -> None:
    parts = stage_of(tmp_path, body, other="def fn():\n    return 1\n").parts
    assert "workbench.data.extra:fn" in parts


def test_only_what_is_named_of_a_module_counts_unless_it_is_passed_around(tmp_path: Path) -> None:
    other = "def fn():\n    return 1\ndef unused():\n    return 2\n"
    named = "from workbench.data import extra\ndef clean():\n    extra.fn()"
    passed = "from workbench.data import extra\ndef clean():\n    return extra"
    assert "workbench.data.extra:unused" not in stage_of(tmp_path, named, other).parts
    assert "workbench.data.extra:unused" in stage_of(tmp_path, passed, other).parts


def test_relative_imports_are_followed(root: Path) -> None:
    assert "workbench.data.numbers:square" in fingerprint(root, "candidate", "demo").parts


def test_a_package_with_getattr_and_no_table_counts_whole(tmp_path: Path) -> None:
    files = dict(miniature.FILES)
    files["workbench/data/extra/__init__.py"] = "A = 1\ndef __getattr__(name):\n    return A\n"
    files[DEMO] = "from workbench.data import extra\ndef clean():\n    extra.unknown()"
    parts = fingerprint(miniature.write(tmp_path, files), "clean", "demo").parts
    assert {"workbench.data.extra:A", "workbench.data.extra:__getattr__"} <= set(parts)


def test_an_effect_of_a_modules_import_counts_with_what_it_holds(tmp_path: Path) -> None:
    body = "from workbench.data.extra import fn\ndef clean():\n    fn()"
    one = stage_of(tmp_path, body, "import warnings\nwarnings.simplefilter('x')\ndef fn(): ...\n")
    two = stage_of(tmp_path, body, "import warnings\nwarnings.simplefilter('y')\ndef fn(): ...\n")
    assert changes(one, two) == ["workbench.data.extra:<import> changed"]


# what may be left out


def same(tmp_path: Path, one: str, two: str, setup: str = "") -> bool:
    first = stage_of(tmp_path, one, setup=setup)
    return first.digest == stage_of(tmp_path, two, setup=setup).digest


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("def clean(x):\n    return 1", "def clean(x: int) -> 'Any':\n    return 1"),
        ("def clean(x):\n    y = 1", "def clean(x):\n    y: int = 1"),
        ("def clean(x):\n    return 1", "def clean(x):\n    'Why.'\n    return 1"),
        ("class A: pass\ndef clean():\n    A", "class A:\n    'Why.'\ndef clean():\n    A"),
        (
            "import functools\n@functools.cache\ndef clean(x):\n    return 1",
            "import functools\n@functools.cache\ndef clean(x: int):\n    'Why.'\n    return 1",
        ),
        (
            "class A:\n    @property\n    def a(self):\n        return 1\ndef clean():\n    A",
            "class A:\n    @property\n    def a(self) -> B:\n        return 1\ndef clean():\n    A",
        ),
        (
            "def clean(x):\n    return x",
            "if TYPE_CHECKING:\n    A = 1\ndef clean(x):\n    return x",
        ),
    ],
)
def test_prose_and_annotations_that_nothing_reads_are_left_out(
    tmp_path: Path, one: str, two: str
) -> None:
    assert same(tmp_path, one, two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("@mark\ndef clean(x): ...", "@mark\ndef clean(x: int): ..."),
        ("class A:\n    x: int\ndef clean():\n    A", "class A:\n    x: str\ndef clean():\n    A"),
        (
            "def clean(x):\n    return clean.__annotations__",
            "def clean(x: int):\n    return clean.__annotations__",
        ),
        ("def clean():\n    'A'\n    clean.__doc__", "def clean():\n    'B'\n    clean.__doc__"),
        (
            "import inspect\ndef f(x): ...\ndef clean():\n    inspect.signature(f)",
            "import inspect\ndef f(x: int): ...\ndef clean():\n    inspect.signature(f)",
        ),
        (
            "from typing import get_type_hints\ndef f(x): ...\ndef clean():\n    get_type_hints(f)",
            "from typing import get_type_hints\ndef f(x: int): ...\n"
            "def clean():\n    get_type_hints(f)",
        ),
    ],
)
def test_prose_and_annotations_that_something_may_read_count(
    tmp_path: Path, one: str, two: str
) -> None:
    assert not same(tmp_path, one, two)


def test_names_of_left_out_annotations_are_not_reached(tmp_path: Path) -> None:
    setup = "class Shape: pass\ndef mark(f): return f"
    plain = stage_of(tmp_path, "def clean(x: Shape) -> 'Shape':\n    return x", setup=setup)
    kept = stage_of(tmp_path, "@mark\ndef clean(x: 'list[Shape]'):\n    return x", setup=setup)
    assert "pipelines.demo:Shape" not in plain.parts
    assert "pipelines.demo:Shape" in kept.parts


@pytest.mark.parametrize(
    "line",
    [
        "progress.note(next(rows))",
        "progress.note([x for x in rows])",
        "progress.note(helper)",
        "progress.note(y := 3)",
        "x = progress.note(1)",
        "progress = rows; progress.note(1)",
    ],
)
def test_a_line_to_an_observer_counts_when_it_does_more_than_look(
    tmp_path: Path, line: str
) -> None:
    setup = "from workbench.core import progress\ndef helper(): ..."
    body = "def clean(rows):\n    {}\n    return rows"
    assert same(tmp_path, body.format("pass"), body.format("progress.note(len(rows))"), setup)
    assert not same(tmp_path, body.format("pass"), body.format(line), setup)


def test_constants_are_told_apart_by_type_and_sign() -> None:
    values = ["1", "True", "1.0", "'1'", "b'1'", "1j", "0.0", "-0.0", "None", "'None'", "...", "x"]
    assert len({dump(ast.parse(f"a = {value}").body[0]) for value in values}) == len(values)
