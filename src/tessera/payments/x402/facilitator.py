"""A facilitator: it tells servers whether x402 payments are good, and settles them at its expense.

It holds nobody's money and signs for nobody: what it sends was signed by the payer or by the
server, and can go nowhere else. Gas is within a budget, each party within a rate (`relaying`), and
what moves too little is not sent. A party's rate counts what the chain would take: else strangers
could use it up in its name.

Settling twice is settling once. Deposits, claims and refunds are answered again as they were: they
say how the channel stands. An `exact` payment is a success once: else a client could show a server
one payment many times at the same moment, and each copy would be served. A repeat is refused and
names the transaction. What was mined without anybody hearing of it, as when a process died, is
still a success for the first who asks within five minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tessera.bindings.test_dollar import AuthorizationUsed, TestDollar, Transfer
from tessera.bindings.x402_channels import Deposited, Refunded, Settled
from tessera.chain.reader import ChainReader
from tessera.chain.receipts import TransactionReceipt
from tessera.chain.sender import Sender
from tessera.errors import (
    NotFinal,
    NotFound,
    PaymentRequired,
    SignatureRejected,
    TesseraError,
    TransactionReverted,
)
from tessera.payments.ports import Clock
from tessera.payments.x402.actions import Claims, GivingBack, Request, Sweep, read_request
from tessera.payments.x402.calls import (
    CHANNELS,
    claim_signed_call,
    deposit_call,
    read_channel,
    refund_signed_call,
    settle_call,
    together,
    transfer_call,
    transferred,
)
from tessera.payments.x402.judging import (
    TO_BE_MINED_S,
    ChannelTerms,
    check_channel,
    check_deposit_signature,
    check_transfer,
    check_voucher_signature,
    check_window,
)
from tessera.payments.x402.ports import Claim
from tessera.payments.x402.rates import PerParty
from tessera.payments.x402.relaying import Once, Relay, to_the_end
from tessera.payments.x402.wire import (
    BATCH,
    EXACT,
    Accept,
    Authorization,
    Deposit,
    Payment,
    Reason,
    Response,
    Voucher,
    hex_text,
    network_of,
    reason_of,
    refused,
)
from tessera.spec.signatures import (
    Address,
    Domain,
    address_of,
    address_text,
    keccak,
)
from tessera.spec.x402_digests import (
    MAX_WITHDRAW_DELAY_S,
    MIN_WITHDRAW_DELAY_S,
    channel_id,
    deposit_nonce,
)

__all__ = ["Facilitator", "FacilitatorRules", "Verdict"]

_TOLD_WITHIN_S: Final = 300
"""A payment that was mined longer ago is no success for who asks first: after a restart nobody here
knows who was told, and clients choose how long their authorizations are valid."""

_LOOK_BACK: Final = 50_000
"""So many blocks are searched for what became of an authorization that was used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FacilitatorRules:
    """For whom a facilitator works.

    Attributes
    ----------
    tokens
        What may be paid in; None for any token.
    serves
        Whether it pays for a receiver's gas.
    per_minute
        Transactions that one party may cause in a minute.
    gas_per_hour
        The most gas in any hour; payments may take half of it.
    least_units
        The least that a transaction must move or claim, base units.
    """

    tokens: frozenset[Address] | None
    serves: Callable[[Address], bool] = lambda _: True
    per_minute: int = 30
    gas_per_hour: int = 30_000_000
    least_units: int = 1


class Verdict(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The answer of `/verify`."""

    is_valid: bool
    invalid_reason: str = ""
    invalid_message: str = ""
    payer: str = ""
    extra: dict[str, Any] | None = None


class Facilitator:
    """Verifies and settles on one chain.

    Parameters
    ----------
    reader, sender
        Of the chain; the sender's account pays for gas.
    rules
        For whom.
    clock
        Unix seconds.
    """

    def __init__(
        self, reader: ChainReader, sender: Sender, rules: FacilitatorRules, clock: Clock
    ) -> None:
        self.rules = rules
        self.relay = Relay(reader, sender, gas_per_hour=rules.gas_per_hour)
        self._reader = reader
        self._clock = clock
        self._once = Once()
        self._said: dict[tuple[Address, Address, bytes], tuple[int, str]] = {}
        self._in_hand: dict[tuple[Address, Address, bytes], asyncio.Lock] = {}
        self._parties = PerParty(rules.per_minute)
        self._batch: bool | None = None

    @property
    def network(self) -> str:
        """The chain's CAIP-2 name."""
        return network_of(self._reader.chain_id)

    async def supported(self) -> dict[str, Any]:
        """Return the answer of `/supported`: what is settled here, and who sends it.

        Raises
        ------
        ChainError
            The chain could not be asked whether it has the standard's channels.
        """
        if self._batch is None:
            self._batch = bool(await self._reader.code(CHANNELS.address))
        schemes = [EXACT, *([BATCH] if self._batch else [])]
        return {
            "kinds": [
                {"x402Version": 2, "scheme": scheme, "network": self.network} for scheme in schemes
            ],
            "extensions": [],
            "signers": {"eip155:*": [self.relay.address]},
        }

    async def verify(self, body: bytes) -> Verdict:
        """Judge a payment; nothing is sent.

        Raises
        ------
        ChainError
            The chain could not be asked.
        """
        payer = ""
        try:
            request = read_request(body)
            if request.payment is None:
                raise refused(
                    Reason.PAYLOAD_TYPE, found="an action", wanted="a payment, to be verified"
                )
            payer = address_text(_payer(request.payment))
            extra = await self._verified(request.wanted, request.payment)
        except (PaymentRequired, TransactionReverted) as error:
            return Verdict(False, reason_of(error), error.message, payer)
        return Verdict(True, payer=payer, extra=extra)

    async def settle(self, body: bytes) -> Response:
        """Settle a payment, or do what a server signed; once, however often it is asked.

        Raises
        ------
        QuotaExceeded
            The party asks too often, or the budget of gas is used up.
        AccountUnfunded, ChainError
            Nothing can be sent now.
        """
        payer = ""
        try:
            request = read_request(body)
            if request.payment is not None:
                payer = address_text(_payer(request.payment))
            return await self._settled(request)
        except NotFinal as error:
            # It may be mined yet; who asks again hears what became of it.
            tx = str(error.operands.get("tx_hash") or "")
            return self._failed(Reason.SETTLEMENT_PENDING, error, payer, tx)
        except PaymentRequired as error:
            tx = str(error.operands.get("tx_hash") or "")
            return self._failed(reason_of(error), error, payer, tx)

    async def _settled(self, request: Request) -> Response:
        wanted, payment, action = request.wanted, request.payment, request.action
        if payment is not None:
            self._check_offer(wanted, payment.accepted)
            if payment.authorization is not None:
                return await self._transfer(wanted, payment.authorization)
            voucher = payment.voucher
            if voucher is not None and payment.deposit is not None:
                drawn = payment.deposit
                return await self._once_for(request, lambda: self._deposit(wanted, voucher, drawn))
            if voucher is not None and payment.refund is None:
                extra = await self._good_voucher(wanted, voucher, None, refund=False)
                return self._done(voucher.config.payer, extra={"channelState": extra})
        match action:
            case Claims():
                return await self._once_for(request, lambda: self._claim(action))
            case Sweep():
                return await self._sweep(action)
            case GivingBack():
                return await self._once_for(request, lambda: self._give_back(action))
            case None:
                raise refused(
                    Reason.REFUND_PAYLOAD,
                    found="a client's wish for a refund",
                    wanted="the server's, with its signature, nonce and claims",
                )

    async def _once_for(
        self, request: Request, work: Callable[[], Awaitable[Response]]
    ) -> Response:
        # By all that was asked: the same signature beside other terms is another question.
        asked = (request.wanted, request.payment, request.action)
        key = keccak(msgspec.json.encode(asked))
        return await self._once.do(key, work, keep=lambda answer: answer.success)

    # --- Judging ------------------------------------------------------------------------------

    async def _verified(self, wanted: Accept, payment: Payment) -> dict[str, Any] | None:
        self._check_offer(wanted, payment.accepted)
        if payment.authorization is not None:
            token, by = self._token(wanted), payment.authorization
            self._check_transfer(wanted, token, by)
            if await self._is_used(token, by):
                raise _used(by)
            await self._tried(transfer_call(token.contract, by), Reason.EXACT_SIMULATION_FAILED)
            return None
        assert payment.voucher is not None, "a payment is one or the other"
        extra = await self._good_voucher(
            wanted, payment.voucher, payment.deposit, refund=payment.refund is not None
        )
        if payment.deposit is not None:
            await self._good_deposit(wanted, payment.voucher, payment.deposit)
            call = deposit_call(payment.voucher.config, payment.deposit)
            await self._tried(call, Reason.DEPOSIT_SIMULATION_FAILED)
        return extra

    def _check_offer(self, wanted: Accept, accepted: Accept) -> None:
        batch = wanted.scheme == BATCH
        if accepted.scheme != wanted.scheme or wanted.scheme not in {BATCH, EXACT}:
            raise refused(
                Reason.SCHEME if batch else Reason.UNSUPPORTED_SCHEME,
                found=accepted.scheme[:64],
                wanted=wanted.scheme[:64],
            )
        if not accepted.network == wanted.network == self.network:
            raise refused(
                Reason.BATCH_NETWORK_MISMATCH if batch else Reason.NETWORK_MISMATCH,
                found=accepted.network[:64],
                wanted=self.network,
            )
        self._check_served(_address(wanted.asset), _address(wanted.pay_to))

    def _check_served(self, token: Address, receiver: Address) -> None:
        if self.rules.tokens is not None and token not in self.rules.tokens:
            raise refused(
                Reason.CURRENCY_MISMATCH,
                found=address_text(token),
                wanted=" or ".join(address_text(each) for each in sorted(self.rules.tokens)),
                next_step="use a facilitator that takes this token",
            )
        if not self.rules.serves(receiver):
            raise refused(
                Reason.RECEIVER_MISMATCH,
                found=address_text(receiver),
                wanted="a receiver whose gas this facilitator pays",
                next_step="use a facilitator that is open to all",
            )

    def _token(self, wanted: Accept) -> Domain:
        name, version = wanted.extra.get("name"), wanted.extra.get("version")
        if not isinstance(name, str) or not isinstance(version, str):
            batch = wanted.scheme == BATCH
            raise refused(
                Reason.BATCH_DOMAIN_MISSING if batch else Reason.DOMAIN_MISSING,
                found="no name and version of the token",
                wanted="both, in `extra`",
            )
        return Domain(self._reader.chain_id, _address(wanted.asset), name, version)

    def _check_transfer(self, wanted: Accept, token: Domain, by: Authorization) -> None:
        """Check what an exact payment says, without the chain."""
        if str(by.value) != wanted.amount:
            raise refused(Reason.EXACT_VALUE, found=by.value, wanted=wanted.amount)
        check_transfer(
            token,
            by,
            receiver=_address(wanted.pay_to),
            units=by.value,
            now=int(self._clock()),
            lasts_s=TO_BE_MINED_S,
        )

    async def _is_used(self, token: Domain, by: Authorization) -> bool:
        """Tell whether an exact payment was used; refuse where the payer has not the money."""
        dollar = TestDollar(address_text(token.contract))
        payer = address_text(by.payer)
        used, held = await self._read_of_token(
            dollar.authorizationState(payer, by.nonce), dollar.balanceOf(payer)
        )
        if not used and held < by.value:
            raise refused(Reason.EXACT_BALANCE, found=held, wanted=f"{by.value} base units")
        return bool(used)

    async def _good_voucher(
        self, wanted: Accept, voucher: Voucher, deposit: Deposit | None, *, refund: bool
    ) -> dict[str, Any]:
        """Check a voucher against the server's terms and the chain; the channel's state."""
        self._check_terms(wanted, voucher)
        check_voucher_signature(self._reader.chain_id, voucher)
        state = await read_channel(self._reader, voucher.channel)
        if state.balance == 0 and deposit is None:
            raise refused(
                Reason.CHANNEL_NOT_FOUND, found="an empty channel", wanted="one with a deposit"
            )
        balance = state.balance + (deposit.amount if deposit else 0)
        if voucher.maximum > balance:
            raise refused(
                Reason.EXCEEDS_BALANCE, found=voucher.maximum, wanted=f"{balance} or less"
            )
        least = state.claimed if refund else state.claimed + 1
        if voucher.maximum < least:
            raise refused(Reason.BELOW_CLAIMED, found=voucher.maximum, wanted=f"{least} or more")
        return state.shown(voucher.channel)

    def _check_terms(self, wanted: Accept, voucher: Voucher) -> None:
        authorizer = wanted.extra.get("receiverAuthorizer")
        delay = wanted.extra.get("withdrawDelay")
        if not isinstance(authorizer, str):
            raise refused(
                Reason.AUTHORIZER_MISMATCH, found="no authorizer in `extra`", wanted="one"
            )
        if delay is not None and not isinstance(delay, int):
            raise refused(Reason.DELAY_MISMATCH, found=str(delay)[:80], wanted="whole seconds")
        check_channel(
            voucher,
            ChannelTerms(
                chain_id=self._reader.chain_id,
                receiver=_address(wanted.pay_to),
                authorizer=_address(authorizer),
                token=_address(wanted.asset),
                least_delay_s=MIN_WITHDRAW_DELAY_S if delay is None else delay,
                most_delay_s=MAX_WITHDRAW_DELAY_S if delay is None else delay,
            ),
        )

    async def _good_deposit(self, wanted: Accept, voucher: Voucher, deposit: Deposit) -> bool:
        """Check a deposit's authorization; whether it was used already."""
        token = self._token(wanted)
        payer = voucher.config.payer
        nonce = deposit_nonce(voucher.channel, deposit.salt)
        check_deposit_signature(token, voucher, deposit)
        dollar = TestDollar(address_text(token.contract))
        used, held = await self._read_of_token(
            dollar.authorizationState(address_text(payer), nonce),
            dollar.balanceOf(address_text(payer)),
        )
        if used:
            return True
        check_window(deposit, now=int(self._clock()), lasts_s=TO_BE_MINED_S)
        if held < deposit.amount:
            raise refused(Reason.BATCH_BALANCE, found=held, wanted=f"{deposit.amount} base units")
        return False

    async def _read_of_token(self, *calls: Any) -> list[Any]:
        try:
            return await self._reader.read_all(calls)
        except (NotFound, TransactionReverted) as error:
            raise refused(
                Reason.EXACT_SIMULATION_FAILED,
                found=error.message,
                wanted="an EIP-3009 token at the address of `asset`",
            ) from error

    async def _tried(self, call: Any, reason: Reason) -> None:
        try:
            await self.relay.check(call)
        except TransactionReverted as error:
            raise refused(
                reason, found=error.reason, wanted="a transaction that the contract takes"
            ) from error

    # --- Settling -----------------------------------------------------------------------------

    def _check_worth(self, units: int, reason: Reason) -> None:
        if units < self.rules.least_units:
            raise refused(
                reason,
                found=f"{units} base units",
                wanted=f"{self.rules.least_units} or more for a transaction",
                next_step="let more come together, or use another facilitator",
            )

    async def _transfer(self, wanted: Accept, by: Authorization) -> Response:
        self._check_worth(by.value, Reason.EXACT_VALUE)
        token = self._token(wanted)
        self._check_transfer(wanted, token, by)
        key = (token.contract, by.payer, by.nonce)
        # To the end, whoever still waits for it; a copy of the request waits behind it.
        return await to_the_end(self._transfer_once(key, token, by))

    async def _transfer_once(
        self, key: tuple[Address, Address, bytes], token: Domain, by: Authorization
    ) -> Response:
        lock = self._in_hand.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                if key in self._said:
                    raise _used(by, self._said[key][1])
                if await self._is_used(token, by):
                    tx = await transferred(
                        self._reader, token.contract, by, since=await self._since()
                    )
                    if not tx or await self._is_old(tx):
                        raise _used(by, tx or None)
                else:
                    tx = await self._move(token, by)
                if key in self._said:
                    # Another request had it mined while this one's first try was refused.
                    raise _used(by, self._said[key][1])
                self._forget_expired()
                self._said[key] = (by.valid_before, tx)
        finally:
            if not lock.locked():
                self._in_hand.pop(key, None)
        return self._done(by.payer, tx, by.value)

    async def _move(self, token: Domain, by: Authorization) -> str:
        receipt = await self._send(
            by.payer,
            transfer_call(token.contract, by),
            Reason.EXACT_SIMULATION_FAILED,
            Reason.TRANSACTION_FAILED,
            payment=True,
        )
        moved = receipt.all_of(Transfer, address=address_text(token.contract))
        wanted = (address_text(by.payer), address_text(by.receiver), by.value)
        if wanted not in {(each.sender, each.receiver, each.value) for each in moved}:
            # A token that answers well and moves something else, or nothing.
            raise refused(
                Reason.EXACT_NOT_DELIVERED,
                found="no such transfer",
                wanted=f"{by.value} base units to {wanted[1]}",
                tx_hash=receipt.tx_hash,
            )
        return receipt.tx_hash

    def _forget_expired(self) -> None:
        now = int(self._clock())
        for key in [key for key, (before, _) in self._said.items() if before <= now]:
            del self._said[key]

    async def _deposit(self, wanted: Accept, voucher: Voucher, deposit: Deposit) -> Response:
        payer = voucher.config.payer
        self._check_terms(wanted, voucher)
        if await self._good_deposit(wanted, voucher, deposit):
            done = await self._deposited(voucher, deposit)
            if not done:
                raise refused(
                    Reason.DEPOSIT_FAILED,
                    found="an authorization that was used for something else, or cancelled",
                    wanted="one that is not used",
                )
        else:
            self._check_worth(deposit.amount, Reason.DEPOSIT_BELOW_MINIMUM)
            await self._good_voucher(wanted, voucher, deposit, refund=False)
            receipt = await self._send(
                payer,
                deposit_call(voucher.config, deposit),
                Reason.DEPOSIT_SIMULATION_FAILED,
                Reason.DEPOSIT_FAILED,
                payment=True,
            )
            done = receipt.tx_hash
        return await self._done_in(voucher.channel, payer, done, deposit.amount)

    async def _claim(self, claims: Claims) -> Response:
        rows = claims.claims
        brings = await self._claimable(rows)
        if not brings:
            # Recorded already, by whomever.
            return self._done(None)
        self._check_worth(brings, Reason.CLAIM_FAILED)
        receipt = await self._send(
            rows[0].config.receiver_authorizer,
            claim_signed_call(rows, claims.signature),
            Reason.CLAIM_SIMULATION_FAILED,
            Reason.CLAIM_FAILED,
        )
        return self._done(None, receipt.tx_hash)

    async def _claimable(self, rows: Sequence[Claim]) -> int:
        """Return what claims bring; base units of tokens that are settled here."""
        for row in rows:
            self._check_served(row.config.token, row.config.receiver)
        # Two rows of one channel bring what the higher one does.
        most: dict[bytes, int] = {}
        for row in rows:
            name = channel_id(self._reader.chain_id, row.config)
            most[name] = max(row.charged, most.get(name, 0))
        states = await self._reader.read_all([CHANNELS.channels(name) for name in most])
        return sum(
            max(0, charged - state.totalClaimed)
            for charged, state in zip(most.values(), states, strict=True)
        )

    async def _sweep(self, sweep: Sweep) -> Response:
        self._check_served(sweep.token, sweep.receiver)
        receiver, token = address_text(sweep.receiver), address_text(sweep.token)
        state = await self._reader.read(CHANNELS.receivers(receiver, token))
        if state.totalClaimed <= state.totalSettled:
            raise refused(
                Reason.NOTHING_TO_SETTLE,
                found=f"{state.totalSettled} of {state.totalClaimed} sent",
                wanted="something claimed and not sent",
            )
        self._check_worth(state.totalClaimed - state.totalSettled, Reason.SETTLE_FAILED)
        # No party: anybody may ask for it, and what it sends on is worth it.
        receipt = await self._send(
            None,
            settle_call(sweep.receiver, sweep.token),
            Reason.SETTLE_SIMULATION_FAILED,
            Reason.SETTLE_FAILED,
        )
        settled = receipt.all_of(Settled, address=CHANNELS.address)
        amount = sum(each.amount for each in settled if each.receiver == receiver)
        return self._done(None, receipt.tx_hash, amount)

    async def _give_back(self, back: GivingBack) -> Response:
        config = back.config
        self._check_served(config.token, config.receiver)
        channel = channel_id(self._reader.chain_id, config)
        state = await read_channel(self._reader, channel)
        if not state.balance - state.claimed:
            raise refused(Reason.REFUND_NO_BALANCE, found="nothing left", wanted="an open balance")
        self._check_worth(back.amount, Reason.REFUND_AMOUNT)
        call: Any = refund_signed_call(config, back.amount, back.nonce, back.signature)
        if back.claims is not None:
            await self._claimable(back.claims.claims)
            call = together(claim_signed_call(back.claims.claims, back.claims.signature), call)
        receipt = await self._send(
            config.receiver_authorizer,
            call,
            Reason.REFUND_SIMULATION_FAILED,
            Reason.REFUND_FAILED,
        )
        given = receipt.all_of(Refunded, address=CHANNELS.address)
        amount = sum(each.amount for each in given if each.channelId == channel)
        return await self._done_in(channel, config.payer, receipt.tx_hash, amount)

    async def _send(
        self,
        party: Address | None,
        call: Any,
        before: Reason,
        after: Reason,
        *,
        payment: bool = False,
    ) -> TransactionReceipt:
        """Send what was found good, on behalf of a party; the standard's words where it fails."""
        try:
            gas = await self.relay.check(call)
            if party is not None:
                self._parties.check(party)
            return await self.relay.send(call, gas, payment=payment)
        except TransactionReverted as error:
            raise refused(
                after if error.tx_hash else before,
                found=error.reason,
                wanted="a transaction that the contract takes",
                tx_hash=error.tx_hash,
            ) from error

    async def _deposited(self, voucher: Voucher, deposit: Deposit) -> str:
        """Find the transaction that drew a deposit, whoever sent it; "" for none."""
        topics = AuthorizationUsed.topics(
            authorizer=address_text(voucher.config.payer),
            nonce=deposit_nonce(voucher.channel, deposit.salt),
        )
        token = address_text(voucher.config.token)
        for used in await self._reader.logs(
            AuthorizationUsed, address=token, topics=topics, first=await self._since()
        ):
            receipt = await self._reader.receipt(used.tx_hash)
            made = receipt.all_of(Deposited, address=CHANNELS.address) if receipt else []
            if any(
                each.channelId == voucher.channel and each.amount == deposit.amount for each in made
            ):
                return used.tx_hash
        return ""

    async def _is_old(self, tx: str) -> bool:
        """Tell whether a transfer was mined so long ago that its server has surely been told."""
        receipt = await self._reader.receipt(tx)
        if receipt is None:
            return True
        mined = await self._reader.block(receipt.block)
        return self._clock() - mined.timestamp > _TOLD_WITHIN_S

    async def _since(self) -> int:
        return max(0, await self._reader.block_number() - _LOOK_BACK)

    # --- Answering ----------------------------------------------------------------------------

    async def _done_in(self, channel: bytes, payer: Address, tx: str, amount: int) -> Response:
        state = await read_channel(self._reader, channel)
        return self._done(payer, tx, amount, {"channelState": state.shown(channel)})

    def _done(
        self,
        payer: Address | None,
        tx: str = "",
        amount: int | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Response:
        return Response(
            success=True,
            network=self.network,
            transaction=tx,
            payer=address_text(payer) if payer is not None else "",
            amount="" if amount is None else str(amount),
            extra=extra,
        )

    def _failed(self, reason: str, error: TesseraError, payer: str, tx: str = "") -> Response:
        return Response(
            success=False,
            network=self.network,
            transaction=tx,
            payer=payer,
            error_reason=str(reason),
            error_message=error.message,
        )


def _payer(payment: Payment) -> Address:
    if payment.authorization is not None:
        return payment.authorization.payer
    assert payment.voucher is not None, "a payment is one or the other"
    return payment.voucher.config.payer


def _used(by: Authorization, tx: str | None = None) -> PaymentRequired:
    return refused(
        Reason.EXACT_NONCE_USED,
        found=hex_text(by.nonce),
        wanted="a nonce that is not used",
        tx_hash=tx,
    )


def _address(text: str) -> Address:
    try:
        return address_of(text)
    except SignatureRejected as error:
        raise refused(
            Reason.NO_MATCH, found=text[:64], wanted="0x and 40 hexadecimal digits"
        ) from error
