"""The official JavaScript clients, unmodified: `@x402/fetch`, and `openai` with a wrapped fetch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.integration.x402.conftest import Gateway

FOLDER = Path(__file__).parents[2] / "typescript"


def pay(gateway: Gateway, client: str) -> list[dict[str, Any]]:
    """Run one of the clients with a payer of its own."""
    node = shutil.which("node", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert node, "make setup fetches one where there is none"
    settings = {
        "url": gateway.base_url,
        "model": "tiny",
        "network": gateway.network,
        "key": "0x" + gateway.payer().key.hex().removeprefix("0x"),
    }
    if gateway.controls:
        settings["asset"] = gateway.dollar
    ended = subprocess.run(
        [node, "pay.mjs", client],
        cwd=FOLDER,
        input=json.dumps(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_fetch_pays_whole_and_streamed_chats_from_one_deposit(gateway: Gateway) -> None:
    whole, streamed, failed, again = pay(gateway, "fetch")
    assert [a["status"] for a in (whole, streamed, failed, again)] == [200, 200, 502, 200]
    assert json.loads(whole["text"])["choices"][0]["message"]["content"] == "Hello there"
    assert "data: [DONE]" in streamed["text"]
    assert (failed["success"], failed["charged"]) == (True, "0")
    assert [bool(a["transaction"]) for a in (whole, streamed, failed, again)] == [
        True,
        False,
        False,
        False,
    ]


def test_fetch_pays_one_by_one_too(gateway: Gateway) -> None:
    whole, streamed, failed, again = pay(gateway, "exact")
    assert [a["status"] for a in (whole, streamed, failed, again)] == [200, 200, 502, 200]
    assert [bool(a["transaction"]) for a in (whole, streamed, failed, again)] == [
        True,
        True,
        False,
        True,
    ]
    assert failed["success"] is False


def test_openai_pays_with_a_wrapped_fetch(gateway: Gateway) -> None:
    whole, streamed, again = pay(gateway, "openai")
    assert [a["text"] for a in (whole, streamed, again)] == ["Hello there"] * 3
    assert whole["units"] == again["units"] == 6
