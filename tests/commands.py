"""Many command lines of one checkout, each in a fork of one warm process.

What runs is `workbench.cli.main.main` with its arguments, output and exit code, as at a person's;
only the imports of third-party packages, most of a short command's time, are paid once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from tests.checkout import Checkout, Ended

_WARM = """
import json, os, sys, tempfile, traceback
import duckdb, ibis, numpy, pandas, pyarrow, pyarrow.parquet, rich, sqlalchemy, typer

def one(arguments):
    with tempfile.TemporaryFile() as said:
        pid = os.fork()
        if not pid:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            sys.argv = ["workbench", *arguments]
            code = 70
            try:
                from workbench.cli.main import main
                main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said.seek(0)
        return code, said.read().decode()

print(json.dumps([one(arguments) for arguments in json.loads(sys.argv[1])]))
"""


def commands(checkout: Checkout, lines: Sequence[Sequence[str]]) -> list[Ended]:
    """Run `workbench` with each of the argument lists, one after the other; how each ended."""
    run = checkout.run(sys.executable, "-c", _WARM, json.dumps([list(line) for line in lines]))
    return [Ended(code, text) for code, text in json.loads(run.ok().text.splitlines()[-1])]
