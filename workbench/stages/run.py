"""One stage in this process, from its name to its exit code."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from workbench.core.errors import MissingError, WorkbenchError, did_you_mean, disk_full
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
        return _failed(arguments, error)
    except KeyboardInterrupt:
        sys.stderr.write(f"{' '.join(arguments)}: stopped; outputs are as they were before.\n")
        return 130
    except Exception as error:
        if (full := disk_full(error)) is None:
            raise
        return _failed(arguments, full)
    return 0


def _failed(arguments: list[str], error: WorkbenchError) -> int:
    sys.stderr.write(f"{' '.join(arguments)}: {error}\n")
    return 1


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
    from workbench.core.params import read_params, require_parts

    paths = find_paths()
    params = read_params(paths.params)
    for pipeline in params.pipelines:
        require_parts(params, pipeline)
    write_all(paths, params.pipelines)
