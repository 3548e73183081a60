"""An operator's books in PostgreSQL, shared by several gateways: whoever holds the lock judges.

Memory decides nothing here but the chain's side of a channel, which each gateway reads for itself.
What was charged, what is in flight and which voucher is kept are rows; a channel's lock is held
from reading them until the transaction that changes them ends, so of two gateways one judges after
the other and sees what it did. A call in flight is a row of `open_calls`: it is made when a call is
accepted, and must still be there when it is charged. Whoever ends without leaving has its rows
deleted by the others, and can charge nothing afterwards, if it wakes.

Everything that waits shares one transaction, as in the log of one process.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import Connection, delete, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert

from tessera.errors import Conflict, InvariantViolation, TesseraError
from tessera.payments import books, entries
from tessera.payments.account import Account, LineBook
from tessera.payments.header import SignedReceipt
from tessera.payments.ports import Clock
from tessera.spec.vouchers import SignedVoucher, TillKey
from tessera.storage import schema
from tessera.storage.batches import Seal, Written, batch_body
from tessera.storage.shared import ConnectionLost, SharedDatabase

__all__ = ["Charge", "Drafted", "Reservation", "SharedBooks", "TakenForDead"]

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_MOST: Final = 256
_PATIENCE_S: Final = 15.0
_TRY_AGAIN_S: Final = 0.2
_REAP_S: Final = 5.0
_USED: Final = 0
"""In place of a batch's number: the name was used for a call that has no receipt."""


class TakenForDead(Conflict):
    """The other gateways gave this call up, because this one was gone for too long."""


def _future() -> asyncio.Future[Any]:
    made: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    # A failure nobody waits for (the reader went away) must not be reported as forgotten.
    made.add_done_callback(_retrieved)
    return made


@dataclass(slots=True, eq=False)
class Reservation:
    """A call that asks to be let through.

    Attributes
    ----------
    account
        The channel as this gateway read it on the chain.
    signed, key, maximum, name
        The voucher, what the call is about, its most, and its name.
    until
        How long a session key's grant must last, unix seconds.
    """

    account: Account
    signed: SignedVoucher
    key: TillKey
    maximum: int
    name: str
    until: float
    answer: asyncio.Future[SignedVoucher] = field(default_factory=_future)
    gateway: int = 0
    tried: bool = False


@dataclass(frozen=True, slots=True)
class Drafted:
    """A receipt before it is vouched for: its digest and its entry in the log."""

    digest: bytes
    entry: bytes


@dataclass(slots=True, eq=False)
class Charge:
    """An answered call that is to be charged.

    Attributes
    ----------
    draft
        Makes the receipt, given what its line was charged in all.
    gateway
        Under which number the call was accepted.
    """

    account: Account
    key: TillKey
    name: str
    cost: int
    gateway: int
    draft: Callable[[int], Drafted]
    answer: asyncio.Future[Written | SignedReceipt] = field(default_factory=_future)
    tried: bool = False


class KeyRulesJudge(Protocol):
    """Judges what payers rule about their channels' keys; the channels are locked meanwhile."""

    def read(self, connection: Connection, channels: Iterable[int]) -> None:
        """Take over the rules of these channels."""

    def judge(self, account: Account, asset: int, maximum: int) -> list[books.Change]:
        """Refuse a call that a key may not make, by raising; return rows to be replaced."""


Decide = Callable[[Connection, Account], list[books.Change]]
"""Looks at a locked channel and returns the rows to be replaced, or refuses by raising."""


@dataclass(slots=True, eq=False)
class _Rule:
    account: Account
    decide: Decide
    answer: asyncio.Future[None] = field(default_factory=_future)


@dataclass(slots=True, eq=False)
class _Put:
    changes: Sequence[books.Change]
    entries: Sequence[bytes]
    leaf: bytes | None
    answer: asyncio.Future[Written] = field(default_factory=_future)


@dataclass(slots=True, eq=False)
class _Release:
    channel: int
    name: str
    gateway: Callable[[], int]


def _release_of(work: Reservation) -> _Release:
    """Under the number that it has by then: it may be let through under another one yet."""
    return _Release(work.account.number, work.name, lambda: work.gateway)


_Work = Reservation | Charge | _Put | _Release | _Rule


@dataclass(slots=True)
class _Batch:
    """What one transaction came to; told when it has ended well."""

    entries: list[bytes] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    answers: list[tuple[asyncio.Future[Any], object]] = field(default_factory=list)
    places: list[tuple[asyncio.Future[Any], int]] = field(default_factory=list)


class SharedBooks:
    """One gateway's way into the shared books; stands in the place of a `BatchLog`.

    Parameters
    ----------
    database
        This gateway's place in it.
    seal
        Vouches for the receipts of a batch.
    clock
        Unix seconds; stands beside vouchers.
    reap_s
        How often to look for gateways that ended without leaving.

    Attributes
    ----------
    failure
        What the latest transaction failed with; None where it is on the disk.
    keys
        Judges calls by the rules of their channels' keys; None where there are no such rules.
    on_batch
        Is told how many entries each transaction held and how many seconds it took.
    """

    def __init__(
        self,
        database: SharedDatabase,
        seal: Callable[[Sequence[bytes]], Seal],
        clock: Clock,
        *,
        reap_s: float = _REAP_S,
    ) -> None:
        self.database = database
        self._seal = seal
        self._clock = clock
        self._reap_s = reap_s
        self.keys: KeyRulesJudge | None = None
        self.failure: Exception | None = None
        self.on_batch: Callable[[int, float], None] | None = None
        self._waiting: list[_Work] = []
        self._to_let_go: list[_Work] = []
        self._news = asyncio.Event()
        self._closed = False
        self._tasks = [
            asyncio.create_task(self._work(), name="tessera-shared-books"),
            asyncio.create_task(self._reap(), name="tessera-reaper"),
        ]

    @property
    def leading(self) -> asyncio.Event:
        """Set while this gateway alone settles for all."""
        return self.database.leading

    async def reserve(
        self,
        account: Account,
        signed: SignedVoucher,
        key: TillKey,
        maximum: int,
        name: str,
        until: float,
    ) -> tuple[SignedVoucher, int]:
        """Let a call through, among all gateways; its voucher is then on the disk.

        Returns
        -------
        tuple
            The voucher that is kept, and the number to charge or release the call under.

        Raises
        ------
        Conflict
            A call of this name was accepted before, by whichever gateway.
        PaymentRequired, Closed, NotAllowed
            As `Account.judge`, with what all gateways charged and have in flight.
        KeyRevoked, BudgetSpent, QuotaExceeded
            The payer's rules for the key forbid it.
        ConnectionLost, StorageFull, DataError
            The books cannot be asked.
        """
        work = Reservation(account, signed, key, maximum, name, until)
        self._queue(work)
        try:
            return await work.answer, work.gateway
        except asyncio.CancelledError:
            # It may be let through all the same, for nobody.
            self._queue(_release_of(work))
            raise

    async def charge(
        self,
        account: Account,
        key: TillKey,
        name: str,
        cost: int,
        gateway: int,
        draft: Callable[[int], Drafted],
    ) -> Written | SignedReceipt:
        """Charge a call that was let through, and write its receipt down.

        Returns
        -------
        Written or SignedReceipt
            Where the draft stands; or the receipt that an attempt wrote whose end was not seen.

        Raises
        ------
        TakenForDead
            The other gateways gave the call up. It is not charged, and must not be answered.
        ConnectionLost
            Whether it was charged is not known yet: the consumer can ask for its receipt.
        StorageFull, DataError
            It could not be written, and is not charged.
        """
        work = Charge(account, key, name, cost, gateway, draft)
        self._queue(work)
        return await work.answer

    def release(self, channel: int, name: str, gateway: int) -> None:
        """Let go of a call that has no answer; its name stays used."""
        self._queue(_Release(channel, name, lambda: gateway))

    async def rule(self, account: Account, decide: Decide) -> None:
        """Change rows that depend on how a channel stands, among all gateways.

        Raises
        ------
        TesseraError
            What `decide` refuses with; nothing was changed then.
        ConnectionLost, StorageFull, DataError
            It could not be written.
        """
        work = _Rule(account, decide)
        self._queue(work)
        await work.answer

    def put(
        self, *changes: books.Change, entries: Sequence[bytes] = (), leaf: bytes | None = None
    ) -> asyncio.Future[Written]:
        """As `BatchLog.put`."""
        work = _Put(changes, entries, leaf)
        self._queue(work)
        return work.answer

    async def read(self, query: Callable[[Connection], Result]) -> Result:
        """Run a query; every entry is in the tables as soon as it is written."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return await self.database.read(query)
            except ConnectionLost:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(_TRY_AGAIN_S)

    read_tables = read

    async def account(self, known: Account) -> Account:
        """Return a channel with the chain's side as this gateway knows it, and all else as rows."""
        return (await self.read(lambda c: _accounts(c, [known])))[known.number]

    async def is_answering(self, channel: int, name: str) -> bool:
        """Tell whether any gateway has a call of this name in flight."""
        at = schema.open_calls.c
        query = select(at.call).where(at.channel == channel, at.call == name)
        return await self.read(lambda c: c.execute(query).one_or_none() is not None)

    async def close(self) -> None:
        """Write what is queued, then leave."""
        if self._closed:
            return
        self._closed = True
        self._news.set()
        work, reaper = self._tasks
        reaper.cancel()
        await asyncio.gather(work, reaper, return_exceptions=True)
        await self.database.close(_bury)

    # --- One transaction after the other ------------------------------------------------------

    def _queue(self, work: _Work) -> None:
        if self._closed:
            raise InvariantViolation("the books are closed, yet something was to be written")
        self._waiting.append(work)
        self._news.set()

    async def _work(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                first, self._to_let_go = self._to_let_go, []
                batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                await self._commit([*first, *batch])
            if self._closed:
                return

    async def _commit(self, work: Sequence[_Work]) -> None:
        begun = time.perf_counter()
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                done = await self.database.run(lambda c: self._write(c, work))
            except ConnectionLost as error:
                # What was written, if it was, is found when it is tried again.
                for each in work:
                    if isinstance(each, Reservation | Charge):
                        each.tried = True
                self.failure = error
                if time.monotonic() < until:
                    await asyncio.sleep(_TRY_AGAIN_S)
                    continue
                self._failed(work, error)
            except TesseraError as error:
                self._failed(work, error)
            except Exception as error:
                # Whatever it was, what comes after it is to be written.
                logger.exception("the shared books failed")
                self._failed(work, InvariantViolation("the shared books", found=repr(error)))
            else:
                self.failure = None
                if self.on_batch is not None:
                    self.on_batch(len(done.entries), time.perf_counter() - begun)
                for future, answer in done.answers:
                    _tell(future, answer)
            return

    def _failed(self, work: Sequence[_Work], error: TesseraError) -> None:
        self.failure = error
        for each in work:
            if isinstance(each, _Release):
                self._to_let_go.append(each)
                continue
            if isinstance(each, Reservation) and each.gateway:
                # Its row may be there all the same, and nobody else knows.
                self._to_let_go.append(_release_of(each))
            _tell(each.answer, error)

    async def _reap(self) -> None:
        while True:
            try:
                await self.database.bury_the_dead(_bury)
            except TesseraError as error:
                logger.warning("the other gateways cannot be looked at: %s", error)
            if self._to_let_go:
                late, self._to_let_go = self._to_let_go, []
                self._waiting[:0] = late
                self._news.set()
            await asyncio.sleep(self._reap_s)

    # --- In a transaction ---------------------------------------------------------------------

    def _write(self, connection: Connection, work: Sequence[_Work]) -> _Batch:
        done = _Batch()
        known: dict[int, Account] = {}
        for each in work:
            if isinstance(each, Reservation | Charge | _Rule):
                known[each.account.number] = each.account
        _lock(connection, known.keys() | _others(work))
        _let_go(connection, [each for each in work if isinstance(each, _Release)])
        charges = [each for each in work if isinstance(each, Charge)]
        open_now = _ended(connection, charges)
        state = _accounts(connection, list(known.values()))
        for charge in charges:
            if (charge.account.number, charge.name) not in open_now:
                done.answers.append((charge.answer, _written_before(connection, charge)))
                continue
            line = state[charge.account.number].lines.setdefault(charge.key, LineBook())
            line.charged += charge.cost
            draft = charge.draft(line.charged)
            _add(done, [draft.entry], draft.digest, charge.answer)
        for each in work:
            if isinstance(each, _Put):
                books.write_changes(connection, each.changes)
                if each.leaf is None:
                    done.entries.extend(each.entries)
                    done.answers.append((each.answer, Written(None, (), 0)))
                else:
                    _add(done, each.entries, each.leaf, each.answer)
        for each in work:
            if isinstance(each, _Rule):
                try:
                    changes = each.decide(connection, state[each.account.number])
                except TesseraError as error:
                    done.answers.append((each.answer, error))
                else:
                    books.write_changes(connection, changes)
                    done.answers.append((each.answer, None))
        reservations = [
            # Whoever stopped waiting has asked for its release already.
            each
            for each in work
            if isinstance(each, Reservation) and not each.answer.cancelled()
        ]
        if reservations:
            self._reserve_all(connection, reservations, state, done)
        if done.entries:
            self._append(connection, done)
        return done

    def _reserve_all(
        self,
        connection: Connection,
        reservations: Sequence[Reservation],
        state: dict[int, Account],
        done: _Batch,
    ) -> None:
        used = _names_in_use(connection, reservations)
        rows: list[dict[str, object]] = []
        vouchers: dict[int, SignedVoucher] = {}
        rules: list[books.Change] = []
        gateway = self.database.gateway
        if self.keys is not None:
            self.keys.read(connection, {each.account.number for each in reservations})
        for each in reservations:
            account = state[each.account.number]
            name = (account.number, each.name)
            if each.tried and each.gateway and used.get(name) == each.gateway:
                # Written before the connection was lost.
                done.answers.append((each.answer, account.voucher))
                continue
            try:
                if name in used:
                    raise Conflict(
                        f"call {each.name} on channel {account.number}",
                        found="asked before",
                        wanted="a name that was not used yet",
                    )
                chosen = account.judge(each.signed, each.key, each.maximum, each.until)
                if self.keys is not None:
                    rules += self.keys.judge(account, each.key.asset, each.maximum)
            except TesseraError as error:
                done.answers.append((each.answer, error))
                continue
            used[name] = each.gateway = gateway
            account.lines.setdefault(each.key, LineBook()).in_flight += each.maximum
            if chosen != account.voucher:
                account.voucher = vouchers[account.number] = chosen
            rows.append(
                {
                    "channel": account.number,
                    "call": each.name,
                    "gateway": gateway,
                    "asset": each.key.asset,
                    "terms": each.key.terms,
                    "ceiling": each.maximum,
                }
            )
            done.answers.append((each.answer, chosen))
        if rules:
            books.write_changes(connection, rules)
        if rows:
            connection.execute(insert(schema.open_calls), rows)
        if vouchers:
            now = int(self._clock())
            books.write_changes(
                connection, [books.voucher_change(each, now) for each in vouchers.values()]
            )

    def _append(self, connection: Connection, done: _Batch) -> None:
        seal = self._seal(done.leaves) if done.leaves else None
        root, signature = (None, None) if seal is None else (seal.root, seal.signature)
        body = batch_body(done.entries)
        n = connection.execute(
            insert(schema.batches)
            .values(body=body, root=root, signature=signature)
            .returning(schema.batches.c.n)
        ).scalar_one()
        books.index_batch(connection, n, entries.read_batch(body))
        for future, place in done.places:
            done.answers.append((future, Written(seal, done.leaves, place)))


def _add(done: _Batch, written: Sequence[bytes], leaf: bytes, answer: asyncio.Future[Any]) -> None:
    done.entries.extend(written)
    done.places.append((answer, len(done.leaves)))
    done.leaves.append(leaf)


def _lock(connection: Connection, channels: Any) -> None:
    """Hold the channels until the transaction ends; all gateways take them in the same order."""
    if channels:
        connection.execute(
            text("SELECT pg_advisory_xact_lock(k) FROM unnest(CAST(:keys AS bigint[])) AS k"),
            {"keys": sorted(number - (number >> 63 << 64) for number in channels)},
        ).all()


def _accounts(connection: Connection, known: Sequence[Account]) -> dict[int, Account]:
    """Return channels with all that rows say, and the chain's side as this gateway read it."""
    made: dict[int, Account] = {}
    if not known:
        return made
    for account in known:
        copy = made[account.number] = Account(account.number, chain=account.chain)
        for key, line in account.lines.items():
            # What the chain has was charged, even if these books are an older copy.
            copy.lines[key] = LineBook(line.settled, line.settled, line.cap, line.expires)
    lines, opened = schema.lines, schema.open_calls
    for row in connection.execute(select(lines).where(lines.c.channel.in_(made))):
        key = TillKey(row.asset, row.terms)
        fresh = LineBook(settled=row.settled, cap=row.cap, expires=row.expires)
        line = made[row.channel].lines.setdefault(key, fresh)
        line.charged = max(row.charged, line.settled)
    for row in connection.execute(select(opened).where(opened.c.channel.in_(made))):
        key = TillKey(row.asset, row.terms)
        made[row.channel].lines.setdefault(key, LineBook()).in_flight += row.ceiling
    for number, voucher in books.load_vouchers(connection, list(made)).items():
        made[number].voucher = voucher
    return made


def _names_in_use(
    connection: Connection, reservations: Sequence[Reservation]
) -> dict[tuple[int, str], int]:
    """Return which names are in flight, by gateway, or were used before, as 0."""
    names = [(each.account.number, each.name) for each in reservations]
    at, place = schema.open_calls.c, schema.call_places.c
    found = {
        (row.channel, row.call): int(row.gateway)
        for row in connection.execute(
            select(at.channel, at.call, at.gateway).where(tuple_(at.channel, at.call).in_(names))
        )
    }
    keys = {entries.call_key(number, bytes.fromhex(name)): (number, name) for number, name in names}
    for key in connection.execute(select(place.call).where(place.call.in_(list(keys)))).scalars():
        found[keys[key]] = 0
    return found


def _others(work: Sequence[_Work]) -> set[int]:
    """Return the channels that are only released, or whose rows are only replaced."""
    found = {each.channel for each in work if isinstance(each, _Release)}
    for each in work:
        if isinstance(each, _Put):
            found.update(row["channel"] for _, row in each.changes if "channel" in row)
    return found


def _ended(connection: Connection, charges: Sequence[Charge]) -> set[tuple[int, str]]:
    """Take calls out of those in flight; return which were there, by channel and name."""
    if not charges:
        return set()
    at = schema.open_calls.c
    wanted = [(each.account.number, each.name, each.gateway) for each in charges]
    return {
        (row.channel, row.call)
        for row in connection.execute(
            delete(schema.open_calls)
            .where(tuple_(at.channel, at.call, at.gateway).in_(wanted))
            .returning(at.channel, at.call)
        )
    }


def _written_before(connection: Connection, charge: Charge) -> SignedReceipt | TakenForDead:
    """Return the receipt of a charge that was tried before, or that the call is not ours."""
    number = charge.account.number
    if charge.tried:
        receipt = books.load_receipt_of_call(connection, number, charge.name)
        if receipt is not None:
            return receipt
    return TakenForDead(
        f"call {charge.name} on channel {number}",
        found="given up by the other gateways",
        wanted="a gateway whose connection to the database holds",
        next_step="send it again: it was not charged",
    )


def _let_go(connection: Connection, released: Sequence[_Release]) -> None:
    if not released:
        return
    at = schema.open_calls.c
    wanted = [(each.channel, each.name, each.gateway()) for each in released]
    gone = connection.execute(
        delete(schema.open_calls)
        .where(tuple_(at.channel, at.call, at.gateway).in_(wanted))
        .returning(at.channel, at.call)
    ).all()
    used = [
        {"call": entries.call_key(row.channel, bytes.fromhex(row.call)), "batch": _USED, "place": 0}
        for row in gone
    ]
    if used:
        connection.execute(insert(schema.call_places).on_conflict_do_nothing(), used)


def _bury(connection: Connection, gateway: int) -> None:
    """Give up the calls of a gateway that is gone: they cost nothing, and may be sent again."""
    connection.execute(delete(schema.open_calls).where(schema.open_calls.c.gateway == gateway))


def _tell(future: asyncio.Future[Any], answer: object) -> None:
    if future.done():
        return
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _retrieved(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
