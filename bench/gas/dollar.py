"""The one test dollar that everybody is paid in, ours and the peers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from eth_account.signers.local import LocalAccount

from bench.gas.chain import Chain, Code, Contract, account

UNIT = 10**6
_STOCK = 10**12 * UNIT
_UNLIMITED = 2**256 - 1


@dataclass(frozen=True, slots=True)
class Dollar:
    """A deployed dollar and a bank that has more of it than any bench needs."""

    chain: Chain
    contract: Contract
    bank: LocalAccount

    @property
    def address(self) -> str:
        """Address of the token contract."""
        return self.contract.address

    def give(self, receiver: str, amount: int) -> None:
        """Send an amount, in base units, from the bank."""
        self.chain.transact(self.bank, self.contract, "transfer", receiver, amount)

    def approve(self, owner: LocalAccount, spender: str) -> None:
        """Let a contract take dollars without limit, so that no allowance is written later."""
        self.chain.transact(owner, self.contract, "approve", spender, _UNLIMITED)


def plain_dollar(chain: Chain, code: Code) -> Dollar:
    """Deploy OpenZeppelin's token as the dollar; no measured path asks how many decimals it has."""
    bank = account("bank")
    return Dollar(chain, chain.deploy(bank, code, _STOCK), bank)


DollarMaker = Callable[[Chain], Dollar]
