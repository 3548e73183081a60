"""A bare anvil on loopback, with all the tricks that the embedded node refuses."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tessera.chain.node import find_anvil

CHAIN_ID = 31_337
RICH = 10**24


class BareNode:
    """One anvil process; `rpc` reaches its cheat codes."""

    def __init__(self, url: str, process: subprocess.Popen[bytes]) -> None:
        self.url = url
        self.process = process
        self._client = httpx.Client(timeout=20)

    def rpc(self, method: str, *params: object) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self._client.post(self.url, json=body).json()
        assert "error" not in answer, answer
        return answer["result"]

    def fund(self, address: str, wei: int = RICH) -> None:
        self.rpc("anvil_setBalance", address, hex(wei))

    def stop_mining(self) -> None:
        self.rpc("evm_setAutomine", False)

    def mine(self, blocks: int = 1) -> None:
        self.rpc("anvil_mine", hex(blocks))

    def end(self) -> None:
        self._client.close()
        self.process.kill()
        self.process.wait()

    @classmethod
    def start(cls, home: Path, chain_id: int = CHAIN_ID) -> BareNode:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        arguments = ["--port", str(port), "--chain-id", str(chain_id), "--hardfork", "cancun"]
        process = subprocess.Popen(
            [str(find_anvil()), *arguments, "--accounts", "0", "--quiet"],
            env={**os.environ, "HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        node = cls(f"http://127.0.0.1:{port}", process)
        for _ in range(400):
            try:
                node.rpc("eth_chainId")
            except httpx.TransportError:
                time.sleep(0.02)
            else:
                return node
        node.end()
        raise AssertionError("anvil did not start")


async def until(condition: Callable[[], object], *, within_s: float = 15.0) -> None:
    """Wait until something is so; the clock of a loaded machine is no finding."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not condition():
        assert loop.time() < deadline, "it never came to be"
        await asyncio.sleep(0.02)
