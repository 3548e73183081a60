"""`tessera up` on a chain id, a model server behind it, and payers with test dollars."""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account import Account as EthAccount
from eth_account.signers.local import LocalAccount
from tests.integration.cli.conftest import ModelServer, Program, wait_served

from tessera.chain.wallet import Account, Wallet

BASE_SEPOLIA = 84_532
DEVELOPMENT = 31_337


class TeachableServer(ModelServer):
    """A model server that fails on request, and streams a word only when it is let."""

    hold = threading.Event()

    def do_POST(self) -> None:  # noqa: N802 - its parent's name
        body = self.rfile.read(int(self.headers["content-length"]))
        asked = json.loads(body)
        if "fail" in json.dumps(asked.get("messages", "")):
            self.send_error(500)
            return
        if asked.get("stream"):
            self._stream(("Hel", "lo ", "there"))
            return
        message = {"role": "assistant", "content": "Hello there"}
        usage = {"prompt_tokens": 3, "completion_tokens": 3}
        self._answer({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})

    def _stream(self, words: tuple[str, ...]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for place, word in enumerate(words):
            self._event({"choices": [{"delta": {"content": word}}]})
            if place == 0:
                self.hold.wait(10)
        self._event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        self._event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 3}})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _event(self, value: object) -> None:
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")
        self.wfile.flush()


@dataclass
class ChainProgram(Program):
    """`tessera` on a chain id of its own, that settles so often."""

    chain_id: int = DEVELOPMENT
    settle_every_s: int = 3_600

    def environment(self, **more: str) -> dict[str, str]:
        every = str(self.settle_every_s)
        return super().environment(
            TESSERA_CHAIN_ID=str(self.chain_id), TESSERA_SETTLE_EVERY_S=every, **more
        )


@dataclass
class Gateway:
    """A running `tessera up` that serves the model `tiny`."""

    program: Program
    chain_id: int
    url: str
    payers: int = 0

    @property
    def network(self) -> str:
        return f"eip155:{self.chain_id}"

    @property
    def controls(self) -> dict[str, Any]:
        """What a client has to be told: nothing where it knows the chain's dollar."""
        if self.chain_id == BASE_SEPOLIA:
            return {}
        return {"allowed_assets": [{"network": self.network, "asset": self.dollar}]}

    @property
    def dollar(self) -> str:
        offers = httpx.get(f"{self.url}/x402/tiny").json()["details"]["accepts"]
        return str(offers[0]["asset"])

    @property
    def base_url(self) -> str:
        return f"{self.url}/x402/tiny/v1"

    def payer(self, number: int | None = None) -> LocalAccount:
        """Make an account with test dollars."""
        made: LocalAccount = EthAccount.create()
        self.payers += 1
        name = f"payer-{self.payers if number is None else number}"
        Wallet(self.program.data / "keys").create(name, Account(bytes(made.key)))
        self.program.ok("account", "faucet", name)
        return made

    def due(self) -> int:
        """Return what was charged and not claimed, in all."""
        return int(self.program.ok("status")["x402_due"])

    def said(self, word: str = "hi", **more: Any) -> dict[str, Any]:
        """Return a chat's body."""
        messages = [{"role": "user", "content": word}]
        return {"model": "tiny", "messages": messages, "max_tokens": 50, **more}


@pytest.fixture(scope="session")
def teachable() -> Iterator[str]:
    TeachableServer.hold.set()
    with ThreadingHTTPServer(("127.0.0.1", 0), TeachableServer) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        serving.join()


def start(program: Program, upstream: str) -> subprocess.Popen[str]:
    """Start `tessera up`, and wait until it serves."""
    up = program.start(
        "up", "--node-port", "0", "--gateway-port", "0", "--upstream", upstream, "--json"
    )
    assert up.stdout is not None
    ready = up.stdout.readline()
    assert ready, up.communicate()[1]
    assert json.loads(ready)["ok"] is True, ready
    return up


def stop(up: subprocess.Popen[str]) -> None:
    """End it as Ctrl-C does."""
    up.send_signal(signal.SIGINT)
    _, err = up.communicate(timeout=60)
    assert up.returncode == 130, err
    assert "Traceback" not in err


def publish(program: Program, upstream: str) -> None:
    """Publish the model `tiny`."""
    folder = program.data / "tiny"
    program.ok("init", folder, "--upstream", upstream, "--model", "tiny")
    program.ok("publish", folder)


@contextlib.contextmanager
def running(data: Path, upstream: str, chain_id: int) -> Iterator[Gateway]:
    program = ChainProgram(data, chain_id)
    up = start(program, upstream)
    try:
        publish(program, upstream)
        wait_served(program, "tiny")
        yield Gateway(program, chain_id, program.ok("status")["gateway_url"])
        stop(up)
    finally:
        if up.poll() is None:
            up.kill()
            up.communicate()


@pytest.fixture(scope="session", params=[BASE_SEPOLIA, DEVELOPMENT], ids=["84532", "31337"])
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, teachable: str
) -> Iterator[Gateway]:
    """One for all tests of a chain id."""
    with running(tmp_path_factory.mktemp("x402") / "data", teachable, request.param) as made:
        yield made


def told(headers: Any) -> dict[str, Any]:
    """Return what PAYMENT-RESPONSE says."""
    found: dict[str, Any] = json.loads(base64.b64decode(headers["payment-response"]))
    return found
