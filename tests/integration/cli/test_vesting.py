"""Grants through the program alone: made, listed, shown with their calendar, and taken."""

from __future__ import annotations

import time
from pathlib import Path

from tests.integration.cli.conftest import Program, write_bundle

SHARE = 10**18


def test_a_grant_is_made_shown_and_claimed(world: Program, tmp_path: Path) -> None:
    world.ok("publish", write_bundle(tmp_path / "granted", "granted"))
    world.ok("tokenize", "granted", "--supply", "1000", "--period", "1s")
    terms = ("vesting", "grant", "granted", "holder", "100", "--cliff", "0s", "--duration", "40s")
    dry = world(*terms, "--dry-run")
    assert "would lock 100 shares of granted for 40 seconds" in dry.out
    assert "-100 shares of granted  locked for 0x" in dry.out
    unasked = world(*terms)
    assert (unasked.code, "add --yes" in unasked.err) == (2, True)
    many = world("vesting", "grant", "granted", "holder", "1001", "--dry-run")
    assert many.code == 2, many.err
    address = world.ok(*terms)["vesting"]

    (listed,) = [v for v in world.ok("vesting", "list")["vestings"] if v["vesting"] == address]
    assert listed["amount"] == str(100 * SHARE)
    assert world.ok("vesting", "list", "--asset", "granted")["vestings"][0]["vesting"] == address
    assert world.ok("vesting", "list", "consumer", "--asset", "granted")["vestings"] == []
    narrow = world("vesting", "list", "--asset", "granted", COLUMNS="40").out
    assert address in narrow
    shown = world("vesting", "show", address).out
    assert "holds     100 shares of granted in all" in shown
    calendar = world.ok("vesting", "show", address)["calendar"]
    assert [step["unlocked"] for step in calendar] == [str(25 * n * SHARE) for n in range(5)]

    time.sleep(1)
    # Anyone may; it goes to whom it is for.
    taken = world.ok("vesting", "claim", address, "--as", "consumer")
    assert 0 < int(taken["shares"]) <= 100 * SHARE
    held = [s for s in world.ok("portfolio", "holder")["shares"] if s["symbol"] == "GRANTED"]
    assert held[0]["amount"] == taken["shares"]
    other = world("vesting", "show", "0x" + "22" * 20)
    assert (other.code, "tessera vesting list" in other.err) == (2, True)
