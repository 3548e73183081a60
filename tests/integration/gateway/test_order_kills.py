"""`kill -9` of a gateway that honours an order: what was answered counts, and never too much."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from tests.integration.gateway.serve_orders import CALLS, open_ledger
from tests.unit.payments.conftest import CONSUMER
from tests.unit.payments.written_orders import ACCESS, signed_use

from tessera.spec.signatures import address_text, keccak

ROOT = Path(__file__).parents[3]
PLAIN = json.dumps({"model": "parrot", "input": "four"}).encode()
TALK = json.dumps(
    {"model": "parrot", "messages": [{"role": "user", "content": "a b c"}], "stream": True}
).encode()


@dataclass
class Caller:
    """Calls as fast as it is answered; notes what it got of each."""

    source: random.Random
    answered: set[str] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)
    refused: int = 0

    async def run(self, url: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:
            while not self.refused:
                await self._call(http)

    async def _call(self, http: httpx.AsyncClient) -> None:
        stream = self.source.random() < 0.4
        body, path = (TALK, "/v1/chat/completions") if stream else (PLAIN, "/v1/embeddings")
        name = secrets.token_hex(16)
        deadline = int(time.time()) + 300
        use = signed_use(1, name, signer=CONSUMER, body=keccak(body), deadline=deadline)
        headers = {
            "tessera-access": address_text(ACCESS),
            "tessera-order": "1",
            "tessera-call": name,
            "tessera-call-deadline": str(deadline),
            "tessera-call-signature": "0x" + use.signature.hex(),
        }
        async with http.stream("POST", path, content=body, headers=headers) as answer:
            if answer.status_code == 402:
                self.refused += 1
                return
            assert answer.status_code == 200, await answer.aread()
            got = b""
            async for piece in answer.aiter_bytes():
                self.begun.add(name)
                got += piece
            if not stream or b"tessera.receipt" in got:
                self.answered.add(name)


async def _life(folder: Path, callers: list[Caller], lifetime_s: float) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.gateway.serve_orders",
        str(folder),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    port = int(await asyncio.wait_for(process.stdout.readline(), 60))
    calls = [asyncio.create_task(one.run(f"http://127.0.0.1:{port}")) for one in callers]
    before = sum(len(one.answered) for one in callers)
    # However slow the machine is: something is answered, and then there is a while.
    while sum(len(one.answered) for one in callers) == before:
        ended, _ = await asyncio.wait(calls, timeout=0.01)
        if len(ended) == len(calls):
            break
    await asyncio.wait(calls, timeout=lifetime_s)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    for result in await asyncio.gather(*calls, return_exceptions=True):
        assert result is None or isinstance(result, httpx.TransportError), result


async def test_an_order_is_never_exceeded_however_often_it_is_killed(tmp_path: Path) -> None:
    source = random.Random(7)
    callers = [Caller(source) for _ in range(4)]
    for _ in range(2):
        await _life(tmp_path, callers, source.uniform(0.3, 0.6))
        ledger = await open_ledger(tmp_path)
        try:
            assert ledger.rights is not None
            used = int(str((await ledger.rights.shown(ACCESS, 1))["used"]))
        finally:
            await ledger.close()
        answered = set().union(*(one.answered for one in callers))
        begun = set().union(*(one.begun for one in callers))
        # What anybody got a byte of is counted; what is counted is never more than was bought.
        assert len(answered) <= len(begun) <= used <= CALLS
        if used == CALLS:
            break
    assert answered
    await _life(tmp_path, callers, 30)
    assert all(one.refused for one in callers)
    assert len(set().union(*(one.begun for one in callers))) <= CALLS
