"""A payer without gas signs one EIP-3009 authorization; whoever relays it can change nothing."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from eth_abi import encode
from eth_utils import keccak
from rig.compiling import compiled
from rig.contract import refused
from rig.people import Person
from rig.signing import domain_of, sign
from rig.system import DAY, World, deploy_world

SALT = b"\x05" * 32
FIELDS = [
    {"name": "from", "type": "address"},
    {"name": "to", "type": "address"},
    {"name": "value", "type": "uint256"},
    {"name": "validAfter", "type": "uint256"},
    {"name": "validBefore", "type": "uint256"},
    {"name": "nonce", "type": "bytes32"},
]


@pytest.fixture
def world() -> World:
    return deploy_world(currency=compiled("TestDollar"), currency_arguments=(6, 10**12))


@dataclass
class Opening:
    """What the payer signed, to be bent by a relayer."""

    world: World
    payer: Person
    operator: Person
    signer: str
    amount: int = 500
    salt: bytes = SALT

    def __post_init__(self) -> None:
        self.after, self.before = self.world.now - 1, self.world.now + DAY
        nonce = keccak(
            encode(
                ["address", "bytes32", "address"],
                [self.operator.address, self.salt, self.signer],
            )
        )
        message = {
            "from": self.payer.address,
            "to": self.world.channels.address,
            "value": self.amount,
            "validAfter": self.after,
            "validBefore": self.before,
            "nonce": nonce,
        }
        self.signature = sign(
            self.payer,
            domain_of(self.world.currency, "Test Dollar"),
            "ReceiveWithAuthorization",
            {"ReceiveWithAuthorization": FIELDS},
            message,
        )

    def relay(self, by: Person) -> int:
        v, r, s = self.signature
        return int(
            self.world.channels(
                "open_with_authorization",
                self.payer.address,
                self.operator.address,
                self.salt,
                self.amount,
                self.signer,
                self.after,
                self.before,
                v,
                r.to_bytes(32, "big"),
                s.to_bytes(32, "big"),
                by=by.address,
            )
        )


@pytest.fixture
def opening(world: World, consumer: Person, operator: Person, session_key: Person) -> Opening:
    world.currency("faucet", 1_000, by=consumer.address)
    return Opening(world, consumer, operator, session_key.address)


def test_a_keeper_relays_the_opening(
    world: World, opening: Opening, keeper: Person, consumer: Person, operator: Person
) -> None:
    channel = opening.relay(keeper)
    payer, signer, restricted, balance, _ = world.channels("channel_of", operator.address, channel)
    assert (payer, signer) == (consumer.address, opening.signer)
    assert (restricted, balance) == (False, 500)
    with refused("channels: channel exists"):
        opening.relay(keeper)


@pytest.mark.parametrize("bend", ["operator", "signer", "salt", "amount"])
def test_a_relayer_changes_nothing(opening: Opening, attacker: Person, bend: str) -> None:
    if bend == "operator":
        opening.operator = attacker
    elif bend == "signer":
        opening.signer = attacker.address
    elif bend == "salt":
        opening.salt = b"\x06" * 32
    else:
        opening.amount = 501
    with refused("test_dollar: not signed by the authorizer"):
        opening.relay(attacker)


def test_a_spent_authorization_opens_no_second_channel(
    world: World, opening: Opening, attacker: Person, consumer: Person
) -> None:
    opening.relay(attacker)
    v, r, s = opening.signature
    nonce = keccak(
        encode(
            ["address", "bytes32", "address"],
            [opening.operator.address, SALT, opening.signer],
        )
    )
    assert world.currency("authorizationState", consumer.address, nonce) is True
    with refused("test_dollar: only the receiver may use this authorization"):
        world.currency(
            "receiveWithAuthorization",
            consumer.address,
            world.channels,
            500,
            opening.after,
            opening.before,
            nonce,
            v,
            r.to_bytes(32, "big"),
            s.to_bytes(32, "big"),
            by=attacker.address,
        )
