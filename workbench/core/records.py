"""Records that cross a layer or a file: frozen, plain, versioned.

Every record that is written to disk carries `version`, so that a later workbench can migrate it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

VERSION = 1
"""Version of params, bundles, run records and ledger; raised when a reader must migrate."""

Provenance = Literal["wall", "counter", "sampled", "modelled", "default"]
"""How a usage is known, best first."""

Role = Literal["number", "word", "time", "text", "list", "image"]
"""What a column is to a model.

number  float; missing allowed
word    one of a vocabulary learnt from the training side; missing and unknown words allowed
time    seconds since 1970-01-01 UTC as an integer; its calendar parts are computed in the graph
text    free text, turned into tokens by the bundle's own tokenizer, never into a vocabulary
list    a list of words, for example what a person has seen
image   unsigned bytes, height x width x channels
"""

Task = Literal["binary", "multiclass", "regression", "ranking", "none"]


@dataclass(frozen=True)
class Column:
    """One input or output of a bundle.

    shape: per row, without the batch; -1 where it varies. low, high: range seen in training.
    words: the vocabulary, when it is short enough to check and to show.
    lookup: for an output of row numbers, the table of the bundle that names them.
    """

    name: str
    role: Role
    shape: tuple[int, ...] = ()
    low: float | None = None
    high: float | None = None
    missing_fraction: float = 0.0
    words: tuple[str, ...] = ()
    lookup: str | None = None
    description: str = ""


@dataclass(frozen=True)
class Signature:
    """What a bundle takes and gives: `signature.json`, enough to serve it anywhere.

    outputs: for task binary `score` (probability); for multiclass `scores` in the order of
    `classes`; for regression `value`. threshold: score at and above which the decision is yes.
    """

    version: int
    pipeline: str
    interface: Literal["tabular", "image", "ranking", "chat"]
    task: Task
    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]
    target: str = ""
    classes: tuple[str, ...] = ()
    threshold: float | None = None
    notice: str = ""
    example: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Usage:
    """What one hardware domain used in one window.

    domain: `cpu`, `memory`, `gpu0`, ... energy_kwh within [lo, hi] with 95 % confidence.
    coverage: fraction of the window that the source saw.
    """

    domain: str
    energy_kwh: float | None
    lo: float | None
    hi: float | None
    provenance: Provenance
    coverage: float = 1.0


@dataclass(frozen=True)
class Window:
    """One metered window: what the ledger stores as one row and a row for each domain.

    Times are seconds since 1970-01-01 UTC. carbon_g and cost_usd are None while the site in
    `params.yaml` names no grid and no price.
    """

    name: str
    start_s: float
    end_s: float
    duration_s: float
    cpu_s: float
    peak_memory_bytes: int
    usages: tuple[Usage, ...] = ()
    carbon_g: float | None = None
    cost_usd: float | None = None


@dataclass(frozen=True)
class Commit:
    """State of Git when a run was made; `patch` is the dirty difference to `sha`."""

    sha: str | None
    branch: str | None
    dirty: bool
    patch: str = ""


@dataclass(frozen=True)
class RunRecord:
    """What a stage leaves behind for tracking and ledger: `.workbench/runs/<id>/record.json`.

    key: digest of fingerprint, params and data that went in; a rerun of the same has the same key.
    inputs, outputs: digests by name. metrics: last value by name; the series is in
    `metrics.jsonl` beside the record, a line `{"step", "time_s", "values"}` each.
    state: `failed` is kept too: a failed run cost something.
    """

    version: int
    id: str
    pipeline: str
    stage: str
    key: str
    fingerprint: str
    state: Literal["running", "finished", "failed"]
    window: Window | None
    commit: Commit
    notebook: str
    function: str
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    inputs: dict[str, str] = field(default_factory=dict[str, str])
    outputs: dict[str, str] = field(default_factory=dict[str, str])
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    packages: dict[str, str] = field(default_factory=dict[str, str])
    hardware: dict[str, Any] = field(default_factory=dict[str, Any])
    user: str = ""
    error: str = ""
