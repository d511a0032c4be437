"""Tables of real databases are read without a right to write; every refusal is a sentence."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.sources.conftest import Reader
from tests.servers import free_port, postgres_url
from workbench.core.errors import DataError
from workbench.data.sources.reading import checked
from workbench.data.sources.recognition import recognise


@pytest.fixture
def shop(root: Path) -> Path:
    """An SQLite file whose columns hold what SQLite lets them hold."""
    raw = sqlite3.connect(root / "shop.db")
    raw.execute('CREATE TABLE orders (id INTEGER, "unit <b>price</b>" REAL, note, mixed)')
    rows = [(1, 9.5, "ö 😀", 1), (2, None, None, "two"), (3, 7, "x", 2.5)]
    raw.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
    raw.execute("CREATE VIEW cheap AS SELECT * FROM orders WHERE id > 1")
    raw.execute("CREATE TABLE none (a)")
    raw.commit()
    raw.close()
    return root / "shop.db"


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A PostgreSQL server with one table of many types."""
    import psycopg

    with postgres_url() as url:
        with psycopg.connect(url) as raw:
            raw.execute(
                "CREATE TABLE events (id bigint, price numeric(10,2), at timestamptz, day date, "
                "ok boolean, tags text[], extra jsonb, key uuid, blank text, wait interval)"
            )
            raw.execute(
                "INSERT INTO events SELECT n, n / 4.0, timestamptz '2024-01-31 10:00+02', "
                "date '2024-01-31', n % 2 = 0, array['a','b'], '{\"x\": [1]}', "
                "'6f2c1c52-62a7-4d0b-9a3b-1c2d3e4f5a6b', NULL, interval '1 hour' "
                "FROM generate_series(1, 20500) n"
            )
            raw.execute("CREATE SCHEMA other CREATE TABLE things (a int)")
            raw.execute("INSERT INTO other.things VALUES (7)")
            raw.execute("CREATE ROLE stranger LOGIN")
            raw.execute("CREATE SEQUENCE counter")
        yield url


def test_a_table_of_sqlite_is_read_with_the_kinds_that_it_holds(take: Reader, shop: Path) -> None:
    taken = take("sqlite:///shop.db", table="orders")
    assert taken.recipe.source == "sqlite:///shop.db"
    assert taken.columns == ["id", "unit <b>price</b>", "note", "mixed"]
    assert taken.rows == [(1, 9.5, "ö 😀", "1"), (2, None, None, "two"), (3, 7.0, "x", "2.5")]
    assert take("sqlite:///shop.db", table="cheap").rows == taken.rows[1:]


def test_kinds_that_change_between_batches_are_widened(take: Reader, root: Path) -> None:
    raw = sqlite3.connect(root / "long.db")
    raw.execute("CREATE TABLE t (n, late, word)")
    rows = [(n, None, n) for n in range(20_000)] + [(0.5, 7, "x")] * 5 + [(8, None, None)]
    raw.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    raw.commit()
    raw.close()
    taken = take("sqlite:///long.db")
    assert taken.kinds == {"n": "float64", "late": "int64", "word": "string"}
    assert sorted(taken.rows, key=repr) == sorted(
        [(float(n), late, None if w is None else str(w)) for n, late, w in rows], key=repr
    )


def test_a_query_is_read_with_its_percent_signs_and_colons(take: Reader, shop: Path) -> None:
    query = "SELECT id, note FROM orders WHERE note LIKE '%x%' OR note = ':a';"
    assert take("sqlite:///shop.db", query=query).rows == [(3, "x")]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM orders",
        "SELECT 1; DROP TABLE orders",
        "DROP TABLE orders",
        "PRAGMA user_version = 5",
        "UPDATE orders SET id = 0",
        "hello",
        ";",
    ],
)
def test_what_is_no_select_is_refused_and_changes_nothing(
    root: Path, shop: Path, query: str
) -> None:
    before = shop.read_bytes()
    with pytest.raises(DataError, match="not one SELECT"):
        recognise("sqlite:///shop.db", root=root, query=query)
    assert shop.read_bytes() == before


def test_sqlite_refusals_are_sentences(root: Path, shop: Path) -> None:
    def refused(url: str, words: str, **options: str) -> None:
        with pytest.raises(DataError, match=words):
            recognise(url, root=root, **options)  # type: ignore[arg-type]

    refused("sqlite:///shop.db", r"no table 'oders'. Did you mean 'orders'\?", table="oders")
    refused("sqlite:///shop.db", r"3 tables.[\s\S]*--table: cheap, none, orders")
    refused("sqlite:///shop.db", "table none gives no rows", table="none")
    refused("sqlite:///shop.db", "give one of them", table="orders", query="SELECT 1")
    refused("sqlite:///shop.db", "no such column: nope", query="SELECT nope FROM orders")
    refused("sqlite:///shap.db", r"Did you mean 'shop.db'\?", table="orders")
    refused("sqlite://", "names no file")
    refused("frog://x/y", "no kind of database")
    refused("mysql://u@127.0.0.1/x", "needs the package MySQLdb")
    (root / "no.db").write_bytes(b"this is no database, but long enough to be looked at" * 20)
    refused("sqlite:///no.db", "no SQLite database", table="orders")
    assert not (root / "shap.db").exists()  # SQLite would have made it


def test_rows_have_one_digest_whatever_their_order(root: Path, shop: Path) -> None:
    first = recognise("sqlite:///shop.db", root=root, table="orders")
    turned = recognise(
        "sqlite:///shop.db", root=root, query="SELECT * FROM orders ORDER BY id DESC"
    )
    assert first.sha256 == turned.sha256
    checked(first, root=root)
    raw = sqlite3.connect(shop)
    raw.execute("UPDATE orders SET note = '' WHERE note IS NULL")
    raw.commit()
    raw.close()
    with pytest.raises(DataError, match="has changed since it was taken"):
        checked(first, root=root)


def test_rows_that_changed_are_refused_when_read(take: Reader, root: Path, shop: Path) -> None:
    from workbench.data.sources.reading import read

    recipe = take("sqlite:///shop.db", table="orders").recipe
    with pytest.raises(DataError, match="has changed since it was taken"):
        read(replace(recipe, sha256="0" * 64), root=root, scratch=root)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:s3cret@127.0.0.1/x",
        "postgresql://ada@127.0.0.1/x?password=s3cret",
        "postgresql://ada:s3cret@127.0.0.1:port/x",
    ],
)
def test_a_password_is_refused_and_not_repeated(root: Path, url: str) -> None:
    with pytest.raises(DataError) as error:
        recognise(url, root=root, table="t")
    assert "s3cret" not in str(error.value)


def test_postgresql_is_read_with_its_types(take: Reader, postgres: str) -> None:
    taken = take(postgres, table="events")
    assert taken.recipe.source == postgres
    assert len(taken.rows) == 20_500
    assert taken.kinds == {
        "id": "int64",
        "price": "float64",
        "at": "timestamp('UTC', 6)",
        "day": "date",
        "ok": "boolean",
        "tags": "string",
        "extra": "string",
        "key": "string",
        "blank": "string",
        "wait": "string",
    }
    assert taken.rows[0] == (
        1,
        0.25,
        dt.datetime(2024, 1, 31, 8, tzinfo=dt.UTC),
        dt.date(2024, 1, 31),
        False,
        '["a", "b"]',
        '{"x": [1]}',
        "6f2c1c52-62a7-4d0b-9a3b-1c2d3e4f5a6b",
        None,
        "1:00:00",
    )
    assert take(postgres, table="other.things").rows == [(7,)]


def test_postgresql_cannot_be_written_to(root: Path, postgres: str) -> None:
    sly = "WITH gone AS (DELETE FROM other.things RETURNING a) SELECT * FROM gone"
    with pytest.raises(DataError, match="not one SELECT"):
        recognise(postgres, root=root, query=sly)
    with pytest.raises(DataError, match="would write"):
        recognise(postgres, root=root, query="SELECT nextval('counter')")
    assert recognise(postgres, root=root, table="other.things")


def test_postgresql_refusals_are_sentences(
    root: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(url: str, words: str, **options: str) -> None:
        with pytest.raises(DataError, match=words) as error:
            recognise(url, root=root, **options)  # type: ignore[arg-type]
        assert "s3cret" not in str(error.value)

    monkeypatch.setenv("WORKBENCH_SOURCE_PASSWORD", "s3cret")
    refused(postgres, r"no table 'event'. Did you mean 'events'\?", table="event")
    refused(postgres.replace("tester", "nobody"), "refuses this user", table="events")
    refused(
        postgres.replace("tester", "stranger"), "refuses this user", query="SELECT * FROM events"
    )
    refused(f"{postgres}x", "no such database", table="events")
    refused(f"postgresql://tester@127.0.0.1:{free_port()}/x", "cannot be reached", table="events")
    refused("postgresql://tester@nowhere.invalid/x", "cannot be reached", table="events")


def test_a_password_from_the_environment_opens_the_door(
    take: Reader, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    with psycopg.connect(postgres, autocommit=True) as raw:
        raw.execute("CREATE ROLE locked LOGIN PASSWORD 's3cret'")
        row = raw.execute("SHOW hba_file").fetchone()
        assert row is not None
        rules = Path(row[0])
        rules.write_text(f"host all locked all scram-sha-256\n{rules.read_text()}")
        raw.execute("SELECT pg_reload_conf()")
    url = postgres.replace("tester", "locked")
    monkeypatch.setenv("WORKBENCH_SOURCE_PASSWORD", "wrong")
    with pytest.raises(DataError, match="refuses this user") as error:
        take(url, query="SELECT 1 AS one")
    assert "wrong" not in str(error.value)
    monkeypatch.setenv("WORKBENCH_SOURCE_PASSWORD", "s3cret")
    taken = take(url, query="SELECT 1 AS one")
    assert taken.rows == [(1,)]
    assert "s3cret" not in repr(taken.recipe)
