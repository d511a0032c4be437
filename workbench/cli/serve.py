"""Commands that answer: serve, predict, explain."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.show import Json, json_out, say, say_over, table
from workbench.cli.up import PORTS, up
from workbench.core.errors import DataError, MissingError, ReleaseError, did_you_mean
from workbench.core.paths import find_paths

if TYPE_CHECKING:
    from workbench.core.paths import Paths
    from workbench.core.records import Signature
    from workbench.serving.models import Models
    from workbench.serving.tls import Tls


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(serve)
    app.command()(predict)
    app.command()(explain)
    app.command()(up)


def serve(
    host: Annotated[
        str, typer.Option(help="0.0.0.0 for all that reach this machine; needs a key on file.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65_535)] = PORTS[
        "server"
    ],
    tls_cert: Annotated[
        Path | None, typer.Option(help="Certificate and its chain, PEM; then it speaks HTTPS.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The certificate's key, PEM.")] = None,
    workers: Annotated[int, typer.Option(help="Processes that share the work.", min=1)] = 1,
    monitor: Annotated[
        bool, typer.Option(help="Watch drift, levels and challengers beside it.")
    ] = True,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="Log good answers too, without their inputs.")
    ] = False,
) -> None:
    """Answer for every released pipeline until Ctrl-C."""
    from workbench.serving.door.keys import has_usable_key
    from workbench.serving.local import is_local_address
    from workbench.serving.server import listen
    from workbench.serving.workers import serve_workers

    paths = find_paths()
    tls = _tls(tls_cert, tls_key)
    listening = listen(host, port, has_key=has_usable_key(paths))
    at = f"{'https' if tls else 'http'}://{host}:{listening.getsockname()[1]}"
    if tls is None and not is_local_address(listening.getsockname()[0]):
        say("Keys and answers travel in clear: give --tls-cert and --tls-key, or put", "yellow")
        say("a proxy that speaks TLS between. See docs/how-to/serve-safely.md", "yellow")

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
    with _watched(paths) if monitor else nullcontext():
        serve_workers(paths, listening, workers, ready, tls, access_log=access_log)


@contextmanager
def _watched(paths: Paths) -> Iterator[None]:
    """`workbench monitor` as a process of its own, which ends with this one, however it ends."""
    import subprocess
    import sys

    from workbench.core.secrets import private, private_folder
    from workbench.execution.parent import die_with_parent

    log = paths.home / "logs" / "monitor.log"
    private_folder(log.parent)
    with open(log, "ab", opener=private) as output:
        watching = subprocess.Popen(
            [sys.executable, "-m", "workbench.cli.main", "monitor"],
            cwd=paths.root,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C reaches the whole group: the server ends it when it has drained.
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        yield
    finally:
        watching.terminate()
        watching.wait()


def _tls(certificate: Path | None, key: Path | None) -> Tls | None:
    """Both files or none, and checked before anything listens."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise MissingError(
            "HTTPS needs a certificate and its key.", fix="give both --tls-cert and --tls-key"
        )
    from workbench.serving.tls import Tls

    tls = Tls(certificate, key)
    tls.check()
    return tls


def predict(
    pipeline: Annotated[str, typer.Argument(help="Whose champion answers.", metavar="PIPELINE")],
    row: Annotated[
        str | None,
        typer.Option(help='Fields as JSON, {"amount_eur": 12.5}; the example when left out.'),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="A JSON file with a row or a list, or a CSV or Parquet one.")
    ] = None,
    json: Json = False,
) -> None:
    """Answer rows with the champion, without a server."""
    from workbench.cli.answers import in_words, rows_of
    from workbench.serving.predict import predict as answer
    from workbench.serving.settings import Settings

    paths = find_paths()
    text = _given(row, file)
    signature, others = _signature(pipeline), ""
    if file is not None and text is not None and text.lstrip()[:1] not in (b"{", b"["):
        rows, others = rows_of(paths, file, signature)
    else:
        rows = [signature.example] if text is None else _json_rows(text)
    found = answer(paths, pipeline, rows, Settings(paths).log)
    if json:
        json_out(found)
        return
    outputs = in_words(found.outputs, signature)
    table("", list(outputs), zip(*outputs.values(), strict=True))
    if text is None:
        say("asked: its example row (--row or --file for yours)", "dim")
    if others:
        say(f"not asked for, since the model does not take them: {others}", "dim")
    said = f"{found.pipeline} release {found.release}, {found.latency_ms:.1f} ms. {found.notice}"
    say(said.rstrip())
    say(f"Why: workbench explain {found.id}", "dim")


def _json_rows(text: bytes) -> list[Any]:
    import msgspec

    try:
        given = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise DataError(
            f"The row is not JSON: {error}.", fix="put names in double quotes"
        ) from None
    return given if isinstance(given, list) else [given]


def _given(row: str | None, file: Path | None) -> bytes | None:
    """What was given, as bytes; None where the example is wanted."""
    if file is None:
        return None if row is None else row.encode()
    if row is not None:
        raise DataError("Rows come from --row or from --file, not from both.")
    try:
        return file.read_bytes()
    except OSError as error:
        raise MissingError(f"{file} cannot be read: {error.strerror}.") from None


def _signature(pipeline: str) -> Signature:
    """What the champion takes and gives."""
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
    return read_signature(paths.bundles / target.digest)


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
        style = "green" if result.verdict == "equal" else "red"
        say(f"replay: {result.verdict}. {result.sentence}", style)
    if result and result.verdict != "equal":
        raise typer.Exit(1)


def _cut(text: str) -> str:
    """The first twelve characters of each digest, enough to know it again."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b", r"\1…", text)
