"""Small tokens for tests of steps 3 and 5: people are numbers, days count from the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tessera.diligence.results import Metric
from tessera.diligence.subject import Subject
from tessera.diligence.view import View
from tessera.facts import Calls, Facts, Head, Row, Transfers
from tessera.facts.memory import Memory

DAY = 86_400
T0 = 1_767_225_600
"""Midnight of 1 January 2026."""

TOKEN = "0x" + "70" * 20
Move = tuple[float, int, int, int]


DEAD = 0xDEAD


def address(number: int) -> str:
    """Of a person; 0 and DEAD are nobody's, and numbers of 160 bits are addresses already."""
    plain = number in {0, DEAD} or number >> 64
    return f"0x{number if plain else number + (1 << 32):040x}"


def history(*moves: Move, token: str = TOKEN, first: int = 0) -> Transfers:
    """Moves of (day, from, to, amount), each a transaction of its own."""
    return Transfers.of(
        token,
        [
            Row(
                1 + int(day * 7200), T0 + int(day * DAY), first + i, first + i,
                address(source), address(target), amount,
            )
            for i, (day, source, target, amount) in enumerate(moves)
        ],
    )  # fmt: skip


def view_of(
    moves: Sequence[Move],
    until: float,
    *,
    labels: Mapping[int, str] | None = None,
    others: Sequence[Transfers] = (),
    calls: Calls | None = None,
    codes: Mapping[int, bytes] | None = None,
    chain_id: int = 31337,
    prices: Path | None = None,
    **about: object,
) -> View:
    """The token of these moves, as of a day."""
    facts = Memory(
        chain_id=chain_id,
        newest=Head(1 + int(until * 7200), T0 + int(until * DAY)),
        held={TOKEN: history(*moves), **{other.token: other for other in others}},
        made=calls,
        codes={address(n): ((1, code),) for n, code in (codes or {}).items()},
    )
    said = {address(n): word for n, word in (labels or {}).items()}
    return View(Facts(facts), Subject(token=TOKEN, labels=said, **about), prices=prices)


def named(metrics: Sequence[Metric]) -> dict[str, Metric]:
    found = {metric.name: metric for metric in metrics}
    assert len(found) == len(metrics)
    return found
