"""`tessera reload` and SIGHUP: a running gateway follows its settings, and loses no call."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import httpx
import msgspec
from tests.integration.cli.conftest import Program


def running(world: Program) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode((world.data / "running.json").read_bytes())
    return found


def limit(world: Program) -> int:
    """How many calls the running gateway takes in hand."""
    page = httpx.get(running(world)["gateway_url"] + "/metrics").text
    (line,) = [line for line in page.splitlines() if line.startswith("tessera_calls_in_hand_limit")]
    return int(line.split()[1])


def test_a_running_gateway_follows_its_settings(world: Program) -> None:
    file = world.data / "config.toml"
    kept = file.read_text() if file.exists() else None
    served = world.ok("status")["models"]
    try:
        file.write_text("gateway_calls_count = 300\nqueue_wait_s = 5\nrevenue_period_s = 3600\n")
        told = world.ok("reload")
        assert told["changed"] == {"queue_wait_s": "5.0", "gateway_calls_count": "300"}
        assert told["needs_restart"] == ["revenue_period_s"]
        assert told["models"] == sorted(served)
        assert limit(world) == 300
        assert world.ok("reload")["changed"] == {}

        file.write_text('gateway_calls_count = "many"\n')
        refused = world("reload")
        assert refused.code == 2
        assert "many" in refused.err
        assert limit(world) == 300
    finally:
        if kept is None:
            file.unlink()
        else:
            file.write_text(kept)
    os.kill(running(world)["pid"], signal.SIGHUP)
    deadline = time.monotonic() + 60
    while limit(world) != 512:
        assert time.monotonic() < deadline
        time.sleep(0.1)
