"""`workbench`: every command, each in a few lines over what the library already does."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from typing import Annotated

import typer

from workbench.cli import (
    care,
    deploy,
    health,
    inspect,
    keys,
    new,
    refresh,
    releases,
    serve,
    traffic,
    work,
)
from workbench.cli.show import console, printable
from workbench.core.errors import MissingError, WorkbenchError, disk_full
from workbench.core.paths import find_paths
from workbench.core.secrets import private_folder

app = typer.Typer(
    name="workbench",
    help="From raw data to a served, explained and paid-for model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for module in (new, work, refresh, releases, deploy, serve, traffic, keys, health, inspect, care):
    module.add_to(app)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option(help="Show where in the code an error came from.")] = False,
) -> None:
    """Options of every command."""
    if debug:
        os.environ["WORKBENCH_DEBUG"] = "1"
    # Made here, before anything makes it in passing and readable by all users of the machine.
    with contextlib.suppress(MissingError, OSError):
        private_folder(find_paths().home)


def main() -> None:
    """Run the command line; errors are sentences, not tracebacks."""
    # Syntax trees have no cycles to find; looking for them took a seventh of `workbench status`.
    gc.set_threshold(100_000, 20, 20)
    try:
        app()
    except SystemExit as end:
        if end.code == 130:  # what Typer makes of Ctrl-C, without a word
            sys.stderr.write("Stopped; what was whole before is as it was.\n")
        raise
    except Exception as error:
        if os.environ.get("WORKBENCH_DEBUG"):
            raise
        _tell(error if isinstance(error, WorkbenchError) else disk_full(error) or _defect(error))
        sys.exit(1)


def _defect(error: Exception) -> WorkbenchError:
    """What nobody foresaw, in a sentence too."""
    if isinstance(error, RecursionError):
        return WorkbenchError(
            "A file is nested too deeply to be read.",
            fix="look at params.yaml and what was changed last; "
            "`workbench --debug ...` shows which file it is",
        )
    return WorkbenchError(
        f"This should not happen: {type(error).__name__}: {error}",
        fix="`workbench --debug ...` shows where in the code; please report it",
    )


def _tell(error: WorkbenchError) -> None:
    from rich.text import Text

    shown = console(stderr=True)
    shown.print(Text(printable(error.problem), style="bold red"))
    if error.kept:
        shown.print(Text.assemble(("Kept: ", "green"), printable(error.kept)))
    if error.fix:
        shown.print(Text.assemble(("Next: ", "cyan"), printable(error.fix)))


if __name__ == "__main__":
    main()
