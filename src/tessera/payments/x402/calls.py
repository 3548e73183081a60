"""Calls of the standard's contracts and of EIP-3009 tokens, and what is read of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tessera.bindings import x402_channels as bindings
from tessera.bindings.calls import Call
from tessera.bindings.codec import encode
from tessera.bindings.test_dollar import AuthorizationUsed, TestDollar, Transfer
from tessera.chain.reader import ChainReader
from tessera.payments.x402.book import ChannelState
from tessera.payments.x402.ports import Claim
from tessera.payments.x402.wire import Authorization, Deposit
from tessera.spec.signatures import Address, address_text
from tessera.spec.x402_digests import BATCH_SETTLEMENT, DEPOSIT_COLLECTOR, ChannelConfig

__all__ = [
    "CHANNELS",
    "claim_call",
    "claim_signed_call",
    "deposit_call",
    "read_channel",
    "refund_call",
    "refund_signed_call",
    "settle_call",
    "together",
    "transfer_call",
    "transferred",
]

CHANNELS: Final = bindings.X402Channels(address_text(BATCH_SETTLEMENT))
"""The standard's channels, where they are on every chain."""

_COLLECTOR: Final = address_text(DEPOSIT_COLLECTOR)
_COLLECTED: Final = ("uint256", "uint256", "uint256", "bytes")


def deposit_call(config: ChannelConfig, deposit: Deposit) -> Call[None]:
    """Draw a deposit into its channel."""
    data = encode(
        "X402Collector.collect",
        _COLLECTED,
        (deposit.valid_after, deposit.valid_before, deposit.salt, deposit.signature),
    )
    return CHANNELS.deposit(_config(config), deposit.amount, _COLLECTOR, data)


def claim_call(claims: Sequence[Claim]) -> Call[None]:
    """Record what was charged, as the receiver's side."""
    return CHANNELS.claim([_row(claim) for claim in claims])


def claim_signed_call(claims: Sequence[Claim], signature: bytes) -> Call[None]:
    """Record what was charged, by the authorizer's signature."""
    return CHANNELS.claimWithSignature([_row(claim) for claim in claims], signature)


def settle_call(receiver: Address, token: Address) -> Call[None]:
    """Send a receiver what was claimed for it."""
    return CHANNELS.settle(address_text(receiver), address_text(token))


def refund_call(config: ChannelConfig, amount: int) -> Call[None]:
    """Give money of a channel back, as the receiver's side."""
    return CHANNELS.refund(_config(config), amount)


def refund_signed_call(
    config: ChannelConfig, amount: int, nonce: int, signature: bytes
) -> Call[None]:
    """Give money of a channel back, by the authorizer's signature."""
    return CHANNELS.refundWithSignature(_config(config), amount, nonce, signature)


def together(*calls: Call[Any]) -> Call[tuple[bytes, ...]]:
    """Make several calls of the channels in one transaction: all or none."""
    return CHANNELS.multicall([call.data for call in calls])


def transfer_call(token: Address, by: Authorization) -> Call[None]:
    """Move what a payer authorized."""
    return TestDollar(address_text(token)).transferWithAuthorization(
        address_text(by.payer),
        address_text(by.receiver),
        by.value,
        by.valid_after,
        by.valid_before,
        by.nonce,
        by.signature[64],
        by.signature[:32],
        by.signature[32:64],
    )


async def read_channel(reader: ChainReader, channel: bytes) -> ChannelState:
    """Read a channel at one block; zeros where there is none."""
    calls: list[Any] = [
        CHANNELS.channels(channel),
        CHANNELS.pendingWithdrawals(channel),
        CHANNELS.refundNonce(channel),
    ]
    at = await reader.block_number()
    state, pending, nonce = await reader.read_all(calls, at=at)
    return ChannelState(state.balance, state.totalClaimed, pending.initiatedAt, nonce)


async def transferred(reader: ChainReader, token: Address, by: Authorization, *, since: int) -> str:
    """Find the transaction that moved what a payer authorized, whoever sent it; "" for none."""
    place = address_text(token)
    payer, receiver = address_text(by.payer), address_text(by.receiver)
    topics = AuthorizationUsed.topics(authorizer=payer, nonce=by.nonce)
    for used in await reader.logs(AuthorizationUsed, address=place, topics=topics, first=since):
        moved = await reader.logs(
            Transfer,
            address=place,
            topics=Transfer.topics(sender=payer, receiver=receiver),
            first=used.block,
            last=used.block,
        )
        # The token says first that it was used, and with its next word what it moved.
        if any(
            log.tx_hash == used.tx_hash
            and log.index == used.index + 1
            and log.event.value == by.value
            for log in moved
        ):
            return used.tx_hash
    return ""


def _config(config: ChannelConfig) -> bindings.ChannelConfig:
    return bindings.ChannelConfig(
        address_text(config.payer),
        address_text(config.payer_authorizer),
        address_text(config.receiver),
        address_text(config.receiver_authorizer),
        address_text(config.token),
        config.withdraw_delay,
        config.salt,
    )


def _row(claim: Claim) -> bindings.VoucherClaim:
    voucher = bindings.Voucher(_config(claim.config), claim.maximum)
    return bindings.VoucherClaim(voucher, claim.signature, claim.charged)
