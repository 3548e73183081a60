"""Names for numbers, and the only conversions between them.

Money is always an `int` of base units of one currency; a decimal amount exists only at a border
(a file, a flag, a table), and `parse_amount` and `format_amount` are that border. No float ever
touches an amount. `NewType` stops a swapped argument; arithmetic falls back to `int`, so whoever
computes wraps the result again.
"""

from __future__ import annotations

import re
from typing import Final, NewType

from tessera.errors import InputError

__all__ = [
    "BPS",
    "MAX_ASSET_ID",
    "MAX_UINT64",
    "MAX_UINT96",
    "MAX_UINT256",
    "NETWORK_DECIMALS",
    "SHARE_DECIMALS",
    "AssetId",
    "BlockNumber",
    "Bps",
    "ChainId",
    "ChannelNumber",
    "Seconds",
    "Shares",
    "TermsNumber",
    "UnixSeconds",
    "Units",
    "Version",
    "checked_bps",
    "checked_uint96",
    "format_amount",
    "parse_amount",
    "shown_shares",
]

Units = NewType("Units", int)
"""Base units of one currency (a test dollar has 6 decimals: 1_000_000 of these)."""

Shares = NewType("Shares", int)
"""Raw share units; a whole share is 10**18 of them."""

Bps = NewType("Bps", int)
"""Hundredths of a percent; 10_000 is all of it."""

Seconds = NewType("Seconds", int)
"""A duration."""

UnixSeconds = NewType("UnixSeconds", int)
"""A moment, in seconds since 1970-01-01 UTC, as a block's timestamp is."""

ChainId = NewType("ChainId", int)
"""The EIP-155 number of a chain."""

BlockNumber = NewType("BlockNumber", int)
"""Height of a block."""

AssetId = NewType("AssetId", int)
"""Number of an asset, below 2**240."""

ChannelNumber = NewType("ChannelNumber", int)
"""Number of a payment channel with one operator, a uint64."""

TermsNumber = NewType("TermsNumber", int)
"""Number of the terms of one asset with one operator; 0 is the unlisted operator's."""

Version = NewType("Version", int)
"""Version of an asset, counted from 1."""

BPS: Final = Bps(10_000)
SHARE_DECIMALS: Final = 18
NETWORK_DECIMALS: Final = 18
MAX_UINT64: Final = 2**64 - 1
MAX_UINT96: Final = 2**96 - 1
MAX_UINT256: Final = 2**256 - 1
MAX_ASSET_ID: Final = 2**240 - 1

_AMOUNT = re.compile(r"(?P<whole>[0-9]+)(?:\.(?P<part>[0-9]+))?", re.ASCII)


def parse_amount(text: str, *, decimals: int, thing: str = "amount") -> Units:
    """Turn a decimal amount into base units, exactly.

    Parameters
    ----------
    text
        Digits with at most one point, "1.25"; underscores between digits are skipped. No sign, no
        exponent, no comma: each of them means different amounts to different people.
    decimals
        Of the currency, 0 or more.
    thing
        What the amount is, for the message.

    Returns
    -------
    Units
        Base units; never rounded.

    Raises
    ------
    InputError
        It is no such number, has digits finer than one base unit, or exceeds a uint96.
    """
    match = _AMOUNT.fullmatch(re.sub(r"(?<=[0-9])_(?=[0-9])", "", text.strip()))
    if match is None:
        raise InputError(
            thing, found=text, wanted="digits with at most one point, such as 12 or 0.25"
        )
    part = (match["part"] or "").rstrip("0")
    if len(part) > decimals:
        raise InputError(
            thing,
            found=text,
            wanted=f"at most {decimals} digits after the point, which is all this currency has",
        )
    # A uint96 has 29 digits: longer text is refused before `int` would labour over it.
    whole = match["whole"].lstrip("0")
    if len(whole) + decimals > len(str(MAX_UINT96)) + 1:
        raise InputError(thing, found=text, wanted=f"at most {MAX_UINT96} base units (a uint96)")
    return Units(checked_uint96(int(whole + part.ljust(decimals, "0") or "0"), thing))


def format_amount(
    amount: int, *, decimals: int, symbol: str = "", grouped: bool = False, places: int = 0
) -> str:
    """Write base units as a decimal amount, exactly.

    Parameters
    ----------
    amount
        Base units; may be negative (a difference).
    decimals
        Of the currency, 0 or more.
    symbol
        Written after the amount.
    grouped
        Separate thousands with commas, for tables; `parse_amount` does not read these back.
    places
        At least so many digits after the point, for aligned columns; trailing zeros beyond are cut.

    Returns
    -------
    str
        Never rounded: every digit that is not zero is there.
    """
    whole, part = divmod(abs(amount), 10**decimals)
    digits = str(part).rjust(decimals, "0").rstrip("0") if decimals else ""
    digits = digits.ljust(min(places, decimals), "0")
    text = ("-" if amount < 0 else "") + (f"{whole:,}" if grouped else str(whole))
    if digits:
        text += f".{digits}"
    return f"{text} {symbol}" if symbol else text


def shown_shares(amount: int) -> str:
    """Write raw units as whole shares, exactly."""
    return format_amount(amount, decimals=SHARE_DECIMALS, grouped=True)


def checked_bps(value: int, thing: str) -> Bps:
    """Return `value` as Bps, or raise InputError outside 0 to 10,000."""
    if not 0 <= value <= BPS:
        raise InputError(thing, found=value, wanted=f"0 to {BPS} (hundredths of a percent)")
    return Bps(value)


def checked_uint96(value: int, thing: str) -> int:
    """Return `value`, or raise InputError where a uint96 cannot hold it (amounts on the chain)."""
    if not 0 <= value <= MAX_UINT96:
        raise InputError(thing, found=value, wanted=f"0 to {MAX_UINT96} (a uint96)")
    return value
