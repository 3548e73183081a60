"""Somebody wants to use, or be paid for, one unit of Access twice.

A holder redeems a unit again, redeems what it sold, takes its money back after the asset's holders
were paid, or lets the operator be paid after the money went back. An operator proves an order with
the signature of another order, another consumer, another product, another chain, or with one that
it has used before (Ocean's provider fee, which binds no order, was replayed so). An operator that
never serves tries to keep the money.
"""

from __future__ import annotations

from typing import Any

import pytest
from rig.contract import refused
from rig.people import Person
from rig.shop import PRICE, Shop, open_shop
from rig.system import DAY, World


@pytest.fixture
def shop(world: World) -> Shop:
    return open_shop(world)


def test_a_unit_redeemed_twice(shop: Shop, attacker: Person) -> None:
    shop.world.fund(attacker, PRICE, spender=shop.access)
    shop.access("buy", 1, by=attacker.address)
    shop.access("redeem", 1, by=attacker.address)
    with refused("erc20: balance too low"):
        shop.access("redeem", 1, by=attacker.address)


def test_a_unit_sold_and_redeemed(shop: Shop, attacker: Person, buyer: Person) -> None:
    """It sells the unit and redeems it in the same breath: one of the two fails."""
    shop.world.fund(attacker, PRICE, spender=shop.access)
    shop.access("buy", 1, by=attacker.address)
    shop.access("approve", buyer.address, 1, by=attacker.address)
    shop.access("redeem", 1, by=attacker.address)
    with refused("erc20: balance too low"):
        shop.access("transferFrom", attacker.address, buyer.address, 1, by=buyer.address)


def test_a_refund_after_the_holders_were_paid(shop: Shop, keeper: Person) -> None:
    order = shop.served()
    assert shop.access("flush", by=keeper.address) == PRICE
    shop.world.wait(2 * DAY)
    with refused("access: served already"):
        shop.access("refund", order, by=shop.consumer.address)


def test_a_proof_after_the_money_went_back(shop: Shop) -> None:
    order = shop.order()
    use = shop.use(order, shop.consumer)
    shop.access("decline", order, by=shop.operator.address)
    assert shop.prove(use) == 0
    assert shop.access("flush") == 0
    with refused("access: given up already"):
        shop.access("refund", order, by=shop.consumer.address)


def test_a_refund_taken_twice_out_of_others_money(shop: Shop) -> None:
    order = shop.order()
    shop.order()
    shop.world.wait(DAY + 1)
    shop.access("refund", order, by=shop.consumer.address)
    with refused("access: given up already"):
        shop.access("refund", order, by=shop.consumer.address)
    assert shop.world.held(shop.access) == shop.access("backing") == PRICE


def test_proved_with_the_use_of_another_order(shop: Shop) -> None:
    """The consumer used the first order; the operator says it was the second."""
    first, second = shop.order(), shop.order()
    use = shop.use(first, shop.consumer)
    assert shop.prove((second, *use[1:])) == 0
    assert shop.prove(use) == 1


def test_proved_with_the_use_of_another_consumer(shop: Shop, buyer: Person) -> None:
    mine = shop.order(by=buyer)
    assert shop.prove(shop.use(mine, shop.consumer)) == 0
    # The operator signs it itself, having nothing better.
    assert shop.prove(shop.use(mine, shop.operator)) == 0


def test_proved_with_the_use_of_another_product(shop: Shop) -> None:
    """Two products of one asset number their orders alike; a use says whose number it is."""
    other = shop.another()
    order = shop.order()
    assert other.order() == order
    assert other.prove(shop.use(order, shop.consumer)) == 0
    assert other.prove(other.use(order, shop.consumer)) == 1


def test_proved_with_a_use_of_another_chain(shop: Shop) -> None:
    order = shop.order()
    elsewhere = shop.use(order, shop.consumer, chain_id=shop.world.engine.chain_id + 1)
    assert shop.prove(elsewhere) == 0


def test_one_proof_replayed(shop: Shop) -> None:
    """Ocean's provider fee could be handed in again and again; a proof counts for its one order."""
    order = shop.order()
    use = shop.use(order, shop.consumer)
    assert shop.prove(use) == 1
    shop.access("flush")
    assert shop.prove(use) == shop.prove(use, use) == 0
    assert shop.access("flush") == 0
    assert shop.access("state")[2] == 0


@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_bent_use(shop: Shop, place: int) -> None:
    """Another call, another request, another deadline than what was signed."""
    order = shop.order()
    use: list[Any] = list(shop.use(order, shop.consumer))
    use[place] = use[place] + 1 if place == 3 else use[place][:-1] + b"\xff"
    assert shop.prove(tuple(use)) == 0


def test_a_high_s_is_no_second_signature(shop: Shop) -> None:
    order = shop.order()
    use = shop.use(order, shop.consumer)
    r, vs = use[5:]
    size = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    s = size - (vs & (2**255 - 1))
    assert shop.prove((*use[:5], r, s | (1 - (vs >> 255)) << 255)) == 0


def test_an_operator_that_never_serves_keeps_nothing(shop: Shop, keeper: Person) -> None:
    """It waits, flushes, is dismissed, takes new terms: the money goes back all the same."""
    world = shop.world
    order = shop.order(3)
    assert shop.access("flush", by=shop.operator.address) == 0
    world.registry("close_endpoint", shop.asset, shop.operator.address, by=shop.publisher.address)
    world.wait(DAY + 1)
    before = world.held(shop.consumer)
    shop.access("refund_for", order, by=keeper.address)
    assert world.held(shop.consumer) - before == 3 * PRICE


def test_the_publisher_cannot_touch_the_escrow(shop: Shop) -> None:
    """Neither a stopped sale, nor new terms, nor tokenization moves what buyers may take back."""
    world, publisher = shop.world, shop.publisher
    order = shop.order()
    shop.access("set_on_sale", False, by=publisher.address)
    world.set_endpoint(shop.asset, shop.operator, 9_000, by=publisher)
    world.tokenize(shop.asset, publisher)
    for call in ("flush_till", "rescue_from_till"):
        arguments = (shop.asset, shop.operator.address, 1)
        more = () if call == "flush_till" else (shop.access.address,)
        world.channels(call, *arguments, *more, by=publisher.address)
    assert world.held(shop.access) == PRICE
    world.wait(DAY + 1)
    assert shop.access("refund", order, by=shop.consumer.address) == PRICE


def test_a_serve_window_cannot_be_gamed_by_buying_it_out(shop: Shop, attacker: Person) -> None:
    """A griefer buys the whole cap and never uses it: after the window all of it is sold again."""
    product = shop.another(cap=4)
    order = product.order(4, by=attacker)
    product.world.fund(shop.consumer, PRICE, spender=product.access)
    with refused("access: not that many units left"):
        product.access("buy_and_redeem", 1, by=shop.consumer.address)
    product.world.wait(DAY + 1)
    product.access("refund_for", order, by=shop.consumer.address)
    product.access("buy_and_redeem", 1, by=shop.consumer.address)


def test_a_dearer_cut_later_takes_nothing_of_earlier_sales(shop: Shop) -> None:
    """`terms_at_call`: sold under a cut of 20 %, proved after the cut became 60 %."""
    world = shop.world
    order = shop.order()
    world.set_endpoint(shop.asset, shop.operator, 6_000, by=shop.publisher)
    assert shop.prove(shop.use(order, shop.consumer)) == 1
    shop.access("flush")
    assert world.channels("credit_of", shop.operator.address) == PRICE * 20 // 100


@pytest.mark.parametrize("how", ["buy", "buy_and_redeem"])
def test_a_stranger_does_not_use_up_what_a_consumer_may_have(
    world: World, attacker: Person, consumer: Person, how: str
) -> None:
    """Order a consumer's free units for him, let the window end, and give the order back.

    It cost gas only, and left the consumer "above the limit for one account" for ever. Now he alone
    buys what is counted against him, and what was not served counts no longer.
    """
    shop = open_shop(world, price=0, most_per_account=1)
    with refused("access: with a limit, accounts buy for themselves"):
        shop.access(how, 1, consumer.address, by=attacker.address)
    order = shop.order(by=consumer)
    world.wait(DAY + 1)
    shop.access("refund_for", order, by=attacker.address)
    order = shop.order(by=consumer)
    assert shop.prove(shop.use(order, consumer)) == 1
    with refused("access: above the limit for one account"):
        shop.order(by=consumer)
