"""Commands that answer: serve, predict, explain."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.show import Json, json_out, say, say_over, table
from workbench.cli.up import PORTS, up
from workbench.core.errors import DataError, MissingError, ReleaseError, did_you_mean
from workbench.core.paths import find_paths

if TYPE_CHECKING:
    from workbench.serving.models import Models


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
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65_535)] = PORTS[
        "server"
    ],
) -> None:
    """Answer for every released pipeline until Ctrl-C."""
    from workbench.serving.server import listen
    from workbench.serving.server import serve as answer

    paths = find_paths()
    listening = listen(host, port)
    at = f"http://{host}:{listening.getsockname()[1]}"

    def ready(models: Models) -> None:
        names = models.by_name
        say_over(
            f"serving {', '.join(names) or 'nothing yet: run workbench repro'} at {at}", "bold"
        )
        for name in names:
            say(f"  {at}/v2/models/{name}   {at}/predict/{name}")
        for name, problem in models.problems.items():
            say(f"  {name} is not served: {problem}", "yellow")

    say_over("loading", "dim", passing=True)
    answer(paths, listening, ready)


def predict(
    pipeline: Annotated[str, typer.Argument(help="Whose champion answers.", metavar="PIPELINE")],
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
    text = _given(row, file)
    try:
        given = _example(pipeline) if text is None else msgspec.json.decode(text)
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
    said = f"{found.pipeline} release {found.release}, {found.latency_ms:.1f} ms. {found.notice}"
    say(said.rstrip())
    say(f"Why: workbench explain {found.id}", "dim")


def _given(row: str | None, file: Path | None) -> bytes | None:
    """What was given as JSON; None where the example is wanted."""
    if file is None:
        return None if row is None else row.encode()
    if row is not None:
        raise DataError("Rows come from --row or from --file, not from both.")
    try:
        return file.read_bytes()
    except OSError as error:
        raise MissingError(f"{file} cannot be read: {error.strerror}.") from None


def _example(pipeline: str) -> dict[str, Any]:
    """The bundle's own example row."""
    from workbench.core.params import read_params
    from workbench.storage.bundle import read_signature
    from workbench.storage.pointer import read_pointer

    paths = find_paths()
    released = read_pointer(paths.pointer).pipelines
    target = released.get(pipeline, {}).get("champion")
    if target is None:
        there_is = pipeline in read_params(paths.params).pipelines
        raise ReleaseError(
            f"'{pipeline}' has no released champion.{did_you_mean(pipeline, released)}",
            fix=f"workbench repro {pipeline}" if there_is else "use a name of params.yaml",
        )
    return read_signature(paths.bundles / target.digest).example


def explain(
    id: Annotated[str, typer.Argument(help="The id of an answer.", metavar="ID")],
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
    else:
        # Whole digests are for machines; what came in and went out is never cut.
        plain = ("inputs", "outputs")
        steps = ((what, text if what in plain else _cut(text)) for what, text in found.steps())
        table("", ["what", "found"], steps)
    if result and not json:
        gap = (
            ""
            if result.max_difference is None
            else f" (largest difference {result.max_difference:g})"
        )
        say(f"replay: {result.verdict}{gap}", "green" if result.verdict == "equal" else "red")
    if result and result.verdict != "equal":
        raise typer.Exit(1)


def _cut(text: str) -> str:
    """The first twelve characters of each digest, enough to know it again."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b", r"\1…", text)
