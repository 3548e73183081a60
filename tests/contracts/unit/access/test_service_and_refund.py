"""An order is proved within its window or refunded after it; the money follows, never both."""

from __future__ import annotations

import pytest
from rig.compiling import mock
from rig.contract import refused
from rig.people import Person
from rig.shop import PRICE, Shop, open_shop
from rig.system import DAY, deploy_world


def test_a_proof_lets_the_money_go_where_income_goes(shop: Shop, keeper: Person) -> None:
    world = shop.world
    order = shop.order(2)
    assert shop.access("flush", by=keeper.address) == 0
    use = shop.use(order, shop.consumer)
    assert shop.prove(use) == 1
    (event,) = shop.access.events("Proved")
    assert event.arguments == {
        "order": order,
        "call": use[1],
        "request": use[2],
        "response": use[4],
    }
    assert shop.access("backing") == 0
    assert shop.access("order_of", order)[7:] == (True, False)
    assert shop.access("flush", by=keeper.address) == 2 * PRICE
    # 1 % fee, 20 % cut, the rest the asset's.
    assert world.channels("gross_of", shop.asset, shop.operator.address, 1) == 2 * PRICE
    assert world.channels("credit_of", shop.operator.address) == 2 * PRICE * 20 // 100
    assert world.channels("pending_of", shop.asset) == 2 * PRICE * 79 // 100
    assert world.held(shop.access) == 0


def test_the_last_second_is_the_operators_and_the_next_the_owners(shop: Shop) -> None:
    late, later = shop.order(), shop.order()
    shop.world.wait(DAY)
    for call in ("refund", "refund_for"):
        with refused("access: the operator may still serve"):
            shop.access(call, late, by=shop.consumer.address)
    assert shop.prove(shop.use(late, shop.consumer)) == 1
    shop.world.wait(1)
    assert shop.prove(shop.use(later, shop.consumer)) == 0
    assert shop.access("refund", later, by=shop.consumer.address) == PRICE


def test_an_order_that_nobody_served_is_paid_back(
    shop: Shop, keeper: Person, holder: Person
) -> None:
    first, second = shop.order(2), shop.order(1)
    shop.world.wait(DAY + 1)
    with refused("access: only the order's owner"):
        shop.access("refund", first, by=keeper.address)
    assert shop.access("refund", first, holder.address, by=shop.consumer.address) == 2 * PRICE
    (event,) = shop.access.events("Refunded")
    assert event.arguments["receiver"] == holder.address
    assert not event.arguments["declined"]
    assert shop.access("refund_for", second, by=keeper.address) == PRICE
    assert shop.world.held(holder) == 2 * PRICE
    assert shop.world.held(shop.consumer) == PRICE
    assert shop.access("state") == (0, 2, 0, True)
    assert (shop.access("valid_until", first), shop.access("units_of", first)) == (0, 0)
    assert shop.access("order_of", first)[7:] == (False, True)
    for call in ("refund", "refund_for"):
        with refused("access: given up already"):
            shop.access(call, first, by=shop.consumer.address)


def test_refunded_units_are_sold_again(shop: Shop) -> None:
    product = shop.another(cap=1)
    order = product.order()
    product.world.wait(DAY + 1)
    product.access("refund_for", order)
    assert product.order() == 2


def test_the_operator_declines(shop: Shop, attacker: Person) -> None:
    order = shop.order()
    with refused("access: only the operator"):
        shop.access("decline", order, by=attacker.address)
    assert shop.access("decline", order, by=shop.operator.address) == PRICE
    assert shop.access.events("Refunded")[0].arguments["declined"]
    assert shop.world.held(shop.consumer) == PRICE
    with refused("access: given up already"):
        shop.access("decline", order, by=shop.operator.address)


def test_nothing_is_refunded_after_a_proof(shop: Shop) -> None:
    order = shop.served()
    shop.world.wait(DAY + 1)
    with refused("access: served already"):
        shop.access("refund", order, by=shop.consumer.address)
    with refused("access: served already"):
        shop.access("decline", order, by=shop.operator.address)
    with refused("access: no such order"):
        shop.access("refund_for", 99)


def test_a_batch_skips_what_does_not_count(shop: Shop, attacker: Person) -> None:
    first, second = shop.order(), shop.order()
    good = shop.use(first, shop.consumer)
    forged = shop.use(second, attacker)
    garbled = (*good[:5], good[5], good[6] ^ 1)
    unknown = shop.use(77, shop.consumer)
    assert shop.prove(forged, garbled, unknown, good, good) == 1
    skipped = [event.arguments["order"] for event in shop.access.events("UseSkipped")]
    assert skipped == [second, first, 77, first]
    assert shop.access("order_of", second)[7] is False


def test_only_the_operator_proves(shop: Shop, attacker: Person) -> None:
    order = shop.order()
    with refused("access: only the operator"):
        shop.prove(shop.use(order, shop.consumer), by=attacker)


def test_money_sent_by_mistake_is_income(shop: Shop, keeper: Person) -> None:
    shop.order()
    shop.world.fund(shop.access.address, 77)
    assert shop.access("flush", by=keeper.address) == 77
    assert shop.world.held(shop.access) == shop.access("backing") == PRICE


def test_units_that_wait_are_not_flushed(shop: Shop, buyer: Person) -> None:
    shop.world.fund(buyer, PRICE, spender=shop.access)
    shop.access("buy", 1, by=buyer.address)
    shop.served()
    assert shop.access("flush") == PRICE
    assert shop.world.held(shop.access) == PRICE


def test_a_free_order_is_refunded_nothing(shop: Shop, consumer: Person) -> None:
    product = shop.another(price=0, most_per_account=1)
    order = product.access("buy_and_redeem", 1, by=consumer.address)
    product.world.wait(DAY + 1)
    assert product.access("refund", order, by=consumer.address) == 0
    assert product.world.held(consumer) == 0


@pytest.mark.parametrize("call", ["flush", "refund_for"])
def test_a_currency_that_says_no(call: str) -> None:
    world = deploy_world(currency=mock("FalseCurrency"))
    shop = open_shop(world)
    order = shop.order()
    if call == "flush":
        shop.prove(shop.use(order, shop.consumer))
    world.wait(DAY + 1)
    world.currency("set_refuses", True)
    arguments = () if call == "flush" else (order,)
    with refused("access: currency refused the transfer"):
        shop.access(call, *arguments)
    world.currency("set_refuses", False)
    assert shop.access(call, *arguments) == PRICE
