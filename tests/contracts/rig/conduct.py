"""A market whose operator bonds, and a Conduct that it enlisted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rig.bonding import TSR, Bonding, open_bonding
from rig.compiling import compiled
from rig.contract import Contract, deployed
from rig.market import Market, open_market
from rig.people import Person, person
from rig.signing import compact, domain_of, receipt_for, sign_receipt, sign_root
from rig.system import DAY, World, deploy_world
from tessera.spec.conduct import AccusedLine, ConductRules
from tessera.spec.receipt_batches import ReceiptBatch
from tessera.spec.signatures import Domain, address_of
from tessera.spec.vouchers import Receipt as SpecReceipt
from tessera.spec.vouchers import receipt_digest

WINDOW, SLASH_BPS, DEPOSIT = 3 * DAY, 1_000, 10 * TSR
RULES = ConductRules(WINDOW, SLASH_BPS, DEPOSIT)
BONDED = 1_000 * TSR
Receipt = dict[str, Any]


@dataclass
class Court:
    """One operator with a bond of 1,000 TSR, and who accuses it."""

    market: Market
    bonding: Bonding
    conduct: Contract

    @property
    def world(self) -> World:
        return self.market.world

    @property
    def operator(self) -> Person:
        return self.market.operator

    def receipt(self, charged: int, *, channel: int | None = None, terms: int = 1) -> Receipt:
        """Fill a receipt of the market's asset in."""
        number = self.market.channel if channel is None else channel
        return receipt_for(number, self.market.asset, terms, charged, self.world.now)

    def line(self, receipt: Receipt) -> AccusedLine:
        """Return the line that a receipt is about."""
        operator = address_of(self.operator.address)
        return AccusedLine(operator, receipt["channel"], receipt["asset"], receipt["terms"])

    def accuse(self, receipt: Receipt, *, by: Person, signer: Person | None = None) -> bytes:
        """Show a receipt; the case."""
        signed = sign_receipt(signer or self.operator, domain_of(self.market.channels), receipt)
        return self._shown(receipt, [], compact(*signed), by)

    def accuse_in_batch(self, receipts: Sequence[Receipt], *, by: Person) -> bytes:
        """Show the last of some receipts that were signed together."""
        where = domain_of(self.market.channels)
        domain = Domain(where["chainId"], address_of(where["verifyingContract"]))
        batch = ReceiptBatch(
            domain, [receipt_digest(domain, SpecReceipt(**each)) for each in receipts]
        )
        signed = sign_root(self.operator, where, batch.root)
        shown = receipts[-1]
        proof = batch.proof(receipt_digest(domain, SpecReceipt(**shown)))
        return self._shown(shown, proof, compact(*signed), by)

    def _shown(
        self, receipt: Receipt, proof: Sequence[bytes], signature: tuple[int, int], by: Person
    ) -> bytes:
        arguments = (self.operator.address, tuple(receipt.values()), list(proof), *signature)
        case = self.conduct("accuse", *arguments, by=by.address)
        assert isinstance(case, bytes)
        return case

    def settle(self, charged: int, *, terms: int = 1) -> int:
        """Let the operator settle what a voucher covers."""
        line = self.market.line(charged, terms=terms)
        return self.market.settle((self.market.channel, line, self.market.sign(line)))

    def accuser(self, role: str = "challenger") -> Person:
        """Fund somebody who may accuse ten times."""
        who = person(role)
        self.bonding.fund(who, 10 * DEPOSIT)
        self.bonding.token("approve", self.conduct, 2**256 - 1, by=who.address)
        return who


def open_court(*, enlisted: bool = True, rules: ConductRules = RULES) -> Court:
    """Deploy everything; the operator enlists Conduct and bonds."""
    market = open_market(deploy_world())
    bonding = open_bonding(world=market.world, slashers=0)
    conduct = deployed(
        market.world.engine, compiled("Conduct"), bonding.bond, market.channels,
        rules.window, rules.slash_bps, rules.deposit, by=market.world.owner.address,
    )  # fmt: skip
    if enlisted:
        bonding.bond("enlist", conduct, by=market.operator.address)
    bonding.stake(market.operator, market.operator, BONDED)
    return Court(market, bonding, conduct)
