"""A person's own table becomes a released model, whatever it is like; or a sentence says why not.

The stories run the real command line in a real small checkout: `tests.own` makes it once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests import own_tables as tables
from tests.checkout import REPOSITORY, Checkout, Ended, new_checkout
from tests.commands import commands
from tests.own import TASKS, released
from workbench.core.files import read_json

SIDES = ("train", "valid", "test")


@pytest.fixture(scope="module")
def own(shared: Path) -> Checkout:
    return released(shared)


# ---- to a release


@pytest.mark.parametrize("name", TASKS)
def test_every_kind_of_table_goes_to_a_release(own: Checkout, name: str) -> None:
    report = read_json(own.paths.report("evaluate", name))
    assert report["rows"] > 0
    assert set(report["baselines"]) == {"linear", "boosting"}
    main = report["metrics"][report["main"]]
    assert main["lo"] <= main["value"] <= main["hi"]
    assert name in read_json(own.paths.pointer)["pipelines"]


@pytest.mark.parametrize("name", [n for n, task in TASKS.items() if task != "regression"])
def test_every_side_has_every_class_of_few_rows(own: Checkout, name: str) -> None:
    folder = own.paths.stage("split", name)
    target = read_json(folder / "examples.json")["targets"][0]
    found = {
        side: set(pq.read_table(folder / f"{side}.parquet")[target].to_pylist()) for side in SIDES
    }
    assert found["train"] == found["valid"] == found["test"]
    assert len(found["train"]) == (2 if TASKS[name] == "binary" else 3)


def test_columns_called_like_those_of_stages_stay_what_they_are(own: Checkout) -> None:
    folder = own.paths.stage("split", "nasty")
    spec = read_json(folder / "examples.json")
    features = set(spec["roles"])
    assert {"row", "side", "label", "model", "score", "columns", "class", "<b>bold</b>"} <= features
    assert "label_weight_2" in features
    rows = pq.read_table(folder / "train.parquet")
    assert set(rows["side"].to_pylist()) > {"train", "test", "😀"}
    assert "label_weight" not in rows.column_names


def test_equal_rows_without_a_key_stay_and_stand_on_one_side(own: Checkout) -> None:
    folder = own.paths.stage("split", "nasty")
    seen: dict[str, str] = {}
    total = 0
    for side in SIDES:
        keys = pq.read_table(folder / f"{side}.parquet")["row_md5"].to_pylist()
        total += len(keys)
        for key in keys:
            assert seen.setdefault(key, side) == side
    assert (total, len(seen)) == (300, 280)


def test_rows_of_one_patient_stand_on_one_side(own: Checkout) -> None:
    folder = own.paths.stage("split", "visits")
    sides = [
        set(pq.read_table(folder / f"{side}.parquet")["patient_id"].to_pylist()) for side in SIDES
    ]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]


def test_later_sales_are_judged_by_earlier_ones(own: Checkout) -> None:
    folder = own.paths.stage("split", "houses")
    times = [pq.read_table(folder / f"{side}.parquet")["sold on"].to_pylist() for side in SIDES]
    assert max(times[0]) < min(times[1]) <= max(times[1]) < min(times[2])


# ---- answering


@pytest.mark.parametrize(
    ("name", "row", "answer"),
    [
        (
            "people",
            {"plan": "blue", "born": "1950-01-31", "said": "never <b>again</b> 😀", "age": None},
            "score",
        ),
        ("houses", {"sold on": "2023-11-30T12:30:00", "area": 70.5, "quarter": "unheard"}, "value"),
        ("nasty", {"side": 'o"k', "😀 mood": 3, "${name}": 1.5}, "class"),
    ],
)
def test_a_row_in_its_own_words_is_answered_and_the_answer_computed_again(
    own: Checkout, name: str, row: dict[str, object], answer: str
) -> None:
    (told,) = commands(own, [["predict", name, "--row", json.dumps(row), "--json"]])
    said = json.loads(told.ok().text)
    assert answer in json.dumps(said)
    passport = _found(said, "id")
    (again,) = commands(own, [["explain", str(passport), "--replay"]])
    assert "replay: equal" in again.ok().text


def _found(value: object, name: str) -> object:
    """The first value under a name, however deep."""
    if isinstance(value, dict):
        if name in value:
            return value[name]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            if (found := _found(one, name)) is not None:
                return found
    return None


# ---- the notebook


def test_the_notebooks_keep_the_contract_and_the_style(own: Checkout) -> None:
    (checked,) = commands(own, [["check"]])
    checked.ok()
    notebooks = [f"pipelines/{name}.py" for name in TASKS]
    own.run(sys.executable, "-m", "marimo", "check", "--strict", *notebooks).ok()
    style = ("--config", str(REPOSITORY / "pyproject.toml"), "--no-cache", *notebooks)
    own.run(sys.executable, "-m", "ruff", "check", *style).ok()
    own.run(sys.executable, "-m", "ruff", "format", "--check", *style).ok()


def test_the_notebook_runs_headless_and_its_form_answers(own: Checkout) -> None:
    shown = ("people", "nasty", "houses")  # each task, and every name that could break a form
    code = """
import importlib.util, sys
for name in sys.argv[1:]:
    spec = importlib.util.spec_from_file_location(name, f"pipelines/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    outputs, defs = module.app.run()
    assert defs["form"].value, name
    print(name, "answers", defs["ask"](defs["bundle"], defs["form"].value).text[:10_000])
"""
    told = own.run(sys.executable, "-c", code, *shown).ok().text
    for name in shown:
        assert f"{name} answers" in told
    assert "Traceback" not in told


# ---- what is odd, and is taken all the same

DAYS = ("2024-01-{0:02d}", "{0:02d}.02.2024", "{0:02d} Mar 2024", "04/{0:02d}/2024")
ODD: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "two columns of one name": (
        "a,A,answer\n" + "".join(f"{n},{n * 7 % 5},{n % 2}\n" for n in range(40)),
        "utf-8",
        ("Column 2 is called 'A' in the source and 'A_2' here",),
    ),
    "words among numbers": (
        "a,answer\n" + "".join(f"{n if n % 20 else 'many'},{n % 2}\n" for n in range(60)),
        "utf-8",
        ("'a' is mixed", "'many'", "become missing"),
    ),
    "dates in four formats": (
        "day,x,answer\n"
        + "".join(f"{DAYS[n % 4].format(n % 28 + 1)},{n},{n % 3}\n" for n in range(84)),
        "utf-8",
        ("time: day",),
    ),
    "marks of other countries": (
        "a;answer\n" + "".join(f"{n % 7 + 1}.{n * 37 % 1000:03d},5 €;{n % 2}\n" for n in range(40)),
        "utf-8",
        ("decimal=','", "thousands='.'"),
    ),
    "UTF-16 with its mark": (
        "größe,answer\n" + "".join(f"{n},{n % 2}\n" for n in range(40)),
        "utf-16",
        ("größe", "byte-order mark"),
    ),
}


@pytest.fixture(scope="module")
def oddities(desk: Checkout) -> dict[str, Ended]:
    """Each odd table looked at, in one process for all."""
    lines = []
    for number, (text, encoding, _) in enumerate(ODD.values()):
        (desk.root / f"odd{number}.csv").write_text(text, encoding=encoding)
        where = ("--data", f"odd{number}.csv", "--target", "answer")
        lines.append(["new", "odd", *where, "--look"])
    return dict(zip(ODD, commands(desk, lines), strict=True))


@pytest.mark.parametrize("what", ODD)
def test_odd_input_is_read_and_what_was_made_of_it_is_said(
    oddities: dict[str, Ended], what: str
) -> None:
    told = oddities[what].ok().sentence
    for words in ODD[what][2]:
        assert words in told


# ---- what cannot be taken, and says so


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout in which nothing ran, for tables that are refused."""
    made = new_checkout(tmp_path_factory.mktemp("desk") / "checkout")
    made.edit("params.yaml", "memory_limit: 500MB", "memory_limit: 2GB")
    yield made
    made.close()


GOOD = tables.tiny("binary", 40)


def _text(content: str) -> Callable[[Path], str]:
    def write(root: Path) -> str:
        (root / "table.csv").write_text(content)
        return "table.csv"

    return write


def _bytes(content: bytes, name: str = "table.csv") -> Callable[[Path], str]:
    def write(root: Path) -> str:
        (root / name).write_bytes(content)
        return name

    return write


def _rows(rows: Sequence[tables.Row]) -> Callable[[Path], str]:
    return lambda root: tables.as_csv(root / "table.csv", rows).name


def _with(**more: object) -> list[tables.Row]:
    return [{**row, **more} for row in GOOD]


def _zip(root: Path) -> str:
    import zipfile

    with zipfile.ZipFile(root / "table.csv", "w") as archive:
        archive.writestr("inside.csv", "a,b\n1,2\n")
    return "table.csv"


def _sqlite_as_csv(root: Path) -> str:
    tables.as_sqlite(root / "table.csv", GOOD)
    return "table.csv"


def _where(where: str) -> Callable[[Path], str]:
    return lambda root: where


LINES = "\n".join(f"{n},{n % 3},{n % 2}" for n in range(40))
BAD: dict[str, tuple[Callable[[Path], str], tuple[str, ...], tuple[str, ...]]] = {
    "no such file": (_where("tabel.csv"), (), ("tabel.csv",)),
    "empty": (_text(""), (), ("empty",)),
    "blanks only": (_text("  \n \n"), (), ("table.csv",)),
    "header only": (_text("a,b,answer\n"), (), ("only one line", "no rows")),
    "one row": (_text("a,b,answer\n1,2,3\n"), (), ("1 row,", "20 are needed")),
    "a field too many": (
        _text(f"a,b,answer\n{LINES}\n1,2,3,4\n"),
        (),
        ("Line 42", "4 fields", "--bad-lines skip"),
    ),
    "an open quote": (_text(f'a,b,answer\n{LINES}\n"1,2,3\n4,5,6\n'), (), ("quote", "not closed")),
    "a renamed target": (_rows(GOOD), ("--target", "answr"), ("'answr'", "Did you mean 'answer'?")),
    "a target unlike all": (_rows(GOOD), ("--target", "zzz"), ("'zzz'", "'answer'", "name one of")),
    "a target without values": (_rows(_with(answer="")), (), ("'answer'", "no value in any row")),
    "a target of one class": (_rows(_with(answer="yes")), (), ("'yes' in all 40 rows",)),
    "a target of dates": (
        _rows([{**row, "answer": f"2024-01-{n % 28 + 1:02d}"} for n, row in enumerate(GOOD)]),
        (),
        ("is a date", "days until then"),
    ),
    "a target of names": (
        _rows([{**row, "answer": f"name {chr(97 + n % 26)}{n}"} for n, row in enumerate(GOOD)]),
        (),
        ("too many to be classes",),
    ),
    "nothing but a target": (
        _rows([{"answer": row["answer"], "id": n} for n, row in enumerate(GOOD)]),
        (),
        ("no column from which 'answer'", "keep COLUMN"),
    ),
    "the wrong encoding": (
        _bytes(b"a,b,answer\n" + "ü,ö,ä\n".encode("cp1252") * 40),
        ("--encoding", "utf-8"),
        ("utf-8", "line 2"),
    ),
    "no such encoding": (_rows(GOOD), ("--encoding", "klingon"), ("klingon",)),
    "a delimiter that is not there": (_rows(GOOD), ("--delimiter", "|"), ("'|'", "--delimiter")),
    "a zip": (_zip, (), ("zip archive", "inside.csv")),
    "a database file": (_sqlite_as_csv, (), ("SQLite", "sqlite:///table.csv")),
    "a PDF": (_bytes(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj"), (), ("PDF",)),
    "a picture": (_bytes(b"\x89PNG\r\n\x1a\n\x00\x00", "table.parquet"), (), ("PNG",)),
    "half a Parquet file": (_bytes(b"PAR1" + b"\x00" * 300, "table.parquet"), (), ("Parquet",)),
    "a web address": (_where("https://localhost/table.csv"), (), ("download",)),
    "no such database file": (_where("sqlite:///gone.db"), (), ("gone.db",)),
    "a database that is away": (
        _where("postgresql://reader@127.0.0.1:1/shop"),
        ("--table", "orders"),
        ("127.0.0.1:1", "cannot be reached", "start it"),
    ),
    "a password": (
        _where("postgresql://reader:hushhush@127.0.0.1:1/shop"),
        (),
        ("password", ".pgpass"),
    ),
    "no such table": (
        lambda root: tables.as_sqlite(root / "t.db", GOOD, "orders"),
        ("--table", "ordres"),
        ("'ordres'", "Did you mean 'orders'?"),
    ),
    "a query that writes": (
        lambda root: tables.as_sqlite(root / "t.db", GOOD, "orders"),
        ("--query", "DELETE FROM orders"),
        ("not one SELECT",),
    ),
    "an unknown correction": (_rows(GOOD), ("-c", "wrod x"), ("'wrod'", "Did you mean 'word'?")),
    "a correction of nothing": (_rows(GOOD), ("-c", "drop y"), ("column 'y'",)),
    "too many features": (
        _text(
            ",".join([*(f"g{n}" for n in range(600)), "answer"])
            + "\n"
            + "\n".join(
                ",".join([*(str((n * 7 + row) % 11) for n in range(600)), str(row % 2)])
                for row in range(30)
            )
        ),
        (),
        ("600 columns", "at most 500", "only COLUMN"),
    ),
}


@pytest.fixture(scope="module")
def refusals(desk: Checkout) -> dict[str, Ended]:
    """Each bad table given to `workbench new`, in one process for all."""
    found: dict[str, Ended] = {}
    lines = {}
    for number, (what, (write, more, _)) in enumerate(BAD.items()):
        folder = desk.root / f"bad{number}"
        folder.mkdir()
        where = write(folder)
        if "://" not in where:
            where = f"{folder.name}/{where}"
        elif where.startswith("sqlite:///"):
            where = where.replace("sqlite:///", f"sqlite:///{folder.name}/")
        target = [] if "--target" in more else ["--target", "answer"]
        lines[what] = ["new", "bad", "--data", where, "--yes", *target, *more]
    before = (desk.root / "params.yaml").read_bytes()
    for what, ended in zip(lines, commands(desk, list(lines.values())), strict=True):
        found[what] = ended
    assert (desk.root / "params.yaml").read_bytes() == before
    assert [p.name for p in (desk.root / "pipelines").glob("*.py")] == ["small.py"]
    assert not list(desk.paths.scratch.iterdir())
    return found


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_a_sentence_that_helps_and_nothing_is_written(
    refusals: dict[str, Ended], what: str
) -> None:
    told = refusals[what].failed(*BAD[what][2])
    assert "should not happen" not in told.text
    assert "Error:" not in told.text
    assert "hushhush" not in told.text
    assert "Next:" in told.text or len(told.sentence) < 400
