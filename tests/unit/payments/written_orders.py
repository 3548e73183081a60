"""Orders behind the port of an operator, from the twin of Access."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.unit.payments.conftest import CONSUMER, NOW, OPERATOR, Clock

from tessera.payments.ports import OrderProof, ProofResult, RightView
from tessera.payments.rights import SignedUse
from tessera.spec.access import AccessModel, Kind, Product, Scope, access_domain, use_digest
from tessera.spec.signatures import Address, Signer, keccak, recover

CHAIN_ID = 31_337
ACCESS = Address(keccak(b"access")[12:])
DAY = 86_400


class WrittenOrders:
    """One product whose orders a test makes, and whose proofs the twin judges."""

    def __init__(
        self, clock: Clock, *, asset: int = 7, kind: Kind = Kind.COUNT, per_unit: int = 10
    ) -> None:
        self.clock = clock
        self.asset = asset
        self.scope, self.newest_version = Scope.INFERENCE, 0
        terms = Product(OPERATOR.address, kind, 5, per_unit, 1_000, 0, DAY, 0)
        self.model = AccessModel(terms)
        self.reads = 0
        self.proofs: list[Sequence[OrderProof]] = []
        self.fails: list[Exception] = []

    def order(self, units: int = 1, owner: Signer = CONSUMER) -> int:
        return self.model.buy_and_redeem(owner.address, units, owner.address, int(self.clock()))[1]

    async def read_order(self, access: Address, order: int) -> RightView | None:
        self.reads += 1
        await asyncio.sleep(0)
        if self.fails:
            raise self.fails.pop(0)
        row = self.model.orders.get(order)
        if access != ACCESS or row is None:
            return None
        return RightView(
            asset=self.asset,
            scope=self.scope,
            newest_version=self.newest_version,
            price=self.model.product.price,
            owner=row.owner,
            renter=row.renter,
            rented_until=row.rented_until,
            ordered_at=row.ordered_at,
            serve_window=self.model.product.serve_window,
            valid_until=self.model.valid_until(order),
            calls=self.model.calls_of(order),
            proved=row.proved,
            void=row.void,
        )

    async def prove(self, access: Address, proofs: Sequence[OrderProof]) -> ProofResult:
        if self.fails:
            raise self.fails.pop(0)
        self.proofs.append(proofs)
        domain = access_domain(CHAIN_ID, access)
        signed = []
        for proof in proofs:
            digest = use_digest(domain, proof.order, proof.call, proof.request, proof.deadline)
            signed.append((proof.order, recover(digest, proof.signature)))
        before = {number for number, row in self.model.orders.items() if row.proved}
        self.model.prove(OPERATOR.address, signed, int(self.clock()))
        now = {number for number, row in self.model.orders.items() if row.proved}
        return ProofResult("0x" + "ab" * 32, tuple(sorted(now - before)), 5 * len(now - before))


def signed_use(
    order: int,
    name: str,
    *,
    signer: Signer = CONSUMER,
    body: bytes = keccak(b"body"),
    deadline: int = NOW + 300,
    use: Scope = Scope.INFERENCE,
) -> SignedUse:
    """Sign a request as an order's user does."""
    domain = access_domain(CHAIN_ID, ACCESS)
    digest = use_digest(domain, order, bytes.fromhex(name), body, deadline)
    return SignedUse(ACCESS, order, name, body, deadline, signer.sign(digest), use)
