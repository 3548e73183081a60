"""The lines of the graph of payers: payments, and the rings among them."""

from __future__ import annotations

from tessera.diligence.charts import charts
from tessera.diligence.circular.picture import picture
from tessera.diligence.results import Flag, Severity
from tessera.diligence.subject import Currency, Payments, Subject
from tessera.diligence.view import View
from tessera.facts import Facts, Head, Row, Transfers
from tessera.facts.memory import Memory

TOKEN, MONEY, TILL = ("0x" + digit * 40 for digit in "12e")
ZERO = "0x" + "0" * 40
DAY = 86_400
START = 1_700_000_000


def wallet(number: int) -> str:
    return f"0x{number:040x}"


def view_of(rows: list[tuple[int, str, str, int]], *, usd: float | None = 1.0) -> View:
    """Transfers of the currency by moment, after each wallet was given enough."""
    people = sorted({who for _, one, other, _ in rows for who in (one, other)})
    given = [(START - DAY, ZERO, who, 10**12) for who in people]
    made = [
        Row(10 + place, when, 0, 0, source, target, amount)
        for place, (when, source, target, amount) in enumerate([*given, *sorted(rows)])
    ]
    held = {
        TOKEN: Transfers.of(TOKEN, [Row(5, START, 0, 0, ZERO, wallet(900), 7)]),
        MONEY: Transfers.of(MONEY, made),
    }
    paid = Payments(contracts=(TILL,), currencies=(Currency(MONEY, 6, "M", usd),))
    newest = Head(10 + len(made), START + 90 * DAY)
    facts = Facts(Memory(chain_id=1, newest=newest, held=held))
    return View(facts, Subject(token=TOKEN, payments=paid))


def honest() -> list[tuple[int, str, str, int]]:
    return [
        (
            START + day * DAY + who * 977,
            wallet(100 + who),
            TILL,
            1_000_000 + who * 7_919 + day * 131,
        )
        for day in range(20)
        for who in range(15)
    ]


def ring() -> list[tuple[int, str, str, int]]:
    """Three wallets send 50 in a circle each day."""
    return [
        (
            START + day * DAY + 40_000 + step * 600,
            wallet(1 + step),
            wallet(1 + (step + 1) % 3),
            50 * 10**6,
        )
        for day in range(40)
        for step in range(3)
    ]


def test_payments_are_summed_by_pair_and_rings_go_first() -> None:
    found = picture(view_of(honest() + ring()))
    lines = found["payments"]
    assert isinstance(lines, list)
    circles = [line for line in lines if line[3]]
    assert {(line[0], line[1]) for line in circles} == {
        (wallet(1), wallet(2)), (wallet(2), wallet(3)), (wallet(3), wallet(1)),
    }  # fmt: skip
    assert {line[3] for line in circles} == {1}
    assert 0.9 * 40 * 3 * 50 < sum(line[2] for line in circles) <= 40 * 3 * 50
    assert lines[: len(circles)] == circles
    assert len(lines) == 3 + 15
    assert found["receivers"] == [TILL]
    flag = Flag("RF3", "t", Severity.FLAG, "circular", "t", parts=found)
    (chart,) = charts([], [flag])
    assert "1 ring in which money comes back, among 3 payers" in chart.html


def test_few_lines_are_kept_those_in_rings_before_others() -> None:
    lines = picture(view_of(honest() + ring()), most=5)["payments"]
    assert isinstance(lines, list)
    assert [line[3] for line in lines] == [1, 1, 1, None, None]


def test_without_a_price_amounts_are_whole_units() -> None:
    found = picture(view_of(honest(), usd=None))
    assert found["unit"] == "M"


def test_nothing_paid_is_no_picture() -> None:
    assert picture(view_of([(START, wallet(1), wallet(2), 5)])) == {}
