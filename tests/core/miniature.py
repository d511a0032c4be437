"""A small workbench with every way of reaching code that a fingerprint must follow."""

from __future__ import annotations

import contextlib
import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from workbench.core.fingerprint import STAGE_FUNCTIONS, Fingerprint, fingerprint

STAGES = tuple(STAGE_FUNCTIONS)

NO_IMPORT = "does not import"
"""Answer of a stage when a module fails while it is imported: then there is no wrong answer."""

FILES: dict[str, str] = {
    "workbench/__init__.py": '''
"""A miniature."""
from importlib import import_module

_HOMES = {
    "scale": "workbench.data.numbers",
    "Box": "workbench.data.boxes",
    "twice": "workbench.data.numbers:double",
}


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(name)
    home, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(home), attribute or name)  # dynamic: _HOMES is read
''',
    "workbench/core/__init__.py": "",
    "workbench/core/progress.py": """
SEEN = []


def note(text):
    SEEN.append(text)
""",
    "workbench/tracking/__init__.py": """
from workbench.core import progress


def log(name, value):
    progress.note(f"{name}={value}")
""",
    "workbench/data/__init__.py": """
from workbench.data.numbers import offset as shift

__all__ = ["shift"]
""",
    "workbench/data/numbers.py": '''
from __future__ import annotations

import math
from functools import lru_cache

STEP = 3
FACTOR: int = 2
UNUSED = 99
LIMITS = {"low": -50, "high": 5000}


def _deepest(x):
    return x * FACTOR + STEP


def _deeper(x):
    return _deepest(x) - 1


def scale(x, by=4):
    """Three calls down stands the meaning."""
    return clamp(_deeper(x) * by)


def clamp(x):
    return max(LIMITS["low"], min(LIMITS["high"], x))


def offset(x: int) -> int:
    step = 7
    return x + step


@lru_cache(maxsize=4)
def double(x):
    return 2 * x


def unreached(x):
    return x - UNUSED


square = lambda x: x * x + 1
floor = math.floor
''',
    "workbench/data/boxes.py": """
from dataclasses import dataclass, field

from . import numbers
from .numbers import STEP as START


class Base:
    weight = 5

    def total(self):
        return self.weight + self._more()

    def _more(self):
        return 1


@dataclass
class Box(Base):
    size: int = START
    items: list = field(default_factory=list)

    def _more(self):
        return numbers.square(self.size) + len(self.items)

    @property
    def area(self):
        return self.size ** 2

    @classmethod
    def of(cls, *items):
        return cls(size=len(items) + 1, items=[*items])

    @staticmethod
    def unit():
        return 8


def unpack(box):
    match box:
        case Box(size=size) if size > 2:
            return size * 10
        case _:
            return -1
""",
    "workbench/data/registry.py": """
TABLE = {}
NAMES = []


def source(name):
    def put(function):
        TABLE[name] = function
        return function

    return put


def find(name):
    return TABLE[name]


def known():
    return sorted(NAMES)
""",
    "workbench/data/readers.py": """
from workbench.data import registry
from workbench.data.numbers import double as times_two
from workbench.data.registry import TABLE, source

BASE = 11


@source("plain")
def plain(x):
    return x + BASE


@source("double")
def other(x):
    return times_two(x) + 1


def raw(x):
    return x - 6


TABLE["raw"] = raw
registry.NAMES.append("raw")
registry.NAMES += ["plain"]
""",
    "workbench/training/__init__.py": "",
    "workbench/training/loop.py": """
from functools import singledispatch

import workbench.data.boxes
from workbench.core import progress

RATES = [1, 2, 3]
_count = 0
OFFSETS = [rate + 1 for rate in RATES]


def counted():
    global _count
    _count = 5
    return _count


def fit(values, epochs=3):
    def step(total, value):
        return total + value * OFFSETS[value % len(OFFSETS)]

    total = 0
    for epoch in range(epochs):
        for value in values:
            total = step(total, value)
        progress.note(f"epoch {epoch}: {total}")
    return total + counted()


@singledispatch
def show(value):
    return "any"


@show.register
def _(value: int):
    return f"int {value:03d}"


@show.register(str)
def _text(value):
    return value.upper() + "!"


def boxes(values):
    from workbench.data.boxes import Box as Case

    return [Case.of(*values).total() for _ in values] + [workbench.data.boxes.Box.unit()]


def pick(flag):
    low, high = 4, 9
    return high if flag else low
""",
    "workbench/stages/__init__.py": "",
    "workbench/stages/collect.py": """
import workbench.data.readers
from workbench.data import registry


def run(pipeline):
    rows = pipeline.collect()
    names = registry.known()
    return [registry.find(name)(row) for row in rows for name in ("plain", "double", *names)]
""",
    "workbench/stages/clean.py": """
from workbench import data


def run(pipeline):
    return [data.shift(x) for x in pipeline.clean([1, 2, 3])]
""",
    "workbench/stages/label.py": """
from workbench.training.loop import show


def run(pipeline):
    return [show(x) for x in pipeline.label([4, "five"])]
""",
    "workbench/stages/split.py": """
import workbench as wb


def run(pipeline):
    return [wb.scale(x) for x in range(4)], wb.twice(8)
""",
    "workbench/stages/train.py": """
from workbench import tracking
from workbench.training.loop import fit


def _start(x):
    return x + 100


def run(pipeline):
    start = getattr(pipeline, "start", _start)
    values = [start(x) for x in pipeline.model([1, 2])]
    total = fit(values, epochs=2)
    tracking.log("total", total)
    return total
""",
    "workbench/stages/export.py": """
from workbench.training import loop


def run(pipeline):
    return loop.boxes(pipeline.model([2, 3])), pipeline.serve(3)
""",
    "workbench/stages/evaluate.py": """
from workbench.training.loop import pick


def run(pipeline):
    return pipeline.evaluate(6), pick(True)
""",
    "workbench/stages/candidate.py": """
from workbench.data.boxes import Box, unpack


def run(pipeline):
    return unpack(Box()), unpack(Box(size=1)), Box(2).area
""",
    "pipelines/demo.py": '''
"""A pipeline."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Demo")

with app.setup:
    import math

    import workbench as wb

    ROWS = [1, 2, 5]
    RATE = 3
    HIDDEN = 17


@app.cell(hide_code=True)
def _():
    # # Demo
    explored = RATE * 2
    return (explored,)


@app.function
def collect():
    return [x * RATE for x in ROWS]


@app.function(hide_code=True)
def clean(rows):
    RATE = 2
    return [wb.data.numbers.clamp(x * RATE) for x in rows]


@app.function
def label(rows):
    return rows + [len(rows)]


@app.class_definition
class Net:
    width = 4

    def __call__(self, x):
        return math.floor(x * self.width)


@app.function
def model(rows):
    net = Net()
    return [net(x) for x in rows]


@app.function
def serve(x):
    return wb.Box(size=x).total()


@app.function
def evaluate(x):
    return {"score": round(x / 4, 2), "hidden": HIDDEN > 3}


if __name__ == "__main__":
    app.run()
''',
    "pipelines/other.py": """
import marimo

app = marimo.App()


@app.function
def collect():
    return [1]


@app.function
def clean(rows):
    return rows


@app.function
def label(rows):
    return rows


@app.function
def model(rows):
    return rows


@app.function
def serve(x):
    return x


@app.function
def evaluate(x):
    return x


if __name__ == "__main__":
    app.run()
""",
}


def write(root: Path, files: dict[str, str] | None = None) -> Path:
    """Write the miniature, or other files, below `root`."""
    for name, text in (files or FILES).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def stage_of(tmp_path: Path, body: str, other: str = "", setup: str = "") -> Fingerprint:
    """Fingerprint of `clean` in a checkout whose pipeline and one library module are given."""
    files = dict(FILES)
    files["pipelines/demo.py"] = f"{setup}\n{body}"
    files["workbench/data/extra.py"] = other
    return fingerprint(write(tmp_path, files), "clean", "demo")


def edit(root: Path, name: str, old: str, new: str) -> None:
    """Replace `old`, which must be there, by `new` in one file."""
    path = root / name
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {name}"
    path.write_text(text.replace(old, new), encoding="utf-8")


class _App:
    """marimo's names when nothing is shown: decorators that return what they get."""

    def __init__(self, **_: object) -> None:
        self.setup = contextlib.nullcontext()

    def function(self, function: Callable | None = None, **_: object) -> Callable:
        return function or (lambda wrapped: wrapped)

    cell = class_definition = function


@contextlib.contextmanager
def imported(root: Path) -> Iterator[None]:
    """Let `import workbench` and `import pipelines` mean those below `root` for a while."""
    marimo = ModuleType("marimo")
    vars(marimo)["App"] = _App
    names = ("workbench", "pipelines")
    before = {n: m for n, m in sys.modules.items() if n.partition(".")[0] in (*names, "marimo")}
    bytecode = sys.dont_write_bytecode
    for name in before:
        del sys.modules[name]
    sys.modules["marimo"] = marimo
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(root))
        sys.dont_write_bytecode = bytecode
        for name in [n for n in sys.modules if n.partition(".")[0] in (*names, "marimo")]:
            del sys.modules[name]
        sys.modules.update(before)


def run(root: Path, pipeline: str = "demo") -> dict[str, str]:
    """Run every stage in this process; return what each gave, an error being an answer too."""
    with imported(root):
        return {stage: _answer(stage, pipeline) for stage in STAGES}


def _answer(stage: str, pipeline: str) -> str:
    try:
        notebook = importlib.import_module(f"pipelines.{pipeline}")
        return repr(importlib.import_module(f"workbench.stages.{stage}").run(notebook))
    except Exception as error:  # an edit may break the code: that is an answer
        return NO_IMPORT if _while_importing(error) else f"{type(error).__name__}: {error}"


def _while_importing(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return isinstance(error, ImportError) or any(f.name == "<module>" for f in frames)
