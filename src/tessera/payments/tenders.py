"""Paying by voucher, by an order of Access, or nothing: the tenders that our own ledger keeps."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final

from tessera.errors import PaymentRequired, SignatureRejected
from tessera.payments.callers import SignedRequest
from tessera.payments.header import (
    ACCESS_HEADER,
    CALL_DEADLINE_HEADER,
    CALL_HEADER,
    CALL_MAC_HEADER,
    CALL_SIGNATURE_HEADER,
    ORDER_HEADER,
    PAYMENT_HEADER,
    USE_HEADER,
    SignedReceipt,
    parse_call_deadline,
    parse_call_id,
    parse_call_mac,
    parse_call_signature,
    parse_order,
    parse_payment,
)
from tessera.payments.ledger import Call, Evidence, Ledger
from tessera.payments.rights import SignedUse, parse_use
from tessera.payments.tender import Demand, Head, Outcome
from tessera.spec.access import Scope
from tessera.spec.signatures import address_text

__all__ = ["FreeCalls", "OnLedger", "Orders", "Vouchers", "shown_channel"]

_INFERENCE: Final = Scope.INFERENCE


class OnLedger:
    """What these ways have in common: their calls end in the operator's ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def accepts(self, _demand: Demand) -> Sequence[Mapping[str, Any]]:
        """Return nothing: how to pay these ways is told beside `accepts`."""
        return ()

    def finish(
        self, call: Call, cost: int, evidence: Evidence
    ) -> Coroutine[Any, Any, SignedReceipt]:
        """As `Ledger.finish`."""
        return self._ledger.finish(call, cost, evidence)

    def fail(self, call: Call) -> None:
        """As `Ledger.fail`."""
        self._ledger.fail(call)

    def headers(
        self, _call: Call, _outcome: Outcome, _cost: int = 0
    ) -> Sequence[tuple[bytes, bytes]]:
        """Return nothing: the receipt says it all."""
        return ()


class Vouchers(OnLedger):
    """Channels toward this operator."""

    name: Final = "voucher"

    def offered(self, head: Head) -> bool:
        """Tell whether there is a voucher."""
        return head.get(PAYMENT_HEADER) is not None

    async def take(self, head: Head, demand: Demand) -> Call:
        """As `Ledger.accept`; a refusal says how the channel stands."""
        signed = parse_payment(head.get(PAYMENT_HEADER) or b"")
        mac, signature = head.get(CALL_MAC_HEADER), head.get(CALL_SIGNATURE_HEADER)
        request = SignedRequest(
            demand.call_of(head),
            demand.request,
            signature=None if signature is None else parse_call_signature(signature),
            mac=None if mac is None else parse_call_mac(mac),
        )
        try:
            return await self._ledger.accept(signed, demand.quote, request, stream=demand.stream)
        except PaymentRequired as error:
            error.operands["channel"] = await shown_channel(self._ledger, signed.voucher.channel)
            raise


class Orders(OnLedger):
    """Orders of Access, whose calls were bought beforehand."""

    name: Final = "order"

    def offered(self, head: Head) -> bool:
        """Tell whether an order is named."""
        return head.get(ORDER_HEADER) is not None or head.get(ACCESS_HEADER) is not None

    async def take(self, head: Head, demand: Demand) -> Call:
        """As `Ledger.accept_order`."""
        use = _signed_use(head, demand.request)
        return await self._ledger.accept_order(use, demand.quote, stream=demand.stream)


class FreeCalls(OnLedger):
    """Calls that can cost nothing; they leave a receipt all the same."""

    name: Final = "free"

    def offered(self, _head: Head) -> bool:
        """Tell that nothing in a request says so: the price does."""
        return False

    async def take(self, head: Head, demand: Demand) -> Call:
        """As `Ledger.accept_free`."""
        return self._ledger.accept_free(demand.quote, demand.call_of(head))


async def shown_channel(ledger: Ledger, number: int) -> dict[str, Any] | None:
    """Return a channel as the operator sees it, as JSON values; None where there is none."""
    account = await ledger.account(number)
    if account is None or account.chain is None:
        return None
    return {
        "channel": str(number),
        "operator": address_text(ledger.operator),
        "payer": address_text(account.chain.payer),
        "signer": address_text(account.chain.signer),
        "balance": str(account.chain.balance),
        "available_at": account.chain.available_at,
        "lines": [
            {
                "asset": str(key.asset),
                "terms": key.terms,
                "charged": str(line.charged),
                "settled": str(line.settled),
                "in_flight": str(line.in_flight),
            }
            for key, line in sorted(account.lines.items())
        ],
    }


def _signed_use(head: Head, request: bytes) -> SignedUse:
    access, order = parse_order(head.get(ACCESS_HEADER), head.get(ORDER_HEADER))
    name, signature = head.get(CALL_HEADER), head.get(CALL_SIGNATURE_HEADER)
    if name is None or signature is None:
        raise SignatureRejected(
            f"call on order {order}",
            found="no name" if name is None else "no signature",
            wanted="Tessera-Call and Tessera-Call-Signature, by the order's user",
        )
    purpose = head.get(USE_HEADER)
    return SignedUse(
        access=access,
        order=order,
        name=parse_call_id(name),
        body=request,
        deadline=parse_call_deadline(head.get(CALL_DEADLINE_HEADER)),
        signature=parse_call_signature(signature),
        use=_INFERENCE if purpose is None else parse_use(purpose.decode("ascii", "replace")),
    )
