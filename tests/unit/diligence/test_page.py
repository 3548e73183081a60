"""The page: whole without anything else, and without a way in for a stranger's words."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

from tests.unit.diligence.reports import (
    HOLDER,
    HOSTILE,
    TOKEN,
    ZERO,
    answer,
    flag_of,
    report_of,
    view_of,
)

from tessera.diligence.inquiry import inquire
from tessera.diligence.page import render
from tessera.diligence.results import Metric, Severity, Status, Step
from tessera.diligence.subject import Subject
from tessera.diligence.view import View
from tessera.facts import Facts, Head, Row, Transfers
from tessera.facts.memory import Memory

OTHER = "0x" + "b" * 40


class _Reader(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    return reader


def hostile_page() -> str:
    metric = Metric(
        "gini", Step.DISTRIBUTION, HOSTILE, HOSTILE, Status.OK, HOSTILE,
        parts={HOSTILE: [HOSTILE, "</code></details><img src=x onerror=alert(1)>"]},
    )  # fmt: skip
    lacking = Metric.without("hhi", Step.DISTRIBUTION, Status.UNKNOWN, HOSTILE, missing=(HOSTILE,))
    largest = [[HOSTILE, HOSTILE, 0.5], ["0x" + "a" * 40, "wallet", 0.4]]
    held = replace(answer("top10_adj", 0.5), parts={"largest": largest, "others": 0.1})
    return render(
        report_of(
            [metric, lacking, held],
            [flag_of("RF2", Severity.SEVERE, HOSTILE)],
            view=view_of(HOSTILE, HOSTILE),
        )
    )


def test_a_hostile_name_stays_text() -> None:
    """An attacker's token is named like a script; it must not run in an analyst's browser."""
    page = hostile_page()
    found = read(page)
    assert "svg" in found.tags
    assert not {"script", "img", "iframe", "a", "form", "link", "object"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert not {"src", "href"} & {name for name, _ in found.attributes}
    assert "<script>alert(1)</script>" in "".join(found.text)
    assert "{{7*7}}" in "".join(found.text)
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_the_page_asks_for_nothing_and_forbids_itself_scripts() -> None:
    page = hostile_page()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "script-src" not in policy[1]
    # A namespace is a name; nobody asks for it.
    assert not re.search(r"https?://", page.replace("http://www.w3.org/2000/svg", ""))
    assert "@import" not in page
    assert "url(" not in page


def test_it_says_which_limit_fired_and_what_is_unknown() -> None:
    text = " ".join("".join(read(render(report_of([answer("top10_adj", 0.5)]))).text).split())
    assert "ten holders own it: top10_adj 50.00 %, bad > 40 % (the field's article)" in text
    assert "unknown: nothing answered this" in text
    assert "undecided: RF1, RF2, RF3, RF4" in text


def test_two_tokens_share_a_page() -> None:
    left, right = report_of([answer("top10_adj", 0.5)]), report_of([answer("top10_adj", 0.1)])
    found = read(render(left, right))
    assert found.tags.count("article") == 2
    assert found.tags.count("h1") == 3


def test_parts_of_a_megabyte_do_not_make_a_page_of_one() -> None:
    metric = Metric(
        "gini", Step.DISTRIBUTION, 0.5, "", Status.OK, "x" * 10**6, parts={"each": [7] * 10**6}
    )
    assert len(render(report_of([metric]))) < 60_000


def test_a_token_of_which_nothing_is_left_has_a_page() -> None:
    """All that was minted was burned again: there is nobody and nothing to draw."""
    rows = [
        Row(5, 1_600_000_000, 0, 0, ZERO, HOLDER, 7),
        Row(6, 1_600_086_400, 0, 0, HOLDER, OTHER, 7),
        Row(7, 1_600_172_800, 0, 0, OTHER, ZERO, 7),
    ]
    held = {TOKEN: Transfers.of(TOKEN, rows)}
    facts = Facts(Memory(chain_id=1, newest=Head(9, 1_700_000_000), held=held))
    report = inquire(View(facts, Subject(token=TOKEN)))
    assert not [each for each in report.failures if each.ours]
    assert "<article>" in render(report)


def test_an_address_that_is_no_token_is_said_to_be_none_perhaps() -> None:
    """An analyst pastes the address of a wallet: zeros or silence would look like a quiet token."""
    held = {TOKEN: Transfers.of(TOKEN, [])}
    facts = Facts(Memory(chain_id=1, newest=Head(9, 1_700_000_000), held=held))
    report = inquire(View(facts, Subject(token=TOKEN)))
    assert report.severity is Severity.UNDECIDED
    assert "may be no ERC-20" in render(report)
    assert "may be no ERC-20" not in render(report_of())
