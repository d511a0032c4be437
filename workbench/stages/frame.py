"""What every stage does around its own work: open, and close.

Open: take the lock, check that the code is what the fingerprint says, start the meter and the
run record. Close: check the code again (it may have been edited meanwhile), then let the outputs
appear, whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from workbench.core.files import digest_folder, folder_aside, write_json
from workbench.core.notebook import load_notebook
from workbench.core.params import Engine, engine_of, part_of
from workbench.core.paths import Paths, find_paths
from workbench.stages import watch

P = TypeVar("P", bound=BaseModel)


@dataclass
class Stage(Generic[P]):
    """One stage at work.

    out: folder to write outputs to; it becomes `paths.stage(name, pipeline)` when all went well.
    params: the stage's own part of the pipeline's block. report, plots: what it says of its work;
    quality: the few numbers by which versions of the pipeline are compared.
    """

    name: str
    pipeline: str
    paths: Paths
    params: P
    out: Path
    engine: Engine
    open: contextlib.ExitStack
    run: Any
    report: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)
    plots: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @cached_property
    def notebook(self) -> types.ModuleType:
        """The pipeline's notebook as a module."""
        return load_notebook(self.paths.root, self.pipeline)

    def function(self, name: str) -> Any:
        """A function of the notebook, or None where the pipeline leaves it to the default."""
        found = getattr(self.notebook, name, None)
        return found if callable(found) else None

    def input(self, stage: str) -> Path:
        """Folder with the outputs of an earlier stage."""
        return self.paths.stage(stage, self.pipeline)

    @cached_property
    def backend(self) -> Any:
        """DuckDB behind Ibis, with limits, on disk; gone when the stage closes."""
        from workbench.data.engine import connected

        return self.open.enter_context(connected(self.paths.scratch, self.engine))

    def other_part(self, model: type[BaseModel]) -> Any:
        """Another part of the pipeline's block, for what two stages must agree on."""
        return part_of(self.paths.params, self.pipeline, model)


@contextlib.contextmanager
def opened(
    name: str, pipeline: str, params: type[P], *, after: tuple[str, ...] = ()
) -> Iterator[Stage[P]]:
    """Open stage `name` of `pipeline`; close it when the block ends without an error.

    params: model of the stage's part of the block. after: the stages whose outputs it reads.
    """
    paths = find_paths()
    final = paths.stage(name, pipeline)
    own = part_of(paths.params, pipeline, params)
    inputs = {stage: digest_folder(paths.stage(stage, pipeline)) for stage in after}
    shown = own.model_dump(mode="json")
    with (
        watch.watched(paths, name, pipeline, shown, inputs) as run,
        contextlib.ExitStack() as stack,
        _outputs(final) as out,
    ):
        stage = Stage(
            name=name,
            pipeline=pipeline,
            paths=paths,
            params=own,
            out=out,
            engine=engine_of(paths.params),
            open=stack,
            run=run,
        )
        yield stage
        stack.close()
        run.check()
        if leads():
            write_json(paths.report(name, pipeline), stage.report)
            if stage.quality:
                write_json(paths.quality(pipeline), stage.quality)
            _write_plots(paths.plots(pipeline) / name, stage.plots)
        run.done(out, stage.report)


def leads() -> bool:
    """Whether this process writes: under `torchrun` only the first one does."""
    return os.environ.get("RANK", "0") == "0"


@contextlib.contextmanager
def _outputs(final: Path) -> Iterator[Path]:
    """The folder to write to; what other processes of one job than the first write is dropped."""
    if leads():
        with folder_aside(final) as out:
            yield out
        return
    import tempfile

    with tempfile.TemporaryDirectory() as out:
        yield Path(out)


def _write_plots(folder: Path, plots: Mapping[str, list[dict[str, Any]]]) -> None:
    """One JSON file a plot, a list of points `{"x", "y", ...}`, as DVC and editors draw it."""
    if not plots:
        return
    with folder_aside(folder) as aside:
        for name, points in plots.items():
            write_json(aside / f"{name}.json", points)
