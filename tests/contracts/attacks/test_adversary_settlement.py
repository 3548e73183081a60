"""A payer poisons a voucher with one line that can no longer be settled.

A voucher counts whole or not at all. A payer whose session key is held to grants makes one
call on a line whose grant ends soon, and many on another. When the operator settles a minute
too late, all of the voucher is skipped, not only the line that ended; and whoever settles by
receipt on one line, a unit above what the operator sends, makes the operator's voucher skip
the other lines, too.
"""

from __future__ import annotations

import pytest
from rig.people import Person
from rig.signing import (
    SignedLine,
    compact,
    domain_of,
    receipt_for,
    settle_one,
    sign_receipt,
    sign_voucher,
)
from rig.system import DAY, World


@pytest.fixture
def assets(world: World, publisher: Person, operator: Person) -> tuple[int, int]:
    first = world.publish(publisher, operator=operator)
    second = world.publish(publisher, operator=operator)
    return first, second


def test_a_grant_that_ended_does_not_hold_up_the_other_lines(
    world: World, assets: tuple[int, int], consumer: Person, operator: Person, session_key: Person
) -> None:
    short, long = assets
    channel = world.open_channel(
        consumer,
        operator,
        10_000,
        signer=session_key,
        grants=((short, 1, 10_000, world.now + 600), (long, 1, 10_000, world.now + 365 * DAY)),
    )
    world.wait(601)
    lines = [SignedLine(short, 1, 1, 1), SignedLine(long, 1, 9_000, 9_000)]
    assert settle_one(world.channels, operator, channel, lines, session_key) == 9_000


def test_an_ended_grant_on_a_line_that_is_settled_already_does_not_matter(
    world: World, assets: tuple[int, int], consumer: Person, operator: Person, session_key: Person
) -> None:
    short, long = assets
    channel = world.open_channel(
        consumer,
        operator,
        10_000,
        signer=session_key,
        grants=((short, 1, 10_000, world.now + 600), (long, 1, 10_000, world.now + 365 * DAY)),
    )
    assert (
        settle_one(world.channels, operator, channel, [SignedLine(short, 1, 1, 1)], session_key)
        == 1
    )
    world.wait(601)
    lines = [SignedLine(short, 1, 1, 1), SignedLine(long, 1, 9_000, 9_000)]
    assert settle_one(world.channels, operator, channel, lines, session_key) == 9_000


def test_a_line_settled_by_receipt_does_not_hold_up_the_other_lines(
    world: World, assets: tuple[int, int], consumer: Person, operator: Person
) -> None:
    one, other = assets
    channel = world.open_channel(consumer, operator, 10_000)
    domain = domain_of(world.channels)
    later = sorted(
        (SignedLine(one, 1, 101, 101), SignedLine(other, 1, 5_000, 5_000)), key=lambda x: x.asset
    )
    r, vs = compact(*sign_voucher(consumer, domain, channel, later))
    receipt = receipt_for(channel, one, 1, 101, world.now)
    rr, rvs = compact(*sign_receipt(operator, domain, receipt))
    world.channels(
        "settle_by_receipt",
        operator.address,
        [(line.asset, line.terms, line.maximum) for line in later],
        r,
        vs,
        tuple(receipt.values()),
        [],
        rr,
        rvs,
        by=consumer.address,
    )
    # What the operator had sent to the chain before that last call was answered.
    earlier = [SignedLine(one, 1, 100, 100), SignedLine(other, 1, 5_000, 5_000)]
    assert settle_one(world.channels, operator, channel, earlier, consumer) == 5_000
