"""A consumer's own books of one channel: what was signed, what receipts prove, what is in flight.

A voucher's maximum is the charge that receipts show plus the most that calls in flight can cost;
so whatever a gateway does, it can settle at most that. The file is written before a voucher leaves
and after a receipt came: a restart neither pays twice nor believes a claim above what was signed.
It is not forced to the disk: what a power cut takes, the operator proves with our own signatures.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from tessera.errors import DataError, InputError, SignatureRejected, StorageFull
from tessera.payments.callmac import call_key, call_mac
from tessera.payments.header import CALL_MAC_HEADER, CALL_SIGNATURE_HEADER, SignedReceipt
from tessera.payments.ports import TypedSigner
from tessera.spec.signatures import Address, Domain, address_of_key, address_text, recover
from tessera.spec.vouchers import (
    MAX_LINES,
    Line,
    SignedVoucher,
    TillKey,
    Voucher,
    call_digest,
    voucher_digest,
)
from tessera.storage.lock import FileLock

__all__ = ["Purse", "Ticket"]

_Terms = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
_Digits = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,73}$")]
_CallName = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")]
_Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


class Ticket(msgspec.Struct, frozen=True):
    """One call in flight, from the consumer's side.

    Attributes
    ----------
    call
        32 hexadecimal digits; the gateway finds the receipt by it.
    key
        The line that pays.
    maximum
        The most that it can cost, base units.
    request
        Keccak-256 of the request's body.
    """

    call: str
    key: TillKey
    maximum: int
    request: bytes


class _Line(msgspec.Struct):
    asset: _Digits
    terms: _Terms
    charged: _Digits = "0"
    signed: _Digits = "0"


class _Flight(msgspec.Struct):
    call: _CallName
    asset: _Digits
    terms: _Terms
    maximum: _Digits
    request: _Hash


class _File(msgspec.Struct):
    chain_id: int
    contract: str
    operator: str
    channel: str
    lines: list[_Line]
    flights: list[_Flight]
    format: Literal[1] = 1


class _Book:
    """One line: what receipts prove, the most that was signed, and the most that may be charged.

    `most` is what was charged when this file was opened, plus the most that each call since may
    cost. A receipt that claims what other calls in flight may cost raises `charged` by that, but
    those calls are no reason to sign for it again.
    """

    __slots__ = ("charged", "most", "signed")

    def __init__(self, charged: int = 0, signed: int = 0) -> None:
        self.charged = charged
        self.signed = signed
        self.most = charged


class Purse:
    """What a consumer knows about one channel; safe to use from several threads.

    Parameters
    ----------
    domain, operator, channel
        Whose channel.
    signer
        The payer's key, or a session key.
    file
        Where it is kept; None keeps it in memory only.

    Raises
    ------
    Busy
        Another process, or another client in this one, uses the file.
    DataError
        The file is damaged or about another channel.
    """

    def __init__(
        self,
        domain: Domain,
        operator: Address,
        channel: int,
        signer: TypedSigner,
        file: Path | None = None,
    ) -> None:
        self.domain = domain
        self.operator = operator
        self.channel = channel
        self._signer = signer
        self._file = file
        self._lock = threading.Lock()
        self._lines: dict[TillKey, _Book] = {}
        self._flights: dict[str, Ticket] = {}
        self._lost: set[str] = set()
        self._call_key: tuple[bytes, bytes] | None = None
        self._held: FileLock | None = None
        if file is not None:
            self._held = FileLock(
                file.with_suffix(".lock"),
                f"purse {file}",
                next_step="share that client, or give this one another state folder",
            )
            try:
                self._read(file)
            except BaseException:
                self.close()
                raise
        # What was in flight when the last process ended was never heard of again.
        self._lost |= self._flights.keys()

    def close(self) -> None:
        """Let others use the file. Twice is once."""
        if self._held is not None:
            self._held.release()

    @property
    def charged(self) -> int:
        """What receipts prove, over all lines, base units."""
        with self._lock:
            return sum(book.charged for book in self._lines.values())

    @property
    def exposed(self) -> int:
        """The most that the operator could settle now, over all lines, base units."""
        with self._lock:
            return sum(book.signed for book in self._lines.values())

    @property
    def lost(self) -> list[Ticket]:
        """Calls whose end was not seen; ask the gateway what became of them."""
        with self._lock:
            return [self._flights[call] for call in sorted(self._lost)]

    def in_flight(self) -> int:
        """Return the most that calls in flight may cost, base units."""
        with self._lock:
            return sum(ticket.maximum for ticket in self._flights.values())

    def keys(self) -> list[TillKey]:
        """Return the lines that were ever signed for."""
        with self._lock:
            return sorted(self._lines)

    def begin(self, ticket: Ticket) -> SignedVoucher:
        """Sign a voucher for one more call.

        Returns
        -------
        SignedVoucher
            On every line, what was charged plus what is in flight, and never more than all calls
            together may cost; in the file before it is here.

        Raises
        ------
        InputError
            The channel has its sixteen lines already.
        StorageFull, DataError
            It could not be written; nothing was signed.
        """
        with self._lock:
            if ticket.key not in self._lines and len(self._lines) >= MAX_LINES:
                raise InputError(
                    f"channel {self.channel}",
                    found=f"{len(self._lines)} assets and terms",
                    wanted=f"{MAX_LINES} or fewer, as a voucher holds",
                    next_step="open another channel for further models",
                )
            self._lines.setdefault(ticket.key, _Book()).most += ticket.maximum
            self._flights[ticket.call] = ticket
            maxima = {key: book.charged for key, book in self._lines.items()}
            for flight in self._flights.values():
                maxima[flight.key] += flight.maximum
            maxima = {key: min(most, self._lines[key].most) for key, most in maxima.items()}
            before = {key: book.signed for key, book in self._lines.items()}
            for key, maximum in maxima.items():
                # What was signed once stays signed, however much less is signed later.
                self._lines[key].signed = max(self._lines[key].signed, maximum)
            try:
                self._write()
            except BaseException:
                del self._flights[ticket.call]
                self._lines[ticket.key].most -= ticket.maximum
                for key, signed in before.items():
                    self._lines[key].signed = signed
                raise
        lines = tuple(Line(*key, maxima[key]) for key in sorted(maxima))
        voucher = Voucher(self.channel, lines)
        digest = voucher_digest(self.domain, voucher.channel, voucher.lines)
        return SignedVoucher(voucher, self._signer.sign(digest))

    def vouch(self, ticket: Ticket, operator_key: bytes | None) -> tuple[str, str]:
        """Vouch for the request itself: a voucher is public once it is settled, this is not.

        Parameters
        ----------
        ticket
            The call.
        operator_key
            The operator's public key, 33 bytes; None where its gateway shows none.

        Returns
        -------
        tuple
            A header's name and value: a code where the key is known, else a signature.

        Raises
        ------
        SignatureRejected
            The key is not the operator's.
        """
        if operator_key is None:
            digest = call_digest(
                self.domain, self.channel, bytes.fromhex(ticket.call), ticket.request
            )
            return CALL_SIGNATURE_HEADER, "0x" + self._signer.sign(digest).hex()
        if self._call_key is None or self._call_key[0] != operator_key:
            if address_of_key(operator_key) != self.operator:
                raise SignatureRejected(
                    "operator's public key",
                    found=f"that of {address_text(address_of_key(operator_key))}",
                    wanted=address_text(self.operator),
                )
            key = call_key(
                self.domain,
                self._signer,
                operator_key,
                signer=self._signer.address,
                operator=self.operator,
            )
            self._call_key = operator_key, key
        key = self._call_key[1]
        return CALL_MAC_HEADER, call_mac(key, self.channel, ticket.call, ticket.request).hex()

    def end(self, ticket: Ticket, receipt: SignedReceipt, response: bytes | None) -> int:
        """Believe a receipt, if it is one.

        Parameters
        ----------
        ticket
            The call that it is about.
        receipt
            As the gateway sent it.
        response
            Keccak-256 of the answer as it arrived; None where it did not arrive whole.

        Returns
        -------
        int
            What was charged on the line in all, base units.

        Raises
        ------
        SignatureRejected
            It is forged, about another call, or charges more than was ever signed. The call
            stays in flight: what it may cost is still counted as spent.
        """
        self.check(receipt)
        signed = receipt.receipt
        if signed.key != ticket.key:
            raise self._refused("asset, terms", tuple(signed.key), tuple(ticket.key))
        if signed.request != ticket.request:
            raise self._refused("request", signed.request, ticket.request)
        if response is not None and signed.response != response:
            raise self._refused("response", signed.response, response)
        with self._lock:
            self._flights.pop(ticket.call, None)
            self._lost.discard(ticket.call)
            book = self._lines[ticket.key]
            book.charged = max(book.charged, signed.charged)
            self._write()
            return book.charged

    def check(self, receipt: SignedReceipt) -> None:
        """Refuse a receipt that is not this operator's, or claims more than was signed."""
        receipt.verify(self.domain, self.operator)
        signed = receipt.receipt
        if signed.channel != self.channel:
            raise self._refused("channel", signed.channel, self.channel)
        with self._lock:
            book = self._lines.get(signed.key)
        limit = book.signed if book else 0
        if signed.charged > limit:
            raise SignatureRejected(
                f"receipt of channel {self.channel}",
                found=f"{signed.charged} base units charged",
                wanted=f"at most the {limit} that were signed",
                next_step="the operator claims what it cannot settle; stop paying it",
            )

    def learn(self, receipt: SignedReceipt, voucher: SignedVoucher | None) -> None:
        """Take over what the operator proves that this file does not know.

        After a lost file, or an answer that never arrived, the operator's totals are higher than
        ours. They are believed as far as our own signatures reach, and no further.

        Parameters
        ----------
        receipt
            The operator's latest of one line.
        voucher
            What the operator shows as signed by us.

        Raises
        ------
        SignatureRejected
            Somebody else signed one of them, or the charge exceeds what was ever signed.
        """
        if voucher is not None and voucher.voucher.channel == self.channel:
            digest = voucher_digest(self.domain, self.channel, voucher.voucher.lines)
            if recover(digest, voucher.signature) == self._signer.address:
                with self._lock:
                    for line in voucher.voucher.lines:
                        book = self._lines.setdefault(line.key, _Book())
                        book.signed = max(book.signed, line.maximum)
        self.check(receipt)
        with self._lock:
            if receipt.receipt.key not in self._lines:
                # It charges nothing; a line for it would be one of sixteen, chosen by the operator.
                return
            book = self._lines[receipt.receipt.key]
            if receipt.receipt.charged > book.most:
                # We signed for it, and not here: what was called here comes on top.
                book.most += receipt.receipt.charged - book.charged
            book.charged = max(book.charged, receipt.receipt.charged)
            self._write()

    def cancel(self, ticket: Ticket) -> None:
        """End a call that the gateway refused or failed: it cost nothing."""
        with self._lock:
            self._flights.pop(ticket.call, None)
            self._lost.discard(ticket.call)

    def lose(self, ticket: Ticket) -> None:
        """Note that the end of a call was not seen: it may have cost something."""
        with self._lock:
            if ticket.call in self._flights:
                self._lost.add(ticket.call)

    def _refused(self, what: str, found: object, wanted: object) -> SignatureRejected:
        return SignatureRejected(
            f"receipt of channel {self.channel}: {what}",
            found=found,
            wanted=str(wanted) if not isinstance(wanted, bytes) else f"0x{wanted.hex()}",
            next_step="it is about another call, or the answer was changed on its way",
        )

    def _write(self) -> None:
        if self._file is None:
            return
        wire = _File(
            chain_id=self.domain.chain_id,
            contract=address_text(self.domain.contract),
            operator=address_text(self.operator),
            channel=str(self.channel),
            lines=[
                _Line(str(key.asset), key.terms, str(book.charged), str(book.signed))
                for key, book in sorted(self._lines.items())
            ],
            flights=[
                _Flight(
                    ticket.call,
                    str(ticket.key.asset),
                    ticket.key.terms,
                    str(ticket.maximum),
                    ticket.request.hex(),
                )
                for ticket in self._flights.values()
            ],
        )
        temporary = self._file.with_suffix(".new")
        try:
            temporary.write_bytes(msgspec.json.encode(wire))
            temporary.replace(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise StorageFull(
                f"purse {self._file}", found=error.strerror, wanted="a disk that takes writes"
            ) from error

    def _read(self, file: Path) -> None:
        try:
            data = file.read_bytes()
            if not data:
                # All that a power cut leaves of a file that was replaced just before it.
                return
            wire = msgspec.json.decode(data, type=_File)
        except FileNotFoundError:
            return
        except (msgspec.MsgspecError, OSError) as error:
            raise DataError(
                f"purse {file}",
                found=str(error),
                wanted="what this client wrote",
                next_step="move it away; its totals come back from the operator's receipts",
            ) from error
        mine = (
            self.domain.chain_id,
            address_text(self.domain.contract),
            address_text(self.operator),
            str(self.channel),
        )
        theirs = (wire.chain_id, wire.contract, wire.operator, wire.channel)
        if theirs != mine:
            raise DataError(f"purse {file}", found=theirs, wanted=f"{mine}")
        for line in wire.lines:
            key = TillKey(int(line.asset), line.terms)
            self._lines[key] = _Book(int(line.charged), int(line.signed))
        for flight in wire.flights:
            key = TillKey(int(flight.asset), flight.terms)
            self._lines.setdefault(key, _Book()).most += int(flight.maximum)
            self._flights[flight.call] = Ticket(
                flight.call,
                key,
                int(flight.maximum),
                bytes.fromhex(flight.request),
            )
