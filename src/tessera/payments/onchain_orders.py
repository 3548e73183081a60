"""Orders of Access on a real chain: what an operator reads and proves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from tessera.bindings import Access
from tessera.bindings.access import Proved, Terms
from tessera.bindings.access import Use as ChainUse
from tessera.bindings.channels import IncomeReceived
from tessera.chain.deployments import Deployment
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.errors import TransactionReverted
from tessera.payments.ports import OrderProof, ProofResult, RightView
from tessera.spec.access import Kind, Scope
from tessera.spec.signatures import Address, address_of, address_text, compact

__all__ = ["OrdersOnChain"]

logger = logging.getLogger(__name__)


class OrdersOnChain:
    """The chain as an operator uses it for orders.

    Parameters
    ----------
    reader, sender
        Of the chain; the sender's account is the operator.
    deployment
        Where the contracts are.
    """

    def __init__(self, reader: ChainReader, sender: Sender, deployment: Deployment) -> None:
        self._reader = reader
        self._sender = sender
        self._deployment = deployment
        # A product's terms are in its code.
        self._products: dict[Address, Terms] = {}

    async def read_order(self, access: Address, order: int) -> RightView | None:
        """Read an order of a product that this operator serves; None where there is none."""
        terms = await self._terms(access)
        if terms is None or terms.operator != self._sender.address:
            return None
        product = Access(address_text(access))
        try:
            view, rented = await asyncio.gather(
                self._reader.read(product.order_of(order)),
                self._reader.read(product.rent_of(order)),
            )
        except TransactionReverted:
            return None
        renter, rented_until, _, _ = rented
        return RightView(
            asset=terms.asset,
            scope=Scope(terms.scope),
            newest_version=terms.newest_version,
            # A unit may be very many calls, so what it costs says nothing of the work.
            price=terms.price // terms.per_unit if terms.kind == Kind.COUNT else terms.price,
            owner=address_of(view.owner),
            renter=address_of(renter),
            rented_until=rented_until,
            ordered_at=view.ordered_at,
            serve_window=terms.serve_window,
            valid_until=view.valid_until,
            calls=view.calls,
            proved=view.proved,
            void=view.void,
        )

    async def prove(self, access: Address, proofs: Sequence[OrderProof]) -> ProofResult:
        """Hand proofs of one product in, and send the money on to the asset's accounts."""
        product = Access(address_text(access))
        uses = []
        for proof in proofs:
            r, vs = compact(proof.signature)
            uses.append(
                ChainUse(
                    order=proof.order,
                    call=proof.call,
                    request=proof.request,
                    deadline=proof.deadline,
                    response=proof.response,
                    r=r,
                    vs=vs,
                )
            )
        receipt = await self._sender.send(product.prove(uses))
        counted = {event.order for event in receipt.all_of(Proved, address=product.address)}
        skipped = [proof.order for proof in proofs if proof.order not in counted]
        # An earlier run may have proved one and not lived to write it down.
        views = await self._reader.read_all([product.order_of(order) for order in skipped])
        counted |= {order for order, view in zip(skipped, views, strict=True) if view.proved}
        proved = tuple(proof.order for proof in proofs if proof.order in counted)
        paid = 0
        if proved:
            try:
                paid = await self._pay_on(product)
            except TransactionReverted as error:
                # Proved all the same; the money waits in the product for anybody's flush.
                logger.warning("%s: proved, and its money waits: %s", product.address, error.reason)
        return ProofResult(receipt.tx_hash, proved, paid)

    async def _pay_on(self, product: Access) -> int:
        receipt = await self._sender.send(product.flush())
        channels = self._deployment.channels
        income = receipt.all_of(IncomeReceived, address=channels.address)
        for asset in sorted({event.asset for event in income}):
            await self._sender.send(channels.flush(asset))
        return sum(event.amount for event in income)

    async def _terms(self, access: Address) -> Terms | None:
        if access not in self._products:
            address = address_text(access)
            if not await self._reader.read(self._deployment.storefront.is_access(address)):
                return None
            self._products[access] = await self._reader.read(Access(address).terms())
        return self._products[access]
