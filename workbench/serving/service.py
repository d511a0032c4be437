"""What every protocol asks for: the model, its answer, and the record that the answer leaves."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

from workbench.core.errors import did_you_mean
from workbench.serving.batcher import MAX_WAITING_ROWS, Batcher, Overloaded
from workbench.serving.checks import warned
from workbench.serving.models import Model, Models
from workbench.serving.request import LOCAL, Caller, Headers, Refused, Request
from workbench.serving.session import Outputs, check_finite
from workbench.serving.traffic import Router
from workbench.storage.predictions.log import PassportLog
from workbench.storage.predictions.passport import Passport, time_of

MAX_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer, as its observers see it.

    columns: as the client gave them. outputs: of the graph, [rows, ...]. time_s: since 1970-01-01
    UTC. latency_s: from the request's head to here. rehearsal: asked for by `workbench traffic`,
    not by life. warnings: inputs beyond what training saw.
    """

    id: str
    time_s: float
    model: Model
    columns: dict[str, Any]
    rows: int
    outputs: Outputs
    latency_s: float
    caller: Caller
    rehearsal: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def headers(self) -> Headers:
        """What a reply says of it: its id, the release that gave it, and under which alias."""
        return ((b"x-prediction-id", self.id.encode()), *self.model.headers)


class Observer(Protocol):
    """Looks at every answer, and at every request that got none; must be quick and never raise."""

    def answered(self, answer: Answered) -> None:
        """One request was answered."""
        ...

    def refused(self, model: Model | None, status: int, latency_s: float, rehearsal: bool) -> None:
        """One request got no answer; model: None where it named none that is served."""
        ...


class Service:
    """Models, the batcher, the log and whoever observes."""

    def __init__(self, log: PassportLog) -> None:
        self.models = Models()
        self.log = log
        self.batcher = Batcher()
        self.observers: list[Observer] = []
        self.router = Router(self._answer, self.observers)

    def model(self, name: str, version: str | None = None) -> Model:
        """The model of that name, and version if one is asked for.

        Refused with the known ones.
        """
        models = self.models
        model = models.by_name.get(name)
        if model is None:
            if not models.loaded:
                raise Refused(503, "The models are still being loaded.")
            if name in models.problems:
                raise Refused(503, f"'{name}' cannot be served: {models.problems[name]}")
            if not models.by_name:
                raise Refused(503, f"Nothing is released. {' '.join(models.problems.values())}")
            known = ", ".join(sorted(models.by_name))
            near = did_you_mean(name, models.by_name)
            raise Refused(404, f"No model '{name[:80]}'.{near} Served: {known}.")
        if version is None:
            return model
        pinned = models.of_version(name, version)
        if pinned is None:
            served = ", ".join(m.version for m in models.all if m.pipeline == name)
            raise Refused(404, f"'{name}' has no version '{version[:80]}' here. Served: {served}.")
        return pinned

    async def answer(
        self, model: Model, columns: dict[str, Any], rows: int, request: Request | None = None
    ) -> Answered:
        """Answer `rows` rows given by column, record it, and tell the observers.

        While a challenger is on traffic it may answer for the champion: `Answered.model` says who.
        DataError for values that do not fit, BundleError for a model that fails, Refused when
        more waits than can be answered soon, or the model failed too often.
        """
        if request is not None:
            request.caller.need(model.pipeline)  # in some protocols only the body names it
        return await self.router.answer(self.models, model, columns, rows, request)

    async def _answer(
        self,
        model: Model,
        columns: dict[str, Any],
        rows: int,
        request: Request | None,
        begun_s: float,
    ) -> Answered:
        """Answer by this model and no other."""
        try:
            outputs = await self.batcher.run(model, columns, rows)
        except Overloaded:
            raise Refused(
                503,
                f"More than {MAX_WAITING_ROWS:,} rows wait for '{model.pipeline}'.",
                ((b"retry-after", b"1"),),
            ) from None
        check_finite(outputs)
        # Who gets no answer of a shadow is not charged for it either.
        caller = request.caller if request and model.alias != "shadow" else LOCAL
        rehearsal = request is not None and request.is_rehearsal
        warnings = warned(model.bundle.checks, columns, rows)
        answer = recorded(
            self.log, model, columns, rows, outputs, begun_s, caller, rehearsal, warnings
        )
        for observer in self.observers:
            observer.answered(answer)
        return answer

    def close(self) -> None:
        """Finish what is under way and write what is logged."""
        self.router.close()
        self.batcher.close()
        self.log.close()


def check_rows(rows: int) -> None:
    """Before any work is done on them."""
    if rows > MAX_ROWS:
        raise Refused(413, f"{rows} rows in one request; send at most {MAX_ROWS}.")


def recorded(
    log: PassportLog,
    model: Model,
    columns: dict[str, Any],
    rows: int,
    outputs: Outputs,
    begun_s: float,
    caller: Caller = LOCAL,
    rehearsal: bool = False,
    warnings: tuple[str, ...] = (),
) -> Answered:
    """Log the passport of an answer to a request begun at `begun_s` (`time.perf_counter`)."""
    id = log.next_id()
    answer = Answered(
        id=id,
        time_s=time_of(id),
        model=model,
        columns=columns,
        rows=rows,
        outputs=outputs,
        latency_s=time.perf_counter() - begun_s,
        caller=caller,
        rehearsal=rehearsal,
        warnings=warnings,
    )
    log.append(
        Passport(
            id=id,
            time_s=answer.time_s,
            pipeline=model.pipeline,
            alias=model.alias,
            digest=model.target.digest,
            release=model.target.release,
            run_id=model.target.run_id,
            inputs=columns,
            outputs={name: values.tolist() for name, values in outputs.items()},
            latency_ms=answer.latency_s * 1000,
            notice=model.bundle.signature.notice,
            caller=caller.name,
            rehearsal=rehearsal,
            warnings=warnings,
            row_count=rows,
        )
    )
    return answer
