"""Commands that answer: serve, predict, explain, up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.cli.show import Json, json_out, say, table
from workbench.core.errors import DataError
from workbench.core.paths import find_paths

PORTS = {"server": 8000, "mlflow": 5000, "dashboards": 8501, "notebooks": 2718}


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(serve)
    app.command()(predict)
    app.command()(explain)
    app.command()(up)


def serve(
    host: Annotated[
        str, typer.Option(help="Only addresses of this machine, for now.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = PORTS["server"],
) -> None:
    """Answer for every released pipeline until Ctrl-C."""
    from workbench.serving.server import listen
    from workbench.serving.server import serve as answer
    from workbench.storage.pointer import read_pointer

    paths = find_paths()
    listening = listen(host, port)
    at = f"http://{host}:{listening.getsockname()[1]}"
    names = read_pointer(paths.pointer).pipelines
    say(f"serving {', '.join(names) or 'nothing yet: run workbench repro'} at {at}", "bold")
    for name in names:
        say(f"  {at}/v2/models/{name}   {at}/predict/{name}")
    answer(paths, listening)


def predict(
    pipeline: Annotated[str, typer.Argument(help="Whose champion answers.")],
    row: Annotated[
        str | None,
        typer.Option(help='Fields as JSON, {"amount_eur": 12.5}; the example when left out.'),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="A JSON file with one row or a list.")] = None,
    json: Json = False,
) -> None:
    """Answer rows with the champion, without a server."""
    import msgspec

    from workbench.serving.predict import predict as answer

    paths = find_paths()
    text = file.read_bytes() if file else row.encode() if row else None
    try:
        given = msgspec.json.decode(text) if text else _example(pipeline)
    except msgspec.DecodeError as error:
        raise DataError(
            f"The row is not JSON: {error}.", fix="put names in double quotes"
        ) from None
    found = answer(paths, pipeline, given if isinstance(given, list) else [given])
    if json:
        json_out(found)
        return
    outputs = {n: v for n, v in found.outputs.items() if isinstance(v, list)}
    table("", list(outputs), zip(*outputs.values(), strict=True))
    say(f"{found.pipeline} release {found.release}, {found.latency_ms:.1f} ms. {found.notice}")
    say(f"Why: workbench explain {found.id}", "dim")


def _example(pipeline: str) -> dict[str, Any]:
    """The bundle's own example row."""
    from workbench.core.errors import ReleaseError
    from workbench.storage.bundle import read_signature
    from workbench.storage.pointer import read_pointer

    paths = find_paths()
    target = read_pointer(paths.pointer).pipelines.get(pipeline, {}).get("champion")
    if target is None:
        raise ReleaseError(
            f"'{pipeline}' has no released champion.", fix=f"workbench repro {pipeline}"
        )
    return read_signature(paths.bundles / target.digest).example


def explain(
    id: Annotated[str, typer.Argument(help="The id of an answer.")],
    replay: Annotated[bool, typer.Option("--replay", help="Compute it again and compare.")] = False,
    json: Json = False,
) -> None:
    """Walk an answer back to model, run, data, commit and notebook function."""
    from workbench.serving.explain import explain as walk
    from workbench.serving.explain import replay as again

    paths = find_paths()
    found = walk(paths, id)
    result = again(paths, id) if replay else None
    if json:
        json_out({"explanation": dict(found.steps()), "replay": result})
        return
    table("", ["what", "found"], found.steps())
    if result:
        gap = (
            ""
            if result.max_difference is None
            else f" (largest difference {result.max_difference:g})"
        )
        say(f"replay: {result.verdict}{gap}", "green" if result.verdict == "equal" else "red")


def up(
    server_port: Annotated[int, typer.Option()] = PORTS["server"],
    mlflow_port: Annotated[int, typer.Option()] = PORTS["mlflow"],
    dashboards_port: Annotated[int, typer.Option()] = PORTS["dashboards"],
    notebooks_port: Annotated[int, typer.Option()] = PORTS["notebooks"],
) -> None:
    """Start MLflow, the server, the dashboards and the notebook editor; stop them together."""
    from workbench.execution.together import run_together

    paths = find_paths()
    programs = _programs(paths, server_port, mlflow_port, dashboards_port, notebooks_port)
    run_together(programs, cwd=paths.root, logs=paths.home / "logs", say=say)


def _programs(paths: Any, server: int, mlflow: int, dashboards: int, notebooks: int) -> list[Any]:
    """The four programs, each on loopback only."""
    import sys

    from workbench.execution.together import Program

    local = "127.0.0.1"
    python = sys.executable
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    return [
        Program(
            "server", server, (python, "-m", "workbench.cli.main", "serve", "--port", str(server))
        ),
        Program(
            "mlflow",
            mlflow,
            (
                python,
                "-m",
                "mlflow",
                "server",
                "--backend-store-uri",
                paths.tracking_url,
                "--default-artifact-root",
                paths.artifacts.as_uri(),
                "--host",
                local,
                "--port",
                str(mlflow),
                "--workers",
                "1",
            ),
            quiet,
        ),
        Program(
            "dashboards",
            dashboards,
            (
                python,
                "-m",
                "streamlit",
                "run",
                "dashboards/Home.py",
                "--server.address",
                local,
                "--server.port",
                str(dashboards),
                "--server.headless",
                "true",
                "--browser.gatherUsageStats",
                "false",
            ),
        ),
        Program(
            "notebooks",
            notebooks,
            (
                python,
                "-m",
                "marimo",
                "--yes",
                "edit",
                "pipelines",
                "--host",
                local,
                "--port",
                str(notebooks),
                "--headless",
            ),
        ),
    ]
