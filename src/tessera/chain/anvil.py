"""The node's process: found, started privately, and certain to end when we do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tessera.chain import launcher
from tessera.chain.genesis import BLOCK_GAS_LIMIT, Genesis
from tessera.chain.ipc import IpcConnection, IpcLost
from tessera.errors import ChainError, NotFound

__all__ = ["AnvilProcess", "LaunchFailed", "end_stale_process", "find_anvil"]

_LONGEST_SOCKET_PATH: Final = 100
_KEPT_STATES: Final = 64
_LOG_SHOWN: Final = 600
_RECORD: Final = "process.json"


class LaunchFailed(ChainError):
    """The node's process ended, or did not answer in time, while it was being started.

    Attributes
    ----------
    killed
        Whether somebody killed it, so that another attempt is worth while.
    """

    def __init__(self, message: str, *, killed: bool = False) -> None:
        super().__init__(message)
        self.killed = killed


def find_anvil() -> Path:
    """Return the program of the embedded node.

    Looked for in this order: the environment's TESSERA_ANVIL, the virtual environment's `node`
    folder, PATH.

    Raises
    ------
    NotFound
        It is in none of these places.
    """
    named = os.environ.get("TESSERA_ANVIL")
    if named:
        if os.access(named, os.X_OK):
            return Path(named)
        raise NotFound(
            "embedded node (TESSERA_ANVIL)",
            found=named,
            wanted="the path of an executable anvil",
            next_step="correct or unset TESSERA_ANVIL",
        )
    installed = Path(sys.prefix).glob("node/node_modules/@foundry-rs/anvil-*/bin/anvil")
    for candidate in sorted(installed):
        if os.access(candidate, os.X_OK):
            return candidate
    on_path = shutil.which("anvil")
    if on_path is not None:
        return Path(on_path)
    raise NotFound(
        "embedded node",
        found="no anvil in this environment or on PATH",
        wanted="the anvil program",
        next_step="run `make demo`, which installs it, or set TESSERA_ANVIL to its path",
    )


class AnvilProcess:
    """One running node process; made by `launch`.

    Attributes
    ----------
    pid
        Of the process.
    socket
        Its Unix socket.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, socket: Path, folder: Path, socket_folder: Path
    ) -> None:
        self._process = process
        self._folder = folder
        self._socket_folder = socket_folder
        self.pid = process.pid
        self.socket = socket

    @classmethod
    async def launch(
        cls,
        program: Path,
        folder: Path,
        genesis: Genesis,
        *,
        state: Path | None = None,
        timeout_s: float = 120.0,
    ) -> AnvilProcess:
        """Start a node that mines only when told, and wait until its socket answers.

        Parameters
        ----------
        program
            The anvil program.
        folder
            Private to the process; emptied first, and again by `end`.
        genesis
            Record zero of the chain.
        state
            A state to load; None begins at block zero.
        timeout_s
            Loading a large state takes seconds.

        Raises
        ------
        LaunchFailed
            The process ended or did not answer in time.
        """
        socket_folder = _socket_folder(folder)
        socket = socket_folder / "node.sock"
        arguments = [
            *("--no-mining", "--order", "fifo", "--hardfork", "cancun"),
            *("--prune-history", str(_KEPT_STATES), "--gas-limit", str(BLOCK_GAS_LIMIT)),
            *("--chain-id", str(genesis.chain_id), "--timestamp", str(genesis.timestamp)),
            *("--accounts", "0", "--quiet", "--no-cors", "--port", "0", "--ipc", str(socket)),
        ]
        if state is None:
            genesis_file = folder / "genesis.json"
            genesis_file.write_text(json.dumps(genesis.as_node_genesis()))
            arguments += ["--init", str(genesis_file)]
        else:
            arguments += ["--load-state", str(state)]
        with (folder / "node.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(launcher.__file__)),
                *(str(os.getpid()), str(program), *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={"HOME": str(folder), "RUST_BACKTRACE": "0"},
                # Ctrl-C in a terminal reaches the whole group; the node must outlive our shutdown.
                start_new_session=True,
            )
        started = cls(process, socket, folder, socket_folder)
        try:
            _record_process(folder, process.pid, socket_folder)
            await started._wait_until_it_answers(timeout_s)
        except BaseException:
            await started.end()
            raise
        return started

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait for the process to end and return its exit status."""
        return await self._process.wait()

    async def end(self) -> int:
        """Kill the process, if it still runs, remove what it left, and return its exit status.

        The process has nothing of its own to save: the journal has it all.
        """
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        status = await asyncio.shield(self._process.wait())
        if self._socket_folder != self._folder:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
        (self._folder / _RECORD).unlink(missing_ok=True)
        return status

    async def _wait_until_it_answers(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        pause_s = 0.004
        while True:
            try:
                connection = await IpcConnection.open(self.socket)
            except IpcLost:
                connection = None
            if connection is not None:
                try:
                    left_s = max(0.1, deadline - time.monotonic())
                    await connection.call("eth_chainId", timeout_s=left_s)
                except IpcLost as error:
                    raise LaunchFailed(
                        f"embedded node: {error}; {self._last_words()}", killed=True
                    ) from error
                else:
                    return
                finally:
                    connection.close()
            if not self.running:
                raise LaunchFailed(
                    f"embedded node: ended with status {self._process.returncode} at its start; "
                    + self._last_words(),
                    killed=self._process.returncode in (-signal.SIGKILL, -signal.SIGTERM),
                )
            if time.monotonic() > deadline:
                raise LaunchFailed(f"embedded node: not ready within {timeout_s:g} s")
            await asyncio.sleep(pause_s)
            pause_s = min(0.05, pause_s * 1.3)

    def _last_words(self) -> str:
        log = self._folder / "node.log"
        text = log.read_bytes()[-_LOG_SHOWN:].decode(errors="replace") if log.exists() else ""
        return f"it said: {' '.join(text.split())}" if text.strip() else "it said nothing"


def end_stale_process(folder: Path) -> int | None:
    """Kill a node that a former owner of `folder` left behind.

    Its pid counts only together with its start time and the machine's boot: pids are reused.

    Returns
    -------
    int or None
        The pid that was killed; None where there was nothing to kill.
    """
    record = folder / _RECORD
    try:
        noted = json.loads(record.read_bytes())
        pid, identity = int(noted["pid"]), noted["identity"]
        socket_folder = Path(noted["socket_folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    killed = None
    if identity is not None and _identity(pid) == identity:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed = pid
        deadline = time.monotonic() + 5.0
        while _identity(pid) == identity and time.monotonic() < deadline:
            time.sleep(0.01)
    if socket_folder != folder and socket_folder.name.startswith(_TEMPORARY):
        shutil.rmtree(socket_folder, ignore_errors=True)
    record.unlink(missing_ok=True)
    return killed


_TEMPORARY: Final = "tessera-node-"


def _socket_folder(folder: Path) -> Path:
    # A Unix socket's path is limited to about 107 bytes; a data folder's is not.
    if len(os.fsencode(folder / "node.sock")) <= _LONGEST_SOCKET_PATH:
        (folder / "node.sock").unlink(missing_ok=True)
        return folder
    return Path(tempfile.mkdtemp(prefix=_TEMPORARY))


def _record_process(folder: Path, pid: int, socket_folder: Path) -> None:
    note = {"pid": pid, "identity": _identity(pid), "socket_folder": str(socket_folder)}
    (folder / _RECORD).write_text(json.dumps(note))


def _identity(pid: int) -> str | None:
    """Tell a process apart from a later one with the same pid; None where it has ended."""
    try:
        # The name in field 2 may hold spaces and parentheses; what follows the last one does not.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    state, start_time = fields[0], fields[19]
    return None if state in "ZX" else f"{boot}/{start_time}"
