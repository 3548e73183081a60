"""From values to a verdict: one table of limits, each with where it comes from.

The limits are the field's (an article's that analysts pass around, marked so), and none of them is
a law: each is a setting, and a verdict names the one that fired. A metric without a value passes
nothing and fails nothing: it is `undecided`, and says so.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from tessera.diligence.results import Metric, Severity
from tessera.errors import InputError, NotFound

__all__ = ["LIMITS", "Finding", "Limit", "Side", "adjusted", "judge"]

_ARTICLE: Final = "the field's article"


class Side(enum.StrEnum):
    """Where of its limit a value is bad."""

    ABOVE = "above"
    AT_LEAST = "at least"
    BELOW = "below"


@dataclass(frozen=True, slots=True)
class Limit:
    """A value beyond this is remarked upon.

    Attributes
    ----------
    name
        What settings call it.
    metric
        The metric that it looks at.
    bound
        In the metric's own unit; a share is 0 to 1.
    source
        Who says so.
    """

    name: str
    metric: str
    side: Side
    bound: float
    text: str
    severity: Severity = Severity.FLAG
    source: str = _ARTICLE

    def passed_by(self, value: float) -> bool:
        """Whether the value is on the bad side."""
        match self.side:
            case Side.ABOVE:
                return value > self.bound
            case Side.AT_LEAST:
                return value >= self.bound
            case Side.BELOW:
                return value < self.bound


@dataclass(frozen=True, slots=True)
class Finding:
    """What a limit says of a metric."""

    limit: Limit
    metric: Metric | None
    severity: Severity

    @property
    def fired(self) -> bool:
        """Whether it is bad news."""
        return self.severity in {Severity.FLAG, Severity.SEVERE}


LIMITS: Final[tuple[Limit, ...]] = (
    Limit("payer_top10", "payer_top10", Side.AT_LEAST, 0.8, "few payers pay nearly all"),
    Limit(
        "months_without_payout",
        "months_since_distribution",
        Side.AT_LEAST,
        6,
        "revenue is advertised, and none was paid out for half a year",
    ),
    Limit("yield_too_good", "revenue_yield", Side.ABOVE, 1.0, "a yield that has to be checked"),
    Limit("subsidy", "subsidy_share", Side.ABOVE, 0.5, "most of the fees come back to who paid"),
    Limit("top10", "top10_adj", Side.ABOVE, 0.4, "ten holders own it"),
    Limit("team_locked", "team_locked_anon", Side.ABOVE, 0.6, "nameless wallets own it"),
    Limit("unlock_month", "unlock_30d_fwd", Side.AT_LEAST, 0.2, "much is unlocked within a month"),
    Limit("hold_days", "hold_km", Side.BELOW, 30, "held for less than a month"),
    Limit("exchange_share", "exchange_share", Side.ABOVE, 0.8, "nearly all lies on exchanges"),
    Limit("days_idle", "days_since_last", Side.ABOVE, 90, "nobody has worked on it for a quarter"),
    Limit("commits_month", "commits_month", Side.BELOW, 50, "little is worked on it"),
    Limit("release_days", "release_age", Side.ABOVE, 182, "nothing was released for half a year"),
)
"""The defaults, by the specification's own table."""


def adjusted(bounds: Mapping[str, float], limits: Iterable[Limit] = LIMITS) -> tuple[Limit, ...]:
    """The limits with some bounds replaced.

    Raises
    ------
    NotFound
        A name is no limit's.
    InputError
        A bound is no number.
    """
    limits = tuple(limits)
    known = {limit.name for limit in limits}
    for name, bound in bounds.items():
        if name not in known:
            raise NotFound.among("limit", name, known)
        if bound != bound:
            raise InputError(f"limit {name}", found=bound, wanted="a number")
    return tuple(
        replace(limit, bound=bounds[limit.name], source="your setting")
        if limit.name in bounds
        else limit
        for limit in limits
    )


def judge(metrics: Iterable[Metric], limits: Iterable[Limit] = LIMITS) -> list[Finding]:
    """What each limit says; a limit whose metric has no value is undecided, never passed."""
    by_name = {metric.name: metric for metric in metrics}
    findings = []
    for limit in limits:
        metric = by_name.get(limit.metric)
        if metric is None or not isinstance(metric.value, int | float):
            findings.append(Finding(limit, metric, Severity.UNDECIDED))
        elif limit.passed_by(metric.value):
            findings.append(Finding(limit, metric, limit.severity))
        else:
            findings.append(Finding(limit, metric, Severity.CLEAR))
    return findings
