"""The one test dollar that everybody is paid in, ours and the peers."""

from __future__ import annotations

from dataclasses import dataclass

from eth_account.signers.local import LocalAccount

from bench.gas.chain import Chain, Code, Contract, account

UNIT = 10**6
_DECIMALS = 6
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


def mint(chain: Chain, code: Code) -> Dollar:
    """Deploy Tessera's test dollar and fill the bank from its faucet."""
    bank = account("bank")
    contract = chain.deploy(bank, code, _DECIMALS, _STOCK)
    chain.transact(bank, contract, "faucet", _STOCK)
    return Dollar(chain, contract, bank)
