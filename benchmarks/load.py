"""A client that asks as fast as it gets answers: `python -m benchmarks.load CONFIG.json`.

One event loop, some connections that stay open, another row in every request, every answer compared
with what the model said of that row. Paced when `rate` is set: then latency counts from when a
request was due, so that a server that stalls cannot hide it (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import numpy as np


class Asked:
    """What came of it."""

    def __init__(self) -> None:
        self.latency_s: list[float] = []
        self.failed = self.wrong = 0
        self.statuses: dict[int, int] = {}


async def ask(config: dict[str, Any]) -> Asked:
    """Ask for `seconds` over `connections`; bodies and wanted scores come in turn."""
    found = Asked()
    bodies = [json.dumps(body).encode() for body in config["bodies"]]
    headers = "".join(f"{k}: {v}\r\n" for k, v in config.get("headers", {}).items())
    head = (
        f"POST {config['path']} HTTP/1.1\r\nhost: 127.0.0.1:{config['port']}\r\n"
        f"content-type: application/json\r\n{headers}content-length: "
    ).encode()
    requests = [head + b"%d\r\n\r\n" % len(body) + body for body in bodies]
    turn = iter(range(10**12))
    end = time.perf_counter() + config["seconds"]
    began = time.perf_counter()
    rate = config.get("rate")

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", config["port"])
        while True:
            number = next(turn)
            due = began + number / rate if rate else time.perf_counter()
            if due >= end or time.perf_counter() >= end:
                break
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            try:
                writer.write(requests[number % len(requests)])
                status, body = await _answer(reader)
            except (OSError, asyncio.IncompleteReadError):
                found.failed += 1
                reader, writer = await asyncio.open_connection("127.0.0.1", config["port"])
                continue
            found.latency_s.append(time.perf_counter() - due)
            found.statuses[status] = found.statuses.get(status, 0) + 1
            if status != 200:
                found.failed += 1
            elif not _right(body, config, number % len(requests)):
                found.wrong += 1
        writer.close()

    await asyncio.gather(*(one() for _ in range(config["connections"])))
    return found


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    at = lower.find(b"content-length:")
    if at >= 0:
        size = int(lower[at + 15 : lower.index(b"\r\n", at)])
        body = await reader.readexactly(size)
    else:  # in chunks
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    return int(head[9:12]), body


def _right(body: bytes, config: dict[str, Any], number: int) -> bool:
    """Whether the number behind `find` in the answer is the wanted one, of the release it names."""
    wanted = config["wanted"]
    if "by_release" in config:
        place = body.find(b'"release":') + 10
        wanted = config["by_release"][body[place : body.index(b",", place)].decode()]
    at = body.find(config["find"].encode())
    if at < 0:
        return False
    text = body[at + len(config["find"]) : at + len(config["find"]) + 40].lstrip(b"[ ")
    end = next((i for i, c in enumerate(text) if c not in b"0123456789.eE+-"), len(text))
    return abs(float(text[:end]) - wanted[number]) < 1e-4


def main() -> None:
    import uvloop

    with open(sys.argv[1], encoding="utf-8") as file:
        config = json.load(file)
    began = time.perf_counter()
    found = uvloop.run(ask(config))
    latency = np.array(found.latency_s or [np.nan])
    print(
        json.dumps(
            {
                "requests": len(found.latency_s),
                "failed": found.failed,
                "wrong": found.wrong,
                "statuses": found.statuses,
                "seconds": time.perf_counter() - began,
                "p50_ms": float(np.median(latency)) * 1000,
                "p99_ms": float(np.quantile(latency, 0.99)) * 1000,
                "max_ms": float(latency.max()) * 1000,
            }
        )
    )


if __name__ == "__main__":
    main()
