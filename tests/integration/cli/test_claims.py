"""Money on its way, through the program alone: royalties are sent on, and claims miss nothing."""

from __future__ import annotations

import time
from pathlib import Path

from tests.integration.cli.conftest import Program, write_bundle

UNIT = 10**6


def sold_on(world: Program, access: str, price: str) -> None:
    """Have a unit resold, whose royalty goes to the Till."""
    order = world.ok("orders", "sell", access, "1", "--price", price)["order"]
    world.ok("orders", "fill", order, "1", "--as", "consumer")


def test_royalties_are_sent_on_by_a_settlement_and_by_a_claim(
    world: Program, tmp_path: Path
) -> None:
    """A newcomer looked for a royalty that lay in a Till until the next proof of service."""
    world.ok("publish", write_bundle(tmp_path / "royal", "royal"), "--cut", "20")
    access = world.ok(
        "access", "create", "royal", "--kind", "licence", "--price", "1", "--units", "10",
        "--royalty", "10",
    )["access"]  # fmt: skip
    world.ok("tokenize", "royal", "--supply", "1000", "--period", "1s")
    world.ok("access", "buy", access, "4", "--as", "holder")

    sold_on(world, access, "10")
    dry = world.ok("settle", "--dry-run")
    (waiting,) = [each for each in dry["waiting"] if each["slug"] == "royal"]
    assert (waiting["in_tills"], waiting["pending"]) == (str(UNIT), "0")
    assert "would send on  1.00 TUSD out of Tills of royal" in world("settle", "--dry-run").out
    said = world("settle")
    # 79 % of it: 20 % are the operator's and 1 % the network's.
    assert "sent on   1.00 TUSD out of Tills of royal, 0.79 TUSD to whom it is owed" in said.out
    assert all(each["slug"] != "royal" for each in world.ok("settle")["sent_on"])

    sold_on(world, access, "20")
    dry = world.ok("claim", "royal", "--as", "publisher", "--dry-run")
    assert [(each["slug"], each["in_tills"]) for each in dry["waiting"]] == [
        ("royal", str(2 * UNIT))
    ]
    claimed = world.ok("claim", "royal", "--as", "publisher")
    assert [(each["split"], each["handed_on"]) for each in claimed["sent_on"]] == [
        (str(2 * UNIT), str(UNIT * 158 // 100))
    ]
    assert world.ok("claim", "royal", "--as", "publisher", "--dry-run")["waiting"] == []


def test_one_claim_finds_shares_in_hand_locked_and_in_the_pool(
    world: Program, tmp_path: Path
) -> None:
    """`claim --all` left the revenue of locked and of pooled shares where it was, silently."""
    world.ok("publish", write_bundle(tmp_path / "spread", "spread"))
    world.ok("publish", write_bundle(tmp_path / "bare", "bare"))
    access = world.ok(
        "access", "create", "spread", "--kind", "calls", "--calls", "5", "--price", "1",
        "--units", "10", "--royalty", "50", "--serve-within", "1s",
    )["access"]  # fmt: skip
    world.ok("tokenize", "spread", "--supply", "1000", "--period", "1s")
    world.ok("govern", "lock", "spread", "200", "--as", "publisher")
    world.ok("market", "open", "spread", "--tokens", "100", "--money", "50")
    world.ok("access", "buy", access, "2", "--as", "holder")
    order = world.ok("access", "buy", access, "2", "--redeem", "--as", "holder")["order"]
    sold_on(world, access, "100")
    world.ok("settle")

    places = {"revenue of SPREAD", "revenue of locked SPREAD", "revenue of SPREAD in the pool"}
    deadline = time.monotonic() + 60
    while True:
        dry = world.ok("claim", "--all", "--as", "publisher", "--dry-run")
        of_spread = {item["what"]: item for item in dry["claims"] if "SPREAD" in item["what"]}
        if of_spread.keys() == places:
            break
        assert time.monotonic() < deadline, dry
        time.sleep(0.3)
    shown = world.ok("portfolio", "publisher")
    # The publisher has more than that where other stories of this world were told before.
    assert "SPREAD" in [each["symbol"] for each in shown["locked"]]
    assert "SPREAD" in [each["symbol"] for each in shown["pooled"]]

    other = world("claim", "bare", "--as", "publisher")
    assert other.code == 0
    assert "elsewhere: revenue of locked SPREAD: " in other.out
    assert "next: tessera claim --all" in other.out

    time.sleep(1)
    taken = world.ok("claim", "spread", "--as", "publisher")
    assert {item["what"] for item in taken["claims"]} == places
    by_what = {item["what"]: int(item["amount"]) for item in taken["claims"]}
    # 700, 200 and 100 of 1,000 shares.
    part = by_what["revenue of SPREAD in the pool"]
    assert abs(by_what["revenue of locked SPREAD"] - 2 * part) <= 2
    assert abs(by_what["revenue of SPREAD"] - 7 * part) <= 10

    # What nobody served in time comes back too.
    back = world.ok("claim", "--all", "--dry-run")["claims"]
    (refund,) = [item for item in back if item["address"] == access]
    assert (refund["what"], refund["amount"]) == (
        f"price of order {order} of SPREAD-5CALLS, not served",
        str(2 * UNIT),
    )
    assert [item["amount"] for item in world.ok("claim", "spread")["claims"]] == [str(2 * UNIT)]
