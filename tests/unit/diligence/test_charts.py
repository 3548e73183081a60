"""Charts: whole, readable without eyes or colours, and deaf to what strangers call themselves."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from tessera.diligence.charts import (
    STYLE,
    Payment,
    ages,
    charts,
    holders,
    payers,
    revenue,
    unlocks,
)
from tessera.diligence.results import Flag, Metric, Severity, Status, Step
from tessera.errors import InputError, InvariantViolation

MONTHS = ("2026-08", "2026-09", "2026-10")
TILL, ANN, BEN, CY = ("0x" + digit * 40 for digit in "eabc")
NASTY = "</title><script>alert(1)</script>\" onload='x' \x1b[2J\u202e&"


def whole(chart: str) -> ET.Element:
    """Read a chart as strictly as XML is read; it asks for nothing and runs nothing."""
    read = ET.fromstring(chart)
    allowed = {
        "figure", "figcaption", "details", "summary", "table", "thead", "tbody", "tr", "th", "td",
        *("svg", "title", "desc", "rect", "line", "path", "circle", "text"),
    }  # fmt: skip
    for element in read.iter():
        assert element.tag.rpartition("}")[2] in allowed
        for name, value in element.attrib.items():
            assert not name.startswith("on")
            assert name.rpartition("}")[2] not in {"href", "src", "style"}
            assert "nan" not in value
            assert "inf" not in value
    return read


def all_charts() -> list[str]:
    return [
        revenue("fees", MONTHS, [1.0, 2.0, 3.0], [1.0, None, 0.0]),
        holders("top", [(NASTY, NASTY, 0.5), (ANN, "", 0.2)], others=0.3),
        unlocks("unlocks", MONTHS, [0.1, 0.0, 0.3], [0.0, None, 0.1]),
        ages("ages", ["< 1 d", "> 1 d"], [0.25, 0.75]),
        payers(
            "payers",
            [Payment(ANN, TILL, 5.0, 1), Payment(TILL, ANN, 5.0, 1), Payment(BEN, TILL, 1.0)],
            receivers={TILL},
            labels={BEN: NASTY, TILL: "Till"},
        ),
        revenue("nothing", (), (), ()),
        holders("nobody", []),
        payers("silence", [], receivers=set()),
    ]


@pytest.mark.parametrize("chart", all_charts(), ids=range(8))
def test_a_chart_has_a_title_a_description_and_its_numbers_as_a_table(chart: str) -> None:
    read = whole(chart)
    svg = "{http://www.w3.org/2000/svg}"
    drawing = read.find(f"{svg}svg")
    assert drawing is not None
    assert drawing.get("role") == "img"
    ids = {element.get("id") for element in drawing if element.get("id")}
    assert set((drawing.get("aria-labelledby") or "").split()) == ids
    assert all(element.text for element in drawing if element.get("id"))
    assert read.find("details/table") is not None


def test_names_of_strangers_are_text_and_nothing_else() -> None:
    """A holder and a payer call themselves a script; a browser reads the page leniently."""
    for chart in all_charts():
        reader = _Tags()
        reader.feed(chart)
        assert "script" not in reader.seen
        assert not {"\x1b", "\u202e"} & set(chart)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)


def test_what_is_unknown_is_a_question_mark_and_no_bar() -> None:
    chart = revenue("fees", MONTHS, [1.0, 2.0, 3.0], [1.0, None, 0.0])
    assert chart.count(">?<") == 1
    assert "<td>unknown</td>" in chart
    assert "1 unknown" in chart


def test_a_value_of_zero_has_no_height_and_a_small_one_can_be_seen() -> None:
    chart = revenue("fees", MONTHS, [0.0, 1e-9, 3.0], [0.0, 0.0, 0.0])
    heights = [float(each) for each in re.findall(r'height="([\d.]+)"><title>', chart)]
    assert heights[0] == 0
    assert 0.5 < heights[2] < 2


def test_amounts_of_256_bits_are_drawn() -> None:
    whole(revenue("fees", MONTHS, [2**256 - 1, 1, 0], [0, 0, 0], unit="base units"))


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf])
def test_what_is_no_amount_is_refused(wrong: float) -> None:
    with pytest.raises(InputError, match="chart"):
        revenue("fees", MONTHS, [wrong, 1, 1], [1, 1, 1])
    with pytest.raises(InputError, match="chart"):
        holders("top", [(ANN, "", wrong)])
    with pytest.raises(InputError, match="chart"):
        payers("who", [Payment(ANN, TILL, wrong)], receivers={TILL})


def test_lists_of_other_lengths_and_odd_names_are_refused() -> None:
    with pytest.raises(InputError, match="2 values"):
        revenue("fees", MONTHS, [1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="chart"):
        ages('a"b', [], [])


def test_rings_are_marked_by_more_than_a_colour() -> None:
    chart = payers(
        "who",
        [Payment(ANN, BEN, 5.0, 2), Payment(BEN, ANN, 5.0, 2), Payment(CY, TILL, 9.0)],
        receivers={TILL},
    )
    assert "1 ring in which money comes back, among 2 payers" in chart
    assert ".ring{" in STYLE
    assert "dasharray" in STYLE
    assert chart.count('class="ring"') == 2
    assert chart.count("<td>ring 2</td>") == 2


def test_many_payers_become_one_and_those_in_rings_stay() -> None:
    crowd = [Payment(f"0x{number:040x}", TILL, 100.0) for number in range(500)]
    ring = [Payment(ANN, BEN, 0.1, 1), Payment(BEN, ANN, 0.1, 1), Payment(ANN, TILL, 0.1)]
    chart = payers("who", crowd + ring, receivers={TILL}, most=10)
    assert chart.count("<circle") == 12
    assert "502 payers" in chart
    assert chart.count('class="ring"') == 2
    assert chart == payers("who", [*reversed(crowd), *ring], receivers={TILL}, most=10)


def metric(name: str, step: Step, **parts: object) -> Metric:
    return Metric(name, step, 1.0, "", Status.OK, "t", parts=parts)


def test_a_report_has_the_charts_that_there_are_numbers_for() -> None:
    months = list(MONTHS)
    found = charts(
        [
            metric("gross_fees_usd", Step.REVENUE, months=months, micro_usd=[1_000_000, None, 3]),
            metric("clean_fees_usd", Step.REVENUE, months=months[1:], micro_usd=[5, 2_000_000]),
            metric("top10_adj", Step.DISTRIBUTION, largest=[[ANN, "", 0.5]], others=0.5, more=1),
            metric("unlock_30d_fwd", Step.DISTRIBUTION, months=months, insiders=[0.1, 0, 0.2],
                   others=[None, 0, 0]),
            metric("hold_km", Step.VELOCITY, age_bands=["< 1 d"], age_shares=[1.0]),
        ],
        [
            Flag("RF3", "t", Severity.FLAG, "circular", "t",
                 parts={"payments": [[ANN, TILL, 5, 1], [TILL, ANN, 5.0, 1], [BEN, TILL, 0, None]],
                        "receivers": [TILL]}),
        ],
        prefix="left",
    )  # fmt: skip
    assert [(each.step, each.flag) for each in found] == [
        (Step.REVENUE, ""), (Step.DISTRIBUTION, ""), (Step.DISTRIBUTION, ""), (Step.VELOCITY, ""),
        (None, "RF3"),
    ]  # fmt: skip
    for each in found:
        whole(each.html)
        assert 'id="left-' in each.html
    assert "<td>$1.00</td><td>unknown</td>" in found[0].html  # no clean figure of that month
    assert "<td>unknown</td><td>$5e-06</td>" in found[0].html


def test_metrics_without_values_have_no_charts() -> None:
    bare = [
        Metric.without(name, Step.REVENUE, Status.UNKNOWN, "why")
        for name in ("gross_fees_usd", "top10_adj", "unlock_30d_fwd", "hold_km")
    ]
    assert charts(bare, [Flag("RF3", "t", Severity.UNDECIDED, "unknown", "t")]) == []
    assert charts([]) == []


def test_parts_of_another_shape_are_our_own_mistake() -> None:
    wrong = metric("hold_km", Step.VELOCITY, age_bands=["a"], age_shares=["b"])
    with pytest.raises(InvariantViolation, match="hold_km"):
        charts([wrong])
