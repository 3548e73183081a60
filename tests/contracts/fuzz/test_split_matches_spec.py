"""Channels' split against `tessera.spec.split`: random terms, lineage and payments."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from rig.people import person
from rig.signing import SignedLine, settle_one
from rig.system import World, deploy_world

from tessera.spec.split import SplitModel, SplitTerms
from tessera.units import BPS

PUBLISHER, OPERATOR, CONSUMER = person("publisher"), person("operator"), person("consumer")
VALIDATORS = person("validators")
amounts = st.one_of(st.integers(1, 300), st.integers(1, 10**10), st.integers(1, 2**80))


@st.composite
def _terms(draw: st.DrawFn) -> tuple[int, int, list[int]]:
    fee = draw(st.integers(0, 500))
    royalties = draw(st.lists(st.integers(1, 1_000), max_size=8))
    cut = draw(st.integers(0, BPS - 500 - sum(royalties)))
    return fee, cut, royalties


@given(
    terms=_terms(),
    payments=st.lists(st.tuples(amounts, st.booleans()), min_size=1, max_size=12),
    one_treasury=st.booleans(),
)
def test_every_credit_grows_as_the_spec_says(
    terms: tuple[int, int, list[int]],
    payments: list[tuple[int, bool]],
    one_treasury: bool,
) -> None:
    fee_bps, cut_bps, royalties = terms
    world = deploy_world()
    channels = world.channels
    validators = world.commons if one_treasury else VALIDATORS
    world.registry(
        "set_network",
        fee_bps,
        world.commons.address,
        validators.address,
        by=world.owner.address,
    )
    parents = tuple((world.publish(PUBLISHER), bps) for bps in royalties)
    asset = world.publish(PUBLISHER, parents=parents, operator=OPERATOR, cut_bps=cut_bps)
    model = SplitModel(SplitTerms(fee_bps, cut_bps, parents))
    channel = world.open_channel(CONSUMER, OPERATOR, sum(amount for amount, _ in payments))
    expected: Counter[object] = Counter()
    charged = demand = direct = 0
    for amount, by_voucher in payments:
        parts = model.credit(amount)
        expected[world.commons.address] += parts.commons
        expected[validators.address] += parts.validators
        expected[OPERATOR.address] += parts.operator
        expected[asset] += parts.asset
        expected.update(dict(parts.parents))
        if by_voucher:
            charged += amount
            demand += parts.commons
            line = SignedLine(asset, 1, charged, charged)
            assert settle_one(channels, OPERATOR, channel, [line], CONSUMER) == amount
        else:
            direct += amount
            till = channels("till_of", asset, OPERATOR.address, 1)
            world.fund(till, amount)
            assert channels("flush_till", asset, OPERATOR.address, 1) == amount
        _same(world, expected)
        assert channels("demand_of", asset) == demand
        assert channels("gross_of", asset, OPERATOR.address, 1) == model.gross
    owed_elsewhere = charged_left = world.balance_of(OPERATOR, channel)
    assert channels("obligations") == owed_elsewhere + model.gross
    assert sum(expected.values()) + model.left_over == model.gross
    assert 0 <= model.left_over < 4 + len(parents)
    assert charged_left == direct


def _same(world: World, expected: Counter[object]) -> None:
    for account, amount in expected.items():
        name = "credit_of" if isinstance(account, str) else "pending_of"
        assert world.channels(name, account) == amount


@given(
    fee=st.integers(0, 500),
    cut=st.integers(0, 9_500),
    payments=st.lists(st.integers(1, 10**6), min_size=1, max_size=50),
)
def test_many_payments_are_worth_exactly_one(fee: int, cut: int, payments: list[int]) -> None:
    terms = SplitTerms(fee, cut)
    many, one = SplitModel(terms), SplitModel(terms)
    parts = [many.credit(payment) for payment in payments]
    whole = one.credit(sum(payments))
    for name in ("commons", "validators", "operator", "asset"):
        assert sum(getattr(part, name) for part in parts) == getattr(whole, name)
