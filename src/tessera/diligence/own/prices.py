"""What a Share was worth: the trades of our own market, by day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from tessera.bindings import exchange
from tessera.diligence.money.prices import SCALE, Quotes
from tessera.diligence.results import DAY_S
from tessera.facts import Event

__all__ = ["traded"]


def traded(
    events: Iterable[Event], token: str, token_decimals: int, currency_decimals: int
) -> Quotes | None:
    """Return a token's mean price of each day in its pool, weighed by what was paid.

    Parameters
    ----------
    events
        Of the Exchange among others.
    token
        Lower case.

    Returns
    -------
    Quotes or None
        For one whole token, in whole units of the currency, which counts as a dollar. None where
        nobody traded.
    """
    sums: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    for event in events:
        match event.event:
            case exchange.Bought(token=moved, tokens=tokens, cost=paid):
                pass
            case exchange.Sold(token=moved, tokens=tokens, proceeds=paid):
                pass
            case _:
                continue
        if moved.lower() == token and tokens:
            day = sums[event.time // DAY_S * DAY_S]
            day[0] += tokens
            day[1] += paid
    scale = SCALE * 10**token_decimals
    rows = [
        (day, paid * scale // (tokens * 10**currency_decimals), float(paid))
        for day, (tokens, paid) in sorted(sums.items())
        if paid
    ]
    if not rows:
        return None
    return Quotes(
        np.array([day for day, _, _ in rows], np.int64),
        tuple(price for _, price, _ in rows),
        tuple(volume for _, _, volume in rows),
    )
