"""Where MLflow keeps runs: a database of this checkout by default, or a server of the team.

What is already there is asked in one query. With a database that query is plain SQL, so that a
sync with nothing to do never pays for MLflow's import of several seconds.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from workbench.core.errors import StateError
from workbench.core.secrets import masked, private_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from workbench.core.paths import Paths

RUN_ID, SYNCED, SERIES, TRAINED = (
    "workbench.run_id",
    "workbench.synced",
    "workbench.series",
    "workbench.output.train",
)
CONNECT_S = 3.0
KEPT = "run records and release logs; MLflow is made from them"
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # a server that does not answer must not hold up the person who waits for a sync
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


@dataclass(frozen=True)
class Known:
    """A run that MLflow has.

    synced: digest of what it was made from, empty while it is not complete. series: how many
    lines of the metric series it holds. trained: digest of what the run trained.
    """

    mlflow_id: str
    synced: str = ""
    series: int = 0
    trained: str = ""


class Store:
    """MLflow behind `paths.tracking_url`; nothing is opened before the first use.

    Every method raises StateError when the store is damaged or out of reach.
    """

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        url = paths.tracking_url
        if url.startswith("postgresql://"):  # the driver that is installed is psycopg 3
            url = url.replace("postgresql://", "postgresql+psycopg://", 1)
        self.url = url

    @property
    def is_database(self) -> bool:
        return self.url.startswith(("sqlite:", "postgresql"))

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client; its import takes seconds, its first database some more."""
        self.reach()
        _quieten()
        private_folder(self.paths.home)
        from mlflow import MlflowClient

        with self.explained():
            return MlflowClient(tracking_uri=self.url, registry_uri=self.url)

    def reach(self) -> None:
        """Raise StateError at once when a server does not listen, before anything is imported."""
        if not self.url.startswith(("http://", "https://")):
            return
        try:
            parts = urlsplit(self.url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:  # its text repeats a piece of the password
            raise self._unreachable(
                "its address cannot be read; in a password write %40 for @, %2F for /, %23 for #"
            ) from None
        if not parts.hostname:
            return
        try:
            socket.create_connection((parts.hostname, port), timeout=CONNECT_S).close()
        except OSError as error:
            raise self._unreachable(error.strerror or str(error)) from None

    def experiment(self, pipeline: str) -> str:
        """Return the id of the pipeline's experiment, made if need be."""
        place = (self.paths.artifacts / pipeline).resolve().as_uri() if self.is_database else None
        client = self.client
        with self.explained():
            found = client.get_experiment_by_name(pipeline)
            if found is None:
                return client.create_experiment(pipeline, artifact_location=place)
        if found.lifecycle_stage == "deleted":
            raise StateError(
                f"Experiment '{pipeline}' was deleted in MLflow.",
                kept=KEPT,
                fix=f"restore it: `mlflow experiments restore -x {found.experiment_id}`",
            )
        stored = found.artifact_location
        moved = place and stored.startswith("file:") and stored != place
        if moved and not Path(urlsplit(stored).path).exists():
            raise StateError(
                f"MLflow's artefacts of '{pipeline}' stood in {urlsplit(stored).path}: "
                "the checkout was moved.",
                kept=KEPT,
                fix=f"remove {self.url.partition(':///')[2]}, then `workbench sync` makes it again",
            )
        return found.experiment_id

    def known(self, pipeline: str) -> dict[str, Known]:
        """Return the workbench's runs of one experiment by their `workbench.run_id`."""
        tags: dict[str, dict[str, str]] = {}
        if self.is_database:
            for mlflow_id, key, value in self.select(
                "SELECT t.run_uuid, t.key, t.value FROM tags t "
                "JOIN runs r ON r.run_uuid = t.run_uuid "
                "JOIN experiments e ON e.experiment_id = r.experiment_id "
                "WHERE e.name = :pipeline "
                f"AND t.key IN ('{RUN_ID}', '{SYNCED}', '{SERIES}', '{TRAINED}')",
                pipeline=pipeline,
            ):
                tags.setdefault(mlflow_id, {})[key] = value
        else:
            tags = self._asked(pipeline)
        return {
            own[RUN_ID]: Known(
                mlflow_id, own.get(SYNCED, ""), int(own.get(SERIES, 0)), own.get(TRAINED, "")
            )
            for mlflow_id, own in tags.items()
            if RUN_ID in own
        }

    def _asked(self, pipeline: str) -> dict[str, dict[str, str]]:
        """What a server says about the runs of one experiment, a page of 1,000 at a time."""
        client = self.client
        from mlflow.entities import ViewType

        tags: dict[str, dict[str, str]] = {}
        token: str | None = None
        with self.explained():
            experiment = client.get_experiment_by_name(pipeline)
            while experiment is not None:
                page = client.search_runs(
                    [experiment.experiment_id],
                    filter_string=f"tags.`{RUN_ID}` != ''",
                    run_view_type=ViewType.ALL,
                    max_results=1000,
                    page_token=token,
                )
                tags |= {run.info.run_id: run.data.tags for run in page}
                token = page.token
                if not token:
                    break
        return tags

    def select(self, query: str, **values: Any) -> list[Any]:
        """Rows of a query to MLflow's own tables; none where they were not made yet."""
        from sqlalchemy import NullPool, create_engine, text
        from sqlalchemy.exc import SQLAlchemyError

        file = self.url.partition("sqlite:///")[2]
        if file and not Path(file).exists():
            return []
        try:
            with create_engine(self.url, poolclass=NullPool).connect() as connection:
                return list(connection.execute(text(query), values))
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
            if "no such table" in reason or "does not exist" in reason:
                return []
            raise self._unreachable(reason, database=True) from None

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turn MLflow's complaints into a sentence with a way out."""
        _quieten()
        from mlflow.exceptions import MlflowException
        from requests import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, RequestException, SQLAlchemyError) as error:
            reason = (str(error).strip() or "no reason").splitlines()[0]
            causes = (error, error.__cause__, error.__context__)
            database = any(isinstance(cause, SQLAlchemyError) for cause in causes)
            raise self._unreachable(reason, database or "sqlite3." in reason) from error

    def _unreachable(self, reason: str, database: bool = False) -> StateError:
        """The sentence for `reason`; only a complaint of the `database` speaks against its file."""
        reason = masked(reason, self.url)
        reason = reason if len(reason) <= 200 else f"{reason[:200]}..."
        file = self.url.partition("sqlite:///")[2]
        if "out-of-date database schema" in reason:
            fix = f"run `mlflow db upgrade {self._shown}`, then `workbench sync`"
        elif file and not database:
            return StateError(
                f"MLflow refuses what it was given: {reason.rstrip('.')}.",
                kept=KEPT,
                fix="`workbench runs` names damaged run records; move such a folder away, then "
                "`workbench sync`",
            )
        elif file:
            fix = f"move it away (`mv {file} {file}.damaged`), then `workbench sync` makes it again"
        else:
            fix = "start the server or set MLFLOW_TRACKING_URI, then `workbench sync` completes it"
        return StateError(
            f"MLflow at {self._shown} is damaged or out of reach: {reason.rstrip('.')}.",
            kept=KEPT,
            fix=fix,
        )

    @property
    def _shown(self) -> str:
        """The address without its password."""
        return masked(self.url)


def _quieten() -> None:
    """Settings that MLflow reads when it is imported; a person's own go before ours."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
