"""An inquiry: parts that fail alone, one word over all, and JSON that anybody reads."""

from __future__ import annotations

import json

import pytest
from tests.unit.diligence.reports import HOLDER, TOKEN, answer, flag_of, report_of, view_of

from tessera.diligence.comparing import changes, side_by_side
from tessera.diligence.inquiry import Part, inquire
from tessera.diligence.results import Metric, Severity, Status, Step
from tessera.diligence.subject import Subject
from tessera.diligence.thresholds import LIMITS, Side, adjusted
from tessera.diligence.token import read_token
from tessera.diligence.view import View
from tessera.errors import DataError, InvariantViolation, NotFound, Unprocessable

FLAGS = [flag_of(f"RF{number}", Severity.CLEAR) for number in (1, 2, 3, 4)]


def test_a_part_that_fails_spares_no_other_and_is_told() -> None:
    """A maker who breaks one measure with a strange history gets the rest of the report."""

    def broken(_: View) -> list[Metric]:
        raise DataError("history", found="a negative balance", wanted="none")

    def strange(_: View) -> list[Metric]:
        return [1 // 0]  # type: ignore[list-item]

    def impossible(_: View) -> list[Metric]:
        raise InvariantViolation("sums", found=1, wanted="2")

    found = report_of(
        [answer("top10_adj", 0.5)],
        more=[Part("replay", broken), Part("ages", strange), Part("sums", impossible)],
    )
    assert [(each.part, each.code, each.ours) for each in found.failures] == [
        ("replay", "data_error", False),
        ("ages", "unexpected", True),
        ("sums", "invariant_violation", True),
    ]
    assert [each.limit.name for each in found.fired] == ["top10"]


def test_a_flag_that_could_not_be_decided_says_why() -> None:
    def broken(_: View) -> list[Metric]:
        raise NotFound("code of the token", found="nothing", wanted="its bytecode")

    found = report_of(more=[Part("who pays", broken, flag="RF2")])
    by_name = {flag.name: flag for flag in found.flags}
    assert list(by_name) == ["RF1", "RF2", "RF3", "RF4"]
    assert by_name["RF2"].severity is Severity.UNDECIDED
    assert "bytecode" in by_name["RF2"].text


def _harmless() -> list[Metric]:
    """Of every limit's metric a value that is not bad."""
    return [
        answer(limit.metric, limit.bound * (0.5 if limit.side is not Side.BELOW else 2) or 0.0)
        for limit in LIMITS
    ]


def test_nothing_is_clear_while_anything_that_applies_is_undecided() -> None:
    every = _harmless()
    assert report_of(every, FLAGS).severity is Severity.CLEAR
    assert report_of(every[1:], FLAGS).severity is Severity.UNDECIDED
    assert report_of(every, FLAGS[1:]).severity is Severity.UNDECIDED
    beside = Metric.without(
        LIMITS[0].metric, Step.REVENUE, Status.NOT_APPLICABLE, "it takes nothing"
    )
    assert report_of([beside, *every[1:]], FLAGS).severity is Severity.CLEAR
    severe = [flag_of("RF1", Severity.SEVERE), *FLAGS[1:]]
    assert report_of([answer("top10_adj", 0.9)], severe).severity is Severity.SEVERE


def test_a_token_that_lies_about_a_balance_is_not_spared_its_holders() -> None:
    """One false `balanceOf` looks like a rebase, so that no limit of holders applies."""
    why = "balanceOf differs"
    lies = Metric.without("replay", Step.DISTRIBUTION, Status.NOT_APPLICABLE, why)
    assert report_of([lies, *_harmless()], FLAGS).severity is Severity.UNDECIDED


def test_an_address_without_code_is_no_token() -> None:
    with pytest.raises(Unprocessable, match="no code as of block 9"):
        inquire(view_of(code=b""))


def test_a_token_nobody_looked_at_is_refused() -> None:
    view = View(view_of().facts, Subject(token=HOLDER))
    with pytest.raises(NotFound, match="tessera index --token"):
        inquire(view)


def test_progress_counts_the_parts() -> None:
    seen: list[tuple[int, int]] = []
    asked = [Part(str(number), lambda _: []) for number in range(3)]
    inquire(view_of(), asked=asked, progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 3)
    assert seen[-1] == (3, 3)
    assert seen == sorted(seen)


def test_json_holds_exact_integers_and_no_number_that_is_none() -> None:
    holdings = Metric(
        "supply", Step.DISTRIBUTION, 10**30 + 1, "base units", Status.OK, "minted",
        parts={"by month": [10**20, float("nan"), 3], "top": {"a": (1, 2)}},
    )  # fmt: skip
    told = json.loads(json.dumps(report_of([holdings]).as_json(), allow_nan=False))
    (metric,) = told["metrics"]
    assert metric["value"] == str(10**30 + 1)
    assert metric["parts"] == {"by month": [str(10**20), None, 3], "top": {"a": [1, 2]}}
    assert told["verdict"] == "undecided"
    assert told["as_of_block"] == 9


def test_what_a_token_says_of_itself_is_read_without_trust() -> None:
    """Offsets past the end, lengths of 2**256 and bytes that are no UTF-8 are answers, too."""
    assert read_token(view_of("Fetch", "FET").facts, Subject(token=TOKEN)).name == "Fetch"
    facts = view_of().facts
    assert read_token(facts, Subject(token=TOKEN, decimals=6)).decimals == 6
    from tessera.diligence import token

    word = (2**256 - 1).to_bytes(32, "big")
    assert token._text(b"MKR".ljust(32, b"\0")) == "MKR"
    assert token._text(word + word) == ""
    assert token._text((32).to_bytes(32, "big") + word + b"abc") == "abc"
    assert token._text(b"\xff" * 31 + b"\0") == r"\xff" * 31
    assert token._text(b"") == ""
    assert token._number(word) is None


def test_two_tokens_side_by_side() -> None:
    left = report_of([answer("top10_adj", 0.5), answer("gini", 0.9)])
    right = report_of([answer("top10_adj", 0.1), answer("hold_km", 40, Step.VELOCITY)])
    pairs = {pair.name: pair for pair in side_by_side(left, right)}
    assert pairs["top10_adj"].left_severity is Severity.FLAG
    assert pairs["top10_adj"].right_severity is Severity.CLEAR
    assert pairs["gini"].right is None
    assert pairs["hold_km"].left is None


def test_a_change_is_an_answer_that_differs_and_what_got_worse_comes_first() -> None:
    before = report_of([answer("gini", 0.5), answer("top10_adj", 0.3)], FLAGS)
    assert changes(before, report_of([answer("gini", 0.5), answer("top10_adj", 0.3)], FLAGS)) == []
    worse = [FLAGS[0], flag_of("RF2", Severity.SEVERE), *FLAGS[2:]]
    found = changes(before, report_of([answer("gini", 0.6), answer("top10_adj", 0.45)], worse))
    assert [(each.name, each.worse) for each in found] == [
        ("top10_adj", True),
        ("RF2", True),
        ("gini", False),
    ]


def test_a_setting_changes_what_a_report_says() -> None:
    view = view_of()
    asked = [Part("all", lambda _: [answer("top10_adj", 0.5)])]
    assert inquire(view, adjusted({"top10": 0.6}), asked=asked).fired == ()
    assert inquire(view, adjusted({"top10": None}), asked=asked).finding("top10_adj") is None
