"""`Conduct.vy` again in plain Python: accusations by receipt, and how they end.

Charged and settled are base units of the currency, deposits base units of the network token, times
unix seconds. What the contract refuses the model refuses with the same words. Held against the
contract by the machine `ConductPromises`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final, NamedTuple

from tessera.errors import TransactionReverted
from tessera.spec.bond import BondModel
from tessera.spec.signatures import Address, keccak
from tessera.units import BPS

__all__ = ["Accusation", "AccusedLine", "ConductModel", "ConductRules"]

_NOBODY: Final = Address(bytes(20))


@dataclass(frozen=True, slots=True)
class ConductRules:
    """Of a deployment.

    Attributes
    ----------
    window
        Seconds in which an accused line can be settled.
    slash_bps
        The part of all that is slashable which a conviction takes.
    deposit
        Network tokens that an accusation costs if the line is settled.
    """

    window: int
    slash_bps: int
    deposit: int


class AccusedLine(NamedTuple):
    """A line of an operator's channel."""

    operator: Address
    channel: int
    asset: int
    terms: int

    def key(self) -> bytes:
        """Hash it as the contract does."""
        words = (self.channel, self.asset, self.terms)
        return keccak(
            bytes(12) + self.operator + b"".join(each.to_bytes(32, "big") for each in words)
        )

    def case(self, charged: int) -> bytes:
        """Name the case that a receipt makes."""
        return keccak(self.key() + charged.to_bytes(32, "big"))


@dataclass(frozen=True, slots=True)
class Accusation:
    """An open case: until `until` it is a matter of settling only."""

    line: AccusedLine
    charged: int
    evidence: bytes
    accuser: Address
    until: int


class ConductModel:
    """All accusations of a deployment.

    Parameters
    ----------
    bond
        Where the operators' bonds are.
    me
        The contract's address, as which it slashes.
    rules
        Of the deployment.

    Attributes
    ----------
    cases
        What is open.
    convicted
        Lines that cost their operator a part of its bond.
    credit
        Deposits that are over, by account.
    """

    def __init__(self, bond: BondModel, me: Address, rules: ConductRules) -> None:
        self.bond, self.me, self.rules = bond, me, rules
        self.cases: dict[bytes, Accusation] = {}
        self.convicted: set[AccusedLine] = set()
        self.credit: defaultdict[Address, int] = defaultdict(int)

    @property
    def obligations(self) -> int:
        """All network tokens that are somebody's."""
        return sum(self.credit.values()) + len(self.cases) * self.rules.deposit

    def accuse(
        self,
        accuser: Address,
        line: AccusedLine,
        charged: int,
        now: int,
        *,
        evidence: bytes,
        signer: Address,
        payer: Address,
        settled: int,
    ) -> bytes:
        """Show a receipt above what was settled; return the case.

        Parameters
        ----------
        signer
            Whoever signed the receipt.
        payer
            The channel's; nobody where there is no such channel.
        settled
            On the line, by now.
        """
        if signer != line.operator or signer == _NOBODY:
            raise _refused("receipt not signed by the operator")
        if payer == _NOBODY:
            raise _refused("no such channel")
        if settled >= charged:
            raise _refused("it is settled")
        if line in self.convicted:
            raise _refused("the line was convicted")
        case = line.case(charged)
        if case in self.cases:
            raise _refused("accused already")
        self.bond.freeze(self.me, line.operator, case, now)
        until = now + self.rules.window
        self.cases[case] = Accusation(line, charged, evidence, accuser, until)
        return case

    def acquit(self, case: bytes, *, settled: int) -> None:
        """End a case whose line was settled; the deposit is the operator's."""
        accusation = self._open(case)
        if settled < accusation.charged:
            raise _refused("it is not settled")
        self._close(case, accusation.line.operator)

    def convict(self, case: bytes, now: int, *, settled: int) -> int:
        """Slash the operator of a line that is still behind; return what was taken."""
        accusation = self._open(case)
        if now < accusation.until:
            raise _refused("it may still be settled")
        if settled >= accusation.charged:
            raise _refused("it is settled")
        line, taken = accusation.line, 0
        may = self.bond.may_slash(self.me, line.operator, case, now)
        if line not in self.convicted and may:
            # Rounded down.
            slashable = self.bond.pools[line.operator].slashable()
            taken = self.bond.slash(
                self.me,
                line.operator,
                slashable * self.rules.slash_bps // BPS,
                case,
                accusation.evidence,
                accusation.accuser,
                now,
            ).amount
        self.convicted.add(line)
        self._close(case, accusation.accuser)
        return taken

    def withdraw_credit(self, account: Address) -> int:
        """Pay the deposits of an account that are over."""
        return self.credit.pop(account, 0)

    def _open(self, case: bytes) -> Accusation:
        if case not in self.cases:
            raise _refused("no such case")
        return self.cases[case]

    def _close(self, case: bytes, owner_of_deposit: Address) -> None:
        accusation = self.cases.pop(case)
        self.credit[owner_of_deposit] += self.rules.deposit
        self.bond.unfreeze(self.me, accusation.line.operator, case)


def _refused(reason: str) -> TransactionReverted:
    return TransactionReverted("Conduct", f"conduct: {reason}")
