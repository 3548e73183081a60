"""What the Transfer events of every token add up to: a ledger that believes no contract."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from eth_utils import keccak

from rig.contract import NOBODY
from rig.engines import Log

_TRANSFER = keccak(text="Transfer(address,address,uint256)")
_LIQUIDITY = keccak(text="Transfer(address,address,address,uint256,uint256)")


class Sums:
    """Balances by token and account, and how much ever went from whom to whom.

    The liquidity of a pool has the name of its number: `liquidity 0x..`.
    """

    def __init__(self) -> None:
        self.of: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.supply: Counter[str] = Counter()
        self.went: Counter[tuple[str, str, str]] = Counter()
        self.touched: set[tuple[str, str]] = set()

    def apply(self, logs: Iterable[Log]) -> None:
        """Add the transfers of one transaction up."""
        for log in logs:
            if log.topics[0] == _TRANSFER and len(log.topics) == 3:
                token, data = log.address, log.data[:32]
            elif log.topics[0] == _LIQUIDITY:
                token, data = f"liquidity 0x{log.topics[3][12:].hex()}", log.data[32:64]
            else:
                continue
            sender, receiver = ("0x" + topic[12:].hex() for topic in log.topics[1:3])
            self._move(token, sender, receiver, int.from_bytes(data, "big"))

    def _move(self, token: str, sender: str, receiver: str, amount: int) -> None:
        self.went[token, sender, receiver] += amount
        self.touched |= {(token, sender), (token, receiver)}
        if sender == NOBODY:
            self.supply[token] += amount
        else:
            self.of[token][sender] -= amount
            assert self.of[token][sender] >= 0, "more was sent than there was"
        if receiver == NOBODY and sender != NOBODY:
            self.supply[token] -= amount
        else:
            self.of[token][receiver] += amount
