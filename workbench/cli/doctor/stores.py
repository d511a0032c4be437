"""Ledger and MLflow: whether what keeps them answers."""

from __future__ import annotations

import os
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from urllib.parse import quote, urlsplit

from workbench.cli.doctor.finding import Finding
from workbench.core.errors import StateError
from workbench.core.paths import Paths
from workbench.core.secrets import masked

ANSWER_S = 2.0
"""How long a server may take."""

_LEDGER = "energy, carbon and cost of every run; runs go on without it and are added later"
_MLFLOW = "runs and versions to browse; training goes on without it and is added later"


def ledger(paths: Paths) -> Iterator[Finding]:
    """Whether the ledger's file is whole or its server answers; no table is made."""
    url = paths.ledger_url
    if url.startswith("sqlite:"):
        yield _file("ledger", url, _LEDGER)
        return
    from workbench.metering.database import explained, open_engine, parse_url

    parsed = parse_url(url)
    with explained(parsed), open_engine(parsed).connect():
        yield Finding("ledger", "good", f"{masked(url)} answers", "", _LEDGER)


def tracking(paths: Paths) -> Iterator[Finding]:
    """Whether MLflow's file is whole or its server answers, and with which version."""
    from workbench.tracking.store import Store

    store = Store(paths)
    if store.url.startswith("sqlite:"):
        yield _file("tracking (MLflow)", store.url, _MLFLOW)
    elif store.is_database:
        store.select("SELECT 1")
        yield Finding("tracking (MLflow)", "good", f"{masked(store.url)} answers", "", _MLFLOW)
    elif store.url.startswith(("http://", "https://")):
        store.reach()
        yield _server(store.url)
    else:
        yield Finding("tracking (MLflow)", "good", masked(store.url), "", _MLFLOW)


def _file(what: str, url: str, matters: str) -> Finding:
    """Opened to read only: looking must not make a database."""
    name = url.partition(":///")[2].partition("?")[0]
    file = Path(name)
    shown = os.path.relpath(file) if file.is_relative_to(Path.cwd()) else name
    if not file.exists():
        return Finding(what, "good", f"{shown}, made by the first run", "", matters)
    try:
        connection = sqlite3.connect(f"file:{quote(name)}?mode=ro", uri=True, timeout=ANSWER_S)
        try:
            connection.execute("SELECT name FROM sqlite_master").fetchall()
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            said = f"{shown} is in use by another process"
            return Finding(what, "note", said, "workbench sync", matters)
        said = f"{shown} cannot be opened: {error}"
        return Finding(what, "note", said, _anew(shown), matters)
    except sqlite3.DatabaseError as error:
        said = f"{shown} is damaged: {error}"
        return Finding(what, "note", said, _anew(shown), matters)
    return Finding(what, "good", shown, "", matters)


def _anew(file: str) -> str:
    """Both are made again from the run records."""
    return f"mv {file} {file}.damaged; rm -f {file}-wal {file}-shm; workbench sync"


def _server(url: str) -> Finding:
    """Asks a server that listens for its version."""
    what, shown = "tracking (MLflow)", masked(url)
    parts = urlsplit(url)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    try:
        with urllib.request.urlopen(f"{address}/version", timeout=ANSWER_S) as answer:
            there = answer.read(64).decode("utf-8", "replace").strip()
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return Finding(what, "good", f"{shown} answers and asks for a login", "", _MLFLOW)
        there = ""
    except (OSError, ValueError) as error:
        raise StateError(
            f"MLflow at {shown} listens but does not answer: {masked(str(error), url)}.",
            fix="start the server anew, or set MLFLOW_TRACKING_URI",
        ) from None
    ours = metadata.version("mlflow")
    if not there[:1].isdigit():
        said = f"{shown} answers, but not as MLflow does"
        return Finding(what, "note", said, "echo $MLFLOW_TRACKING_URI", _MLFLOW)
    if there.split(".")[0] != ours.split(".")[0]:
        said = f"{shown} runs MLflow {there}, and here is {ours}"
        fix = f"on that server: python -m pip install mlflow=={ours}"
        return Finding(what, "note", said, fix, _MLFLOW)
    return Finding(what, "good", f"{shown} answers (MLflow {there})", "", _MLFLOW)
