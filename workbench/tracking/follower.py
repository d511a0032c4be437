"""Live curves: a thread beside DVC that shows trainings in MLflow while they run.

    follower = Follower(paths, params.site)
    follower.start()
    ...                       # `dvc repro`, in child processes
    synced = follower.stop()  # the last, full sync

It never raises into the job: what goes wrong is told by the sync at the end.
"""

from __future__ import annotations

import datetime as dt
import threading
from typing import TYPE_CHECKING

from workbench.core.errors import WorkbenchError
from workbench.metering.runs import read_run
from workbench.metering.site import Site
from workbench.tracking.store import Store
from workbench.tracking.sync import Synced, sync, track_one

if TYPE_CHECKING:
    from workbench.core.params import SiteParams
    from workbench.core.paths import Paths

EVERY_S = 2.0


class Follower:
    """Follows the runs that begin after `start`.

    MLflow is imported when the first stage really runs, so a repro with nothing to do stays quick.
    problem: why live curves are off, if they are.
    """

    def __init__(self, paths: Paths, site_params: SiteParams, *, every_s: float = EVERY_S) -> None:
        self._paths, self._site_params, self._every_s = paths, site_params, every_s
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._done: set[str] = set()
        self.problem: WorkbenchError | None = None

    def start(self) -> None:
        """Begin to follow."""
        since = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S%f}Z"
        self._thread = threading.Thread(
            target=self._follow, args=(since,), name="workbench-follower", daemon=True
        )
        self._thread.start()

    def stop(self) -> Synced:
        """End following, then sync everything."""
        self._ended.set()
        if self._thread:
            self._thread.join()
        return sync(self._paths, self._site_params)

    def _follow(self, since: str) -> None:
        store, site = Store(self._paths), Site(**self._site_params.model_dump())
        while not self._ended.wait(self._every_s):
            try:
                self._look(store, site, since)
            except WorkbenchError as error:
                self.problem = error
                return
            except Exception as error:  # whatever MLflow raises, the job goes on
                self.problem = WorkbenchError(
                    f"Live curves stopped: {error!r}.", kept="the run; the sync at the end has all"
                )
                return

    def _look(self, store: Store, site: Site, since: str) -> None:
        """Bring each new run under way up to date."""
        if not self._paths.runs.is_dir():
            return
        begun = sorted(
            folder.name
            for folder in self._paths.runs.iterdir()
            if folder.name >= since and folder.name not in self._done
        )
        if begun:
            _ = store.client  # imported now, while DVC works
        for run_id in begun:
            record = read_run(self._paths, run_id)
            if record is None:
                continue
            if record.stage == "train":
                track_one(self._paths, site, store, run_id)
            if record.stage != "train" or record.state != "running":
                self._done.add(run_id)
