"""`/metrics`: what the server counts, in the text form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from workbench.serving.request import Reply, Request
from workbench.storage.windows import BOUNDS_MS

if TYPE_CHECKING:
    from workbench.serving.service import Service
    from workbench.serving.stats import Stats

MEDIA = b"text/plain; version=0.0.4; charset=utf-8"
LABELS = ("pipeline", "alias", "release", "rehearsal")


def metrics(service: Service, stats: Stats, request: Request) -> Reply:
    """All counters, of all workers together."""
    request.need("GET")
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Collected(service, stats))  # type: ignore[arg-type]
    return Reply(generate_latest(registry), media=MEDIA)


class _Collected:
    """What one scrape finds."""

    def __init__(self, service: Service, stats: Stats) -> None:
        self.service = service
        self.stats = stats

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
