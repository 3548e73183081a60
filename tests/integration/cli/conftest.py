"""The real program in child processes, against one real `tessera up` for the whole folder."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tessera.cli.running import run

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
        """Run one command: what only starts and ends in this process, which saves its start."""
        given = [str(argument) for argument in arguments]
        if given[0] == "up":
            process = self.start(*given, **environment)
            out, err = process.communicate(timeout=60)
            return Outcome(process.returncode, out, err)
        out_to, err_to = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment(**environment), clear=True),
            contextlib.redirect_stdout(out_to),
            contextlib.redirect_stderr(err_to),
        ):
            code = run(given)
        return Outcome(code, out_to.getvalue(), err_to.getvalue())

    def ok(self, *arguments: object, **environment: str) -> dict[str, Any]:
        outcome = self(*arguments, "--json", **environment)
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


class ModelServer(BaseHTTPRequestHandler):
    """What an Ollama answers, as far as an operator asks."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({"data": [{"id": "tiny:latest"}, {"id": "tiny-embed"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.endswith("/embeddings"):
            rows = [{"index": i, "embedding": [len(t), 0.5]} for i, t in enumerate(asked["input"])]
            self._answer({"data": rows})
        elif asked.get("stream"):
            self._stream(("Hel", "lo ", "there"))
        else:
            message = {"role": "assistant", "content": "Hello there"}
            self._answer({"choices": [{"message": message, "finish_reason": "stop"}]})

    def _stream(self, words: tuple[str, ...]) -> None:
        chunks: list[object] = [{"choices": [{"delta": {"content": word}}]} for word in words]
        chunks.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        usage = {"prompt_tokens": 3, "completion_tokens": 3}
        chunks.append({"choices": [], "usage": usage})
        body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
        self._send(body + b"data: [DONE]\n\n", "text/event-stream")

    def _answer(self, value: object) -> None:
        self._send(json.dumps(value).encode(), "application/json")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its parent's name
        """Say nothing."""


@pytest.fixture(scope="session")
def model_server() -> Iterator[str]:
    """The base URL of a real model server on a loopback port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), ModelServer) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        serving.join()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, model_server: str) -> Iterator[Program]:
    """A running `tessera up`, shared by the folder."""
    with running_world(tmp_path_factory.mktemp("world") / "data", model_server) as program:
        yield program


@contextlib.contextmanager
def running_world(data: Path, model_server: str) -> Iterator[Program]:
    """Run `tessera up`; it is ended by Ctrl-C, whose exit code is part of the promise."""
    program = Program(data)
    up = program.start(
        "up", "--node-port", "0", "--gateway-port", "0", "--allow-python-runners",
        "--withdraw-delay-s", "2", "--upstream", model_server, "--json",
        # Holders decide within seconds.
        TESSERA_MIN_LOCK_S="1", TESSERA_VOTING_TIME_S="6", TESSERA_TIMELOCK_S="1",
        TESSERA_EXIT_DELAY_S="1",
    )  # fmt: skip
    try:
        assert up.stdout is not None
        ready = up.stdout.readline()
        assert ready, up.communicate()[1]
        told = json.loads(ready)
        assert told["ok"] is True
        assert told["x402"] == f"{told['gateway']}/x402/MODEL/v1"
        assert told["metrics"] == f"{told['gateway']}/metrics"
        assert told["upstreams"][0]["models"] == ["tiny:latest", "tiny-embed"]
        yield program
        up.send_signal(signal.SIGINT)
        _, err = up.communicate(timeout=60)
        assert up.returncode == 130, err
        assert "stopped; tessera up goes on from here" in err
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


@pytest.fixture
def elsewhere(world: Program, tmp_path: Path) -> tuple[Program, tuple[str, ...]]:
    """Another operator's data folder, and the flags by which it finds the chain."""
    (file,) = (world.data / "deployments").iterdir()
    chain = ("--rpc-url", world.ok("status")["rpc_url"], "--deployment", str(file))
    return Program(tmp_path / "elsewhere"), chain
