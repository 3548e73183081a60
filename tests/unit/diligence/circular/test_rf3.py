"""RF3 from facts: flagged, clear, undecided; and what it shows."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from bench.rings import reference
from tests.unit.diligence.circular.markets import (
    SMALL,
    START,
    honest,
    looked,
    members,
    rounds,
    with_rows,
)

from tessera.diligence.charts import charts
from tessera.diligence.circular.composite import look
from tessera.diligence.circular.generator import Market, RingPlan, market
from tessera.diligence.circular.measures import judge
from tessera.diligence.results import DAY_S, Severity, Status
from tessera.diligence.subject import Currency, Payments, People, Subject
from tessera.diligence.view import View
from tessera.facts import Facts, Head
from tessera.facts.memory import Memory

TOKEN, MONEY, OTHER = "0x" + "71" * 20, "0x" + "70" * 20, "0x" + "72" * 20
TEAM = 499
DAYS = 90


def address(entity: int) -> str:
    return f"0x{entity + 1:040x}"


def view(made: Market, *, of_token: bool = False, days: float = DAYS, known: bool = True) -> View:
    """The market as what users pay with, or as the trades of the token itself."""
    token = TOKEN
    money = made.transfers(MONEY)
    traded = made.transfers(token) if of_token else money.select(slice(0, 5))
    traded = replace(traded, token=token)
    head = Head(len(made.source) + 1, START + int(days * DAY_S))
    held = {token: traded, MONEY: money}
    about = Subject(
        token=token,
        decimals=18,
        payments=Payments(
            contracts=tuple(address(int(each)) for each in made.services) if known else (),
            currencies=(Currency(address=MONEY, decimals=6, usd=1.0),),
        ),
        people=People(team=(address(TEAM),)),
        labels={address(int(each)): "exchange" for each in made.hubs},
    )
    return View(Facts(Memory(chain_id=31337, newest=head, held=held)), about)


def washed(share: float) -> Market:
    """A market in which the team pays wallets, which pay a service, which pays the team."""
    base = honest()
    service = int(base.services[0])
    wallets = members(8)
    paid = int(base.amount[np.isin(base.target, base.services)].sum())
    turns = rounds(lambda rng: np.array([TEAM, int(rng.choice(wallets)), service]), 300)
    source, target, time, amount = turns
    wanted = paid * share / (1 - share) * 3
    amount = np.maximum(1, (amount * (wanted / amount.sum())).astype(np.int64))
    return with_rows(base, (source, target, time, amount))


def test_an_honest_market_is_clear() -> None:
    flag = judge(view(honest()))
    assert (flag.name, flag.severity, flag.verdict) == ("RF3", Severity.CLEAR, "not_circular")
    payments = next(each for each in flag.metrics if each.name == "circular_payments")
    assert isinstance(payments.value, float)
    assert payments.value < 0.01
    assert payments.parts["lower"] == 0


def test_fees_that_come_back_to_the_project_are_a_flag_with_evidence() -> None:
    flag = judge(view(washed(0.6)))
    assert (flag.severity, flag.verdict) == (Severity.FLAG, "circular")
    payments = next(each for each in flag.metrics if each.name == "circular_payments")
    assert payments.value == pytest.approx(0.6, abs=0.05)
    assert payments.parts["lower"] <= payments.value <= payments.parts["upper"]  # type: ignore[operator]
    ring = payments.parts["rings"][0]  # type: ignore[index]
    assert address(TEAM) in ring["members"]
    assert flag.evidence[0].where.startswith("block ")
    assert any("wallets" in each.what for each in flag.evidence)
    assert "who funded the payers: no transactions were observed" in payments.coverage.missing


def test_the_report_can_draw_who_paid_whom() -> None:
    flag = judge(view(washed(0.6)))
    drawn = charts(flag.metrics, [flag])
    assert [each.flag for each in drawn] == ["RF3"]


def test_the_graph_of_payers_is_in_the_unit_that_it_names() -> None:
    """Amounts have six decimals: a base unit is no dollar."""
    made = washed(0.6)
    flag = judge(view(made))
    assert flag.parts["unit"] == "USD"
    lines = flag.parts["payments"]
    assert isinstance(lines, list)
    assert 0 < sum(each[2] for each in lines) <= int(made.amount.sum()) / 10**6


def test_small_payments_in_another_currency_hide_no_circles() -> None:
    """A service washes in one currency, and takes more payments, of next to nothing, in another."""
    washing, crumbs = washed(0.6), honest()
    small = replace(crumbs, amount=np.maximum(1, crumbs.amount // 1_000_000))
    twice = with_rows(small, (small.source, small.target, small.time + 1, small.amount)).transfers(
        OTHER
    )
    alone = view(washing)
    held = {TOKEN: alone.transfers, MONEY: alone.currencies[MONEY], OTHER: twice}
    coins = tuple(Currency(address=each, decimals=6, usd=1.0) for each in (MONEY, OTHER))
    about = replace_currencies(alone.subject, coins)
    head = Head(len(twice) + len(washing.source), START + DAYS * DAY_S)
    flag = judge(View(Facts(Memory(chain_id=31337, newest=head, held=held)), about))
    assert (flag.severity, flag.verdict) == (Severity.FLAG, "circular")
    assert "what users paid in 1 other currency" in flag.metrics[0].coverage.missing


def test_a_fifth_that_goes_round_is_told_and_is_no_flag() -> None:
    flag = judge(view(washed(0.2)))
    assert flag.severity is Severity.CLEAR
    payments = next(each for each in flag.metrics if each.name == "circular_payments")
    assert payments.value == pytest.approx(0.2, abs=0.03)


def test_too_few_payments_or_days_decide_nothing() -> None:
    made = honest()
    few = with_rows(replace_rows(made, slice(0, 60)))
    flag = judge(view(few))
    assert flag.severity is Severity.UNDECIDED
    assert flag.metrics[0].status is Status.INSUFFICIENT


def test_where_users_pay_is_unknown_nothing_is_clear() -> None:
    flag = judge(view(honest(), known=False))
    assert (flag.severity, flag.verdict) == (Severity.UNDECIDED, "unknown")
    assert "nobody said where users pay" in flag.text


def test_fewer_than_ten_payers_are_a_flag_without_a_ring() -> None:
    made = honest()
    chosen = np.isin(made.source, [130, 131, 132, 133]) & np.isin(made.target, made.services)
    rng = np.random.default_rng(1)
    count = 80
    rows = (
        rng.choice([130, 131, 132, 133], count),
        np.full(count, int(made.services[0])),
        np.sort(rng.integers(START, START + 80 * DAY_S, count)),
        rng.integers(1_000_000, 9_000_000, count),
    )
    few = with_rows(replace_rows(made, chosen), rows)
    flag = judge(view(few))
    assert flag.severity is Severity.FLAG
    assert "4 payers pay everything" in flag.text


def test_trades_of_the_token_among_its_own_wallets_are_a_flag() -> None:
    made = market(SMALL.with_rings(RingPlan(3, 0.7, 0.02, 3_600), seed=2))
    flag = judge(view(made, of_token=True, known=False))
    assert flag.severity is Severity.FLAG
    volume = next(each for each in flag.metrics if each.name == "circular_volume")
    assert volume.value == pytest.approx(0.7, abs=0.03)


def test_payments_between_wallets_of_one_owner_are_circular_by_arithmetic() -> None:
    made = honest()
    pair = members(2)
    rows = rounds(lambda _: pair, 3, jitter=0.5)
    mixed = with_rows(made, rows)
    parties = mixed.parties()
    entity = parties.entity.copy()
    entity[pair[1] + 1] = entity[pair[0] + 1]
    found = look(mixed.transfers(), replace(parties, entity=entity))
    own = (mixed.ring >= 0) & found.counted
    assert found.lower[own].all()
    assert looked(mixed).lower[own].sum() == 0


def test_the_future_changes_nothing_of_the_past() -> None:
    """As of a block, with everything after it in another order, the answer is the same."""
    made = washed(0.6)
    block = len(made.source) * 2 // 3
    rng = np.random.default_rng(3)
    later = np.arange(block, len(made.source))
    other = later.copy()
    rng.shuffle(other)
    order = np.concatenate([np.arange(block), other])
    shuffled = replace(
        made, source=made.source[order], target=made.target[order], amount=made.amount[order]
    )
    answers = []
    for each in (made, shuffled):
        whole = view(each)
        answers.append(judge(View(whole.facts.as_of(block), whole.subject)))
    assert answers[0] == answers[1]


def replace_currencies(about: Subject, coins: tuple[Currency, ...]) -> Subject:
    """The same subject, with other currencies."""
    payments = msgspec.structs.replace(about.payments, currencies=coins)
    return msgspec.structs.replace(about, payments=payments)


def replace_rows(made: Market, rows: slice | np.ndarray) -> Market:
    """Only some payments of a market."""
    return replace(
        made,
        **{
            name: getattr(made, name)[rows]
            for name in ("source", "target", "time", "amount", "ring")
        },
    )


def test_real_transfers_are_not_accused() -> None:
    """LP tokens of 1,622 pools: nearly all of it is minted, moved once and burned."""
    folder = os.environ.get("TESSERA_REFERENCE_DATA")
    if not folder:
        pytest.skip("TESSERA_REFERENCE_DATA names no folder")
    tokens, mean, _ = reference(Path(folder))
    assert tokens > 1_000
    assert mean < 0.01


def test_rings_have_members_turns_and_sums_and_no_exchange_among_them() -> None:
    """Two rings of which a quarter of all hops passes an exchange; sums are exact."""
    made = market(SMALL.with_rings(RingPlan(4, 0.3, 0.02, 3_600, 0.25), seed=3))
    found = looked(made)
    rings = found.rings
    planted = [set(made.source[made.ring == number].tolist()) for number in (0, 1)]
    hubs = set(made.hubs.tolist())
    largest = [{member - 1 for member in ring.members} for ring in rings[:2]]
    assert sorted(map(sorted, largest)) == sorted(sorted(each - hubs) for each in planted)
    rows = found.loops.loop >= 0
    assert sum(ring.paid for ring in rings) == found.value(rows)
    assert sum(ring.circulated for ring in rings) == found.circulated()
    assert sum(ring.loops for ring in rings) == len(found.loops)
