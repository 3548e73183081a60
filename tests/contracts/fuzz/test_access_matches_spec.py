"""Royalties, rents and digests of any size agree with the twin bit for bit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rig.contract import NOBODY
from rig.effort import times
from rig.people import key_of, person
from rig.shop import COUNT, PERIOD, PERPETUAL, Shop, open_shop
from rig.system import deploy_world

from tessera.spec.access import AccessModel, access_domain, rent_cost, royalty_of, use_digest
from tessera.spec.signatures import compact, expand, recover

EDGES = st.one_of(st.integers(0, 20_000), st.integers(0, 2**96), st.integers(0, 2**255))


@given(price=EDGES, bps=st.integers(0, 5_000))
@times(0.5)
def test_a_royalty_of_any_price(price: int, bps: int) -> None:
    shop = _shop().another(royalty_bps=bps)
    till, royalty = shop.access("royaltyInfo", 0, price)
    assert royalty == royalty_of(price, bps)
    assert till == shop.access("terms")[14] != NOBODY


@given(parts=st.lists(st.integers(1, 10**9), min_size=1, max_size=20), bps=st.integers(0, 5_000))
@times(1)
def test_many_small_sales_never_pay_less_royalty(parts: list[int], bps: int) -> None:
    whole = royalty_of(sum(parts), bps)
    assert sum(royalty_of(part, bps) for part in parts) >= whole


@given(daily=st.integers(0, 2**96 - 1), duration=st.integers(0, 2**40 - 1))
@times(0.5)
def test_a_rent_of_any_length(daily: int, duration: int) -> None:
    shop = _shop(kind=PERPETUAL, per_unit=0, price=0, most_per_account=1)
    order = shop.access("buy_and_redeem", 1, by=shop.consumer.address)
    shop.access("offer_rent", order, daily, 2**40 - 1, by=shop.consumer.address)
    cost = rent_cost(daily, duration)
    assert shop.access("preview_rent", order, duration) == (cost, royalty_of(cost, 500))


@given(
    kind=st.sampled_from([COUNT, PERIOD]),
    per_unit=st.integers(1, 2**40 - 1),
    units=st.one_of(st.integers(1, 10), st.integers(1, 2**32 - 1)),
)
@times(0.5)
def test_an_order_of_any_size(kind: int, per_unit: int, units: int) -> None:
    shop = _shop(kind=kind, per_unit=per_unit, cap=2**64 - 1, price=1)
    model = AccessModel(shop.terms.product())
    order = shop.order(units)
    who = key_of(shop.consumer)
    assert model.buy_and_redeem(who, units, who, shop.world.now) == (units, order)
    assert shop.access("valid_until", order) == model.valid_until(order)
    assert shop.access("units_of", order) == model.calls_of(order)


@given(
    order=st.integers(0, 2**256 - 1),
    number=st.integers(0, 2**128 - 1),
    deadline=st.integers(0, 2**64 - 1),
)
@times(0.5)
def test_a_use_is_signed_by_wallets_as_by_the_twin(order: int, number: int, deadline: int) -> None:
    shop, consumer = _shop(), person("consumer")
    use = shop.use(order, consumer, number=number, deadline=deadline)
    domain = access_domain(shop.world.engine.chain_id, key_of(shop.access))
    digest = use_digest(domain, order, use[1], use[2], deadline)
    signature = expand(*use[5:])
    assert recover(digest, signature) == key_of(consumer)
    assert compact(signature) == use[5:]


_KEPT: list[Shop] = []


def _shop(**terms: object) -> Shop:
    if not _KEPT:
        _KEPT.append(open_shop(deploy_world()))
    return _KEPT[0].another(**terms) if terms else _KEPT[0]
