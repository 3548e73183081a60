"""Ctrl-C in the middle of something, and a chain that hangs: a clear end, and nothing is lost."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import httpx
import pytest
from tests.integration.cli.conftest import Program, wait_served, write_bundle

BIG = 1 << 30
READS_IT = 128 << 20
"""More bytes than starting a Python reads, and few enough of BIG that much is still to hash."""
ENDS_WITHIN_S = 30


def test_ctrl_c_during_the_hashing_and_storing_of_a_big_file_leaves_nothing_half_done(
    world: Program, tmp_path: Path
) -> None:
    folder = write_bundle(tmp_path / "heavy", name="heavy")
    with (folder / "weights.bin").open("wb") as file:
        file.truncate(BIG)
    before = bytes_kept(world)
    for begun in (
        lambda publishing: bytes_read(publishing) > READS_IT,
        lambda publishing: bytes_kept(world) > before,
    ):
        publishing = world.start("publish", str(folder))
        code, err = interrupted(publishing, until(begun, publishing))
        assert code == 130, err
        assert "Traceback" not in err
    assert bytes_kept(world) == before, "what was copied is taken back"
    assert "heavy" not in [asset["slug"] for asset in world.ok("assets", "list")["assets"]]
    (folder / "weights.bin").write_bytes(b"small")
    assert world.ok("publish", folder)["registered"] is True


def test_ctrl_c_during_a_call_costs_nothing_and_the_next_one_is_answered(
    world: Program, tmp_path: Path
) -> None:
    folder = write_bundle(tmp_path / "slow", name="slow")
    (folder / "model.py").write_text(
        "import time\n"
        "def predict(rows):\n"
        "    time.sleep(rows[0][0])\n"
        "    return [sum(row) for row in rows]\n"
    )
    world.ok("publish", folder)
    wait_served(world, "slow")
    first = world.ok("call", "slow", "[[0, 1]]", "--as", "holder")
    calling = world.start("call", "slow", "[[8, 1]]", "--as", "holder")
    runs = until(lambda _: world.ok("status")["calls_in_flight"] > 0, calling)
    code, err = interrupted(calling, runs)
    assert code == 130, err
    assert "Traceback" not in err
    again = world.ok("call", "slow", "[[0, 2]]", "--as", "holder")
    assert again["outputs"] == [{"output": 2.0}]
    assert again["channel"] == first["channel"]
    charged = int(world.ok("receipt", "show", again["receipt"])["charged"])
    assert charged == int(first["cost"]) + int(again["cost"])
    assert world.ok("settle")["skipped"] == []


class SlowWire(ThreadingHTTPServer):
    """A chain's JSON-RPC that stands still at the moment a transaction is sent."""

    def __init__(self, chain: str, *, arrives: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Forwarding)
        self.chain = chain
        self.arrives = arrives
        self.sending = threading.Event()
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,)).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()


class _Forwarding(BaseHTTPRequestHandler):
    server: SlowWire

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        sends = b"eth_sendRawTransaction" in body
        answer = b"" if sends and not self.server.arrives else self._forwarded(body)
        if sends:
            self.server.sending.set()
            self.server.over.wait(60)
        with contextlib.suppress(OSError):
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def _forwarded(self, body: bytes) -> bytes:
        headers = {"content-type": "application/json"}
        return httpx.post(self.server.chain, content=body, headers=headers, trust_env=False).content

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("arrives", [True, False])
def test_ctrl_c_in_the_moment_of_the_transaction_is_taken_up_by_the_next_publish(
    world: Program, tmp_path: Path, *, arrives: bool
) -> None:
    slug = "arrived" if arrives else "lost"
    folder = write_bundle(tmp_path / slug, name=slug)
    with SlowWire(world.ok("status")["rpc_url"], arrives=arrives) as wire:
        publishing = world.start("publish", str(folder), "--rpc", wire.url)
        code, err = interrupted(publishing, lambda: wire.sending.wait(30) or None)
    assert code == 130, err
    assert "Traceback" not in err
    assert "what was sent stays sent; tessera publish" in err
    again = world.ok("publish", folder)
    assert again["already_published"] is arrives
    assert again["registered"] is not arrives
    assert again["version"] == 1
    # The same holds for a version: it is released once, and its price is listed.
    (folder / "tessera.toml").write_text(
        (folder / "tessera.toml").read_text().replace('"0.01"', '"0.02"')
    )
    with SlowWire(world.ok("status")["rpc_url"], arrives=arrives) as wire:
        releasing = world.start("publish", str(folder), "--rpc", wire.url)
        code, err = interrupted(releasing, lambda: wire.sending.wait(30) or None)
    assert code == 130, err
    again = world.ok("publish", folder)
    assert again["released"] is not arrives
    assert again["listed"] is True
    assert again["version"] == 2
    assert world.ok("publish", folder)["transactions"] == []


def test_a_chain_that_accepts_and_then_hangs_is_given_up_soon(program: Program) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        chain = ("--rpc", f"http://127.0.0.1:{port}/secret-key", "--json")
        begun = time.monotonic()
        runs = [
            program.start(*command, *chain)
            for command in (("assets", "list"), ("settle",), ("up", "--gateway-port", "0"))
        ]
        ended = [(process, *process.communicate(timeout=60)) for process in runs]
    assert time.monotonic() - begun < 55
    for process, out, err in ended:
        assert process.returncode == 5, err
        assert f"127.0.0.1:{port}" in err
        assert "no answer" in err
        assert "secret-key" not in out + err
        assert len(err.strip().splitlines()) == 1, err


def interrupted(process: subprocess.Popen[str], when: Callable[[], None]) -> tuple[int, str]:
    try:
        when()
        assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        # Far less than what it was doing would still have taken.
        _, err = process.communicate(timeout=ENDS_WITHIN_S)
        return process.returncode, err
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def until(
    begun: Callable[[subprocess.Popen[str]], bool], process: subprocess.Popen[str]
) -> Callable[[], None]:
    def wait() -> None:
        deadline = time.monotonic() + 60
        while not begun(process):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    return wait


def bytes_read(process: subprocess.Popen[str]) -> int:
    rchar = Path(f"/proc/{process.pid}/io").read_text().splitlines()[0]
    return int(rchar.removeprefix("rchar: "))


def bytes_kept(program: Program) -> int:
    kept = (program.data / "bundles").rglob("*")
    return sum(path.stat().st_size for path in kept if path.is_file())
