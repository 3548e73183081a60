"""A voucher is carried to where it was not signed for.

An operator who holds one good voucher tries it again on a chain where the same contracts lie at
the same addresses, on a second Channels of the same chain where the channel has the same number,
on another channel of the same consumer, and an accomplice tries it as its own operator.
"""

from __future__ import annotations

from rig.compiling import compiled
from rig.contract import Contract, deployed
from rig.engines import Boa
from rig.market import DEPOSIT, Market, open_market
from rig.people import Person
from rig.system import DAY, deploy_world

NO_CHANNEL, BAD_SIGNATURE = 1, 2


def test_on_another_chain(market: Market) -> None:
    other = open_market(deploy_world(chain_id=market.world.engine.chain_id + 1))
    assert other.channels.address == market.channels.address
    assert other.channel == market.channel
    line = other.line(5_000)
    signature = market.sign(line)
    assert other.settle((other.channel, line, signature)) == 0
    assert other.skipped() == [BAD_SIGNATURE]
    assert other.settle((other.channel, line, other.sign(line))) == 5_000


def test_on_a_chain_that_split() -> None:
    """One branch takes a new id; the domain that was cached at deployment must not outlive that."""
    engine = Boa()
    market = open_market(deploy_world(engine=engine))
    line = market.line(5_000)
    signature = market.sign(line)
    before = market.channels("DOMAIN_SEPARATOR")
    engine.split(engine.chain_id + 1)
    assert market.channels("DOMAIN_SEPARATOR") != before
    assert market.settle((market.channel, line, signature)) == 0
    assert market.skipped() == [BAD_SIGNATURE]
    assert market.pay(5_000) == 5_000


def test_on_another_channels_of_the_same_chain(market: Market) -> None:
    world = market.world
    second: Contract = deployed(
        world.engine,
        compiled("Channels"),
        world.currency,
        world.registry,
        world.till_implementation,
        DAY,
        by=world.owner.address,
    )
    salt = (2).to_bytes(32, "big")
    assert second("channel_number", market.consumer.address, market.operator.address, salt)
    world.fund(market.consumer, DEPOSIT, spender=second)
    number = second(
        "open",
        market.operator.address,
        salt,
        DEPOSIT,
        market.consumer.address,
        [],
        by=market.consumer.address,
    )
    line = market.line(5_000)
    signature = market.sign(line, channel=number)
    assert market.settle((number, line, signature), channels=second) == 0
    (event,) = second.events("VoucherSkipped")
    assert event.arguments["reason"] == BAD_SIGNATURE


def test_on_another_channel_of_the_same_consumer(market: Market) -> None:
    other = market.world.open_channel(market.consumer, market.operator, DEPOSIT)
    line = market.line(5_000)
    assert market.settle((other, line, market.sign(line))) == 0
    assert market.skipped() == [BAD_SIGNATURE]


def test_by_another_operator(market: Market, attacker: Person) -> None:
    line = market.line(5_000)
    assert market.settle((market.channel, line, market.sign(line)), by=attacker) == 0
    assert market.skipped() == [NO_CHANNEL]
    assert market.left() == DEPOSIT
