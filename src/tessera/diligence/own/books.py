"""The books of an asset of our own, written again from what its contracts said.

Channels logs what was settled and what came through Tills, never how it was divided: who got what
follows from the terms that the Registry logged, by the floors of `tessera.spec.split`. Each flush
says how much was waiting, so a history with a hole, or a split that is not ours, shows itself:
the books then say so, and nothing is concluded from them.

Who paid what lies in a settlement's calldata where it concerns several assets; where that was not
kept, or does not add up with what the chain took from each channel, the payer is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tessera.bindings import channels
from tessera.bindings.emission import SoldForHolders
from tessera.bindings.registry import (
    AssetRegistered,
    DiscountSet,
    EndpointClosed,
    EndpointSet,
    ParentAdded,
    TermsRenewed,
    Tokenized,
)
from tessera.bindings.share import RevenueClaimed, RevenueDistributed
from tessera.diligence.own.movements import Movement
from tessera.diligence.own.payers import ChannelPayers, Settlement, channels_of
from tessera.errors import DataError
from tessera.facts import Event
from tessera.spec.registry import DEFAULT_FEE_BPS
from tessera.spec.split import Parts, SplitModel, SplitTerms
from tessera.spec.vouchers import TillKey

__all__ = ["AssetBooks", "Claim", "Income", "Paid", "read_books"]

_MASK_64: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Income:
    """What an asset took in at once.

    Attributes
    ----------
    by_till
        It came by plain transfer: income, and no proof of demand.
    parts
        How it was divided.
    """

    at: Movement
    operator: str
    terms: int
    by_till: bool
    parts: Parts


@dataclass(frozen=True, slots=True)
class Paid:
    """What one payer paid for an asset; `payer` is None where nobody can say who it was."""

    at: Movement
    payer: str | None
    by_till: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """What a holder took."""

    at: Movement
    holder: str


@dataclass(slots=True)
class AssetBooks:
    """What one asset took in, and what became of it; all amounts in base units of the currency.

    Attributes
    ----------
    share, supply, creator
        Address of its Share and raw units of it, "" and 0 where it has none; who registered it.
    incomes, paid
        What came in, with its division; and by whom, which adds up to the same.
    received
        Royalties from assets that were made with it.
    to_share, to_owner
        Handed on to its Share, where it streams to the holders; before there was one, to its
        owner's credit.
    distributed
        All that the Share began to stream to its holders.
    emission_sold
        Of `distributed`, what buyers paid for network tokens that the asset was given: it is
        emission, not revenue.
    claims
        What holders took.
    doubts
        Why these books cannot be relied on; none where every flush was what they said was waiting.
    """

    asset: int
    creator: str = ""
    registered: int = 0
    share: str = ""
    supply: int = 0
    incomes: list[Income] = field(default_factory=list)
    paid: list[Paid] = field(default_factory=list)
    received: list[Movement] = field(default_factory=list)
    to_share: list[Movement] = field(default_factory=list)
    to_owner: list[Movement] = field(default_factory=list)
    distributed: list[Movement] = field(default_factory=list)
    emission_sold: list[Movement] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    @property
    def settled(self) -> int:
        """By vouchers."""
        return sum(each.at.amount for each in self.incomes if not each.by_till)

    @property
    def till_income(self) -> int:
        """By plain transfers to its Tills."""
        return sum(each.at.amount for each in self.incomes if each.by_till)

    @property
    def gross(self) -> int:
        """All that users paid."""
        return self.settled + self.till_income

    @property
    def commons(self) -> int:
        """The commons' half of the network fee."""
        return sum(each.parts.commons for each in self.incomes)

    @property
    def validators(self) -> int:
        """The validators' half of it."""
        return sum(each.parts.validators for each in self.incomes)

    @property
    def operator(self) -> int:
        """The operators' cuts."""
        return sum(each.parts.operator for each in self.incomes)

    @property
    def royalties(self) -> int:
        """To the assets that it was made with."""
        return sum(part for each in self.incomes for _, part in each.parts.parents)

    @property
    def holders(self) -> int:
        """The asset's own part."""
        return sum(each.parts.asset for each in self.incomes)

    @property
    def left_over(self) -> int:
        """What all the floors leave in Channels until the next payment."""
        return self.gross - sum(each.parts.total for each in self.incomes)


def read_books(
    events: Iterable[Event],
    *,
    calldata: Mapping[tuple[int, int], bytes] | None = None,
    till_payers: Mapping[tuple[int, int], Mapping[str, int]] | None = None,
    terms_grace: int | None = None,
) -> dict[int, AssetBooks]:
    """Write the books of all assets again.

    Parameters
    ----------
    events
        Of the Registry, Channels, the Shares, Emission; in the order of the chain, from the first.
    calldata
        By (block, position in the block): the input of transactions that settled.
    till_payers
        By (block, log) of an `IncomeReceived`: how much of it was whose.
    terms_grace
        Seconds from the end of terms to the end of an operator's cut. None: nobody knows; a payment
        under terms that had ended is then in doubt until a flush shows how it was divided.

    Returns
    -------
    dict
        By asset.

    Raises
    ------
    DataError
        The events do not begin with the first: an asset is paid for that nobody registered. Or
        they are those of two deployments.
    """
    ordered = sorted(events, key=lambda event: (event.block, event.log))
    sold = {
        (event.block, event.tx): event.event
        for event in ordered
        if isinstance(event.event, SoldForHolders)
    }
    replay = _Replay(channels_of(ordered), calldata or {}, till_payers or {}, terms_grace, sold)
    for event in ordered:
        replay.take(event)
    replay.close()
    return replay.books


class TermsKey(NamedTuple):
    """What a split is a function of; the operator in lower case."""

    asset: int
    operator: str
    terms: int


class _Replay:
    def __init__(
        self,
        channels: str | None,
        calldata: Mapping[tuple[int, int], bytes],
        till_payers: Mapping[tuple[int, int], Mapping[str, int]],
        terms_grace: int | None,
        sold: Mapping[tuple[int, int], SoldForHolders],
    ) -> None:
        self.books: dict[int, AssetBooks] = {}
        self._channels = channels
        self._calldata = calldata
        self._till_payers = till_payers
        self._sold = sold
        self._terms = _Terms(terms_grace)
        self._by_share: dict[str, int] = {}
        self._models: dict[TermsKey, SplitModel] = {}
        self._pending: Counter[int] = Counter()
        self._unsure: dict[int, str] = {}
        self._payers = ChannelPayers()
        self._open: tuple[tuple[int, int], Settlement] | None = None

    def take(self, event: Event) -> None:
        """Take the next event."""
        if self._open is not None and self._open[0] != (event.block, event.tx):
            self._close_settlement()
        said = event.event
        match said:
            case AssetRegistered():
                if said.asset in self.books:
                    raise DataError(
                        f"asset {said.asset}",
                        found="registered twice",
                        wanted="events of one Registry",
                        next_step="index the deployments apart",
                    )
                self.books[said.asset] = AssetBooks(said.asset, said.creator.lower(), event.time)
                self._terms.register(said)
            case Tokenized():
                book = self._book(said.asset)
                book.share, book.supply = said.share.lower(), said.supply
                self._by_share[book.share] = book.asset
            case ParentAdded() | EndpointSet() | TermsRenewed() | EndpointClosed() | DiscountSet():
                self._book(said.asset)
                self._terms.take(said, event.time)
            case RevenueDistributed() if event.address in self._by_share:
                book = self.books[self._by_share[event.address]]
                at = _at(event, said.amount)
                book.distributed.append(at)
                sold = self._sold.get((event.block, event.tx))
                if sold is not None and sold.asset == book.asset:
                    book.emission_sold.append(at._replace(amount=min(sold.cost, at.amount)))
            case RevenueClaimed() if event.address in self._by_share:
                book = self.books[self._by_share[event.address]]
                book.claims.append(Claim(_at(event, said.amount), said.holder.lower()))
            case _ if event.address == self._channels:
                self._take_money(event)
            case _:
                pass

    def close(self) -> None:
        """End it."""
        self._close_settlement()
        for asset, why in self._unsure.items():
            self.books[asset].doubts.append(why)
        for book in self.books.values():
            book.paid.sort(key=lambda paid: (paid.at.block, paid.at.log))

    def _take_money(self, event: Event) -> None:
        match event.event:
            case channels.ChannelOpened() as said:
                self._payers.opened(said.operator.lower(), said.channel, said.payer.lower())
            case channels.VouchersSettled() as said:
                self._close_settlement()
                taken = [(word & _MASK_64, word >> 64) for word in said.taken]
                self._open = (event.block, event.tx), Settlement(said.operator.lower(), taken)
            case channels.Settled() as said:
                at = _at(event, said.amount)
                key = TermsKey(said.asset, said.operator.lower(), said.terms)
                parts = self._credit(key, at, by_till=False)
                if parts.commons != said.commons:
                    differs = f"the commons got {said.commons}, the terms say {parts.commons}"
                    self.books[said.asset].doubts.append(f"block {at.block}: {differs}")
                if self._open is None:
                    self.books[said.asset].paid.append(Paid(at, None))
                else:
                    self._open[1].parts.append((TillKey(said.asset, said.terms), at))
            case channels.IncomeReceived() as said:
                at = _at(event, said.amount)
                key = TermsKey(said.asset, said.operator.lower(), said.terms)
                self._credit(key, at, by_till=True)
                self._paid_at_till(self.books[said.asset], at)
            case channels.Flushed() as said:
                self._flushed(
                    self._book(said.asset), said.receiver.lower(), _at(event, said.amount)
                )
            case _:
                pass

    def _book(self, asset: int) -> AssetBooks:
        if asset not in self.books:
            raise _no_beginning(f"asset {asset}", "events from before its registration on")
        return self.books[asset]

    def _credit(self, key: TermsKey, at: Movement, *, by_till: bool) -> Parts:
        book = self._book(key.asset)
        if key not in self._models:
            self._models[key] = SplitModel(self._terms.of(key))
        model = self._models[key]
        lapsed = False
        if model.terms.cut_bps:
            known = self._terms.lapsed(key, at.time)
            if known is None:
                # Counted as not over; the next flush says whether that was right.
                self._unsure[key.asset] = (
                    f"block {at.block}: terms {key.terms} had ended, and nothing says how long an "
                    "operator's cut outlives them"
                )
            lapsed = bool(known)
        parts = model.credit(at.amount, lapsed=lapsed)
        book.incomes.append(Income(at, key.operator, key.terms, by_till, parts))
        self._pending[key.asset] += parts.asset
        for parent, royalty in parts.parents:
            self._pending[parent] += royalty
            self._book(parent).received.append(at._replace(amount=royalty))
        return parts

    def _flushed(self, book: AssetBooks, receiver: str, at: Movement) -> None:
        waiting = self._pending.pop(book.asset, 0)
        self._unsure.pop(book.asset, None)
        if waiting != at.amount:
            book.doubts.append(f"block {at.block}: flushed {at.amount}, the books say {waiting}")
        (book.to_share if receiver == book.share else book.to_owner).append(at)

    def _paid_at_till(self, book: AssetBooks, at: Movement) -> None:
        left = at.amount
        for payer, amount in self._till_payers.get((at.block, at.log), {}).items():
            part = min(amount, left)
            left -= part
            if part:
                book.paid.append(Paid(at._replace(amount=part), payer, by_till=True))
        if left:
            book.paid.append(Paid(at._replace(amount=left), None, by_till=True))

    def _close_settlement(self) -> None:
        if self._open is None:
            return
        where, settlement = self._open
        self._open = None
        found = self._payers.shares_of(settlement, self._calldata.get(where, b""))
        for index, (key, at) in enumerate(settlement.parts):
            book = self._book(key.asset)
            if found is None:
                book.paid.append(Paid(at, None))
                continue
            for channel, amount in found[index].items():
                payer = self._payers.of(settlement.operator, channel)
                book.paid.append(Paid(at._replace(amount=amount), payer))


class _Terms:
    """Every row of terms that the Registry wrote, and when it ended."""

    def __init__(self, grace: int | None) -> None:
        self._grace = grace
        self._rows: dict[TermsKey, SplitTerms] = {}
        self._present: dict[tuple[int, str], int] = {}
        self._discounts: dict[tuple[int, str], int] = {}
        self._ended: dict[TermsKey, int] = {}
        self._born_to: dict[int, tuple[tuple[int, int], ...]] = {}
        self._parents: dict[int, tuple[tuple[int, int], ...]] = {}

    def register(self, said: AssetRegistered) -> None:
        parents = tuple((parent.asset, parent.royalty_bps) for parent in said.parents)
        self._parents[said.asset] = self._born_to[said.asset] = parents

    def take(
        self,
        said: ParentAdded | EndpointSet | TermsRenewed | EndpointClosed | DiscountSet,
        now: int,
    ) -> None:
        if isinstance(said, ParentAdded):
            added = (said.parent, said.royalty_bps)
            self._parents[said.asset] = (*self._parents[said.asset], added)
            return
        at = (said.asset, said.operator.lower())
        present = self._present.get(at)
        if isinstance(said, EndpointClosed):
            self._end(at, present, now)
            self._end(at, self._discounts.pop(at, None), now)
            return
        key = TermsKey(*at, said.terms)
        if isinstance(said, DiscountSet):
            self._end(at, self._discounts.pop(at, None), now)
            # Its end writes nothing: calls that were made under it keep their terms.
            if said.discount_bps:
                before = self.of(TermsKey(*at, present or 0))
                self._rows[key] = before.discounted(said.discount_bps)
                self._discounts[at] = key.terms
            return
        if isinstance(said, EndpointSet):
            fee, cut = said.fee_bps, said.cut_bps
        else:
            before = self.of(TermsKey(*at, present or 0))
            fee, cut = before.fee_bps, before.cut_bps
        if present != key.terms:
            self._end(at, present, now)
            self._end(at, self._discounts.pop(at, None), now)
        # A row that is there already keeps the parents it knew.
        self._rows.setdefault(key, SplitTerms(fee, cut, self._parents[key.asset]))
        self._present[at] = key.terms

    def of(self, key: TermsKey) -> SplitTerms:
        """Return a row; 0 is an unlisted operator's."""
        if not key.terms:
            return SplitTerms(DEFAULT_FEE_BPS, 0, self._born_to[key.asset])
        if key not in self._rows:
            raise _no_beginning(
                f"terms {key.terms} of asset {key.asset}", "the event that wrote them"
            )
        return self._rows[key]

    def lapsed(self, key: TermsKey, now: int) -> bool | None:
        """Return whether a row's cut is over; None where nobody knows how long it lasts."""
        ended = self._ended.get(key)
        if ended is None:
            return False
        return None if self._grace is None else now >= ended + self._grace

    def _end(self, at: tuple[int, str], terms: int | None, now: int) -> None:
        if terms:
            self._ended.setdefault(TermsKey(*at, terms), now)


def _at(event: Event, amount: int) -> Movement:
    return Movement(event.block, event.time, event.log, amount)


def _no_beginning(thing: str, wanted: str) -> DataError:
    return DataError(
        thing,
        found="not there",
        wanted=wanted,
        next_step="index from the first block of the deployment: tessera index --from",
    )
