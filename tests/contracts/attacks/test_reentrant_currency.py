"""The currency itself calls back in the middle of every transfer.

It tries each function through which money leaves, as a holder, a payer, an operator and a buyer of
its own. Whatever goes through may only be what anybody could have done a moment later; at the end
no contract owes more than it holds.
"""

from __future__ import annotations

import pytest
from rig.compiling import compiled, mock
from rig.contract import Contract, refused
from rig.market import Market, open_market
from rig.people import Person
from rig.system import DAY, ONE_SHARE, OPEN_TO_ALL, WITHDRAW_DELAY, deploy_world


@pytest.fixture
def market() -> Market:
    market = open_market(deploy_world(currency=mock("ReentrantCurrency")))
    share, holder = market.share, market.holder
    # The currency cannot hold shares, so it acts through a nominee's right to the holder's revenue.
    share("set_nominee", market.world.currency.address, by=holder.address)
    return market


def _arm(market: Market, target: Contract, name: str, *arguments: object) -> None:
    payload = target.interface.call_data(name, *arguments)
    market.world.currency("arm", target.address, payload)


def _solvent(market: Market) -> None:
    for contract in (market.share, market.channels):
        assert market.world.held(contract) >= contract("obligations")


def test_a_claim_inside_a_claim_pays_once(market: Market, attacker: Person) -> None:
    world, share, holder = market.world, market.share, market.holder
    world.fund(share.address, 1_000)
    share("sync")
    world.wait(DAY)
    _arm(market, share, "claim_for", holder.address, attacker.address)
    assert share("claim", by=holder.address) == 1_000
    assert world.currency("hits") > 0
    assert world.held(attacker) == 0
    assert share("paid") == 1_000
    _solvent(market)


def test_a_claim_inside_a_payment_pays_only_what_was_earned(
    market: Market, attacker: Person, keeper: Person
) -> None:
    world, share, holder = market.world, market.share, market.holder
    world.fund(share.address, 1_000)
    share("sync")
    world.wait(DAY)
    world.fund(keeper, 500, spender=share)
    _arm(market, share, "claim_for", holder.address, attacker.address)
    share("distributeRevenue", 500, by=keeper.address)
    assert world.held(attacker) == 1_000
    world.currency("arm", "0x" + "00" * 20, b"")
    assert share("obligations") == 500
    _solvent(market)
    world.wait(DAY)
    assert share("claim", by=holder.address) == 500


@pytest.mark.parametrize("name", ["sync", "distributeRevenue"])
def test_revenue_is_never_counted_twice(market: Market, name: str) -> None:
    world, share, holder = market.world, market.share, market.holder
    world.fund(share.address, 1_000)
    _arm(market, share, name, *((0,) if name == "distributeRevenue" else ()))
    share("sync")
    world.wait(DAY)
    assert share("claim", by=holder.address) == 1_000
    world.currency("arm", "0x" + "00" * 20, b"")
    share("sync")
    assert share("obligations") == world.held(share) == 0


def test_nothing_of_channels_can_be_entered_again(market: Market, operator: Person) -> None:
    """The currency is a payer and an operator of its own while money leaves Channels."""
    world, channels, currency = market.world, market.channels, market.world.currency
    currency("mint", currency.address, 10_000)
    approve = currency.interface.call_data("approve", channels.address, 2**256 - 1)
    currency("call", currency.address, approve)
    salt = bytes(32)
    opening = (currency.address, salt, 10_000, currency.address, [])
    currency("call", channels.address, channels.interface.call_data("open", *opening))
    number = channels("channel_number", currency.address, currency.address, salt)
    at = (currency.address, number)
    request = channels.interface.call_data("request_withdrawal", *at)
    currency("call", channels.address, request)
    world.wait(WITHDRAW_DELAY)
    market.pay(10_000)
    attempts: list[tuple[str, tuple[object, ...]]] = [
        ("withdraw", at),
        ("release", (number,)),
        ("withdraw_credit", (currency.address,)),
        ("flush", (market.asset,)),
        ("absorb_surplus", ()),
        ("flush_till", (market.asset, operator.address, 1)),
        ("top_up", (*at, 0)),
        ("settle", ([], [])),
    ]
    for name, arguments in attempts:
        _arm(market, channels, name, *arguments)
        before = currency("hits"), currency("tries")
        with world.engine.trial():
            channels("withdraw", *at)
            assert currency("hits") == before[0], name
            assert currency("tries") > before[1]
            _solvent(market)
    currency("arm", "0x" + "00" * 20, b"")
    assert channels("withdraw", *at) == 10_000


def test_a_deposit_is_counted_once_whatever_happens_meanwhile(market: Market) -> None:
    world, channels = market.world, market.channels
    at = (market.operator.address, market.channel)
    _arm(market, channels, "top_up", *at, 1_000)
    before = market.left()
    world.fund(market.consumer, 500)
    channels("top_up", *at, 500, by=market.consumer.address)
    assert market.left() == before + 500
    _solvent(market)


def test_a_refund_inside_a_refund_pays_once(market: Market, buyer: Person) -> None:
    world, share, holder = market.world, market.share, market.holder
    share("approve", world.launchpad, 2**256 - 1, by=holder.address)
    sale = (
        holder.address,
        1_000,
        10 * ONE_SHARE,
        5 * ONE_SHARE,
        10 * ONE_SHARE,
        world.now,
        world.now + DAY,
        *OPEN_TO_ALL,
    )
    address = world.launchpad("offer", market.asset, sale, by=holder.address)
    offering = Contract(world.engine, compiled("Offering"), address)
    world.fund(buyer, 2_000, spender=offering)
    _arm(market, offering, "refund_for", buyer.address)
    offering("buy", ONE_SHARE, by=buyer.address)
    offering("buy", ONE_SHARE, by=buyer.address)
    world.wait(DAY)
    assert offering("refund", by=buyer.address) == 2_000
    assert world.held(offering) == 0
    with refused("offering: nothing to refund"):
        offering("refund", by=buyer.address)
