"""From values to a verdict: one table of limits, each with where it comes from.

The limits are the field's (an article's that analysts pass around, marked so), and none of them is
a law: each is a setting, and a verdict names the one that fired. A metric without a value passes
nothing and fails nothing: it is `undecided`, and says so.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from tessera.diligence.results import Metric, Severity, Status
from tessera.errors import InputError, NotFound

__all__ = [
    "LIMITS",
    "Condition",
    "Finding",
    "Limit",
    "Side",
    "adjusted",
    "judge",
    "parse_bounds",
    "worst",
]

_ARTICLE: Final = "the field's article"
_SPECIFICATION: Final = "Tessera's specification"
_YOURS: Final = "your setting"


class Side(enum.StrEnum):
    """Where of its limit a value is bad."""

    ABOVE = "above"
    AT_LEAST = "at least"
    BELOW = "below"

    def beyond(self, value: float, bound: float) -> bool:
        """Whether the value is on that side; an exact `int` is compared exactly."""
        match self:
            case Side.ABOVE:
                return value > bound
            case Side.AT_LEAST:
                return value >= bound
            case Side.BELOW:
                return value < bound


@dataclass(frozen=True, slots=True)
class Condition:
    """Another metric without which a limit means nothing."""

    metric: str
    side: Side
    bound: float


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
    given
        It fires only where this holds, too.
    source
        Who says so.
    """

    name: str
    metric: str
    side: Side
    bound: float
    text: str
    severity: Severity = Severity.FLAG
    given: Condition | None = None
    source: str = _ARTICLE


@dataclass(frozen=True, slots=True)
class Finding:
    """What a limit says of a metric.

    Attributes
    ----------
    metric
        None where nothing measured it.
    """

    limit: Limit
    metric: Metric | None
    severity: Severity

    @property
    def fired(self) -> bool:
        """Whether it is bad news."""
        return self.severity in {Severity.FLAG, Severity.SEVERE}

    @property
    def applies(self) -> bool:
        """Whether the metric has a meaning for this token."""
        return self.metric is None or self.metric.status is not Status.NOT_APPLICABLE


LIMITS: Final[tuple[Limit, ...]] = (
    Limit("payer_top10", "payer_top10", Side.AT_LEAST, 0.8, "few payers pay nearly all"),
    Limit(
        "months_without_payout",
        "months_since_distribution",
        Side.AT_LEAST,
        6,
        "revenue is advertised, and none was paid out for half a year",
    ),
    Limit(
        "yield_too_good",
        "revenue_yield",
        Side.ABOVE,
        1.0,
        "a yield that has to be checked",
        source=_SPECIFICATION,
    ),
    Limit(
        "subsidy",
        "subsidy_share",
        Side.ABOVE,
        0.5,
        "most of the fees come back to who paid",
        source=_SPECIFICATION,
    ),
    Limit("top10", "top10_adj", Side.ABOVE, 0.4, "ten holders own it"),
    Limit("team_locked", "team_locked_anon", Side.ABOVE, 0.6, "nameless wallets own it"),
    Limit("unlock_month", "unlock_30d_fwd", Side.AT_LEAST, 0.2, "much is unlocked within a month"),
    Limit(
        "hold_days",
        "hold_km",
        Side.BELOW,
        30,
        "held for less than a month, and hardly staked",
        given=Condition("staking_rate", Side.BELOW, 0.05),
    ),
    Limit("exchange_share", "exchange_share", Side.ABOVE, 0.8, "nearly all lies on exchanges"),
    Limit("days_idle", "days_since_last", Side.ABOVE, 90, "nobody has worked on it for a quarter"),
    Limit("days_code", "days_since_code", Side.ABOVE, 90, "no code was changed for a quarter"),
    Limit("commits_month", "commits_month", Side.BELOW, 50, "little is worked on it"),
    Limit(
        "authors_month",
        "authors_month",
        Side.BELOW,
        2,
        "one person writes all of it",
        source=_SPECIFICATION,
    ),
    Limit("release_days", "release_age", Side.ABOVE, 182, "nothing was released for half a year"),
    Limit(
        "source_churn",
        "churn_quality",
        Side.BELOW,
        0.2,
        "most commits change no source",
        source=_SPECIFICATION,
    ),
    Limit(
        "no_source", "doc_only_repo", Side.AT_LEAST, 1, "there is no source", source=_SPECIFICATION
    ),
)
"""The defaults, by the specification's own table."""


def parse_bounds(texts: Iterable[str]) -> dict[str, float | None]:
    """Bounds that somebody wrote: `top10=0.5`, `top10=50%`, or `top10=off`.

    Raises
    ------
    InputError
        A text is not of that form.
    """
    found: dict[str, float | None] = {}
    for text in texts:
        name, _, written = (part.strip() for part in text.partition("="))
        try:
            if written == "off":
                found[name] = None
                continue
            bound = float(written.removesuffix("%")) / (100 if written.endswith("%") else 1)
            if not math.isfinite(bound):
                raise ValueError
        except ValueError as error:
            raise InputError(
                "limit", found=text, wanted="name=number, name=number% or name=off"
            ) from error
        found[name] = bound
    return found


def adjusted(
    bounds: Mapping[str, float | None], limits: Iterable[Limit] = LIMITS
) -> tuple[Limit, ...]:
    """The limits with some bounds replaced, and without those whose bound is None.

    Raises
    ------
    NotFound
        A name is no limit's.
    InputError
        A bound is no finite number.
    """
    by_name = {limit.name: limit for limit in limits}
    for name, bound in bounds.items():
        if name not in by_name:
            raise NotFound.among("limit", name, by_name)
        if bound is None:
            del by_name[name]
        elif math.isfinite(bound):
            by_name[name] = replace(by_name[name], bound=bound, source=_YOURS)
        else:
            raise InputError(f"limit {name}", found=bound, wanted="a number that is finite")
    return tuple(by_name.values())


def judge(metrics: Iterable[Metric], limits: Iterable[Limit] = LIMITS) -> list[Finding]:
    """What each limit says; a limit whose metric has no value is undecided, never passed."""
    by_name = {metric.name: metric for metric in metrics}
    return [
        Finding(limit, by_name.get(limit.metric), _severity(limit, by_name)) for limit in limits
    ]


def worst(severities: Iterable[Severity]) -> Severity:
    """The one word over all: what fired most gravely, else undecided where anything is."""
    found = set(severities)
    return next(
        (each for each in (Severity.SEVERE, Severity.FLAG, Severity.UNDECIDED) if each in found),
        Severity.CLEAR,
    )


def _severity(limit: Limit, metrics: Mapping[str, Metric]) -> Severity:
    beyond = _beyond(metrics.get(limit.metric), limit.side, limit.bound)
    if beyond is None:
        return Severity.UNDECIDED
    if not beyond:
        return Severity.CLEAR
    if limit.given is not None:
        given = limit.given
        holds = _beyond(metrics.get(given.metric), given.side, given.bound)
        if holds is None:
            return Severity.UNDECIDED
        if not holds:
            return Severity.CLEAR
    return limit.severity


def _beyond(metric: Metric | None, side: Side, bound: float) -> bool | None:
    if metric is None or not isinstance(metric.value, int | float):
        return None
    return side.beyond(metric.value, bound)
