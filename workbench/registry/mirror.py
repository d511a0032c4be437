"""The release log mirrored in MLflow's registry: versions, aliases, gates as tags.

Nothing here is the truth: after the database is lost, versions are made again in the order of the
log, so that their numbers are the releases' again (a tag says so where they cannot be).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.errors import StateError
from workbench.registry import history, store
from workbench.registry.history import CHALLENGER
from workbench.registry.model import write_model
from workbench.storage.origin import read_origin
from workbench.tracking.store import KEPT, Known, Store

if TYPE_CHECKING:
    from workbench.core.paths import Paths
    from workbench.registry.log import Event

DIGEST, RELEASE = "workbench.digest", "workbench.release"


@dataclass
class Versions:
    """What MLflow's registry has of one pipeline: versions by digest, and aliases."""

    by_digest: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)


def mirror(paths: Paths, pipeline: str, events: Sequence[Event], tracking: Store) -> int:
    """Make MLflow's registry say what the log says; returns how many versions were made.

    Releases whose bundle is not in this checkout (made elsewhere) are left out. Raises StateError
    where MLflow is out of reach, or does not have the run of a release that is here.
    """
    releases = history.releases(events)
    found = _versions(tracking, pipeline)
    missing = [e for e in releases.values() if e.digest not in found.by_digest]
    missing = [e for e in missing if store.has(paths, e.digest)]
    if missing:
        runs = tracking.known(pipeline)
        for event in missing:
            found.by_digest[event.digest] = _register(paths, event, tracking, runs)
    for alias, digest in _aliases(events).items():
        version = found.by_digest.get(digest)
        if version and found.aliases.get(alias) != version:
            with tracking.explained():
                tracking.client.set_registered_model_alias(pipeline, alias, version)
    if CHALLENGER in found.aliases and CHALLENGER not in history.aliases(events):
        with tracking.explained():
            tracking.client.delete_registered_model_alias(pipeline, CHALLENGER)
    return len(missing)


def _aliases(events: Sequence[Event]) -> dict[str, str]:
    """Digest by alias. MLflow keeps names like `v3` for itself, hence `release-3`."""
    named = {f"release-{n}": e.digest for n, e in history.releases(events).items()}
    return named | {alias: e.digest for alias, e in history.aliases(events).items()}


def _versions(tracking: Store, pipeline: str) -> Versions:
    """Ask what is registered: by SQL where that saves MLflow's import."""
    if not tracking.is_database:
        return _asked(tracking, pipeline)
    rows = tracking.select(
        "SELECT v.version, t.value FROM model_versions v JOIN model_version_tags t "
        "ON t.name = v.name AND t.version = v.version "
        f"WHERE v.name = :name AND t.key = '{DIGEST}' AND v.current_stage <> 'Deleted_Internal'",
        name=pipeline,
    )
    aliases = tracking.select(
        "SELECT alias, version FROM registered_model_aliases WHERE name = :name", name=pipeline
    )
    return Versions(
        {digest: str(version) for version, digest in rows},
        {alias: str(version) for alias, version in aliases},
    )


def _asked(tracking: Store, pipeline: str) -> Versions:
    found, client = Versions(), tracking.client
    with tracking.explained():
        for model in client.search_registered_models(f"name = '{pipeline}'"):
            found.aliases = {alias: str(v) for alias, v in model.aliases.items()}
        for version in client.search_model_versions(f"name = '{pipeline}'"):
            if DIGEST in version.tags:
                found.by_digest[version.tags[DIGEST]] = str(version.version)
    return found


def _register(paths: Paths, event: Event, tracking: Store, runs: dict[str, Known]) -> str:
    """Log the bundle as an artefact of its run and make a version of it; return its number."""
    run = runs.get(event.run_id) or _same_training(paths, event, runs)
    if run is None:
        raise StateError(
            f"Run {event.run_id} of release {event.release} of '{event.pipeline}' is not in "
            "MLflow.",
            kept=KEPT,
            fix="run `workbench sync`",
        )
    client, place = tracking.client, f"model-{event.digest[:12]}"
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder, tracking.explained():
        target = Path(folder) / place
        write_model(paths.bundles / event.digest, target, event.digest)
        client.log_artifacts(run.mlflow_id, str(target), place)
        if not list(client.search_registered_models(f"name = '{event.pipeline}'")):
            client.create_registered_model(event.pipeline)
        source = client.get_run(run.mlflow_id).info.artifact_uri
        version = client.create_model_version(
            event.pipeline,
            f"{source}/{place}",
            run_id=run.mlflow_id,
            tags=_tags(event),
        )
    return str(version.version)


def _same_training(paths: Paths, event: Event, runs: dict[str, Known]) -> Known | None:
    """A run that trained the very same weights, where this one's own record is elsewhere."""
    origin = read_origin(paths.bundles, event.digest)
    trained = origin.data.get("train") if origin else None
    return next((run for run in runs.values() if trained and run.trained == trained), None)


def _tags(event: Event) -> dict[str, Any]:
    tags = {
        DIGEST: event.digest,
        RELEASE: str(event.release),
        "workbench.run_id": event.run_id,
        "workbench.released_at": event.time,
    }
    if event.commit:
        tags["workbench.commit"] = event.commit
    if event.override:
        tags["workbench.override"] = event.override
    return tags | {
        f"gate.{gate.name.replace(' ', '_')}": f"{gate.verdict}: {gate.sentence}"
        for gate in event.gates
    }
