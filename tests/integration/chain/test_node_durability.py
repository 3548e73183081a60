"""Kill -9 at any moment: what was confirmed stays, hash by hash, and the chain goes on.

A transaction is confirmed when its receipt was ever returned. The killer really kills: the node's
process, ours, or both, at moments drawn from a seed.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from eth_account.signers.local import LocalAccount

Transfer = Callable[..., str]


@dataclass
class Load:
    """Consumers who send one transfer after the other and note every receipt they were shown."""

    child: Any
    transfer: Transfer
    stop: threading.Event = field(default_factory=threading.Event)
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def run(self, consumer: LocalAccount) -> None:
        try:
            with httpx.Client(timeout=60) as client:
                nonce = 0
                while not self.stop.is_set():
                    raw = self.transfer(consumer, nonce)
                    receipt = self._confirmed(client, raw)
                    if receipt is None:
                        return
                    self.receipts[receipt["transactionHash"]] = receipt
                    nonce += 1
                    self.counts[consumer.address] = nonce
        except Exception as error:
            self.errors.append(f"{consumer.address}: {error!r}")
            raise

    def _confirmed(self, client: httpx.Client, raw: str) -> dict[str, Any] | None:
        """Send `raw` until its receipt is there; None where the test ended before."""
        while not self.stop.is_set():
            try:
                tx_hash = self._asked(client, "eth_sendRawTransaction", raw)
                receipt = self._asked(client, "eth_getTransactionReceipt", tx_hash)
            except (httpx.TransportError, ConnectionError):
                time.sleep(0.01)
                continue
            if receipt is not None:
                return dict(receipt)
        return None

    def _asked(self, client: httpx.Client, method: str, *params: object) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = client.post(self.child.url, json=request).json()
        if "error" in answer:
            assert answer["error"]["data"]["retryable"], answer["error"]
            raise ConnectionError(answer["error"]["message"])
        return answer["result"]


def check_chain(child: Any, load: Load) -> list[str]:
    """Compare everything that was ever confirmed with the chain; return all block hashes."""
    for tx_hash, receipt in load.receipts.items():
        assert child.rpc("eth_getTransactionReceipt", tx_hash) == receipt
        assert receipt["status"] == "0x1"
    height = int(child.rpc("eth_blockNumber"), 16)
    hashes: list[str] = []
    for number in range(height + 1):
        block = child.rpc("eth_getBlockByNumber", hex(number), False)
        if hashes:
            assert block["parentHash"] == hashes[-1]
        hashes.append(block["hash"])
    for receipt in load.receipts.values():
        assert hashes[int(receipt["blockNumber"], 16)] == receipt["blockHash"]
    for address, confirmed in load.counts.items():
        mined = int(child.rpc("eth_getTransactionCount", address, "latest"), 16)
        # One more may have been mined without anybody seeing its receipt.
        assert confirmed <= mined <= confirmed + 1
    return hashes


def survive(child: Any, consumers: list[LocalAccount], transfer: Transfer, kills: int) -> None:
    draw = random.Random(20_26 + kills)
    load = Load(child, transfer)
    child.start()
    threads = [threading.Thread(target=load.run, args=(each,)) for each in consumers[:4]]
    for thread in threads:
        thread.start()
    try:
        for kill in range(kills):
            time.sleep(draw.uniform(0.02, 0.5))
            # The quick run has only three kills: one of each kind.
            kind = (
                ("node", "ours", "both")[kill % 3]
                if kills <= 3
                else draw.choice(["node", "ours", "both", "twice", "storm"])
            )
            if kind in ("node", "both", "twice"):
                child.kill_anvil()
            if kind == "twice":
                time.sleep(draw.uniform(0.0, 0.1))
                child.kill_anvil()
            if kind == "storm":
                # Whichever process is there, however far it has come with its replay.
                end = time.monotonic() + 0.5
                while time.monotonic() < end:
                    child.kill_anvil()
                    time.sleep(draw.uniform(0.0, 0.12))
            if kind in ("ours", "both"):
                child.kill()
                child.start()
            before = len(load.receipts)
            deadline = time.monotonic() + 30
            while len(load.receipts) <= before and time.monotonic() < deadline and not load.errors:
                time.sleep(0.01)
            assert not load.errors
            assert len(load.receipts) > before, f"the chain stopped after kill {kill} ({kind})"
    finally:
        load.stop.set()
        for thread in threads:
            thread.join(timeout=60)
    assert not load.errors
    hashes = check_chain(child, load)

    assert child.end() == 0
    child.start()
    assert check_chain(child, load) == hashes

    assert child.end() == 0
    shutil.rmtree(child.data / "snapshots")
    child.start()
    assert check_chain(child, load) == hashes
    print(f"{kills} kills, {len(load.receipts)} confirmed transactions, {len(hashes)} blocks")


def test_three_kills_lose_no_confirmed_transaction(
    node_child: Any, consumers: list[LocalAccount], transfer: Transfer
) -> None:
    survive(node_child, consumers, transfer, kills=3)


@pytest.mark.deep
def test_a_hundred_kills_lose_no_confirmed_transaction(
    node_child: Any, consumers: list[LocalAccount], transfer: Transfer
) -> None:
    survive(node_child, consumers, transfer, kills=int(os.environ.get("TESSERA_KILLS", "100")))
