"""What a buyer wants to know of a Share: supply, unlocking, holders, revenue, from the chain."""

from __future__ import annotations

import pytest
from rig.compiling import compiled
from rig.contract import Contract, deployed, refused
from rig.governing import SUPPLY, Council, open_council
from rig.people import Person, person
from rig.system import (
    DAY,
    LENS_EPOCH,
    ONE_SHARE,
    OPEN_TO_ALL,
    World,
    deploy_world,
)


@pytest.fixture
def council() -> Council:
    return open_council(parts=(400, 200), locked=False)


@pytest.fixture
def world(council: Council) -> World:
    return council.world


@pytest.fixture
def lens(world: World) -> Contract:
    return world.lens


def vest(council: Council, who: Person, shares: int, *, days: int = 100) -> str:
    """Lock shares of the publisher for somebody, unlocking in a straight line from now on."""
    council.share("approve", council.world.launchpad, shares, by=council.publisher.address)
    schedule = (who.address, shares, council.world.now, 0, days * DAY)
    (address,) = council.world.launchpad(
        "vest", council.asset, [schedule], by=council.publisher.address
    )
    return str(address)


def earn(council: Council, amount: int) -> None:
    """Let a payment stream to the holders until it is over."""
    council.world.fund(council.share.address, amount)
    council.share("sync")
    council.world.wait(DAY)


def test_every_share_is_somewhere(council: Council, lens: Contract, world: World) -> None:
    holder, publisher = council.holders[0], council.publisher
    vest(council, person("contributor"), 50 * ONE_SHARE)
    council.lock(holder, 100 * ONE_SHARE)
    council.share("approve", world.exchange, 20 * ONE_SHARE, by=publisher.address)
    world.fund(publisher, 1_000_000, spender=world.exchange)
    arguments = (council.share, 20 * ONE_SHARE, 1_000_000, 1, publisher.address, 0)
    world.exchange("open_pool", *arguments, by=publisher.address)

    total, for_sale, vesting, pooled, locked, circulating = lens("supply_of", council.asset)

    assert total == SUPPLY
    assert (for_sale, vesting, pooled) == (0, 50 * ONE_SHARE, 20 * ONE_SHARE)
    assert locked == 100 * ONE_SHARE
    assert circulating == SUPPLY - 70 * ONE_SHARE


def test_shares_for_sale_do_not_circulate(council: Council, lens: Contract, world: World) -> None:
    council.share("approve", world.launchpad, 30 * ONE_SHARE, by=council.publisher.address)
    times = (world.now, world.now + DAY)
    sale = (council.publisher.address, 10, 30 * ONE_SHARE, 0, 30 * ONE_SHARE, *times, *OPEN_TO_ALL)
    world.launchpad("offer", council.asset, sale, by=council.publisher.address)
    total, for_sale, *_, circulating = lens("supply_of", council.asset)
    assert for_sale == 30 * ONE_SHARE
    assert circulating == total - 30 * ONE_SHARE


def test_the_calendar_says_what_is_locked_when(council: Council, lens: Contract) -> None:
    made = sorted(
        vest(council, person(name), 50 * ONE_SHARE, days=days)
        for name, days in (("contributor", 100), ("second contributor", 50))
    )
    now = council.world.now
    times = [now, now + 50 * DAY, now + 75 * DAY, now + 200 * DAY]
    locked, left_out = lens("unlock_calendar", council.asset, made, times)
    assert list(locked) == [100 * ONE_SHARE, 25 * ONE_SHARE, 25 * ONE_SHARE // 2, 0]
    assert left_out == 0


def test_a_calendar_that_hides_a_vesting_shows_it(council: Council, lens: Contract) -> None:
    """A publisher shows buyers a calendar without the team's grant, which unlocks tomorrow."""
    shown = vest(council, person("contributor"), 10 * ONE_SHARE)
    vest(council, person("team"), 90 * ONE_SHARE, days=1)
    _, left_out = lens("unlock_calendar", council.asset, [shown], [])
    assert left_out == 90 * ONE_SHARE


def test_shares_sent_to_a_listed_vesting_hide_no_other(council: Council, lens: Contract) -> None:
    """The publisher sends as many shares to the vesting that is shown as are in the hidden one.

    The calendar once compared balances with what lies in vestings, so it looked complete; and the
    shares were no sacrifice, for what comes on top of a grant is released at once.
    """
    shown = vest(council, person("contributor"), 10 * ONE_SHARE)
    vest(council, person("team"), 90 * ONE_SHARE, days=1)
    council.share("transfer", shown, 90 * ONE_SHARE, by=council.publisher.address)
    locked, left_out = lens("unlock_calendar", council.asset, [shown], [council.world.now])
    assert (list(locked), left_out) == ([10 * ONE_SHARE], 90 * ONE_SHARE)
    # Nor later, when a part was released and shares come to an empty place.
    council.world.wait(200 * DAY)
    Contract(council.world.engine, compiled("Vesting"), shown)("release")
    council.share("transfer", shown, 10 * ONE_SHARE, by=council.publisher.address)
    assert lens("unlock_calendar", council.asset, [shown], [])[1] == 90 * ONE_SHARE


def test_no_vesting_counts_twice_or_for_another_asset(council: Council, lens: Contract) -> None:
    """A list that names one grant twice would make up for another that it leaves out."""
    shown = vest(council, person("contributor"), 10 * ONE_SHARE)
    other = open_council(council.world, locked=False)
    with refused("lens: list is not in rising order"):
        lens("unlock_calendar", council.asset, [shown, shown], [])
    with refused("lens: not a vesting of this asset"):
        lens("unlock_calendar", other.asset, [shown], [])
    with refused("lens: not a vesting of this asset"):
        lens("holdings_of", council.asset, [], [council.holders[0].address])


def test_holdings_are_looked_at_through_votes_and_vestings(
    council: Council, lens: Contract
) -> None:
    first, second = council.holders
    council.lock(first, 300 * ONE_SHARE)
    grant = vest(council, second, 50 * ONE_SHARE)
    listed = sorted((first, second), key=lambda who: int(who.address, 16))
    holdings, rest = lens("holdings_of", council.asset, [who.address for who in listed], [grant])
    found = {holding[0].lower(): holding[1:] for holding in holdings}
    assert found[first.address] == (100 * ONE_SHARE, 300 * ONE_SHARE, 0)
    assert found[second.address] == (200 * ONE_SHARE, 0, 50 * ONE_SHARE)
    assert rest == SUPPLY - 650 * ONE_SHARE


def test_nobody_unlisted_has_more_than_the_rest(council: Council, lens: Contract) -> None:
    holder = council.holders[0]
    _, rest = lens("holdings_of", council.asset, [holder.address], [])
    others = [council.publisher, council.holders[1]]
    assert all(council.share("balanceOf", who.address) <= rest for who in others)
    assert rest == sum(council.share("balanceOf", who.address) for who in others)


def test_contracts_that_hold_for_others_are_no_holders(
    council: Council, lens: Contract, world: World
) -> None:
    """A publisher lists the Governor as a holder, so that its locks count for nobody else."""
    grant = vest(council, person("contributor"), ONE_SHARE)
    for account in (world.governor.address, world.exchange.address, grant):
        with refused("lens: that account holds for others"):
            lens("holdings_of", council.asset, [account], [])
    holder = council.holders[0].address
    with refused("lens: list is not in rising order"):
        lens("holdings_of", council.asset, [holder, holder], [])


def test_revenue_is_told_by_epoch(council: Council, lens: Contract, keeper: Person) -> None:
    assert lens("mark", council.asset, by=keeper.address) is True
    first = council.world.now // LENS_EPOCH
    earn(council, 1_000)
    council.world.wait(LENS_EPOCH)
    assert lens("mark", council.asset, by=keeper.address) is True
    (event,) = lens.events("Marked")
    assert event.arguments["revenue"] == 1_000
    council.world.wait(3 * LENS_EPOCH)
    assert lens("mark", council.asset, by=keeper.address) is True

    marks = lens("revenue_marks", council.asset, first, 10)

    assert [revenue for _, _, revenue, _ in marks] == [0, 1_000, 1_000]
    assert [epoch for epoch, *_ in marks] == sorted({epoch for epoch, *_ in marks})
    assert all(time // LENS_EPOCH == epoch for epoch, time, *_ in marks)


def test_the_first_mark_of_an_epoch_stays(
    council: Council, lens: Contract, attacker: Person
) -> None:
    """A publisher writes a late mark over an early one, to move revenue into another epoch."""
    council.world.wait(LENS_EPOCH - council.world.now % LENS_EPOCH)
    lens("mark", council.asset)
    before = lens("revenue_marks", council.asset, council.world.now // LENS_EPOCH, 1)
    council.world.fund(council.share.address, 500)
    council.share("sync")
    council.world.wait(LENS_EPOCH // 2)
    assert lens("mark", council.asset, by=attacker.address) is False
    assert lens.events() == []
    assert lens("revenue_marks", council.asset, council.world.now // LENS_EPOCH, 1) == before


def test_now_needs_no_mark(council: Council, lens: Contract) -> None:
    earn(council, 750)
    epoch, time, revenue, demand = lens("revenue_now", council.asset)
    assert (epoch, time) == (council.world.now // LENS_EPOCH, council.world.now)
    assert (revenue, demand) == (750, 0)


def test_an_asset_without_a_share_has_no_figures(world: World, lens: Contract) -> None:
    asset = world.publish(person("publisher"))
    for name, arguments in (
        ("supply_of", ()),
        ("mark", ()),
        ("revenue_now", ()),
        ("holdings_of", ([], [])),
        ("unlock_calendar", ([], [])),
    ):
        with refused("lens: asset is not tokenized"):
            lens(name, asset, *arguments)


def test_an_epoch_has_a_length() -> None:
    world = deploy_world(governed=True)
    parts = [getattr(world, name) for name in ("registry", "launchpad", "exchange", "governor")]
    for epoch in (0, 365 * DAY + 1):
        with refused("lens: epoch out of range"):
            deployed(
                world.engine, compiled("Lens"), *parts, world.channels, epoch,
                by=person("deployer").address,
            )  # fmt: skip
    assert world.lens("epoch_length") == LENS_EPOCH
