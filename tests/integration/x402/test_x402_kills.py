"""`kill -9` of everything under x402 calls: no answered call is lost, none is counted twice."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account.signers.local import LocalAccount
from tests.integration.cli.conftest import wait_served
from tests.integration.x402.conftest import (
    BASE_SEPOLIA,
    ChainProgram,
    Gateway,
    publish,
    start,
    stop,
)
from x402 import x402Client
from x402.http.clients.httpx import PaymentError, x402HttpxClient
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme
from x402.mechanisms.evm.batch_settlement.client.config import BatchSettlementEvmSchemeOptions

from tessera.chain.reader import ChainReader
from tessera.payments.x402.calls import CHANNELS

COST = 108


class Caller:
    """An unconfigured official client that calls without end, and keeps every receipt."""

    def __init__(self, payer: LocalAccount, source: random.Random) -> None:
        self.payer = payer
        self.source = source
        self.receipts: list[dict[str, Any]] = []
        self.lost = 0
        self.fresh()

    def fresh(self) -> None:
        """Begin another channel, as the guide says for who lost an answer and asks no chain."""
        salt = "0x" + self.source.randbytes(32).hex()
        options = BatchSettlementEvmSchemeOptions(salt=salt)
        self.wallet = x402Client().register(
            f"eip155:{BASE_SEPOLIA}", BatchSettlementEvmScheme(self.payer, options)
        )

    async def run(self, gateway: Gateway) -> None:
        async with x402HttpxClient(self.wallet, timeout=30) as http:
            while True:
                await self._call(http, gateway)

    async def _call(self, http: httpx.AsyncClient, gateway: Gateway) -> None:
        stream = self.source.random() < 0.4
        try:
            answer = await http.post(
                f"{gateway.base_url}/chat/completions", json=gateway.said(stream=stream)
            )
        except (httpx.TransportError, PaymentError):
            # Perhaps it was charged before the kill, perhaps not: the client cannot know.
            self.lost += 1
            self.fresh()
            raise
        assert answer.status_code == 200, answer.text
        if stream:
            _, _, event = answer.text.partition("event: tessera.receipt\ndata: ")
            self.receipts.append(json.loads(event))
        else:
            url = f"{gateway.url}/receipts/{answer.headers['tessera-receipt']}"
            self.receipts.append((await http.get(url)).json())


@pytest.mark.deep
@pytest.mark.parametrize(("kills", "every_s"), [(20, 3_600), (10, 1)], ids=["calls", "claims"])
async def test_kills_lose_no_answered_call_and_count_none_twice(
    tmp_path: Path, teachable: str, kills: int, every_s: int
) -> None:
    """Where it settles each second, claims and Tills' transfers die on their way, too."""
    source = random.Random(kills)
    program = ChainProgram(tmp_path / "data", BASE_SEPOLIA, every_s)
    up = await asyncio.to_thread(start, program, teachable)
    try:
        await asyncio.to_thread(publish, program, teachable)
        callers: list[Caller] = []
        for kill in range(kills + 1):
            await asyncio.to_thread(wait_served, program, "tiny")
            status = await asyncio.to_thread(program.ok, "status")
            gateway = Gateway(program, BASE_SEPOLIA, status["gateway_url"])
            while len(callers) < 3:
                payer = await asyncio.to_thread(gateway.payer, len(callers))
                callers.append(Caller(payer, source))
            before = sum(len(caller.receipts) for caller in callers)
            calls = [asyncio.create_task(caller.run(gateway)) for caller in callers]
            while sum(len(caller.receipts) for caller in callers) < before + 6:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            if kill == kills:
                for call in calls:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)
                break
            await asyncio.sleep(source.random() * 0.2)
            up.kill()
            await asyncio.to_thread(up.communicate)
            for result in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(result, httpx.TransportError | PaymentError), result
            up = await asyncio.to_thread(start, program, teachable)
        claimed = await check(gateway, callers)
        assert (claimed > 0) == (every_s == 1)
        await asyncio.to_thread(stop, up)
    finally:
        if up.poll() is None:
            up.kill()
            up.communicate()


async def check(gateway: Gateway, callers: list[Caller]) -> int:
    """Return what was claimed before the end, base units."""
    receipts = [receipt for caller in callers for receipt in caller.receipts]
    assert {receipt["cost"] for receipt in receipts} == {str(COST)}
    async with httpx.AsyncClient() as http:
        for receipt in receipts:
            kept = (await http.get(f"{gateway.url}/receipts/{receipt['id']}")).json()
            assert kept == receipt
        offers = (await http.get(f"{gateway.url}/x402/tiny")).json()["details"]["accepts"]
    done = await asyncio.to_thread(gateway.program.ok, "settle", "--yes")
    assert done["x402_refused"] == []
    status = await asyncio.to_thread(gateway.program.ok, "status")
    assert (status["x402_due"], status["settlements_open"]) == ("0", [])
    async with ChainReader(status["rpc_url"], chain_id=BASE_SEPOLIA) as reader:
        till = CHANNELS.receivers(offers[0]["payTo"], offers[0]["asset"])
        paid = await reader.read(till)
    # The last round was cut off too: one call of each may have been charged and not heard of.
    unknown = sum(caller.lost + 1 for caller in callers)
    assert len(receipts) * COST <= paid.totalClaimed <= (len(receipts) + unknown) * COST
    assert paid.totalClaimed % COST == 0
    assert paid.totalSettled == paid.totalClaimed
    return paid.totalClaimed - int(done["x402_total"])
