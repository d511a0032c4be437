"""`workbench`: every command, each in a few lines over what the library already does."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from workbench.cli import inspect, releases, serve, work
from workbench.core.errors import WorkbenchError, disk_full

app = typer.Typer(
    name="workbench",
    help="From raw data to a served, explained and paid-for model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for module in (work, releases, serve, inspect):
    module.add_to(app)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option(help="Show where in the code an error came from.")] = False,
) -> None:
    """Options of every command."""
    if debug:
        os.environ["WORKBENCH_DEBUG"] = "1"


def main() -> None:
    """Run the command line; errors are sentences, not tracebacks."""
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
    return WorkbenchError(
        f"This should not happen: {type(error).__name__}: {error}",
        fix="`workbench --debug ...` shows where in the code; please report it",
    )


def _tell(error: WorkbenchError) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    console.print(Text(error.problem, style="bold red"))
    if error.kept:
        console.print(Text.assemble(("Kept: ", "green"), error.kept))
    if error.fix:
        console.print(Text.assemble(("Next: ", "cyan"), error.fix))


if __name__ == "__main__":
    main()
