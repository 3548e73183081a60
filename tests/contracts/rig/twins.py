"""A contract and its twin, asked the same: they answer the same, or refuse with the same words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rig.contract import refused
from rig.people import Person, key_of
from tessera.errors import TransactionReverted
from tessera.spec.merkle import AllowList

Answer = TypeVar("Answer")


def both(model: Callable[[], Answer], contract: Callable[[], Answer]) -> Answer | None:
    """Ask both, the model first; None where they refused."""
    try:
        expected = model()
    except TransactionReverted as error:
        with refused(error.reason):
            contract()
        return None
    assert contract() == expected
    return expected


def shown_by(
    allowed: AllowList | None, buyer: Person, *, instead: Person
) -> tuple[int, list[bytes]]:
    """Return the best that a buyer can show a sale: somebody else's leaf, if not listed."""
    if allowed is None:
        return 0, []
    key = key_of(buyer)
    most, proof = allowed.proof(key if key in allowed.parts else key_of(instead))
    return most, list(proof)
