"""One stage in this process, from its name to its exit code."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from workbench.core.errors import MissingError, WorkbenchError, did_you_mean
from workbench.core.paths import STAGES, find_paths
from workbench.core.reads import check_reads
from workbench.execution.parent import die_with_parent


def run(arguments: list[str]) -> int:
    """Run `STAGE PIPELINE` (or `fingerprint`); errors become one sentence, unless asked not to."""
    try:
        if arguments == ["fingerprint"]:
            _fingerprint()
        else:
            _stage(*arguments)
    except WorkbenchError as error:
        if os.environ.get("WORKBENCH_DEBUG"):
            raise
        sys.stderr.write(f"{' '.join(arguments)}: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{' '.join(arguments)}: stopped; outputs are as they were before.\n")
        return 130
    except OSError as error:
        if error.errno != 28:  # no space left
            raise
        sys.stderr.write(
            f"{' '.join(arguments)}: the disk is full ({error.filename or 'while writing'}).\n"
            "Kept: all outputs of the run before\n"
            "Next: free space (`workbench doctor` shows what is large), then run it again\n"
        )
        return 1
    return 0


def _stage(stage: str = "", pipeline: str = "") -> None:
    if stage not in STAGES:
        raise MissingError(f"No stage '{stage}'.{did_you_mean(stage, STAGES)}")
    from workbench.core.params import read_params

    die_with_parent()
    paths = find_paths()
    sys.path.insert(0, str(paths.root))
    check_reads(read_params(paths.params), pipeline, paths.notebook(pipeline))
    import_module(f"workbench.stages.{stage}").run(pipeline)  # dynamic: one of STAGES


def _fingerprint() -> None:
    """Write the fingerprint of every stage and pipeline; files that stay equal are not touched."""
    from workbench.core.fingerprint import write_all
    from workbench.core.params import read_params

    paths = find_paths()
    write_all(paths, read_params(paths.params).pipelines)
