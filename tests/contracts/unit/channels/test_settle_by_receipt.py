"""Whoever holds the payer's voucher and the operator's receipt settles for the operator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from rig.contract import NOBODY, refused
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


@dataclass
class Evidence:
    """A voucher over one asset and the receipt of one call."""

    world: World
    asset: int
    operator: Person
    consumer: Person
    channel: int
    maximum: int = 600
    charged: int = 400
    changes: dict[str, Any] = field(default_factory=dict)
    voucher_signer: Person | None = None
    receipt_signer: Person | None = None

    def settle(self, by: Person) -> int:
        domain = domain_of(self.world.channels)
        line = SignedLine(self.asset, 1, self.maximum, 0)
        voucher = sign_voucher(self.voucher_signer or self.consumer, domain, self.channel, [line])
        receipt = {
            **receipt_for(self.channel, self.asset, 1, self.charged, self.world.now),
            **self.changes,
        }
        signed = sign_receipt(self.receipt_signer or self.operator, domain, receipt)
        return int(
            self.world.channels(
                "settle_by_receipt",
                self.operator.address,
                [(line.asset, line.terms, line.maximum)],
                *compact(*voucher),
                tuple(receipt.values()),
                [],
                *compact(*signed),
                by=by.address,
            )
        )


@pytest.fixture
def evidence(world: World, publisher: Person, operator: Person, consumer: Person) -> Evidence:
    asset = world.publish(publisher, operator=operator, cut_bps=2_000)
    channel = world.open_channel(consumer, operator, 1_000)
    return Evidence(world, asset, operator, consumer, channel)


def test_a_keeper_settles_and_gets_nothing(evidence: Evidence, keeper: Person) -> None:
    world = evidence.world
    assert evidence.settle(keeper) == 400
    settled, split = world.channels.events()
    assert settled.arguments == {
        "operator": evidence.operator.address,
        "taken": (evidence.channel | 400 << 64,),
    }
    assert split.arguments["amount"] == 400
    assert world.channels("credit_of", evidence.operator.address) == 80
    assert world.channels("credit_of", keeper.address) == 0
    assert world.channels("demand_of", evidence.asset) == 2
    assert evidence.settle(keeper) == 0


def test_a_receipt_after_a_settlement_adds_only_what_is_new(
    evidence: Evidence, keeper: Person
) -> None:
    line = SignedLine(evidence.asset, 1, 600, 300)
    settle_one(
        evidence.world.channels, evidence.operator, evidence.channel, [line], evidence.consumer
    )
    assert evidence.settle(keeper) == 100
    evidence.charged = 399
    with refused("channels: settled already"):
        evidence.settle(keeper)


@pytest.mark.parametrize("charged", [601, 2**96 - 1])
def test_a_receipt_never_takes_more_than_was_signed(
    evidence: Evidence, keeper: Person, charged: int
) -> None:
    evidence.charged = charged
    with refused("channels: receipt above the voucher"):
        evidence.settle(keeper)


def test_a_receipt_for_a_line_that_was_not_signed_takes_nothing(
    evidence: Evidence, keeper: Person
) -> None:
    evidence.changes = {"terms": 2}
    with refused("channels: receipt above the voucher"):
        evidence.settle(keeper)
    evidence.changes = {"asset": evidence.asset + 1}
    with refused("channels: receipt above the voucher"):
        evidence.settle(keeper)


def test_a_receipt_never_takes_more_than_there_is(evidence: Evidence, keeper: Person) -> None:
    evidence.maximum = evidence.charged = 1_001
    with refused("channels: balance too low"):
        evidence.settle(keeper)


def test_both_signatures_are_needed(evidence: Evidence, attacker: Person) -> None:
    evidence.receipt_signer = attacker
    with refused("channels: receipt not signed by the operator"):
        evidence.settle(attacker)
    evidence.receipt_signer, evidence.voucher_signer = None, attacker
    with refused("channels: voucher not signed by the channel's signer"):
        evidence.settle(attacker)


def test_a_receipt_for_another_channel_does_not_fit(evidence: Evidence, keeper: Person) -> None:
    evidence.changes = {"channel": evidence.channel ^ 1}
    with refused("channels: voucher not signed by the channel's signer"):
        evidence.settle(keeper)


def test_a_session_key_is_held_to_its_grants_here_too(
    evidence: Evidence, session_key: Person, keeper: Person
) -> None:
    world = evidence.world
    evidence.channel = world.open_channel(
        evidence.consumer,
        evidence.operator,
        1_000,
        signer=session_key,
        grants=((evidence.asset, 1, 399, world.now + DAY),),
    )
    evidence.voucher_signer = session_key
    with refused("channels: not granted"):
        evidence.settle(keeper)
    evidence.charged = 399
    with world.engine.trial():
        world.wait(DAY + 1)
        with refused("channels: not granted"):
            evidence.settle(keeper)
    assert evidence.settle(keeper) == 399


def test_nobody_is_no_operator(evidence: Evidence, attacker: Person) -> None:
    receipt = receipt_for(evidence.channel, evidence.asset, 1, 0, evidence.world.now)
    with refused("channels: voucher not signed by the channel's signer"):
        evidence.world.channels(
            "settle_by_receipt",
            NOBODY,
            [],
            0,
            0,
            tuple(receipt.values()),
            [],
            0,
            0,
            by=attacker.address,
        )
