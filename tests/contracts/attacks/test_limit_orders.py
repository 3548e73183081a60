"""A signed order is somebody's word in a stranger's hands.

The stranger fills it after it was cancelled, alone or with its whole series; fills it twice;
brings it to another chain, to another contract, or with a bent signature; fills it in a thousand
parts so that each is rounded in its favour; fills it when its maker has become poor; and stands in
front of somebody else's fill.
"""

from __future__ import annotations

import pytest
from rig.compiling import compiled, mock
from rig.contract import Contract, deployed, refused
from rig.people import Person, key_of, person
from rig.shop import limit_order, open_shop, row_of, sign_order
from rig.signing import domain_of
from rig.system import ONE_SHARE, World, deploy_world

from tessera.spec.orders import LimitOrder

MAKER = person("maker")
PLENTY = 2**128


@pytest.fixture
def share(world: World, attacker: Person) -> Contract:
    share = world.new_share(MAKER)
    share("approve", world.orders, PLENTY, by=MAKER.address)
    world.fund(attacker, 10**12, spender=world.orders)
    return share


def _ask(world: World, share: Contract, shares: int, money: int, **changes: object) -> LimitOrder:
    terms = {"sell": key_of(share), "sell_amount": shares, "buy_amount": money}
    return limit_order(world, MAKER, **{**terms, **changes})


def test_the_signature_of_a_cancelled_order(
    world: World, share: Contract, attacker: Person
) -> None:
    order = _ask(world, share, ONE_SHARE, 1_000)
    signature = sign_order(world, order, MAKER)
    world.orders("cancel", row_of(order), by=MAKER.address)
    with refused("orders: filled or cancelled"):
        world.orders("fill", row_of(order), *signature, 1, PLENTY, by=attacker.address)


def test_orders_that_were_hidden_from_a_bulk_cancel(
    world: World, share: Contract, attacker: Person
) -> None:
    """Fifty signatures, none ever listed: one transaction ends them all, also those of tomorrow."""
    orders = [_ask(world, share, ONE_SHARE, 1_000, salt=bytes([n]) * 32) for n in range(50)]
    signed = [(order, sign_order(world, order, MAKER)) for order in orders]
    world.orders("cancel_series", by=MAKER.address)
    for order, signature in signed:
        with refused("orders: of a cancelled series"):
            world.orders("fill", row_of(order), *signature, 1, PLENTY, by=attacker.address)
    # Nobody moves another's series, and a series never comes back.
    world.orders("cancel_series", by=attacker.address)
    assert world.orders("series_of", MAKER.address) == 1


def test_on_another_chain(world: World, share: Contract, attacker: Person) -> None:
    order = _ask(world, share, ONE_SHARE, 1_000)
    domain = domain_of(world.orders, "Tessera Orders")
    elsewhere = {**domain, "chainId": domain["chainId"] + 1}
    signature = sign_order(world, order, MAKER, domain=elsewhere)
    with refused("orders: not signed by the maker"):
        world.orders("fill", row_of(order), *signature, 1, PLENTY, by=attacker.address)


def test_on_a_chain_that_split() -> None:
    from rig.engines import Boa

    engine = Boa()
    world = deploy_world(engine=engine)
    before = world.orders("DOMAIN_SEPARATOR")
    engine.split(engine.chain_id + 1)
    assert world.orders("DOMAIN_SEPARATOR") != before


def test_on_a_second_contract_of_the_same_chain(
    world: World, share: Contract, attacker: Person
) -> None:
    second = deployed(
        world.engine,
        compiled("Orders"),
        world.currency,
        world.registry,
        world.storefront,
        by=world.owner.address,
    )
    share("approve", second, PLENTY, by=MAKER.address)
    world.currency("approve", second, PLENTY, by=attacker.address)
    order = _ask(world, share, ONE_SHARE, 1_000)
    signature = sign_order(world, order, MAKER)
    with refused("orders: not signed by the maker"):
        second("fill", row_of(order), *signature, 1, PLENTY, by=attacker.address)


def test_a_thousand_tiny_fills_cost_more_not_less(
    world: World, share: Contract, attacker: Person
) -> None:
    """A price of 0.1 units for a raw share: each tiny fill pays a whole unit."""
    order = _ask(world, share, 10_000, 1_000)
    signature = sign_order(world, order, MAKER)
    before = world.held(attacker)
    for _ in range(1_000):
        world.orders("fill", row_of(order), *signature, 1, PLENTY, by=attacker.address)
    assert before - world.held(attacker) == world.held(MAKER) == 1_000
    assert share("balanceOf", attacker.address) == 1_000


def test_more_than_there_is(world: World, share: Contract, attacker: Person) -> None:
    order = _ask(world, share, 10, 10)
    signature = sign_order(world, order, MAKER)
    call = (row_of(order), *signature)
    world.orders("fill", *call, 10, PLENTY, by=attacker.address)
    for amount in (1, 10, PLENTY):
        with refused("orders: filled or cancelled"):
            world.orders("fill", *call, amount, PLENTY, by=attacker.address)


def test_a_fill_in_front_of_a_fill(
    world: World, share: Contract, attacker: Person, buyer: Person
) -> None:
    """The price is the order's: being first takes the order, not a better price from anyone."""
    world.fund(buyer, 10_000, spender=world.orders)
    order = _ask(world, share, 10, 1_000)
    signature = sign_order(world, order, MAKER)
    call = (row_of(order), *signature)
    assert world.orders("fill", *call, 8, 800, by=attacker.address) == 800
    with refused("orders: not that much left"):
        world.orders("fill", *call, 10, 1_000, by=buyer.address)
    assert world.held(buyer) == 10_000
    assert world.orders("fill", *call, 2, 200, by=buyer.address) == 200


def test_a_re_entrant_currency_fills_nothing_twice(attacker: Person) -> None:
    """In the middle of a fill the currency calls `fill`, `cancel_series` and the product itself."""
    world = deploy_world(currency=mock("ReentrantCurrency"))
    shop = open_shop(world)
    world.fund(MAKER, 10 * shop.terms.price, spender=shop.access)
    shop.access("buy", 10, by=MAKER.address)
    shop.access("approve", world.orders, 10, by=MAKER.address)
    world.fund(attacker, 10_000, spender=world.orders)
    order = _ask(world, shop.access, 10, 1_000)
    signature = sign_order(world, order, MAKER)
    inner = world.orders.interface.call_data("fill", row_of(order), *signature, 5, PLENTY)
    world.currency("arm", world.orders.address, inner)
    world.orders("fill", row_of(order), *signature, 5, PLENTY, by=attacker.address)
    assert world.currency("tries") > 0
    assert world.currency("hits") == 0
    assert shop.access("balanceOf", attacker.address) == 5


@pytest.mark.parametrize("inner", ["buy_and_redeem", "refund_for", "flush", "prove"])
def test_a_re_entrant_currency_gets_no_order_for_nothing(inner: str) -> None:
    world = deploy_world(currency=mock("ReentrantCurrency"))
    shop = open_shop(world)
    lost = shop.order()
    world.wait(2 * 86_400)
    arguments = {
        "buy_and_redeem": (1,),
        "refund_for": (lost,),
        "flush": (),
        "prove": ([shop.use(lost, shop.consumer)],),
    }[inner]
    world.currency("arm", shop.access.address, shop.access.interface.call_data(inner, *arguments))
    order = shop.order()
    assert world.currency("tries") > 0
    assert world.currency("hits") == 0
    assert world.held(shop.access) == shop.access("backing")
    shop.access("refund_for", lost)
    assert world.held(shop.access) == shop.access("backing") == shop.terms.price
    assert shop.access("order_of", order)[2] == 1


def test_a_poor_makers_order_moves_nothing(
    world: World, share: Contract, attacker: Person, holder: Person
) -> None:
    order = _ask(world, share, ONE_SHARE, 1_000)
    signature = sign_order(world, order, MAKER)
    share("transfer", holder.address, share("balanceOf", MAKER.address), by=MAKER.address)
    before = world.held(attacker)
    with refused("share: balance too low"):
        world.orders("fill", row_of(order), *signature, ONE_SHARE, PLENTY, by=attacker.address)
    assert world.held(attacker) == before
    assert world.orders("filled", world.orders("digest_of", row_of(order))) == 0
