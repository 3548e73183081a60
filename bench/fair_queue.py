"""Who gets a full model, and how long each waits: `make bench-queue`.

`python -m bench.fair_queue [CALLS]` makes another number of calls.

Payers with different parts of an asset's shares locked all ask, from 12 connections each, for a
model that answers one call at a time, in 4 ms, in a child process; the queue before it is full
all the while. Real sockets, real vouchers, one receipt per call on the disk. Then what the queue
costs a call that need not wait. Prints, and gates nothing; the ratios are gated by
`tests/integration/gateway/test_fair_queue.py`.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from bench.crowd import Payer, crowd
from tessera.serving.fairness import QueueRules
from tessera.serving.turns import Turns

SECONDS = 0.004
ROUNDS = 200_000


def people(*, locked: bool) -> list[Payer]:
    parts = [("10x holder", 0.10), ("3x holder", 0.03), ("1x holder", 0.01), ("without shares", 0)]
    return [Payer(name, part if locked else 0.0, 12) for name, part in parts]


def show(title: str, payers: list[Payer], taken: float) -> None:
    served = sum(len(payer.latencies) for payer in payers)
    smallest = min(
        len(p.latencies) for p in payers if p.locked or not any(q.locked for q in payers)
    )
    print(f"{title}: {served} calls in {taken:.1f} s, {served / taken:.0f} a second")
    print(f"{'payer':<16}{'locked':>8}{'served':>8}{'part':>8}{'to 1x':>8}", end="")
    print(f"{'p50':>10}{'p95':>10}{'refused':>10}")
    for payer in payers:
        number = len(payer.latencies)
        print(
            f"{payer.name:<16}{payer.locked:>8.0%}{number:>8}{number / served:>8.1%}"
            f"{number / smallest:>8.2f}{payer.latency(0.5) * 1e3:>7.0f} ms"
            f"{payer.latency(0.95) * 1e3:>7.0f} ms{len(payer.refusals):>10}"
        )
    print()


async def unloaded() -> float:
    line = Turns().line(7, 1, "model", 64)
    begun = time.process_time()
    for _ in range(ROUNDS):
        turn = line.at_once(b"payer", 100)
        assert turn is not None
        turn.units = 50
        turn.leave()
    return (time.process_time() - begun) / ROUNDS


async def main(calls: int) -> None:
    for title, locked in (("nobody holds shares", False), ("by locked shares", True)):
        payers = people(locked=locked)
        with tempfile.TemporaryDirectory() as folder:
            rules = QueueRules(length=32)
            taken = await crowd(Path(folder), payers, calls, seconds=SECONDS, rules=rules)
        show(title, payers, taken)
    each = await unloaded()
    print(f"a call that need not wait: {each * 1e6:.1f} us of CPU for the queue, in and out")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000))
