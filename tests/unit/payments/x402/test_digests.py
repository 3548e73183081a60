"""Hashes of the standard's channels against eth_account, the wallets' own."""

from __future__ import annotations

from typing import Any

from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from tessera.spec.signatures import Address, Domain, address_text, recover
from tessera.spec.x402_digests import (
    BATCH_SETTLEMENT,
    ChannelConfig,
    ClaimEntry,
    channel_id,
    claims_digest,
    receive_digest,
    refund_digest,
    transfer_digest,
    voucher_digest,
)

ADDRESSES = st.binary(min_size=20, max_size=20).map(Address)
WORDS = st.binary(min_size=32, max_size=32)
AMOUNTS = st.integers(0, 2**128 - 1)
CHAINS = st.sampled_from([31_337, 84_532, 8_453])
CONFIGS = st.builds(
    ChannelConfig,
    ADDRESSES,
    ADDRESSES,
    ADDRESSES,
    ADDRESSES,
    ADDRESSES,
    st.integers(0, 2**40 - 1),
    WORDS,
)
KEY = b"\x07" * 32
PAYER = Address(bytes.fromhex(EthAccount.from_key(KEY).address[2:]))

TYPES: dict[str, list[dict[str, str]]] = {
    "ChannelConfig": [
        {"name": "payer", "type": "address"},
        {"name": "payerAuthorizer", "type": "address"},
        {"name": "receiver", "type": "address"},
        {"name": "receiverAuthorizer", "type": "address"},
        {"name": "token", "type": "address"},
        {"name": "withdrawDelay", "type": "uint40"},
        {"name": "salt", "type": "bytes32"},
    ],
    "Voucher": [
        {"name": "channelId", "type": "bytes32"},
        {"name": "maxClaimableAmount", "type": "uint128"},
    ],
    "Refund": [
        {"name": "channelId", "type": "bytes32"},
        {"name": "nonce", "type": "uint256"},
        {"name": "amount", "type": "uint128"},
    ],
    "ClaimBatch": [{"name": "claims", "type": "ClaimEntry[]"}],
    "ClaimEntry": [
        {"name": "channelId", "type": "bytes32"},
        {"name": "maxClaimableAmount", "type": "uint128"},
        {"name": "totalClaimed", "type": "uint128"},
    ],
    "ReceiveWithAuthorization": [
        {"name": "from", "type": "address"},
        {"name": "to", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "validAfter", "type": "uint256"},
        {"name": "validBefore", "type": "uint256"},
        {"name": "nonce", "type": "bytes32"},
    ],
}
TYPES["TransferWithAuthorization"] = TYPES["ReceiveWithAuthorization"]


def signed(domain: Domain, kind: str, message: dict[str, Any]) -> bytes:
    """Sign as a wallet does, from JSON."""
    needed = {kind: TYPES[kind]} | (
        {"ClaimEntry": TYPES["ClaimEntry"]} if kind == "ClaimBatch" else {}
    )
    signable = encode_typed_data(
        domain_data={
            "name": domain.name,
            "version": domain.version,
            "chainId": domain.chain_id,
            "verifyingContract": address_text(domain.contract),
        },
        message_types=needed,
        message_data=message,
    )
    return bytes(EthAccount.sign_message(signable, KEY).signature)


def standard(chain_id: int) -> Domain:
    return Domain(chain_id, BATCH_SETTLEMENT, "x402 Batch Settlement", "1")


@given(CHAINS, CONFIGS)
def test_a_channel_is_named_by_the_digest_of_its_terms(chain: int, config: ChannelConfig) -> None:
    names = [field["name"] for field in TYPES["ChannelConfig"]]
    values = [*(address_text(a) for a in config[:5]), config.withdraw_delay, config.salt]
    signature = signed(standard(chain), "ChannelConfig", dict(zip(names, values, strict=True)))
    assert recover(channel_id(chain, config), signature) == PAYER


@given(CHAINS, WORDS, AMOUNTS, AMOUNTS)
def test_what_wallets_sign_is_what_we_check(
    chain: int, channel: bytes, amount: int, nonce: int
) -> None:
    voucher = signed(
        standard(chain), "Voucher", {"channelId": channel, "maxClaimableAmount": amount}
    )
    assert recover(voucher_digest(chain, channel, amount), voucher) == PAYER
    refund = signed(
        standard(chain), "Refund", {"channelId": channel, "nonce": nonce, "amount": amount}
    )
    assert recover(refund_digest(chain, channel, nonce, amount), refund) == PAYER


@given(CHAINS, st.lists(st.builds(ClaimEntry, WORDS, AMOUNTS, AMOUNTS), max_size=4))
def test_a_batch_of_claims_hashes_each_row(chain: int, entries: list[ClaimEntry]) -> None:
    rows = [
        {"channelId": e.channel, "maxClaimableAmount": e.maximum, "totalClaimed": e.claimed}
        for e in entries
    ]
    signature = signed(standard(chain), "ClaimBatch", {"claims": rows})
    assert recover(claims_digest(chain, entries), signature) == PAYER


@given(CHAINS, ADDRESSES, ADDRESSES, ADDRESSES, st.tuples(AMOUNTS, AMOUNTS, AMOUNTS), WORDS)
def test_authorizations_of_the_token(
    chain: int,
    contract: Address,
    payer: Address,
    receiver: Address,
    numbers: tuple[int, int, int],
    nonce: bytes,
) -> None:
    token = Domain(chain, contract, "Test Dollar", "1")
    value, after, before = numbers
    message = {
        "from": address_text(payer),
        "to": address_text(receiver),
        "value": value,
        "validAfter": after,
        "validBefore": before,
        "nonce": nonce,
    }
    words = (token, payer, receiver, value, after, before, nonce)
    assert recover(receive_digest(*words), signed(token, "ReceiveWithAuthorization", message)) == (
        PAYER
    )
    moved = signed(token, "TransferWithAuthorization", message)
    assert recover(transfer_digest(*words), moved) == PAYER
