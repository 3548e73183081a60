"""Holders decide, through the program alone: a vote raises a price, and the next call pays it."""

from __future__ import annotations

import time
from pathlib import Path

from tests.integration.cli.conftest import Program, wait_served, write_bundle

PRICE = 10_000
RAISED = 25_000


def wait_state(world: Program, slug: str, number: int, state: str) -> None:
    deadline = time.monotonic() + 60
    while (found := world.ok("govern", "status", slug, str(number))["state"]) != state:
        assert time.monotonic() < deadline, found
        time.sleep(0.3)


def test_a_vote_raises_a_price_and_the_next_call_pays_it(world: Program, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "voted", "voted")
    world.ok("publish", folder, "--cut", "10")
    owners = world("govern", "lock", "voted", "1", "--yes")
    assert "its owner can make them: tessera tokenize voted" in owners.err
    world.ok("tokenize", "voted", "--supply", "1000", "--period", "1s", "--floor", "60")
    wait_served(world, "voted")
    assert world.ok("call", "voted", "[[1, 2, 3]]")["cost"] == str(PRICE)

    # A new version is the holders' to decide about now; the program says how.
    (folder / "model.py").write_text("def predict(rows):\n    return [max(row) for row in rows]\n")
    dry = world.ok("publish", folder, "--dry-run")
    assert dry["needs_proposal"] is True
    refused = world("publish", folder)
    assert refused.code == 3
    assert "tessera govern propose release voted" in refused.err

    world.ok("transfer", "voted", "holder", "600", "--as", "publisher")
    asked = world.ok("govern", "lock", "voted", "600", "--dry-run")
    assert asked["dry_run"]
    assert [each["change"] for each in asked["effects"]] == [str(-600 * 10**18), str(600 * 10**18)]
    unasked = world("govern", "lock", "voted", "600")
    assert (unasked.code, "add --yes" in unasked.err) == (2, True)
    world.ok("govern", "lock", "voted", "600")
    world.ok("govern", "lock", "voted", "100", "--as", "publisher")
    (lock,) = world.ok("govern", "locks", "voted")["locks"]
    assert lock["amount"] == str(600 * 10**18)

    time.sleep(1.2)
    raised = ("govern", "propose", "endpoint", "voted", "--price", "0.025")
    preview = world.ok(*raised, "--dry-run")
    assert preview["grave"] is False
    assert {
        "thing": "price per call",
        "before": str(PRICE),
        "after": str(RAISED),
        "unit": "units",
    } in (preview["changes"])
    told = world(*raised, "--dry-run").out
    assert "price per call: 0.01 TUSD -> 0.025 TUSD" in told
    number = world.ok(*raised, "--title", "dearer")["proposal"]
    again = world("govern", "propose", "close", "voted", "--yes")
    assert (again.code, "wait until it is over" in again.err) == (5, True)

    shown = world.ok("govern", "vote", "voted", str(number), "yes", "--dry-run")
    assert shown["locks"] == [1]
    voted = world.ok("govern", "vote", "voted", str(number), "yes")
    assert voted["weight"] == str(600 * 10**18)
    # What is told is what the chain has behind the vote, not what it had before.
    assert (voted["yes"], voted["no"], voted["state"]) == (str(600 * 10**18), "0", "voting")
    against = world("govern", "vote", "voted", str(number), "no", "--as", "publisher", "--yes")
    assert "votes     600 yes, 100 no" in against.out
    assert "votes " not in against.err
    early = world("govern", "execute", "voted", str(number), "--dry-run")
    assert "look at its state and times" in early.err
    held = world("govern", "unlock", "voted", "1", "--yes")
    assert held.code == 5
    wait_state(world, "voted", number, "ready")
    done = world("govern", "execute", "voted", str(number), "--as", "consumer", "--yes")
    assert done.out.splitlines()[-1] == "executed"
    assert "ready" not in done.out + done.err
    (listed,) = world.ok("govern", "list", "voted")["proposals"]
    assert (listed["state"], listed["title"]) == ("executed", "dearer")

    deadline = time.monotonic() + 30
    while (cost := world.ok("call", "voted", "[[1, 2, 3]]")["cost"]) != str(RAISED):
        assert time.monotonic() < deadline, cost
        time.sleep(0.5)
    # Locked shares earned all the while, and come back with one command.
    world.ok("settle")
    time.sleep(1.2)
    assert int(world.ok("govern", "claim", "voted")["amount"]) > 0
    freed = world.ok("govern", "unlock", "voted", "1")
    assert freed["amount"] == str(600 * 10**18)


def test_a_treasury_is_filled_and_spent_by_vote(world: Program, tmp_path: Path) -> None:
    world.ok("publish", write_bundle(tmp_path / "funded", "funded"), "--cut", "10")
    world.ok("tokenize", "funded", "--supply", "100", "--period", "1s")
    mine = ("--as", "publisher")
    world.ok("govern", "lock", "funded", "100", *mine)
    world.ok("govern", "deposit", "funded", "5", *mine)
    assert world.ok("govern", "treasury", "funded")["treasury"] == str(5 * 10**6)
    time.sleep(1.2)
    paid = world.ok("govern", "propose", "pay", "funded", "consumer", "2", *mine)
    thing = {change["thing"]: (change["before"], change["after"]) for change in paid["changes"]}
    assert thing["treasury"] == (str(5 * 10**6), str(3 * 10**6))
    number = paid["proposal"]
    world.ok("govern", "vote", "funded", str(number), "yes", *mine)
    wait_state(world, "funded", number, "ready")
    world.ok("govern", "execute", "funded", str(number), *mine)
    assert world.ok("govern", "treasury", "funded")["treasury"] == str(3 * 10**6)

    missing = world("govern", "status", "funded", "9")
    assert missing.code == 2
    assert "tessera govern list" in missing.err
    grave = world.ok("govern", "propose", "discount", "funded", "0", *mine, "--dry-run")
    assert grave["grave"] is False
    world.ok("govern", "propose", "licence", "funded", "--document", "0x" + "11" * 32, *mine)
    world.ok("govern", "cancel", "funded", "2", *mine)
    states = [each["state"] for each in world.ok("govern", "list", "funded")["proposals"]]
    assert states == ["executed", "cancelled"]


def test_holders_give_who_locked_shares_a_discount(world: Program, tmp_path: Path) -> None:
    world.ok("publish", write_bundle(tmp_path / "cheaper", "cheaper"), "--cut", "10")
    world.ok(
        "tokenize", "cheaper", "--supply", "100", "--period", "1s", "--floor", "40",
        "--max-discount", "30",
    )  # fmt: skip
    wait_served(world, "cheaper")
    mine = ("--as", "publisher")
    world.ok("transfer", "cheaper", "consumer", "5", *mine)
    world.ok("govern", "lock", "cheaper", "95", *mine)
    time.sleep(1.2)
    given = world.ok(
        "govern", "propose", "discount", "cheaper", "20", "--min-locked", "5", *mine
    )  # fmt: skip
    assert given["grave"] is True
    number = str(given["proposal"])
    world.ok("govern", "vote", "cheaper", number, "yes", *mine)
    world.ok("govern", "lock", "cheaper", "5", "--as", "consumer")
    wait_state(world, "cheaper", given["proposal"], "ready")
    world.ok("govern", "execute", "cheaper", number, *mine)
    deadline = time.monotonic() + 30
    while (answer := world("call", "cheaper", "[[1, 2, 3]]", "--holders", "--json")).code or (
        answer.json["cost"] != str(PRICE * 8 // 10)
    ):
        assert time.monotonic() < deadline, answer.err
        time.sleep(0.5)
    # Everybody else pays what everybody pays, and is told so under the terms of lockers.
    assert world.ok("call", "cheaper", "[[1, 2, 3]]", "--as", "holder")["cost"] == str(PRICE)
    refused = world("call", "cheaper", "[[1, 2, 3]]", "--holders", "--as", "holder")
    assert refused.code == 3, refused.err
    assert "raw shares locked" in refused.err


def test_anyone_binds_an_operator_to_a_parent_that_was_voted_in(
    world: Program, tmp_path: Path
) -> None:
    """A voted parent binds new terms only: without a command the royalty waited for a listing."""
    world.ok("publish", write_bundle(tmp_path / "elder", "elder"))
    world.ok("publish", write_bundle(tmp_path / "younger", "younger"), "--cut", "10")
    world.ok("tokenize", "younger", "--supply", "100", "--period", "1s", "--floor", "40")
    assert world.ok("govern", "renew", "younger")["operators"] == []
    mine = ("--as", "publisher")
    world.ok("govern", "lock", "younger", "100", *mine)
    time.sleep(1.2)
    number = world.ok("govern", "propose", "parent", "younger", "elder", "5", *mine)["proposal"]
    world.ok("govern", "vote", "younger", str(number), "yes", *mine)
    wait_state(world, "younger", number, "ready")
    world.ok("govern", "execute", "younger", str(number), *mine)

    dry = world("govern", "renew", "younger", "--as", "consumer", "--dry-run")
    assert "will owe royalties to elder" in dry.out
    unasked = world("govern", "renew", "younger")
    assert (unasked.code, "add --yes" in unasked.err) == (2, True)
    before = world.ok("assets", "show", "younger")["endpoints"][0]
    assert world.ok("govern", "renew", "younger", "--operator", "holder")["operators"] == []
    done = world.ok("govern", "renew", "younger", "--as", "consumer")
    assert done["operators"] == [before["operator"]]
    after = world.ok("assets", "show", "younger")["endpoints"][0]
    assert after == {**before, "terms": before["terms"] + 1}
    assert "know all of its parents" in world("govern", "renew", "younger").out


def test_holders_vote_for_what_is_sold_of_their_asset(world: Program, tmp_path: Path) -> None:
    """The command that made a product for the owner proposes one to the holders, in full."""
    world.ok("publish", write_bundle(tmp_path / "shared", "shared"), "--cut", "10")
    world.ok("tokenize", "shared", "--supply", "100", "--period", "1s")
    mine = ("--as", "publisher")
    world.ok("govern", "lock", "shared", "100", *mine)
    time.sleep(1.2)
    terms = ("--kind", "calls", "--price", "2", "--units", "100", "--licence", "CC-BY-4.0")
    worthless = world("access", "create", "shared", *terms, *mine, "--yes")
    assert (worthless.code, "--calls: found 0" in worthless.err) == (2, True)
    create = ("access", "create", "shared", *terms, "--calls", "10", *mine)
    # What no vote could make is not put to one.
    unlimited = world(*create, "--price", "0", "--yes")
    assert (unlimited.code, "limit for each account" in unlimited.err) == (5, True)
    told = world(*create, "--dry-run").out
    assert "two thirds of the supply, and waits for the exit delay: rights once sold" in told
    assert "a unit is: none -> 10 calls" in told
    proposed = world.ok(*create)
    assert (proposed["kind"], proposed["grave"]) == ("product", True)
    number = proposed["proposal"]
    shown = world("govern", "vote", "shared", str(number), "yes", *mine, "--dry-run").out
    for line in ("price of a unit: none -> 2.00 TUSD", "units in all: none -> 100",
                 "allows: none -> inference", "licence: none -> CC-BY-4.0"):  # fmt: skip
        assert line in shown, shown
    world.ok("govern", "vote", "shared", str(number), "yes", *mine)
    wait_state(world, "shared", number, "ready")
    world.ok("govern", "execute", "shared", str(number))
    (made,) = world.ok("access", "list", "shared")["products"]
    assert (made["per_unit"], made["left"], made["on_sale"]) == (10, 100, True)

    stop = world.ok("access", "sale", made["access"], "--off", *mine)
    assert (stop["kind"], stop["grave"]) == ("sale", False)
    assert {"thing": "its units are", "before": "on sale", "after": "not on sale", "unit": ""} in (
        stop["changes"]
    )
    world.ok("govern", "vote", "shared", str(stop["proposal"]), "yes", *mine)
    wait_state(world, "shared", stop["proposal"], "ready")
    world.ok("govern", "execute", "shared", str(stop["proposal"]))
    assert world.ok("access", "show", made["access"])["on_sale"] is False
    again = world.ok("access", "sale", made["access"], "--on", *mine, "--dry-run")
    assert (again["dry_run"], again["grave"]) == (True, True)
