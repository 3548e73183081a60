"""Orders of Access as an operator honours them: is this call covered, and where is that written.

Memory decides, the disk remembers, as in the ledger. A use is on the disk before the last byte of
an answer leaves, and before the first of a stream: what is used up stays used up, whoever kills
what. A call without an answer uses nothing. The first use that the owner signed is kept as proof
of service.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from tessera.errors import (
    Busy,
    Closed,
    Conflict,
    InputError,
    NotAllowed,
    NotFound,
    PaymentRequired,
    SignatureRejected,
)
from tessera.payments import books
from tessera.payments.ports import OrdersChain, RightView
from tessera.payments.times import Times
from tessera.spec.access import ALL_CALLS, Scope, access_domain, use_digest
from tessera.spec.signatures import Address, address_text, recover
from tessera.storage.batches import BatchLog

__all__ = [
    "HONOUR_ALL",
    "LONGEST_DEADLINE_S",
    "LicenceDoesNotCover",
    "OrderCall",
    "OrderGivenUp",
    "OrderNotHonoured",
    "OrderOver",
    "OrderRented",
    "OrderRules",
    "OrderTooLate",
    "OrderUsedUp",
    "Rights",
    "SignedUse",
    "parse_use",
]

LONGEST_DEADLINE_S: Final = 900
"""How far ahead a use may be signed; its name is remembered so long."""

_FEWEST_NAMES: Final = 1_000
"""So many names of an order are kept before those that are over are looked for."""

_MOST_KNOWN: Final = 16_384
"""Orders in memory; one that is forgotten is read back from the books when it is used again."""

_FORGOTTEN_AT_ONCE: Final = 16
_READS_AT_ONCE: Final = 8
_READS_WAITING: Final = 256
_LOOK_AGAIN_S: Final = 0.5
_SERVED: Final = Scope.INFERENCE


class LicenceDoesNotCover(NotAllowed):
    """The order is good, but not for this: another asset, version or kind of use."""


class OrderNotHonoured(NotAllowed):
    """The order is good, but its operator serves none of such a product."""


class OrderRented(NotAllowed):
    """The owner asks while somebody rents the order."""


class OrderUsedUp(PaymentRequired):
    """All calls of the order were made."""


class OrderOver(PaymentRequired):
    """The order's time is over."""


class OrderGivenUp(Closed):
    """The order's money went back, so nothing is left of it."""


class OrderTooLate(Conflict):
    """Service was not proved in the order's serve window, or could not be any more."""


@dataclass(frozen=True, slots=True)
class SignedUse:
    """One request on an order, as its user signed it.

    Attributes
    ----------
    access, order
        The product, and the number of the order.
    name
        That the user gave the call, 32 hexadecimal digits.
    body
        Keccak-256 of the exact bytes.
    deadline
        Unix seconds; it is served no later.
    signature
        65 bytes.
    use
        What it is for, beyond inference: what the licence must allow.
    """

    access: Address
    order: int
    name: str
    body: bytes
    deadline: int
    signature: bytes
    use: Scope = _SERVED


def _nobodys(_asset: int) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRules:
    """Which orders an operator honours: whoever lists it may sell its work, at any price.

    Attributes
    ----------
    least_window_s
        Seconds of a serve window below which proving may come too late.
    least_price
        Base units of a call, or of a unit that is no calls, below which it would work for nothing.
    assets
        Only of these; None for all.
    own
        Whose products are honoured at any price: assets of the operator's own people.
    """

    least_window_s: int = 0
    least_price: int = 0
    assets: Callable[[int], bool] | None = None
    own: Callable[[int], bool] = _nobodys

    def check(self, what: str, view: RightView) -> None:
        """Refuse an order that the operator does not honour.

        Raises
        ------
        OrderNotHonoured
            With what it would have to be.
        """
        if view.serve_window < self.least_window_s:
            found, wanted = f"a serve window of {view.serve_window} s", f"{self.least_window_s} s"
        elif self.own(view.asset):
            return
        elif view.price < self.least_price:
            found = f"{view.price} base units for a call, or for a unit that is none"
            wanted = f"{self.least_price}"
        elif self.assets is not None and not self.assets(view.asset):
            raise OrderNotHonoured(
                what,
                found="an asset whose orders this operator does not honour",
                wanted="one that it does",
                next_step="pay by call, or take the money back when the serve window is over",
            )
        else:
            return
        raise OrderNotHonoured(
            what,
            found=found,
            wanted=f"{wanted} or more, says this operator",
            next_step="pay by call, or take the money back when the serve window is over",
        )


HONOUR_ALL: Final = OrderRules()
"""The rules of an operator that honours whatever names it."""


@dataclass(slots=True, eq=False)
class _Right:
    """One order in memory."""

    access: Address
    order: int
    view: RightView | None = None
    read_at: float = -math.inf
    seen_at: float = -math.inf
    looked_again_at: float = -math.inf
    used: int = 0
    proof_kept: bool = False
    stale: bool = True
    moves: int = 0
    names: dict[str, int] = field(default_factory=dict)
    most_names: int = _FEWEST_NAMES
    flying: set[str] = field(default_factory=set)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True, eq=False)
class OrderCall:
    """A call that an order covers: hand it back with `finish_changes` or `fail`.

    Attributes
    ----------
    use
        What was signed.
    user
        Who signed it.
    view
        The order as it was when the call was accepted.
    written
        Whether a row of it is on its way to the disk.
    """

    use: SignedUse
    user: Address
    right: _Right
    view: RightView
    written: bool = False


class Rights:
    """The orders toward one operator.

    Parameters
    ----------
    log
        The books' log.
    chain
        Reads orders.
    times
        The process's clocks.
    chain_id
        That uses are signed for.
    refresh_s
        How old an order's state may be when it is relied on: so late a rent is seen.
    late_s
        An order that was never used is not served so shortly before its window ends.
    rules
        Which orders are honoured.
    """

    def __init__(
        self,
        log: BatchLog[books.Change],
        chain: OrdersChain,
        times: Times,
        *,
        chain_id: int,
        refresh_s: float = 15.0,
        late_s: float = 660.0,
        rules: OrderRules = HONOUR_ALL,
    ) -> None:
        self._log = log
        self._chain = chain
        self._times = times
        self._chain_id = chain_id
        self._refresh_s = refresh_s
        self._late_s = late_s
        self._rules = rules
        self._rights: dict[tuple[Address, int], _Right] = {}
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)
        self._reads_waiting = 0
        self._listeners: list[Callable[[], None]] = []

    def on_proof(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever a use was kept that proves an order's service."""
        self._listeners.append(listener)

    def late_s(self, view: RightView) -> float:
        """Return how long before its window's end an unused order is served no more."""
        return min(self._late_s, view.serve_window / 4)

    async def accept(self, use: SignedUse, asset: int, version: int, *, stream: bool) -> OrderCall:
        """Decide whether an order covers a call, and count the call as used.

        Parameters
        ----------
        use
            What the user signed.
        asset, version
            What is asked.
        stream
            Whether pieces leave before the end: then the use must be on the disk before.

        Raises
        ------
        NotFound
            No such product or order, or another operator's.
        SignatureRejected
            Neither its user nor its owner signed this request, or too far ahead.
        OrderNotHonoured
            This operator serves none of such a product.
        LicenceDoesNotCover
            The licence is for another asset, older versions, or other kinds of use.
        OrderUsedUp, OrderOver, OrderGivenUp, OrderRented, OrderTooLate
            The order is good for nothing now, or not for this person.
        Conflict
            This very request was accepted already.
        """
        self._check_deadline(use)
        came = self._times.steady()
        right = await self._ready(use)
        digest = use_digest(
            access_domain(self._chain_id, use.access),
            use.order,
            bytes.fromhex(use.name),
            use.body,
            use.deadline,
        )
        signer = recover(digest, use.signature)
        unsure = self._user(right) != signer or self._never_proved(right)
        again = came - right.looked_again_at > _LOOK_AGAIN_S
        if unsure and again and right.seen_at < came:
            # It may have been rented or proved since the chain was read. Only looks like this one
            # count: a call of the owner's a moment ago must not shut out whoever rents it now.
            right.looked_again_at = came
            await self._read_chain(right, newer_than=came)
            right = await self._ready(use)
        view = right.view
        if view is None:
            raise self._unknown(use)
        self._check_signer(right, view, use, signer)
        self._check_state(right, view, use)
        self._rules.check(f"order {use.order}", view)
        _check_licence(view, use, asset, version)
        # The chain may have taken long, and a name whose deadline is over may be forgotten.
        self._check_deadline(use)
        if use.name in right.names:
            raise Conflict(
                f"call {use.name} on order {use.order}",
                found="asked before",
                wanted="a name that was not used yet",
            )
        # From here on nothing waits: of two that come together for the last call one is refused.
        self._forget_names(right)
        right.names[use.name] = use.deadline
        right.flying.add(use.name)
        call = OrderCall(use, signer, right, view)
        if stream:
            call.written = True
        return call

    def begun_changes(self, call: OrderCall) -> list[books.Change]:
        """Return what must be on the disk before a piece of the answer leaves."""
        return [self._row(call, None, books.OPEN)] if call.written else []

    def finish_changes(self, call: OrderCall, response: bytes) -> list[books.Change]:
        """Count a call as used, and return what must be on the disk before its answer ends."""
        # A node that lags may have said meanwhile that there is no such order.
        right, view = call.right, call.right.view or call.view
        right.flying.discard(call.use.name)
        right.used += 1
        right.moves += 1
        changes = [self._row(call, response, books.DONE)]
        if not view.proved and not right.proof_kept:
            right.proof_kept = True
            serve_by = view.ordered_at + view.serve_window
            changes.append(books.order_change(call.use.access, call.use.order, serve_by))
            for listener in self._listeners:
                listener()
        return changes

    def fail(self, call: OrderCall) -> None:
        """Take a call back that has no answer; its name stays used."""
        call.right.flying.discard(call.use.name)
        call.right.moves += 1
        if call.written:
            self._log.put(self._row(call, None, books.FAILED))

    def distrust(self) -> None:
        """Read everything anew before it is relied on: a write failed."""
        for right in self._rights.values():
            right.stale = True
            right.moves += 1

    async def shown(self, access: Address, order: int) -> dict[str, object]:
        """Return an order as this operator sees it, as JSON values.

        Raises
        ------
        NotFound
            No such order toward this operator.
        """
        probe = SignedUse(access, order, "", b"", 0, b"")
        right = await self._ready(probe)
        view = right.view
        if view is None:
            raise self._unknown(probe)
        counted = view.calls != ALL_CALLS
        return {
            "access": address_text(access),
            "order": str(order),
            "asset": str(view.asset),
            "owner": address_text(view.owner),
            "user": address_text(self._user(right) or view.owner),
            "valid_until": view.valid_until,
            "calls": str(view.calls) if counted else None,
            "used": str(right.used),
            "in_flight": len(right.flying),
            "served": view.proved or right.proof_kept,
            "proved": view.proved,
            "given_up": view.void,
        }

    # --- Inside -------------------------------------------------------------------------------

    def _check_deadline(self, use: SignedUse) -> None:
        # The user's clock set it, not the chain's.
        now = self._times.wall()
        if not now <= use.deadline <= now + LONGEST_DEADLINE_S:
            raise SignatureRejected(
                f"call {use.name} on order {use.order}: deadline",
                found=use.deadline,
                wanted=f"from {int(now)} to {int(now) + LONGEST_DEADLINE_S}",
                next_step="sign it anew; if that is in vain, compare the clocks",
            )

    def _user(self, right: _Right) -> Address | None:
        view = right.view
        if view is None:
            return None
        return view.renter if self._times.now() < view.rented_until else view.owner

    def _never_proved(self, right: _Right) -> bool:
        """Tell whether its window is over and it was not proved: its money may go back any time."""
        view = right.view
        if view is None or view.proved or view.void:
            return False
        return self._times.now() > view.ordered_at + view.serve_window

    def _check_signer(
        self, right: _Right, view: RightView, use: SignedUse, signer: Address
    ) -> None:
        user = self._user(right)
        if signer == user:
            return
        if signer == view.owner:
            raise OrderRented(
                f"order {use.order}",
                found="its owner's request",
                wanted="its renter's",
                next_step=f"the rent ends at {view.rented_until} (unix seconds)",
            )
        raise SignatureRejected(
            f"call {use.name} on order {use.order}",
            found=f"signed by {address_text(signer)}",
            wanted=f"signed by {address_text(user or view.owner)}, who may use it",
        )

    def _check_state(self, right: _Right, view: RightView, use: SignedUse) -> None:
        now, what = self._times.now(), f"order {use.order}"
        if view.void:
            raise OrderGivenUp(what, found="refunded", wanted="one that is good")
        if now >= view.valid_until:
            raise OrderOver(
                what,
                found=f"it ended at {view.valid_until}",
                wanted="one that is good now",
                next_step="redeem another unit",
            )
        if view.calls != ALL_CALLS and right.used + len(right.flying) >= view.calls:
            raise OrderUsedUp(
                what,
                found=f"{right.used} calls made, {len(right.flying)} in flight",
                wanted=f"fewer than its {view.calls}",
                next_step="redeem another unit",
            )
        serve_by = view.ordered_at + view.serve_window
        if self._never_proved(right):
            raise OrderTooLate(
                what,
                found=f"no proof of service by {serve_by}, when its serve window ended",
                wanted="an order that is paid for",
                next_step="take the money back, and redeem another unit",
            )
        if not view.proved and not right.proof_kept and now > serve_by - self.late_s(view):
            raise OrderTooLate(
                what,
                found=f"no use until now, and a serve window that ends at {serve_by}",
                wanted="time to prove service",
                next_step="take the money back then, and redeem another unit",
            )

    def _row(self, call: OrderCall, response: bytes | None, state: int) -> books.Change:
        return books.use_change(call.use, call.user, response, state, self._times.stamp())

    def _forget_names(self, right: _Right) -> None:
        if len(right.names) <= right.most_names:
            return
        now = self._times.wall()
        right.names = {name: until for name, until in right.names.items() if until >= now}
        # Twice what is left: an order that is used often is not gone through at every call.
        right.most_names = max(_FEWEST_NAMES, 2 * len(right.names))

    def _forget_orders(self) -> None:
        if len(self._rights) <= _MOST_KNOWN:
            return
        # What is in flight is known here alone; the newest is about to be.
        for key in list(islice(self._rights, _FORGOTTEN_AT_ONCE)):
            if not self._rights[key].flying:
                del self._rights[key]

    def _unknown(self, use: SignedUse) -> NotFound:
        return NotFound(
            f"order {use.order} of {address_text(use.access)}",
            found="none",
            wanted="an order of a product that this operator serves",
            next_step="if it is new, wait until it is in a block",
        )

    async def _ready(self, use: SignedUse) -> _Right:
        """Return an order that may be relied on now; nothing awaits behind this."""
        key = (use.access, use.order)
        right = self._rights.get(key) or _Right(*key)
        while True:
            if right.view is None or self._times.steady() - right.read_at > self._refresh_s:
                await self._read_chain(right, newer_than=right.seen_at)
                if right.view is None:
                    # Numbers that anybody can invent must not fill the memory.
                    raise self._unknown(use)
            # Two of one order would each count to its end. Behind all others: what was used longest
            # ago is forgotten first.
            right = self._rights[key] = self._rights.pop(key, right)
            self._forget_orders()
            if right.stale:
                await self._reload(right)
            elif right.view is not None:
                return right

    async def _reload(self, right: _Right) -> None:
        async with right.reading:
            now = int(self._times.wall())
            # It is stale until it was read: whoever comes meanwhile waits here too.
            while right.stale:
                moves = right.moves
                # What was put and not begun to be written would be missing from what is read.
                await self._log.put()
                kept = await self._log.read_tables(
                    lambda connection: books.load_order(connection, right.access, right.order, now)
                )
                if right.moves != moves:
                    continue
                # What is in flight here is counted as such.
                right.used = kept.done + len(kept.open - right.flying)
                right.proof_kept = kept.proof
                right.names = {
                    **kept.names,
                    **dict.fromkeys(right.flying, now + LONGEST_DEADLINE_S),
                }
                right.stale = False

    async def _read_chain(self, right: _Right, *, newer_than: float) -> None:
        async with right.reading:
            if right.seen_at > newer_than:
                return
            if self._reads_waiting >= _READS_WAITING and right.view is None:
                raise Busy("orders", found=f"{self._reads_waiting} waiting to be looked up")
            self._reads_waiting += 1
            try:
                async with self._reads:
                    # What happens from here on may be missing from the answer.
                    began = self._times.steady()
                    right.view = await self._chain.read_order(right.access, right.order)
            finally:
                self._reads_waiting -= 1
            right.seen_at, right.read_at = began, self._times.steady()


def _check_licence(view: RightView, use: SignedUse, asset: int, version: int) -> None:
    what = f"licence of order {use.order}"
    if asset != view.asset:
        raise LicenceDoesNotCover(
            what,
            found=f"asset {view.asset}",
            wanted=f"asset {asset}, which was asked",
            param="asset",
        )
    if view.newest_version and version > view.newest_version:
        raise LicenceDoesNotCover(
            what,
            found=f"versions up to {view.newest_version}",
            wanted=f"version {version}, which is served",
            param="version",
        )
    missing = (use.use | _SERVED) & ~view.scope
    if missing:
        raise LicenceDoesNotCover(
            what,
            found=_words(view.scope),
            wanted=_words(use.use | _SERVED),
            param="use",
        )


def _words(scope: Scope) -> str:
    """Write kinds of use as people know them."""
    return ", ".join(part.name.lower() for part in scope if part.name)


def parse_use(text: str) -> Scope:
    """Read what a request says that its answer is for.

    Raises
    ------
    InputError
        A word is no kind of use.
    """
    scope = _SERVED
    for word in text.split(","):
        name = word.strip().upper()
        if name not in Scope.__members__:
            raise InputError("Tessera-Use", found=word[:40], wanted=_words(Scope(15)), param="use")
        scope |= Scope[name]
    return scope
