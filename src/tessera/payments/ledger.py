"""An operator's ledger: is this call covered, what did it cost, and where is that written.

Memory decides, the disk remembers. A voucher is on the disk before the first byte of an answer
leaves, a charge and its receipt before the last; so a process killed at any moment has lost no
voucher that it answered on and no receipt that anybody holds. An answer in one piece brings both
at once. Amounts in flight are only in memory: a call that dies with the process costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Self, TypeVar

import msgspec
from sqlalchemy import Connection, Engine

from tessera.errors import (
    Busy,
    InputError,
    InvariantViolation,
    MeterMismatch,
    NotAllowed,
    PaymentRequired,
    SignatureRejected,
    TesseraError,
)
from tessera.payments import books, entries
from tessera.payments.account import Account, LineBook
from tessera.payments.callers import CALLS_REMEMBERED, Callers, SignedRequest
from tessera.payments.header import SignedReceipt
from tessera.payments.keys import KeptRules, Keys, SharedKeys, load_rules
from tessera.payments.ports import (
    ChannelView,
    Clock,
    OperatorChain,
    OrderProof,
    OrdersChain,
    ProofResult,
    TypedSigner,
)
from tessera.payments.receipting import ReceiptSealer, vouched
from tessera.payments.rights import HONOUR_ALL, OrderCall, OrderRules, Rights, SignedUse
from tessera.payments.risk import Exposures
from tessera.payments.shared import Drafted, SharedBooks, TakenForDead
from tessera.payments.times import Times
from tessera.spec.signatures import Address, Domain, address_text, recover
from tessera.spec.vouchers import Receipt, SignedVoucher, TillKey, receipt_digest, voucher_digest
from tessera.storage.batches import BatchLog, Written
from tessera.storage.engine import open_database, storage_errors
from tessera.storage.lock import FileLock
from tessera.storage.shared import SharedDatabase

__all__ = ["FREE_CHANNEL", "Call", "Claim", "Evidence", "Ledger", "Quote"]

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

FREE_CHANNEL: Final = 0
"""Channel number in the receipt of a call that cost nothing and that nobody paid for."""

_READS_AT_ONCE: Final = 8
_READS_WAITING: Final = 256
# A deposit that arrived after the last read is looked for at most so often per channel.
_LOOK_AGAIN_S: Final = 0.5
_FOLDED_AT_ONCE: Final = 4_096
# A channel takes about two kilobytes; one that is forgotten is read from the books again.
_MOST_ACCOUNTS: Final = 50_000
_FORGOTTEN_AT_ONCE: Final = 16


class Quote(msgspec.Struct, frozen=True):
    """What a call is about and the most that it can cost.

    Attributes
    ----------
    key
        Asset and terms: the line that pays.
    version, identity
        As the receipt will state them.
    maximum
        Base units; the call is never charged more.
    """

    key: TillKey
    version: int
    identity: int
    maximum: int


class Evidence(msgspec.Struct, frozen=True):
    """What was asked and answered: hashes of the exact bytes, and the units metered."""

    request: bytes
    response: bytes
    units: int


class Call(msgspec.Struct, eq=False):
    """One call in flight: its maximum is reserved until `finish` or `fail`.

    Attributes
    ----------
    quote
        What it is about.
    id
        The name that the consumer gave it.
    account
        Who pays; None for a free call, and for one that an order covers.
    durable
        Done when its voucher, or its use of an order, is on the disk; None where that was so
        already, or need not be before the answer is whole.
    order
        What covers it in place of a voucher.
    gateway
        Under which number shared books let it through; 0 where they are nobody else's.
    held_back
        What pays for it, where nothing of its answer may leave before `finish`, not even of a
        stream; empty where it may.
    voucher
        What it was accepted on; None where something else covers it.
    """

    quote: Quote
    id: str
    account: Account | None
    durable: asyncio.Future[Written] | None = None
    ended: bool = False
    order: OrderCall | None = None
    voucher: SignedVoucher | None = None
    held_back: bytes = b""
    gateway: int = 0

    @property
    def channel(self) -> int:
        """The channel that pays."""
        return FREE_CHANNEL if self.account is None else self.account.number

    @property
    def payer(self) -> Address | None:
        """Whose place in a queue it takes: the channel's payer, or the order's user."""
        if self.order is not None:
            return self.order.user
        return None if self.account is None else self.account.payer


@dataclass(frozen=True, slots=True)
class Claim:
    """What can be settled on one channel: a voucher, and the charges that it covers."""

    signed: SignedVoucher
    charged: dict[TillKey, int]
    due: int


class Ledger:
    """The books of one operator toward all channels.

    Attributes
    ----------
    others
        Channels that another gateway was seen to settle with this operator's key.

    Parameters
    ----------
    engine
        The database: SQLite, which one process at a time writes, or this gateway's place in a
        shared one.
    domain
        Chain and Channels contract of every signature.
    signer
        The operator's key; its address is the operator.
    chain
        Reads channels.
    clock
        Unix seconds; stands in receipts. Somebody may set it at any time.
    steady
        Seconds that nobody sets, to tell how old something is.
    knows
        Whether an (asset, terms) is or was ever served here; a voucher with any other line is
        refused, as each such line would make every settlement dearer.
    refresh_s
        How old a channel's state may be when it is relied on. Withdrawals are seen so late, so it
        stays far below the withdrawal delay.
    margin_s
        A session key must be good for so long beyond now: the time to answer and to settle.
    orders
        Reads orders of Access, which pay for calls too; None where none are honoured.
    reap_s
        How often shared books look for gateways that ended without leaving.
    answered
        Names of calls that were answered before, oldest first: a copy of one is refused.
    key_rules
        What payers rule about their channels' keys.
    exposures
        What is at stake with each payer, and how much may be; None sets no limits.
    """

    def __init__(
        self,
        engine: Engine | SharedDatabase,
        domain: Domain,
        signer: TypedSigner,
        chain: OperatorChain,
        clock: Clock,
        *,
        knows: Callable[[TillKey], bool],
        refresh_s: float = 15.0,
        margin_s: float = 600.0,
        orders: OrdersChain | None = None,
        order_rules: OrderRules = HONOUR_ALL,
        answered: Sequence[tuple[int, str]] = (),
        key_rules: Sequence[KeptRules] = (),
        steady: Clock = time.monotonic,
        reap_s: float = 5.0,
        exposures: Exposures | None = None,
    ) -> None:
        self.domain = domain
        self.operator: Address = signer.address
        self._engine = engine
        self._signer = signer
        self._chain = chain
        self.times = Times(clock, steady)
        self._knows = knows
        self._refresh_s = refresh_s
        self._margin_s = margin_s
        # What was used last stands last. The first key of a plain dict is found the slower the
        # more stood before it.
        self._accounts: OrderedDict[int, Account] = OrderedDict()
        self._forgot = False
        self._shared: SharedBooks | None = None
        self._log: BatchLog[books.Change] | SharedBooks
        seal = ReceiptSealer(domain, signer)
        if isinstance(engine, SharedDatabase):
            self._log = self._shared = SharedBooks(engine, seal, self.times.stamp, reap_s=reap_s)
        else:
            self._log = BatchLog(engine, books.LogWriter(seal), self._distrust_memory)
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)
        self._reads_waiting = 0
        self._lock: FileLock | None = None
        self._calls: Counter[tuple[int, str]] = Counter()
        self.exposures = exposures or Exposures()
        self._callers = Callers(domain, signer, answered)
        self.others: set[int] = set()
        self.keys: Keys
        if self._shared is not None:
            self.keys = self._shared.keys = SharedKeys(self._shared, domain, self.times)
        else:
            self.keys = Keys(self._log, domain, self.times, key_rules)
        self.rights: Rights | None = None
        if orders is not None and isinstance(self._log, BatchLog):
            self.rights = Rights(
                self._log,
                orders,
                self.times,
                chain_id=domain.chain_id,
                refresh_s=refresh_s,
                late_s=margin_s,
                rules=order_rules,
            )

    @classmethod
    async def open(
        cls,
        path: Path,
        domain: Domain,
        signer: TypedSigner,
        chain: OperatorChain,
        clock: Clock,
        *,
        knows: Callable[[TillKey], bool],
        refresh_s: float = 15.0,
        margin_s: float = 600.0,
        orders: OrdersChain | None = None,
        order_rules: OrderRules = HONOUR_ALL,
        steady: Clock = time.monotonic,
        exposures: Exposures | None = None,
    ) -> Self:
        """Open the books at `path`, or begin them.

        Raises
        ------
        WrongChain
            They are another operator's, or of another chain or contract.
        DataError
            They cannot be read.
        Busy
            Another process writes them; `BooksReader` may read beside it.
        """
        lock = FileLock(
            path.with_name(path.name + ".lock"),
            f"books {path}",
            next_step="stop that gateway; two would answer on the same deposits",
        )
        try:
            engine = await asyncio.to_thread(open_database, path)
            with storage_errors("books"), engine.begin() as connection:
                books.claim_domain(connection, domain, signer.address)
                key_rules = load_rules(connection)
            answered, owing = await asyncio.to_thread(_replay, engine, domain)
        except BaseException:
            lock.release()
            raise
        made = cls(
            engine,
            domain,
            signer,
            chain,
            clock,
            knows=knows,
            refresh_s=refresh_s,
            margin_s=margin_s,
            orders=orders,
            order_rules=order_rules,
            answered=answered,
            key_rules=key_rules,
            steady=steady,
            exposures=exposures,
        )
        made._lock = lock
        for account in owing:
            # Not from their next call on: a payer has other channels.
            made._accounts[account.number] = account
            made._note(account)
        return made

    @classmethod
    async def open_shared(
        cls,
        url: str,
        domain: Domain,
        signer: TypedSigner,
        chain: OperatorChain,
        clock: Clock,
        *,
        knows: Callable[[TillKey], bool],
        refresh_s: float = 15.0,
        margin_s: float = 600.0,
        steady: Clock = time.monotonic,
        reap_s: float = 5.0,
        exposures: Exposures | None = None,
    ) -> Self:
        """Open books that several gateways share. No orders are honoured on them.

        Parameters
        ----------
        url
            Of a PostgreSQL database, as `SharedDatabase.open` takes it.
        reap_s
            How often to look for gateways that ended without leaving.

        Raises
        ------
        WrongChain
            They are another operator's, or of another chain or contract.
        InputError, ConnectionLost, DataError
            As `SharedDatabase.open`.
        """
        database = await SharedDatabase.open(url)
        try:
            await database.run(
                lambda connection: books.claim_domain(connection, domain, signer.address)
            )
        except BaseException:
            await database.close()
            raise
        return cls(
            database,
            domain,
            signer,
            chain,
            clock,
            knows=knows,
            refresh_s=refresh_s,
            margin_s=margin_s,
            steady=steady,
            reap_s=reap_s,
            exposures=exposures,
        )

    @property
    def leading(self) -> asyncio.Event | None:
        """Set while this gateway settles for all that share the books; None where none do."""
        return None if self._shared is None else self._shared.leading

    @property
    def failure(self) -> Exception | None:
        """What the latest commit failed with; None where it is on the disk."""
        return self._log.failure

    def on_batch(self, listener: Callable[[int, float], None]) -> None:
        """Tell how many entries each commit held and how many seconds it took."""
        self._log.on_batch = listener

    @property
    def in_flight(self) -> int:
        """Calls that were accepted and have not ended."""
        return self._calls.total()

    async def close(self) -> None:
        """Write what is queued and let go of the database."""
        await self._log.close()
        if isinstance(self._engine, Engine):
            self._engine.dispose()
        if self._lock is not None:
            self._lock.release()

    # --- Calls --------------------------------------------------------------------------------

    async def accept(
        self,
        signed: SignedVoucher,
        quote: Quote,
        request: SignedRequest,
        *,
        stream: bool = True,
    ) -> Call:
        """Decide whether a call is paid for, and reserve the most that it may cost.

        Parameters
        ----------
        signed
            The voucher that the request brings.
        quote
            What the call is about, and its most.
        request
            Its name and body, and that who signs for the channel vouches for them.
        stream
            Whether the answer leaves in pieces: then the voucher is on the disk before the first,
            and otherwise with the charge.

        Returns
        -------
        Call
            Hand it to `finish` or `fail`, always. Nothing of the answer may leave before
            `call.durable` is done; `finish` waits for it too.

        Raises
        ------
        SignatureRejected
            The voucher is not signed by the channel's signer, for this chain and contract, or he
            does not vouch for the request.
        Conflict
            This very request was accepted already: somebody sends a copy of it.
        PaymentRequired
            No such channel, or neither this voucher nor the stored one covers what was charged
            and is in flight, this call included, or the deposit does not.
        Closed
            The payer asked to withdraw.
        NotAllowed
            The session key's grants do not reach.
        RiskReached
            As much is at stake with the payer as the operator risks.
        KeyRevoked, BudgetSpent, QuotaExceeded
            The payer's rules for the key forbid it.
        InputError
            The voucher has a line for something that was never served here.
        """
        account = await self._ready(signed.voucher.channel, quote.key)
        self._check_voucher(account, signed)
        self._callers.check(account, signed, request)
        if self._shared is not None:
            return await self._accept_shared(account, signed, quote, request, self._shared)
        try:
            chosen = self._judge(account, signed, quote)
        except PaymentRequired as error:
            if not self._may_look_again(account, error):
                raise
            # There may be a deposit since the chain was read.
            await self._read_chain(account, quote.key, newer_than=account.read_at)
            # Somebody may have let go of it meanwhile.
            account = self._accounts.setdefault(account.number, account)
            chosen = self._judge(account, signed, quote)
        # From here on nothing waits: what is counted is reserved before anybody else is counted,
        # and of two copies that come together one is refused.
        self.exposures.check(account.payer, account.number, quote.maximum)
        self.keys.check(account, quote.key.asset, quote.maximum)
        self._callers.refuse_copy(account, request)
        self._callers.remember(account, request)
        if chosen is not account.voucher and chosen != account.voucher:
            account.voucher, account.unwritten = chosen, True
        if account.unsaved or (stream and account.unwritten):
            voucher = self._voucher_entries(account, request.name)
            account.written = self._log.put(*self._account_changes(account), entries=voucher)
        account.lines.setdefault(quote.key, LineBook()).in_flight += quote.maximum
        account.open += 1
        self.exposures.move(account.payer, account.number, quote.maximum)
        self._calls[account.number, request.name] += 1
        durable = account.written if stream else None
        return Call(quote, request.name, account, durable, voucher=chosen)

    def accept_free(self, quote: Quote, call_id: str) -> Call:
        """Let a call through that costs nothing; it leaves a receipt all the same."""
        if quote.maximum:
            raise InvariantViolation("free call", found=quote.maximum, wanted="a maximum of 0")
        self._calls[FREE_CHANNEL, call_id] += 1
        return Call(quote, call_id, None)

    async def accept_order(self, use: SignedUse, quote: Quote, *, stream: bool) -> Call:
        """Let a call through that an order of Access covers; it costs no money.

        Parameters
        ----------
        use
            The request, as the order's user signed it.
        quote
            What it is about; its maximum counts for nothing.
        stream
            Whether the answer leaves in pieces.

        Raises
        ------
        NotAllowed
            No orders are honoured here.
        NotFound, SignatureRejected, PaymentRequired, Closed, Conflict
            As `Rights.accept`.
        """
        if self.rights is None:
            raise NotAllowed("order", found="one", wanted="a voucher: no orders are honoured here")
        order = await self.rights.accept(use, quote.key.asset, quote.version, stream=stream)
        changes = self.rights.begun_changes(order)
        durable = self._log.put(*changes) if changes else None
        self._calls[FREE_CHANNEL, use.name] += 1
        free = Quote(quote.key, quote.version, quote.identity, 0)
        return Call(free, use.name, None, durable, order=order)

    async def proofs(self) -> list[OrderProof]:
        """Return what would prove the orders that were served and are not proved yet."""
        return await self._log.read_tables(books.load_proofs)

    async def record_proofs(self, proofs: Sequence[OrderProof], result: ProofResult) -> None:
        """Remember what the chain made of proofs."""
        changes = [
            books.proof_change(p, counted=p.order in result.proved, tx_hash=result.tx_hash)
            for p in proofs
        ]
        await self._log.put(*changes)

    async def finish(self, call: Call, cost: int, evidence: Evidence) -> SignedReceipt:
        """Charge a call for good and return its receipt, both on the disk.

        Raises
        ------
        MeterMismatch
            It would cost more than its maximum; it costs nothing instead.
        StorageFull, DataError
            The charge could not be written; it was taken back.
        """
        if call.account is not None:
            # Before its maximum is let go: another call could be answered on it meanwhile.
            while call.account.stale:
                await self._reload(call.account)
        self._release(call)
        try:
            return await self._charge(call, cost, evidence)
        except TesseraError:
            self._let_go(call)
            raise
        finally:
            self._forget_call(call)

    async def _charge(self, call: Call, cost: int, evidence: Evidence) -> SignedReceipt:
        if call.order is not None:
            # Its units were bought beforehand.
            cost = 0
        if not 0 <= cost <= call.quote.maximum:
            raise MeterMismatch(
                "cost of the call",
                found=cost,
                wanted=f"at most the {call.quote.maximum} that the request allows",
                next_step="the call is not charged",
            )
        if self._shared is not None and call.account is not None:
            return await self._charge_shared(call, call.account, cost, evidence, self._shared)
        changes: list[books.Change] = []
        voucher: list[bytes] = []
        charged = 0
        if call.account is not None:
            voucher = self._covered(call, call.account, cost)
            line = call.account.lines.setdefault(call.quote.key, LineBook())
            line.charged += cost
            charged = line.charged
            self.exposures.move(call.account.payer, call.account.number, cost)
        if call.order is not None and self.rights is not None:
            changes = self.rights.finish_changes(call.order, evidence.response)
        receipt, future = self._put(call, cost, charged, evidence, changes, voucher)
        if call.account is not None and voucher:
            call.account.written = future
        return self._signed(call, cost, receipt, await future)

    def _put(
        self,
        call: Call,
        cost: int,
        charged: int,
        evidence: Evidence,
        changes: Sequence[books.Change],
        vouchers: Sequence[bytes] = (),
    ) -> tuple[Receipt, asyncio.Future[Written]]:
        """Queue a receipt, with what has to reach the disk together with it."""
        receipt, draft = self._drafted(call, cost, charged, evidence)
        future = self._log.put(*changes, entries=[*vouchers, draft.entry], leaf=draft.digest)
        return receipt, future

    async def _charge_shared(
        self, call: Call, account: Account, cost: int, evidence: Evidence, shared: SharedBooks
    ) -> SignedReceipt:
        receipts: list[Receipt] = []

        def draft(charged: int) -> Drafted:
            receipt, made = self._drafted(call, cost, charged, evidence)
            receipts.append(receipt)
            return made

        done = await shared.charge(account, call.quote.key, call.id, cost, call.gateway, draft)
        # Of several attempts the last one was written.
        signed = (
            done
            if isinstance(done, SignedReceipt)
            else self._signed(call, cost, receipts[-1], done)
        )
        kept = signed.receipt
        if (kept.request, kept.response) != (evidence.request, evidence.response):
            raise TakenForDead(
                f"call {call.id} on channel {call.channel}",
                found="answered by another gateway meanwhile",
                wanted="one answer to one call",
                next_step="the receipt is about that answer",
            )
        line = account.lines.setdefault(call.quote.key, LineBook())
        line.charged = max(line.charged, signed.receipt.charged)
        self._note(account)
        return signed

    def _drafted(
        self, call: Call, cost: int, charged: int, evidence: Evidence
    ) -> tuple[Receipt, Drafted]:
        receipt = Receipt(
            channel=call.channel,
            asset=call.quote.key.asset,
            version=call.quote.version,
            terms=call.quote.key.terms,
            charged=charged,
            request=evidence.request,
            response=evidence.response,
            units=evidence.units,
            time=self.times.stamp(),
            identity=call.quote.identity,
        )
        digest = receipt_digest(self.domain, receipt)
        return receipt, Drafted(digest, entries.charge_entry(digest, receipt, cost, call.id))

    @staticmethod
    def _signed(call: Call, cost: int, receipt: Receipt, done: Written) -> SignedReceipt:
        signature, proof = vouched(done.seal, done.place)
        return SignedReceipt(receipt, signature, cost, call.id, proof)

    def _covered(self, call: Call, account: Account, cost: int) -> list[bytes]:
        """See that what is charged can be settled; return the voucher where it is not written."""
        if call.durable is not None and call.durable.done():
            # The voucher never reached the disk: what is charged on it could not be settled.
            call.durable.result()
        charges = account.charges(call.quote.key, cost)
        if account.voucher is None or not account.voucher.voucher.covers(charges):
            # A write failed since the call was accepted, and took the voucher back with it.
            if call.voucher is None or not call.voucher.voucher.covers(charges):
                raise InvariantViolation(f"call {call.id} was accepted on too low a voucher")
            account.voucher, account.unwritten = call.voucher, True
        return self._voucher_entries(account, call.id)

    def _voucher_entries(self, account: Account, name: str) -> list[bytes]:
        if account.voucher is None or not account.unwritten:
            return []
        account.unwritten = False
        return [entries.voucher_entry(account.voucher, name, self.times.stamp())]

    def fail(self, call: Call) -> None:
        """End a call that has no answer: it costs nothing. Ending twice is once."""
        if not call.ended:
            self._release(call)
            self._forget_call(call)
            self._let_go(call)
            if call.order is not None and self.rights is not None:
                self.rights.fail(call.order)

    def _let_go(self, call: Call) -> None:
        if self._shared is not None and call.account is not None:
            self._shared.release(call.account.number, call.id, call.gateway)

    # --- Calls that other rows of the same books pay for --------------------------------------

    def begin(self, call: Call) -> None:
        """Count a call as in flight."""
        self._calls[call.channel, call.id] += 1

    def end(self, call: Call) -> None:
        """Count it no more."""
        self._forget_call(call)

    async def issue(
        self, call: Call, cost: int, charged: int, evidence: Evidence, *changes: books.Change
    ) -> SignedReceipt:
        """Sign a call's receipt and write it down, together with rows.

        Parameters
        ----------
        cost, charged
            Of this call, and what its payer was charged in all for the same purpose; base units.

        Raises
        ------
        StorageFull, DataError
            Nothing of it could be written.
        """
        receipt, future = self._put(call, cost, charged, evidence, changes)
        return self._signed(call, cost, receipt, await future)

    async def keep(self, *changes: books.Change) -> None:
        """Write rows, and wait until they are on the disk."""
        await self._log.put(*changes)

    async def look_up(self, query: Callable[[Connection], Result]) -> Result:
        """Read rows."""
        return await self._log.read_tables(query)

    # --- Looking ------------------------------------------------------------------------------

    async def ready(self, channel: int, key: TillKey) -> Account:
        """Return a channel with one of its lines as it can be relied on now.

        Raises
        ------
        PaymentRequired
            There is none toward this operator.
        ChainError
            The chain was asked and does not answer.
        """
        return await self._ready(channel, key)

    async def account(self, channel: int) -> Account | None:
        """Return a channel as this ledger sees it, or None where nobody knows it."""
        try:
            account = await self._ready(channel, None)
        except PaymentRequired:
            return None
        return account if self._shared is None else await self._shared.account(account)

    async def receipt(self, name: str) -> SignedReceipt | None:
        """Return a receipt by its id."""
        return await self._log.read(lambda connection: books.load_receipt(connection, name))

    async def receipt_of_call(self, channel: int, call_id: str) -> SignedReceipt | None:
        """Return the receipt of the call that the consumer named so."""
        return await self._log.read(
            lambda connection: books.load_receipt_of_call(connection, channel, call_id)
        )

    async def latest_receipts(self, channel: int) -> list[SignedReceipt]:
        """Return of each line of a channel the receipt with the highest charge."""
        return await self._log.read(
            lambda connection: books.load_latest_receipts(connection, channel)
        )

    async def is_answering(self, channel: int, call_id: str) -> bool:
        """Tell whether a call of this name is in flight, with whichever gateway."""
        if (channel, call_id) in self._calls:
            return True
        return self._shared is not None and await self._shared.is_answering(channel, call_id)

    # --- Settling -----------------------------------------------------------------------------

    async def claims(self) -> list[Claim]:
        """Return all that is charged and not settled, as it stands on the disk.

        In ascending order of channels.
        """
        found = await self._log.read(books.load_unsettled)
        return [Claim(voucher, charged, due) for voucher, charged, due in found]

    async def look_at_chain(self, channels: Sequence[int]) -> list[Account]:
        """Read channels anew, believe the chain, and keep what it said.

        Returns
        -------
        list
            The accounts, in the order asked; one that the chain does not know is left out.
        """
        accounts = await asyncio.gather(*(self._look(channel) for channel in channels))
        return [account for account in accounts if account is not None]

    def set_unfinal(self, channel: int, amount: int) -> None:
        """Learn how much of what the chain has of a channel is not final, base units."""
        account = self._accounts.get(channel)
        if account is not None:
            account.unfinal = amount
            self._note(account)

    # --- Inside -------------------------------------------------------------------------------

    def _check_voucher(self, account: Account, signed: SignedVoucher) -> None:
        chain = account.check_open()
        if signed == account.voucher:
            return
        digest = voucher_digest(self.domain, signed.voucher.channel, signed.voucher.lines)
        signer = recover(digest, signed.signature)
        if signer != chain.signer:
            raise SignatureRejected(
                f"voucher of channel {account.number}",
                found=f"signed by {address_text(signer)}",
                wanted=f"{address_text(chain.signer)}, for chain {self.domain.chain_id} and "
                f"Channels {address_text(self.domain.contract)}",
            )
        for asset, terms, _ in signed.voucher.lines:
            key = (asset, terms)
            if key not in account.lines and not self._knows(TillKey(*key)):
                raise InputError(
                    f"voucher of channel {account.number}",
                    found=f"asset {asset} under terms {terms}",
                    wanted="only lines for what this operator serves",
                )

    def _judge(self, account: Account, signed: SignedVoucher, quote: Quote) -> SignedVoucher:
        return account.judge(signed, quote.key, quote.maximum, self._grant_until())

    def _grant_until(self) -> float:
        return self.times.now() + self._margin_s

    def _may_look_again(self, account: Account, error: PaymentRequired) -> bool:
        return "short" in error.operands and self._is_old(account)

    def _is_old(self, account: Account) -> bool:
        return self.times.steady() - account.read_at > _LOOK_AGAIN_S

    async def look_again(self, account: Account, key: TillKey) -> bool:
        """Read a channel anew, unless that was just done; tell whether it was read."""
        if not self._is_old(account):
            return False
        await self._read_chain(account, key, newer_than=account.read_at)
        return True

    async def _accept_shared(
        self,
        account: Account,
        signed: SignedVoucher,
        quote: Quote,
        request: SignedRequest,
        shared: SharedBooks,
    ) -> Call:
        """Let the books that all gateways share decide."""
        self._callers.refuse_copy(account, request)
        what = (signed, quote.key, quote.maximum, request.name)
        # Each gateway bounds what it serves itself, from before the books are asked.
        self.exposures.check(account.payer, account.number, quote.maximum)
        line = account.lines.setdefault(quote.key, LineBook())
        line.in_flight += quote.maximum
        account.open += 1
        self._note(account)
        try:
            try:
                chosen, gateway = await shared.reserve(account, *what, self._grant_until())
            except PaymentRequired as error:
                if not self._may_look_again(account, error):
                    raise
                await self._read_chain(account, quote.key, newer_than=account.read_at)
                chosen, gateway = await shared.reserve(account, *what, self._grant_until())
        except BaseException:
            line.in_flight -= quote.maximum
            account.open -= 1
            self._note(account)
            raise
        self._callers.remember(account, request)
        account.voucher = chosen
        if account.unsaved:
            shared.put(*self._account_changes(account))
        self._calls[account.number, request.name] += 1
        return Call(quote, request.name, account, voucher=chosen, gateway=gateway)

    def _release(self, call: Call) -> None:
        if call.ended:
            raise InvariantViolation(f"call {call.id} was ended twice")
        call.ended = True
        if call.account is not None:
            call.account.lines[call.quote.key].in_flight -= call.quote.maximum
            self.exposures.move(call.account.payer, call.account.number, -call.quote.maximum)

    def _forget_call(self, call: Call) -> None:
        # Not before its receipt can be read: whoever asks must not hear "unknown" in between.
        if call.account is not None:
            call.account.open -= 1
        self._calls[call.channel, call.id] -= 1
        if not self._calls[call.channel, call.id]:
            del self._calls[call.channel, call.id]

    async def _ready(self, channel: int, key: TillKey | None) -> Account:
        """Return an account that may be relied on now; nothing awaits behind this."""
        account = self._accounts.get(channel)
        if account is None:
            account = self._accounts.setdefault(channel, await self._known(channel))
        while True:
            # While this waited, somebody may have found no such channel and let go of it: two
            # accounts of one channel would each answer on the whole deposit.
            # Behind all others: what was used longest ago is forgotten first.
            account = self._accounts.setdefault(channel, account)
            self._accounts.move_to_end(channel)
            if account.stale:
                await self._reload(account)
            elif self._outdated(account, key):
                await self._read_chain(account, key, newer_than=account.read_at)
            else:
                self._forget_idle()
                return account

    def _forget_idle(self) -> None:
        if len(self._accounts) <= _MOST_ACCOUNTS:
            return
        # The newest is about to be used, and one that is read has somebody who waits for it.
        for number in list(islice(self._accounts, _FORGOTTEN_AT_ONCE)):
            account = self._accounts[number]
            kept = account.open or account.unwritten or account.unfinal
            if not (kept or account.reading.locked()):
                del self._accounts[number]
                self._forgot = True

    def _outdated(self, account: Account, key: TillKey | None) -> bool:
        return self.times.steady() - account.read_at > self._refresh_s or (
            key is not None and key not in account.lines
        )

    async def _read_chain(
        self, account: Account, key: TillKey | None, *, newer_than: float
    ) -> None:
        async with account.reading:
            done_by_another = account.read_at > newer_than
            if done_by_another and (key is None or key in account.lines):
                return
            keys = sorted(account.lines.keys() | ({key} if key is not None else set()))
            view = await self._ask_chain(account.number, keys)
            if view is None:
                self._forget(account)
                raise PaymentRequired(
                    f"channel {account.number}",
                    found="no such channel with this operator",
                    wanted=f"a channel toward {address_text(self.operator)}",
                    next_step="open one, or wait until it is in a block",
                )
            self.times.saw_block(view.block_time)
            more_settled = account.take_chain(view, self.times.steady())
            # Those who share the books may well have charged what this memory never saw.
            if more_settled and self._shared is None:
                self.others.add(account.number)
                logger.error(
                    "channel %d: more was settled than was charged here; another gateway answers "
                    "with this operator's key, and both on the same deposit",
                    account.number,
                )
            self._note(account)

    async def _ask_chain(self, channel: int, keys: Sequence[TillKey]) -> ChannelView | None:
        # Numbers that anybody can invent wait in a bounded line; channels that exist do not.
        known = channel in self._accounts and self._accounts[channel].chain is not None
        if self._reads_waiting >= _READS_WAITING and not known:
            raise Busy("channels", found=f"{self._reads_waiting} waiting to be looked up")
        self._reads_waiting += 1
        try:
            async with self._reads:
                return await self._chain.read_channel(channel, keys)
        finally:
            self._reads_waiting -= 1

    def _forget(self, account: Account) -> None:
        # Numbers that anybody can invent must not fill the memory.
        if not account.lines and account.voucher is None:
            self._accounts.pop(account.number, None)

    async def _look(self, channel: int) -> Account | None:
        account = self._accounts.get(channel)
        if account is None:
            account = self._accounts.setdefault(channel, await self._known(channel))
        while account.stale:
            await self._reload(account)
        try:
            await self._read_chain(account, None, newer_than=account.read_at)
        except PaymentRequired:
            return None
        account = self._accounts.setdefault(channel, account)
        changes = self._account_changes(account)
        if changes:
            await self._log.put(*changes)
        return account

    async def _known(self, channel: int) -> Account:
        # As long as no channel was forgotten, one that is not in memory has nothing in the log that
        # is not in the tables too: the log was replayed at the start.
        if not self._forgot:
            return await self._log.read_tables(lambda rows: books.load_account(rows, channel))
        # What was put and not begun to be written would be missing from what is read.
        await self._log.put()
        return await self._log.read(lambda rows: books.load_account(rows, channel))

    def _account_changes(self, account: Account) -> list[books.Change]:
        if account.chain is None or not account.unsaved:
            return []
        account.unsaved = False
        return [
            books.channel_change(account.number, account.chain),
            *(books.line_change(account.number, key, line) for key, line in account.lines.items()),
        ]

    def _distrust_memory(self) -> None:
        for account in self._accounts.values():
            account.stale = True
        if self.rights is not None:
            self.rights.distrust()

    async def _reload(self, account: Account) -> None:
        kept = await self._log.read(
            lambda connection: books.load_account(connection, account.number)
        )
        if account.stale:
            account.take_books(kept)
            self._note(account)

    def _note(self, account: Account) -> None:
        if account.chain is not None:
            self.exposures.note(account.payer, account.number, account.at_stake)


def _replay(engine: Engine, domain: Domain) -> tuple[list[tuple[int, str]], list[Account]]:
    """Bring the tables up to the log; return the names of its latest calls, and who owes."""
    with storage_errors("books"), engine.begin() as connection:
        while books.fold(connection, _FOLDED_AT_ONCE, domain):
            pass
        return books.load_answered(connection, CALLS_REMEMBERED), books.load_owing(connection)
