"""`/metrics`: what the server counts, in the text form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from workbench.serving.request import Reply, Request
from workbench.storage.windows import BOUNDS_MS

if TYPE_CHECKING:
    from workbench.serving.service import Service
    from workbench.serving.stats import Stats

MEDIA = b"text/plain; version=0.0.4; charset=utf-8"
LABELS = ("pipeline", "alias", "release", "rehearsal")


def metrics(service: Service, stats: Stats, monitoring: Path, request: Request) -> Reply:
    """All counters, of all workers together, and what the monitor last found."""
    request.need("GET")
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Collected(service, stats, monitoring))  # type: ignore[arg-type]
    return Reply(generate_latest(registry), media=MEDIA)


class _Collected:
    """What one scrape finds."""

    def __init__(self, service: Service, stats: Stats, monitoring: Path) -> None:
        self.service = service
        self.stats = stats
        self.monitoring = monitoring

    def collect(self) -> Iterator[Any]:
        """Yield the families of metrics, as prometheus_client asks for them."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        counted = self.stats.everywhere()
        answers = CounterMetricFamily(
            "workbench_requests",
            "Requests by what became of them.",
            labels=[*LABELS, "outcome"],
        )
        seconds = HistogramMetricFamily(
            "workbench_request_seconds", "From a request's head to its answer.", labels=LABELS
        )
        counters = {
            name: CounterMetricFamily(f"workbench_{name}", help, labels=LABELS)
            for name, help in (
                ("rows", "Rows that were answered."),
                ("batches", "Runs of a model's graph."),
                ("warnings", "Inputs beyond what training saw."),
                ("cpu_seconds", "Processor time, idle time of the process included."),
                ("energy_joules", "Energy, modelled from processor time and memory."),
            )
        }
        for (pipeline, alias, release, _, rehearsal), counts in sorted(counted.items()):
            labels = [pipeline, alias, str(release), str(rehearsal).lower()]
            failed = counts.errors + counts.refused
            for outcome, number in (
                ("answered", counts.requests - failed),
                ("refused", counts.refused),
                ("error", counts.errors),
            ):
                answers.add_metric([*labels, outcome], number)
            buckets: list[tuple[str, float]] = []
            below = 0
            for bound, number in zip((*BOUNDS_MS, None), counts.latency, strict=True):
                below += number
                buckets.append(("+Inf" if bound is None else str(bound / 1000), below))
            seconds.add_metric(labels, buckets, counts.latency_sum_s)
            counters["rows"].add_metric(labels, counts.rows)
            counters["batches"].add_metric(labels, counts.batches)
            counters["warnings"].add_metric(labels, counts.warnings)
            counters["cpu_seconds"].add_metric(labels, counts.cpu_s)
            counters["energy_joules"].add_metric(labels, counts.energy_j)
        yield answers
        yield seconds
        yield from counters.values()
        yield GaugeMetricFamily(
            "workbench_waiting_rows",
            "Rows that wait for a model.",
            self.service.batcher.waiting_rows,
        )
        yield CounterMetricFamily(
            "workbench_passports_dropped",
            "Answers whose passport was not written, for lack of room.",
            self.service.log.dropped,
        )
        served = GaugeMetricFamily(
            "workbench_model_info", "What is served.", labels=("pipeline", "release", "digest")
        )
        for model in self.service.models.by_name.values():
            served.add_metric([model.pipeline, model.version, model.target.digest], 1)
        yield served
        shadows = CounterMetricFamily(
            "workbench_shadows_dropped",
            "Copies for a shadow that were not answered, for lack of room.",
            labels=("pipeline",),
        )
        for pipeline, copies in self.service.router.dropped.items():
            shadows.add_metric([pipeline], copies)
        yield shadows
        budget = GaugeMetricFamily(
            "workbench_error_budget_left_fraction",
            "What is left of what a service level may fail, as the monitor last saw it.",
            labels=("pipeline", "level"),
        )
        drift = GaugeMetricFamily(
            "workbench_drift_psi",
            "Population stability index against training, as the monitor last saw it.",
            labels=("pipeline", "release", "kind", "column"),
        )
        for health in _seen(self.monitoring):
            for level in health.levels:
                if level.budget_left_fraction is not None:
                    budget.add_metric([health.pipeline, level.name], level.budget_left_fraction)
            for watched in health.answers:
                for one in watched.drift:
                    labels = [health.pipeline, str(watched.release), one.kind, one.column]
                    drift.add_metric(labels, one.psi)
        yield budget
        yield drift


class _Level(msgspec.Struct):
    name: str
    budget_left_fraction: float | None


class _Drift(msgspec.Struct):
    kind: str
    column: str
    psi: float


class _Watched(msgspec.Struct):
    release: int
    rehearsal: bool = False
    drift: list[_Drift] = []


class _Health(msgspec.Struct):
    """Of what the monitor writes about a pipeline, what is a metric."""

    pipeline: str
    levels: list[_Level] = []
    answers: list[_Watched] = []


def _seen(folder: Path) -> Iterator[_Health]:
    """What the monitor last wrote; nothing where none runs."""
    for path in sorted(folder.glob("*.json")):
        try:
            health = msgspec.json.decode(path.read_bytes(), type=_Health)
        except (OSError, msgspec.DecodeError):
            continue  # a file of another kind
        health.answers = [watched for watched in health.answers if not watched.rehearsal]
        yield health
