"""What a transaction would change, to be shown before anything is signed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Effect"]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a transaction would change: so much more, or less, of a token on an account.

    Attributes
    ----------
    account, token
        Addresses.
    symbol
        Of the token.
    change
        Base units of the token; below 0 for less.
    why
        In a few words.
    decimals
        Of the token.
    """

    account: str
    token: str
    symbol: str
    change: int
    why: str
    decimals: int = 0
