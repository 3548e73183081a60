"""How step 1 says its answers: in base units, in dollars, as a ratio; or why there are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from tessera.diligence.money.prices import ATOMS, micro
from tessera.diligence.money.statement import Line, Statement
from tessera.diligence.money.takings import Takings
from tessera.diligence.results import WHOLE, Coverage, Evidence, Metric, Status, Step, Value, Window
from tessera.units import format_amount

__all__ = [
    "coverage_of",
    "in_dollars",
    "in_units",
    "is_at",
    "month_name",
    "with_parts",
    "without",
]


def in_units(name: str, what: str, line: Line, found: Statement, takings: Takings) -> Metric:
    """Say a line's sum since the launch, exact, in the one currency that it is in."""
    window = Window(found.months[0].start, found.months[-1].end)
    used = {token: total for token, total in line.units.items() if total} or dict(line.units)
    parts: dict[str, object] = {
        "months": [month_name(each) for each in found.months],
        "by_currency": {token: str(total) for token, total in line.units.items()},
        "by_month": {token: [str(each) for each in sums] for token, sums in line.by_month.items()},
    }
    if len(used) != 1:
        why = f"{what} in {len(used)} currencies: see each" if used else "no currency was observed"
        status = Status.NOT_APPLICABLE if used else Status.UNKNOWN
        return with_parts(
            without(name, status, why, window=window, inputs=found.inputs, missing=takings.missing),
            parts,
        )
    token, total = next(iter(used.items()))
    money = found.monies[token]
    amount = format_amount(total, decimals=money.decimals, places=money.decimals, grouped=True)
    text = f"{amount} {money.symbol or token} {what}, since the launch"
    return is_at(name, total, "base units", text, window, found.inputs, parts, coverage_of(takings))


def in_dollars(
    name: str, what: str, line: Line, found: Statement, month: int, takings: Takings
) -> Metric:
    """Say a line's sum in a month, in dollars; unknown where not all of it has a price."""
    window = found.months[month]
    parts: dict[str, object] = {
        "months": [month_name(each) for each in found.months],
        "micro_usd": [micro(each) for each in line.atoms],
    }
    if not line.units:
        why = "no currency that users pay in was observed"
        return without(name, Status.UNKNOWN, why, window=window, unit="USD/month",
                        missing=takings.missing)  # fmt: skip
    if line.unpriced[month]:
        tokens = ", ".join(sorted(line.unpriced[month]))
        return with_parts(
            without(
                name, Status.UNKNOWN, f"no price of {tokens} in this month", window=window,
                unit="USD/month", inputs=found.inputs, missing=(f"prices of {tokens}",),
            ),
            parts,
        )  # fmt: skip
    value = line.atoms[month] / ATOMS
    # Models are paid by the call: a first month of a tenth of a cent is not nothing.
    amount = f"{value:.3g}" if 0 < value < 1 else f"{value:,.2f}"
    text = f"{amount} USD {what} in {month_name(window)}"
    return is_at(name, value, "USD/month", text, window, found.inputs, parts,
                   coverage_of(takings))  # fmt: skip


def is_at(
    name: str,
    value: Value,
    unit: str,
    text: str,
    window: Window | None,
    inputs: str,
    parts: Mapping[str, object] | None = None,
    coverage: Coverage = WHOLE,
    evidence: tuple[Evidence, ...] = (),
) -> Metric:
    """Say a value."""
    return Metric(
        name=name, step=Step.REVENUE, value=value, unit=unit, status=Status.OK, text=text,
        window=window, inputs_hash=inputs, coverage=coverage, evidence=evidence, parts=parts or {},
    )  # fmt: skip


def without(
    name: str,
    status: Status,
    why: str,
    *,
    window: Window | None = None,
    unit: str = "",
    inputs: str = "",
    missing: tuple[str, ...] = (),
) -> Metric:
    """Say why there is no value."""
    return Metric.without(
        name, Step.REVENUE, status, why, unit=unit, window=window, inputs_hash=inputs,
        missing=missing,
    )  # fmt: skip


def with_parts(metric: Metric, parts: Mapping[str, object]) -> Metric:
    """Return a metric with what is shown beside it."""
    return replace(metric, parts={**metric.parts, **parts})


def coverage_of(takings: Takings) -> Coverage:
    """Return how much of the takings was observed."""
    return Coverage(None, takings.missing) if takings.missing else WHOLE


def month_name(window: Window) -> str:
    """Return a calendar month as 2026-03."""
    return datetime.fromtimestamp(window.start, UTC).strftime("%Y-%m")
