"""Units are bought at one price, move like any token, and become orders."""

from __future__ import annotations

import pytest
from rig.compiling import mock
from rig.contract import NOBODY, refused
from rig.people import Person
from rig.shop import COUNT, PERIOD, PERPETUAL, PRICE, Shop, open_shop
from rig.system import DAY, deploy_world

ALL_CALLS, FOR_EVER = 2**64 - 1, 2**40 - 1


def test_a_purchase_mints_units_that_are_backed(shop: Shop, buyer: Person) -> None:
    shop.world.fund(buyer, 3 * PRICE, spender=shop.access)
    assert shop.access("buy", 3, by=buyer.address) == 3 * PRICE
    assert shop.access("balanceOf", buyer.address) == shop.access("totalSupply") == 3
    assert shop.access("backing") == shop.world.held(shop.access) == 3 * PRICE
    assert shop.access("state") == (3, 0, 0, True)


def test_a_purchase_for_somebody_else(shop: Shop, buyer: Person, consumer: Person) -> None:
    shop.world.fund(buyer, PRICE, spender=shop.access)
    shop.access("buy", 1, consumer.address, by=buyer.address)
    assert shop.access("balanceOf", consumer.address) == 1


def test_units_become_an_order(shop: Shop, buyer: Person, consumer: Person) -> None:
    shop.world.fund(buyer, 3 * PRICE, spender=shop.access)
    shop.access("buy", 3, by=buyer.address)
    shop.access("transfer", consumer.address, 2, by=buyer.address)
    now = shop.world.now
    assert shop.access("redeem", 2, by=consumer.address) == 1
    at = consumer.address
    assert shop.access("order_of", 1) == (at, at, 2, now, FOR_EVER, FOR_EVER, 200, False, False)
    assert shop.access("user_of", 1) == at
    assert (shop.access("valid_until", 1), shop.access("units_of", 1)) == (FOR_EVER, 200)
    assert shop.access("totalSupply") == 1
    assert shop.access("backing") == 3 * PRICE
    with refused("erc20: balance too low"):
        shop.access("redeem", 1, by=consumer.address)


def test_buying_and_redeeming_at_once_is_the_same(shop: Shop, consumer: Person) -> None:
    assert shop.order(2) == 1
    assert shop.access("state") == (2, 1, 2, True)
    assert shop.access("totalSupply") == shop.access("balanceOf", consumer.address) == 0
    assert shop.access("backing") == shop.world.held(shop.access) == 2 * PRICE
    assert [event.name for event in shop.access.events()] == []
    assert shop.order(1) == 2


def test_an_order_for_somebody_else(shop: Shop, buyer: Person, consumer: Person) -> None:
    shop.world.fund(buyer, 2 * PRICE, spender=shop.access)
    order = shop.access("buy_and_redeem", 1, consumer.address, by=buyer.address)
    assert shop.access("user_of", order) == consumer.address
    shop.access("buy", 1, by=buyer.address)
    order = shop.access("redeem", 1, consumer.address, by=buyer.address)
    assert shop.access("user_of", order) == consumer.address


@pytest.mark.parametrize(
    ("kind", "per_unit", "units", "calls", "seconds"),
    [
        (COUNT, 100, 3, 300, None),
        (PERIOD, 30 * DAY, 3, ALL_CALLS, 90 * DAY),
        (PERPETUAL, 0, 1, ALL_CALLS, None),
        (PERIOD, 2**40 - 1, 2**32 - 1, ALL_CALLS, None),
    ],
)
def test_what_an_order_is_good_for(
    shop: Shop, kind: int, per_unit: int, units: int, calls: int, seconds: int | None
) -> None:
    product = shop.another(kind=kind, per_unit=per_unit, cap=2**64 - 1, price=1)
    order = product.order(units)
    until = FOR_EVER if seconds is None else shop.world.now + seconds
    assert product.access("units_of", order) == calls
    assert product.access("valid_until", order) == until


def test_the_cap_and_the_account_limit(shop: Shop, buyer: Person, consumer: Person) -> None:
    product = shop.another(cap=5, most_per_account=3)
    product.world.fund(buyer, 10 * PRICE, spender=product.access)
    with refused("access: above the limit for one account"):
        product.access("buy", 4, by=buyer.address)
    product.access("buy", 3, by=buyer.address)
    assert product.access("bought_by", buyer.address) == 3
    with refused("access: above the limit for one account"):
        product.access("buy_and_redeem", 1, by=buyer.address)
    product.world.fund(consumer, 10 * PRICE, spender=product.access)
    with refused("access: not that many units left"):
        product.access("buy", 3, by=consumer.address)
    product.access("buy", 2, by=consumer.address)
    with refused("access: not that many units left"):
        product.access("buy", 0, by=buyer.address)


@pytest.mark.parametrize("given_up", ["refund", "refund_for", "decline"])
def test_what_is_given_back_unserved_may_be_bought_again(
    shop: Shop, consumer: Person, given_up: str
) -> None:
    product = shop.another(price=0, cap=9, most_per_account=2)
    orders = [product.order(by=consumer) for _ in "12"]
    assert product.access("bought_by", consumer.address) == 2
    assert product.prove(product.use(orders[0], consumer)) == 1
    if given_up != "decline":
        product.world.wait(DAY + 1)
    by = product.operator if given_up == "decline" else consumer
    product.access(given_up, orders[1], by=by.address)
    assert product.access("bought_by", consumer.address) == 1
    assert product.access("state")[0] == 1
    # As often as it was not served, and no more.
    product.order(by=consumer)
    with refused("access: above the limit for one account"):
        product.order(by=consumer)


def test_units_that_came_by_hand_do_not_widen_a_limit(
    shop: Shop, consumer: Person, holder: Person
) -> None:
    """A friend's units, redeemed and given back, were counted for the friend and stay so."""
    product = shop.another(price=0, cap=9, most_per_account=2)
    product.access("buy", 2, by=holder.address)
    product.access("transfer", consumer.address, 2, by=holder.address)
    product.access("buy", 2, by=consumer.address)
    order = product.access("redeem", 4, by=consumer.address)
    product.world.wait(DAY + 1)
    product.access("refund", order, by=consumer.address)
    for who in (consumer, holder):
        assert product.access("bought_by", who.address) == 2
        with refused("access: above the limit for one account"):
            product.order(by=who)


def test_a_free_product_costs_nothing_and_has_limits(shop: Shop, consumer: Person) -> None:
    product = shop.another(price=0, cap=4, most_per_account=2)
    order = product.access("buy_and_redeem", 2, by=consumer.address)
    assert product.access("backing") == 0
    assert product.access("units_of", order) == 200
    with refused("access: above the limit for one account"):
        product.access("buy", 1, by=consumer.address)


def test_sales_stop_and_resume(shop: Shop, buyer: Person, attacker: Person) -> None:
    shop.world.fund(buyer, 2 * PRICE, spender=shop.access)
    shop.access("buy", 1, by=buyer.address)
    with refused("access: only the asset's controller"):
        shop.access("set_on_sale", False, by=attacker.address)
    shop.access("set_on_sale", False, by=shop.publisher.address)
    assert shop.access("state") == (1, 0, 0, False)
    with refused("access: not on sale"):
        shop.access("buy", 1, by=buyer.address)
    assert shop.access("redeem", 1, by=buyer.address) == 1
    shop.access("set_on_sale", True, by=shop.publisher.address)
    shop.access("buy", 1, by=buyer.address)


def test_what_cannot_be_ordered(shop: Shop, buyer: Person) -> None:
    shop.world.fund(buyer, 2**64, spender=shop.access)
    shop.access("buy", 2, by=buyer.address)
    with refused("access: receiver is the zero address"):
        shop.access("buy", 1, NOBODY, by=buyer.address)
    with refused("access: receiver is the zero address"):
        shop.access("buy_and_redeem", 1, NOBODY, by=buyer.address)
    with refused("access: owner is the zero address"):
        shop.access("redeem", 1, NOBODY, by=buyer.address)
    with refused("access: units out of range"):
        shop.access("redeem", 0, by=buyer.address)
    licence = shop.another(kind=PERPETUAL, per_unit=0)
    licence.world.fund(buyer, 2 * PRICE, spender=licence.access)
    with refused("access: a licence is one unit"):
        licence.access("buy_and_redeem", 2, by=buyer.address)
    cheap = shop.another(price=1, cap=2**64 - 1)
    cheap.world.fund(buyer, 2**32, spender=cheap.access)
    with refused("access: units out of range"):
        cheap.access("buy_and_redeem", 2**32, by=buyer.address)
    with refused("access: no such order"):
        shop.access("user_of", 7)


def test_a_currency_that_takes_a_fee_is_refused(buyer: Person) -> None:
    world = deploy_world(currency=mock("FeeCurrency"), currency_arguments=(6, 137))
    shop = open_shop(world)
    world.fund(buyer, PRICE, spender=shop.access)
    with refused("access: currency takes a fee"):
        shop.access("buy", 1, by=buyer.address)


def test_a_currency_that_says_no(buyer: Person) -> None:
    shop = open_shop(deploy_world(currency=mock("FalseCurrency")))
    with refused("access: currency refused the transfer"):
        shop.access("buy", 1, by=buyer.address)


def test_a_permit_moves_units(shop: Shop, buyer: Person, keeper: Person) -> None:
    from rig.signing import domain_of, sign

    shop.world.fund(buyer, PRICE, spender=shop.access)
    shop.access("buy", 1, by=buyer.address)
    fields = ("owner", "address"), ("spender", "address"), ("value", "uint256")
    fields += ("nonce", "uint256"), ("deadline", "uint256")
    message = {
        "owner": buyer.address,
        "spender": keeper.address,
        "value": 1,
        "nonce": 0,
        "deadline": shop.world.now,
    }
    domain = domain_of(shop.access, "Tessera Access")
    types = {"Permit": [{"name": name, "type": typ} for name, typ in fields]}
    v, r, s = sign(buyer, domain, "Permit", types, message)
    arguments = (v, r.to_bytes(32, "big"), s.to_bytes(32, "big"))
    shop.access("permit", buyer.address, keeper.address, 1, shop.world.now, *arguments)
    shop.access("transferFrom", buyer.address, keeper.address, 1, by=keeper.address)
    assert shop.access("balanceOf", keeper.address) == 1


def test_it_says_what_it_signs_and_is(shop: Shop) -> None:
    from tessera.spec.access import access_domain
    from tessera.spec.signatures import Address

    access = shop.access
    fields, name, version, chain_id, contract, _, _ = access("eip712Domain")
    assert (fields, name, version, contract) == (b"\x0f", "Tessera Access", "1", access.address)
    domain = access_domain(chain_id, Address(bytes.fromhex(access.address[2:])))
    assert access("DOMAIN_SEPARATOR") == domain.separator
    assert access("supportsInterface", bytes.fromhex("2a55205a"))
    assert not access("supportsInterface", bytes.fromhex("80ac58cd"))
    assert access("version") == "1"
