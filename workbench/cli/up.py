"""`workbench up`: all that a person looks at, started and stopped together."""

from __future__ import annotations

import importlib.util
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.show import say
from workbench.core.errors import MissingError
from workbench.core.paths import Paths, find_paths
from workbench.core.secrets import masked, private_folder

if TYPE_CHECKING:
    from workbench.execution.together import Program

PORTS = {"server": 8000, "mlflow": 5000, "dashboards": 8501, "notebooks": 2718}
HOST = "127.0.0.1"


def _port(what: str) -> typer.models.OptionInfo:
    return typer.Option(help=f"Port of {what}.", min=1, max=65_535)


def up(
    server_port: Annotated[int, _port("the server of predictions")] = PORTS["server"],
    mlflow_port: Annotated[int, _port("MLflow")] = PORTS["mlflow"],
    dashboards_port: Annotated[int, _port("the dashboards")] = PORTS["dashboards"],
    notebooks_port: Annotated[int, _port("the notebook editor")] = PORTS["notebooks"],
) -> None:
    """Start MLflow, the server, the dashboards and the notebook editor; stop them together."""
    from workbench.execution.together import run_together

    _need_packages()
    paths = find_paths()
    programs = [
        _server(server_port),
        *_mlflow(paths, mlflow_port),
        _dashboards(dashboards_port),
        _notebooks(_token(paths), notebooks_port),
    ]
    if not run_together(programs, cwd=paths.root, logs=paths.home / "logs", say=say):
        raise typer.Exit(1)


def _need_packages() -> None:
    """Found before anything starts; the main job does without them."""
    missing = [name for name in ("streamlit", "marimo") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: "
            "the main job needs no dashboards and no notebook editor.",
            fix="`make .venv/dev` (about two minutes), or `make up`, which does that as well",
        )


def _server(port: int) -> Program:
    return _program("server", port, "workbench.cli.main", "serve", "--port", str(port))


def _mlflow(paths: Paths, port: int) -> list[Program]:
    """MLflow over this checkout's database; none where a server of the team has the runs."""
    from workbench.tracking.store import Store

    store = Store(paths)
    if not store.is_database:
        say(f"  {'mlflow':<11} {masked(store.url)} (MLFLOW_TRACKING_URI)")
        return []
    private_folder(paths.home)
    # Its own proxy for artefacts would keep what clients send in `mlartifacts/` of the checkout.
    files = ("--default-artifact-root", paths.artifacts.as_uri(), "--no-serve-artifacts")
    at = ("--host", HOST, "--port", str(port), "--workers", "1")
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    # Its job runner is seven more processes, for evaluations that are not used here.
    quiet["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    # May hold a password, and arguments of processes are seen by all users of the machine.
    quiet["MLFLOW_BACKEND_STORE_URI"] = store.url
    return [_program("mlflow", port, "mlflow", "server", *files, *at, environment=quiet)]


def _dashboards(port: int) -> Program:
    at = ("--server.address", HOST, "--server.port", str(port), "--server.headless", "true")
    quiet = ("--browser.gatherUsageStats", "false")
    # Else a foreign page whose name was pointed at this machine could read along.
    hosts = (word for host in ("localhost", HOST) for word in ("--server.allowedHosts", host))
    page = "dashboards/Home.py"
    return _program("dashboards", port, "streamlit", "run", page, *at, *quiet, *hosts)


def _notebooks(token: Path, port: int) -> Program:
    """The editor runs what it is sent, so it asks everyone, also on this machine, for a token."""
    at = ("--host", HOST, "--port", str(port), "--headless")
    asks = ("--token-password-file", str(token))
    query = f"?access_token={token.read_text(encoding='utf-8')}"
    return _program(
        "notebooks", port, "marimo", "--yes", "edit", "pipelines", *at, *asks, query=query
    )


def _token(paths: Paths) -> Path:
    """A file with a new token, which only its owner may read: arguments are seen by all."""
    path = paths.home / "notebooks.token"
    private_folder(path.parent)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(secrets.token_urlsafe(16), encoding="utf-8")
    return path


def _program(
    name: str,
    port: int,
    module: str,
    *arguments: str,
    environment: dict[str, str] | None = None,
    query: str = "",
) -> Program:
    from workbench.execution.together import Program

    command = (sys.executable, "-m", module, *arguments)
    return Program(name, port, command, environment or {}, query)
