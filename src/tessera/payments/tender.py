"""One way of paying for a call, as the gateway sees each of them: reserve, earn, or let go.

A voucher, an order of Access and a call that is free are three; further ones stand behind the same
port, so what a call goes through does not know who pays it how. Promises that every tender keeps:
nothing is charged for a call that was not answered, and nothing is answered that was not reserved
before. `Held` ties a reservation to the tender that made it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from tessera.errors import PaymentRequired
from tessera.payments.header import CALL_HEADER, SignedReceipt, parse_call_id
from tessera.payments.ledger import Call, Evidence, Quote

__all__ = ["Demand", "Head", "Held", "Outcome", "PaymentSpent", "Tender"]


class Head(Protocol):
    """The headers of a request."""

    def get(self, name: str) -> bytes | None:
        """Return the header of that lower-case name, or None.

        Raises
        ------
        InputError
            It is there twice: readers could disagree about which one counts.
        """


class Demand(msgspec.Struct, frozen=True):
    """What a call is about, before anybody pays for it.

    Attributes
    ----------
    slug
        The model's name, for messages and URLs.
    quote
        Asset, terms, version, and the most that the call can cost in base units.
    name
        Of the answer, 32 hexadecimal digits; names the call where the consumer did not.
    request
        Keccak-256 of the body's exact bytes.
    stream
        Whether the answer leaves in pieces, so that its head leaves before its cost is known.
    """

    slug: str
    quote: Quote
    name: str
    request: bytes
    stream: bool

    def call_of(self, head: Head) -> str:
        """Return what the call is named: by the consumer, or after its answer.

        Raises
        ------
        InputError
            The consumer's name is none, or is there twice.
        """
        chosen = head.get(CALL_HEADER)
        return self.name if chosen is None else parse_call_id(chosen)


class PaymentSpent(PaymentRequired):
    """It paid for an answer that was held back until then; the same request may have that again.

    Attributes
    ----------
    payment
        As `Call.held_back`.
    """

    code = PaymentRequired.code
    payment = b""


class Outcome(enum.Enum):
    """How far a call has come when its answer's head is made."""

    BEGUN = "begun"
    """A stream is about to leave; the cost is not known yet."""
    EARNED = "earned"
    """It is charged, and that is on the disk."""
    FAILED = "failed"
    """It was not answered and costs nothing."""


class Tender(Protocol):
    """A way of paying."""

    @property
    def name(self) -> str:
        """In messages and metrics: "voucher", "order"."""

    def offered(self, head: Head) -> bool:
        """Tell, from headers alone, whether a request pays this way.

        Raises
        ------
        InputError
            One of its headers is there twice.
        """

    def accepts(self, demand: Demand) -> Sequence[Mapping[str, Any]]:
        """Return what the answer to an unpaid call says about this way, as entries of `accepts`."""

    async def take(self, head: Head, demand: Demand) -> Call:
        """Reserve the most that the call can cost.

        May wait for a channel that is busy, or transact. Hand the call to `finish` or `fail`,
        always; nothing of its answer may leave before `call.durable` is done.

        Raises
        ------
        PaymentRequired, SignatureRejected, Conflict, NotAllowed, InputError, ChainError
            It does not pay for this call.
        """

    async def finish(self, call: Call, cost: int, evidence: Evidence) -> SignedReceipt:
        """Charge the call for good; both the charge and its receipt are on the disk then.

        Raises
        ------
        MeterMismatch
            It would cost more than was reserved; it costs nothing instead.
        DataError, ChainError
            It could not be charged, so its answer must not leave.
        """

    def fail(self, call: Call) -> None:
        """End a call without an answer: it costs nothing. Ending twice is once."""

    def headers(self, call: Call, outcome: Outcome, cost: int = 0) -> Sequence[tuple[bytes, bytes]]:
        """Return what this way adds to the head of an answer, or of a refusal after `take`.

        Parameters
        ----------
        cost
            Base units charged, where `outcome` is EARNED.
        """


class Held(msgspec.Struct, eq=False):
    """A reserved call, with the tender that reserved it.

    Attributes
    ----------
    tender, call
        Who reserved what.
    signed
        Its receipt, when it was charged.
    """

    tender: Tender
    call: Call
    signed: SignedReceipt | None = None

    async def finish(self, cost: int, evidence: Evidence) -> SignedReceipt:
        """As `Tender.finish`."""
        self.signed = await self.tender.finish(self.call, cost, evidence)
        return self.signed

    def fail(self) -> None:
        """As `Tender.fail`."""
        self.tender.fail(self.call)

    def headers(self, outcome: Outcome, cost: int = 0) -> Sequence[tuple[bytes, bytes]]:
        """As `Tender.headers`."""
        return self.tender.headers(self.call, outcome, cost)
