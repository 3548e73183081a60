"""What happens around the chain: locks, ports, full disks, damaged files, lost processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account.signers.local import LocalAccount

from tessera.chain.anvil import find_anvil
from tessera.chain.node import EmbeddedNode
from tessera.chain.replica import HistoryDiverged
from tessera.errors import Busy, Conflict, DataError, InputError, NotFound, WrongChain

Transfer = Callable[..., str]
RECIPIENT = "0x1000000000000000000000000000000000000001"


async def ask(url: str, method: str, *params: object) -> Any:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    async with httpx.AsyncClient(timeout=60) as client:
        answer = (await client.post(url, json=request)).json()
    return answer.get("result", answer.get("error"))


async def test_one_folder_has_one_node_and_the_second_learns_whose(tmp_path: Path) -> None:
    async with EmbeddedNode.start(tmp_path):
        with pytest.raises(Busy, match=f"in use by process {os.getpid()}"):
            async with EmbeddedNode.start(tmp_path):
                pass
    async with EmbeddedNode.start(tmp_path) as node:
        assert node.height == 0


def test_a_second_process_says_which_pid_holds_the_folder(node_child: Any) -> None:
    node_child.start()
    second = subprocess.run(
        [sys.executable, "-m", "tessera.chain.node", "--data", str(node_child.data)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 4
    assert f"in use by process {node_child.pid}" in second.stderr
    assert f"kill {node_child.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    # The first is none the worse for it.
    assert node_child.rpc("eth_chainId") == "0x7a69"


def test_a_busy_port_gets_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "tessera.chain.node", "--data", str(tmp_path)]
        ended = subprocess.run(
            [*command, "--port", port], capture_output=True, text=True, timeout=60, check=False
        )
    assert ended.returncode == 4
    assert ended.stderr.count("\n") == 1
    assert f"port {port}" in ended.stderr
    assert "choose another: --node-port" in ended.stderr


async def test_only_loopback_is_served(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="host"):
        async with EmbeddedNode.start(tmp_path, host="0.0.0.0"):
            pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_leaves_no_process(
    node_child: Any, number: signal.Signals
) -> None:
    node_child.start()
    anvil = node_child.anvil_pid
    assert node_child.end(number) == 0
    assert not Path(f"/proc/{anvil}").exists() or "Z" in Path(f"/proc/{anvil}/stat").read_text()
    assert "Traceback" not in node_child.log()


def test_the_private_node_cannot_be_reached_past_the_endpoint(node_child: Any) -> None:
    # In a network of its own, the ports in its table are not ours. Where the kernel does not
    # allow one, the node listens on a random loopback port instead.
    node_child.start()
    own = Path("/proc/self/ns/net")
    other = Path(f"/proc/{node_child.anvil_pid}/ns/net")
    if own.readlink() == other.readlink():
        pytest.skip("this kernel gives an ordinary user no network namespace")
    for line in Path(f"/proc/{node_child.anvil_pid}/net/tcp").read_text().splitlines()[1:]:
        port = int(line.split()[1].rpartition(":")[2], 16)
        with socket.socket() as probe:
            probe.settimeout(0.5)
            assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_a_folder_with_a_long_path_works(tmp_path: Path) -> None:
    async with EmbeddedNode.start(tmp_path / ("long" * 30)) as node:
        assert await node.mine() == 1


async def test_readers_wait_while_a_lost_node_is_replaced(
    tmp_path: Path, consumers: list[LocalAccount], transfer: Transfer
) -> None:
    prefund = {consumers[0].address: 10**20}
    async with EmbeddedNode.start(tmp_path, prefund=prefund) as node:
        for nonce in range(3):
            await ask(node.url, "eth_sendRawTransaction", transfer(consumers[0], nonce))
            first = node.status().node_pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            assert await ask(node.url, "eth_blockNumber") == hex(nonce + 1)
            assert node.status().restarts == nonce + 1
            assert node.status().node_pid != first
        sent = asyncio.create_task(
            ask(node.url, "eth_sendRawTransaction", transfer(consumers[0], 3))
        )
        pid = node.status().node_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        receipt = await ask(node.url, "eth_getTransactionReceipt", await sent)
        assert receipt["blockNumber"] == "0x4"


def test_a_node_left_behind_is_ended_at_the_next_start(node_child: Any) -> None:
    node_child.start()
    assert node_child.end() == 0
    # As if the death signal had not been delivered: a live process, with a record of it.
    left = subprocess.Popen(["sleep", "600"])
    try:
        fields = Path(f"/proc/{left.pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        run = node_child.data / "run"
        note = {"pid": left.pid, "identity": f"{boot}/{fields[19]}", "socket_folder": str(run)}
        (run / "process.json").write_text(json.dumps(note))
        node_child.start()
        assert left.wait(timeout=60) == -signal.SIGKILL
    finally:
        left.kill()
        left.wait()
    # The same pid with another start time is somebody else.
    assert node_child.end() == 0
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        note["pid"], note["identity"] = bystander.pid, f"{boot}/1"
        (run / "process.json").write_text(json.dumps(note))
        node_child.start()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_full_disk_refuses_transactions_and_the_chain_stays_readable(
    node_child: Any, consumers: list[LocalAccount], transfer: Transfer
) -> None:
    node_child.start()
    for nonce in range(3):
        node_child.rpc("eth_sendRawTransaction", transfer(consumers[0], nonce))
    height = node_child.rpc("eth_blockNumber")
    unlimited = resource.prlimit(node_child.pid, resource.RLIMIT_FSIZE)
    # A file may not grow beyond this, which the journal's log already has.
    resource.prlimit(node_child.pid, resource.RLIMIT_FSIZE, (4096, unlimited[1]))
    for _ in range(3):
        with pytest.raises(Exception, match="no room on the disk") as refused:
            node_child.rpc("eth_sendRawTransaction", transfer(consumers[0], 3))
        assert refused.value.data["code"] == "storage_full"
        with pytest.raises(Exception, match="no room on the disk"):
            node_child.rpc("tessera_mine")
    assert node_child.rpc("eth_blockNumber") == height
    status = node_child.rpc("tessera_status")
    assert status["writable"] is False
    assert "no room" in status["trouble"]
    assert node_child.rpc("eth_getTransactionCount", consumers[0].address, "pending") == "0x3"
    resource.prlimit(node_child.pid, resource.RLIMIT_FSIZE, unlimited)
    tx_hash = node_child.rpc("eth_sendRawTransaction", transfer(consumers[0], 3))
    receipt = node_child.rpc("eth_getTransactionReceipt", tx_hash)
    assert int(receipt["blockNumber"], 16) == int(height, 16) + 1
    assert node_child.rpc("tessera_status")["writable"] is True
    node_child.kill()
    node_child.start()
    assert node_child.rpc("eth_getTransactionReceipt", tx_hash) == receipt


async def test_a_chain_keeps_its_id_and_its_beginning(
    tmp_path: Path, consumers: list[LocalAccount]
) -> None:
    prefund = {consumers[0].address: 5}
    async with EmbeddedNode.start(tmp_path, prefund=prefund):
        pass
    async with EmbeddedNode.start(tmp_path, prefund=prefund):
        pass
    async with EmbeddedNode.start(tmp_path) as node:
        assert await ask(node.url, "eth_getBalance", consumers[0].address, "latest") == "0x5"
    with pytest.raises(WrongChain, match="found 31337, wanted 1337"):
        async with EmbeddedNode.start(tmp_path, chain_id=1337):
            pass
    with pytest.raises(Conflict, match="prefunded"):
        async with EmbeddedNode.start(tmp_path, prefund={consumers[0].address: 6}):
            pass


async def long_chain(folder: Path) -> list[str]:
    """Make blocks enough for a snapshot at the end, and return all hashes."""
    async with EmbeddedNode.start(folder) as node:
        while node.height < 420:
            await node.mine()
        return await hashes(node)


async def hashes(node: EmbeddedNode) -> list[str]:
    batch = [
        {"jsonrpc": "2.0", "id": n, "method": "eth_getBlockByNumber", "params": [hex(n), False]}
        for n in range(node.height + 1)
    ]
    async with httpx.AsyncClient(timeout=60) as client:
        answers = (await client.post(node.url, json=batch)).json()
    return [answer["result"]["hash"] for answer in answers]


async def test_a_start_uses_the_snapshot_and_a_damaged_one_is_left_out(tmp_path: Path) -> None:
    made = await long_chain(tmp_path)
    (snapshot,) = (tmp_path / "snapshots").iterdir()
    async with EmbeddedNode.start(tmp_path) as node:
        assert await hashes(node) == made
        assert await node.mine() == len(made)
        made = await hashes(node)
    assert snapshot.exists()
    snapshot.write_bytes(snapshot.read_bytes()[:-100])  # torn
    (tmp_path / "snapshots" / "unfinished").write_bytes(b"half of one")
    async with EmbeddedNode.start(tmp_path) as node:
        assert await hashes(node) == made
    assert not snapshot.exists()


async def test_a_replay_with_other_hashes_stops_and_says_what_to_do(tmp_path: Path) -> None:
    async with EmbeddedNode.start(tmp_path) as node:
        for _ in range(3):
            await node.mine()
    with sqlite3.connect(tmp_path / "journal.sqlite") as journal:
        journal.execute("UPDATE block SET hash = ? WHERE number = 2", (b"\1" * 32,))
    journal.close()
    with pytest.raises(HistoryDiverged, match="block 2 .* keep the data folder"):
        async with EmbeddedNode.start(tmp_path):
            pass


async def test_a_damaged_journal_stops_and_names_the_record(
    tmp_path: Path, consumers: list[LocalAccount], transfer: Transfer
) -> None:
    async with EmbeddedNode.start(tmp_path, prefund={consumers[0].address: 10**20}) as node:
        for nonce in range(3):
            await ask(node.url, "eth_sendRawTransaction", transfer(consumers[0], nonce))
    with sqlite3.connect(tmp_path / "journal.sqlite") as journal:
        journal.execute("UPDATE block SET timestamp = timestamp + 1 WHERE number = 2")
    journal.close()
    with pytest.raises(DataError, match="record 2"):
        async with EmbeddedNode.start(tmp_path):
            pass
    (tmp_path / "journal.sqlite").write_bytes(b"this is no database, whatever its name" * 200)
    with pytest.raises(DataError, match="journal"):
        async with EmbeddedNode.start(tmp_path):
            pass


async def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="data folder"):
        async with EmbeddedNode.start(tmp_path / "file" / "chain"):
            pass


def test_a_missing_node_program_names_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESSERA_ANVIL", str(tmp_path / "nowhere"))
    with pytest.raises(NotFound, match="TESSERA_ANVIL"):
        find_anvil()
    monkeypatch.delenv("TESSERA_ANVIL")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFound, match="make demo"):
        find_anvil()
    program = tmp_path / "node" / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin"
    program.mkdir(parents=True)
    (program / "anvil").write_text("")
    (program / "anvil").chmod(0o755)
    assert find_anvil() == program / "anvil"


async def test_a_program_that_is_no_node_is_reported_with_its_words(tmp_path: Path) -> None:
    program = tmp_path / "anvil"
    program.write_text("#!/bin/sh\necho wrong architecture >&2\nexit 3\n")
    program.chmod(0o755)
    begun = time.monotonic()
    with pytest.raises(Exception, match=re.escape("status 3")) as failed:
        async with EmbeddedNode.start(tmp_path / "chain", anvil=program):
            pass
    assert "wrong architecture" in str(failed.value)
    assert time.monotonic() - begun < 30
