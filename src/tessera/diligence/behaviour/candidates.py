"""Words worth trying in a place that nobody observed, and in an argument."""

from __future__ import annotations

from collections.abc import Sequence

from tessera.diligence.behaviour.origins import CODE, TIME, WORD, Field, Origin
from tessera.diligence.behaviour.scripts import FUND, SELF, UNIT

__all__ = ["ADDRESS", "argument_words", "slot_words"]

ADDRESS = (1 << 160) - 1
_DAY_S = 86_400
_MOST_WORDS = 8


def slot_words(
    found: Field, origin: Origin, *, entry: bool, stranger: int, now: int, total: int
) -> list[int]:
    """Words for a field of storage, the likeliest first.

    Parameters
    ----------
    origin
        Of the condition that refused: it is looked at for what the field was held against.
    entry
        Whether a mapping keeps the field for an account; then `SELF`, its weight, comes first.
    stranger
        Address of a contract that may stand there.
    now
        Time of the head, unix seconds.
    total
        What all holders have together, base units.
    """
    words: list[int] = [SELF] if entry and found.mask > ADDRESS >> 64 else []
    wanted = _held_against(found, origin)
    # A number that is held against a number is no address, however the branch came about.
    if found.mask == ADDRESS or (CODE in origin.sources and not wanted):
        words.append(stranger)
    words += wanted
    if found.mask in (1, 0xFF):
        words += [1, 2, 0]
    if TIME in origin.sources:
        words += [now - _DAY_S, now + 365 * _DAY_S]
    words += [total, 1, UNIT, FUND, now, found.mask]
    return _distinct(words, found.mask)


def argument_words(
    found: Field, origin: Origin, kind: str, *, stranger: int, outsider: int, money: int
) -> list[int]:
    """Words for an argument of type `kind`; `money` is an amount that everybody has."""
    if kind == "address":
        return [stranger, outsider]
    if kind.startswith(("uint", "int")):
        return _distinct([*_held_against(found, origin), money, 0, 1, FUND], WORD)
    if kind == "bool":
        return [0, 1]
    return []


def _held_against(found: Field, origin: Origin) -> list[int]:
    """What the comparisons of a branch hold `found` against, and its neighbours."""
    words: list[int] = []
    for comparison in origin.comparisons:
        for _, side, other in comparison.sides():
            if side is not None and side.exact is not None and side.exact.place == found.place:
                words += [other, other + 1, other - 1]
    return words


def _distinct(words: Sequence[int], most: int) -> list[int]:
    kept: list[int] = []
    for word in words:
        if word not in kept and (word == SELF or 0 <= word <= most):
            kept.append(word)
    return kept[:_MOST_WORDS]
