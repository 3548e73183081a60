"""`tessera route` against a real `tessera up`."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import httpx
from tests.integration.cli.conftest import Program, wait_served, write_bundle


def test_calls_are_routed_paid_and_ended_by_ctrl_c(world: Program, tmp_path: Path) -> None:
    world.ok("publish", write_bundle(tmp_path / "mean", "routed-mean"))
    wait_served(world, "routed-mean")
    process = world.start("route", "--port", "0", "--budget", "1", "--json")
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        told = json.loads(line)
        with httpx.Client(
            base_url=told["url"], headers={"authorization": f"Bearer {told['key']}"}, timeout=30
        ) as http:
            answer = http.post("/predict", json={"model": "routed-mean@1", "rows": [[1, 2, 6]]})
            assert answer.status_code == 200, answer.text
            assert answer.json()["outputs"] == [{"output": 3.0}]
            assert answer.headers["tessera-cost"] == "10000"
            (asked,) = json.loads(answer.headers["tessera-route"])
            assert asked["outcome"] == "answered"
            missing = http.post("/predict", json={"model": "routed-mean@9", "rows": [[1]]})
            assert missing.status_code == 404
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        assert "went into channels" in err
        assert "Traceback" not in err
        assert told["key"] not in err
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    refused = world("route", "--sort", "beauty", "--json")
    assert (refused.code, refused.json["code"]) == (2, "input_error")
