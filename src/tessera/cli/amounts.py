"""Numbers as people write and read them on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from tessera.errors import InputError
from tessera.units import (
    BPS,
    SHARE_DECIMALS,
    Bps,
    Seconds,
    Shares,
    checked_bps,
    format_amount,
    parse_amount,
    shown_shares,
)

__all__ = [
    "counted",
    "parse_duration",
    "parse_percent",
    "parse_shares",
    "share_count",
    "shown_duration",
    "shown_percent",
    "shown_shares",
    "shown_time",
]

_DURATION = re.compile(r"([0-9]{1,12})([smhdw]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_PERCENT_DECIMALS: Final = 2


def parse_shares(text: str, thing: str = "shares") -> Shares:
    """Read a number of whole shares, such as 12.5, into raw units."""
    return Shares(parse_amount(text, decimals=SHARE_DECIMALS, thing=thing))


def parse_percent(text: str, thing: str) -> Bps:
    """Read a percentage with at most two digits after the point, such as 12.5 or 12.5%."""
    number = parse_amount(text.removesuffix("%"), decimals=_PERCENT_DECIMALS, thing=thing)
    if number > BPS:
        raise InputError(thing, found=text, wanted="0 to 100 percent")
    return checked_bps(number, thing)


def shown_percent(bps: int) -> str:
    """Write hundredths of a percent."""
    return f"{format_amount(bps, decimals=_PERCENT_DECIMALS)} %"


def parse_duration(text: str, thing: str) -> Seconds:
    """Read a duration: a number with s, m, h, d or w, such as 90s, 12h or 7d."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise InputError(thing, found=text, wanted="a number with s, m, h, d or w, such as 7d")
    return Seconds(int(match[1]) * _SECONDS[match[2]])


def counted(number: int | str, thing: str) -> str:
    """Write how many of a thing there are, as people say it: 1 share, 2,000 shares."""
    return f"{number} {thing}" if str(number) == "1" else f"{number} {thing}s"


def share_count(shares: int) -> str:
    """Write how many shares raw units are."""
    return counted(shown_shares(shares), "share")


def shown_duration(seconds: int) -> str:
    """Write a duration as people say it, exactly: 30 days, 1 hour 30 minutes."""
    parts = []
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {word}" + ("" if count == 1 else "s"))
    return " ".join(parts) or "0 seconds"


def shown_time(unix: int) -> str:
    """Write a moment in UTC."""
    return datetime.fromtimestamp(unix, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
