"""`Share.vy`'s revenue again in plain Python: streams, settlements, claims, transfers.

The supply of a Share never changes, so its revenue index is the revenue ever streamed, in base
units of the currency. Nothing is divided until an account is settled. Every division here says who
keeps the dust. What the contract reverts raises `TransactionReverted` with the same string and
changes nothing.

Invariants `solvent`, `conserved`, `index_never_falls` and `no_past_revenue`; the fuzzers hold this
module against the contract word for word (`test_share_matches_spec.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from tessera.errors import TransactionReverted
from tessera.spec.signatures import ZERO_ADDRESS, Address
from tessera.units import MAX_UINT96

__all__ = ["FRACTION_BITS", "Account", "ShareModel", "Stream", "merged", "pocket_at", "revenue_at"]

FRACTION_BITS: Final = 32
_MASK_FRACTION: Final = (1 << FRACTION_BITS) - 1
_POCKET_LIMIT: Final = 2**63


class Stream(NamedTuple):
    """Revenue on its way to the holders.

    Attributes
    ----------
    streamed
        Base units that reached the index up to `last`.
    total
        Base units that will have reached it at `end`, in a straight line from `last`: all revenue
        that ever came in.
    last, end
        Unix seconds.
    """

    streamed: int
    total: int
    last: int
    end: int

    def word(self) -> int:
        """Pack it as the contract's storage word."""
        return self.streamed | self.total << 96 | self.last << 192 | self.end << 224


@dataclass(frozen=True, slots=True)
class Account:
    """One holder.

    Attributes
    ----------
    balance
        Raw units of the share.
    index
        Revenue index at the last settlement, base units.
    pocket
        Settled and not claimed, in 2^-32 of a base unit; below 2^63.
    owed
        Whole base units that did not fit the pocket.
    """

    balance: int = 0
    index: int = 0
    pocket: int = 0
    owed: int = 0

    def word(self) -> int:
        """Pack it as the contract's storage word; the top bit says that something is owed."""
        owes = int(self.owed != 0)
        return self.balance | self.index << 96 | self.pocket << 192 | owes << 255


def revenue_at(stream: Stream, now: int) -> int:
    """Compute the revenue index at a time.

    Parameters
    ----------
    stream
        The stream as stored; `now` is not before its `last`.
    now
        Unix seconds.

    Returns
    -------
    int
        Base units streamed until `now`, rounded down: it never runs ahead of the money.
    """
    if now >= stream.end:
        return stream.total
    coming = stream.total - stream.streamed
    return stream.streamed + coming * (now - stream.last) // (stream.end - stream.last)


def merged(stream: Stream, added: int, *, period: int, now: int) -> Stream:
    """Let a payment join what still streams.

    The time left becomes the mean of both times, weighted by amount.

    Parameters
    ----------
    stream
        The stream as stored.
    added
        New base units, more than 0.
    period
        Seconds over which a payment alone would stream.
    now
        Unix seconds.

    Returns
    -------
    Stream
        A stream that starts now. Its duration is rounded down to a whole second, between two whole
        numbers of which the smaller is the time left: a payment never shortens the stream, and one
        of dust leaves its end where it is.

    Raises
    ------
    TransactionReverted
        Lifetime revenue would reach 2^96.
    """
    total = stream.total + added
    if total > MAX_UINT96:
        raise TransactionReverted("Share", "share: lifetime revenue too large")
    revenue = revenue_at(stream, now)
    remaining = stream.total - revenue
    time_left = stream.end - now if remaining else 0
    duration = (remaining * time_left + added * period) // (remaining + added)
    return Stream(revenue, total, now, now + duration)


def pocket_at(account: Account, revenue: int, *, supply: int) -> int:
    """Compute what an account's pocket comes to at an index.

    Parameters
    ----------
    account
        The account as stored.
    revenue
        The index now, base units; not below the account's.
    supply
        Raw units of the share, all of them.

    Returns
    -------
    int
        In 2^-32 of a base unit, rounded down: what a settlement drops stays with the Share. It may
        be too large to be stored as a pocket.
    """
    earned = account.balance * (revenue - account.index)
    return account.pocket + (earned << FRACTION_BITS) // supply


class ShareModel:
    """One Share: its accounts, its stream, and what was ever claimed.

    The currency is left out: `absorb` is told what the Share holds, `claim` returns what it pays.

    Parameters
    ----------
    supply
        Raw units; all belong to `receiver`.
    period
        Seconds over which a payment streams.
    receiver
        Gets the supply.
    now
        Unix seconds at creation.
    refused
        Addresses that cannot hold this Share, with the reason that the contract gives for each:
        itself, other Shares, the currency, the registry. Checked where an account begins.
    """

    def __init__(
        self,
        supply: int,
        period: int,
        receiver: Address,
        now: int,
        refused: dict[Address, str] | None = None,
    ) -> None:
        self.supply = supply
        self.period = period
        self.stream = Stream(0, 0, now, now)
        self.paid = 0
        self.accounts: dict[Address, Account] = {}
        self._refused = {
            ZERO_ADDRESS: "share: receiver is the zero address",
            **(refused or {}),
        }
        self._check_newcomer(receiver)
        self.accounts[receiver] = Account(balance=supply)

    def account_of(self, holder: Address) -> Account:
        """Return a holder's account as stored; an empty one where there is none."""
        return self.accounts.get(holder, Account())

    def transfer(self, sender: Address, receiver: Address, amount: int, now: int) -> None:
        """Move raw units; both sides are settled first, so revenue stays with who earned it."""
        if self.account_of(sender).balance < amount:
            raise TransactionReverted("Share", "share: balance too low")
        if sender == receiver:
            return
        if self.account_of(receiver) == Account():
            self._check_newcomer(receiver)
        # Sending nothing from an address without an account opens none for it.
        if self.account_of(sender) != Account():
            source = self._settled(sender, now)
            self.accounts[sender] = replace(source, balance=source.balance - amount)
        target = self._settled(receiver, now)
        self.accounts[receiver] = replace(target, balance=target.balance + amount)

    def absorb(self, held: int, now: int) -> int:
        """Stream what the Share holds beyond what is spoken for.

        Parameters
        ----------
        held
            The Share's balance of the currency, base units.
        now
            Unix seconds.

        Returns
        -------
        int
            Base units that were new; 0 changes nothing.
        """
        added = held - self.obligations()
        if added <= 0:
            return 0
        self.stream = merged(self.stream, added, period=self.period, now=now)
        return added

    def claim(self, holder: Address, now: int) -> int:
        """Take what a holder has earned, in base units; the fraction stays in the pocket."""
        account, revenue, pocket = self._at(holder, now)
        amount = (pocket >> FRACTION_BITS) + account.owed
        # Where there is nothing to pay nothing is written either.
        if amount:
            self.accounts[holder] = Account(account.balance, revenue, pocket & _MASK_FRACTION)
            self.paid += amount
        return amount

    def claimable(self, holder: Address, now: int) -> int:
        """Return what `claim` would pay, in base units, rounded down."""
        account, _, pocket = self._at(holder, now)
        return (pocket >> FRACTION_BITS) + account.owed

    def obligations(self) -> int:
        """Return what is spoken for: all revenue that came in, less what was claimed."""
        return self.stream.total - self.paid

    def _at(self, holder: Address, now: int) -> tuple[Account, int, int]:
        account = self.account_of(holder)
        revenue = revenue_at(self.stream, now)
        return account, revenue, pocket_at(account, revenue, supply=self.supply)

    def _settled(self, holder: Address, now: int) -> Account:
        account, revenue, pocket = self._at(holder, now)
        if pocket < _POCKET_LIMIT:
            return replace(account, index=revenue, pocket=pocket)
        return replace(
            account,
            index=revenue,
            pocket=pocket & _MASK_FRACTION,
            owed=account.owed + (pocket >> FRACTION_BITS),
        )

    def _check_newcomer(self, receiver: Address) -> None:
        if receiver in self._refused:
            raise TransactionReverted("Share", self._refused[receiver])
