"""The real program in child processes, against one real `tessera up` for the whole module."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

STARTS_WITHIN_S = 60.0
MANIFEST = """\
name = "{name}"
title = "Mean"
kind = "model"
version = "0.1.0"
licence = "Apache-2.0"
[runner]
kind = "python"
task = "predict"
file = "model.py"
callable = "predict"
limits = {{ memory_mb = 512, timeout_s = 10 }}
[price]
per_call = "0.01"
"""
PROGRAM = "def predict(rows):\n    return [sum(row) / len(row) for row in rows]\n"


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


@dataclass
class Program:
    """`tessera` with a data folder of its own."""

    data: Path

    def environment(self, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TESSERA_")}
        anvil = {k: v for k, v in os.environ.items() if k == "TESSERA_ANVIL"}
        return {**kept, **anvil, "TESSERA_DATA_DIR": str(self.data), **more}

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", "from tessera.cli import main; main()", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env=self.environment(**environment),
        )

    def __call__(self, *arguments: object, **environment: str) -> Outcome:
        process = self.start(*map(str, arguments), **environment)
        out, err = process.communicate(timeout=60)
        return Outcome(process.returncode, out, err)

    def ok(self, *arguments: object) -> dict[str, Any]:
        outcome = self(*arguments, "--json")
        assert outcome.code == 0, outcome.err
        return outcome.json


def write_bundle(folder: Path, name: str = "mean") -> Path:
    folder.mkdir()
    (folder / "tessera.toml").write_text(MANIFEST.format(name=name))
    (folder / "model.py").write_text(PROGRAM)
    return folder


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path / "data")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A running `tessera up`; ended by Ctrl-C, whose exit code is part of the promise."""
    program = Program(tmp_path_factory.mktemp("world") / "data")
    up = program.start(
        "up", "--node-port", "0", "--gateway-port", "0", "--allow-python-runners",
        "--withdraw-delay-s", "2", "--json",
    )  # fmt: skip
    try:
        assert up.stdout is not None
        ready = up.stdout.readline()
        assert ready, up.communicate()[1]
        assert json.loads(ready)["ok"] is True
        yield program
        up.send_signal(signal.SIGINT)
        _, err = up.communicate(timeout=30)
        assert up.returncode == 130, err
        assert "Traceback" not in err
    finally:
        if up.poll() is None:
            up.kill()
            up.communicate()


def wait_served(program: Program, slug: str) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while slug not in program.ok("status")["models"]:
        assert time.monotonic() < deadline, program.ok("status")
        time.sleep(0.2)
