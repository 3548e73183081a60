"""The embedded node: a whole chain in one data folder, for one machine.

It survives the loss of any of its processes at any moment: what was confirmed is there again at the
next start, block hash by block hash. It serves up to about 100,000 storage slots; a larger chain is
a real one.

Run by itself: `python -m tessera.chain.node --data DIR --port N`.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from tessera.chain.anvil import end_stale_process, find_anvil
from tessera.chain.endpoint import EndpointServer, loopback_socket
from tessera.chain.genesis import Genesis
from tessera.chain.journal import Journal
from tessera.chain.lock import FolderLock
from tessera.chain.replica import Replica
from tessera.chain.rpc import RpcEndpoint
from tessera.chain.sequencer import Sequencer
from tessera.chain.snapshots import SnapshotStore
from tessera.errors import (
    Conflict,
    DataError,
    InputError,
    StorageFull,
    TesseraError,
    WrongChain,
)
from tessera.presenting import exit_code

__all__ = ["DEFAULT_CHAIN_ID", "EmbeddedNode", "NodeStatus", "find_anvil", "main"]

DEFAULT_CHAIN_ID: Final = 31337
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_log = logging.getLogger("tessera.chain.node")


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """How an embedded node is.

    Parameters
    ----------
    chain_id, height
        The chain, and its last block.
    waiting
        Transactions in no block yet.
    restarts
        How often the node's process was lost and replaced since the start.
    trouble
        Why it takes no transactions at the moment; None while all is well.
    node_pid
        The node's process; None while it is being replaced.
    """

    chain_id: int
    height: int
    waiting: int
    restarts: int
    trouble: TesseraError | None
    node_pid: int | None


class EmbeddedNode:
    """A running embedded chain; made by `start`.

    Attributes
    ----------
    url
        Of its JSON-RPC endpoint.
    """

    def __init__(self, sequencer: Sequencer, url: str) -> None:
        self._sequencer = sequencer
        self.url = url

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        data_dir: Path | str,
        *,
        chain_id: int = DEFAULT_CHAIN_ID,
        host: str = "127.0.0.1",
        port: int = 0,
        prefund: Mapping[str, int] | None = None,
        code: Mapping[str, bytes] | None = None,
        clock: Callable[[], float] = time.time,
        anvil: Path | None = None,
    ) -> AsyncIterator[EmbeddedNode]:
        """Run the chain of a data folder, or begin one there, for the length of a context.

        Parameters
        ----------
        data_dir
            All of the chain's state; made where it does not exist. One node at a time.
        chain_id
            EIP-155 number.
        host, port
            Loopback address of the endpoint; port 0 takes any free one.
        prefund
            Wei by address, given out at the beginning of a new chain.
        code
            Bytecode by address, in place from the beginning of a new chain.
        clock
            Wall clock, unix seconds.
        anvil
            The node's program; `find_anvil()` where None.

        Raises
        ------
        Busy
            The port is taken, or another process runs this folder.
        WrongChain, Conflict
            The folder holds a chain with another id, or another beginning.
        NotFound
            There is no anvil.
        StorageFull, DataError
            The folder cannot be written or is damaged.
        HistoryDiverged
            A replay did not give the same block hashes.
        """
        folder = await asyncio.to_thread(Path(data_dir).resolve)
        async with AsyncExitStack() as stack:
            bound = stack.enter_context(loopback_socket(host, port))
            try:
                sequencer = await _opened(
                    stack,
                    folder,
                    (anvil or find_anvil()).absolute(),
                    Genesis.of(
                        chain_id=chain_id, timestamp=int(clock()), prefund=prefund, code=code
                    ),
                    clock,
                )
            except OSError as error:
                kind = StorageFull if error.errno in _NO_ROOM else DataError
                raise kind(
                    f"data folder {folder}",
                    found=error.strerror or str(error),
                    wanted="a folder that can be written",
                    next_step="free some space, mend its permissions, or choose another folder",
                ) from error
            server = EndpointServer(RpcEndpoint(sequencer))
            serving = asyncio.create_task(server.serve(sockets=[bound]), name="tessera-endpoint")
            try:
                name = f"[{host}]" if ":" in host else host
                yield cls(sequencer, f"http://{name}:{bound.getsockname()[1]}")
            finally:
                server.should_exit = True
                await serving

    @property
    def chain_id(self) -> int:
        """EIP-155 number of the chain."""
        return self._sequencer.chain_id

    @property
    def height(self) -> int:
        """Number of the last block."""
        return self._sequencer.height

    def status(self) -> NodeStatus:
        """Return how the node is."""
        sequencer = self._sequencer
        return NodeStatus(
            chain_id=sequencer.chain_id,
            height=sequencer.height,
            waiting=sequencer.waiting,
            restarts=sequencer.restarts,
            trouble=sequencer.failure or sequencer.storage_error,
            node_pid=sequencer.node_pid,
        )

    async def mine(self) -> int:
        """Make a block now, even an empty one, and return its number.

        For keepers: chain time at `latest` moves only with blocks.

        Raises
        ------
        StorageFull
            There is no room for its record.
        RpcUnavailable
            The node is shutting down.
        """
        return await self._sequencer.mine()

    async def wait_failed(self) -> TesseraError:
        """Wait until the node can go on no more, and return why; it still has to be closed."""
        await self._sequencer.failed.wait()
        failure = self._sequencer.failure
        assert failure is not None, "set before the event"
        return failure


async def _opened(
    stack: AsyncExitStack,
    folder: Path,
    program: Path,
    wanted: Genesis,
    clock: Callable[[], float],
) -> Sequencer:
    """Lock the folder and bring its chain up; `stack` takes it all down again."""
    await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
    stack.callback(FolderLock(folder).release)
    run_folder = folder / "run"
    stale = await asyncio.to_thread(end_stale_process, run_folder)
    if stale is not None:
        _log.warning("ended the node process %d, left by a former owner", stale)
    snapshots = SnapshotStore(folder / "snapshots")
    journal = Journal.open(folder / "journal.sqlite", wanted)
    sequencer = Sequencer(
        boot=lambda: Replica.boot(program, run_folder, journal, snapshots),
        journal=journal,
        snapshots=snapshots,
        clock=clock,
    )
    stack.push_async_callback(sequencer.close)
    _check_same_chain(folder, journal.genesis, wanted)
    await sequencer.start()
    return sequencer


def _check_same_chain(folder: Path, found: Genesis, wanted: Genesis) -> None:
    if found.chain_id != wanted.chain_id:
        raise WrongChain(
            f"data folder {folder}: chain id",
            found=found.chain_id,
            wanted=str(wanted.chain_id),
            next_step="start it with its own chain id, or choose another folder",
        )
    for part, there, asked in (
        ("prefunded accounts", found.balances, wanted.balances),
        ("code in place", found.code, wanted.code),
    ):
        if asked and asked != there:
            raise Conflict(
                f"data folder {folder}: {part}",
                found=f"{len(there)} other ones from when the chain began",
                wanted="the same ones, or none: a chain's beginning never changes",
                next_step="leave them out, or choose another folder",
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a node until SIGTERM or Ctrl-C; print one JSON line when it is ready.

    Returns
    -------
    int
        Exit status: 0 after a requested end, otherwise as `tessera.presenting` maps the error.
    """
    parser = argparse.ArgumentParser(prog="python -m tessera.chain.node", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the chain's folder")
    # Also as `tessera up` calls it, whose users read the same refusals.
    parser.add_argument(
        "--port", "--node-port", type=int, default=0, help="of the endpoint; 0 takes a free one"
    )
    parser.add_argument("--host", default="127.0.0.1", help="127.0.0.1 or ::1")
    parser.add_argument("--chain-id", type=int, default=DEFAULT_CHAIN_ID)
    parser.add_argument(
        "--prefund",
        action="append",
        default=[],
        metavar="ADDRESS=WEI",
        help="only for a new chain; may be repeated",
    )
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        prefund = dict(_prefund(entry) for entry in chosen.prefund)
        return uvloop.run(_serve(chosen, prefund))
    except TesseraError as error:
        sys.stderr.write(f"{error.message}\n")
        return exit_code(error)


async def _serve(chosen: argparse.Namespace, prefund: dict[str, int]) -> int:
    ended = asyncio.Event()
    running = asyncio.create_task(_run(chosen, prefund, ended))

    def end() -> None:
        if not ended.is_set():
            ended.set()
            return
        # Asked twice, somebody does not want to wait for a long replay.
        running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        return await running
    except asyncio.CancelledError:
        return 0


async def _run(chosen: argparse.Namespace, prefund: dict[str, int], ended: asyncio.Event) -> int:
    async with EmbeddedNode.start(
        chosen.data,
        chain_id=chosen.chain_id,
        host=chosen.host,
        port=chosen.port,
        prefund=prefund,
    ) as node:
        status = node.status()
        ready = {
            "event": "ready",
            "url": node.url,
            "chain_id": status.chain_id,
            "height": status.height,
            "pid": os.getpid(),
            "node_pid": status.node_pid,
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        waits = [asyncio.create_task(ended.wait()), asyncio.create_task(node.wait_failed())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
        if not ended.is_set():
            raise await node.wait_failed()
    return 0


def _prefund(entry: str) -> tuple[str, int]:
    address, _, wei = entry.partition("=")
    if not wei.isdigit():
        raise InputError("--prefund", found=entry, wanted="ADDRESS=WEI")
    return address, int(wei)


if __name__ == "__main__":
    sys.exit(main())
