"""Pools through the program alone: opened, quoted, traded in, provided to, and left."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx
from tests.integration.cli.conftest import Program, wait_served, write_bundle

from tessera.app import connect
from tessera.config import load_config

UNIT = 10**6
SHARE = 10**18


def test_shares_are_traded_and_their_revenue_finds_the_providers(
    world: Program, tmp_path: Path
) -> None:
    world.ok("publish", write_bundle(tmp_path / "traded", "traded"))
    world.ok("tokenize", "traded", "--supply", "1000", "--period", "1s")
    unknown = world("market", "pools", "traded")
    assert unknown.code == 2
    assert "tessera market pools" in unknown.err

    terms = ("traded", "--tokens", "100", "--money", "50")
    dry = world.ok("market", "open", *terms, "--dry-run")
    changes = {(effect["why"], effect["change"]) for effect in dry["effects"]}
    assert ("into the pool", str(-100 * SHARE)) in changes
    assert ("into the pool", str(-50 * UNIT)) in changes
    assert world("market", "open", *terms).code == 2
    stranger = world("market", "open", *terms, "--as", "holder", "--dry-run")
    assert (stranger.code, "tessera orders book" in stranger.err) == (4, True)
    other_fee = world("market", "open", *terms, "--fee", "0.7", "--yes")
    assert (other_fee.code, "wanted 0.05, 0.3, 1 or 3" in other_fee.err) == (2, True)
    opened = world.ok("market", "open", *terms, "--locked", "1h")
    (pool,) = world.ok("market", "pools", "traded")["pools"]
    assert (pool["tokens"], pool["money"]) == (str(100 * SHARE), str(50 * UNIT))
    assert pool["price"] == "500000"
    assert pool["locked"] == opened["liquidity"]
    assert "until" in world("market", "pools").out
    again = world("market", "open", *terms, "--yes")
    assert again.code == 5
    assert "tessera market add" in again.err

    asked = world.ok("market", "quote", "1", "money", "traded")
    assert asked["amount_in"] == str(UNIT)
    assert int(asked["amount_out"]) < 2 * SHARE
    assert 200 < asked["cost_bps"] < 240
    preview = world.ok("market", "swap", "1", "TUSD", "traded", "--as", "consumer", "--dry-run")
    assert preview["amount_out"] == asked["amount_out"]
    by_why = {effect["why"]: int(effect["change"]) for effect in preview["effects"]}
    assert by_why["given"] == -UNIT
    assert by_why["received"] == int(asked["amount_out"])
    unasked = world("market", "swap", "1", "money", "traded", "--as", "consumer")
    assert unasked.code == 2
    assert "add --yes" in unasked.err
    done = world.ok("market", "swap", "1", "money", "traded", "--as", "consumer")
    assert done["amount_out"] == asked["amount_out"]
    sold = world.ok("market", "swap", "0.1", "traded", "money", "--as", "consumer", "--out")
    assert sold["amount_out"] == str(UNIT // 10)
    assert int(sold["amount_in"]) <= int(sold["limit"])
    too_much = world("market", "swap", "1000", "traded", "money", "--as", "consumer", "--yes")
    assert too_much.code == 2, too_much.err
    assert "TRADED of 0x" in too_much.err
    same = world("market", "quote", "1", "money", "money")
    assert (same.code, "wanted two tokens" in same.err) == (2, True)

    locked = world("market", "remove", "traded", "--as", "publisher", "--yes")
    assert locked.code == 5
    assert "liquidity is locked" in locked.err
    world.ok("transfer", "traded", "holder", "100", "--as", "publisher")
    most = ("traded", "--tokens", "50", "--money", "1000")
    dry = world.ok("market", "add", *most, "--dry-run")
    assert abs(int(dry["tokens"]) - 50 * SHARE) < 10**15
    added = world.ok("market", "add", *most)
    assert added["liquidity"] == dry["liquidity"]
    world.ok("market", "swap", "1", "money", "traded", "--as", "consumer")
    held = world.ok("market", "position", "traded")
    assert held["liquidity"] == added["liquidity"]
    assert "earned" in world("market", "position", "traded").out
    # A quick machine does all of the above within the pool's first second.
    deadline = time.monotonic() + 10
    while world("market", "twap", "traded", "--window", "1s").code == 5:
        assert time.monotonic() < deadline
    mean = world.ok("market", "twap", "traded", "--window", "1s")
    assert mean["covered_s"] >= 1
    assert 400_000 < float(mean["price"]) < 600_000
    young = world("market", "twap", "traded", "--window", "7d")
    assert (young.code, "not that old" in young.err) == (5, True)

    wait_served(world, "traded")
    world.ok("call", "traded", "[[1, 2, 3]]")
    world.ok("settle")
    deadline = time.monotonic() + 60
    while int(world.ok("market", "position", "traded")["claimable"]) == 0:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    earned = int(world.ok("market", "claim", "traded")["amount"])
    assert 0 < earned < UNIT // 100
    half = world.ok("market", "remove", "traded", "--part", "50", "--dry-run")
    assert half["liquidity"] == str(int(added["liquidity"]) // 2)
    gone = world.ok("market", "remove", "traded")
    assert int(gone["tokens"]) > 0
    assert world.ok("market", "position", "traded")["liquidity"] == "0"


def asked(world: Program, method: str, *parameters: str) -> int:
    """Ask the chain itself for a number."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
    url = world.ok("status")["rpc_url"]
    return int(httpx.post(url, json=body, trust_env=False).json()["result"], 16)


async def approved(world: Program, slug: str, owner: str) -> list[int]:
    """Return what the Exchange may still take of somebody's shares and money."""
    async with connect(load_config({"data_dir": world.data}, {})) as opened:
        await opened.directory.refresh()
        share = await opened.share(opened.directory.find(slug).asset)
        exchange, currency = opened.deployment.exchange.address, opened.deployment.currency
        return await opened.reader.read_all(
            [share.allowance(owner, exchange), currency.allowance(owner, exchange)]
        )


def test_a_swap_is_one_transaction_and_nothing_stays_approved(
    world: Program, tmp_path: Path
) -> None:
    world.ok("publish", write_bundle(tmp_path / "signed", "signed"))
    world.ok("tokenize", "signed", "--supply", "1000", "--period", "1s")
    world.ok("market", "open", "signed", "--tokens", "100", "--money", "50")
    consumer = world.ok("account", "list")["accounts"]["consumer"]
    sent = ("eth_getTransactionCount", consumer, "latest")
    before = asked(world, *sent)
    world.ok("market", "swap", "1", "money", "signed", "--as", "consumer")
    world.ok("market", "swap", "1", "signed", "money", "--as", "consumer")
    world.ok("market", "swap", "0.1", "money", "signed", "--out", "--as", "consumer")
    assert asked(world, *sent) == before + 3
    # Liquidity has no permits: two approvals, of exactly what goes in.
    world.ok("market", "add", "signed", "--tokens", "0.2", "--money", "100", "--as", "consumer")
    assert asked(world, *sent) == before + 6
    assert asyncio.run(approved(world, "signed", consumer)) == [0, 0]


def test_access_is_traded_for_shares_through_two_pools(world: Program, tmp_path: Path) -> None:
    world.ok("publish", write_bundle(tmp_path / "twofold", "twofold"))
    made = world.ok(
        "access", "create", "twofold", "--kind", "calls", "--price", "0.1", "--units", "1000",
        "--calls", "10",
    )  # fmt: skip
    access = made["access"]
    world.ok("tokenize", "twofold", "--supply", "1000", "--period", "1s")
    world.ok("access", "buy", access, "100", "--as", "publisher")
    world.ok("market", "open", access, "--tokens", "100", "--money", "10")
    world.ok("market", "open", "twofold", "--tokens", "100", "--money", "10")
    listed = {pool["token"] for pool in world.ok("market", "pools")["pools"]}
    assert access in listed
    world.ok("market", "swap", "2", "money", "twofold", "--as", "consumer")
    dry = world.ok(
        "market", "swap", "3", "twofold", access, "--out", "--as", "consumer", "--dry-run"
    )
    assert dry["amount_out"] == "3"
    done = world.ok("market", "swap", "3", "twofold", access, "--out", "--as", "consumer")
    assert (done["amount_out"], done["amount_in"]) == ("3", dry["amount_in"])
    order = world.ok("access", "redeem", access, "3", "--as", "consumer")
    assert order["order"] >= 1
    missing = world("market", "swap", "1", "money", "0x" + "22" * 20, "--yes")
    assert missing.code == 2
