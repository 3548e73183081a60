"""Who pays whom: payers around what they pay, and the rings in which money comes back."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tessera.diligence.charts.drawing import Drawing, figure
from tessera.diligence.wording import value_in
from tessera.errors import InputError

__all__ = ["Payment", "payers"]

_SIZE: Final = 620.0
_WIDTH: Final = 760.0
_CIRCLE: Final = 215.0
_INNER: Final = 70.0
_MOST: Final = 24
_OTHERS: Final = "all others"


@dataclass(frozen=True, slots=True)
class Payment:
    """All that one address paid another.

    Attributes
    ----------
    amount
        More than 0.
    ring
        Number of the ring that it is part of, from 1; None outside of rings.
    """

    source: str
    target: str
    amount: float
    ring: int | None = None


def payers(
    name: str,
    payments: Sequence[Payment],
    *,
    receivers: Collection[str],
    labels: Mapping[str, str] | None = None,
    unit: str = "USD",
    most: int = _MOST,
) -> str:
    """Draw payers on a circle and receivers within it; rings are dashed, marked and numbered.

    Parameters
    ----------
    receivers
        The revenue set: contracts that users pay.
    labels
        What addresses are called.
    most
        Payers drawn one by one: those in rings first, then by amount; the rest is one.

    Raises
    ------
    InputError
        An amount is not above 0 or not finite.
    """
    for each in payments:
        if not 0 < each.amount < math.inf:
            raise InputError("chart", found=each.amount, wanted="an amount above 0")
    known = labels or {}
    ringed = {who for each in payments if each.ring for who in (each.source, each.target)}
    weight: dict[str, float] = {}
    for each in payments:
        for who in (each.source, each.target):
            weight[who] = weight.get(who, 0.0) + each.amount
    ranked = sorted(
        (who for who in weight if who not in receivers),
        key=lambda who: (who not in ringed, -weight[who], who),
    )
    shown, rest = ranked[:most], set(ranked[most:])
    inside = sorted((who for who in weight if who in receivers), key=lambda w: (-weight[w], w))
    merged = _merged(payments, rest)
    outside = [*shown, *([_OTHERS] if rest else [])]
    place = {**_around(outside, _CIRCLE), **_around(inside, _INNER if len(inside) > 1 else 0)}

    def called(who: str) -> str:
        return known.get(who) or (who if len(who) <= 14 else f"{who[:8]}…{who[-4:]}")

    rings = sorted({each.ring for each in payments if each.ring})
    title = "Who pays whom"
    ways = (
        f"{_many(len(rings), 'ring')} in which money comes back, among "
        f"{_many(len(ringed - set(receivers)), 'payer')}"
    )
    told = (
        f"{_many(len(ranked), 'payer')} and {_many(len(inside), 'receiver')}; "
        f"{ways if rings else 'no ring was found'}"
    )
    drawing = Drawing(name, title, told, width=_WIDTH, height=_SIZE)
    heaviest = max(weight.values(), default=1.0)

    def radius(who: str) -> float:
        total = weight.get(who) or sum(weight[each] for each in rest)
        return 5 + 9 * math.sqrt(min(1.0, total / heaviest))

    largest = max((each.amount for each in merged), default=1.0)
    for each in sorted(merged, key=_layer):
        start, end = place[each.source], place[each.target]
        wide = 1 + 5 * math.sqrt(each.amount / largest)
        said = f"{called(each.source)} to {called(each.target)}: {value_in(each.amount, unit)}"
        if each.ring:
            said += f", ring {each.ring}"
        look = "ring" if each.ring else "edge"
        bend = _bend(start, end)
        tip = _short_of(end, bend, radius(each.target) + 2)
        drawing.curve(start, bend, tip, look, wide, said)
        if each.ring:
            drawing.text(
                (start[0] + 2 * bend[0] + end[0]) / 4,
                (start[1] + 2 * bend[1] + end[1]) / 4,
                str(each.ring),
                anchor="middle",
            )
    for who in (*outside, *inside):
        x, y = place[who]
        look = "one" if who in receivers else "three" if who == _OTHERS else "two"
        if who in ringed:
            look += " marked"
        drawing.circle(x, y, radius(who), look, called(who))
        right = x >= _WIDTH / 2
        drawing.text(
            x + (18 if right else -18), y + 4, called(who), anchor="start" if right else "end"
        )
    if not payments:
        drawing.text(_WIDTH / 2, _SIZE / 2, "no payment is known", anchor="middle", look="faint")
    rows = [
        (
            called(each.source),
            called(each.target),
            value_in(each.amount, unit),
            f"ring {each.ring}" if each.ring else "",
        )
        for each in sorted(merged, key=lambda one: (-one.amount, one.source, one.target))
    ]
    return figure(drawing, f"{title}: {told}", ("payer", "receiver", "paid", "ring"), rows)


def _merged(payments: Sequence[Payment], rest: Collection[str]) -> list[Payment]:
    """Put what the rest pays together, and what the same two pay in the same ring."""
    sums: dict[tuple[str, str, int | None], float] = {}
    for each in payments:
        source = _OTHERS if each.source in rest else each.source
        target = _OTHERS if each.target in rest else each.target
        if source == target == _OTHERS:
            continue
        key = (source, target, each.ring)
        sums[key] = sums.get(key, 0.0) + each.amount
    return [Payment(*key[:2], amount, key[2]) for key, amount in sums.items()]


def _many(count: int, one: str) -> str:
    return f"{count} {one}{'' if count == 1 else 's'}"


def _layer(payment: Payment) -> tuple[bool, float, str, str]:
    """Order of drawing: rings last, on top."""
    return payment.ring is not None, payment.amount, payment.source, payment.target


def _around(names: Sequence[str], radius: float) -> dict[str, tuple[float, float]]:
    places = {}
    for number, who in enumerate(names):
        angle = 2 * math.pi * (number + 0.5) / len(names) - math.pi / 2
        places[who] = (
            _WIDTH / 2 + radius * math.cos(angle),
            _SIZE / 2 + radius * 1.15 * math.sin(angle),
        )
    return places


def _bend(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """Bend to the right of the way, so that there and back are two lines."""
    (x1, y1), (x2, y2) = start, end
    if start == end:
        return x1 + 60, y1 - 60
    return (x1 + x2) / 2 - (y2 - y1) * 0.18, (y1 + y2) / 2 + (x2 - x1) * 0.18


def _short_of(
    end: tuple[float, float], bend: tuple[float, float], distance: float
) -> tuple[float, float]:
    """Return the point before `end` on the way from `bend`."""
    length = math.dist(end, bend) or 1.0
    return (
        end[0] + (bend[0] - end[0]) * distance / length,
        end[1] + (bend[1] - end[1]) * distance / length,
    )
