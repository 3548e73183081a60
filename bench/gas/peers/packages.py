"""The peers' packages, as `make bench-gas` installs them; sources compiled by their solc."""

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


def _node() -> str:
    beside = str(Path(sys.executable).parent)
    search = os.pathsep.join((beside, os.environ.get("PATH", "")))
    found = shutil.which("node", path=search)
    if found is None:
        raise MeasurementFailed(
            "node, which solc runs on",
            found="neither in this environment nor on PATH",
            next_step="run `make bench-gas`, which installs it",
        )
    return found


@cache
def compiled() -> dict[str, Code]:
    """Compile bench/peers/contracts.sol and all that it imports; contracts by name."""
    if not MODULES.is_dir():
        raise MeasurementFailed(
            "the peers' packages", found="nothing installed", next_step="run `make bench-gas`"
        )
    question = {
        "language": "Solidity",
        "sources": {"contracts.sol": {"content": (FOLDER / "contracts.sol").read_text("utf-8")}},
        "settings": _SETTINGS,
    }
    command = [
        _node(),
        str(MODULES / "solc" / "solc.js"),
        *("--standard-json", "--base-path", ".", "--include-path", "node_modules"),
    ]
    # Into a file: the compiler exits before a pipe has taken more than 64 KiB of its answer.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        done = subprocess.run(
            command,
            cwd=FOLDER,
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
