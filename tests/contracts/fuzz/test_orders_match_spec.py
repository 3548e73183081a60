"""Limit orders of any amounts: digests and prices agree with the twin, and parts never cheat."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from rig.contract import Contract
from rig.effort import times
from rig.people import key_of, person
from rig.shop import limit_order, row_of, sign_order
from rig.signing import domain_of
from rig.system import World, deploy_world

from tessera.spec.orders import LimitOrder, OrdersModel, order_digest, orders_domain, paid_for
from tessera.spec.signatures import expand, recover

MAKER, TAKER = person("maker"), person("taker")
AMOUNTS = st.one_of(st.integers(1, 100), st.integers(1, 2**64), st.integers(1, 2**128 - 1))
_KEPT: list[tuple[World, Contract]] = []


@given(
    sell=AMOUNTS,
    buy=AMOUNTS,
    series=st.integers(0, 2**256 - 1),
    salt=st.binary(min_size=32, max_size=32),
    expires=st.integers(0, 2**256 - 1),
)
@times(1)
def test_a_wallet_signs_what_the_twin_and_the_contract_hash(
    sell: int, buy: int, series: int, salt: bytes, expires: int
) -> None:
    world, share = _world()
    changes: dict[str, Any] = {"series": series, "salt": salt, "expires": expires}
    order = _order(world, share, sell, buy, **changes, taker=key_of(TAKER))
    domain = orders_domain(world.engine.chain_id, key_of(world.orders))
    digest = order_digest(domain, order)
    assert world.orders("digest_of", row_of(order)) == digest
    signature = sign_order(world, order, MAKER, domain=domain_of(world.orders, "Tessera Orders"))
    assert recover(digest, expand(*signature)) == key_of(MAKER)


@given(sell=AMOUNTS, buy=AMOUNTS, part=st.fractions(0, 1))
@times(1)
def test_a_part_costs_what_the_twin_says(sell: int, buy: int, part: Any) -> None:
    world, share = _world()
    order = _order(world, share, sell, buy)
    amount = int(sell * part)
    cost, royalty = world.orders("preview_fill", row_of(order), amount)
    assert cost == paid_for(order, amount)
    assert royalty == 0
    # At least the price: cost / amount >= buy / sell.
    assert cost * sell >= amount * buy


@given(
    sell=st.integers(1, 10**9),
    buy=st.integers(1, 10**9),
    cuts=st.lists(st.integers(1, 10**9), max_size=6),
)
@times(0.5)
def test_parts_pay_at_least_the_whole(sell: int, buy: int, cuts: list[int]) -> None:
    world, share = _world()
    parts, left = [], sell
    for cut in cuts:
        if left > 1:
            parts.append(min(cut, left - 1))
            left -= parts[-1]
    parts.append(left)
    assume(sum(parts) == sell)
    with world.engine.trial():
        order = _order(world, share, sell, buy)
        signature = sign_order(world, order, MAKER)
        money = key_of(world.currency)
        model = OrdersModel(
            orders_domain(world.engine.chain_id, key_of(world.orders)), money, {key_of(share): 0}
        )
        world.fund(TAKER, buy + len(parts), spender=world.orders)
        paid = 0
        for amount in parts:
            done = model.fill(order, order.maker, amount, 2**128, key_of(TAKER), world.now)
            call = (row_of(order), *signature, amount, 2**128)
            assert world.orders("fill", *call, by=TAKER.address) == done.paid
            paid += done.paid
        assert buy <= paid <= buy + len(parts) - 1
        assert world.held(MAKER) == paid
        assert share("balanceOf", TAKER.address) == sell


def _order(world: World, share: Contract, sell: int, buy: int, **changes: Any) -> LimitOrder:
    terms = {"sell": key_of(share), "sell_amount": sell, "buy_amount": buy, **changes}
    return limit_order(world, MAKER, **terms)


def _world() -> tuple[World, Contract]:
    if not _KEPT:
        world = deploy_world()
        share = world.new_share(MAKER)
        share("approve", world.orders, 2**256 - 1, by=MAKER.address)
        _KEPT.append((world, share))
    return _KEPT[0]
