"""An operator registers himself for an asset that is not his.

Nobody may be kept from serving a model, but who was not listed by its controller gets no cut: he
may only choose to bring the holders their money. Neither terms of a listed operator nor a Till of
his own change that.
"""

from __future__ import annotations

from rig.contract import refused
from rig.market import Market
from rig.people import Person
from rig.signing import SignedLine, settle_one


def test_an_unlisted_operator_serves_for_nothing(
    market: Market, attacker: Person, consumer: Person
) -> None:
    channel = market.world.open_channel(consumer, attacker, 10_000)
    line = SignedLine(market.asset, 0, 10_000, 10_000)
    assert settle_one(market.channels, attacker, channel, [line], consumer) == 10_000
    assert market.channels("credit_of", attacker.address) == 0
    assert market.channels("pending_of", market.asset) == 9_900


def test_terms_of_another_operator_do_not_apply(
    market: Market, attacker: Person, consumer: Person
) -> None:
    channel = market.world.open_channel(consumer, attacker, 10_000)
    line = SignedLine(market.asset, 1, 10_000, 10_000)
    with refused("registry: no such terms"):
        settle_one(market.channels, attacker, channel, [line], consumer)
    assert market.world.balance_of(attacker, channel) == 10_000


def test_he_cannot_list_himself(market: Market, attacker: Person) -> None:
    with refused("registry: only the asset's controller"):
        market.world.set_endpoint(market.asset, attacker, 9_000, by=attacker)


def test_a_till_of_his_own_pays_the_holders(market: Market, attacker: Person) -> None:
    till = market.channels("till_of", market.asset, attacker.address, 0)
    market.world.fund(till, 10_000)
    market.channels("flush_till", market.asset, attacker.address, 0, by=attacker.address)
    assert market.channels("credit_of", attacker.address) == 0
    assert market.channels("pending_of", market.asset) == 9_900


def test_publishing_the_same_bytes_earns_nothing_of_the_original(
    market: Market, attacker: Person
) -> None:
    """Copied content is an asset of its own, with another creator in its id."""
    copied = market.world.publish(attacker, operator=attacker, cut_bps=9_500)
    assert copied != market.asset
    assert market.world.registry("share_of", copied) == "0x" + "00" * 20
