"""The reference of a release: made where its data are, once, when it is released."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.core.files import digest_folder
from workbench.core.records import Role
from workbench.data.distributions import likeliest, seen, spread, table_distributions
from workbench.storage.reference import Distribution, Reference

if TYPE_CHECKING:
    from workbench.registry.contender import Contender


def reference_of(candidate: Contender) -> Reference | None:
    """What the candidate was fitted on, as far as drift is concerned.

    None where this checkout lacks its training side, or has another one by now.
    """
    if candidate.test is None:
        return None
    train = candidate.test.with_name("train.parquet")
    if not train.is_file():
        return None
    if digest_folder(train.parent) != candidate.candidate["data"].get("split"):
        return None
    signature = candidate.signature
    return Reference(
        digest=candidate.digest,
        columns=table_distributions(
            train, candidate.test, {c.name: c.role for c in signature.inputs}
        ),
        answers=_answers(candidate),
        metrics={
            name: {key: entry[key] for key in ("value", "lo", "hi") if key in entry}
            for name, entry in candidate.candidate["metrics"].items()
        },
    )


def _answers(candidate: Contender) -> dict[str, Distribution]:
    """The model's own answers on the test side, by output; of several classes the likeliest."""
    import pyarrow.parquet as pq

    if candidate.predictions is None:
        return {}
    signature = candidate.signature
    file = pq.ParquetFile(candidate.predictions)
    there = set(file.schema_arrow.names)
    found: dict[str, Distribution] = {}
    for output in signature.outputs:
        # Where there are several targets, the columns of each begin with its name.
        name = next((n for n in (f"{output.name}_model", "model") if n in there), None)
        if name is None:
            continue
        values = file.read(columns=[name])[name].to_pylist()
        role: Role = "word" if output.name == "scores" else "number"
        if role == "word":
            values = likeliest(signature.classes, values)
        found[output.name] = spread(role, seen(role, values))
    return found
