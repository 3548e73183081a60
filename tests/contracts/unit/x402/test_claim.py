"""Claims: who may, how much, and by whose signature."""

from __future__ import annotations

import pytest
from rig.compiling import mock
from rig.contract import deployed, refused
from rig.people import Person, key_of, person
from rig.signing import twin
from rig.x402 import (
    DEPLOYER,
    OPERATOR,
    PAYER,
    PAYERS_KEY,
    RECEIVER,
    UINT128,
    Standard,
    claim_of,
    row_of,
)

from tessera.spec.signatures import ZERO_ADDRESS


@pytest.mark.parametrize("by", [OPERATOR, RECEIVER])
def test_the_receivers_side_claims(standard: Standard, by: Person) -> None:
    config = standard.opened(1_000)
    standard.claim(standard.voucher(config, 800, 300), by=by)
    (claimed,) = standard.channels.events()
    assert claimed.name == "Claimed"
    assert claimed.arguments == {
        "channelId": standard.id(config),
        "sender": by.address,
        "claimAmount": 300,
        "newTotalClaimed": 300,
    }
    # A claim lowers no balance: what is free is the difference.
    assert standard.state(config) == (1_000, 300)
    assert standard.earned() == (300, 0)
    assert standard.money(RECEIVER) == 0


@pytest.mark.parametrize("by", [PAYER, PAYERS_KEY, person("attacker")])
def test_nobody_else_claims(standard: Standard, by: Person) -> None:
    config = standard.opened(1_000)
    with refused("NotAuthorizedToClaim()"):
        standard.claim(standard.voucher(config, 800, 300), by=by)


def test_each_row_is_asked_who_may(standard: Standard) -> None:
    mine = standard.opened(1_000)
    other = standard.opened(1_000, receiver_authorizer=key_of(person("other operator")))
    rows = [standard.voucher(mine, 5, 5), standard.voucher(other, 5, 5)]
    with refused("NotAuthorizedToClaim()"):
        standard.claim(*rows)
    standard.claim(*rows, by=RECEIVER)
    assert standard.earned() == (10, 0)


def test_a_claim_of_nothing_is_refused(standard: Standard) -> None:
    for name, rest in (("claim", ()), ("claimWithSignature", (b"",))):
        with refused("EmptyBatch()"):
            standard.channels(name, [], *rest, by=OPERATOR.address)


@pytest.mark.parametrize("claimed", [0, 299, 300])
def test_what_is_recorded_already_is_passed_over(standard: Standard, claimed: int) -> None:
    """Not even its signature is looked at, so a batch survives that somebody was faster."""
    config = standard.opened(1_000)
    standard.claim(standard.voucher(config, 300, 300))
    row = standard.voucher(config, 1_000, claimed)._replace(signature=b"")
    standard.claim(row)
    assert standard.channels.events() == []
    assert standard.earned() == (300, 0)


def test_more_than_was_signed_is_refused(standard: Standard) -> None:
    config = standard.opened(1_000)
    with refused("ClaimExceedsCeiling()"):
        standard.claim(standard.voucher(config, 300, 301))


def test_more_than_is_there_is_refused(standard: Standard) -> None:
    config = standard.opened(1_000)
    with refused("ClaimExceedsBalance()"):
        standard.claim(standard.voucher(config, 2_000, 1_001))


def test_one_bad_row_takes_all_back(standard: Standard) -> None:
    good, bad = standard.opened(1_000), standard.opened(1_000)
    with refused("ClaimExceedsCeiling()"):
        standard.claim(standard.voucher(good, 10, 10), standard.voucher(bad, 10, 11))
    assert standard.state(good) == (1_000, 0)
    assert standard.earned() == (0, 0)


def test_two_rows_of_one_channel_count_once(standard: Standard) -> None:
    """The second sees what the first recorded: 300 and 500 are 500, in whichever order."""
    config = standard.opened(1_000)
    standard.claim(standard.voucher(config, 300, 300), standard.voucher(config, 500, 500))
    amounts = [event.arguments["claimAmount"] for event in standard.channels.events("Claimed")]
    assert amounts == [300, 200]
    standard.claim(standard.voucher(config, 700, 700), standard.voucher(config, 600, 600))
    amounts = [event.arguments["claimAmount"] for event in standard.channels.events("Claimed")]
    assert amounts == [200]
    assert standard.state(config) == (1_000, 700)
    assert standard.earned() == (700, 0)


def test_only_the_named_key_signs_vouchers(standard: Standard) -> None:
    """Where a channel names a key, the payer's own signature is worth nothing."""
    config = standard.opened(1_000)
    for signer in (PAYER, person("attacker")):
        with refused("InvalidSignature()"):
            standard.claim(standard.voucher(config, 300, 300, by=signer))


def test_without_a_named_key_the_payer_signs(standard: Standard) -> None:
    config = standard.opened(1_000, payer_authorizer=ZERO_ADDRESS)
    with refused("InvalidSignature()"):
        standard.claim(standard.voucher(config, 300, 300, by=PAYERS_KEY))
    standard.claim(standard.voucher(config, 300, 300, by=PAYER))
    assert standard.state(config) == (1_000, 300)


def test_a_bent_signature_is_refused(standard: Standard) -> None:
    config = standard.opened(1_000)
    row = standard.voucher(config, 300, 300)
    r, s, v = row.signature[:32], row.signature[32:64], row.signature[64]
    high = twin(v, int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    bent = [
        b"",
        row.signature[:64],
        row.signature + b"\0",
        r + s + bytes([v - 27]),
        r + s + bytes([v ^ 7]),
        r + high[2].to_bytes(32, "big") + bytes([high[0]]),
        bytes(65),
    ]
    for signature in bent:
        with refused("InvalidSignature()"):
            standard.claim(row._replace(signature=signature))
    standard.claim(row)


def test_a_wallet_that_is_a_contract_signs_by_its_word(standard: Standard) -> None:
    wallet = deployed(standard.engine, mock("ContractWallet"), by=DEPLOYER)
    config = standard.opened(1_000, payer=key_of(wallet), payer_authorizer=ZERO_ADDRESS)
    row = standard.voucher(config, 300, 300, by=PAYER)
    with refused("InvalidSignature()"):
        standard.claim(row)
    digest = standard.channels("getVoucherDigest", standard.id(config), 300)
    wallet("approve", digest, row.signature)
    for mood in (1, 2, 3):
        wallet("set_mood", mood)
        with refused("InvalidSignature()"):
            standard.claim(row)
    wallet("set_mood", 0)
    standard.claim(row)
    assert standard.state(config) == (1_000, 300)


def test_a_contract_named_as_the_key_cannot_sign(standard: Standard) -> None:
    """A key must be a key: a contract could deny tomorrow what it said today."""
    wallet = deployed(standard.engine, mock("ContractWallet"), by=DEPLOYER)
    config = standard.opened(1_000, payer_authorizer=key_of(wallet))
    row = standard.voucher(config, 300, 300)
    wallet(
        "approve", standard.channels("getVoucherDigest", standard.id(config), 300), row.signature
    )
    with refused("InvalidSignature()"):
        standard.claim(row)


def test_a_receiver_earns_at_most_128_bits(standard: Standard) -> None:
    """No token with a sane supply comes near; the compiler's own check says nothing."""
    rich, more = standard.opened(UINT128), standard.opened(1)
    standard.claim(standard.voucher(rich, UINT128, UINT128))
    assert standard.earned() == (UINT128, 0)
    with refused(""):
        standard.claim(standard.voucher(more, 1, 1))


def test_a_hundred_vouchers_fit_in_a_claim(standard: Standard) -> None:
    rows = [standard.voucher(standard.opened(10), 10, place % 11) for place in range(100)]
    signature = standard.batch_signature(rows)
    standard.channels("claimWithSignature", [claim_of(row) for row in rows], signature)
    assert standard.earned() == (sum(place % 11 for place in range(100)), 0)


def test_anybody_relays_what_the_authorizer_signed(standard: Standard, keeper: Person) -> None:
    rows = [standard.voucher(standard.opened(1_000), 400, amount) for amount in (100, 250)]
    signature = standard.batch_signature(rows)
    given = [claim_of(row) for row in rows]
    standard.channels("claimWithSignature", given, signature, by=keeper.address)
    senders = {event.arguments["sender"] for event in standard.channels.events("Claimed")}
    assert senders == {keeper.address}
    assert standard.earned() == (350, 0)
    # Again it is no more than recorded: nothing moves.
    standard.channels("claimWithSignature", given, signature, by=keeper.address)
    assert standard.earned() == (350, 0)


@pytest.mark.parametrize("by", [RECEIVER, PAYER, person("attacker")])
def test_only_the_authorizer_signs_a_batch(standard: Standard, by: Person) -> None:
    rows = [standard.voucher(standard.opened(1_000), 400, 100)]
    with refused("InvalidSignature()"):
        standard.channels(
            "claimWithSignature", [claim_of(rows[0])], standard.batch_signature(rows, by=by)
        )


def test_a_signed_batch_is_that_batch(standard: Standard) -> None:
    first, second = (standard.voucher(standard.opened(1_000), 400, 100) for _ in range(2))
    signature = standard.batch_signature([first, second])
    changed = standard.voucher(second.config, 400, 101)
    for rows in ([second, first], [first], [first, changed], [first, second, second]):
        with refused("InvalidSignature()"):
            standard.channels("claimWithSignature", [claim_of(r) for r in rows], signature)


def test_a_signed_batch_has_one_authorizer(standard: Standard) -> None:
    other = person("other operator")
    rows = [
        standard.voucher(standard.opened(1_000), 400, 100),
        standard.voucher(standard.opened(1_000, receiver_authorizer=key_of(other)), 400, 100),
    ]
    with refused("NotReceiverAuthorizer()"):
        standard.channels(
            "claimWithSignature", [claim_of(r) for r in rows], standard.batch_signature(rows)
        )


def test_an_authorizer_that_is_a_contract_signs_by_its_word(standard: Standard) -> None:
    wallet = deployed(standard.engine, mock("ContractWallet"), by=DEPLOYER)
    config = standard.opened(1_000, receiver_authorizer=key_of(wallet))
    row = standard.voucher(config, 400, 100)
    digest = standard.channels("getClaimBatchDigest", [claim_of(row)])
    with refused("InvalidSignature()"):
        standard.channels("claimWithSignature", [claim_of(row)], b"yes")
    wallet("approve", digest, b"yes")
    standard.channels("claimWithSignature", [claim_of(row)], b"yes")
    assert standard.earned() == (100, 0)


def test_a_channel_that_was_never_paid_has_nothing_to_claim(standard: Standard) -> None:
    config = standard.config(salt=b"\x07" * 32)
    with refused("ClaimExceedsBalance()"):
        standard.claim(standard.voucher(config, 1, 1))
    assert standard.channels("channels", standard.id(config)) == (0, 0)
    assert row_of(config)[5] == config.withdraw_delay
