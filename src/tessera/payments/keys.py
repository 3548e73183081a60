"""What keys may still spend: the rules of each, counted in the step that reserves a call.

Beneath the chain's caps the channel's payer may rule more, by a signature: a budget per day, month
or in all, which models, how many calls a minute, or that the key is revoked. What a key has spent
is what its channel was charged, and what is in flight is counted with it in the same step in which
a call is reserved, whether a key or a voucher pays: there is no second count that could be stale,
and nothing between looking and reserving in which another call could slip through.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from tessera.errors import (
    BudgetSpent,
    Conflict,
    KeyRevoked,
    NotAllowed,
    NotFound,
    QuotaExceeded,
    SignatureRejected,
)
from tessera.payments import books
from tessera.payments.account import Account
from tessera.payments.api_key import key_id
from tessera.payments.key_rules import KeyRules, period_end, period_start, rules_digest
from tessera.payments.pace import LastMinute
from tessera.payments.ports import Clock
from tessera.payments.shared import SharedBooks
from tessera.payments.times import Times
from tessera.spec.signatures import Domain, address_text, recover
from tessera.storage import schema
from tessera.storage.batches import BatchLog

__all__ = ["KeptRules", "Keys", "SharedKeys", "Wording", "load_rules"]


@dataclass(frozen=True, slots=True)
class KeptRules:
    """One key's rules as the books keep them.

    Attributes
    ----------
    channel
        The key's.
    rules, signature
        As the payer sent them.
    period_start
        Unix seconds.
    bases
        What each asset had been charged then, base units.
    changed_at
        When they came, unix seconds.
    """

    channel: int
    rules: bytes
    signature: bytes
    period_start: int
    bases: dict[int, int]
    changed_at: int


@dataclass(slots=True)
class _Book:
    """One key's rules and where its period began."""

    rules: KeyRules
    body: bytes
    signature: bytes
    started: int
    bases: dict[int, int]
    changed_at: int
    pace: LastMinute = field(default_factory=LastMinute)

    def spent(self, account: Account, asset: int | None = None) -> int:
        """What was charged and is in flight in this period, base units; of one asset or all."""
        if asset is None:
            return sum(line.need for line in account.lines.values()) - sum(self.bases.values())
        needs = (line.need for key, line in account.lines.items() if key.asset == asset)
        return sum(needs) - self.bases.get(asset, 0)


@dataclass(frozen=True, slots=True)
class Wording:
    """What refusals call things, for people; without an operator's names, numbers.

    Attributes
    ----------
    model
        Writes an asset's number.
    amount
        Writes base units.
    """

    model: Callable[[int], str] = "asset {}".format
    amount: Callable[[int], str] = "{} base units".format


class Keys:
    """The rules of all keys toward one operator, in the memory of its one gateway.

    Parameters
    ----------
    log
        Where rules are kept.
    domain
        Chain and Channels contract of the payers' signatures.
    times
        Decide which day it is, and what a minute is.
    kept
        The rules that are there already.

    Attributes
    ----------
    refused
        Calls that a key was not allowed to make.
    wording
        Of what it refuses.
    """

    def __init__(
        self,
        log: BatchLog[books.Change] | SharedBooks,
        domain: Domain,
        times: Times,
        kept: Iterable[KeptRules] = (),
    ) -> None:
        self._log = log
        self._domain = domain
        self._clock: Clock = times.calendar
        self._now: Clock = times.steady
        self._books = {rules.channel: self._book(rules) for rules in kept}
        self.refused = 0
        self.wording = Wording()

    # --- In the step in which a call is reserved ----------------------------------------------

    def check(self, account: Account, asset: int, maximum: int) -> None:
        """Refuse a call that its channel's key may not make; for the step that reserves it.

        Parameters
        ----------
        account
            Who pays.
        asset, maximum
            For what, and the most that it can cost, base units.

        Raises
        ------
        KeyRevoked
            The payer took the key back.
        NotAllowed
            The key is not for this model.
        BudgetSpent
            What was charged and is in flight leaves too little of a budget.
        QuotaExceeded
            Too many calls in this minute.
        """
        book = self._books.get(account.number)
        if book is not None:
            self._check_counted(book, account, asset, maximum)

    def _check_counted(self, book: _Book, account: Account, asset: int, maximum: int) -> None:
        try:
            self._check(book, account, asset, maximum)
        except (KeyRevoked, NotAllowed, QuotaExceeded):
            self.refused += 1
            raise

    def room(self, account: Account, signed: int) -> int | None:
        """Return how much more may be signed for, base units; None without a budget.

        Parameters
        ----------
        account
            The key's channel.
        signed
            The most that all of its lines can be charged already, in all and for ever.
        """
        book = self._books.get(account.number)
        if book is None or book.rules.budget is None:
            return None
        self._roll(book, account)
        return max(0, int(book.rules.budget) + sum(book.bases.values()) - signed)

    def _check(self, book: _Book, account: Account, asset: int, maximum: int) -> None:
        rules, name = book.rules, f"API key {key_id(account.number)}"
        if rules.revoked:
            raise KeyRevoked(name, found="revoked", wanted="another key")
        self._roll(book, account)
        if rules.models is not None:
            if str(asset) not in rules.models:
                raise NotAllowed(
                    name,
                    found=f"a call to {self.wording.model(asset)}",
                    wanted="one of the models that it is for: "
                    + (", ".join(self.wording.model(int(each)) for each in rules.models) or "none"),
                    next_step="whoever made the key can grant it: tessera keys grant",
                    param="model",
                )
            own = rules.models[str(asset)]
            if own is not None:
                self._within(int(own), book, account, asset, maximum, name)
        if rules.budget is not None:
            self._within(int(rules.budget), book, account, None, maximum, name)
        if rules.calls_per_minute is not None:
            self._pace(book, rules.calls_per_minute, name)

    def _within(
        self,
        budget: int,
        book: _Book,
        account: Account,
        asset: int | None,
        maximum: int,
        name: str,
    ) -> None:
        spent = book.spent(account, asset)
        if spent + maximum <= budget:
            return
        of = "" if asset is None else f" for {self.wording.model(asset)}"
        shown = self.wording.amount
        ends = period_end(book.rules.period, self._clock())
        after = {} if ends is None else {"retry_after_s": max(1, math.ceil(ends - self._clock()))}
        raise BudgetSpent(
            f"{name}: budget{of}",
            found=f"{shown(spent)} of {shown(budget)} spent or in flight",
            wanted=f"{shown(maximum)} more for this call",
            next_step="whoever made the key can raise it"
            + ("" if ends is None else f", or wait until a new {book.rules.period} begins"),
            budget=str(budget),
            spent=str(spent),
            period=book.rules.period,
            **after,
        )

    def _pace(self, book: _Book, per_minute: int, name: str) -> None:
        now = self._now()
        after = book.pace.wait_s(per_minute, now)
        if after:
            raise QuotaExceeded(
                name,
                found=f"{per_minute} calls in the last minute",
                wanted="fewer",
                next_step=f"ask again in {after} s",
                retry_after_s=after,
            )
        book.pace.count(now)

    def _roll(self, book: _Book, account: Account) -> None:
        begun = period_start(book.rules.period, self._clock())
        # A clock that is set back begins no period anew.
        if begun > book.started:
            book.started, book.bases = begun, _charges(account)
            self._begun(account.number, book)

    def _begun(self, channel: int, book: _Book) -> None:
        self._log.put(_change(channel, book))

    def _book(self, kept: KeptRules) -> _Book:
        rules = KeyRules.parse(kept.rules)
        return _Book(
            rules, kept.rules, kept.signature, kept.period_start, kept.bases, kept.changed_at
        )

    # --- Ruling -------------------------------------------------------------------------------

    async def change(self, account: Account, body: bytes, signature: bytes) -> dict[str, Any]:
        """Take new rules; they count for every call that is reserved from now on.

        Parameters
        ----------
        account
            The key's channel.
        body
            The rules' exact bytes.
        signature
            65 bytes of the channel's payer, over `rules_digest`.

        Raises
        ------
        InputError
            They are no rules.
        SignatureRejected
            Somebody else signed them.
        Conflict
            The rules that count are newer.
        StorageFull
            They could not be written; the ones before count.
        """
        rules = self._signed(account, body, signature)
        before = self._books.get(account.number)
        book = self._ruled(before, account, rules, body, signature)
        # Told apart from what may come meanwhile by its sequence alone.
        self._books[account.number] = book
        try:
            await asyncio.shield(self._log.put(_change(account.number, book)))
        except BaseException:
            if self._books.get(account.number) is book:
                if before is None:
                    del self._books[account.number]
                else:
                    self._books[account.number] = before
            raise
        return self._shown(book, account)

    async def state(self, account: Account) -> dict[str, Any]:
        """Return how a key stands, as JSON values.

        Raises
        ------
        NotFound
            There are no rules for it.
        """
        return self._shown(self._books.get(account.number), account)

    def _signed(self, account: Account, body: bytes, signature: bytes) -> KeyRules:
        rules = KeyRules.parse(body)
        payer = account.payer
        if payer is None:
            raise NotFound(f"channel {account.number}", found="none", wanted="a key's channel")
        signer = recover(rules_digest(self._domain, account.number, body), signature)
        if signer != payer:
            raise SignatureRejected(
                f"rules of API key {key_id(account.number)}",
                found=f"signed by {address_text(signer)}",
                wanted=f"{address_text(payer)}, who pays",
            )
        return rules

    def _ruled(
        self,
        before: _Book | None,
        account: Account,
        rules: KeyRules,
        body: bytes,
        signature: bytes,
    ) -> _Book:
        if before is not None and before.body == body:
            # The very same rules again change nothing; their first answer may have been lost.
            return before
        if before is not None and rules.sequence <= before.rules.sequence:
            raise Conflict(
                f"rules of API key {key_id(account.number)}",
                found=f"sequence {rules.sequence}",
                wanted=f"more than {before.rules.sequence}",
            )
        now = self._clock()
        # A budget per day counts from when it is set, one in all from the channel's first call.
        bases = {} if rules.period == "total" else _charges(account)
        book = _Book(rules, body, signature, period_start(rules.period, now), bases, int(now))
        if before is not None and before.rules.period == rules.period:
            book.started, book.bases = before.started, before.bases
        if before is not None:
            book.pace = before.pace
        return book

    def _shown(self, book: _Book | None, account: Account) -> dict[str, Any]:
        if book is None:
            raise NotFound(
                f"rules of API key {key_id(account.number)}",
                found="none",
                wanted="some that its channel's payer signed",
            )
        self._roll(book, account)
        rules = book.rules
        return {
            "id": key_id(account.number),
            "channel": str(account.number),
            "sequence": rules.sequence,
            "revoked": rules.revoked,
            "budget": rules.budget,
            "period": rules.period,
            "resets_at": period_end(rules.period, self._clock()),
            "spent": str(book.spent(account)),
            "models": rules.models
            and {
                asset: {"budget": own, "spent": str(book.spent(account, int(asset)))}
                for asset, own in rules.models.items()
            },
            "calls_per_minute": rules.calls_per_minute,
        }


class SharedKeys(Keys):
    """The same rules as rows that several gateways share; judged while their channel is locked.

    Calls a minute are counted by each gateway for itself.
    """

    def __init__(self, shared: SharedBooks, domain: Domain, times: Times) -> None:
        super().__init__(shared, domain, times)
        self._shared = shared
        self._rolled: list[books.Change] = []

    def check(self, account: Account, asset: int, maximum: int) -> None:
        """Do nothing: the books decide, in the transaction that reserves the call."""

    def read(self, connection: Connection, channels: Iterable[int]) -> None:
        """Take over the rules of channels that are locked, for `judge`."""
        wanted = set(channels)
        before = {channel: self._books.pop(channel, None) for channel in wanted}
        for kept in load_rules(connection, wanted):
            book, known = self._book(kept), before[kept.channel]
            if known is not None:
                # This gateway's own count of the minute goes on.
                book.pace = known.pace
            self._books[kept.channel] = book

    def judge(self, account: Account, asset: int, maximum: int) -> list[books.Change]:
        """As `Keys.check`, with all that the rows say; return rows that have to be replaced."""
        book = self._books.get(account.number)
        if book is None:
            return []
        self._rolled = []
        self._check_counted(book, account, asset, maximum)
        return self._rolled

    async def change(self, account: Account, body: bytes, signature: bytes) -> dict[str, Any]:
        """As `Keys.change`, for all gateways."""
        rules = self._signed(account, body, signature)

        def decide(connection: Connection, fresh: Account) -> list[books.Change]:
            self.read(connection, [account.number])
            before = self._books.get(account.number)
            return [_change(account.number, self._ruled(before, fresh, rules, body, signature))]

        await self._shared.rule(account, decide)
        return await self.state(await self._shared.account(account))

    async def state(self, account: Account) -> dict[str, Any]:
        """As `Keys.state`."""
        found = await self._shared.read(lambda c: load_rules(c, [account.number]))
        return self._shown(self._book(found[0]) if found else None, account)

    def _begun(self, channel: int, book: _Book) -> None:
        self._rolled.append(_change(channel, book))


def _charges(account: Account) -> dict[int, int]:
    charged: dict[int, int] = {}
    for key, line in account.lines.items():
        charged[key.asset] = charged.get(key.asset, 0) + line.charged
    return charged


def _change(channel: int, book: _Book) -> books.Change:
    bases = {str(asset): str(base) for asset, base in book.bases.items()}
    return schema.keys, {
        "channel": channel,
        "rules": book.body,
        "signature": book.signature,
        "period_start": book.started,
        "bases": msgspec.json.encode(bases).decode(),
        "changed_at": book.changed_at,
    }


def load_rules(connection: Connection, channels: Collection[int] | None = None) -> list[KeptRules]:
    """Read the rules of the keys of some channels, or of all."""
    query = select(schema.keys)
    if channels is not None:
        query = query.where(schema.keys.c.channel.in_(channels))
    return [
        KeptRules(
            row.channel,
            row.rules,
            row.signature,
            row.period_start,
            {
                int(asset): int(base)
                for asset, base in msgspec.json.decode(row.bases, type=dict[str, str]).items()
            },
            row.changed_at,
        )
        for row in connection.execute(query)
    ]
