"""What an MLflow run should say, worked out from a run record and a candidate; no MLflow here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from workbench.metering.runs import opened_s
from workbench.metering.site import total_energy
from workbench.tracking.evidence import restored_id
from workbench.tracking.store import RUN_ID, TRAINED

if TYPE_CHECKING:
    from workbench.core.paths import Paths
    from workbench.core.records import RunRecord, Usage, Window
    from workbench.metering.site import Site
    from workbench.tracking.evidence import Evidence

FORM = "1"
"""Raised when the same records should be written to MLflow in another form."""

_MEASURED = ("wall", "counter", "sampled")


@dataclass(frozen=True)
class Dataset:
    """Data that went into a run; digest: SHA-256, hex."""

    name: str
    digest: str
    path: str
    origin: str
    rows: int | None


@dataclass(frozen=True)
class Truth:
    """One run as MLflow should show it; times in seconds since 1970 UTC.

    digest: of everything that it was made from. once: what is only written the first time, with
    its params, because the site in `params.yaml` may change later. files: bytes, or the file to
    copy, by artefact path.
    """

    run_id: str
    pipeline: str
    digest: str
    state: Literal["running", "finished", "failed"]
    start_s: float
    end_s: float
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, tuple[float, float]]
    once: dict[str, float] = field(default_factory=dict)
    once_params: dict[str, str] = field(default_factory=dict)
    inputs: tuple[Dataset, ...] = ()
    files: dict[str, bytes | Path] = field(default_factory=dict)


def digest_of(record: bytes, evidence: Evidence | None) -> str:
    """Digest of what a run is made from: its record's bytes and its candidate."""
    return hashlib.sha256(
        b"\0".join([FORM.encode(), record, (evidence.digest if evidence else "").encode()])
    ).hexdigest()


def recorded(
    paths: Paths, record: RunRecord, evidence: Evidence | None, site: Site, digest: str
) -> Truth:
    """The truth of a run that has a record here."""
    window = site.account(record.window) if record.window else None
    start_s = window.start_s if window else opened_s(record.id)
    end_s = window.end_s if window else start_s
    metrics = {f"final.{name}": (value, end_s) for name, value in record.metrics.items()}
    commit = record.commit
    tags = {
        RUN_ID: record.id,
        "workbench.pipeline": record.pipeline,
        "workbench.stage": record.stage,
        "workbench.origin": "recorded",
        "workbench.state": record.state,
        "workbench.error": record.error,
        "workbench.fingerprint": record.fingerprint,
        "workbench.key": record.key,
        "workbench.notebook": record.notebook,
        "workbench.function": record.function,
        "workbench.commit": commit.sha or "",
        "workbench.branch": commit.branch or "",
        "workbench.dirty": str(commit.dirty).lower(),
        "mlflow.user": record.user,
        "mlflow.source.name": record.notebook,
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": commit.sha or "",
        "mlflow.source.git.branch": commit.branch or "",
    }
    tags |= {f"workbench.data.{name}": value for name, value in record.inputs.items()}
    tags |= {f"workbench.output.{name}": value for name, value in record.outputs.items()}
    tags |= {f"hardware.{name}": value for name, value in _flat(record.hardware)}
    tags |= {f"package.{name}": value for name, value in record.packages.items()}
    files: dict[str, bytes | Path] = {
        "run/record.json": paths.runs / record.id / "record.json",
        "run/packages.json": msgspec.json.format(msgspec.json.encode(record.packages)),
    }
    if commit.patch:
        files["run/dirty.patch"] = commit.patch.encode()
    return Truth(
        run_id=record.id,
        pipeline=record.pipeline,
        digest=digest,
        state=record.state,
        start_s=start_s,
        end_s=end_s,
        params=dict(_flat(record.params)),
        tags=_told(tags) | (_evidence_tags(evidence) if evidence else {}),
        metrics=metrics | (dict(_judged(evidence)) if evidence else {}),
        once=_usage(window) if window else {},
        once_params=_place(site, window) if window else {},
        inputs=_inputs(record.pipeline, record.inputs, evidence),
        files=files | (_evidence_files(evidence) if evidence else {}),
    )


def restored(evidence: Evidence, digest: str) -> Truth:
    """The truth of a model that DVC brought back or that was made elsewhere: no usage of ours."""
    candidate = evidence.candidate
    data = {name: candidate["data"][name] for name in ("clean", "split")}
    tags = {
        RUN_ID: restored_id(evidence.train),
        "workbench.pipeline": candidate["pipeline"],
        "workbench.stage": "train",
        "workbench.origin": "restored",
        "workbench.state": "finished",
        "workbench.fingerprint": candidate["fingerprints"]["train"],
        TRAINED: evidence.train,
    }
    tags |= {f"workbench.data.{name}": value for name, value in data.items()}
    return Truth(
        run_id=restored_id(evidence.train),
        pipeline=candidate["pipeline"],
        digest=digest,
        state="finished",
        start_s=evidence.seen_s,
        end_s=evidence.seen_s,
        params=dict(_flat(evidence.read("params.json"))),
        tags=_told(tags) | _evidence_tags(evidence),
        metrics=dict(_judged(evidence)),
        inputs=_inputs(candidate["pipeline"], data, evidence),
        files=_evidence_files(evidence),
    )


def _judged(evidence: Evidence) -> Iterator[tuple[str, tuple[float, float]]]:
    """Metrics on the test side with their intervals, baselines, and facts of the bundle."""
    candidate = evidence.candidate
    found: dict[str, Any] = {}
    for name, interval in candidate["metrics"].items():
        found[f"test.{name}"] = interval.get("value")
        found |= {f"test.{name}.{end}": interval.get(end) for end in ("lo", "hi")}
    main = candidate.get("main")
    for who, metrics in candidate.get("baselines", {}).items():
        found[f"baseline.{who}.{main}"] = metrics.get(main, {}).get("value")
    for name, value in evidence.read("report.json").get("operating_point", {}).items():
        found[f"test.operating_point.{name}"] = value
    found["bundle.bytes"] = candidate.get("bytes")
    found["bundle.parity_max_difference"] = candidate.get("parity_max_difference")
    for name, value in found.items():
        if isinstance(value, int | float):
            yield name, (float(value), evidence.seen_s)


def _usage(window: Window) -> dict[str, float]:
    """Usage by the names of the metering design; what is not known is left out, never zero."""
    energy_kwh, lo, hi = total_energy(window.usages)
    found: dict[str, float | None] = {
        "duration_s": window.duration_s,
        "cpu_s": window.cpu_s,
        "peak_memory_bytes": float(window.peak_memory_bytes),
        "energy.kwh": energy_kwh,
        "energy.kwh.lo": lo,
        "energy.kwh.hi": hi,
        "carbon.operational_g": window.carbon_g,
        "cost.effective_usd": window.cost_usd,
    }
    for kind in ("cpu", "gpu", "memory"):
        found[f"energy.{kind}.kwh"] = total_energy(
            tuple(usage for usage in window.usages if usage.domain.startswith(kind))
        )[0]
    found["energy.measured_fraction"] = _measured_fraction(window.usages, energy_kwh)
    return {name: value for name, value in found.items() if value is not None}


def _measured_fraction(usages: tuple[Usage, ...], energy_kwh: float | None) -> float | None:
    """Share of the energy that a sensor saw."""
    if not energy_kwh:
        return None
    seen = sum(u.energy_kwh or 0.0 for u in usages if u.provenance in _MEASURED)
    return seen / energy_kwh


def _place(site: Site, window: Window) -> dict[str, str]:
    """Grid and prices behind the carbon and cost of this window."""
    found: dict[str, Any] = {}
    if window.carbon_g is not None:
        found |= {
            "pue": site.pue,
            "grid.g_per_kwh": site.grid_g_per_kwh,
            "grid.source": site.grid_source,
            "grid.year": site.grid_year,
        }
    if window.cost_usd is not None:
        found |= {"price.source": site.price_source, "price.as_of": site.price_as_of}
    return {name: str(value) for name, value in found.items() if value not in (None, "")}


def _inputs(
    pipeline: str, digests: Mapping[str, str], evidence: Evidence | None
) -> tuple[Dataset, ...]:
    candidate = evidence.candidate if evidence else {}
    facts = candidate.get("facts", {}).values()
    origin = "; ".join(sorted({str(table.get("origin", "")) for table in facts} - {""}))
    rows = evidence.read("report.json").get("rows") if evidence else None
    return tuple(
        Dataset(
            f"{pipeline}.{name}",
            digest,
            f"data/{pipeline}/{name}",
            origin,
            rows if name == "split" else None,
        )
        for name, digest in digests.items()
    )


def _evidence_tags(evidence: Evidence) -> dict[str, str]:
    return _told(
        {
            "workbench.bundle": evidence.candidate["bundle"],
            "workbench.as_of": evidence.candidate.get("as_of", ""),
            "workbench.main_metric": evidence.candidate.get("main") or "",
        }
    )


def _evidence_files(evidence: Evidence) -> dict[str, bytes | Path]:
    found: dict[str, bytes | Path] = {
        "evaluation/candidate.json": evidence.folder / "candidate.json"
    }
    for name, place in (("report.json", "evaluation/report.json"), ("card.md", "card.md")):
        if (evidence.folder / name).is_file():
            found[place] = evidence.folder / name
    for plot in sorted(evidence.folder.glob("plots/*.json")):
        found[f"evaluation/plots/{plot.name}"] = plot
    return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings by dotted name; lists as JSON."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{name}", json.dumps(value)
        else:
            yield f"{prefix}{name}", str(value)


def _told(tags: Mapping[str, Any]) -> dict[str, str]:
    """Tags that say something; MLflow keeps up to 8,000 characters of each."""
    return {name: str(value)[:5000] for name, value in tags.items() if value not in (None, "")}
