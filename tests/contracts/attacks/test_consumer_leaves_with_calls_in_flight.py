"""A consumer asks for the money back while calls are being answered.

The delay is the operator's time to settle what it holds; a withdrawal that was requested,
cancelled and requested again must not have used the delay up beforehand, and no deposit or voucher
may start it before the payer does.
"""

from __future__ import annotations

from rig.contract import refused
from rig.market import DEPOSIT, Market
from rig.people import Person
from rig.system import WITHDRAW_DELAY


def test_the_operator_settles_within_the_delay(market: Market) -> None:
    at = (market.operator.address, market.channel)
    market.channels("request_withdrawal", *at, by=market.consumer.address)
    market.world.wait(WITHDRAW_DELAY - 1)
    assert market.pay(400_000) == 400_000
    market.world.wait(1)
    assert market.channels("withdraw", *at, by=market.consumer.address) == DEPOSIT - 400_000
    assert market.world.held(market.consumer) == DEPOSIT - 400_000


def test_the_operator_settles_as_long_as_the_money_is_there(market: Market) -> None:
    at = (market.operator.address, market.channel)
    market.channels("request_withdrawal", *at, by=market.consumer.address)
    market.world.wait(10 * WITHDRAW_DELAY)
    assert market.pay(400_000) == 400_000
    market.channels("withdraw", *at, by=market.consumer.address)
    assert market.pay(400_000) == 0
    line = market.line(500_000)
    assert market.settle((market.channel, line, market.sign(line))) == 0
    assert market.skipped() == [32]


def test_a_request_kept_in_stock_is_seen_and_cancelling_it_restarts_the_clock(
    market: Market,
) -> None:
    at = (market.operator.address, market.channel)
    market.channels("request_withdrawal", *at, by=market.consumer.address)
    market.world.wait(WITHDRAW_DELAY)
    # What a gateway looks at before it serves:
    assert market.channels("channel_of", *at)[4] != 0
    market.channels("cancel_withdrawal", *at, by=market.consumer.address)
    assert market.channels("channel_of", *at)[4] == 0
    market.channels("request_withdrawal", *at, by=market.consumer.address)
    with refused("channels: withdrawal is not available yet"):
        market.channels("withdraw", *at, by=market.consumer.address)


def test_a_withdrawn_request_is_spent(market: Market) -> None:
    at = (market.operator.address, market.channel)
    market.channels("request_withdrawal", *at, by=market.consumer.address)
    market.world.wait(WITHDRAW_DELAY)
    market.channels("withdraw", *at, by=market.consumer.address)
    market.channels("top_up", *at, DEPOSIT, by=market.consumer.address)
    with refused("channels: no withdrawal requested"):
        market.channels("withdraw", *at, by=market.consumer.address)


def test_a_strangers_unit_does_not_stop_a_withdrawal(market: Market, attacker: Person) -> None:
    at = (market.operator.address, market.channel)
    market.channels("request_withdrawal", *at, by=market.consumer.address)
    available_at = market.channels("channel_of", *at)[4]
    market.world.fund(attacker, 5, spender=market.channels)
    for _ in range(5):
        market.world.wait(WITHDRAW_DELAY // 5)
        market.channels("top_up", *at, 1, by=attacker.address)
    assert market.channels("channel_of", *at)[4] == available_at
    assert market.channels("withdraw", *at, by=attacker.address) == DEPOSIT + 5
    assert market.world.held(market.consumer) == DEPOSIT + 5
