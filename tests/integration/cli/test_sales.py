"""First sales of every kind through the program: opened, bought, bid for, closed and refunded."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx
from tests.integration.cli.conftest import Program, write_bundle

UNIT = 10**6
SHARE = 10**18


def _tokenized(world: Program, folder: Path, name: str) -> None:
    world.ok("publish", write_bundle(folder / name, name))
    world.ok("tokenize", name, "--supply", "100000", "--period", "1s")


def _until(done: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def test_an_auction_is_bid_for_and_collected_at_one_price(world: Program, tmp_path: Path) -> None:
    _tokenized(world, tmp_path, "auctioned")
    terms = ("--kind", "auction", "--shares", "100", "--price", "4", "--last-price", "2")
    terms += ("--soft-cap", "20", "--lasts", "6s")
    dry = world.ok("offer", "auctioned", *terms, "--dry-run")
    assert dry["effects"][0]["change"] == str(-100 * SHARE)
    assert world.ok("sales", "list", "auctioned")["sales"] == []
    unasked = world("offer", "auctioned", *terms)
    assert unasked.code == 2
    assert "add --yes" in unasked.err
    sale = world.ok("offer", "auctioned", *terms)["sale"]
    (listed,) = world.ok("sales", "list", "auctioned")["sales"]
    assert (listed["address"], listed["kind"], listed["stage"]) == (sale, "auction", "open")
    preview = world.ok("bid", "auctioned", "40", "--dry-run")
    assert preview["amount"] == str(40 * UNIT)
    assert int(preview["least_shares"]) >= 10 * SHARE
    assert world.ok("bid", "auctioned", "40")["closed"] is False
    _until(lambda: world.ok("sales", "list", "auctioned")["sales"][0]["stage"] == "finished")
    claims = world.ok("claim", "auctioned")["claims"]
    # Not sold out, so everybody pays the lowest price.
    assert [claim["shares"] for claim in claims] == [str(20 * SHARE)]
    ended = world.ok("sales", "close", "auctioned")
    assert ended["proceeds"] == str(40 * UNIT)
    assert ended["unsold"] == str(80 * SHARE)


def test_what_the_launchpad_would_refuse_is_refused_in_a_dry_run(
    world: Program, tmp_path: Path
) -> None:
    _tokenized(world, tmp_path, "doubtful")
    plain = ("offer", "doubtful", "--shares", "50", "--price", "1", "--dry-run")
    curve = (*plain, "--kind", "curve", "--last-price", "2")
    for told, reason in (
        ((*plain, "--lasts", "0s"), "times out of order"),
        ((*plain, "--lasts", "7d", "--soft-cap", "51"), "soft cap above what is for sale"),
        ((*plain, "--lasts", "7d", "--liquidity", "0.01"), "pool too small or too large"),
        ((*curve, "--lasts", "7d", "--liquidity", "0"), "a curve must open a pool"),
    ):
        refused = world(*told)
        assert refused.code != 0, refused.out
        assert reason in refused.err
    assert world(*plain, "--lasts", "7d", "--soft-cap", "50").code == 0


def test_a_listed_sale_with_vesting_in_one_transaction(world: Program, tmp_path: Path) -> None:
    _tokenized(world, tmp_path, "listed")
    holder = world.ok("portfolio", "holder")["account"]
    buyers = tmp_path / "buyers.txt"
    buyers.write_text(f"# who may buy\n{holder} 10\n0x{'11' * 20} 5.5\n")
    made = world.ok(
        "offer", "listed", "--shares", "50", "--price", "1", "--list", buyers,
        "--vesting", "consumer:7:0s:100d",
    )  # fmt: skip
    assert len(made["vestings"]) == 1
    assert made["allocation"] is None
    nobody = world("offer", "listed", "--shares", "1", "--price", "1", "--contributors", "3:0s:1d")
    assert (nobody.code, "tessera attribution run" in nobody.err) == (2, True)
    assert world("buy", "listed", "1", "--yes").code == 2
    assert "--list FILE" in world("buy", "listed", "1", "--yes").err
    bought = world.ok("buy", "listed", "10", "--list", buyers)
    assert bought["cost"] == str(10 * UNIT)
    too_much = world("buy", "listed", "1", "--list", buyers, "--yes")
    assert too_much.code == 5
    assert "above the buyer's part of the list" in too_much.err
    stranger = world("buy", "listed", "1", "--list", buyers, "--yes", "--as", "consumer")
    assert stranger.code == 2
    # Other tests of the folder may have granted the consumer something too.
    granted = {each["vesting"]: each for each in world.ok("portfolio", "consumer")["vestings"]}
    assert granted[made["vestings"][0]]["amount"] == str(7 * SHARE)


def _good_for(world: Program, transaction: str) -> int:
    """Read how many seconds behind its block a trade on a curve was good for."""

    def ask(method: str, *given: object) -> dict[str, str]:
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": given}
        answer = httpx.post(world.ok("status")["rpc_url"], json=asked, trust_env=False)
        found: dict[str, str] = answer.json()["result"]
        return found

    sent = ask("eth_getTransactionByHash", transaction)
    block = ask("eth_getBlockByHash", sent["blockHash"], False)
    # Behind the selector the amount, the least of what comes, and the deadline.
    deadline = int(sent["input"][10:][128:192], 16)
    return deadline - int(block["timestamp"], 16)


def test_a_curve_is_bought_sold_back_to_and_graduates(world: Program, tmp_path: Path) -> None:
    _tokenized(world, tmp_path, "curved")
    made = world.ok(
        "offer", "curved", "--kind", "curve", "--shares", "100", "--price", "1",
        "--last-price", "4", "--liquidity", "60", "--locked", "1d",
    )  # fmt: skip
    # 100 are sold for 200 in all; 60 % of that opens the pool at 4.
    assert int(made["taken"]) in range(130 * SHARE - 10**12, 130 * SHARE + 10**12)
    preview = world.ok("buy", "curved", "10", "--dry-run")
    bought = world.ok("buy", "curved", "10")
    assert bought["cost"] == preview["cost"]
    assert int(bought["shares"]) >= 10 * SHARE
    back = world.ok("sell", "curved", "5")
    assert 0 < int(back["paid"]) < int(bought["cost"])
    assert all(0 < _good_for(world, made["transaction"]) <= 300 for made in (bought, back))
    assert world("sell", "curved", "50", "--yes").code == 2
    (curve,) = world.ok("portfolio", "holder")["curves"]
    assert curve["stage"] == "open"
    last = world.ok("buy", "curved", "99")
    assert last["graduated"] is True
    assert world("sell", "curved", "1", "--yes").code == 2
    ended = world.ok("sales", "close", "curved")
    assert int(ended["proceeds"]) in range(79 * UNIT, 81 * UNIT)


def test_a_curve_that_missed_its_end_gives_back_what_was_paid(
    world: Program, tmp_path: Path
) -> None:
    _tokenized(world, tmp_path, "deserted")
    world.ok(
        "offer", "deserted", "--kind", "curve", "--shares", "100", "--price", "1",
        "--last-price", "4", "--surcharge", "50", "--calm", "1h", "--lasts", "8s",
    )  # fmt: skip
    bought = world.ok("buy", "deserted", "10", "--as", "consumer")
    # Before the end, the surcharge and the way back along the curve would be lost.
    assert int(world.ok("sell", "deserted", "10", "--as", "consumer", "--dry-run")["paid"]) < int(
        bought["cost"]
    )
    _until(lambda: world.ok("sales", "list", "deserted")["sales"][0]["stage"] == "failed")
    (back,) = world.ok("claim", "deserted", "--as", "consumer")["claims"]
    assert back["amount"] == bought["cost"]


def test_a_listed_curve_sells_a_whole_part_of_its_list(world: Program, tmp_path: Path) -> None:
    """The last base unit of the price buys a dust of shares more, which the list does not have.

    So whoever asked for just the listed part was refused by the chain.
    """
    _tokenized(world, tmp_path, "early")
    holder = world.ok("portfolio", "holder")["account"]
    buyers = tmp_path / "early.txt"
    buyers.write_text(f"{holder} 60\n0x{'11' * 20} 40\n")
    world.ok(
        "offer", "early", "--kind", "curve", "--shares", "100", "--price", "1",
        "--last-price", "4", "--list", buyers,
    )  # fmt: skip
    assert "--list FILE" in world("buy", "early", "1", "--yes").err
    stranger = world("buy", "early", "1", "--list", buyers, "--yes", "--as", "consumer")
    assert "wanted one of the 2 on the list" in stranger.err
    bought = world.ok("buy", "early", "60", "--list", buyers)
    assert 60 * SHARE - 10**12 < int(bought["shares"]) <= 60 * SHARE
    too_much = world("buy", "early", "1", "--list", buyers, "--yes")
    assert (too_much.code, "above the buyer's part of the list" in too_much.err) == (5, True)


def test_a_part_of_the_proceeds_opens_the_pool(world: Program, tmp_path: Path) -> None:
    _tokenized(world, tmp_path, "pooled")
    world.ok(
        "offer", "pooled", "--shares", "100", "--price", "2", "--soft-cap", "50",
        "--liquidity", "25", "--locked", "30d",
    )  # fmt: skip
    world.ok("buy", "pooled", "100")
    ended = world.ok("sales", "close", "pooled", "--as", "consumer")
    assert (ended["in_pool"], ended["proceeds"]) == (str(50 * UNIT), "0")
    claims = world.ok("claim", "pooled", "--as", "publisher")["claims"]
    assert [claim["amount"] for claim in claims] == [str(150 * UNIT)]
    assert world("sales", "close", "pooled", "--dry-run").code == 0
