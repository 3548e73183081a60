"""One channel of the standard in an operator's books: what was charged, and on which vouchers.

An official client keeps one number per channel, its *base*: the sum of what it was told it was
charged. A voucher for a call of at most `ceiling` allows base + ceiling. A stream's answer names a
charge before the cost is known; so we name the ceiling there, and take the surplus back in what we
name next. How far a base is above what was really charged is its *lead*; the money of a lead was
signed for and is not claimed.

`lead_bounded`: after every answer, a base that was not below the charged sum still is not, and its
lead is at most the largest ceiling of a call since they were equal. So a client never needs to be
corrected, and an operator who lies can take one call's ceiling.

Nothing about a base is remembered: each voucher tells it. So an answer that got lost confuses
nobody but the client that did not hear it.

A claim shows vouchers to everybody, and x402 signs no request: whoever reads a voucher could pay
for a call of his own with what is left of it. So the maxima that strangers may know are kept, and
a request that brings one of them is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tessera.errors import InvariantViolation, MeterMismatch
from tessera.payments.x402.wire import Reason, hex_text, refused
from tessera.spec.x402_digests import ChannelConfig

__all__ = ["KEPT_VOUCHERS", "ChannelBook", "ChannelState", "KeptVoucher", "named_charge"]

KEPT_VOUCHERS: Final = 8
"""Vouchers that are kept of a channel; the tightest that covers the charged sum is claimed."""

_TAKE_UP: Final = (
    "a client that began anew takes `extra.channelState` up with a chain to ask or a file store; "
    "or use another salt"
)


class ChannelState(NamedTuple):
    """What the chain says about a channel; base units, unix seconds.

    Attributes
    ----------
    balance
        Deposited, less withdrawn and refunded; does not fall by claims.
    claimed
        How much of that is the receiver's.
    withdraw_at
        When the payer asked for his money; 0 where he did not.
    refund_nonce
        How often money was given back.
    """

    balance: int = 0
    claimed: int = 0
    withdraw_at: int = 0
    refund_nonce: int = 0

    def shown(self, channel: bytes) -> dict[str, Any]:
        """Return it as the standard's JSON, by the channel's id."""
        return {
            "channelId": hex_text(channel),
            "balance": str(self.balance),
            "totalClaimed": str(self.claimed),
            "withdrawRequestedAt": self.withdraw_at,
            "refundNonce": str(self.refund_nonce),
        }


class KeptVoucher(NamedTuple):
    """A voucher whose signature was checked."""

    maximum: int
    signature: bytes


@dataclass(slots=True)
class ChannelBook:
    """One channel.

    Attributes
    ----------
    id, config
        Its name and its terms.
    asset, terms
        Whose Till is its receiver.
    chain
        What the chain said last.
    charged
        What all answered calls cost; what is claimed, never more.
    vouchers
        Ascending by maximum; the last call's is among them.
    published
        Maxima from `charged` up whose vouchers others may know.
    """

    id: bytes
    config: ChannelConfig
    asset: int
    terms: int
    chain: ChannelState = field(default_factory=ChannelState)
    charged: int = 0
    vouchers: tuple[KeptVoucher, ...] = ()
    published: frozenset[int] = frozenset()

    @property
    def number(self) -> int:
        """The channel in receipts, whose channels have 64 bits: the last eight bytes of its id."""
        return int.from_bytes(self.id[-8:], "big")

    @property
    def due(self) -> int:
        """Charged and not claimed."""
        return max(0, self.charged - self.chain.claimed)

    @property
    def free(self) -> int:
        """What could be given back: neither claimed nor charged."""
        return max(0, self.chain.balance - max(self.charged, self.chain.claimed))

    def base(self, maximum: int, ceiling: int, *, arriving: int = 0) -> int:
        """Return the base that a voucher for a call of at most `ceiling` tells, if it covers it.

        Parameters
        ----------
        arriving
            What the same request deposits.

        Raises
        ------
        PaymentRequired
            It allows less than was charged and this call, more than the channel holds, or is one
            that strangers know.
        """
        base = maximum - ceiling
        if base < self.chain.claimed:
            raise refused(
                Reason.BELOW_CLAIMED,
                found=f"a voucher up to {maximum} for a call up to {ceiling}",
                wanted=f"one up to {max(self.charged, self.chain.claimed) + ceiling}",
                next_step=_TAKE_UP,
            )
        if base < self.charged:
            raise refused(
                Reason.AMOUNT_MISMATCH,
                found=f"a voucher up to {maximum} for a call up to {ceiling}",
                wanted=f"one up to {self.charged + ceiling}: {self.charged} were charged",
                next_step=_TAKE_UP,
            )
        if maximum in self.published:
            raise refused(
                Reason.AMOUNT_MISMATCH,
                found=f"the voucher up to {maximum}, which others know",
                wanted="a voucher that only the payer can have",
                next_step="ask for a call with another limit, such as another max_tokens",
            )
        balance = self.chain.balance + arriving
        if maximum > balance:
            raise refused(
                Reason.EXCEEDS_BALANCE,
                found=f"a voucher up to {maximum}",
                wanted=f"at most the {balance} that the channel holds",
                next_step="deposit more",
                short=maximum - balance,
            )
        return base

    def keep(self, voucher: KeptVoucher) -> None:
        """Keep the voucher of a call that is about to be answered."""
        others = [v for v in self.vouchers if self.charged <= v.maximum != voucher.maximum]
        # Those that allow least are claimed first, so of too many the loosest goes.
        others = others[: KEPT_VOUCHERS - 1]
        self.vouchers = tuple(sorted([*others, voucher]))

    def drop(self, voucher: KeptVoucher) -> None:
        """Let go of the voucher of a call that failed, where another covers what was charged.

        Else a stranger could have it shown, and a repeat of the call would need that very voucher.
        """
        others = tuple(kept for kept in self.vouchers if kept != voucher)
        if not self.charged or any(kept.maximum >= self.charged for kept in others):
            self.vouchers = others

    def charge(self, voucher: KeptVoucher, ceiling: int, cost: int) -> None:
        """Add what a call cost.

        Raises
        ------
        MeterMismatch
            It cost more than its ceiling, or than its voucher allows.
        """
        if not 0 <= cost <= ceiling or self.charged + cost > voucher.maximum:
            raise MeterMismatch(
                "cost of the call",
                found=cost,
                wanted=f"at most the {ceiling} that the request allows",
                next_step="the call is not charged",
            )
        self.charged += cost
        self.published = frozenset(m for m in self.published if m >= self.charged)
        self.keep(voucher)

    def best(self) -> KeptVoucher | None:
        """Return the tightest voucher that covers what was charged; None where nothing is due."""
        if not self.due:
            return None
        for voucher in self.vouchers:
            if voucher.maximum >= self.charged:
                return voucher
        raise InvariantViolation(
            f"x402 channel {self.id.hex()}", found=self.charged, wanted="a voucher that covers it"
        )

    def publish(self, maximum: int) -> None:
        """Remember that others may know the voucher of this maximum from now on."""
        if maximum >= self.charged:
            self.published |= {maximum}

    def told(self, presented: KeptVoucher) -> KeptVoucher | None:
        """Return a voucher to show to whoever presented one, so that he can find the charged sum.

        His own where that will do: it tells him nothing new. Any other counts as published from
        now on, for he need not be the payer.
        """
        if presented.maximum >= self.charged:
            return presented
        found = next((v for v in self.vouchers if v.maximum >= self.charged), None)
        if found is not None:
            self.publish(found.maximum)
        return found


def named_charge(charged: int, base: int, ceiling: int, cost: int | None) -> int:
    """Return the charge to name in an answer, so that the client's base stays right.

    Parameters
    ----------
    charged
        The sum before this call.
    base
        What the call's voucher told.
    ceiling
        The most that the call may cost.
    cost
        What it cost; None where its head leaves before that is known.

    Returns
    -------
    int
        From 0 to `ceiling`.
    """
    return max(0, charged + (ceiling if cost is None else cost) - base)
