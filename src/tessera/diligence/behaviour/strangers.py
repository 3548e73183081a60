"""Contracts that were not observed, simulated: a currency, a voting escrow, or a silent answer.

A stranger pays out and takes in as a plain ERC-20, and tells holders' weights where it is asked for
votes, so a distributor can be tried without the token it distributes. What it cannot know it
answers with a word that the search may choose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tessera.diligence.behaviour.world import World
from tessera.spec.signatures import keccak

__all__ = ["PLENTY", "Strangers", "understood"]

# What anybody but a contract on trial owns of each strange currency, in base units.
PLENTY = 10**30
_ANSWER_WORDS = 8
_LONG_AGO = 86_400 * 20
_LOCKED_FOR = 86_400 * 365


def _selector(signature: str) -> int:
    return int.from_bytes(keccak(signature.encode())[:4], "big")


def _words(data: bytes) -> list[int]:
    return [
        int.from_bytes(data[at : at + 32].ljust(32, b"\x00"), "big")
        for at in range(4, len(data), 32)
    ]


_PAYING = {
    _selector("transfer(address,uint256)"): 0,
    _selector("transferFrom(address,address,uint256)"): 1,
}
_APPROVALS = {
    _selector("approve(address,uint256)"),
    _selector("increaseAllowance(address,uint256)"),
    _selector("checkpoint()"),
}
_BALANCE = _selector("balanceOf(address)")
_ALLOWANCE = _selector("allowance(address,address)")
_DECIMALS = _selector("decimals()")
_TOTALS = {
    _selector(signature)
    for signature in (
        "totalSupply()",
        "totalSupply(uint256)",
        "totalSupplyAt(uint256)",
        "getPastTotalSupply(uint256)",
        "getTotalVotes(uint256)",
    )
}
_WEIGHTS = {
    _selector(signature)
    for signature in (
        "balanceOf(address,uint256)",
        "balanceOfAt(address,uint256)",
        "getVotes(address)",
        "getPastVotes(address,uint256)",
        "getCurrentVotes(address)",
        "getPriorVotes(address,uint256)",
    )
}
# A voting escrow as Curve's: points of (bias, slope, time, block).
_ESCROW_ONES = {_selector("epoch()"), _selector("user_point_epoch(address)")}
_TOTAL_POINT = _selector("point_history(uint256)")
_USER_POINT = _selector("user_point_history(address,uint256)")
_USER_POINT_TIME = _selector("user_point_history__ts(address,uint256)")
_LOCKED_END = _selector("locked__end(address)")


_UNDERSTOOD = frozenset(
    {
        *_PAYING,
        *_APPROVALS,
        *_TOTALS,
        *_WEIGHTS,
        *_ESCROW_ONES,
        _BALANCE,
        _ALLOWANCE,
        _DECIMALS,
        _TOTAL_POINT,
        _USER_POINT,
        _USER_POINT_TIME,
        _LOCKED_END,
    }
)


def understood(selector: bytes) -> bool:
    """Whether a stranger has an answer of its own; where not, the search chooses the word."""
    return int.from_bytes(selector, "big") in _UNDERSTOOD


class Strangers:
    """All unobserved contracts of one sandbox.

    Parameters
    ----------
    world
        Where balances live, so that a revert undoes them.
    started
        Time of the head, unix seconds: when votes were locked is told from it.
    """

    def __init__(self, world: World, started: int) -> None:
        self._world = world
        self._started = started
        self.weights: Mapping[int, int] = {}
        self.poor: set[bytes] = set()  # contracts on trial: they own what they were sent

    def balance(self, currency: bytes, holder: bytes) -> int:
        """Base units of `currency` at `holder`."""
        untouched = self.weights.get(int.from_bytes(holder, "big"))
        if untouched is None:
            untouched = 0 if holder in self.poor else PLENTY
        return int(self._world.get(("currency", currency, holder), untouched))

    def credit(self, currency: bytes, holder: bytes, amount: int) -> None:
        """Give `holder` base units from nowhere."""
        self._world.put(("currency", currency, holder), self.balance(currency, holder) + amount)

    def move(self, currency: bytes, source: bytes, target: bytes, amount: int) -> bool:
        """Transfer; False where `source` does not have it."""
        if self.balance(currency, source) < amount:
            return False
        self.credit(currency, source, -amount)
        self.credit(currency, target, amount)
        return True

    def answer(
        self, currency: bytes, caller: bytes, data: bytes, chosen: Callable[[int], int]
    ) -> bytes | None:
        """What a stranger returns; None where it reverts.

        Parameters
        ----------
        chosen
            Gives the word for a selector that no stranger is known to have.
        """
        selector = int.from_bytes(data[:4], "big")
        words = _words(data)
        if selector in _PAYING and len(words) >= 2 + _PAYING[selector]:
            source = words[0].to_bytes(32, "big")[12:] if _PAYING[selector] else caller
            target = words[_PAYING[selector]].to_bytes(32, "big")[12:]
            paid = self.move(currency, source, target, words[_PAYING[selector] + 1])
            return _packed(1) if paid else None
        return _packed(*self._known(currency, selector, words, chosen))

    def _known(
        self, currency: bytes, selector: int, words: list[int], chosen: Callable[[int], int]
    ) -> tuple[int, ...]:
        total = sum(self.weights.values())
        weight = self.weights.get(words[0], 0) if words else 0
        since = self._started - _LONG_AGO
        if selector == _BALANCE and words:
            return (self.balance(currency, words[0].to_bytes(32, "big")[12:]),)
        if selector == _ALLOWANCE:
            return (2**255,)
        if selector == _DECIMALS:
            return (18,)
        if selector in _TOTALS:
            return (total,)
        if selector in _WEIGHTS:
            return (weight,)
        if selector in _ESCROW_ONES:
            return (1 if not words or weight else 0,)
        if selector == _TOTAL_POINT and words:
            return (total, 0, since, 1) if words[0] == 1 else (0, 0, since - 1, 1)
        if selector == _USER_POINT and len(words) > 1:
            return (weight, 0, since, 1) if words[1] == 1 else (0, 0, 0, 0)
        if selector == _USER_POINT_TIME:
            return (since,)
        if selector == _LOCKED_END:
            return (self._started + _LOCKED_FOR,)
        if selector in _APPROVALS:
            return (1,)
        return (chosen(selector) or weight,)


def _packed(*words: int) -> bytes:
    """`words`, padded: a caller that expects more is not refused for the length."""
    padded = words + (0,) * (_ANSWER_WORDS - len(words))
    return b"".join(word.to_bytes(32, "big") for word in padded)
