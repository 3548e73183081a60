"""The EIP-712 hashes of x402's batch settlement: channels, vouchers, refunds and claims.

The contract of the standard lies at one address on every chain, so a digest differs between chains
by the chain's number alone. A channel is named by the digest of its terms: whoever changes one of
them, the delay or the receiver, names another channel.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Final, NamedTuple

from tessera.spec.signatures import Address, Domain, keccak, typed_digest

__all__ = [
    "BATCH_SETTLEMENT",
    "DEPOSIT_COLLECTOR",
    "MAX_WITHDRAW_DELAY_S",
    "MIN_WITHDRAW_DELAY_S",
    "ChannelConfig",
    "ClaimEntry",
    "batch_domain",
    "channel_id",
    "claims_digest",
    "deposit_nonce",
    "receive_digest",
    "refund_digest",
    "transfer_digest",
    "voucher_digest",
]

BATCH_SETTLEMENT: Final = Address(bytes.fromhex("4020074e9dF2ce1deE5A9C1b5c3f541D02a10003"))
"""Where the standard's contract of channels lies, on every chain."""

DEPOSIT_COLLECTOR: Final = Address(bytes.fromhex("4020806089470a89826cB9fB1f4059150b550004"))
"""Who draws deposits by EIP-3009 authorizations for it, on every chain."""

MIN_WITHDRAW_DELAY_S: Final = 900
MAX_WITHDRAW_DELAY_S: Final = 2_592_000

_CONFIG_TYPEHASH: Final = keccak(
    b"ChannelConfig(address payer,address payerAuthorizer,address receiver,"
    b"address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)"
)
_VOUCHER_TYPEHASH: Final = keccak(b"Voucher(bytes32 channelId,uint128 maxClaimableAmount)")
_REFUND_TYPEHASH: Final = keccak(b"Refund(bytes32 channelId,uint256 nonce,uint128 amount)")
_ENTRY_TYPE: Final = (
    b"ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)"
)
_ENTRY_TYPEHASH: Final = keccak(_ENTRY_TYPE)
_CLAIMS_TYPEHASH: Final = keccak(b"ClaimBatch(ClaimEntry[] claims)" + _ENTRY_TYPE)
_AUTHORIZATION: Final = (
    b"WithAuthorization(address from,address to,uint256 value,uint256 validAfter,"
    b"uint256 validBefore,bytes32 nonce)"
)
_RECEIVE_TYPEHASH: Final = keccak(b"Receive" + _AUTHORIZATION)
_TRANSFER_TYPEHASH: Final = keccak(b"Transfer" + _AUTHORIZATION)


class ChannelConfig(NamedTuple):
    """What a channel is, for ever; its hash is its name.

    Attributes
    ----------
    payer, payer_authorizer
        Whose money it is, and who signs vouchers.
    receiver, receiver_authorizer
        Who is paid, and who may claim and refund.
    token
        What it is paid in.
    withdraw_delay
        Seconds between the payer's wish to withdraw and the money.
    salt
        32 bytes; lets one payer have several channels of the same terms.
    """

    payer: Address
    payer_authorizer: Address
    receiver: Address
    receiver_authorizer: Address
    token: Address
    withdraw_delay: int
    salt: bytes


class ClaimEntry(NamedTuple):
    """One row of a claim: how much was charged, of how much a voucher allows."""

    channel: bytes
    maximum: int
    claimed: int


@functools.lru_cache(maxsize=16)
def batch_domain(chain_id: int) -> Domain:
    """Return where vouchers of the standard count."""
    return Domain(chain_id, BATCH_SETTLEMENT, "x402 Batch Settlement", "1")


def channel_id(chain_id: int, config: ChannelConfig) -> bytes:
    """Return the 32 bytes that name a channel: the EIP-712 digest of its terms."""
    struct_hash = keccak(
        _CONFIG_TYPEHASH
        + b"".join(bytes(12) + address for address in config[:5])
        + config.withdraw_delay.to_bytes(32, "big")
        + config.salt
    )
    return typed_digest(batch_domain(chain_id), struct_hash)


def voucher_digest(chain_id: int, channel: bytes, maximum: int) -> bytes:
    """Return what a payer signs: how much of a channel may be claimed in all."""
    return typed_digest(
        batch_domain(chain_id), keccak(_VOUCHER_TYPEHASH + channel + _word(maximum))
    )


def refund_digest(chain_id: int, channel: bytes, nonce: int, amount: int) -> bytes:
    """Return what the receiver's side signs to give money back."""
    return typed_digest(
        batch_domain(chain_id), keccak(_REFUND_TYPEHASH + channel + _word(nonce) + _word(amount))
    )


def claims_digest(chain_id: int, entries: Iterable[ClaimEntry]) -> bytes:
    """Return what the receiver's side signs so that anybody may hand its claims in."""
    hashes = b"".join(
        keccak(_ENTRY_TYPEHASH + entry.channel + _word(entry.maximum) + _word(entry.claimed))
        for entry in entries
    )
    return typed_digest(batch_domain(chain_id), keccak(_CLAIMS_TYPEHASH + keccak(hashes)))


def deposit_nonce(channel: bytes, salt: int) -> bytes:
    """Return the nonce of the authorization that a deposit is drawn by."""
    return keccak(channel + _word(salt))


def receive_digest(
    token: Domain,
    payer: Address,
    receiver: Address,
    value: int,
    valid_after: int,
    valid_before: int,
    nonce: bytes,
) -> bytes:
    """Return what a payer signs so that `receiver`, and only he, draws `value` (EIP-3009)."""
    return _authorization(
        _RECEIVE_TYPEHASH, token, payer, receiver, value, valid_after, valid_before, nonce
    )


def transfer_digest(
    token: Domain,
    payer: Address,
    receiver: Address,
    value: int,
    valid_after: int,
    valid_before: int,
    nonce: bytes,
) -> bytes:
    """Return what a payer signs so that anybody may move `value` to `receiver` (EIP-3009)."""
    return _authorization(
        _TRANSFER_TYPEHASH, token, payer, receiver, value, valid_after, valid_before, nonce
    )


def _authorization(
    typehash: bytes,
    token: Domain,
    payer: Address,
    receiver: Address,
    value: int,
    valid_after: int,
    valid_before: int,
    nonce: bytes,
) -> bytes:
    fields = bytes(12) + payer + bytes(12) + receiver
    fields += _word(value) + _word(valid_after) + _word(valid_before) + nonce
    return typed_digest(token, keccak(typehash + fields))


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")
