"""A second set of books: every Transfer event of every token, and nothing else.

What it says is compared with what the contracts say: after each step for every account that a
transaction touched, and from time to time for all accounts there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from eth_utils.crypto import keccak

from bench.simulation.evm import NOBODY, Contract, Log
from tessera.errors import InvariantViolation

_TRANSFER = keccak(text="Transfer(address,address,uint256)")
_LIQUIDITY = keccak(text="Transfer(address,address,address,uint256,uint256)")


class Ledger:
    """Balances by token and account, as the events tell them.

    A token is its contract's address; a pool's liquidity has the name of its number at the
    Exchange, and what a pool burns at its opening is the zero address's own.
    """

    def __init__(self, exchange: Contract) -> None:
        self._exchange = exchange
        self.tokens: dict[str, Contract] = {}
        self.pools: dict[str, int] = {}
        self.balances: dict[str, defaultdict[str, int]] = {}
        self.supply: defaultdict[str, int] = defaultdict(int)
        self._touched: dict[tuple[str, str], None] = {}
        self.compared = 0

    def follow(self, token: Contract) -> None:
        """Keep books of one more token, from its beginning on."""
        self.tokens[token.address] = token
        self.balances[token.address] = defaultdict(int)

    def of(self, token: Contract | str, account: str) -> int:
        """Balance of an account."""
        return self.balances[token if isinstance(token, str) else token.address][account]

    def holders(self, token: Contract | str) -> list[str]:
        """Accounts that have some of a token, in the order in which they came."""
        book = self.balances[token if isinstance(token, str) else token.address]
        return [account for account, held in book.items() if held]

    def liquidity(self, token: Contract) -> str:
        """Name of the liquidity of a token's pool."""
        return f"liquidity of {token.address}"

    def apply(self, logs: Iterable[Log]) -> None:
        """Write the transfers of one transaction down."""
        for log in logs:
            if log.topics[0] == _TRANSFER and log.address in self.tokens:
                sender, receiver = (_address(topic) for topic in log.topics[1:3])
                amount = int.from_bytes(log.data[:32], "big")
                self._move(log.address, sender, receiver, amount)
            elif log.topics[0] == _LIQUIDITY and log.address == self._exchange.address:
                sender, receiver = (_address(topic) for topic in log.topics[1:3])
                number = int.from_bytes(log.topics[3], "big")
                name = f"liquidity of 0x{number:040x}"
                if name not in self.balances:
                    self.balances[name] = defaultdict(int)
                    self.pools[name] = number
                amount = int.from_bytes(log.data[32:64], "big")
                self._move(name, sender, receiver, amount)

    def _move(self, token: str, sender: str, receiver: str, amount: int) -> None:
        book = self.balances[token]
        burnt = token in self.pools and sender == receiver == NOBODY
        if sender == NOBODY:
            self.supply[token] += amount
        else:
            book[sender] -= amount
            self._touched[token, sender] = None
            if book[sender] < 0:
                raise InvariantViolation(
                    f"conserved: {token} of {sender}",
                    found=book[sender],
                    wanted="no transfer of more than an account has",
                )
        if receiver == NOBODY and not burnt:
            self.supply[token] -= amount
        else:
            book[receiver] += amount
            if receiver != NOBODY:
                self._touched[token, receiver] = None

    def check_touched(self) -> None:
        """Compare every account that moved since the last time.

        Raises
        ------
        InvariantViolation
            A contract has another balance than its events tell.
        """
        for token, account in self._touched:
            self._compare(token, account)
        self._touched.clear()

    def check_all(self) -> None:
        """Compare every account of every token, and the sums with the supplies.

        Raises
        ------
        InvariantViolation
            As `check_touched`; or balances that do not add up to the supply.
        """
        for token, book in self.balances.items():
            for account in book:
                if account != NOBODY:
                    self._compare(token, account)
            total = sum(book.values())
            if token in self.pools:
                supply = self._exchange.read("liquidity_of", token.removeprefix("liquidity of "))
            else:
                supply = self.tokens[token].read("totalSupply")
            if not total == self.supply[token] == supply:
                raise InvariantViolation(
                    f"conserved: all balances of {token}",
                    found=total,
                    wanted=f"the supply, {supply}, which the events say is {self.supply[token]}",
                )

    def _compare(self, token: str, account: str) -> None:
        self.compared += 1
        if token in self.pools:
            found = self._exchange.read("balanceOf", account, self.pools[token])
        else:
            found = self.tokens[token].read("balanceOf", account)
        if found != self.balances[token][account]:
            raise InvariantViolation(
                f"conserved: {token} of {account}",
                found=found,
                wanted=f"{self.balances[token][account]}, as the Transfer events tell",
            )


def _address(topic: bytes) -> str:
    return "0x" + topic[12:].hex()
