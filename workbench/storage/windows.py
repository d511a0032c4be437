"""What a server did in each second: the numbers from which health, verdicts and usage are told.

The server appends them, whoever watches reads them; neither needs the other to run. One line of
JSON for each release that was asked in that window, one file for each process and day.
"""

from __future__ import annotations

import bisect
import datetime as dt
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from workbench.core.records import VERSION
from workbench.core.secrets import private, private_folder

BOUNDS_MS: tuple[float, ...] = tuple(
    round(base * 10.0**power, 2) for power in range(-1, 5) for base in (1, 1.5, 2, 3, 5, 7)
)
"""Upper ends of the latency histogram's bins; one more bin holds what is slower."""


class ServingWindow(msgspec.Struct, frozen=True, kw_only=True):
    """What one release did in one process between `start_s` and `end_s` (since 1970-01-01 UTC).

    pipeline: "" for requests that named none that is served; alias: champion or challenger, or
    "shadow" where nobody got the answers. errors: answers with status 5xx; refused: 4xx.
    latency: counts by bin of BOUNDS_MS. batches: runs of its graph. rehearsal: whether these
    requests were marked as such. cpu_s and energy (joules within [lo, hi], modelled) are the
    process's in the window by share of the requests; while nobody asks, what it uses is shared
    equally by all that it serves, so that nothing is left out. energy_j None: not measured.
    """

    version: int = VERSION
    start_s: float
    end_s: float
    pid: int
    pipeline: str
    alias: str
    release: int
    digest: str
    rehearsal: bool = False
    requests: int = 0
    rows: int = 0
    errors: int = 0
    refused: int = 0
    latency_sum_s: float = 0.0
    latency: tuple[int, ...] = ()
    batches: int = 0
    cpu_s: float = 0.0
    energy_j: float | None = None
    energy_lo_j: float | None = None
    energy_hi_j: float | None = None
    memory_bytes: int = 0
    warnings: int = 0


def bin_of(latency_ms: float) -> int:
    """The bin of the histogram that holds a latency."""
    return bisect.bisect_left(BOUNDS_MS, latency_ms)


def quantile_ms(latency: Sequence[int], q: float) -> float | None:
    """The latency, in ms, that a fraction `q` of the requests stays below; None without any.

    Interpolated within its bin, so exact to the bin's width.
    """
    total = sum(latency)
    if not total:
        return None
    rest = q * total
    low = 0.0
    for count, high in zip(latency, (*BOUNDS_MS, BOUNDS_MS[-1]), strict=True):
        if count and rest <= count:
            return low + (high - low) * rest / count
        rest -= count
        low = high
    return BOUNDS_MS[-1]


def append_windows(folder: Path, windows: Sequence[ServingWindow]) -> None:
    """Append `windows` to this process's file of today."""
    if not windows:
        return
    private_folder(folder)
    day = dt.datetime.fromtimestamp(windows[0].end_s, dt.UTC).date()
    lines = b"".join(msgspec.json.encode(window) + b"\n" for window in windows)
    path = folder / f"{day.isoformat()}-{os.getpid()}.jsonl"
    with open(path, "ab", buffering=0, opener=private) as file:
        file.write(lines)


def read_windows(
    folder: Path, since_s: float = 0.0, pipeline: str | None = None
) -> Iterator[ServingWindow]:
    """Yield windows that end after `since_s`, of one pipeline or of all, file by file.

    A line torn by a crash is left out.
    """
    day = dt.datetime.fromtimestamp(since_s, dt.UTC).date().isoformat()
    for path in sorted(folder.glob("*.jsonl")):
        if path.name[:10] < day:
            continue
        with path.open("rb") as file:
            for line in file:
                try:
                    window = msgspec.json.decode(line, type=ServingWindow)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue
                if window.end_s > since_s and pipeline in (None, window.pipeline):
                    yield window
