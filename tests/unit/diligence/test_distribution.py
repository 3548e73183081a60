"""Step 3 from end to end: supply, the ten largest in each reading, unlocks, stakes."""

from __future__ import annotations

from datetime import date

import pytest
from tests.unit.diligence.markets import DAY, DEAD, T0, TOKEN, address, history, named, view_of
from tests.unit.diligence.test_entities import paid

from tessera.diligence.distribution import measure
from tessera.diligence.results import Status
from tessera.diligence.subject import People, Unlock

CEX, STAKE, VEST, LOCKBOX, POOL, TEAM = 201, 202, 203, 204, 205, 206
LABELS = {
    CEX: "exchange", STAKE: "staking", VEST: "vesting", LOCKBOX: "bridge", POOL: "dex_pool",
    TEAM: "treasury",
}  # fmt: skip
PEOPLE = [(0.0, 0, n, 10) for n in range(1, 13)]


def answers(moves, until=10.0, **more):
    return named(measure(view_of(moves, until, **more)))


def test_supply_names_each_base():
    found = answers(
        [
            (0, 0, 1, 1000), (1, 1, DEAD, 100), (1, 1, 0, 50), (2, 1, VEST, 200), (2, 1, TEAM, 50),
            (2, 1, LOCKBOX, 30),
        ],
        labels=LABELS,
    )["supply_circulating"]  # fmt: skip
    assert found.parts["minted"] == 950
    assert found.parts["burned"] == 100
    assert found.parts["total"] == 850
    assert found.parts["locked"] == 280
    assert found.value == 570


def test_the_ten_largest_with_and_without_what_lies_in_custody():
    moves = [*PEOPLE, (0, 0, CEX, 400), (0, 0, STAKE, 80)]
    found = answers(moves, labels=LABELS)
    # 600 in all; the largest ten: 400, 80 and eight of 10.
    assert found["top10_raw"].value == pytest.approx(560 / 600)
    adjusted = found["top10_adj"]
    assert adjusted.value == pytest.approx(100 / 120)
    assert adjusted.parts["excluded_share"] == pytest.approx(480 / 600)
    assert adjusted.parts["holders"] == 12
    assert [each.where for each in adjusted.evidence] == [address(n) for n in range(1, 11)]
    assert found["nakamoto"].value == 7
    assert found["nakamoto"].parts["third"] == 4
    assert found["gini"].value == 0
    assert found["hhi"].value == pytest.approx(1 / 12)


def test_a_dollar_makes_a_holder_where_the_price_is_known(tmp_path):
    file = tmp_path / "prices.csv"
    file.write_text(f"token,date,price\n{TOKEN},2026-01-11,0.05\n")
    moves = [*PEOPLE, (0.0, 0, 50, 30)]
    known = answers(moves, prices=file, decimals=0)["gini"]
    assert known.parts["least"] == 20
    assert known.parts["holders"] == 1
    assert answers(moves, decimals=0)["gini"].parts["holders"] == 13


def test_looking_through_gives_stakes_and_pools_to_their_owners():
    moves = [
        *PEOPLE, (0, 0, 50, 880), (1, 50, STAKE, 440), (1, 50, POOL, 440),
    ]  # fmt: skip
    own = history((1, 0, 50, 3), (1, 0, 1, 1), token=address(POOL), first=13)
    found = answers(moves, labels=LABELS, others=[own])
    assert found["top10_adj"].value == pytest.approx(100 / 120)
    # 440 of the stake and 330 of the pool are of 50, 110 of the pool of 1; then eight of 10.
    assert found["top10_lookthrough"].value == pytest.approx((440 + 330 + 120 + 80) / 1000)
    assert found["top10_lookthrough"].parts["opaque_share"] == 0


def test_what_is_not_seen_through_is_said():
    found = answers([*PEOPLE, (0, 0, POOL, 80)], labels=LABELS)["top10_lookthrough"]
    assert found.parts["opaque_share"] == pytest.approx(80 / 200)


def test_splitting_a_wallet_changes_addresses_and_not_entities():
    """A whale pays the gas of new wallets and moves a part to each."""
    before = [(0.0, 0, n, 10) for n in range(1, 30)] + [(0.0, 0, 99, 400)]
    after = before + [(1.0, 99, n, 20) for n in range(400, 420)]
    calls = paid(*((99, n, 5) for n in range(400, 420)))
    whole = answers(before, calls=paid((99, 98, 5)))["top10_adj"]
    split = answers(after, calls=calls)["top10_adj"]
    assert split.value < whole.value
    assert split.parts["entities"] == whole.parts["entities"] == pytest.approx(490 / 690)


def test_unrelated_addresses_and_their_order_change_nothing():
    moves = [*PEOPLE, (1, 1, CEX, 5)]
    one = answers(moves, labels=LABELS)
    other = history((0, 0, 777, 5), (1, 777, 1, 5), token=address(0x999))
    two = answers(moves, labels=LABELS, others=[other])
    assert {name: metric.value for name, metric in one.items()} == {
        name: metric.value for name, metric in two.items()
    }
    assert one["hhi"].inputs_hash == two["hhi"].inputs_hash


def test_attack_nameless_wallets_that_the_deployer_filled():
    """The team keeps most of it in ten fresh wallets without a label, beside honest holders."""
    moves = [
        (0, 0, 1, 1000),
        *((1.0, 1, n, 70) for n in range(50, 60)),
        (1, 1, 2, 100),
        (2, 2, 3, 9),
    ]
    found = answers(moves)["team_locked_anon"]
    assert found.value == pytest.approx(700 / 1000)
    assert found.parts["wallets"] == 10
    named_by = answers(moves, people=People(deployer=address(1), anonymous=True))
    assert named_by["team_locked_anon"].value == found.value
    assert named_by["team_locked_anon"].parts["anonymous"] is True
    # One of them moves on, and is no longer untouched.
    assert answers([*moves, (3, 50, 4, 1)])["team_locked_anon"].value == pytest.approx(630 / 1000)


def test_nobody_knows_the_deployer_of_what_many_minted():
    assert answers(PEOPLE)["team_locked_anon"].status == Status.UNKNOWN


def test_unlocks_are_shares_of_what_circulates():
    start, end = date(2026, 1, 1), date(2026, 4, 11)
    unlocks = (
        Unlock("team", "100", start, end, insider=True),
        Unlock("investors", "50", date(2026, 7, 1), date(2026, 7, 1), insider=True),
        Unlock("community", "100", start, end),
    )
    found = answers([(0, 0, 1, 200), (0, 0, VEST, 100)], labels=LABELS, unlocks=unlocks)
    month = found["unlock_30d_fwd"]
    assert month.value == pytest.approx(60 / 200)
    assert month.parts["share_of_vested"] == pytest.approx(60 / 20)
    assert month.window.start == T0 + 10 * DAY
    assert len(month.parts["months"]) == len(month.parts["insiders"]) == 24
    assert month.parts["months"][6] == "2026-07"
    assert month.parts["insiders"][6] == pytest.approx(50 / 200)
    year = found["unlock_insider_12m"]
    assert year.value == pytest.approx(50 / 200)
    assert year.parts["largest_day_share"] == pytest.approx(50 / 200)


def test_without_a_schedule_unlocks_are_unknown():
    found = answers(PEOPLE)
    assert found["unlock_30d_fwd"].status == Status.UNKNOWN
    assert found["unlock_30d_fwd"].value is None


def test_stakes_count_against_what_circulates():
    moves = [*PEOPLE, (0, 0, TEAM, 80), *((1.0, n, STAKE, 5) for n in range(1, 7))]
    found = answers(moves, labels=LABELS)
    assert found["staking_rate"].value == pytest.approx(30 / 120)
    assert found["stakers"].value == 6
    assert found["stakers"].parts["hhi"] == pytest.approx(1 / 6)
    assert answers(PEOPLE)["staking_rate"].status == Status.UNKNOWN


def test_an_incomplete_history_gives_no_value():
    found = answers([(0, 0, 1, 10), (1, 1, 2, 11)])
    assert {metric.status for metric in found.values()} == {Status.UNKNOWN}
    assert "incomplete" in found["top10_adj"].text


def test_what_never_moved_and_what_is_burned_give_no_value():
    assert {m.status for m in answers([]).values()} == {Status.INSUFFICIENT}
    burned = answers([(0, 0, 1, 10), (1, 1, 0, 10)])
    assert {m.status for m in burned.values()} == {Status.NOT_APPLICABLE}


def test_coverage_says_whose_code_nobody_saw():
    unseen = answers(PEOPLE)["hhi"]
    assert unseen.coverage.share == 0
    assert "100.0%" in unseen.coverage.missing[0]
    codes = dict.fromkeys(range(1, 12), b"") | {12: b"\x60"}
    seen = answers(PEOPLE, codes=codes)["hhi"]
    assert seen.coverage.share == 1
    assert "labels of the contracts that hold 8.3%" in seen.coverage.missing[0]


def test_the_token_itself_is_no_holder_with_a_name():
    moves = [(0, 0, 1, 100), (1, 1, int(TOKEN, 16), 90)]
    assert answers(moves)["team_locked_anon"].value == 0


def test_liquidity_that_nobody_can_take_out_is_told_from_what_its_maker_can():
    """A maker opens a pool, burns a tenth of its liquidity, locks a tenth, and keeps the rest."""
    moves = [*PEOPLE, (0, 0, 50, 880), (1, 50, POOL, 440)]
    own = history(
        (1, 0, 0, 10), (1, 0, 50, 1090), (2, 50, DEAD, 90), (2, 50, VEST, 100),
        # Redeemed: given back to the pool, which destroys it.
        (3, 50, POOL, 100), (3, POOL, 0, 100),
        token=address(POOL), first=13,
    )  # fmt: skip
    found = answers(moves, labels=LABELS, others=[own])["lp_locked_share"]
    assert found.value == pytest.approx((10 + 90 + 100) / 1000)
    assert found.evidence[0].where == address(POOL)
    assert found.coverage.share == 1
    for known in (answers(moves), answers(moves, labels=LABELS)):
        assert known["lp_locked_share"].status == Status.UNKNOWN
