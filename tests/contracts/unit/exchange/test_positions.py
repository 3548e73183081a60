"""Liquidity is a token by ERC-6909: it moves, can be approved, and leaves its revenue behind."""

from __future__ import annotations

import pytest
from rig.contract import NOBODY, refused
from rig.people import Person
from rig.pools import Floor


def test_a_position_moves(floor: Floor, publisher: Person, holder: Person) -> None:
    whole = floor.liquidity(publisher)
    assert floor.exchange("transfer", holder.address, floor.key(), 100, by=publisher.address)
    assert floor.exchange.events("Transfer")[0].arguments == {
        "caller": publisher.address,
        "sender": publisher.address,
        "receiver": holder.address,
        "token_id": floor.key(),
        "amount": 100,
    }
    assert (floor.liquidity(publisher), floor.liquidity(holder)) == (whole - 100, 100)
    floor.exchange("transfer", holder.address, floor.key(), 100, by=holder.address)
    assert floor.liquidity(holder) == 100
    with refused("exchange: not that much liquidity"):
        floor.exchange("transfer", publisher.address, floor.key(), 101, by=holder.address)
    for nobody in (NOBODY, floor.exchange.address):
        with refused("exchange: provider is the zero address or the exchange"):
            floor.exchange("transfer", nobody, floor.key(), 1, by=holder.address)
    with refused("exchange: no such pool"):
        floor.exchange("transfer", holder.address, 5, 0, by=holder.address)
    # A position has one number: with more bits than an address has it names nothing.
    alias = floor.key() | 1 << 200
    assert floor.exchange("balanceOf", holder.address, alias) == 0
    with refused("exchange: no such pool"):
        floor.exchange("transfer", publisher.address, alias, 1, by=holder.address)


def test_an_allowance_is_spent_and_an_endless_one_is_not(
    floor: Floor, publisher: Person, holder: Person, keeper: Person
) -> None:
    key, exchange = floor.key(), floor.exchange
    move = (publisher.address, holder.address, key, 60)
    with refused("exchange: allowance too low"):
        exchange("transferFrom", *move, by=keeper.address)
    assert exchange("approve", keeper.address, key, 100, by=publisher.address)
    assert exchange.events("Approval")[0].arguments["amount"] == 100
    assert exchange("transferFrom", *move, by=keeper.address)
    assert exchange("allowance", publisher.address, keeper.address, key) == 40
    with refused("exchange: allowance too low"):
        exchange("transferFrom", *move, by=keeper.address)
    exchange("approve", keeper.address, key, 2**256 - 1, by=publisher.address)
    exchange("transferFrom", *move, by=keeper.address)
    assert exchange("allowance", publisher.address, keeper.address, key) == 2**256 - 1
    assert floor.liquidity(holder) == 120


def test_an_operator_moves_everything_until_it_is_none(
    floor: Floor, publisher: Person, keeper: Person
) -> None:
    exchange, move = floor.exchange, (publisher.address, keeper.address, floor.key(), 1)
    assert exchange("setOperator", keeper.address, True, by=publisher.address)
    assert exchange.events("OperatorSet")[0].arguments["approved"]
    exchange("transferFrom", *move, by=keeper.address)
    exchange("setOperator", keeper.address, False, by=publisher.address)
    with refused("exchange: allowance too low"):
        exchange("transferFrom", *move, by=keeper.address)
    exchange("transferFrom", *move, by=publisher.address)


@pytest.mark.parametrize(
    ("interface", "answer"), [("01ffc9a7", True), ("0f632fb3", True), ("ffffffff", False)]
)
def test_it_says_what_it_is(floor: Floor, interface: str, answer: bool) -> None:
    assert floor.exchange("supportsInterface", bytes.fromhex(interface)) == answer
