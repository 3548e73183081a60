"""Buying, the soft cap, refunds, and what goes back to the publisher."""

from __future__ import annotations

from typing import Any

from rig.clones import clone
from rig.compiling import compiled, mock
from rig.contract import NOBODY, Contract, deployed, refused
from rig.people import Person
from rig.system import DAY, ONE_SHARE, OPEN_TO_ALL, World, deploy_world

# The fixtures `store` and `later_store` (a Store) come from conftest.py beside this file.
Store = Any


def test_below_the_soft_cap_money_and_shares_wait(store: Store, buyer: Person) -> None:
    assert store.buy(buyer, 100) == 200_000_000
    (event,) = store.offering.events()
    assert event.name == "Bought"
    assert event.arguments == {
        "buyer": buyer.address,
        "amount": 100 * ONE_SHARE,
        "cost": 200_000_000,
    }
    assert store.shares_of(buyer) == 0
    assert store.world.held(store.offering) == 200_000_000
    assert store.offering("withdraw_proceeds", by=store.publisher.address) == 0
    with refused("offering: not final"):
        store.offering("collect", buyer.address)
    with refused("offering: not final"):
        store.offering("claim", by=buyer.address)


def test_the_purchase_that_reaches_the_soft_cap_makes_all_final(
    store: Store, buyer: Person, holder: Person, keeper: Person
) -> None:
    store.buy(buyer, 300)
    store.buy(holder, 100)
    assert [event.name for event in store.offering.events()] == ["Bought", "BecameFinal"]
    assert store.offering.events("BecameFinal")[0].arguments == {
        "sold": 400 * ONE_SHARE,
        "raised": 800_000_000,
    }
    assert store.shares_of(holder) == 100
    assert store.offering("collect", buyer.address, by=keeper.address) == 300 * ONE_SHARE
    assert store.offering.events("Collected")[0].arguments == {
        "buyer": buyer.address,
        "amount": 300 * ONE_SHARE,
    }
    assert store.shares_of(buyer) == 300
    with refused("offering: nothing to collect"):
        store.offering("collect", buyer.address)
    to = keeper.address
    assert store.offering("withdraw_proceeds", to, by=store.publisher.address) == 800_000_000
    (event,) = store.offering.events()
    assert event.arguments["amount"] == 800_000_000
    assert store.world.held(keeper) == 800_000_000
    store.buy(holder, 1)
    assert store.shares_of(holder) == 101
    assert store.offering("proceeds") == 2_000_000


def test_a_sale_that_missed_its_cap_gives_everything_back(
    store: Store, buyer: Person, holder: Person, keeper: Person
) -> None:
    store.buy(buyer, 300)
    store.buy(holder, 50)
    with refused("offering: no refunds"):
        store.offering("refund", by=buyer.address)
    with refused("offering: not over yet"):
        store.offering("return_unsold")
    store.world.wait(7 * DAY)
    with refused("offering: over"):
        store.buy(buyer, 50)
    store.world.currency("burn", buyer.address, store.world.held(buyer))
    assert store.offering("refund", by=buyer.address) == 600_000_000
    assert store.offering.events()[0].name == "Refunded"
    assert store.offering("refund_for", holder.address, by=keeper.address) == 100_000_000
    assert store.world.held(holder) == 100_000_000
    with refused("offering: nothing to refund"):
        store.offering("refund", by=buyer.address)
    assert store.offering("return_unsold", by=keeper.address) == 1_000 * ONE_SHARE
    assert store.offering.events()[0].name == "UnsoldReturned"
    assert store.shares_of(store.publisher) == 1_000
    with refused("offering: returned already"):
        store.offering("return_unsold")


def test_a_refund_goes_where_the_buyer_says(store: Store, buyer: Person, keeper: Person) -> None:
    store.buy(buyer, 1)
    store.world.wait(7 * DAY)
    store.offering("refund", keeper.address, by=buyer.address)
    assert store.world.held(keeper) == 2_000_000


def test_unsold_shares_of_a_final_sale_go_back_after_the_end(store: Store, buyer: Person) -> None:
    store.buy(buyer, 400)
    store.world.wait(7 * DAY)
    with refused("offering: no refunds"):
        store.offering("refund", by=buyer.address)
    assert store.offering("return_unsold") == 600 * ONE_SHARE


def test_a_sale_opens_at_its_time(later_store: Store, buyer: Person) -> None:
    with refused("offering: not open yet"):
        later_store.buy(buyer, 1)
    later_store.world.wait(DAY)
    later_store.buy(buyer, 1)


def test_what_cannot_be_sold_is_refused(store: Store, buyer: Person, holder: Person) -> None:
    store.world.fund(buyer, 10**12, spender=store.offering)

    def refuse(reason: str, amount: int, receiver: str) -> None:
        with refused(reason):
            store.offering("buy", amount, receiver, by=buyer.address)

    refuse("offering: not that many shares left", 0, buyer.address)
    refuse("offering: not that many shares left", 1_001 * ONE_SHARE, buyer.address)
    refuse("sale: above the cap for one buyer", 600 * ONE_SHARE + 1, buyer.address)
    refuse("offering: the publisher cannot buy", 1, store.publisher.address)
    refuse("sale: receiver is the zero address", 1, NOBODY)
    store.offering("buy", 500 * ONE_SHARE, by=buyer.address)
    refuse("sale: above the cap for one buyer", 100 * ONE_SHARE + 1, buyer.address)
    with refused("offering: only the publisher"):
        store.offering("withdraw_proceeds", by=buyer.address)


def test_the_price_is_rounded_up(store: Store, buyer: Person) -> None:
    assert store.offering("preview_buy", 1) == 1
    assert store.offering("preview_buy", ONE_SHARE) == 2_000_000
    assert store.offering("preview_buy", ONE_SHARE + 1) == 2_000_001


def test_revenue_of_waiting_shares_is_their_owners(
    store: Store, buyer: Person, holder: Person
) -> None:
    def claimable(who: str, whole: int) -> None:
        # The index rounds down, so a sum that would divide evenly may wait for its last unit.
        assert store.offering("claimable", who) in {whole - 1, whole}

    store.buy(buyer, 200)
    store.pay_holders(1_000)
    publisher = store.publisher.address
    claimable(publisher, 800)
    assert store.offering("claimable", buyer.address) == 0
    store.buy(holder, 200)
    claimable(buyer.address, 200)
    store.pay_holders(1_000)
    claimable(buyer.address, 400)
    paid = store.offering("claim", by=buyer.address)
    assert paid in {399, 400}
    (event,) = store.offering.events("RevenueClaimed")
    assert event.arguments == {
        "account": buyer.address,
        "receiver": buyer.address,
        "amount": paid,
    }
    claimable(publisher, 800 + 600)
    assert store.share("claimable", holder.address) == 200
    store.offering("collect", buyer.address)
    assert store.offering("claim", by=buyer.address) == 0


def test_revenue_of_a_failed_sale_is_the_publishers(store: Store, buyer: Person) -> None:
    store.buy(buyer, 200)
    store.pay_holders(1_000)
    store.world.wait(7 * DAY)
    store.offering("refund", by=buyer.address)
    store.offering("return_unsold")
    assert store.offering("claim", by=store.publisher.address) == 1_000
    with refused("offering: not final"):
        store.offering("claim", by=buyer.address)
    assert store.world.held(store.offering) == 0


def test_revenue_after_everything_is_sold_and_collected_is_the_publishers(
    store: Store, buyer: Person, holder: Person
) -> None:
    store.buy(buyer, 399)
    store.world.fund(store.share.address, 10**6)
    store.share("sync")
    store.world.wait(DAY // 2)
    store.buy(holder, 600)
    store.offering("collect", buyer.address)
    store.buy(buyer, 1)
    assert store.share("balanceOf", store.offering.address) == 0
    store.world.wait(DAY)
    total = sum(
        store.offering("claim", by=who)
        for who in (store.publisher.address, buyer.address, holder.address)
    )
    assert total >= 10**6 // 2 - 3


def test_a_currency_that_blocks_the_offering_keeps_nobody_from_shares(
    publisher: Person, buyer: Person, attacker: Person
) -> None:
    world = deploy_world(currency=mock("BlacklistCurrency"))
    asset = world.publish(publisher)
    share = world.tokenize(asset, publisher, supply=1_000 * ONE_SHARE, period=DAY)
    share("approve", world.launchpad, 2**256 - 1, by=publisher.address)
    sale = (
        publisher.address,
        1,
        10 * ONE_SHARE,
        5 * ONE_SHARE,
        10 * ONE_SHARE,
        world.now,
        world.now + DAY,
        *OPEN_TO_ALL,
    )
    address = world.launchpad("offer", asset, sale, by=publisher.address)
    offering = Contract(world.engine, compiled("Offering"), address)
    world.fund(buyer, 100, spender=offering)
    offering("buy", ONE_SHARE, by=buyer.address)
    offering("buy", 4 * ONE_SHARE, by=buyer.address)
    world.fund(share.address, 1_000)
    share("sync")
    world.wait(DAY)
    world.currency("set_blocked", offering.address, True)
    # Whoever leaves now leaves revenue behind, so nobody may push another out.
    with refused("offering: revenue is held up; only the buyer may forgo it"):
        offering("collect", buyer.address, by=attacker.address)
    world.wait(DAY)
    with refused("offering: revenue is held up; only the publisher may forgo it"):
        offering("return_unsold", by=attacker.address)
    assert offering("collect", buyer.address, by=buyer.address) == ONE_SHARE
    assert offering("return_unsold", by=publisher.address) == 5 * ONE_SHARE
    assert share("claimable", offering.address) > 0


def test_a_fee_in_transit_buys_nothing(publisher: Person, buyer: Person) -> None:
    world = deploy_world(currency=mock("FeeCurrency"), currency_arguments=(6, 100))
    asset = world.publish(publisher)
    share = world.tokenize(asset, publisher)
    share("approve", world.launchpad, 2**256 - 1, by=publisher.address)
    terms = (
        publisher.address,
        10**6,
        ONE_SHARE,
        0,
        ONE_SHARE,
        world.now,
        world.now + DAY,
        *OPEN_TO_ALL,
    )
    address = world.launchpad("offer", asset, terms, by=publisher.address)
    offering = Contract(world.engine, compiled("Offering"), address)
    world.fund(buyer, 10**7, spender=offering)
    with refused("sale: currency takes a fee"):
        offering("buy", ONE_SHARE, by=buyer.address)


def test_a_currency_that_answers_false_is_believed(publisher: Person, buyer: Person) -> None:
    world = deploy_world(currency=mock("FalseCurrency"))
    asset = world.publish(publisher)
    share = world.tokenize(asset, publisher)
    share("approve", world.launchpad, 2**256 - 1, by=publisher.address)
    terms = (
        publisher.address,
        10**6,
        ONE_SHARE,
        0,
        ONE_SHARE,
        world.now,
        world.now + DAY,
        *OPEN_TO_ALL,
    )
    address = world.launchpad("offer", asset, terms, by=publisher.address)
    offering = Contract(world.engine, compiled("Offering"), address)
    with refused("sale: currency refused the transfer"):
        offering("buy", ONE_SHARE, by=buyer.address)
    world.fund(buyer, 10**6, spender=offering)
    offering("buy", ONE_SHARE // 2, by=buyer.address)
    world.currency("set_refuses", True)
    with refused("sale: currency refused the transfer"):
        offering("withdraw_proceeds", by=publisher.address)


def _offering_over(world: World, share: Contract, publisher: Person) -> Contract:
    implementation = deployed(
        world.engine, compiled("Offering"), world.launchpad, world.exchange, by=publisher.address
    )
    return clone(
        implementation,
        share.address,
        publisher.address,
        10**6,
        ONE_SHARE,
        ONE_SHARE,
        world.now | (world.now + DAY) << 40,
        0,
        by=publisher,
    )


def test_an_offering_believes_only_what_it_holds(
    world: World, publisher: Person, attacker: Person, store: Store
) -> None:
    empty = _offering_over(world, store.share, publisher)
    with refused("offering: shares are not here"):
        empty("initialize", by=attacker.address)
    with refused("offering: initialized already"):
        store.offering("initialize", by=attacker.address)


def test_a_share_that_answers_false_is_believed(
    world: World, publisher: Person, buyer: Person
) -> None:
    share = deployed(world.engine, mock("FalseShare"), world.currency, by=publisher.address)
    offering = _offering_over(world, share, publisher)
    offering("initialize")
    world.fund(buyer, 10**6, spender=offering)
    with refused("sale: share refused the transfer"):
        offering("buy", ONE_SHARE, by=buyer.address)


def test_the_terms_can_be_read(store: Store) -> None:
    now = store.world.now
    assert store.offering("terms") == (
        store.share.address,
        store.publisher.address,
        2_000_000,
        1_000 * ONE_SHARE,
        400 * ONE_SHARE,
        600 * ONE_SHARE,
        now,
        now + 7 * DAY,
    )
