"""The right to use a model, through the program alone: sold, redeemed, refunded, rented, resold."""

from __future__ import annotations

import time
from pathlib import Path

from tests.integration.cli.conftest import Program, wait_served, write_bundle

UNIT = 10**6


def test_access_is_made_bought_redeemed_and_refunded(world: Program, tmp_path: Path) -> None:
    world.ok("publish", write_bundle(tmp_path / "licensed", "licensed"))
    terms = ("--kind", "calls", "--price", "2", "--units", "100", "--calls", "10")
    terms += ("--serve-within", "2s", "--royalty", "5", "--licence", "CC-BY-4.0")
    dry = world.ok("access", "create", "licensed", *terms, "--dry-run")
    assert dry["dry_run"] is True
    assert world.ok("access", "list", "licensed")["products"] == []
    made = world.ok("access", "create", "licensed", *terms)
    access = made["access"]
    (listed,) = world.ok("access", "list", "licensed")["products"]
    assert (listed["price"], listed["per_unit"], listed["left"]) == (str(2 * UNIT), 10, 100)
    assert world.ok("access", "show", "licensed") == {"ok": True, **listed}

    unasked = world("access", "buy", access, "3")
    assert unasked.code == 2
    assert "add --yes" in unasked.err
    preview = world.ok("access", "buy", access, "3", "--dry-run")
    changes = {(effect["symbol"], effect["change"]) for effect in preview["effects"]}
    assert ("LICENSED-10CALLS", "3") in changes
    assert any(change == str(-6 * UNIT) for _, change in changes)
    assert world.ok("access", "show", access)["sold"] == 0
    bought = world.ok("access", "buy", access, "3")
    assert bought["cost"] == preview["cost"] == str(6 * UNIT)
    assert world("access", "redeem", access, "4", "--yes").code == 2
    order = world.ok("access", "redeem", access, "2")["order"]
    (state,) = [o for o in world.ok("access", "orders")["orders"] if o["access"] == access]
    assert (state["order"], state["calls"], state["state"]) == (order, 20, "waiting")

    direct = world.ok("access", "buy", access, "1", "--redeem")
    early = world("access", "refund", f"{access}/{direct['order']}", "--yes")
    assert early.code == 5
    assert "the operator may still serve" in early.err
    deadline = time.monotonic() + 60
    while world("access", "refund", f"{access}/{direct['order']}", "--dry-run").code:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    back = world.ok("access", "refund", f"{access}/{direct['order']}")
    assert back["amount"] == str(2 * UNIT)
    shown = world.ok("access", "order", f"{access}/{direct['order']}")
    assert shown["state"] == "refunded"
    assert world("access", "buy", "0x" + "11" * 20, "--yes").code == 2
    free = ("--kind", "calls", "--calls", "1", "--price", "0", "--units", "9", "--per-account", "1")
    given = world.ok("access", "create", "licensed", *free, "--symbol", "FREE")["access"]
    for_other = world("access", "buy", given, "1", "--for", "holder", "--yes")
    assert (for_other.code, "it buys them itself" in for_other.err) == (2, True)
    assert world.ok("access", "buy", given, "1")["cost"] == "0"


def test_units_are_resold_by_signed_orders(world: Program, tmp_path: Path) -> None:
    world.ok("publish", write_bundle(tmp_path / "resold", "resold"))
    made = world.ok(
        "access", "create", "resold", "--kind", "licence", "--price", "1", "--units", "10",
        "--royalty", "10",
    )  # fmt: skip
    access = made["access"]
    world.ok("access", "buy", access, "4", "--as", "holder")
    dry = world.ok("orders", "sell", access, "4", "--price", "8", "--dry-run")
    assert dry["dry_run"] is True
    assert world.ok("orders", "book", access)["orders"] == []
    order = world.ok("orders", "sell", access, "4", "--price", "8")["order"]
    (entry,) = world.ok("orders", "book", access)["orders"]
    assert (entry["order"], entry["side"], entry["tokens_left"]) == (order, "sell", "4")

    preview = world.ok("orders", "fill", order, "1", "--as", "consumer", "--dry-run")
    by_why = {effect["why"]: int(effect["change"]) for effect in preview["effects"]}
    assert by_why["the price"] == -2 * UNIT
    assert by_why["the creator's royalty"] == UNIT // 5
    assert by_why["the price less the royalty"] == 2 * UNIT - UNIT // 5
    filled = world.ok("orders", "fill", order, "1", "--as", "consumer")
    assert filled["paid"] == str(2 * UNIT)
    assert world.ok("orders", "book", access)["orders"][0]["tokens_left"] == "3"
    # The licence of the consumer is an order of its own now.
    assert world.ok("access", "redeem", access, "1")["order"] == 1

    resold = world.ok(
        "access", "resell", access, "1", "--price", "9", "--as", "holder", "--dry-run"
    )
    assert (resold["side"], resold["amount"]) == ("sell", "1")

    bid = world.ok("orders", "bid", access, "2", "--price", "3", "--as", "consumer")["order"]
    sold = world.ok("orders", "fill", bid, "1", "--as", "holder")
    assert sold["received"] == str(3 * UNIT // 2)
    assert world("orders", "fill", order, "5", "--as", "consumer", "--yes").code == 2
    world.ok("orders", "cancel", order)
    world.ok("orders", "cancel", "--all", "--as", "consumer")
    assert world.ok("orders", "book", access)["orders"] == []
    assert len(world.ok("orders", "book", access, "--all")["orders"]) == 2


def test_shares_have_a_book_too(world: Program, tmp_path: Path) -> None:
    world.ok("publish", write_bundle(tmp_path / "booked", "booked"))
    world.ok("tokenize", "booked", "--supply", "1000", "--period", "1s")
    order = world.ok("orders", "sell", "booked", "10.5", "--price", "21", "--as", "publisher")[
        "order"
    ]
    filled = world.ok("orders", "fill", order, "0.5", "--as", "holder")
    assert filled["paid"] == str(UNIT)
    assert world("orders", "book", "booked").code == 0
    own = world("orders", "fill", order, "1", "--as", "publisher", "--dry-run")
    assert (own.code, "who signed it" in own.err) == (3, True)


def test_a_dry_run_of_a_fill_refuses_what_the_fill_would(world: Program, tmp_path: Path) -> None:
    """A buyer looks at an order that was signed for another, and at one he cannot pay."""
    world.ok("publish", write_bundle(tmp_path / "private", "private"))
    world.ok("tokenize", "private", "--supply", "1000", "--period", "1s")
    sell = ("orders", "sell", "private", "10", "--as", "publisher")
    mine = world.ok(*sell, "--price", "20", "--taker", "holder")["order"]
    dear = world.ok(*sell, "--price", "90000000000")["order"]
    world.ok("orders", "fill", mine, "1", "--as", "holder", "--dry-run")
    other = world("orders", "fill", mine, "1", "--as", "consumer", "--dry-run")
    assert (other.code, "orders book" in other.err) == (3, True)
    poor = world("orders", "fill", dear, "10", "--as", "consumer", "--dry-run")
    assert (poor.code, "base units of the currency" in poor.err) == (2, True)


def test_an_order_pays_for_calls_is_proved_and_rented(world: Program, tmp_path: Path) -> None:
    world.ok("publish", write_bundle(tmp_path / "rented", "rented"))
    wait_served(world, "rented")
    made = world.ok(
        "access", "create", "rented", "--kind", "period", "--price", "3", "--units", "9",
        "--lasts", "30d", "--royalty", "10", "--allows", "inference,commercial",
    )  # fmt: skip
    access = made["access"]
    order = world.ok("access", "buy", "rented", "1", "--redeem")["order"]
    name = "RENTED-30D/1"
    answer = world.ok("call", "rented", "[[1, 2, 3]]", "--order", name)
    assert answer["outputs"] == [{"output": 2.0}]
    assert answer["cost"] == "0"
    assert world.ok("receipt", "verify", answer["receipt"])["verified"] is True
    settled = world.ok("settle")
    assert settled["orders_proved"] == [[access, order]]
    assert settled["orders_paid"] == str(3 * UNIT)
    assert world.ok("access", "order", name)["state"] == "served"
    assert world("access", "refund", name, "--yes").code == 5

    offered = world.ok("access", "rent-out", name, "--price-per-day", "1", "--most", "2d")
    assert offered["most_seconds"] == 2 * 86_400
    dry = world.ok("access", "rent", name, "12h", "--as", "holder", "--dry-run")
    assert sorted(int(effect["change"]) for effect in dry["effects"]) == [
        -UNIT // 2,
        UNIT // 20,
        UNIT * 9 // 20,
    ]
    rented = world.ok("access", "rent", name, "12h", "--as", "holder")
    assert rented["cost"] == dry["cost"] == str(UNIT // 2)
    (mine,) = [o for o in world.ok("access", "orders", "holder")["orders"] if o["access"] == access]
    assert mine["state"] == "rented"
    call = ("call", "rented", "[[4, 5]]", "--order", f"{access}/{order}")
    deadline = time.monotonic() + 60
    while (refused := world(*call)).code == 0:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert "its renter's" in refused.err
    assert world.ok(*call, "--as", "holder")["outputs"] == [{"output": 4.5}]
    other = world("call", "mean-of-none", "[[1]]", "--order", f"{access}/{order}")
    assert other.code != 0
    assert world("call", "rented", "[[1]]", "--order", "nonsense").code == 2
    world.ok("access", "sale", access, "--off")
    closed = world("access", "buy", access, "1", "--yes")
    assert "not on sale" in closed.err


def test_a_product_and_an_order_have_names_that_are_taken_as_they_are_printed(
    world: Program, tmp_path: Path
) -> None:
    """A newcomer typed what `access orders` showed him, and was asked for an address."""
    world.ok("publish", write_bundle(tmp_path / "named", "named"))
    wait_served(world, "named")
    common = ("--price", "1", "--units", "9")
    first = world(
        "access", "create", "named", "--kind", "period", "--lasts", "30d", *common, "--yes"
    )
    assert "sells     9 units of NAMED-30D at 1.00 TUSD, each 30 days" in first.out
    (listed,) = world.ok("access", "list", "named")["products"]
    assert listed["symbol"] == "NAMED-30D"
    assert "must serve within 1 day" in world("access", "show", "named").out
    bought = world("access", "buy", "named", "2", "--redeem", "--yes")
    assert "order     NAMED-30D/1" in bought.out
    world.ok("access", "create", "named", "--kind", "calls", "--calls", "5", *common)
    several = world("access", "show", "named")
    assert (several.code, "NAMED-30D, NAMED-5CALLS" in several.err) == (2, True)

    narrow = world("access", "orders", COLUMNS="30").out
    (name,) = [word for word in narrow.split() if word.startswith("NAMED")]
    assert name == "NAMED-30D/1"
    for given in (name, name.lower(), f"{listed['access']}/1"):
        assert world("access", "order", given).out.startswith(f"order     {name}, ")
    assert world.ok("call", "named", "[[2, 4]]", "--order", name)["outputs"] == [{"output": 3.0}]
    redeemed = world("access", "buy", "named-5calls", "1", "--yes")
    assert "next: tessera access redeem NAMED-5CALLS 1" in redeemed.out
    for nonsense in ("named", "1", "NAMED-30D/one", "/1"):
        refused = world("access", "order", nonsense)
        assert (refused.code, "PRODUCT/NUMBER" in refused.err) == (2, True), nonsense

    # Whoever takes another's symbol makes it nobody's: then both go by their addresses.
    world.ok("access", "create", "named", "--kind", "licence", "--symbol", "NAMED-30D", *common)
    assert world("access", "order", name).code == 2
    assert f"{listed['access']}/1" in world("access", "orders").out

    # What is to be copied is never broken.
    order = world.ok("orders", "sell", "NAMED-5CALLS", "1", "--price", "2", "--as", "consumer")
    book = world("orders", "book", "NAMED-5CALLS", COLUMNS="40").out
    assert order["order"] in book
    assert "NAMED-5CALLS" in book
    dry = world("tokenize", "named", "--dry-run")
    assert ", NAMED-5CALLS, 0x" in dry.out
    assert "+1,000,000 shares of named  made" in dry.out
    unasked = world("tokenize", "named")
    assert (unasked.code, "products by two thirds" in unasked.err) == (2, True)
    world.ok("tokenize", "named", "--supply", "1000")
    dry = world("offer", "named", "--shares", "100", "--price", "1", "--dry-run").out
    assert "-100 shares of named  for sale" in dry


def test_an_operator_honours_what_is_worth_its_work(world: Program, tmp_path: Path) -> None:
    """An audit found that an owner could have an operator's work for nothing, and for good."""
    world.ok("account", "create", "visitor")
    world.ok("publish", write_bundle(tmp_path / "guest", "guest"), "--as", "visitor")
    wait_served(world, "guest")
    make = ("access", "create", "guest", "--kind", "licence", "--units", "9", "--as", "visitor")
    world.ok(*make, "--price", "0", "--per-account", "1", "--symbol", "GIFT")
    world.ok(*make, "--price", "1", "--symbol", "PAID")
    world.ok(*make, "--price", "1", "--symbol", "HASTY", "--serve-within", "200s")
    # A unit is almost as many calls as there can be, for one base unit.
    pack = ("--kind", "calls", "--calls", 2**40 - 1, "--price", "0.000001", "--symbol", "SACK")
    world.ok("access", "create", "guest", "--units", "9", "--as", "visitor", *pack)
    for product in ("GIFT", "PAID", "HASTY", "SACK"):
        world.ok("access", "buy", product, "1", "--redeem")
    rented = world("access", "rent-out", "SACK/1", "--dry-run")
    assert (rented.code, "one of a period or a licence" in rented.err) == (2, True)
    # Of the operator's own people it honours free ones too.
    call = ("call", "guest", "[[1, 2, 3]]", "--order")
    assert world.ok(*call, "GIFT/1")["outputs"] == [{"output": 2.0}]

    (world.data / "keys" / "visitor.json").rename(tmp_path / "visitor.json")
    # The operator looks for keys as often as at the chain.
    deadline = time.monotonic() + 30
    while (free := world(*call, "GIFT/1", "--json")).code == 0:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert free.code == 3
    told = "'0 base units for a call, or for a unit that is none', wanted 1 or more"
    assert told in free.err
    assert told in world(*call, "SACK/1").err
    assert "pay by call" in free.err
    hasty = world(*call, "HASTY/1")
    assert "'a serve window of 200 s', wanted 300 s or more" in hasty.err
    assert world.ok(*call, "PAID/1")["outputs"] == [{"output": 2.0}]


def test_what_cannot_be_is_refused_before_it_is_asked(world: Program, tmp_path: Path) -> None:
    """Dry runs said what would be done where nothing could be, and costs in base units."""
    world.ok("publish", write_bundle(tmp_path / "asked", "asked"))
    make = ("access", "create", "asked", "--price", "1", "--units", "9", "--dry-run", "--kind")
    for kind, said in (
        (("calls",), "--calls: found 0"),
        (("period",), "--lasts: found '0', wanted a time for each unit"),
        (("licence", "--document", tmp_path / "none"), "wanted a file"),
    ):
        refused = world(*make, *kind)
        assert (refused.code, said in refused.err) == (2, True), refused.err
    world.ok(*(word for word in make if word != "--dry-run"), "licence")
    none = world("access", "order", "asked/1")
    assert (none.code, "wanted a product with orders" in none.err) == (2, True)
    redeemed = world("access", "redeem", "asked", "1", "--dry-run")
    assert (redeemed.code, "buy some: tessera access buy" in redeemed.err) == (2, True)
    dear = world("access", "buy", "ASKED-LICENCE", "1", "--max-cost", "0.5", "--dry-run")
    assert (dear.code, "found '1.00 TUSD', wanted at most 0.50 TUSD" in dear.err) == (4, True)
    assert world("market", "pools", "ASKED-LICENCE").code == 2

    world.ok("tokenize", "asked", "--supply", "100")
    unlocked = world("govern", "unlock", "asked", "9", "--dry-run")
    assert (unlocked.code, "tessera govern locks asked" in unlocked.err) == (2, True)
    sale = world.ok("offer", "asked", "--shares", "10", "--price", "1")["sale"]
    listed = world("sales", "list", COLUMNS="60").out
    (line,) = [line for line in listed.splitlines() if sale in line]
    assert line.split()[0] == "asked"
    assert line.rstrip().endswith(" UTC")
