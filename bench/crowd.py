"""Payers who all want one slow model: a gateway on a socket, a child process, real vouchers."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.paid_calls import (
    CONSUMER,
    DOMAIN,
    KEY,
    OPERATOR,
    PRICE,
    TwinChain,
    make_gateway,
    sign,
)
from tessera.gateway.server import GatewayServer
from tessera.payments.header import payment_header
from tessera.payments.ledger import Ledger
from tessera.serving.fairness import QueueRules
from tessera.serving.runner import Task
from tessera.serving.runners.python import PythonLimits, PythonRunner
from tessera.serving.turns import Turns
from tessera.spec.signatures import Signer, keccak
from tessera.spec.vouchers import call_digest

BODY = json.dumps({"model": "slow", "rows": [[1.0, 2.0]]}).encode()
COST = PRICE.cost_ceil(1, 0)
_AGAIN_S = 0.1
_WARM = 40


@dataclass
class Payer:
    """Who calls, with how many connections at once, and what part of the shares he has locked."""

    name: str
    locked: float
    connections: int
    latencies: list[float] = field(default_factory=list)
    refusals: list[tuple[int, int]] = field(default_factory=list)

    @property
    def account(self) -> Signer:
        return Signer(keccak(self.name.encode()))

    def latency(self, part: float) -> float:
        """Seconds from asking to the answer that a part of the served calls needed at most."""
        return sorted(self.latencies)[int(part * (len(self.latencies) - 1))]


@dataclass
class _Served:
    left: int
    counted: int


class LockedByName:
    """The port, filled from a table."""

    def __init__(self, parts: Mapping[Hashable, float]) -> None:
        self.parts = parts

    def locked(self, asset: int, payer: Hashable) -> float:
        assert asset == KEY.asset
        return self.parts.get(payer, 0.0)

    async def amount(self, asset: int, payer: Hashable) -> int:
        return int(self.locked(asset, payer) * 10**24)


def slow_runner(folder: Path, seconds: float) -> PythonRunner:
    """A model in a child process of its own, which takes so long for each call."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.py").write_text(
        "import time\n\n"
        f"def run(rows):\n    time.sleep({seconds})\n    return [0.0 for _ in rows]\n"
    )
    limits = PythonLimits(timeout_s=10)
    return PythonRunner("slow", folder, "model.py", "run", frozenset({Task.PREDICT}), limits=limits)


async def crowd(
    folder: Path, payers: Sequence[Payer], calls: int, *, seconds: float, rules: QueueRules
) -> float:
    """Serve so many calls to all of them together, behind a queue that is full; return seconds.

    The first forty are not counted. Payers note how long each of their calls took, and each
    refusal with what it asked for. They ask again much sooner than they are told to: nobody gains
    by that.
    """
    chain = TwinChain()
    ledger = await Ledger.open(
        folder / "books.db", DOMAIN, OPERATOR, chain, time.time, knows=KEY.__eq__
    )
    runner = slow_runner(folder / "bundle", seconds)
    await runner.load()
    stakes = LockedByName({payer.account.address: payer.locked for payer in payers})
    gateway = make_gateway(ledger, runner, Turns(rules, stakes))
    server = GatewayServer(gateway, drain_s=1)
    await server.start()
    served = _Served(calls, calls - _WARM)
    salts = itertools.count()
    begun = time.perf_counter()
    try:
        callers = []
        for payer in payers:
            for _ in range(payer.connections):
                channel = chain.open(next(salts), payer.account)
                callers.append(asyncio.create_task(_call(server.port, channel, payer, served)))
        await asyncio.gather(*callers)
        return time.perf_counter() - begun
    finally:
        await server.stop()
        await runner.close()
        await ledger.close()


async def _call(port: int, channel: int, payer: Payer, served: _Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    numbers = itertools.count(1)
    answered = 0
    begun = time.perf_counter()
    while served.left > 0:
        number = next(numbers)
        name = number.to_bytes(16, "big")
        signature = CONSUMER.sign(call_digest(DOMAIN, channel, name, keccak(BODY)))
        voucher = payment_header(sign(channel, COST * (answered + 1)))
        writer.write(
            f"POST /v1/predict HTTP/1.1\r\nhost: crowd\r\ntessera-payment: {voucher}\r\n"
            f"tessera-call: {name.hex()}\r\ntessera-call-signature: {signature.hex()}\r\n"
            f"content-length: {len(BODY)}\r\n\r\n".encode()
            + BODY
        )
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        await reader.readexactly(int(fields[b"content-length"]))
        status = int(head.split(b" ")[1])
        if status == 200:
            answered += 1
            served.left -= 1
            # Until all of them wait, who came first is served first.
            if 0 <= served.left < served.counted:
                payer.latencies.append(time.perf_counter() - begun)
            begun = time.perf_counter()
        elif status in {429, 503}:
            payer.refusals.append((status, int(fields[b"retry-after"])))
            await asyncio.sleep(_AGAIN_S)
        else:
            raise AssertionError(head)
    writer.close()
