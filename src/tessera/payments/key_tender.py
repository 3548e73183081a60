"""Paying by API key: the gateway signs the channel's vouchers, for whoever has the key's secret."""

from __future__ import annotations

from typing import Final

from tessera.errors import (
    BudgetSpent,
    Closed,
    KeyRevoked,
    NotAllowed,
    PaymentRequired,
    TooBusy,
)
from tessera.payments.account import Account, LineBook
from tessera.payments.api_key import KEY_PREFIX, Session, Sessions
from tessera.payments.callers import SignedRequest
from tessera.payments.callmac import call_key, call_mac
from tessera.payments.ledger import Call, Ledger, Quote
from tessera.payments.tender import Demand, Head
from tessera.payments.tenders import OnLedger
from tessera.spec.signatures import Signer
from tessera.spec.vouchers import Line, SignedVoucher, TillKey, Voucher, voucher_digest

__all__ = ["ApiKeys"]

_AUTHORIZATION: Final = "authorization"
_BEARER: Final = b"Bearer " + KEY_PREFIX.encode()
_CALLS_AHEAD: Final = 32
"""A voucher is signed for so many further calls, where the key may spend as much."""

_TRIES: Final = 8


class ApiKeys(OnLedger):
    """Keys of channels toward this operator.

    Parameters
    ----------
    ledger
        Judges and keeps the channels.
    operator_key
        The operator's public key, 33 bytes.
    margin_s
        A grant must last so long beyond now, as `Ledger` has it.
    """

    name: Final = "key"

    def __init__(self, ledger: Ledger, operator_key: bytes, margin_s: float) -> None:
        super().__init__(ledger)
        self._margin_s = margin_s

        def share(signer: Signer) -> bytes:
            return call_key(
                ledger.domain,
                signer,
                operator_key,
                signer=signer.address,
                operator=ledger.operator,
            )

        self._sessions = Sessions(share)

    def offered(self, head: Head) -> bool:
        """Tell whether the bearer is a key of ours; others' tokens mean nothing here."""
        given = head.get(_AUTHORIZATION)
        return given is not None and given.startswith(_BEARER)

    async def take(self, head: Head, demand: Demand) -> Call:
        """Sign a voucher if the one at hand does not cover the call, and go on as with any voucher.

        Raises
        ------
        KeyRevoked
            It is no key, its channel has another signer, is being emptied, or its grant has ended.
        BudgetSpent
            A budget, the chain's cap or the deposit does not cover the call.
        NotAllowed, QuotaExceeded, Conflict, ChainError
            As `Keys.check` and `Ledger.accept`.
        """
        session = self.session(head)
        name = demand.call_of(head)
        channel = session.key.channel
        mac = call_mac(session.call_key, channel, name, demand.request)
        request = SignedRequest(name, demand.request, mac=mac)
        for attempt in range(_TRIES):
            account = await self.account(session, demand.quote)
            if attempt:
                # In books that gateways share, memory knows nothing of what others answer.
                account = await self._ledger.account(channel) or account
            try:
                voucher = self._voucher(account, session, demand.quote)
            except (NotAllowed, BudgetSpent):
                # There may be a grant since the chain was read.
                if not await self._ledger.look_again(account, demand.quote.key):
                    raise
                voucher = self._voucher(account, session, demand.quote)
            try:
                return await self._ledger.accept(
                    voucher, demand.quote, request, stream=demand.stream
                )
            except PaymentRequired as error:
                if "short" in error.operands:
                    raise BudgetSpent(
                        f"API key {session.key.id}",
                        found="a deposit that does not cover the call",
                        wanted=f"{self._amount(demand.quote.maximum)} for this call",
                        next_step="whoever made the key can add to it: tessera channel top-up",
                    ) from error
                # Others were reserved while this one looked at the chain: sign for them too.
        # Nothing is missing but time: a 402 would be taken for one that asks for money.
        raise TooBusy(
            f"API key {session.key.id}",
            found="many calls at the same time",
            wanted="a moment in which to sign for them",
            next_step="ask again",
            retry_after_s=1,
        )

    def session(self, head: Head) -> Session:
        """Return the session of the key that a request brings.

        Raises
        ------
        KeyRevoked
            It brings none, or something that is none.
        """
        given = head.get(_AUTHORIZATION) or b""
        return self._sessions.of(given.decode("ascii", "replace").removeprefix("Bearer ").strip())

    async def account(self, session: Session, quote: Quote) -> Account:
        """Return the key's channel, if the key is its signer and it still pays.

        Raises
        ------
        KeyRevoked
            There is no such channel, it has another signer, or it is being emptied.
        """
        try:
            account = await self._ledger.ready(session.key.channel, quote.key)
            chain = account.check_open()
        except (PaymentRequired, Closed) as error:
            raise KeyRevoked(
                f"API key {session.key.id}",
                found="no channel that pays for it, any more",
                wanted="a key whose channel is open",
                next_step="ask whoever made the key for a new one",
            ) from error
        if chain.signer != session.signer.address:
            # The number is public; the secret is what counts.
            raise KeyRevoked(f"API key {session.key.id}", found="a wrong secret", wanted="its own")
        return account

    def _voucher(self, account: Account, session: Session, quote: Quote) -> SignedVoucher:
        needs = account.needs(quote.key, quote.maximum)
        stored = account.voucher
        if stored is not None and stored.voucher.covers(needs):
            return stored
        maxima = {line.key: line.maximum for line in stored.voucher.lines} if stored else {}
        for key, least in needs.items():
            maxima[key] = max(maxima.get(key, 0), least)
        maxima[quote.key] += self._ahead(account, session, quote, maxima)
        voucher = Voucher(
            account.number, tuple(Line(*key, maximum) for key, maximum in sorted(maxima.items()))
        )
        digest = voucher_digest(self._ledger.domain, voucher.channel, voucher.lines)
        return SignedVoucher(voucher, session.signer.sign(digest))

    def _ahead(
        self, account: Account, session: Session, quote: Quote, maxima: dict[TillKey, int]
    ) -> int:
        """How much more may be signed: nothing where a cap or a budget is signed for already."""
        rooms = [_CALLS_AHEAD * quote.maximum]
        charged = {key: line.charged for key, line in account.lines.items()}
        signed = sum(
            max(maxima.get(key, 0), charged.get(key, 0)) for key in maxima.keys() | charged.keys()
        )
        room = self._ledger.keys.room(account, signed)
        if room is not None:
            rooms.append(room)
        if account.check_open().restricted:
            line = account.lines.get(quote.key) or LineBook()
            need = line.need + quote.maximum
            self._check_grant(session, quote, line, need)
            rooms.append(line.cap - maxima[quote.key])
        return max(0, min(rooms))

    def _check_grant(self, session: Session, quote: Quote, line: LineBook, need: int) -> None:
        name, ends = f"API key {session.key.id}", int(self._ledger.times.now() + self._margin_s)
        next_step = "whoever made the key can grant it: tessera keys grant"
        if not line.expires:
            raise NotAllowed(
                name,
                found=f"no grant for {self._ledger.keys.wording.model(quote.key.asset)} under its "
                f"terms {quote.key.terms}",
                wanted="a model that the key is for",
                next_step=next_step,
                param="model",
            )
        if line.expires < ends:
            raise KeyRevoked(
                name,
                found=f"a grant that ends at {line.expires}",
                wanted=f"{ends} or later, so that there is time to settle",
                next_step=next_step,
            )
        if need > line.cap:
            raise BudgetSpent(
                name,
                found=f"a cap of {self._amount(line.cap)} on the chain",
                wanted=f"{self._amount(need)}, this call included",
                next_step=next_step,
            )

    def _amount(self, units: int) -> str:
        return self._ledger.keys.wording.amount(units)
