"""Limits: which fire, which cannot be judged, and how an analyst changes them."""

from __future__ import annotations

import pytest

from tessera.diligence.results import Metric, Severity, Status, Step
from tessera.diligence.thresholds import LIMITS, adjusted, judge, parse_bounds, worst
from tessera.errors import InputError, NotFound


def measured(name: str, value: float) -> Metric:
    return Metric(name, Step.VELOCITY, value, "", Status.OK, "so it is")


def test_a_limit_without_a_value_is_undecided_and_never_passed() -> None:
    lacking = Metric.without("top10_adj", Step.DISTRIBUTION, Status.UNKNOWN, "nobody looked")
    found = {each.limit.name: each for each in judge([lacking])}
    assert found["top10"].severity is Severity.UNDECIDED
    assert found["top10"].metric is lacking
    assert found["subsidy"].severity is Severity.UNDECIDED
    assert found["subsidy"].metric is None
    assert worst(each.severity for each in found.values()) is Severity.UNDECIDED


def test_what_does_not_apply_is_told_from_what_is_unknown() -> None:
    found = judge([Metric.without("hold_km", Step.VELOCITY, Status.NOT_APPLICABLE, "it rebases")])
    assert [each.limit.name for each in found if not each.applies] == ["hold_days"]


@pytest.mark.parametrize(
    ("staked", "severity"),
    [(0.01, Severity.FLAG), (0.5, Severity.CLEAR), (None, Severity.UNDECIDED)],
)
def test_a_short_hold_fires_only_where_hardly_anything_is_staked(
    staked: float | None, severity: Severity
) -> None:
    metrics = [measured("hold_km", 6.0)]
    if staked is not None:
        metrics.append(measured("staking_rate", staked))
    found = {each.limit.name: each.severity for each in judge(metrics)}
    assert found["hold_days"] is severity


def test_bounds_are_where_the_field_put_them() -> None:
    fired = judge([measured("payer_top10", 0.8), measured("top10_adj", 0.4)])
    assert [each.limit.name for each in fired if each.fired] == ["payer_top10"]


def test_an_analyst_changes_a_bound_and_switches_one_off() -> None:
    limits = adjusted(parse_bounds(["top10=50%", " hold_days = 14 ", "subsidy=off"]))
    by_name = {each.name: each for each in limits}
    assert by_name["top10"].bound == 0.5
    assert by_name["top10"].source == "your setting"
    assert by_name["hold_days"].bound == 14
    assert "subsidy" not in by_name
    assert len(limits) == len(LIMITS) - 1


@pytest.mark.parametrize("text", ["top10", "top10=", "top10=nan", "top10=inf", "top10=1e999", "=%"])
def test_a_bound_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="name=number"):
        parse_bounds([text])


def test_a_limit_that_does_not_exist_is_refused_with_what_is_near() -> None:
    with pytest.raises(NotFound, match="did you mean 'top10'"):
        adjusted({"top_10": 0.5})


def test_amounts_beyond_any_float_are_compared_exactly() -> None:
    """A hostile token's integer of 78 digits must not become an infinity, or an OverflowError."""
    found = judge([measured("release_age", 10**400)])
    assert [each.limit.name for each in found if each.fired] == ["release_days"]
