"""Step 1: what users pay, what of it is no real demand, what reaches holders, and who pays.

Fees are everything that users pay; the supply side is paid for the work; holders' revenue is what
reaches holders in something that was not minted for it. Sums in base units are exact; dollars are
a valuation at the price of the day, and ratios are statistics, so both are floats; the millionths
of a dollar in `parts` are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tessera.diligence.money.answers import (
    coverage_of,
    in_dollars,
    in_units,
    is_at,
    with_parts,
    without,
)
from tessera.diligence.money.distributed import distributed
from tessera.diligence.money.paying import NAMES, paying
from tessera.diligence.money.payouts import net_of_minted
from tessera.diligence.money.prices import micro
from tessera.diligence.money.statement import Clean, Statement, months_between, statement
from tessera.diligence.money.takings import (
    Takings,
    circular_of,
    pays_holders,
    takings_of,
    token_money,
)
from tessera.diligence.money.valuation import emission, valued
from tessera.diligence.results import Metric, Status, Window
from tessera.diligence.view import View

__all__ = ["measure", "reporting_month", "statement_of"]

_NAMES: Final = (
    "gross_fees", "gross_fees_usd", "clean_fees_usd", "subsidy_share", "supply_side_usd",
    "holders_revenue", "holders_revenue_usd", "fees_to_emission", "revenue_per_token",
    "revenue_yield", "price_to_fees", "payout_coverage", "months_since_distribution",
    "inference_calls", *NAMES,
)  # fmt: skip
_NO_REVENUE_SET: Final = "nobody said where users pay: payments.contracts of the description"


def measure(view: View) -> list[Metric]:
    """Answer step 1.

    Raises
    ------
    TesseraError
        The facts do not hold what was asked for.
    """
    takings = takings_of(view)
    if takings is None:
        return [without(name, Status.UNKNOWN, _NO_REVENUE_SET) for name in _NAMES]
    if takings.books is not None and takings.books.doubts:
        why = f"the books do not add up with the chain: {takings.books.doubts[0]}"
        return [without(name, Status.UNKNOWN, why) for name in _NAMES]
    if takings.unobserved:
        # What is there is a part, and a part of nothing looks like nothing.
        why = f"transfers of {', '.join(takings.unobserved)} were not observed"
        seen = _gross(takings, view) if takings.payments.currencies else []
        said = {each.name for each in seen}
        rest = [name for name in _NAMES if name not in said]
        return [
            *seen,
            *(without(name, Status.UNKNOWN, why, missing=takings.missing) for name in rest),
        ]
    found = statement_of(view, takings)
    month = reporting_month(found.months, view.head.time)
    token = token_money(view)
    return [
        *_fees(view, takings, found, month),
        *_for_holders(view, takings, found, month),
        emission(view, found, month, token),
        *valued(view, takings, found, month, token),
        *distributed(view, takings),
        _calls(takings, found, month),
        *paying(view, takings, found, month),
    ]


def _gross(takings: Takings, view: View) -> list[Metric]:
    """Say what was paid in the currencies that were observed, and what is missing from it."""
    found = statement_of(view, takings)
    month = reporting_month(found.months, view.head.time)
    return [
        in_units("gross_fees", "users paid", found.gross, found, takings),
        in_dollars("gross_fees_usd", "users paid", found.gross, found, month, takings),
    ]


def reporting_month(months: Sequence[Window], head: int) -> int:
    """Return the last whole month, else the only one that has begun."""
    whole = len(months) - 1 if head + 1 >= months[-1].end else len(months) - 2
    return max(whole, 0)


def statement_of(view: View, takings: Takings) -> Statement:
    """Return a view's income statement, by months since the launch, once."""

    def add_up() -> Statement:
        months = months_between(takings.launched, view.head.time)
        return statement(
            takings.payments,
            Clean(
                circular_of(view, takings),
                takings.insiders,
                takings.refunded,
            ),
            takings.supply_side,
            [
                net_of_minted(takings.payouts, takings.minted, months),
                takings.buybacks,
                takings.burns,
            ],
            takings.monies,
            months,
        )

    return view.kept("statement", add_up)


# --- Lines of the statement -----------------------------------------------------------------------


def _fees(view: View, takings: Takings, found: Statement, month: int) -> list[Metric]:
    metrics = [
        *_gross(takings, view),
        _supply_side(view, takings, found, month),
    ]
    if found.clean is None:
        why = "nobody looked for payments that go in circles"
        window = found.months[month]
        metrics += [
            without(name, Status.UNKNOWN, why, window=window, unit=unit, inputs=found.inputs)
            for name, unit in (("clean_fees_usd", "USD/month"), ("subsidy_share", "share"))
        ]
        return metrics
    clean = in_dollars(
        "clean_fees_usd", "is demand from outside", found.clean, found, month, takings
    )
    gross, net = found.gross.dollars(month), found.clean.dollars(month)
    share: float | None = None if not gross or net is None else 1 - net / gross
    removed = {
        reason: [micro(each) for each in line.atoms] for reason, line in found.removed.items()
    }
    metrics.append(with_parts(clean, {"removed": removed}))
    if share is None:
        why = "no fees of a known price in this month"
        rest = without("subsidy_share", Status.INSUFFICIENT, why, window=found.months[month],
                       unit="share", inputs=found.inputs)  # fmt: skip
    else:
        text = f"at least {share:.1%} of the fees is circular, the team's own, or was given back"
        rest = is_at("subsidy_share", share, "share", text, found.months[month], found.inputs,
                     coverage=coverage_of(takings))  # fmt: skip
    metrics.append(with_parts(rest, {"removed": removed}))
    return metrics


def _supply_side(view: View, takings: Takings, found: Statement, month: int) -> Metric:
    name = "supply_side_usd"
    if takings.books is None and not view.subject.payments.supply_side:
        why = "nobody said who is paid for the work: payments.supply_side of the description"
        return without(name, Status.UNKNOWN, why, window=found.months[month], unit="USD/month")
    what = "went to who does the work"
    return in_dollars(name, what, found.supply_side, found, month, takings)


def _for_holders(view: View, takings: Takings, found: Statement, month: int) -> list[Metric]:
    if not pays_holders(view, takings):
        why = "nobody said how holders are paid: [holders] of the description"
        return [
            without(name, Status.UNKNOWN, why, window=found.months[month], unit=unit)
            for name, unit in (("holders_revenue", "base units"),
                               ("holders_revenue_usd", "USD/month"))
        ]  # fmt: skip
    exact = in_units("holders_revenue", "reached holders", found.holders, found, takings)
    books = takings.books
    if books is not None:
        exact = with_parts(
            exact,
            {
                "settled": books.settled,
                "till_income": books.till_income,
                "commons": books.commons,
                "validators": books.validators,
                "operator": books.operator,
                "royalties": books.royalties,
                "holders": books.holders,
                "left_over": books.left_over,
                "from_children": sum(each.amount for each in books.received),
                "streamed": sum(each.amount for each in books.distributed),
                "emission_sold": sum(each.amount for each in books.emission_sold),
                "claimed": sum(each.at.amount for each in books.claims),
            },
        )
    text = "reached holders"
    return [exact, in_dollars("holders_revenue_usd", text, found.holders, found, month, takings)]


def _calls(takings: Takings, found: Statement, month: int) -> Metric:
    name, window = "inference_calls", found.months[month]
    rows = takings.payments.within(window)
    if takings.books is not None:
        why = "vouchers add many calls up; the chain says what they cost, not how many they were"
        return without(name, Status.UNKNOWN, why, window=window, unit="calls")
    text = f"{len(rows)} payments in the month, each counted as one call"
    parts = {"by_month": [len(takings.payments.within(each)) for each in found.months]}
    return is_at(name, len(rows), "calls", text, window, found.inputs, parts,
                   coverage_of(takings))  # fmt: skip
