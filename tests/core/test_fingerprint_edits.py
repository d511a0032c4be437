"""Random edits of a miniature: what changes an answer changes the digest, and prose does not."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.core import miniature
from tests.core.miniature import STAGES
from workbench.core.fingerprint import fingerprint_all

EDITS = 50
"""Edits a seed and kind; five seeds."""

SEEDS = range(5)
Edit = Callable[[random.Random, dict[str, str]], str]


def _nodes(tree: ast.Module, *kinds: type) -> list:
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def _in_code(files: dict[str, str]) -> list[str]:
    """Files that stages run; the progress and tracking of the miniature are beyond the border."""
    outside = ("workbench/core/progress.py", "workbench/tracking/__init__.py")
    return [name for name, text in files.items() if text.strip() and name not in outside]


def _rewrite(files: dict[str, str], name: str, change: Callable[[ast.Module], object]) -> None:
    tree = ast.parse(files[name])
    change(tree)
    files[name] = ast.unparse(ast.fix_missing_locations(tree))


def _any_with(rng: random.Random, files: dict[str, str], *kinds: type) -> str:
    return rng.choice([n for n in _in_code(files) if _nodes(ast.parse(files[n]), *kinds)])


# edits that may change what a stage answers


def change_constant(rng: random.Random, files: dict[str, str]) -> str:
    name = _any_with(rng, files, ast.Constant)

    def change(tree: ast.Module) -> None:
        node = rng.choice(_nodes(tree, ast.Constant))
        if isinstance(node.value, str):
            node.value += "x"
        elif isinstance(node.value, bool):
            node.value = not node.value
        elif isinstance(node.value, (int, float)):
            node.value = rng.choice([node.value + 1, float(node.value), node.value * 2])

    _rewrite(files, name, change)
    return name


def swap_operator(rng: random.Random, files: dict[str, str]) -> str:
    name = _any_with(rng, files, ast.BinOp)

    def change(tree: ast.Module) -> None:
        node = rng.choice(_nodes(tree, ast.BinOp))
        node.op = rng.choice([ast.Add(), ast.Sub(), ast.Mult()])

    _rewrite(files, name, change)
    return name


def flip_comparison(rng: random.Random, files: dict[str, str]) -> str:
    name = _any_with(rng, files, ast.Compare, ast.IfExp)

    def change(tree: ast.Module) -> None:
        node = rng.choice(_nodes(tree, ast.Compare, ast.IfExp))
        if isinstance(node, ast.Compare):
            node.ops = [rng.choice([ast.LtE(), ast.Gt(), ast.NotEq()])]
        else:
            node.body, node.orelse = node.orelse, node.body

    _rewrite(files, name, change)
    return name


def swap_names(rng: random.Random, files: dict[str, str]) -> str:
    name = _any_with(rng, files, ast.Name)

    def change(tree: ast.Module) -> None:
        loads = [n for n in _nodes(tree, ast.Name) if isinstance(n.ctx, ast.Load)]
        if loads:
            rng.choice(loads).id = rng.choice(loads).id

    _rewrite(files, name, change)
    return name


def drop_statement(rng: random.Random, files: dict[str, str]) -> str:
    name = _any_with(rng, files, ast.FunctionDef)

    def change(tree: ast.Module) -> None:
        body = rng.choice(_nodes(tree, ast.FunctionDef, ast.ClassDef)).body
        body[rng.randrange(len(body))] = ast.Pass()

    _rewrite(files, name, change)
    return name


def drop_decorator(rng: random.Random, files: dict[str, str]) -> str:
    name = rng.choice([n for n in _in_code(files) if n.startswith("workbench") and "@" in files[n]])

    def change(tree: ast.Module) -> None:
        kinds = (ast.FunctionDef, ast.ClassDef)
        rng.choice([n for n in _nodes(tree, *kinds) if n.decorator_list]).decorator_list.pop()

    _rewrite(files, name, change)
    return name


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
    change_constant,
    change_constant,
    swap_operator,
    flip_comparison,
    swap_names,
    swap_names,
    drop_statement,
    drop_decorator,
    swap_import,
    move_home,
    move_re_export,
    add_registration,
    register_type,
    override_method,
)


# edits that mean nothing


def add_docstring(rng: random.Random, files: dict[str, str]) -> str:
    name = _any_with(rng, files, ast.FunctionDef)

    def change(tree: ast.Module) -> None:
        kinds = (ast.FunctionDef, ast.ClassDef)
        plain = [
            n for n in _nodes(tree, *kinds) if not _is_kept(n) and ast.get_docstring(n) is None
        ]
        if plain:
            rng.choice(plain).body.insert(0, ast.Expr(ast.Constant("Say why.\n\n    More.")))

    _rewrite(files, name, change)
    return name


def _is_kept(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Decorated by something that could read docstring and annotations."""
    marks = [ast.unparse(decorator) for decorator in node.decorator_list]
    return any(m.startswith(("source", "show", "singledispatch")) for m in marks)


def add_annotation(rng: random.Random, files: dict[str, str]) -> str:
    name = _any_with(rng, files, ast.arg)

    def change(tree: ast.Module) -> None:
        functions = [n for n in _nodes(tree, ast.FunctionDef) if not _is_kept(n)]
        arguments = [a for n in functions for a in n.args.args]
        if arguments:
            rng.choice(arguments).annotation = ast.Name(rng.choice(["int", "object"]))
            rng.choice(functions).returns = ast.Constant("Base | unreached")

    _rewrite(files, name, change)
    return name


def add_comment(rng: random.Random, files: dict[str, str]) -> str:
    name = rng.choice(_in_code(files))
    lines = files[name].split("\n")
    place = rng.choice([n for n, line in enumerate(lines) if not line.startswith((" ", ")"))])
    lines.insert(place, "# a remark")
    files[name] = "\n".join(lines)
    return name


def lay_out_anew(rng: random.Random, files: dict[str, str]) -> str:
    name = rng.choice(_in_code(files))
    _rewrite(files, name, lambda tree: None)
    return name


def reorder_imports(rng: random.Random, files: dict[str, str]) -> str:
    name = _any_with(rng, files, ast.Import, ast.ImportFrom)

    def change(tree: ast.Module) -> None:
        kinds = (ast.Import, ast.ImportFrom)
        places = [
            place
            for place, stmt in enumerate(tree.body)
            if isinstance(stmt, kinds) and getattr(stmt, "module", "") != "__future__"
        ]
        stmts = [tree.body[place] for place in places]
        rng.shuffle(stmts)
        for place, stmt in zip(places, stmts, strict=True):
            tree.body[place] = stmt

    _rewrite(files, name, change)
    return name


def add_unreached(rng: random.Random, files: dict[str, str]) -> str:
    name = rng.choice(_in_code(files))
    add = (
        f"\nimport json as _json\n_SPARE = {rng.random()}\n\n\ndef _spare(x):\n    return _SPARE\n"
    )
    if name.startswith("pipelines"):
        add = f"\n@app.cell\ndef _(x):\n    y = x + {rng.random()}\n    return (y,)\n"
    files[name] += add
    return name


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
    add_docstring,
    add_annotation,
    add_comment,
    lay_out_anew,
    reorder_imports,
    add_unreached,
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
    tmp_path: Path, rng: random.Random, edits: tuple[Edit, ...], count: int
) -> tuple[Path, str]:
    files = dict(miniature.FILES)
    said = []
    for edit in rng.choices(edits, k=count):
        said.append(f"{edit.__name__} in {edit(rng, files)}")
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
