"""A report on a screen: what fits there, and what a stranger cannot do to it."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console
from tests.unit.diligence.reports import HOSTILE, answer, flag_of, report_of, view_of

from tessera.cli.verdict import show_changes, show_pair, show_report
from tessera.diligence.comparing import changes
from tessera.diligence.results import Metric, Severity, Status, Step
from tessera.diligence.thresholds import LIMITS


def printed(
    show: object, *arguments: object, width: int = 100, terminal: bool = False, **options: object
) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=width, highlight=False, soft_wrap=True, force_terminal=terminal,
        color_system=None,
    )  # fmt: skip
    show(console, *arguments, **options)  # type: ignore[operator]
    return out.getvalue()


def test_the_verdict_names_the_limit_that_fired_and_its_evidence() -> None:
    shown = printed(show_report, report_of([answer("top10_adj", 0.5)]))
    assert f"VERDICT  FLAG  1 of {len(LIMITS)} limits fired, {len(LIMITS) - 1} undecided" in shown
    says, line = (line for line in shown.splitlines() if "top10_adj" in line)
    assert "FLAG   ten holders own it: top10_adj 50.00 %, bad > 40 % (the field's article)" in says
    assert "FLAG" in line
    assert "50.00 %" in line
    assert "bad > 40 %" in line
    assert "[0xaaaa…aaaa]" in line


def test_a_token_that_never_moved_may_be_none() -> None:
    report = replace(report_of(), transfers=0)
    assert "it may be no ERC-20" in printed(show_report, report)
    assert "it may be no ERC-20" not in printed(show_report, report_of())


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("everything", [False, True])
def test_a_hostile_name_moves_no_cursor_and_makes_no_style(width: int, everything: bool) -> None:
    """An attacker's token is named so that a terminal clears itself and shows another verdict."""
    metric = Metric("gini", Step.DISTRIBUTION, HOSTILE, HOSTILE, Status.OK, HOSTILE)
    report = report_of(
        [metric, answer("top10_adj", 0.5)],
        [flag_of("RF2", Severity.SEVERE, HOSTILE)],
        view=view_of(HOSTILE, HOSTILE),
    )
    for shown in (
        printed(show_report, report, width=width, everything=everything),
        printed(show_pair, report, report, width=width, everything=everything),
        printed(show_changes, changes(report_of(), report), width=width),
    ):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert "[bold]" in "".join(shown.split()) or "gini" not in shown


def test_one_reason_for_all_of_a_question_is_said_once() -> None:
    why = "no repository was named"
    names = ("commits_month", "authors_month", "release_age")
    lacking = [Metric.without(each, Step.DEVELOPERS, Status.UNKNOWN, why) for each in names]
    shown = printed(show_report, report_of(lacking))
    assert shown.count(why) == 1
    assert "?      developers" in shown
    assert printed(show_report, report_of(lacking), everything=True).count(why) == 3


def test_a_report_without_evidence_fits_on_a_screen() -> None:
    names = {
        Step.REVENUE: ("gross_fees_usd", "clean_fees_usd", "revenue_yield", "payer_top10"),
        Step.DISTRIBUTION: ("top10_raw", "top10_adj", "hhi", "unlock_30d_fwd", "exchange_share"),
        Step.DEVELOPERS: ("commits_month", "authors_month", "days_since_last", "release_age"),
        Step.VELOCITY: ("hold_km", "hold_median_fifo", "turnover"),
    }
    metrics = [answer(name, 0.1, step) for step, each in names.items() for name in each]
    metrics += [answer(f"detail_{number}", 1.0) for number in range(40)]
    flags = [flag_of(f"RF{number}", Severity.CLEAR) for number in (1, 2, 3, 4)]
    report = report_of(metrics, flags)
    for width in (80, 120):
        shown = printed(show_report, report, width=width, terminal=True)
        assert len(shown.splitlines()) <= 40
        columns = shown.splitlines()[8:]
        assert all(len(line) <= width for line in columns)
    assert "detail_" not in shown
    assert "detail_7" in printed(show_report, report_of(metrics, flags), everything=True)
