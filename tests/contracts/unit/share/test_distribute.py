"""Money that reaches a Share streams to its holders, by whatever door it came."""

from __future__ import annotations

import pytest
from rig.compiling import mock
from rig.contract import Contract, refused
from rig.people import Person
from rig.system import DAY, World, deploy_world


@pytest.fixture
def share(world: World, holder: Person) -> Contract:
    return world.new_share(holder)


def test_distribute_takes_the_money_and_streams_it(
    world: World, share: Contract, holder: Person, consumer: Person
) -> None:
    world.fund(consumer, 1_000, spender=share)
    share("distributeRevenue", 1_000, by=consumer.address)
    (event,) = share.events("RevenueDistributed")
    assert event.arguments == {
        "payer": consumer.address,
        "amount": 1_000,
        "streams_until": world.now + DAY,
    }
    assert share("obligations") == 1_000
    assert share("claimable", holder.address) == 0
    world.wait(DAY // 2)
    assert share("claimable", holder.address) == 500
    world.wait(DAY)
    assert share("claimable", holder.address) == 1_000
    assert share("revenue_index") == 1_000


def test_distribute_of_nothing_is_no_event(share: Contract, consumer: Person) -> None:
    share("distributeRevenue", 0, by=consumer.address)
    assert share.events() == []


def test_a_payment_joins_the_stream_at_the_mean_of_both_times(
    world: World, share: Contract
) -> None:
    world.fund(share.address, 1_000)
    assert share("sync") == 1_000
    world.wait(DAY // 2)
    world.fund(share.address, 500)
    assert share("sync") == 500
    streamed, total, last, end = share("revenue_stream")
    assert (streamed, last) == (500, world.now)
    assert total + streamed in {1_500, 2_000}
    assert end == world.now + (DAY // 2 + DAY) // 2


def test_sync_without_anything_new_says_zero(share: Contract) -> None:
    assert share("sync") == 0
    assert share.events() == []


def test_a_fee_in_transit_is_owed_to_nobody(holder: Person, consumer: Person) -> None:
    world = deploy_world(currency=mock("FeeCurrency"), currency_arguments=(6, 1_000))
    share = world.new_share(holder)
    world.fund(consumer, 1_000, spender=share)
    share("distributeRevenue", 1_000, by=consumer.address)
    assert share("obligations") == world.held(share) == 900


def test_a_currency_that_answers_false_is_believed(holder: Person, consumer: Person) -> None:
    world = deploy_world(currency=mock("FalseCurrency"))
    share = world.new_share(holder)
    with refused("share: currency refused the transfer"):
        share("distributeRevenue", 1, by=consumer.address)


def test_more_than_a_word_in_a_lifetime_is_refused(
    world: World, share: Contract, consumer: Person
) -> None:
    world.fund(share.address, 2**96 - 1)
    share("sync")
    world.fund(consumer, 1, spender=share)
    with refused("share: lifetime revenue too large"):
        share("distributeRevenue", 1, by=consumer.address)
    world.fund(share.address, 2**128)
    with refused("share: lifetime revenue too large"):
        share("sync")


def test_a_payment_never_brings_the_end_nearer(world: World, share: Contract) -> None:
    world.fund(share.address, 10**6)
    share("sync")
    for wait in (1, DAY // 3, DAY // 3):
        world.wait(wait)
        end = share("revenue_stream")[3]
        world.fund(share.address, 1)
        share("sync")
        assert share("revenue_stream")[3] == end
