"""Paid calls a second through the gateway: `python -m bench.paid_calls [CALLS]`.

Thirty-two connections, each with a channel of its own and vouchers signed beforehand; a model that
answers at once; every voucher, charge and receipt synced to the disk. The load runs in a process
of its own on the same machine, so the figure is a lower bound. Prints, and gates nothing.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop
from tests.integration.gateway.conftest import PRICE, Parrot, make_gateway
from tests.unit.payments.conftest import CONSUMER, DOMAIN, KEY, Books, Clock, WrittenChain, sign

from tessera.gateway.messages import Limits
from tessera.gateway.server import GatewayServer
from tessera.payments.header import payment_header
from tessera.serving.runner import EmbeddingsRequest, EmbeddingsResult, Units
from tessera.spec.signatures import keccak
from tessera.spec.vouchers import call_digest

CONNECTIONS = 32
BODY = json.dumps({"model": "parrot", "input": ["hello world"]}).encode()
UNITS = 3


class Instant(Parrot):
    """Answers at once."""

    async def embed(self, request: EmbeddingsRequest) -> EmbeddingsResult:
        return EmbeddingsResult([[1.0, 2.0, 3.0]] * len(request.texts), Units(UNITS))


def serve(pipe: Connection, folder: str) -> None:
    async def main() -> None:
        books = Books(Path(folder) / "books.db", WrittenChain(), Clock())
        await books.reopen()
        channels = [books.chain.open(10**12, salt=salt) for salt in range(CONNECTIONS)]
        server = GatewayServer(make_gateway(books, Instant(), Limits()))
        await server.start()
        pipe.send((server.port, channels))
        started = time.process_time()
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        pipe.send(time.process_time() - started)
        await server.stop()
        await books.ledger.close()

    uvloop.run(main())


def signed_call(channel: int, number: int) -> bytes:
    name = number.to_bytes(16, "big")
    signature = CONSUMER.sign(call_digest(DOMAIN, channel, name, keccak(BODY)))
    return f"\r\ntessera-call: {name.hex()}\r\ntessera-call-signature: {signature.hex()}".encode()


def requests_for(channel: int, calls: int) -> list[bytes]:
    cost = PRICE.cost_ceil(UNITS, 0)
    return [
        b"POST /v1/embeddings HTTP/1.1\r\nhost: bench\r\ntessera-payment: "
        + payment_header(sign(channel, (KEY, cost * number))).encode()
        + signed_call(channel, number)
        + b"\r\ncontent-length: %d\r\n\r\n" % len(BODY)
        + BODY
        for number in range(1, calls + 1)
    ]


async def call(port: int, requests: list[bytes], times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in requests:
        begun = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the gateway refused: {head.decode()}")
        length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
        await reader.readexactly(int(length))
        times.append(time.perf_counter() - begun)
    writer.close()


async def load(port: int, work: list[list[bytes]]) -> tuple[float, list[float]]:
    times: list[float] = []
    begun = time.perf_counter()
    await asyncio.gather(*(call(port, requests, times) for requests in work))
    return time.perf_counter() - begun, sorted(times)


def main(calls: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, folder))
        server.start()
        port, channels = ours.recv()
        work = [requests_for(channel, calls // CONNECTIONS) for channel in channels]
        taken, times = uvloop.run(load(port, work))
        ours.send(None)
        cpu = ours.recv()
        server.join()
    done = len(times)
    print(f"{done} paid calls over {CONNECTIONS} connections, each on the disk")
    print(f"{done / taken:,.0f} calls/s; server CPU {cpu / done * 1e6:.0f} us per call")
    print(f"p50 {times[done // 2] * 1e3:.1f} ms, p99 {times[int(done * 0.99)] * 1e3:.1f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8_000)
