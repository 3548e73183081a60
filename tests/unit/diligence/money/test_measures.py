"""Step 1 of a token of strangers, by hand: two months of a small service and its two holders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tessera.diligence.money import measure
from tessera.diligence.results import DAY_S, Metric, Status, Window
from tessera.diligence.subject import Currency, Holders, Payments, People, Subject
from tessera.diligence.view import View
from tessera.facts import ZERO, Addresses, Amounts, Calls, Facts, Head, Row, Transfers
from tessera.facts.memory import Memory

TOKEN, DOLLAR, NOTE = "0x" + "a" * 40, "0x" + "d" * 40, "0x" + "e" * 40
SERVICE, PAYOUTS, TEAM, WORKER, RELAYER = (f"0x{number:040x}" for number in range(50, 55))
PAYERS = [f"0x{number:040x}" for number in range(100, 120)]
HOLDERS = [f"0x{number:040x}" for number in range(200, 203)]
MARCH, APRIL, MAY = (Window.month(2026, month) for month in (3, 4, 5))
USD, WHOLE = 10**6, 10**18

Moved = tuple[int, str, str, int]


def facts(
    dollars: Sequence[Moved],
    head: int,
    *,
    token: Sequence[Moved] = (),
    made: Calls | None = None,
) -> Facts:
    """A chain on which three holders have 100, 200 and 300 tokens since March began."""
    begun = [(MARCH.start, ZERO, who, (at + 1) * 100 * WHOLE) for at, who in enumerate(HOLDERS)]

    def held(address: str, rows: Sequence[Moved]) -> Transfers:
        made = [Row(time // 12, time // 12 * 12, 0, at, source, target, amount)
                for at, (time, source, target, amount) in enumerate(rows)]  # fmt: skip
        return Transfers.of(address, made)

    return Facts(
        Memory(
            chain_id=1,
            newest=Head(head // 12, head),
            held={TOKEN: held(TOKEN, [*begun, *token]), DOLLAR: held(DOLLAR, dollars)},
            made=made,
        )
    )


ABOUT = Subject(
    token=TOKEN,
    decimals=18,
    payments=Payments(
        contracts=(SERVICE,),
        currencies=(Currency(DOLLAR, 6, "USD", 1.0),),
        relayers=(RELAYER,),
        supply_side=(WORKER,),
    ),
    holders=Holders(promise="we share", distributors=(PAYOUTS,)),
    people=People(team=(TEAM,)),
)

STORY: list[Moved] = [
    (MARCH.start + 1, ZERO, PAYERS[0], 10**12),
    (MARCH.start + 1, ZERO, PAYERS[1], 10**12),
    (MARCH.start + 10 * DAY_S, PAYERS[0], SERVICE, 600 * USD),
    (MARCH.start + 11 * DAY_S, PAYERS[1], SERVICE, 300 * USD),
    (APRIL.start + DAY_S, PAYERS[0], SERVICE, 70 * USD),
    (APRIL.start + 2 * DAY_S, SERVICE, PAYERS[0], 10 * USD),
    (APRIL.start + 3 * DAY_S, TEAM, SERVICE, 30 * USD),
    (APRIL.start + 4 * DAY_S, SERVICE, WORKER, 20 * USD),
    (APRIL.start + 4 * DAY_S, SERVICE, PAYOUTS, 60 * USD),
    *((APRIL.start + 5 * DAY_S, PAYOUTS, who, (at + 1) * 10 * USD)
      for at, who in enumerate(HOLDERS)),
]  # fmt: skip


def answers(found: Facts, about: Subject = ABOUT, **more: Path) -> dict[str, Metric]:
    metrics = measure(View(found, about, **more))  # type: ignore[arg-type]
    assert len({each.name for each in metrics}) == len(metrics)
    return {each.name: each for each in metrics}


def test_the_story_by_hand() -> None:
    """April: 100 gross; 70 of it by one payer, 30 by the team; 20 for work, 60 for holders."""
    found = answers(facts(STORY, MAY.start + DAY_S))
    assert found["gross_fees"].value == 1_000 * USD
    gross = found["gross_fees_usd"]
    assert (gross.value, gross.window) == (100.0, APRIL)
    assert gross.parts["months"] == ["2026-03", "2026-04", "2026-05"]
    assert gross.parts["micro_usd"] == [900 * USD, 100 * USD, 0]
    assert found["supply_side_usd"].value == 20.0
    assert found["holders_revenue_usd"].value == 60.0
    assert found["holders_revenue"].value == 60 * USD
    assert found["inference_calls"].value == 2
    assert found["months_since_distribution"].value == 0
    payout = found["payout_coverage"]
    assert payout.value == 1.0
    assert payout.parts["pro_rata"] is True
    # The team is no payer.
    assert found["payer_count"].value == 1
    assert found["payer_top10"].value == 1.0
    assert found["payer_retention"].value == 0.5
    assert found["payer_fresh_share"].value == 0.0


def test_clean_fees_by_hand() -> None:
    """April's 100 without the team's 30 and the 10 that went back; nothing goes in circles."""
    found = answers(facts(STORY, MAY.start + DAY_S))
    clean = found["clean_fees_usd"]
    assert clean.value == 60.0
    assert clean.parts["removed"] == {
        "circular": [0, 0, 0], "team": [0, 30 * USD, 0], "refunded": [0, 10 * USD, 0],
    }  # fmt: skip
    assert found["subsidy_share"].value == pytest.approx(0.4)
    # 60 to holders in April, of which 60 % is from outside, over two months and 600 tokens.
    assert found["revenue_per_token"].value == pytest.approx(36 / 2 / 600)


def test_money_that_goes_round_is_no_revenue() -> None:
    """The team sends a wallet money, the wallet pays the service, the service pays the team."""
    ring = [
        (APRIL.start + day * DAY_S + hour * 3600, *way, 500 * USD)
        for day in range(10, 16)
        for hour, way in enumerate(((TEAM, PAYERS[5]), (PAYERS[5], SERVICE), (SERVICE, TEAM)))
    ]
    found = answers(facts([*STORY, (MARCH.start, ZERO, TEAM, 10**12), *ring], MAY.start))
    assert found["gross_fees_usd"].value == 3_100.0
    assert found["clean_fees_usd"].value == 60.0
    assert found["clean_fees_usd"].parts["removed"]["circular"][1] == 3_000 * USD  # type: ignore[index]
    assert found["subsidy_share"].value == pytest.approx(1 - 60 / 3_100)
    assert found["payer_count"].value == 1


def test_what_nobody_said_is_unknown_and_not_zero() -> None:
    """A description of payments alone says nothing of who is paid: neither holders nor workers."""
    quiet = Subject(
        token=TOKEN, decimals=18,
        payments=Payments(contracts=(SERVICE,), currencies=ABOUT.payments.currencies),
    )  # fmt: skip
    found = answers(facts(STORY, MAY.start), quiet)
    assert found["gross_fees_usd"].value == 100.0
    for name in ("holders_revenue", "holders_revenue_usd", "supply_side_usd", "revenue_per_token",
                 "revenue_yield"):  # fmt: skip
        assert found[name].status is Status.UNKNOWN
        assert "nobody said" in found[name].text or "no price" in found[name].text


def test_a_month_without_fees_is_zero_because_it_was_looked_at() -> None:
    found = answers(facts(STORY, Window.month(2026, 6).start))
    assert found["gross_fees_usd"].value == 0.0
    assert found["gross_fees_usd"].window == MAY
    assert found["payer_count"].status is Status.INSUFFICIENT


def test_a_tenth_of_a_cent_is_not_said_to_be_nothing() -> None:
    """The first call of a model in the tutorial costs 0.001 dollars."""
    found = answers(facts([(MARCH.start + DAY_S, PAYERS[0], SERVICE, 1_000)], APRIL.start))
    assert found["gross_fees_usd"].text == "0.001 USD users paid in 2026-03"
    assert found["holders_revenue_usd"].text == "0.00 USD reached holders in 2026-03"


def test_nobody_said_where_users_pay() -> None:
    found = answers(facts(STORY, MAY.start), Subject(token=TOKEN, decimals=18))
    assert {each.status for each in found.values()} == {Status.UNKNOWN}
    assert all(each.value is None for each in found.values())


def test_a_currency_that_nobody_observed_is_said() -> None:
    """Half of the revenue set is not indexed: the sum says what is missing from it."""
    import msgspec

    both = (*ABOUT.payments.currencies, Currency(NOTE, 18, "NOTE"))
    about = msgspec.structs.replace(
        ABOUT, payments=msgspec.structs.replace(ABOUT.payments, currencies=both)
    )
    found = answers(facts(STORY, MAY.start), about)
    gross = found.pop("gross_fees_usd")
    assert gross.value == 100.0
    assert found.pop("gross_fees").value == 1_000 * USD
    assert {each.status for each in found.values()} == {Status.UNKNOWN}
    assert gross.coverage.missing == ("transfers of NOTE",)
    only = msgspec.structs.replace(
        ABOUT, payments=msgspec.structs.replace(ABOUT.payments, currencies=both[1:])
    )
    nothing = answers(facts(STORY, MAY.start), only)
    assert {each.status for each in nothing.values()} == {Status.UNKNOWN}
    assert all("transfers of NOTE were not observed" in each.text for each in nothing.values())


def test_no_price_is_not_zero_dollars(tmp_path: Path) -> None:
    import msgspec

    free = (Currency(DOLLAR, 6, "USD"),)
    about = msgspec.structs.replace(
        ABOUT, payments=msgspec.structs.replace(ABOUT.payments, currencies=free)
    )
    found = answers(facts(STORY, MAY.start), about)
    assert found["gross_fees_usd"].status is Status.UNKNOWN
    assert found["gross_fees"].value == 1_000 * USD
    # In one currency shares of payers need no price.
    assert found["payer_count"].value == 1
    file = tmp_path / "prices.csv"
    days = [f"{DOLLAR},2026-04-{day:02},2" for day in range(1, 31)]
    file.write_text("\n".join(["token,date,price", *days]))
    priced = answers(facts(STORY, MAY.start), about, prices=file)
    assert priced["gross_fees_usd"].value == 200.0


def test_the_price_of_a_symbol_is_not_a_strangers_to_take(tmp_path: Path) -> None:
    """A token that calls itself ETH is not worth an ether: prices go by its address."""
    file = tmp_path / "prices.csv"
    days = [f"ETH,2026-04-{day:02},4000" for day in range(1, 31)]
    file.write_text("\n".join(["symbol,date,price", *days]))
    import msgspec

    named = msgspec.structs.replace(ABOUT, name="ETH")
    found = answers(facts(STORY, MAY.start), named, prices=file)
    assert found["price_to_fees"].status is Status.UNKNOWN


def test_fees_against_a_price(tmp_path: Path) -> None:
    """600 tokens at 2 dollars; 1,000 dollars of fees in the two months of 61 days."""
    file = tmp_path / "prices.csv"
    days = [f"{TOKEN},2026-04-{day:02},2" for day in range(1, 31)]
    file.write_text("\n".join(["token,date,price", *days]))
    found = answers(facts(STORY, MAY.start), prices=file)
    yearly = 1_000 / (61 / 365)
    assert found["price_to_fees"].value == pytest.approx(1_200 / yearly)
    assert found["fees_to_emission"].status is Status.NOT_APPLICABLE


def test_what_a_token_mints_is_held_against_its_fees(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    days = [f"{TOKEN},2026-04-{day:02},2" for day in range(1, 31)]
    file.write_text("\n".join(["token,date,price", *days]))
    minted = [(APRIL.start + DAY_S, ZERO, WORKER, 5_000 * WHOLE)]
    found = answers(facts(STORY, MAY.start, token=minted), prices=file)
    assert found["fees_to_emission"].value == pytest.approx(100 / 10_000)


def test_a_payout_that_was_minted_is_emission() -> None:
    """Holders are 'paid' 600 tokens that were minted for it that month: no revenue."""
    minted = [
        (APRIL.start + 6 * DAY_S, ZERO, PAYOUTS, 600 * WHOLE),
        *((APRIL.start + 7 * DAY_S, PAYOUTS, who, 200 * WHOLE) for who in HOLDERS),
    ]
    found = answers(facts(STORY, MAY.start, token=minted))
    revenue = found["holders_revenue"]
    assert revenue.parts["by_currency"] == {DOLLAR: str(60 * USD), TOKEN: "0"}
    assert revenue.value == 60 * USD


def test_months_without_a_payout_are_counted() -> None:
    """Paid out on 5 April, asked on the last of October: May to October are six whole months."""
    found = answers(facts(STORY, Window.month(2026, 11).start - 1))
    assert found["months_since_distribution"].value == 6
    assert answers(facts(STORY, Window.month(2026, 11).start - 2))[
        "months_since_distribution"
    ].value == 5  # fmt: skip


def test_a_promise_that_was_never_kept() -> None:
    never = [row for row in STORY if PAYOUTS not in row[1:3]]
    found = answers(facts(never, Window.month(2026, 11).start - 1))
    since = found["months_since_distribution"]
    # The launch's own month does not count.
    assert since.value == 7
    assert "no payout since 2026-03-01" in since.text
    assert found["payout_coverage"].status is Status.INSUFFICIENT
    # A table that begins in March does not say that nothing was paid in February.
    short = facts(never, Window.month(2026, 7).start - 1)
    assert answers(short)["months_since_distribution"].status is Status.UNKNOWN
    known = msgspec.structs.replace(ABOUT, launched=date(2026, 3, 1))
    assert answers(short, known)["months_since_distribution"].value == 3


def test_wallets_that_the_team_filled_are_no_demand_though_nobody_looked_at_gas() -> None:
    """The attack: the team fills a hundred wallets, each pays once, and gas comes from elsewhere.

    An employee who spends some of the wage at the service, is demand all the same.
    """
    wallets = [f"0x{number:040x}" for number in range(1000, 1100)]
    worker = PAYERS[9]
    rows = [(MARCH.start, ZERO, TEAM, 10**12), (APRIL.start, TEAM, worker, 900 * USD)]
    rows += [(APRIL.start + DAY_S + at, TEAM, who, 20 * USD) for at, who in enumerate(wallets)]
    rows += [
        (APRIL.start + 5 * DAY_S + at * 3600, who, SERVICE, 19 * USD)
        for at, who in enumerate([*wallets, worker])
    ]
    found = answers(facts(rows, MAY.start))
    assert found["gross_fees_usd"].value == 101 * 19.0
    assert found["clean_fees_usd"].value == 19.0
    assert found["payer_count"].value == 1


def test_a_payout_to_oneself_or_of_dust_stops_no_clock() -> None:
    """The attacks: the project pays its own wallet, or a holder a cent, to seem to distribute."""
    late, end = Window.month(2026, 10).start, Window.month(2026, 11).start - 1
    about = msgspec.structs.replace(ABOUT, people=People(team=(HOLDERS[2],)))
    for fake in ((late, PAYOUTS, HOLDERS[2], 500 * USD), (late, PAYOUTS, HOLDERS[0], USD // 100)):
        found = answers(facts([*STORY, fake], end), about)
        assert found["months_since_distribution"].value == 6
    real = (late, PAYOUTS, HOLDERS[0], 500 * USD)
    assert answers(facts([*STORY, real], end), about)["months_since_distribution"].value == 0


def test_a_wallet_that_the_team_brought_to_life_pays_as_the_team() -> None:
    """The attack: the team pays itself out of wallets that it fills, and names none of them."""
    table = Addresses.of((TEAM, *PAYERS[:2]))
    calls = Calls(
        addresses=table,
        block=np.array([1, 2]),
        time=np.array([12, 24]),
        index=np.zeros(2, np.int32),
        hash=np.zeros((2, 32), np.uint8),
        sender=np.full(2, table.id_of(TEAM), np.int32),
        to=np.array([table.id_of(who) for who in PAYERS[:2]], np.int32),
        value=Amounts.of([10**16, 10**16]),
        selector=np.zeros(2, np.uint32),
        ok=np.ones(2, np.bool_),
    )
    # Gas alone is a faucet's; the token too is the team's.
    token = [(MARCH.start, HOLDERS[0], TEAM, 50), (MARCH.start, TEAM, PAYERS[0], 20)]
    token.append((MARCH.start, TEAM, PAYERS[1], 20))
    found = answers(facts(STORY, MAY.start + DAY_S, token=token, made=calls))
    assert found["gross_fees_usd"].value == 100.0
    assert found["clean_fees_usd"].value == 0.0
    assert found["subsidy_share"].value == 1.0


def test_relayers_that_hide_who_pays_leave_shares_of_payers_unknown() -> None:
    """Twenty payers, or one who pays through a facilitator twenty times: nobody can say."""
    through = [(APRIL.start + DAY_S + at, RELAYER, SERVICE, 5 * USD) for at in range(20)]
    found = answers(facts([*STORY[:5], *through], MAY.start))
    assert found["payer_count"].status is Status.UNKNOWN
    assert "58.8%" in found["payer_count"].text
    assert found["gross_fees_usd"].value == 170.0


def test_wallets_that_are_as_young_as_their_payment() -> None:
    """A sybil funds nineteen wallets the day before they pay."""
    rows = [(APRIL.start, ZERO, who, 10 * USD) for who in PAYERS[1:]]
    rows += [(APRIL.start + DAY_S, who, SERVICE, 10 * USD) for who in PAYERS[1:]]
    story = [STORY[0], (APRIL.start + DAY_S, PAYERS[0], SERVICE, 10 * USD)]
    found = answers(facts([*story, *rows], MAY.start))
    assert found["payer_count"].value == 20
    assert found["payer_top10"].value == 0.5
    assert found["payer_fresh_share"].value == pytest.approx(0.95)


def test_moving_all_times_by_whole_months_moves_nothing_else() -> None:
    """29 days later, in another month of other years, sums are the same."""
    shift = Window.month(2028, 3).start - MARCH.start
    later = [(time + shift, *rest) for time, *rest in STORY]
    begun = answers(facts(STORY, MAY.start))
    moved = measure(View(facts(later, MAY.start + shift), ABOUT))  # type: ignore[arg-type]
    again = {each.name: each for each in moved}
    for name in ("gross_fees", "gross_fees_usd", "holders_revenue_usd", "payer_count"):
        assert again[name].value == begun[name].value


def test_what_others_do_with_the_currency_changes_nothing() -> None:
    noise = [(APRIL.start + at, PAYERS[at % 9 + 9], PAYERS[at % 7 + 2], at) for at in range(1, 200)]
    found, noisy = answers(facts(STORY, MAY.start)), answers(facts([*STORY, *noise], MAY.start))
    for name, metric in found.items():
        assert noisy[name].value == metric.value, name


def test_an_earlier_block_sees_nothing_of_the_future() -> None:
    """As of the end of March, whatever comes in April."""
    march = [row for row in STORY if row[0] < MARCH.end]
    other = [*march, (APRIL.start + 5, PAYERS[7], SERVICE, 10**15)]
    block = (MARCH.end - 1) // 12
    seen = [measure(View(facts(rows, MAY.start).as_of(block), ABOUT)) for rows in (STORY, other)]
    assert [each.value for each in seen[0]] == [each.value for each in seen[1]]
    assert [each.inputs_hash for each in seen[0]] == [each.inputs_hash for each in seen[1]]
