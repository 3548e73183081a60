"""A block that crashes the node each time must not take the chain with it.

No transaction is known to crash the real node, so a program stands between: it passes everything
on to the real one, and aborts when a block with marked data is to be mined.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from eth_account.signers.local import LocalAccount

from tessera.chain.anvil import find_anvil
from tessera.chain.node import EmbeddedNode

MARK = "0xdeadbeefdeadbeef"
BETWEEN = """#!{python}
import ctypes, os, socket, subprocess, sys, threading, time
arguments = sys.argv[1:]
at = arguments.index("--ipc") + 1
outer, inner = arguments[at], arguments[at] + "2"
arguments[at] = inner
for stale in (outer, inner):
    if os.path.exists(stale):
        os.unlink(stale)
die_with_parent = lambda: ctypes.CDLL(None).prctl(1, 9)
subprocess.Popen([{anvil!r}, *arguments], preexec_fn=die_with_parent)
while not os.path.exists(inner):
    time.sleep(0.005)
marked = threading.Event()

def passed(source, target, watched):
    while data := source.recv(1 << 20):
        if watched and b"deadbeefdeadbeef" in data:
            marked.set()
        if watched and b"evm_mine" in data and marked.is_set():
            os.abort()
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)

listener = socket.socket(socket.AF_UNIX)
listener.bind(outer)
listener.listen()
while True:
    client = listener.accept()[0]
    node = socket.socket(socket.AF_UNIX)
    node.connect(inner)
    threading.Thread(target=passed, args=(client, node, True), daemon=True).start()
    threading.Thread(target=passed, args=(node, client, False), daemon=True).start()
"""


async def test_a_block_that_crashes_the_node_each_time_is_withdrawn(
    tmp_path: Path, consumers: list[LocalAccount], transfer: Callable[..., str]
) -> None:
    program = tmp_path / "between"
    program.write_text(BETWEEN.format(python=sys.executable, anvil=str(find_anvil())))
    program.chmod(0o755)
    prefund = {consumer.address: 10**20 for consumer in consumers}
    async with (
        EmbeddedNode.start(tmp_path / "chain", prefund=prefund, anvil=program) as node,
        httpx.AsyncClient(base_url=node.url, timeout=60) as client,
    ):

        async def ask(method: str, *params: object) -> dict[str, Any]:
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            return dict((await client.post("/", json=request)).json())

        good = (await ask("eth_sendRawTransaction", transfer(consumers[0], 0)))["result"]
        poison = asyncio.create_task(
            ask("eth_sendRawTransaction", transfer(consumers[1], 0, data=MARK, gas=50_000))
        )
        refusal = (await poison)["error"]
        assert "block 2 ended the node's process each time" in refusal["message"]
        assert (await ask("eth_getTransactionReceipt", good))["result"]["blockNumber"] == "0x1"
        after = (await ask("eth_sendRawTransaction", transfer(consumers[2], 0)))["result"]
        receipt = (await ask("eth_getTransactionReceipt", after))["result"]
        assert receipt["blockNumber"] == "0x2"
    async with EmbeddedNode.start(tmp_path / "chain") as node:
        assert node.height == 2
