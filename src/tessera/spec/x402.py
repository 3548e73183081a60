"""`X402Channels.vy` again in plain Python: the books of x402's batch settlement.

The tokens are left out: methods return what is sent to whom. What the contract reverts raises
`TransactionReverted` with the signature of the same custom error and changes nothing. What is
signed is in `tessera.spec.x402_digests`.

Invariants `solvent`, `conserved`, `settled_once`, `can_always_claim`; held against the contract by
`test_x402_promises.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from tessera.errors import TransactionReverted
from tessera.spec.signatures import ZERO_ADDRESS, Address, recover
from tessera.spec.x402_digests import (
    MAX_WITHDRAW_DELAY_S,
    MIN_WITHDRAW_DELAY_S,
    ChannelConfig,
    ClaimEntry,
    channel_id,
    claims_digest,
    refund_digest,
    voucher_digest,
)

__all__ = [
    "MAX_CLAIMS",
    "ChannelState",
    "Payout",
    "ReceiverState",
    "VoucherClaim",
    "Withdrawal",
    "X402Model",
]

MAX_CLAIMS: Final = 100
"""Rows of one claim, at most."""

_MAX_UINT128: Final = 2**128 - 1


class VoucherClaim(NamedTuple):
    """A row of a claim.

    Attributes
    ----------
    config
        The channel.
    maximum
        What the payer signed: the most that may be claimed in all, base units.
    signature
        Of the payer or its authorizer.
    claimed
        What was earned in all, base units.
    """

    config: ChannelConfig
    maximum: int
    signature: bytes
    claimed: int


class ChannelState(NamedTuple):
    """The money of a channel, base units.

    Attributes
    ----------
    balance
        All that was deposited, less what was withdrawn or refunded; claims do not lower it.
    claimed
        Of that, what is the receiver's.
    """

    balance: int = 0
    claimed: int = 0

    @property
    def free(self) -> int:
        """What the payer could still have back."""
        return self.balance - self.claimed


class Withdrawal(NamedTuple):
    """One that was announced: base units, and when; (0, 0) for none."""

    amount: int = 0
    initiated_at: int = 0


class ReceiverState(NamedTuple):
    """What a receiver earned in a token, and how much of it was sent; base units."""

    claimed: int = 0
    settled: int = 0


class Payout(NamedTuple):
    """What the contract sends."""

    token: Address
    receiver: Address
    amount: int


class X402Model:
    """The books of one contract.

    Parameters
    ----------
    chain_id
        EIP-155 number.
    wallets
        Accounts that are contracts, each with what it says to a digest and a signature (ERC-1271).
    """

    def __init__(
        self,
        chain_id: int,
        wallets: Mapping[Address, Callable[[bytes, bytes], bool]] | None = None,
    ) -> None:
        self.chain_id = chain_id
        self.wallets = dict(wallets or {})
        self.channels: defaultdict[bytes, ChannelState] = defaultdict(ChannelState)
        self.pending: defaultdict[bytes, Withdrawal] = defaultdict(Withdrawal)
        self.receivers: defaultdict[tuple[Address, Address], ReceiverState] = defaultdict(
            ReceiverState
        )
        self.refund_nonce: defaultdict[bytes, int] = defaultdict(int)

    def deposit(
        self, config: ChannelConfig, amount: int, collector: Address, brought: int | None = None
    ) -> bool:
        """Add to a channel; whether it begins with it.

        Parameters
        ----------
        brought
            What arrived of the token; all of `amount` where None.
        """
        parties = (config.payer, config.receiver, config.receiver_authorizer, config.token)
        _require(ZERO_ADDRESS not in parties, "InvalidChannel()")
        in_range = MIN_WITHDRAW_DELAY_S <= config.withdraw_delay <= MAX_WITHDRAW_DELAY_S
        _require(in_range, "WithdrawDelayOutOfRange()")
        _require(amount != 0, "ZeroDeposit()")
        _require(collector != ZERO_ADDRESS, "InvalidCollector()")
        channel = self._id(config)
        state = self.channels[channel]
        _require(state.balance + amount <= _MAX_UINT128, "DepositOverflow()")
        _require(brought in {None, amount}, "DepositCollectionFailed()")
        self.channels[channel] = state._replace(balance=state.balance + amount)
        return state == ChannelState()

    def claim(self, rows: Sequence[VoucherClaim], sender: Address) -> list[int]:
        """Record what was earned; what each row added."""
        _require(len(rows) != 0, "EmptyBatch()")
        return self._all(
            rows,
            lambda config: _require(_of_receiver(sender, config), "NotAuthorizedToClaim()"),
        )

    def claim_with_signature(self, rows: Sequence[VoucherClaim], signature: bytes) -> list[int]:
        """Record what was earned, by the authorizer's signature; what each row added."""
        _require(len(rows) != 0, "EmptyBatch()")
        authorizer = rows[0].config.receiver_authorizer
        digest = claims_digest(
            self.chain_id,
            [ClaimEntry(self._id(row.config), row.maximum, row.claimed) for row in rows],
        )
        _require(self._signed_by(authorizer, digest, signature), "InvalidSignature()")
        return self._all(
            rows,
            lambda config: _require(
                config.receiver_authorizer == authorizer, "NotReceiverAuthorizer()"
            ),
        )

    def settle(self, receiver: Address, token: Address) -> Payout | None:
        """Send a receiver what it earned; None where there is nothing to send."""
        state = self.receivers[receiver, token]
        if state.claimed == state.settled:
            return None
        self.receivers[receiver, token] = state._replace(settled=state.claimed)
        return Payout(token, receiver, state.claimed - state.settled)

    def initiate_withdraw(
        self, config: ChannelConfig, amount: int, sender: Address, now: int
    ) -> int:
        """Announce a withdrawal; when it may be finalized."""
        _require(sender in {config.payer, config.payer_authorizer}, "InvalidChannel()")
        _require(amount != 0, "NothingToWithdraw()")
        channel = self._id(config)
        _require(self.pending[channel].initiated_at == 0, "WithdrawalAlreadyPending()")
        _require(amount <= self.channels[channel].free, "WithdrawAmountExceedsAvailable()")
        self.pending[channel] = Withdrawal(amount, now)
        return now + config.withdraw_delay

    def finalize_withdraw(self, config: ChannelConfig, sender: Address, now: int) -> Payout:
        """Send the payer what it announced, or what is free if that is less; perhaps nothing."""
        allowed = sender in {config.payer, config.payer_authorizer}
        _require(allowed, "NotAuthorizedToFinalizeWithdraw()")
        channel = self._id(config)
        pending = self.pending[channel]
        _require(pending.initiated_at != 0, "WithdrawalNotPending()")
        elapsed = now >= pending.initiated_at + config.withdraw_delay
        _require(elapsed, "WithdrawDelayNotElapsed()")
        self.pending[channel] = Withdrawal()
        return self._returned(config, channel, min(pending.amount, self.channels[channel].free))

    def refund(self, config: ChannelConfig, amount: int, sender: Address) -> Payout:
        """Send the payer up to `amount` of what is free, as the receiver's side."""
        _require(_of_receiver(sender, config), "NotAuthorizedToRefund()")
        return self._refund(config, amount)

    def refund_with_signature(
        self, config: ChannelConfig, amount: int, nonce: int, signature: bytes
    ) -> Payout:
        """Send the payer up to `amount` of what is free, by the authorizer's signature."""
        channel = self._id(config)
        _require(nonce == self.refund_nonce[channel], "InvalidRefundNonce()")
        digest = refund_digest(self.chain_id, channel, nonce, amount)
        signed = self._signed_by(config.receiver_authorizer, digest, signature)
        _require(signed, "InvalidSignature()")
        return self._refund(config, amount)

    def _id(self, config: ChannelConfig) -> bytes:
        return channel_id(self.chain_id, config)

    def _all(
        self, rows: Sequence[VoucherClaim], check: Callable[[ChannelConfig], None]
    ) -> list[int]:
        """Apply all rows or none; each sees what those before it did."""
        channels, receivers = self.channels.copy(), self.receivers.copy()
        try:
            added = []
            for row in rows:
                check(row.config)
                added.append(self._claim(row))
        except TransactionReverted:
            self.channels, self.receivers = channels, receivers
            raise
        return added

    def _claim(self, row: VoucherClaim) -> int:
        config = row.config
        channel = self._id(config)
        state = self.channels[channel]
        if row.claimed <= state.claimed:
            return 0
        _require(row.claimed <= row.maximum, "ClaimExceedsCeiling()")
        _require(row.claimed <= state.balance, "ClaimExceedsBalance()")
        digest = voucher_digest(self.chain_id, channel, row.maximum)
        if config.payer_authorizer != ZERO_ADDRESS:
            signed = recover(digest, row.signature) == config.payer_authorizer
        else:
            signed = self._signed_by(config.payer, digest, row.signature)
        _require(signed, "InvalidSignature()")
        added = row.claimed - state.claimed
        key = (config.receiver, config.token)
        earned = self.receivers[key].claimed + added
        # The compiler's own check, which says nothing; more than all tokens with a sane supply.
        _require(earned <= _MAX_UINT128, "")
        self.channels[channel] = state._replace(claimed=row.claimed)
        self.receivers[key] = self.receivers[key]._replace(claimed=earned)
        return added

    def _refund(self, config: ChannelConfig, amount: int) -> Payout:
        _require(amount != 0, "ZeroRefund()")
        channel = self._id(config)
        self.refund_nonce[channel] += 1
        given = min(amount, self.channels[channel].free)
        pending = self.pending[channel]
        if given and pending.initiated_at:
            left = pending.amount - given
            self.pending[channel] = pending._replace(amount=left) if left > 0 else Withdrawal()
        return self._returned(config, channel, given)

    def _returned(self, config: ChannelConfig, channel: bytes, amount: int) -> Payout:
        state = self.channels[channel]
        self.channels[channel] = state._replace(balance=state.balance - amount)
        return Payout(config.token, config.payer, amount)

    def _signed_by(self, signer: Address, digest: bytes, signature: bytes) -> bool:
        if signer in self.wallets:
            return self.wallets[signer](digest, signature)
        return signer != ZERO_ADDRESS and recover(digest, signature) == signer


def _of_receiver(sender: Address, config: ChannelConfig) -> bool:
    return sender in {config.receiver, config.receiver_authorizer}


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise TransactionReverted("X402Channels", reason)
