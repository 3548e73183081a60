"""One channel in an operator's memory, and the judgement whether it covers one more call.

`need` of a line is what the operator could have to settle on it: what was charged, plus the most
that every call in flight may still cost. A voucher is good for a call if each of its maxima covers
the need of its line with the new call counted in.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

from tessera.errors import Closed, NotAllowed, PaymentRequired
from tessera.payments.callmac import CallCodes
from tessera.payments.ports import ChannelView
from tessera.spec.signatures import Address
from tessera.spec.vouchers import SignedVoucher, TillKey
from tessera.storage.batches import Written

__all__ = ["Account", "LineBook"]


@dataclass(slots=True)
class LineBook:
    """One line.

    Attributes
    ----------
    charged
        Cumulative, base units; what the latest receipt says.
    settled
        How much of that the chain has.
    cap, expires
        The session key's limits; looked at only where the signer is restricted.
    in_flight
        The most that calls now being answered may cost.
    """

    charged: int = 0
    settled: int = 0
    cap: int = 0
    expires: int = 0
    in_flight: int = 0

    @property
    def due(self) -> int:
        """Charged and not settled."""
        return self.charged - self.settled

    @property
    def need(self) -> int:
        """What a voucher must allow on this line."""
        return self.charged + self.in_flight


@dataclass(slots=True)
class Account:
    """One channel toward this operator.

    Attributes
    ----------
    number
        The channel.
    chain
        What the chain said, without lines; None until it was asked.
    read_at
        When that was, by the steady clock.
    voucher
        The best one accepted.
    lines
        All that this channel ever used, or that a voucher names.
    stale
        Whether a commit failed, so that this memory is ahead of the database.
    open
        Calls that were accepted and whose end is not on the disk yet.
    unsaved
        Whether the chain was read since the database was told.
    unwritten
        Whether the voucher was not put into the log yet.
    written
        Done when what was last put into the log before an answer is on the disk.
    unfinal
        How much of what the chain has could still be taken back by a reorganisation, base units.
    codes
        Who signs for the channel, and what checks the codes over his requests.
    reading
        Held while the chain is read, so that one read serves all who wait for it.
    """

    number: int
    chain: ChannelView | None = None
    read_at: float = -math.inf
    voucher: SignedVoucher | None = None
    lines: dict[TillKey, LineBook] = field(default_factory=dict)
    stale: bool = False
    open: int = 0
    unsaved: bool = False
    unwritten: bool = False
    written: asyncio.Future[Written] | None = None
    unfinal: int = 0
    codes: tuple[Address, CallCodes] | None = None
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def payer(self) -> Address | None:
        """Whose channel it is; None until the chain was asked."""
        return None if self.chain is None else self.chain.payer

    @property
    def due(self) -> int:
        """Charged on all lines and not settled, base units."""
        return sum(line.due for line in self.lines.values())

    @property
    def at_stake(self) -> int:
        """What is served, or may be, and not final on the chain, base units."""
        return self.unfinal + sum(line.need - line.settled for line in self.lines.values())

    def needs(self, key: TillKey, maximum: int) -> dict[TillKey, int]:
        """Return the need of each line that has one, a further call counted in."""
        needs = {}
        for at, line in self.lines.items():
            need = line.charged + line.in_flight
            if need > line.settled:
                needs[at] = need
        book = self.lines.get(key)
        needs[key] = (book.need if book else 0) + maximum
        return needs

    def charges(self, key: TillKey, cost: int) -> dict[TillKey, int]:
        """Return what the chain does not have of each line, as a total, with one more charge."""
        charges = {at: line.charged for at, line in self.lines.items() if line.due > 0}
        book = self.lines.get(key)
        charges[key] = (book.charged if book else 0) + cost
        return charges

    def choose(self, offered: SignedVoucher, needs: dict[TillKey, int]) -> SignedVoucher | None:
        """Decide which voucher to hold on to.

        Vouchers overtake each other on the way here, so a lower one after a higher one is no
        fraud: the higher stays, and the call is answered if that one covers it. One that is
        higher on one line and lower on another replaces what is stored if it covers every need,
        because the consumer has seen what the earlier calls really cost.

        Returns
        -------
        SignedVoucher or None
            The voucher to hold; None where neither covers the needs.
        """
        stored = self.voucher
        if stored is None:
            return offered if offered.voucher.covers(needs) else None
        if not stored.voucher.reaches(offered.voucher) and offered.voucher.covers(needs):
            return offered
        return stored if stored.voucher.covers(needs) else None

    def judge(
        self, offered: SignedVoucher, key: TillKey, maximum: int, until: float
    ) -> SignedVoucher:
        """Decide whether a call is covered, everything charged and in flight counted in.

        Parameters
        ----------
        offered, key, maximum
            The voucher that came with the call, what it is about, and the most that it may cost.
        until
            How long a session key's grant must last, unix seconds.

        Returns
        -------
        SignedVoucher
            The voucher to hold from now on.

        Raises
        ------
        PaymentRequired
            Neither the voucher nor the one held covers it, or the deposit does not: then by
            `short` base units.
        Closed
            The payer asked to withdraw.
        NotAllowed
            The session key's grants do not reach.
        """
        chain = self.check_open()
        needs = self.needs(key, maximum)
        chosen = self.choose(offered, needs)
        if chosen is None:
            short = {
                key: need for key, need in needs.items() if offered.voucher.maximum(key) < need
            }
            raise PaymentRequired(
                f"voucher of channel {self.number}",
                found=", ".join(f"{offered.voucher.maximum(key)}" for key in short),
                wanted="a maximum of "
                + ", ".join(
                    f"{need} for asset {key.asset} under terms {key.terms}"
                    for key, need in short.items()
                ),
                next_step="sign what was charged plus what is in flight",
            )
        self.check_grants(chain, needs, until)
        missing = self.missing_balance(chain, needs)
        if missing > 0:
            raise PaymentRequired(
                f"channel {self.number}: deposit",
                found=f"{missing} base units too little",
                wanted="a deposit that covers everything charged and in flight",
                next_step="top the channel up",
                short=missing,
            )
        return chosen

    def take_chain(self, view: ChannelView, now: float) -> bool:
        """Believe the chain about everything that it decides.

        A line that the chain has more of than these books was settled by receipt, or the books
        are an older copy: what is settled was charged.

        Returns
        -------
        bool
            Whether more was settled since the chain was last read than was ever charged here: by
            another gateway, then.
        """
        looked, others = bool(self.read_at), False
        self.chain, self.read_at, self.unsaved = view, now, True
        for key, seen in view.lines.items():
            known = self.lines.get(key)
            others |= looked and known is not None and seen.charged > known.charged
            line = self.lines.setdefault(key, LineBook())
            line.settled, line.cap, line.expires = seen.charged, seen.cap, seen.expires
            line.charged = max(line.charged, seen.charged)
        return others

    def take_books(self, kept: Account) -> None:
        """Go back to what the database has; calls in flight stay in flight."""
        self.chain, self.voucher, self.written = kept.chain, kept.voucher, None
        self.unwritten = False
        for key in self.lines.keys() | kept.lines.keys():
            line = self.lines.setdefault(key, LineBook())
            known = kept.lines.get(key) or LineBook()
            line.charged, line.settled = known.charged, known.settled
            line.cap, line.expires = known.cap, known.expires
        self.read_at, self.stale = -math.inf, False

    def check_open(self) -> ChannelView:
        """Refuse a channel that is not there or whose payer wants his money back."""
        if self.chain is None:
            raise PaymentRequired(
                f"channel {self.number}",
                found="no such channel with this operator",
                wanted="a channel that was opened on the chain",
            )
        if self.chain.available_at:
            raise Closed(
                f"channel {self.number}",
                found=f"a withdrawal, possible at {self.chain.available_at}",
                wanted="a channel without one",
                next_step="cancel the withdrawal or open another channel",
            )
        return self.chain

    def check_grants(self, chain: ChannelView, needs: dict[TillKey, int], until: float) -> None:
        """Refuse what the session key could not be settled for."""
        if not chain.restricted:
            return
        for key, need in needs.items():
            line = self.lines.get(key) or LineBook()
            if need > line.cap:
                raise NotAllowed(
                    f"channel {self.number}: grant for asset {key.asset}, terms {key.terms}",
                    found=f"a cap of {line.cap}",
                    wanted=f"{need} base units or more",
                    next_step="the payer can grant more",
                )
            if until > line.expires:
                raise NotAllowed(
                    f"channel {self.number}: grant for asset {key.asset}, terms {key.terms}",
                    found=f"it expires at {line.expires}",
                    wanted=f"{int(until)} or later, so that there is time to settle",
                    next_step="the payer can grant longer",
                )

    def missing_balance(self, chain: ChannelView, needs: dict[TillKey, int]) -> int:
        """Return by how much the deposit falls short of all needs; 0 or less if it does not."""
        missing = -chain.balance
        for key, need in needs.items():
            line = self.lines.get(key)
            missing += need if line is None else need - line.settled
        return missing
