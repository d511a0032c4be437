"""Bundles that challenge: as good, unsure, slow, hanging; a checkout that releases them; a load."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from onnx import TensorProto, helper

from tests.serving.bundles import FLOAT, INT64, _bundle, release
from workbench.core.files import write_text
from workbench.core.paths import Paths
from workbench.core.records import VERSION, Column, Signature
from workbench.registry.log import Event, append, read_log
from workbench.registry.pointer import point
from workbench.storage.pointer import Pointer, write_pointer

PARAMS = """\
version: 1
pipelines: [fraud]
site: {}
fraud:
  collect: {as_of: "2026-06-30"}
  split: {by: time}
  deploy:
    rollout: {min_requests: 300, latency_ratio: 2.5}
    levels: {latency_ms: 50}
"""
NAN_FROM = 100.0
"""The amount from which `unsure` answers NaN."""

HANG_FROM = 1000.0
"""The amount from which `hanging` comes back in hours."""


def score(amount: float, shift: float = 0.0) -> float:
    return 1 / (1 + math.exp(-(0.01 * amount + shift)))


def good(folder: Path, shift: float = 0.0, threshold: float = 0.5) -> Path:
    """score = sigmoid(0.01 * amount + shift)."""
    return _contender(folder, [], "sum", shift, threshold)


def unsure(folder: Path) -> Path:
    """As good, but NaN from an amount of 100."""
    nodes = [
        helper.make_node("Sub", ["limit", "amount"], ["room"]),
        helper.make_node("Sqrt", ["room"], ["root"]),
        helper.make_node("Mul", ["root", "zero"], ["nothing"]),
        helper.make_node("Add", ["sum", "nothing"], ["doubtful"]),
    ]
    return _contender(folder, nodes, "doubtful", 0.0, 0.5)


def looping(folder: Path, times: int) -> Path:
    """As good, but goes around so many times first; hours from an amount of 1000."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Add", ["had", "one"], ["has"]),
        ],
        "around",
        [
            helper.make_tensor_value_info("turn", INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("had", FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("has", FLOAT, []),
        ],
        [helper.make_tensor("one", FLOAT, [], [1.0])],
    )
    nodes = [
        helper.make_node("ReduceMax", ["amount"], ["most"], keepdims=0),
        helper.make_node("Div", ["most", "hang"], ["part"]),
        helper.make_node("Floor", ["part"], ["whole"]),
        helper.make_node("Mul", ["whole", "huge"], ["more"]),
        helper.make_node("Add", ["more", "times"], ["turns"]),
        helper.make_node("Cast", ["turns"], ["count"], to=INT64),
        helper.make_node("Loop", ["count", "", "zero"], ["sums"], body=body),
        helper.make_node("Mul", ["sums", "zero"], ["nothing"]),
        helper.make_node("Add", ["sum", "nothing"], ["late"]),
    ]
    constants = {"hang": HANG_FROM, "huge": 1e9, "times": float(times)}
    return _contender(folder, nodes, "late", 0.0, 0.5, constants)


def _contender(folder, nodes, answer, shift, threshold, constants=None) -> Path:
    first = [
        helper.make_node("Mul", ["amount", "weight"], ["weighed"]),
        helper.make_node("Add", ["weighed", "shift"], ["sum"]),
    ]
    last = [helper.make_node("Sigmoid", [answer], ["score"])]
    known = {"weight": 0.01, "shift": shift, "zero": 0.0, "limit": NAN_FROM} | (constants or {})
    signature = Signature(
        version=VERSION,
        pipeline="fraud",
        interface="tabular",
        task="binary",
        inputs=(Column("amount", "number"),),
        outputs=(Column("score", "number"),),
        threshold=threshold,
        example={"amount": 20.5},
    )
    inputs, outputs = [("amount", FLOAT, ["n"])], [("score", FLOAT, ["n"])]
    return _bundle(folder, [*first, *nodes, *last], inputs, outputs, known, signature)


def released(paths: Paths, *folders: Path) -> list[str]:
    """A checkout whose log has these bundles as releases 1, 2, ...; the first is champion."""
    write_text(paths.params, PARAMS)
    targets = [release(paths, "fraud", folder, n) for n, folder in enumerate(folders, start=1)]
    write_pointer(paths.pointer, Pointer())
    for target in targets:
        made = Event("release", "fraud", target.digest, target.run_id, target.release)
        append(paths, "fraud", [made])
    promoted(paths, targets[0].digest, 1)
    return [target.digest for target in targets]


def promoted(paths: Paths, digest: str, number: int) -> None:
    """Move champion there, as a release does."""
    moved = Event("alias", "fraud", digest, f"run-{number}", number, alias="champion")
    append(paths, "fraud", [moved])
    point(paths, "fraud", read_log(paths, "fraud"))


@dataclass
class Load:
    """Clients that ask without a pause, each on a connection of its own, until they are stopped.

    answered: (x-release, x-alias) with counts. wrong: what was not as it must be, with counts.
    """

    port: int
    amounts: tuple[float, ...] = (1.0, 20.0, 50.0)
    shifts: dict[str, float] = field(default_factory=dict[str, float])
    answered: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    pause_s: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list[threading.Thread])

    @property
    def requests(self) -> int:
        return self.answered.total() + self.wrong.total()

    def of(self, alias: str) -> int:
        return sum(n for (_, found), n in self.answered.items() if found == alias)

    @contextlib.contextmanager
    def running(self, clients: int = 3):
        for _ in range(clients):
            thread = threading.Thread(target=self._ask)
            self._threads.append(thread)
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(30)

    def _ask(self) -> None:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        turn = 0
        while not self._stop.is_set():
            amount = self.amounts[turn % len(self.amounts)]
            turn += 1
            body = json.dumps({"amount": amount})
            client.request("POST", "/predict/fraud", body, {"content-type": "application/json"})
            reply = client.getresponse()
            said = json.loads(reply.read())
            if reply.status != 200:
                self.wrong[f"{reply.status} {said['error']}"] += 1
            else:
                self._check(reply, said, amount)
            if self.pause_s:
                self._stop.wait(self.pause_s)
        client.close()

    def _check(self, reply: http.client.HTTPResponse, said: dict, amount: float) -> None:
        number, alias = reply.headers["x-release"], reply.headers["x-alias"]
        expected = score(amount, self.shifts.get(number, 0.0))
        if str(said["release"]) != number or abs(said["outputs"]["score"] - expected) > 1e-5:
            self.wrong[f"release {number} said {said}"] += 1
        else:
            self.answered[number, alias] += 1
