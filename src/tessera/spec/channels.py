"""`Channels.vy`'s states and transitions again in plain Python: channels, grants, settlement.

The currency and the split are left out: `deposit` arguments are what really arrived, and `credit`
is called where the contract splits a sum (`tessera.spec.split` has that arithmetic). What the
contract reverts raises `TransactionReverted` with the same string and changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tessera.errors import TransactionReverted
from tessera.spec.receipt_batches import signed_digest
from tessera.spec.signatures import (
    ZERO_ADDRESS,
    Address,
    Domain,
    recover_compact,
)
from tessera.spec.vouchers import (
    MAX_LINES,
    MAX_TILLS,
    MAX_WORDS,
    Line,
    Reason,
    Receipt,
    TillKey,
    channel_number,
    voucher_digest,
)

__all__ = ["ChannelState", "ChannelsModel", "Grant", "LineState", "Settlement"]

_MASK_40: Final = 2**40 - 1
_MASK_64: Final = 2**64 - 1
_MASK_95: Final = 2**95 - 1
_MASK_96: Final = 2**96 - 1
_OUT_OF_BOUNDS: Final = ""

Credit = Callable[[int, Address, int, int], None]
"""Called with (asset, operator, terms, amount) where the contract splits a sum."""


class Grant(NamedTuple):
    """What a session key may spend on one line: up to `cap` in all, until `expires`."""

    asset: int
    terms: int
    cap: int
    expires: int


@dataclass(slots=True)
class ChannelState:
    """One channel as `Channels.channel_of` shows it; `available_at` 0: no withdrawal requested."""

    payer: Address
    signer: Address
    restricted: bool
    balance: int = 0
    available_at: int = 0


@dataclass(slots=True)
class LineState:
    """One line as `Channels.line_of` shows it."""

    charged: int = 0
    cap: int = 0
    expires: int = 0


@dataclass(slots=True)
class Settlement:
    """What one `settle` did, as its events tell it.

    Attributes
    ----------
    total
        Taken from all channels.
    settled
        (channel, amount) per voucher that moved money, in the order of the batch.
    skipped
        (channel, reason) per voucher that was not good.
    sums
        What each till got, without those that got nothing.
    """

    total: int = 0
    settled: list[tuple[int, int]] = field(default_factory=list)
    skipped: list[tuple[int, Reason]] = field(default_factory=list)
    sums: dict[TillKey, int] = field(default_factory=dict)


class ChannelsModel:
    """Every channel of one Channels contract.

    Parameters
    ----------
    domain
        Chain and contract; part of every signature.
    withdraw_delay
        Seconds between a payer's request and the withdrawal.
    credit
        Splits a sum; what it raises undoes the whole settlement.
    """

    def __init__(
        self, domain: Domain, *, withdraw_delay: int, credit: Credit | None = None
    ) -> None:
        self.domain = domain
        self.withdraw_delay = withdraw_delay
        self.channels: dict[tuple[Address, int], ChannelState] = {}
        self.lines: dict[tuple[Address, int, TillKey], LineState] = {}
        self._credit = credit

    def open(
        self,
        payer: Address,
        operator: Address,
        salt: bytes,
        deposit: int,
        signer: Address,
        grants: Sequence[Grant] = (),
    ) -> int:
        """Open a channel and return its number; with grants the signer is held to them."""
        _require(ZERO_ADDRESS not in {operator, signer}, "channels: zero address")
        number = channel_number(payer, operator, salt)
        _require((operator, number) not in self.channels, "channels: channel exists")
        self._check_grants(operator, number, grants)
        _require(deposit <= _MASK_95, "channels: balance too large")
        self.channels[operator, number] = ChannelState(payer, signer, bool(grants), deposit)
        self._write_grants(operator, number, grants)
        return number

    def top_up(self, operator: Address, channel: int, deposit: int) -> None:
        """Add to a channel; anyone may."""
        state = self._find(operator, channel)
        if state is None:
            raise _reverted("channels: no such channel")
        _require(
            deposit <= _MASK_95 and state.balance + deposit <= _MASK_95,
            "channels: balance too large",
        )
        state.balance += deposit

    def grant(
        self, sender: Address, operator: Address, channel: int, grants: Sequence[Grant]
    ) -> None:
        """Let the session key spend more; never less."""
        state = self._only_payer(sender, operator, channel)
        _require(state.restricted, "channels: the signer is not restricted")
        self._check_grants(operator, channel, grants)
        self._write_grants(operator, channel, grants)

    def request_withdrawal(self, sender: Address, operator: Address, channel: int, now: int) -> int:
        """Begin to take the rest back; return when that will be possible."""
        state = self._only_payer(sender, operator, channel)
        _require(state.available_at == 0, "channels: withdrawal requested already")
        state.available_at = now + self.withdraw_delay
        return state.available_at

    def cancel_withdrawal(self, sender: Address, operator: Address, channel: int) -> None:
        """Take a request back; only the payer may."""
        state = self._only_payer(sender, operator, channel)
        _require(state.available_at != 0, "channels: no withdrawal requested")
        state.available_at = 0

    def withdraw(self, operator: Address, channel: int, now: int) -> int:
        """Return what the payer gets once the delay is over; anyone may call it."""
        state = self._find(operator, channel)
        if state is None or state.available_at == 0:
            raise _reverted("channels: no withdrawal requested")
        _require(now >= state.available_at, "channels: withdrawal is not available yet")
        return self._pay_back(state)

    def withdraw_to(self, sender: Address, operator: Address, channel: int, now: int) -> int:
        """As `withdraw`, to an address that the payer names."""
        self._only_payer(sender, operator, channel)
        return self.withdraw(operator, channel, now)

    def release(self, operator: Address, channel: int) -> int:
        """Return what the payer gets because the operator lets it go at once."""
        state = self._find(operator, channel)
        if state is None:
            raise _reverted("channels: no such channel")
        return self._pay_back(state)

    def settle(
        self,
        operator: Address,
        tills: Sequence[tuple[int, int]],
        batch: Sequence[int],
        now: int,
    ) -> Settlement:
        """Settle a batch as `encode_batch` writes it."""
        keys = [TillKey(*till) for till in tills]
        _require(len(keys) <= MAX_TILLS and len(batch) <= MAX_WORDS, _OUT_OF_BOUNDS)
        for before, key in itertools.pairwise(keys):
            _require(key > before, "channels: tills are not in order")
        done = Settlement()
        balances: dict[tuple[Address, int], int] = {}
        charges: dict[tuple[Address, int, TillKey], int] = {}
        cursor = 0
        while cursor < len(batch):
            channel, lines, charged, after = _decoded(keys, batch, cursor)
            signer = recover_compact(
                voucher_digest(self.domain, channel, lines), batch[after - 2], batch[after - 1]
            )
            cursor = after
            state = self.channels.get((operator, channel))
            reason = Reason(0)
            taken = 0
            growth: dict[TillKey, int] = {}
            # A bad line is left alone. Where none is good the last gives the reason; a bad
            # signature goes before all lines.
            for line, amount in zip(lines, charged, strict=True):
                if amount == 0:
                    continue
                at = (operator, channel, line.key)
                stored = self.lines.get(at, LineState())
                settled = charges.get(at, stored.charged)
                bad = _check_line(state, stored, settled, amount, line.maximum, now)
                if bad:
                    reason = bad
                else:
                    growth[line.key] = amount - settled
                    taken += amount - settled
            if state is None:
                reason = Reason.NO_CHANNEL
            elif signer in {ZERO_ADDRESS, b""} or signer != state.signer:
                reason = Reason.BAD_SIGNATURE
            elif taken:
                reason = Reason(0)
                balance = balances.get((operator, channel), state.balance)
                if taken > balance:
                    reason = Reason.BALANCE_TOO_LOW
                else:
                    balances[operator, channel] = balance - taken
                    for key, grown in growth.items():
                        at = (operator, channel, key)
                        stored = self.lines.get(at, LineState())
                        charges[at] = charges.get(at, stored.charged) + grown
                        done.sums[key] = done.sums.get(key, 0) + grown
                    done.total += taken
                    done.settled.append((channel, taken))
            if reason:
                done.skipped.append((channel, reason))
        done.sums = {key: done.sums[key] for key in keys if done.sums.get(key)}
        if self._credit is not None:
            for key, amount in done.sums.items():
                self._credit(key.asset, operator, key.terms, amount)
        self._write(balances, charges)
        return done

    def settle_by_receipt(
        self,
        operator: Address,
        signed: Sequence[Line],
        voucher_signature: tuple[int, int],
        receipt: Receipt,
        proof: Sequence[bytes],
        receipt_signature: tuple[int, int],
        now: int,
    ) -> int:
        """Settle one line in the operator's place; return how much was taken.

        The signatures are (r, vs); with a proof, the receipt's is over the root that it leads to.
        """
        state = self._find(operator, receipt.channel)
        signer = recover_compact(
            voucher_digest(self.domain, receipt.channel, signed), *voucher_signature
        )
        if state is None or signer == ZERO_ADDRESS or signer != state.signer:
            raise _reverted("channels: voucher not signed by the channel's signer")
        witness = recover_compact(signed_digest(self.domain, receipt, proof), *receipt_signature)
        _require(
            operator not in {ZERO_ADDRESS, b""} and witness == operator,
            "channels: receipt not signed by the operator",
        )
        maximum = 0
        for line in signed:
            if line.key == receipt.key:
                maximum = line.maximum
        at = (operator, receipt.channel, receipt.key)
        stored = self.lines.get(at, LineState())
        charged = receipt.charged
        _require(charged <= min(maximum, _MASK_96), "channels: receipt above the voucher")
        _require(charged >= stored.charged, "channels: settled already")
        _require(not state.restricted or _granted(stored, charged, now), "channels: not granted")
        taken = receipt.charged - stored.charged
        _require(taken <= state.balance, "channels: balance too low")
        if taken:
            if self._credit is not None:
                self._credit(receipt.asset, operator, receipt.terms, taken)
            self._write({(operator, receipt.channel): state.balance - taken}, {at: receipt.charged})
        return taken

    def line_of(self, operator: Address, channel: int, asset: int, terms: int) -> LineState:
        """Return a line as the contract shows it; zeros where nothing was ever written."""
        return self.lines.get((operator, channel, TillKey(asset, terms)), LineState())

    def _find(self, operator: Address, channel: int) -> ChannelState | None:
        _require(channel <= _MASK_64, "channels: no such channel")
        return self.channels.get((operator, channel))

    def _only_payer(self, sender: Address, operator: Address, channel: int) -> ChannelState:
        state = self._find(operator, channel)
        if state is None or state.payer != sender:
            raise _reverted("channels: only the payer")
        return state

    def _check_grants(self, operator: Address, channel: int, grants: Sequence[Grant]) -> None:
        _require(len(grants) <= MAX_LINES, _OUT_OF_BOUNDS)
        seen: dict[TillKey, tuple[int, int]] = {}
        for item in grants:
            _require(
                item.cap <= _MASK_96 and item.expires <= _MASK_40, "channels: grant out of range"
            )
            key = TillKey(item.asset, item.terms)
            stored = self.line_of(operator, channel, *key)
            cap, expires = seen.get(key, (stored.cap, stored.expires))
            _require(item.cap >= cap and item.expires >= expires, "channels: a grant never shrinks")
            seen[key] = item.cap, item.expires

    def _write_grants(self, operator: Address, channel: int, grants: Sequence[Grant]) -> None:
        for item in grants:
            at = (operator, channel, TillKey(item.asset, item.terms))
            line = self.lines.setdefault(at, LineState())
            line.cap, line.expires = item.cap, item.expires

    def _write(
        self,
        balances: Mapping[tuple[Address, int], int],
        charges: Mapping[tuple[Address, int, TillKey], int],
    ) -> None:
        for at, balance in balances.items():
            self.channels[at].balance = balance
        for line, charged in charges.items():
            self.lines.setdefault(line, LineState()).charged = charged

    @staticmethod
    def _pay_back(state: ChannelState) -> int:
        amount, state.balance, state.available_at = state.balance, 0, 0
        return amount


def _decoded(
    keys: Sequence[TillKey], batch: Sequence[int], cursor: int
) -> tuple[int, list[Line], list[int], int]:
    header = batch[cursor]
    count = header >> 64
    _require(1 <= count <= MAX_LINES, "channels: malformed batch")
    lines: list[Line] = []
    charged: list[int] = []
    lowest = 0
    for at in range(cursor + 1, cursor + 1 + count):
        _require(at < len(batch), _OUT_OF_BOUNDS)
        word = batch[at]
        position = word >> 192
        _require(lowest <= position, "channels: malformed batch")
        _require(position < len(keys), _OUT_OF_BOUNDS)
        lowest = position + 1
        lines.append(Line(*keys[position], (word >> 96) & _MASK_96))
        charged.append(word & _MASK_96)
    after = cursor + count + 3
    _require(after <= len(batch), _OUT_OF_BOUNDS)
    return header & _MASK_64, lines, charged, after


def _check_line(
    state: ChannelState | None,
    stored: LineState,
    settled: int,
    charged: int,
    maximum: int,
    now: int,
) -> Reason:
    if charged < settled:
        return Reason.BELOW_SETTLED
    if charged > maximum:
        return Reason.ABOVE_MAXIMUM
    if state is not None and state.restricted and not _granted(stored, charged, now):
        return Reason.NOT_GRANTED
    return Reason(0)


def _granted(line: LineState, charged: int, now: int) -> bool:
    return charged <= line.cap and now <= line.expires


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise _reverted(reason)


def _reverted(reason: str) -> TransactionReverted:
    return TransactionReverted("Channels", reason)
