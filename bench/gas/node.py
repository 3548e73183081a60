"""The bench's own anvil: a child on loopback, its files in a folder that goes with it."""

from __future__ import annotations

import queue
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx

from bench.gas.chain import CHAIN_ID, GENESIS_TIME, Chain, MeasurementFailed

START_SECONDS = 30.0
_LISTENING = re.compile(r"Listening on (\S+)")


@contextmanager
def fresh_chain(anvil: Path, *options: str) -> Iterator[Chain]:
    """Start a node with nothing on it, and end it by its own process when the block is left.

    The EVM is the one our contracts are compiled for (cancun), the base fee is nothing, so that
    keys need no funds, and the port is one the system gives.
    """
    with tempfile.TemporaryDirectory(prefix="tessera-bench-") as home:
        command = [
            str(anvil),
            *("--host", "127.0.0.1", "--port", "0"),
            *("--hardfork", "cancun", "--chain-id", str(CHAIN_ID)),
            *("--timestamp", str(GENESIS_TIME), "--block-base-fee-per-gas", "0"),
            *("--gas-limit", "300000000", "--accounts", "1"),
            *options,
        ]
        child = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"HOME": home},
        )
        try:
            with httpx.Client(base_url=f"http://{_address(child)}", timeout=60.0) as client:
                yield Chain(client)
        finally:
            child.terminate()
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _address(child: subprocess.Popen[str]) -> str:
    output = child.stdout
    if output is None:
        raise MeasurementFailed("anvil: its output is not connected, so its port cannot be read")
    found: queue.Queue[str] = queue.Queue()
    # A pipe that nobody empties would stop the node, so the reader lives as long as the node does.
    threading.Thread(target=_watch, args=(output, found), daemon=True).start()
    try:
        answer = found.get(timeout=START_SECONDS)
    except queue.Empty:
        raise MeasurementFailed(f"anvil: not listening after {START_SECONDS:.0f} s") from None
    if not answer:
        raise MeasurementFailed(f"anvil: ended with exit code {child.wait()} before it listened")
    return answer


def _watch(output: IO[str], found: queue.Queue[str]) -> None:
    for line in output:
        match = _LISTENING.search(line)
        if match:
            found.put(match[1])
    found.put("")
