"""What revenue is worth against what circulates, and against what is minted to subsidize it."""

from __future__ import annotations

from typing import Final

from tessera.diligence.ledger import ledger_of
from tessera.diligence.money.answers import is_at, without
from tessera.diligence.money.circulation import circulating
from tessera.diligence.money.statement import Line, Money, Statement
from tessera.diligence.money.takings import Takings, pays_holders
from tessera.diligence.results import Metric, Status, Window, hash_inputs
from tessera.diligence.view import View

__all__ = ["emission", "valued"]

_TRAILING: Final = 3
_YEAR_S: Final = 365 * 86_400


def emission(view: View, found: Statement, month: int, token: Money | None) -> Metric:
    """Hold fees against what was minted in the month, at the month's mean price."""
    name, window = "fees_to_emission", found.months[month]
    moved = view.transfers
    # What a token begins with is its supply; what is minted later subsidizes somebody.
    later = moved.mints & (moved.block > (moved.block[0] if len(moved) else 0))
    minted = moved.select(later).within(window)
    if not len(minted):
        why = "nothing was minted in this month, but for what the token began with"
        return without(name, Status.NOT_APPLICABLE, why, window=window, unit="share")
    fees = found.gross.dollars(month)
    price = None if token is None or token.quotes is None else token.quotes.mean(window)
    if fees is None or price is None or token is None:
        why = "the token or a currency has no price"
        return without(name, Status.UNKNOWN, why, window=window, unit="share")
    worth = float(price) * minted.amount.total() / 10**token.decimals
    inputs = hash_inputs(found.inputs, view.transfers.digest())
    text = f"fees are {fees / worth:.1%} of the {worth:,.0f} USD minted in the month"
    return is_at(name, fees / worth, "share", text, window, inputs)


def valued(
    view: View, takings: Takings, found: Statement, month: int, token: Money | None
) -> list[Metric]:
    """Hold three months of revenue against what circulates, and against what that is worth."""
    window = _trailing(found, month, takings.launched, view.head.time)
    months = range(max(0, month - _TRAILING + 1), month + 1)
    known = pays_holders(view, takings)
    revenue = _clean_holders(found, months) if known else None
    fees = _sum(found.gross, months)
    ledger = ledger_of(view)
    if ledger.status is not Status.OK:
        return [
            without(name, ledger.status, ledger.why, window=window)
            for name in ("revenue_per_token", "revenue_yield", "price_to_fees")
        ]
    average = circulating(view).average(window)
    inputs = hash_inputs(
        found.inputs,
        view.transfers.digest(),
        "" if token is None or token.quotes is None else token.quotes.digest(),
    )
    if token is None or not average:
        why = "the token's decimals are not known" if token is None else "nothing circulates"
        return [
            without(name, Status.UNKNOWN, why, window=window)
            for name in ("revenue_per_token", "revenue_yield", "price_to_fees")
        ]
    tokens = float(average / 10**token.decimals)
    years = window.seconds / _YEAR_S
    parts = {"circulating": tokens, "months": len(months), "clean": found.clean is not None}
    metrics = []
    unknown = "not known what is circular" if found.clean is None else "a currency has no price"
    if not known:
        unknown = "nobody said how holders are paid: [holders] of the description"
    if revenue is None:
        metrics.append(
            without(
                "revenue_per_token", Status.UNKNOWN, unknown, window=window, unit="USD/token/month"
            )
        )
    else:
        each = revenue / len(months) / tokens
        text = f"{each:.3g} USD a month for each of {tokens:,.0f} circulating tokens"
        metrics.append(
            is_at("revenue_per_token", each, "USD/token/month", text, window, inputs, parts)
        )
    price = None if token.quotes is None else token.quotes.mean(window)
    value = None if price is None else float(price) * tokens
    for name, flow, unit in (("revenue_yield", revenue, "share"), ("price_to_fees", fees, "years")):
        if value is None or flow is None:
            why = "no price of the token in these months" if value is None else unknown
            metrics.append(without(name, Status.UNKNOWN, why, window=window, unit=unit))
            continue
        yearly = flow / years
        shown = {**parts, "price_usd": float(price or 0), "market_cap_usd": value}
        if name == "revenue_yield":
            text = f"{yearly / value:.2%} a year on {value:,.0f} USD of circulating tokens"
            metrics.append(is_at(name, yearly / value, unit, text, window, inputs, shown))
        elif not yearly:
            why = "no fees in these months"
            metrics.append(without(name, Status.INSUFFICIENT, why, window=window, unit=unit))
        else:
            text = f"the market pays {value / yearly:,.1f} years of fees"
            metrics.append(is_at(name, value / yearly, unit, text, window, inputs, shown))
    return metrics


def _clean_holders(found: Statement, months: range) -> float | None:
    """Holders' revenue in dollars, without the part that circular payments brought in."""
    if found.clean is None:
        return None
    whole = 0.0
    for month in months:
        gross, net = found.gross.dollars(month), found.clean.dollars(month)
        paid = found.holders.dollars(month)
        if gross is None or net is None or paid is None:
            return None
        whole += paid * (net / gross if gross else 1.0)
    return whole


def _sum(line: Line, months: range) -> float | None:
    sums = [line.dollars(month) for month in months]
    known = [each for each in sums if each is not None]
    return sum(known) if len(known) == len(sums) else None


def _trailing(found: Statement, month: int, launched: int, head: int) -> Window:
    """Return the last three whole months, or what there is of them since the launch."""
    start = max(launched, found.months[max(0, month - _TRAILING + 1)].start)
    return Window(start, max(start, min(found.months[month].end, head + 1)))
