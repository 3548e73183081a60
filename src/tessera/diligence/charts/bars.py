"""Charts made of bars: revenue by month, holders, unlocks and the age of coins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tessera.diligence.charts.drawing import Drawing, figure, nice_step
from tessera.diligence.wording import value_in
from tessera.errors import InputError

__all__ = ["Series", "ages", "holders", "revenue", "unlocks"]

_LOOKS: Final = ("one", "two", "three")
_WIDTH: Final = 720.0
_HEIGHT: Final = 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 76.0, 12.0, 34.0, 30.0
_ROW: Final = 22.0
_BESIDE: Final = 150.0
"""Pixels beside the longest bar, for its share and class."""

_ORDINARY: Final = frozenset({"", "wallet", "unseen"})
"""Classes of holders of whom nothing special is known."""

_LEAST_VISIBLE: Final = 0.8
_LABEL_PIXELS: Final = 64.0


@dataclass(frozen=True, slots=True)
class Series:
    """A row of bars.

    Attributes
    ----------
    values
        One per label, 0 or more; None where it is not known.
    """

    name: str
    values: Sequence[float | None]


def revenue(
    name: str,
    months: Sequence[str],
    gross: Sequence[float | None],
    clean: Sequence[float | None],
    *,
    unit: str = "USD",
) -> str:
    """Draw gross and clean fees by month, side by side.

    Raises
    ------
    InputError
        The lists are of different lengths, or a number is negative or not finite.
    """
    return _columns(
        name,
        "Fees by month, all and clean",
        "month",
        months,
        (Series("all fees", gross), Series("without circular, team's and refunded", clean)),
        unit,
    )


def unlocks(
    name: str,
    months: Sequence[str],
    insiders: Sequence[float | None],
    others: Sequence[float | None],
    *,
    limit: float = 0.2,
) -> str:
    """Draw which share of what circulates is unlocked in each month, insiders' at the bottom.

    Raises
    ------
    InputError
        As `revenue`.
    """
    return _columns(
        name,
        "Unlocks by month, as a share of what circulates",
        "month",
        months,
        (Series("insiders", insiders), Series("others", others)),
        "share",
        stacked=True,
        limit=limit,
    )


def ages(name: str, bands: Sequence[str], shares: Sequence[float | None]) -> str:
    """Draw which share of the supply has lain still for how long.

    Raises
    ------
    InputError
        As `revenue`.
    """
    return _columns(
        name,
        "How long coins have lain where they are",
        "age",
        bands,
        (Series("share of the supply", shares),),
        "share",
    )


def holders(name: str, rows: Sequence[tuple[str, str, float]], *, others: float = 0.0) -> str:
    """Draw the largest holders' shares, largest first.

    Parameters
    ----------
    rows
        Label or address, class ("exchange", "team", ...), share from 0 to 1.
    others
        What all further holders have together.

    Raises
    ------
    InputError
        A share is negative or not finite.
    """
    listed = [*rows, *([("all others", "", others)] if others > 0 else [])]
    for _, _, share in listed:
        _checked(share)
    most = max((share for _, _, share in listed), default=0.0)
    told = "; ".join(
        f"{label}: {value_in(float(share), 'share')}" for label, _, share in listed[:10]
    )
    height = _ROW * max(1, len(listed)) + 6
    drawing = Drawing(
        name, "Largest holders outside custody", told or "no holder", width=_WIDTH, height=height
    )
    left, room = 250.0, _WIDTH - 250.0 - _BESIDE
    for number, (label, kind, share) in enumerate(listed):
        y = number * _ROW
        shown = value_in(float(share), "share")
        drawing.text(left - 8, y + 14, _short(label), anchor="end")
        width = max(_LEAST_VISIBLE, share / most * room) if share > 0 else 0
        look = "one" if kind in _ORDINARY else "two"
        if number == len(rows):
            look = "three"
        drawing.rectangle(left, y + 3, width, _ROW - 6, look, f"{label}: {shown}")
        drawing.text(left + width + 6, y + 14, f"{shown} {kind}".rstrip())
    if not listed:
        drawing.text(left, 14, "nothing is known of the holders", look="faint")
    table = [(label, kind, value_in(float(share), "share")) for label, kind, share in listed]
    return figure(drawing, "Largest holders outside custody", ("holder", "class", "share"), table)


def _columns(
    name: str,
    title: str,
    first: str,
    labels: Sequence[str],
    series: Sequence[Series],
    unit: str,
    *,
    stacked: bool = False,
    limit: float | None = None,
) -> str:
    for each in series:
        if len(each.values) != len(labels):
            raise InputError(
                f"chart {name}: {each.name}",
                found=f"{len(each.values)} values",
                wanted=f"{len(labels)}, one for each label",
            )
        for value in each.values:
            _checked(value)
    totals = [
        sum(value or 0 for value in values) if stacked else max(value or 0 for value in values)
        for values in zip(*(each.values for each in series), strict=True)
    ]
    most = max([*totals, limit or 0], default=0)
    step = nice_step(float(most))
    top = max(step, math.ceil(most / step - 1e-9) * step)
    drawing = Drawing(name, title, _told(labels, series, unit), width=_WIDTH, height=_HEIGHT)
    floor, room = _HEIGHT - _BOTTOM, _HEIGHT - _BOTTOM - _TOP

    def height(value: float) -> float:
        return float(value) / top * room

    for line in range(round(top / step) + 1):
        y = floor - height(line * step)
        drawing.line(_LEFT, y, _WIDTH - _RIGHT, y)
        drawing.text(_LEFT - 6, y + 4, value_in(line * step, unit), anchor="end", look="faint")
    _legend(drawing, series)
    slot = (_WIDTH - _LEFT - _RIGHT) / max(1, len(labels))
    every = max(1, math.ceil(_LABEL_PIXELS / slot))
    bars = 1 if stacked else len(series)
    width = slot * 0.8 / bars
    for number, label in enumerate(labels):
        left, base = _LEFT + number * slot + slot * 0.1, floor
        if number % every == 0:
            drawing.text(left + slot * 0.4, floor + 18, label, anchor="middle", look="faint")
        for place, each in enumerate(series):
            value = each.values[number]
            x = left + (0 if stacked else place * width)
            if value is None:
                drawing.text(x + width / 2, base - 4, "?", anchor="middle")
                continue
            tall = max(_LEAST_VISIBLE, height(value)) if value else 0
            hint = f"{label}, {each.name}: {value_in(value, unit)}"
            drawing.rectangle(x, base - tall, width - 1, tall, _LOOKS[place], hint)
            base -= tall if stacked else 0
    if limit is not None:
        y = floor - height(limit)
        drawing.line(_LEFT, y, _WIDTH - _RIGHT, y, "limit")
        drawing.text(_WIDTH - _RIGHT, y - 4, f"limit {value_in(limit, unit)}", anchor="end")
    if not labels:
        drawing.text(_WIDTH / 2, _HEIGHT / 2, "nothing is known", anchor="middle", look="faint")
    table = [
        (label, *("unknown" if v is None else value_in(v, unit) for v in values))
        for label, *values in zip(labels, *(each.values for each in series), strict=True)
    ]
    return figure(drawing, title, (first, *(each.name for each in series)), table)


def _legend(drawing: Drawing, series: Sequence[Series]) -> None:
    x = _LEFT
    for place, each in enumerate(series):
        drawing.rectangle(x, 8, 12, 12, _LOOKS[place])
        drawing.text(x + 18, 18, each.name)
        x += 18 + 7 * len(each.name) + 24


def _told(labels: Sequence[str], series: Sequence[Series], unit: str) -> str:
    """Say in a sentence what there is to see."""
    said = []
    for each in series:
        known = [(v, label) for v, label in zip(each.values, labels, strict=True) if v is not None]
        if not known:
            said.append(f"{each.name}: nothing is known")
            continue
        highest, when = max(known, key=lambda pair: pair[0])
        latest, last = known[-1]
        said.append(
            f"{each.name}: {value_in(latest, unit)} at {last}, at most {value_in(highest, unit)} "
            f"at {when}, {len(each.values) - len(known)} unknown"
        )
    return "; ".join(said)


def _checked(value: float | None) -> float | None:
    if value is not None and not (value >= 0 and value < math.inf):
        raise InputError("chart", found=value, wanted="a number that is 0 or more")
    return value


def _short(label: str, most: int = 30) -> str:
    return label if len(label) <= most else f"{label[: most - 9]}…{label[-8:]}"
