"""`tessera facilitator` beside a running `tessera up`, and on a chain that somebody else runs."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import httpx
from tests.integration.cli.conftest import Program


def test_it_settles_on_the_running_chain_and_lists_what_it_was_told(world: Program) -> None:
    running = world.start(
        "facilitator", "--port", "0", "--list", "http://127.0.0.1:1/nobody", "--json"
    )
    try:
        assert running.stdout is not None
        ready = running.stdout.readline()
        assert ready, running.communicate()[1]
        told = json.loads(ready)
        assert told["schemes"] == ["exact", "batch-settlement"]
        supported = httpx.get(told["url"] + "/supported").json()
        assert supported["signers"] == {"eip155:*": [told["sender"]]}
        assert {kind["network"] for kind in supported["kinds"]} == {told["network"]}
        assert httpx.get(told["url"] + "/discovery/resources").json()["items"] == []
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=30)
        assert running.returncode == 0, err
        assert "http://127.0.0.1:1/nobody is not listed" in err
    finally:
        if running.poll() is None:
            running.kill()
            running.communicate()


def test_on_a_chain_of_others_it_asks_which_token_and_for_coins(
    world: Program, tmp_path: Path
) -> None:
    rpc = world.ok("status")["rpc_url"]
    there = Program(tmp_path / "data")
    there.ok("account", "create", "relayer")
    shown = there("facilitator", "--rpc", rpc, "--as", "relayer", "--port", "0")
    assert shown.code == 2
    assert "--token ADDRESS" in shown.err
    shown = there("facilitator", "--rpc", rpc, "--as", "relayer", "--port", "0", "--any-token")
    assert shown.code == 2
    assert "pays for gas" in shown.err
    shown = there("facilitator", "--rpc", rpc, "--as", "relayer", "--token", "0x12")
    assert shown.code == 2
    assert "40 hexadecimal digits" in shown.err
