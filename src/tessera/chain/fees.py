"""What a transaction offers for gas (EIP-1559), and how much more when it is not taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tessera.chain.jsonrpc import RpcRefused
from tessera.chain.reader import ChainReader

__all__ = ["FeeOracle", "Fees"]

_FRESH_S: Final = 2.0
_DEFAULT_TIP: Final = 1_000_000_000
# Nodes replace a waiting transaction only for at least 10 % more; some ask for 12.5 %.
_RAISE_NUMERATOR, _RAISE_DENOMINATOR = 9, 8


@dataclass(frozen=True, slots=True)
class Fees:
    """Wei per gas: the most that is paid in all, and the part of it for whoever makes the block."""

    max_fee: int
    max_priority_fee: int

    def raised_ceil(self, suggested: Fees) -> Fees:
        """Return fees that replace these: 12.5 % more, rounded up, or what is asked for now."""
        return Fees(
            max(_raised(self.max_fee), suggested.max_fee),
            max(_raised(self.max_priority_fee), suggested.max_priority_fee),
        )

    def at_most(self, ceiling: int | None) -> Fees:
        """Return the fees, none above a ceiling; None for no limit."""
        if ceiling is None:
            return self
        return Fees(min(self.max_fee, ceiling), min(self.max_priority_fee, ceiling))


class FeeOracle:
    """Suggests fees from the chain's last block.

    Parameters
    ----------
    reader
        Of the chain.
    ceiling
        Wei per gas that is never exceeded; None for no limit.
    clock
        Monotonic seconds: a suggestion is used for two of them.
    """

    def __init__(
        self,
        reader: ChainReader,
        *,
        ceiling: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._ceiling = ceiling
        self._clock = clock
        self._fees: Fees | None = None
        self._until = 0.0

    async def suggest(self) -> Fees:
        """Return fees with room for the base fee to double, which takes six full blocks."""
        if self._fees is None or self._clock() >= self._until:
            base_fee = (await self._reader.block("latest")).base_fee
            try:
                tip = int(await self._reader.rpc.call("eth_maxPriorityFeePerGas"), 16)
            except RpcRefused:
                # Not every node has that method.
                tip = _DEFAULT_TIP
            self._fees = Fees(2 * base_fee + tip, tip)
            self._until = self._clock() + _FRESH_S
        return self.bounded(self._fees)

    def bounded(self, fees: Fees) -> Fees:
        """Return the fees, none above the ceiling."""
        return fees.at_most(self._ceiling)


def _raised(amount: int) -> int:
    return -(-amount * _RAISE_NUMERATOR // _RAISE_DENOMINATOR) + 1
