"""What a report says, as a person reads it: numbers with their units, and strangers' text tamed.

Names, symbols, addresses of pages, authors of commits and reasons come from whoever made the token.
They may hold what moves a terminal's cursor, turns the direction of writing round, or pretends to
be another line: here all of that becomes visible characters. (HTML is the page's own to escape.)
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Final

from tessera.diligence.results import Metric, Severity, Status, Value, Window
from tessera.diligence.thresholds import Limit, Side

__all__ = [
    "legible",
    "shown_bound",
    "shown_moment",
    "shown_severity",
    "shown_tokens",
    "shown_value",
    "shown_window",
    "value_in",
]

_MOST: Final = 200
_MOST_MARKS: Final = 2
_GROUPED_BELOW: Final = 10**15
_PLACES: Final = 4
_ROUND: Final = 1_000
_YEAR_10000: Final = 253_402_300_800


def legible(text: str, most: int = _MOST) -> str:
    """Write a stranger's text so that it is one line, and says what it is made of.

    What is not printable (control and format characters, unpaired surrogates, line breaks) becomes
    its code point, `\\u202e`; of combining marks on one letter, two are kept; beyond `most`
    characters it is cut.
    """
    shown: list[str] = []
    marks = length = 0
    for character in text[: 4 * most]:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks > _MOST_MARKS:
            continue
        if character == " " or (character.isprintable() and character != "\ufeff"):
            piece = character
        else:
            number = ord(character)
            piece = f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
        length += len(piece)
        if length > most:
            return "".join(shown) + "…"
        shown.append(piece)
    return "".join(shown) + ("…" if len(text) > 4 * most else "")


def shown_value(metric: Metric) -> str:
    """Write a metric's value with its unit, or the word of its status."""
    if metric.value is None:
        return {
            Status.UNKNOWN: "unknown",
            Status.NOT_APPLICABLE: "does not apply",
            Status.INSUFFICIENT: "too few facts",
        }[metric.status]
    return value_in(metric.value, metric.unit)


def value_in(value: Value, unit: str) -> str:
    """Write a value in its unit."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return legible(value, 60)
    if unit == "share":
        return f"{_number(value * 100)} %"
    if unit.startswith("USD"):
        return f"${_number(value)}{unit.removeprefix('USD')}"
    if unit == "days" and isinstance(value, float) and 0 < abs(value) < 1:
        hours = value * 24
        return f"{_number(hours)} hours" if abs(hours) >= 1 else f"{_number(hours * 60)} minutes"
    return f"{_number(value)} {legible(unit, 30)}".rstrip()


def shown_tokens(amount: int, decimals: int | None, symbol: str = "") -> str:
    """Write base units of a token as whole ones, rounded down; as they are where nobody knows."""
    if decimals is None:
        return value_in(amount, "base units")
    whole, part = divmod(amount, 10**decimals)
    text = f"{whole:,}" if whole < _GROUPED_BELOW else _scientific(whole)
    digits = str(part).rjust(decimals, "0")[:_PLACES].rstrip("0") if part and decimals else ""
    if digits and whole < _ROUND:
        text += f".{digits}"
    return f"{text} {legible(symbol, 20) or 'tokens'}"


def shown_bound(limit: Limit, unit: str) -> str:
    """Write from where on a limit's metric is bad, given the metric's unit."""
    sign = {Side.ABOVE: ">", Side.AT_LEAST: ">=", Side.BELOW: "<"}[limit.side]
    if unit == "share":
        return f"{sign} {limit.bound * 100:g} %"
    if unit.startswith("USD"):
        return f"{sign} ${limit.bound:g}"
    return f"{sign} {limit.bound:g} {legible(unit, 20)}".rstrip()


def shown_severity(severity: Severity) -> str:
    """One word for people."""
    return {
        Severity.CLEAR: "ok",
        Severity.FLAG: "FLAG",
        Severity.SEVERE: "SEVERE",
        Severity.UNDECIDED: "undecided",
    }[severity]


def shown_moment(seconds: int) -> str:
    """Write a moment, UTC."""
    if not 0 <= seconds < _YEAR_10000:
        return f"second {seconds}"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def shown_window(window: Window | None) -> str:
    """Write a window by its days; nothing where there is none."""
    if window is None:
        return ""
    if not 0 <= window.start <= window.end < _YEAR_10000:
        return f"second {window.start} to {window.end}"
    first, last = (datetime.fromtimestamp(each, UTC) for each in (window.start, window.end))
    return f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _number(value: float) -> str:
    size = abs(value)
    if isinstance(value, int):
        return f"{value:,}" if size < _GROUPED_BELOW else _scientific(value)
    if size >= _GROUPED_BELOW:
        return f"{value:.4e}"
    if size >= 1_000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.1f}"
    if size >= 1 or size == 0:
        return f"{value:.2f}"
    return f"{value:.3g}"


def _scientific(value: int) -> str:
    # A float overflows at 1.8e308, and a stranger's number may be of any length.
    digits = str(abs(value)) if abs(value) < 10**400 else ""
    if not digits:
        return "more than 1e400"
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[0]}.{digits[1:5]}e{len(digits) - 1}"
