"""What a dry run says that a command would change is what the command then changes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from tests.integration.cli.conftest import Program, wait_served, write_bundle

SHARE, UNIT = 10**18, 10**6


def changes(told: dict[str, Any], account: str) -> list[int]:
    return [int(each["change"]) for each in told["effects"] if each["account"] == account]


def money(world: Program, who: str) -> int:
    return int(world.ok("portfolio", who)["money"])


def sent(world: Program, *who: str) -> list[int]:
    """Return how many transactions each key has sent."""
    url = world.ok("status")["rpc_url"]
    counts = []
    for each in who:
        parameters = [world.ok("portfolio", each)["account"], "latest"]
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionCount"}
        answer = httpx.post(url, json=body | {"params": parameters}, trust_env=False)
        counts.append(int(answer.json()["result"], 16))
    return counts


def test_dry_runs_say_what_happens_and_send_nothing(world: Program, tmp_path: Path) -> None:
    world.ok("publish", write_bundle(tmp_path / "shown", "shown"), "--cut", "10")
    world.ok("tokenize", "shown", "--supply", "1000", "--period", "1s")
    publisher, holder, consumer = (
        world.ok("portfolio", who)["account"] for who in ("publisher", "holder", "consumer")
    )
    mine = ("--as", "publisher")

    given = ("transfer", "shown", "holder", "100", *mine)
    before = sent(world, "publisher", "holder", "consumer")
    dry = world.ok(*given, "--dry-run")
    assert (changes(dry, publisher), changes(dry, holder)) == ([-100 * SHARE], [100 * SHARE])
    assert "-100 shares of shown  sent" in world(*given, "--dry-run").out
    unasked = world(*given)
    assert (unasked.code, "add --yes" in unasked.err) == (2, True)
    poor = world("transfer", "shown", "holder", "1001", *mine, "--dry-run")
    assert (poor.code, "wanted the 1,001 to pass on" in poor.err) == (2, True)

    had, deposit = money(world, "consumer"), ("channel", "open", "2")
    dry = world.ok(*deposit, "--dry-run")
    assert changes(dry, consumer) == [-2 * UNIT]
    assert world(*deposit).code == 2
    assert world.ok("mark", "shown", "--dry-run")["written"] is True
    filled = ("govern", "deposit", "shown", "3", *mine)
    assert changes(world.ok(*filled, "--dry-run"), publisher) == [-3 * UNIT]
    rich = world("govern", "deposit", "shown", "5000000", *mine, "--dry-run")
    assert (rich.code, "account publisher" in rich.err) == (2, True)
    locked = world.ok("govern", "lock", "shown", "400", *mine, "--dry-run")
    assert changes(locked, publisher) == [-400 * SHARE]
    poor = world("govern", "lock", "shown", "1001", *mine, "--dry-run")
    assert (poor.code, "found 1,000, wanted the 1,001" in poor.err.replace("'", "")) == (2, True)
    assert sent(world, "publisher", "holder", "consumer") == before

    world.ok(*given)
    number = world.ok(*deposit)["channel"]
    assert money(world, "consumer") == had - 2 * UNIT
    world.ok(*filled)
    back = world.ok("channel", "withdraw", "--channel", number, "--dry-run")
    assert (changes(back, consumer), back["withdrawn"]) == ([2 * UNIT], None)
    top = world.ok("channel", "top-up", "1", "--channel", number, "--dry-run")
    assert changes(top, consumer) == [-UNIT]

    lock = world.ok("govern", "lock", "shown", "400", *mine)["lock"]
    free = world.ok("govern", "unlock", "shown", str(lock), *mine, "--dry-run")
    assert changes(free, publisher) == [400 * SHARE]
    grant = ("vesting", "grant", "shown", "holder", "50", "--cliff", "0s", "--duration", "1s")
    vesting = world.ok(*grant)["vesting"]
    world.ok("market", "open", "shown", "--tokens", "100", "--money", "100", *mine)
    time.sleep(1.2)
    proposed = world.ok("govern", "propose", "pay", "shown", "holder", "1", *mine)["proposal"]
    taking = ("govern", "cancel", "shown", str(proposed))
    assert world.ok(*taking, *mine, "--dry-run")["effects"] == []
    assert world(*taking, "--as", "consumer", "--dry-run").code == 5

    wait_served(world, "shown")
    world.ok("call", "shown", "[[1, 2, 3]]")
    world.ok("settle", "--yes")
    # All of the income has streamed; what is due stands still.
    time.sleep(2.2)
    dry = world.ok("vesting", "claim", vesting, "--dry-run")
    revenue, unlocked = changes(dry, holder)
    assert (revenue > 0, unlocked) == (True, 50 * SHARE)
    done = world.ok("vesting", "claim", vesting)
    assert (int(done["amount"]), int(done["shares"])) == (revenue, unlocked)
    for claim in (("govern", "claim", "shown", *mine), ("market", "claim", "shown", *mine)):
        (due,) = changes(world.ok(*claim, "--dry-run"), publisher)
        assert due > 0
        assert int(world.ok(*claim)["amount"]) == due
    dry = world.ok("claim", "shown", "--dry-run")
    assert sum(changes(dry, holder)) == int(dry["total"]) > 0
    had = money(world, "holder")
    # It gives nothing away, so it goes on where there is nobody to ask.
    assert world("claim", "shown").code == 0
    assert money(world, "holder") == had + int(dry["total"])


def at_a_terminal(world: Program, answer: str, *arguments: str) -> tuple[int, str]:
    """Run a command whose input is a terminal, at which somebody answers."""
    ours, theirs = os.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        ended = subprocess.run(
            [sys.executable, "-c", "from tessera.cli import main; main()", *arguments],
            stdin=theirs,
            capture_output=True,
            text=True,
            env=world.environment(),
            check=False,
            timeout=60,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    return ended.returncode, ended.stdout + ended.stderr


def test_at_a_terminal_it_asks(world: Program, tmp_path: Path) -> None:
    folder = str(write_bundle(tmp_path / "asking", "asking"))
    code, said = at_a_terminal(world, "n", "publish", folder)
    assert (code, "Publish asking: register a new asset" in said) == (130, True), said
    assert "asking" not in [each["slug"] for each in world.ok("assets", "list")["assets"]]
    code, said = at_a_terminal(world, "y", "publish", folder)
    assert (code, "published asking" in said) == (0, True), said
    code, said = at_a_terminal(world, "n", "tokenize", "asking", "--yes")
    assert (code, "?" in said) == (0, False), said


def test_a_sale_begins_when_its_publisher_says(world: Program, tmp_path: Path) -> None:
    world.ok("publish", write_bundle(tmp_path / "later", "later"))
    world.ok("tokenize", "later", "--supply", "1000")
    terms = ("offer", "later", "--shares", "10", "--price", "1", "--starts", "4s")
    assert " from 2" in world(*terms, "--dry-run").out
    made = world.ok(*terms)
    early = world("buy", "later", "1", "--yes")
    assert (early.code, "one that begins at" in early.err) == (2, True)
    while time.time() < made["start"] + 1:
        time.sleep(0.2)
    world.ok("buy", "later", "1")
