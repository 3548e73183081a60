"""A load tool of our own: for tests, for receipts that are looked at, and where there is no wrk.

`python -m bench.gateway.load` takes what `paid.lua` takes and prints what it prints. It needs more
of a core than wrk, so a fast server waits for it; such rows are marked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httptools
import uvloop

_OK = 200


@dataclass(slots=True)
class Exchange:
    """One answer: its status, its headers in lower case, its body without chunking."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


class _Connection(asyncio.Protocol):
    """Sends the next request when the last was answered, until there is none."""

    def __init__(self, requests: Iterator[bytes], keep: bool) -> None:
        self.exchanges: list[Exchange] = []
        self.latencies: list[float] = []
        self.refused = 0
        self.broken = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._keep = keep
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._now = Exchange()
        self._begun = 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.broken = True
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._keep:
            self._now.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        if self._keep:
            self._now.body += body

    def on_message_complete(self) -> None:
        self.latencies.append(time.perf_counter() - self._begun)
        self._now.status = self._parser.get_status_code()
        self.refused += self._now.status != _OK
        if self._keep:
            self.exchanges.append(self._now)
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        request = next(self._requests, None)
        assert self._transport is not None
        if request is None:
            if not self.ended.done():
                self.ended.set_result(None)
            self._transport.close()
            return
        self._now = Exchange()
        self._parser = httptools.HttpResponseParser(self)
        self._begun = time.perf_counter()
        self._transport.write(request)


async def _connect(port: int, requests: Iterator[bytes], *, keep: bool) -> _Connection:
    _, made = await asyncio.get_running_loop().create_connection(
        lambda: _Connection(requests, keep), "127.0.0.1", port
    )
    return made


async def exchange(port: int, requests: list[bytes]) -> list[Exchange]:
    """Send requests one after another on one connection; all answers, whatever their status.

    Raises
    ------
    ConnectionError
        The server closed before the last.
    """
    made = await _connect(port, iter(requests), keep=True)
    await made.ended
    if made.broken:
        raise ConnectionError(f"found {len(made.exchanges)} answers of {len(requests)}")
    return made.exchanges


def _filled(pieces: list[bytes], lines: Iterator[bytes]) -> Iterator[bytes]:
    for line in lines:
        parts = line.rstrip(b"\n").split(b"\t")
        yield pieces[0] + b"".join(
            part + piece for part, piece in zip(parts, pieces[1:], strict=True)
        )


def _repeated(request: bytes) -> Iterator[bytes]:
    while True:
        yield request


def _until(moment: float, requests: Iterator[bytes], short: list[int]) -> Iterator[bytes]:
    for request in requests:
        if time.perf_counter() >= moment:
            return
        yield request
    short[0] += 1


async def load(
    port: int, template: bytes, files: str, connections: int, seconds: float
) -> dict[str, Any]:
    """Send for some seconds on every connection at once; the outcome as `paid.lua` words it."""
    pieces = template.split(b"\0")
    short = [0]
    begun = time.perf_counter()
    made = []
    opened = []
    for place in range(connections):
        if files:
            file = Path(files % place).open("rb")  # noqa: ASYNC230, SIM115 - lazily, a line a call
            opened.append(file)
            source = _filled(pieces, iter(file))
        else:
            source = _repeated(pieces[0])
        made.append(await _connect(port, _until(begun + seconds, source, short), keep=False))
    await asyncio.gather(*(each.ended for each in made))
    taken = time.perf_counter() - begun
    for file in opened:
        file.close()
    times = sorted(latency for each in made for latency in each.latencies) or [0.0]
    return {
        "answered": sum(len(each.latencies) for each in made),
        "seconds": taken,
        "refused": sum(each.refused for each in made),
        "broken": sum(each.broken for each in made),
        "short": short[0],
        "p50_ms": times[len(times) // 2] * 1e3,
        "p99_ms": times[int(len(times) * 0.99)] * 1e3,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.gateway.load", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--template", type=Path, required=True)
    parser.add_argument("--files", default="", help="pattern of the files that fill the gaps")
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    outcome = uvloop.run(
        load(
            options.port,
            options.template.read_bytes(),
            options.files,
            options.connections,
            options.seconds,
        )
    )
    print(json.dumps(outcome), file=sys.stderr)


if __name__ == "__main__":
    main()
