"""The collector: by whom, for what, and with which signature."""

from __future__ import annotations

import pytest
from eth_abi import decode, encode
from rig.compiling import mock
from rig.contract import refused
from rig.people import Person
from rig.x402 import PAYER, SETTLEMENT, Standard, deploy_standard, row_of


def test_it_says_whom_it_serves(dollars: Standard) -> None:
    assert dollars.collector("x402BatchSettlement") == SETTLEMENT


def test_only_the_channels_may_call(dollars: Standard, attacker: Person) -> None:
    """Else whoever sees an authorization could have the money brought to itself."""
    config = dollars.config()
    data = dollars.authorization(config, 600)
    with refused("OnlyX402BatchSettlement()"):
        dollars.collector(
            "collect",
            PAYER.address,
            dollars.token.address,
            600,
            dollars.id(config),
            data,
            by=attacker.address,
        )


def test_an_authorization_is_for_one_channel_and_one_amount(dollars: Standard) -> None:
    config, other = dollars.config(), dollars.config(salt=b"\x01" * 32)
    data = dollars.authorization(config, 600)
    for terms, amount in ((other, 600), (config, 599)):
        with refused("test_dollar: not signed by the authorizer"):
            dollars.channels("deposit", row_of(terms), amount, dollars.collector, data)
    dollars.channels("deposit", row_of(config), 600, dollars.collector, data)


def test_times_and_salt_are_part_of_what_is_signed(dollars: Standard) -> None:
    config = dollars.config()
    after, before, salt, signature = decode(
        ["uint256", "uint256", "uint256", "bytes"], dollars.authorization(config, 600, salt=3)
    )
    types = ["uint256", "uint256", "uint256", "bytes"]
    for changed in (
        (after - 1, before, salt),
        (after, before + 1, salt),
        (after, before, salt + 1),
    ):
        data = encode(types, [*changed, signature])
        with refused("test_dollar: not signed by the authorizer"):
            dollars.channels("deposit", row_of(config), 600, dollars.collector, data)


def test_a_signature_has_65_bytes(dollars: Standard) -> None:
    config = dollars.config()
    for length in (0, 64, 66, 256):
        data = encode(["uint256", "uint256", "uint256", "bytes"], [0, 2**40, 0, b"\x01" * length])
        with refused("x402_collector: signature is not 65 bytes"):
            dollars.channels("deposit", row_of(config), 600, dollars.collector, data)


@pytest.mark.parametrize("data", [b"", b"\xff" * 31, b"\xff" * 256, bytes(1_024)])
def test_garbage_is_no_authorization(dollars: Standard, data: bytes) -> None:
    with refused(""):
        dollars.channels("deposit", row_of(dollars.config()), 600, dollars.collector, data)


def test_a_token_that_says_no_is_heard() -> None:
    standard = deploy_standard(mock("RefusingDollar"))
    with refused("x402_collector: token refused the transfer"):
        standard.channels(
            "deposit",
            row_of(standard.config()),
            600,
            standard.collector,
            standard.authorization(standard.config(), 600),
        )
