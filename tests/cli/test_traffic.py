"""`workbench traffic` against a real server: what arrives, and what it says at the end."""

from __future__ import annotations

import datetime as dt
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.checkout import CLI, REPOSITORY, Checkout, Ended, ended
from tests.serving import bundles
from tests.serving.conftest import Server
from workbench.core.files import write_json
from workbench.core.paths import Paths
from workbench.data.examples import Spec
from workbench.storage.predictions.outcomes import outcomes
from workbench.storage.predictions.passport import Passport
from workbench.storage.predictions.reading import scan
from workbench.storage.windows import read_windows


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """A released pipeline with a test side, and no server yet."""
    made = Checkout(tmp_path.resolve())
    (made.root / "params.yaml").write_text("version: 1\npipelines: []\n")
    bundles.release(made.paths, "fraud", bundles.fraud(tmp_path / "fraud"))
    folder = made.paths.stage("split", "fraud")
    folder.mkdir(parents=True)
    write_json(folder / "examples.json", Spec(("id",), {}, "binary", ("fraud",)))
    rows = {
        "id": list(range(40)),
        "amount": [float(n) for n in range(40)],
        "country": ["de", "fr"] * 20,
        "paid_at": [dt.datetime(2026, 5, 9, 8, n) for n in range(40)],
        "fraud": [n % 2 == 0 for n in range(40)],
    }
    pq.write_table(pa.table(rows), folder / "test.parquet")
    yield made
    made.close()


@pytest.fixture
def server(checkout: Checkout) -> Iterator[Server]:
    started = Server(checkout.paths)
    started.until_loaded()
    yield started
    started.client.close()
    if started.process.poll() is None:
        started.stop()
    started.process.communicate()


def start(checkout: Checkout, server: Server, *options: str) -> Any:
    url = str(server.client.base_url).rstrip("/")
    command = (*CLI, "traffic", "fraud", "--url", url, *options)
    return checkout.start(*command, PYTHONPATH=str(REPOSITORY))


def told(found: Ended) -> dict[str, Any]:
    assert found.code == 0, found.text
    return json.loads(found.text)


def passports(paths: Paths, server: Server) -> list[Passport]:
    server.stop()  # what was answered is on file then
    return list(scan(paths, "fraud"))


def test_held_out_rows_are_asked_as_a_client_does_and_marked_as_a_rehearsal(
    checkout: Checkout, server: Server
) -> None:
    found = told(ended(start(checkout, server, "--rate", "50", "--seconds", "1", "--json")))
    assert found["sent"] == found["answered"] == 50
    assert found["rehearsal"] is True
    assert set(found["decisions"]) <= {"yes", "no"}
    assert found["answered_by"] == [{"release": "1", "alias": "champion", "answers": 50}]
    asked = passports(checkout.paths, server)
    assert len(asked) == 50
    assert all(one.rehearsal for one in asked)
    assert set(asked[0].inputs) == {"amount", "country", "paid_at"}
    assert asked[0].inputs["paid_at"][0].startswith("2026-05-09T08:")
    windows = [w for w in read_windows(checkout.paths.serving_windows) if w.requests]
    assert {w.rehearsal for w in windows} == {True}
    assert sum(w.requests for w in windows) == 50


def test_bad_rows_are_refused_drifted_ones_answered_and_outcomes_told(
    checkout: Checkout, server: Server
) -> None:
    options = ("--drift", "amount=10", "--drift", "country=xx", "--bad", "0.4", "--outcomes")
    found = told(
        ended(start(checkout, server, "--rate", "50", "--seconds", "1", "--json", *options))
    )
    assert found["bad"] == found["refused"] > 5
    assert found["answered"] == found["outcomes"] == 50 - found["bad"]
    assert found["last_refusal"]
    asked = passports(checkout.paths, server)
    assert {one.inputs["country"][0] for one in asked} == {"xx"}
    known = list(outcomes(checkout.paths, "fraud"))
    assert len(known) == found["answered"]
    for one in known:  # the amount of a row is its number, and even ones are fraud
        assert one.outcome is (one.passport.inputs["amount"][0] / 10 % 2 == 0)


def test_ctrl_c_ends_it_with_its_sums(checkout: Checkout, server: Server) -> None:
    process = start(checkout, server, "--rate", "30")
    paths = checkout.paths
    checkout.until(lambda: sum(w.requests for w in read_windows(paths.serving_windows)) > 5)
    process.send_signal(signal.SIGINT)
    found = ended(process)
    assert found.code == 0, found.text
    assert "rehearsed requests sent to" in found.sentence
    assert "answered" in found.sentence
    assert "Deployments" in found.sentence


def test_a_server_that_goes_away_is_said_and_ends_it(checkout: Checkout, server: Server) -> None:
    process = start(checkout, server, "--rate", "50")
    paths = checkout.paths
    checkout.until(lambda: sum(w.requests for w in read_windows(paths.serving_windows)) > 5)
    server.kill()
    ended(process).failed("went away", "workbench serve")


def test_without_a_server_it_says_how_to_start_one(checkout: Checkout) -> None:
    command = (*CLI, "traffic", "fraud", "--url", "http://127.0.0.1:9")
    checkout.run(*command, PYTHONPATH=str(REPOSITORY)).failed(
        "Nothing answers at http://127.0.0.1:9", "workbench serve"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fruad",), "Did you mean 'fraud'?"),
        (("fraud", "--drift", "amuont=2"), "Did you mean 'amount'?"),
        (("fraud", "--drift", "amount=lots"), "by a factor"),
        (("fraud", "--url", "127.0.0.1:8000"), "begin with http://"),
        (("fraud", "--key-env", "NO_SUCH_KEY"), "NO_SUCH_KEY"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_sent(
    checkout: Checkout, arguments: tuple[str, ...], words: str
) -> None:
    checkout.run(*CLI, "traffic", *arguments, PYTHONPATH=str(REPOSITORY)).failed(words)
