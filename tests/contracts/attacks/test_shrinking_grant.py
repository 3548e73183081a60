"""A consumer takes a grant back after being served on the strength of it.

The session key was allowed 5,000; the operator served for 5,000; then the payer tries to lower the
cap, to shorten the time, or to grant the line to nobody.
"""

from __future__ import annotations

import pytest
from rig.contract import refused
from rig.market import Market
from rig.people import Person
from rig.signing import SignedLine, settle_one
from rig.system import DAY


@pytest.mark.parametrize(("cap", "life"), [(0, DAY), (4_999, DAY), (5_000, DAY - 1), (9_000, 0)])
def test_the_operator_gets_what_was_granted_when_it_served(
    market: Market, session_key: Person, cap: int, life: int
) -> None:
    world = market.world
    granted = (market.asset, 1, 5_000, world.now + DAY)
    channel = world.open_channel(
        market.consumer, market.operator, 10_000, signer=session_key, grants=(granted,)
    )
    smaller = (market.asset, 1, cap, world.now + life)
    with refused("channels: a grant never shrinks"):
        market.channels(
            "grant", market.operator.address, channel, [smaller], by=market.consumer.address
        )
    line = SignedLine(market.asset, 1, 5_000, 5_000)
    assert settle_one(market.channels, market.operator, channel, [line], session_key) == 5_000


def test_the_session_key_cannot_widen_its_own_grant(market: Market, session_key: Person) -> None:
    world = market.world
    granted = (market.asset, 1, 5_000, world.now + DAY)
    channel = world.open_channel(
        market.consumer, market.operator, 10_000, signer=session_key, grants=(granted,)
    )
    wider = (market.asset, 1, 10_000, world.now + 2 * DAY)
    for who in (session_key, market.operator):
        with refused("channels: only the payer"):
            market.channels("grant", market.operator.address, channel, [wider], by=who.address)
    for name in ("request_withdrawal", "cancel_withdrawal"):
        with refused("channels: only the payer"):
            market.channels(name, market.operator.address, channel, by=session_key.address)
