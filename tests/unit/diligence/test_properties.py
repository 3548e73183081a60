"""What must hold of every measure at once, whatever it measures.

A small market of random people is told in several ways that are the same to whoever asks about one
of its tokens; the whole report must be the same, to the hash of its inputs. New measures and flags
are covered the moment they are listed in `inquiry.parts()`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tessera.diligence.inquiry import inquire
from tessera.diligence.report import Report
from tessera.diligence.results import Status
from tessera.diligence.subject import Currency, Holders, Payments, People, Subject, Unlock
from tessera.diligence.view import View
from tessera.facts import (
    ZERO,
    Addresses,
    Amounts,
    Calls,
    Coverage,
    Facts,
    Head,
    Row,
    Transfers,
)
from tessera.facts.memory import Memory

DAY_S = 86_400
BLOCK_S = 12
DAYS = 130
BEGAN = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())
AS_OF = (DAYS - 10) * DAY_S // BLOCK_S
LAST = DAYS * DAY_S // BLOCK_S
# The calendar, weekdays and leap years included, repeats after so many years.
CYCLE_YEARS = 400
CYCLE_S = 146_097 * DAY_S


def address(number: int) -> str:
    return f"0x{number + (1 << 40):040x}"


TOKEN, DOLLAR, ELSE, NOISE = (address(n) for n in (1, 2, 3, 4))
SERVICE, PAYOUTS, STAKING, EXCHANGE, VESTING, TEAM, WORKER = (address(n) for n in range(10, 17))
PEOPLE = [address(n) for n in range(100, 130)]
STRANGERS = [address(n) for n in range(900, 960)]
CODED = {TOKEN, DOLLAR, SERVICE, PAYOUTS, STAKING, VESTING}


@dataclass(frozen=True)
class Told:
    """One way to tell what happened: rows of (block, source, target, amount) by token."""

    moves: Mapping[str, tuple[tuple[int, str, str, int], ...]]
    calls: tuple[tuple[int, str, str, int], ...]
    order: int = 0
    later: int = 0
    shift: int = 0

    def facts(self) -> Facts:
        """Return it as facts; `order` deals out ids."""
        named = [end for rows in self.moves.values() for row in rows for end in row[1:3]]
        named += [end for _, sender, to, _ in self.calls for end in (sender, to)]
        dealt = sorted(set(named))
        random.Random(self.order).shuffle(dealt)
        table = Addresses.of(dealt)
        held = {
            token: Transfers.of(
                token,
                [
                    Row(block, self.time(block), 1, at, *rest)
                    for at, (block, *rest) in enumerate(sorted(rows))
                ],
                table,
            )
            for token, rows in self.moves.items()
        }
        newest = Head(LAST + self.later, self.time(LAST + self.later))
        return Facts(
            Memory(
                chain_id=31337,
                newest=newest,
                held=held,
                covered={token: Coverage(0, newest.block, (), complete=True) for token in held},
                known_at=self.time(10 * LAST),
                made=self.made(table),
                codes=dict.fromkeys(sorted(CODED), ((0, b"\x60\x00"),)),
            )
        )

    def time(self, block: int) -> int:
        return BEGAN + block * BLOCK_S + self.shift

    def made(self, table: Addresses) -> Calls:
        rows = sorted(self.calls)
        count = len(rows)
        block = np.array([row[0] for row in rows], np.int64)
        return Calls(
            table,
            block,
            block * BLOCK_S + BEGAN + self.shift,
            np.zeros(count, np.int32),
            np.zeros((count, 32), np.uint8),
            table.ids_of([row[1] for row in rows]),
            table.ids_of([row[2] for row in rows]),
            Amounts.of([row[3] for row in rows]),
            np.zeros(count, np.uint32),
            np.ones(count, np.bool_),
        )


def moved(
    chance: random.Random, people: Sequence[str], count: int, scale: int, first: int = 0
) -> tuple[tuple[int, str, str, int], ...]:
    """Mints, then transfers among people; nobody gives more than he has."""
    blocks = sorted(chance.sample(range(first, LAST), count))
    held: dict[str, int] = {}
    rows = []
    for at, block in enumerate(blocks):
        owners = sorted(who for who, amount in held.items() if amount)
        if at < 8 or not owners:
            source, amount = ZERO, chance.randrange(1, 1_000) * scale
        else:
            source = chance.choice(owners)
            amount = chance.randrange(1, held[source] + 1)
            held[source] -= amount
        target = chance.choice(people)
        held[target] = held.get(target, 0) + amount
        rows.append((block, source, target, amount))
    return tuple(rows)


def market(seed: int) -> Told:
    """A token with stakes and an exchange, a service that is paid in dollars, and payouts."""
    chance = random.Random(seed)
    places = [STAKING, EXCHANGE, VESTING, TEAM]
    token = moved(chance, PEOPLE + places * 2, 260, 10**20)
    dollars: list[tuple[int, str, str, int]] = [
        (at, ZERO, who, 10**12) for at, who in enumerate(PEOPLE[:14])
    ]
    # Of the block that is asked about the time is known, whatever else happens.
    dollars.append((AS_OF, ZERO, PEOPLE[0], 1))
    dollars += [
        (block, chance.choice(PEOPLE[:14]), SERVICE, chance.randrange(1, 5 * 10**8))
        for block in sorted(chance.sample(range(100, LAST), 240))
    ]
    for month in range(4):
        block = (month * 30 + 25) * DAY_S // BLOCK_S
        dollars += [(block, SERVICE, WORKER, 10**6), (block + 1, SERVICE, PAYOUTS, 10**7)]
        dollars += [(block + 2 + at, PAYOUTS, who, 10**5) for at, who in enumerate(PEOPLE[:9])]
    # Nobody's first coin comes from another: each is an entity of its own.
    calls = tuple((at, address(5_000 + at), who, 10**18) for at, who in enumerate(PEOPLE))
    calls += tuple((100 + at, who, SERVICE, 0) for at, who in enumerate(PEOPLE[:14]))
    return Told({TOKEN: token, DOLLAR: tuple(dollars)}, calls)


def about(years: int = 0) -> Subject:
    return Subject(
        token=TOKEN,
        decimals=18,
        launched=date(2026 + years, 3, 1),
        payments=Payments(
            contracts=(SERVICE,), currencies=(Currency(DOLLAR, 6, "USD", 1.0),),
            supply_side=(WORKER,),
        ),
        holders=Holders(promise="we share what we earn", distributors=(PAYOUTS,)),
        people=People(team=(TEAM,), deployer=PEOPLE[3]),
        unlocks=(
            Unlock("team", str(10**21), date(2026 + years, 1, 1), date(2027 + years, 1, 1),
                   insider=True),
        ),
        labels={STAKING: "staking", EXCHANGE: "exchange", VESTING: "vesting"},
    )  # fmt: skip


def report(told: Told, *, as_of: int = AS_OF, years: int = 0) -> Report:
    made = inquire(View(told.facts().as_of(as_of), about(years)))
    assert made.failures == ()
    return made


SEEDS = (1, 2)


@pytest.fixture(scope="module", params=SEEDS)
def told(request: pytest.FixtureRequest) -> Told:
    return market(request.param)


@pytest.fixture(scope="module")
def plain(told: Told) -> Report:
    return report(told)


def same(one: Report, other: Report) -> None:
    assert one.metrics == other.metrics
    assert one.flags == other.flags
    assert one.findings == other.findings
    assert (one.head, one.transfers) == (other.head, other.transfers)


def test_the_market_has_answers_to_compare(plain: Report) -> None:
    """Otherwise all of this would compare nothing with nothing."""
    answered = {metric.name for metric in plain.metrics if metric.status is Status.OK}
    for name in (
        "top10_adj", "gini", "hhi", "nakamoto", "staking_rate", "unlock_30d_fwd", "hold_fifo",
        "hold_median_fifo", "hold_km", "dormancy", "turnover", "exchange_share", "gross_fees_usd",
        "holders_revenue_usd", "payer_count", "payer_hhi", "payer_retention",
        "months_since_distribution", "supply_total",
    ):  # fmt: skip
        assert name in answered, name


def test_the_same_facts_asked_twice_answer_alike(told: Told, plain: Report) -> None:
    same(report(told), plain)


def test_ids_of_addresses_mean_nothing(told: Told, plain: Report) -> None:
    same(report(replace(told, order=99)), plain)


def other_tokens(told: Told) -> Told:
    chance = random.Random(4)
    more = {ELSE: moved(chance, STRANGERS, 120, 1), NOISE: moved(chance, PEOPLE, 90, 2**190)}
    return replace(told, moves={**told.moves, **more})


def strangers_calls(told: Told) -> Told:
    chance = random.Random(5)
    return replace(told, calls=told.calls + tuple(
        (chance.randrange(LAST), chance.choice(STRANGERS), chance.choice(STRANGERS), 10**15)
        for _ in range(150)
    ))  # fmt: skip


@pytest.mark.parametrize("add", [other_tokens, strangers_calls])
def test_what_has_nothing_to_do_with_a_token_changes_nothing(
    told: Told, plain: Report, add: Callable[[Told], Told]
) -> None:
    """Other tokens, of strangers and of the same people, and calls among strangers."""
    same(report(add(told)), plain)
    same(report(replace(add(told), order=7)), plain)


def with_another_future(told: Told, seed: int) -> Told:
    """Keep all up to the block; replace what came later by anything, in any amounts."""
    chance = random.Random(seed)

    def future(count: int) -> list[tuple[int, str, str, int]]:
        everybody = [*PEOPLE, *STRANGERS, SERVICE, PAYOUTS, STAKING, EXCHANGE, ZERO]
        return [
            (
                chance.randrange(AS_OF + 1, LAST),
                chance.choice(everybody),
                chance.choice(everybody),
                chance.getrandbits(chance.choice([3, 70, 256])),
            )
            for _ in range(count)
        ]

    return replace(
        told,
        moves={
            token: tuple(row for row in rows if row[0] <= AS_OF) + tuple(future(60))
            for token, rows in told.moves.items()
        },
        calls=tuple(row for row in told.calls if row[0] <= AS_OF) + tuple(future(40)),
        order=seed,
        later=seed * 1000,
    )


@pytest.mark.parametrize("seed", [11, 12])
def test_a_report_as_of_a_block_knows_nothing_of_the_future(
    told: Told, plain: Report, seed: int
) -> None:
    """The future is drawn anew: overdrafts, 256-bit amounts, strangers. Nothing of it shows."""
    same(report(with_another_future(told, seed)), plain)


def test_the_same_story_four_hundred_years_later_has_the_same_answers(
    told: Told, plain: Report
) -> None:
    """After so many years all weekdays, months and leap years are the same again."""
    later = report(replace(told, shift=CYCLE_S), years=CYCLE_YEARS)
    mine = {metric.name: metric for metric in plain.metrics}
    theirs = {metric.name: metric for metric in later.metrics}
    assert mine.keys() == theirs.keys()
    for name, metric in mine.items():
        other = theirs[name]
        assert (other.status, other.unit) == (metric.status, metric.unit), name
        if isinstance(metric.value, float):
            assert other.value == pytest.approx(metric.value, rel=1e-9), name
        else:
            assert other.value == metric.value, name
        if metric.window is not None:
            assert other.window is not None
            assert other.window.start == metric.window.start + CYCLE_S, name
            assert other.window.end == metric.window.end + CYCLE_S, name
    assert [flag.verdict for flag in later.flags] == [flag.verdict for flag in plain.flags]


def split(told: Told, whole: str, part: str) -> Told:
    """Somebody pays the gas of a second wallet, and moves half of each dollar payment there.

    Half of what he holds at the end goes there too.
    """
    moves: dict[str, Any] = dict(told.moves)
    dollars = []
    for row in moves[DOLLAR]:
        block, source, target, amount = row
        if source == whole and target == SERVICE and amount > 1:
            dollars += [
                (block, whole, part, amount // 2),
                (block, part, SERVICE, amount // 2),
                (block, whole, SERVICE, amount - amount // 2),
            ]
        else:
            dollars.append(row)
    held = sum((row[3] if row[2] == whole else 0) - (row[3] if row[1] == whole else 0)
               for row in moves[TOKEN] if row[0] <= AS_OF - 10)  # fmt: skip
    moves[DOLLAR] = tuple(dollars)
    token = [row for row in moves[TOKEN] if row[0] <= AS_OF - 10]
    moves[TOKEN] = (*token, (AS_OF - 5, whole, part, held // 2)) if held > 1 else tuple(token)
    calls = ((90, whole, part, 10**17), (91, part, SERVICE, 0))
    return replace(told, moves=moves, calls=told.calls + calls)


def test_splitting_a_wallet_changes_addresses_but_not_entities(told: Told) -> None:
    """A whale hides in two wallets: seen by address it shrinks, by entity it does not."""
    held = {
        who: sum((row[3] if row[2] == who else 0) - (row[3] if row[1] == who else 0)
                 for row in told.moves[TOKEN] if row[0] <= AS_OF - 10)
        for who in PEOPLE[:14]
    }  # fmt: skip
    del held[PEOPLE[3]]  # who deployed it is an insider, whose payments are no fees
    whale = max(held, key=lambda who: held[who])
    assert held[whale] > 1
    kept = tuple(row for row in told.moves[TOKEN] if row[0] <= AS_OF - 10)
    base = replace(told, moves={**told.moves, TOKEN: kept})
    one, two = report(base), report(split(told, whale, address(7_777)))
    before = {metric.name: metric for metric in one.metrics}
    after = {metric.name: metric for metric in two.metrics}
    assert after["hhi"].value < before["hhi"].value
    for name in ("hhi", "top10_adj"):
        assert after[name].parts["entities"] == pytest.approx(before[name].parts["entities"])
    for name in (
        "payer_count", "payer_top10", "payer_hhi", "payer_entropy", "payer_retention",
        "clean_fees_usd", "gross_fees_usd", "turnover", "hold_fifo", "hold_km", "dormancy",
    ):  # fmt: skip
        assert after[name].value == pytest.approx(before[name].value), name
    assert len(after) == len(before)


@pytest.mark.skipif("TESSERA_REFERENCE_DATA" not in os.environ, reason="no reference data")
def test_a_real_token_as_of_a_block_is_the_same_as_a_table_that_ends_there(tmp_path: Path) -> None:
    """The table of an analyst who exported it then; and the whole folder, asked as of then."""
    import polars as pl

    from tessera.facts.files import Clock, read_transfers
    from tessera.facts.folder import open_folder
    from tessera.facts.writing import write_folder

    path = Path(os.environ["TESSERA_REFERENCE_DATA"]) / "lp_token_transfers.parquet"
    clock = Clock(13_153_380, 1_630_650_000, 13_300)
    write_folder(Facts(read_transfers(path, times=clock)), tmp_path / "facts")
    whole = open_folder(tmp_path / "facts")
    sizes = {token: len(whole.transfers(token)) for token in whole.tokens()}
    for token in sorted(sizes, key=lambda each: (-sizes[each], each))[:6]:
        rows = whole.transfers(token).block
        middle = int(rows[len(rows) // 2])
        pl.read_parquet(path).filter(
            pl.col("token") == token, pl.col("block") <= middle
        ).write_parquet(tmp_path / "then.parquet")
        then = Facts(read_transfers(tmp_path / "then.parquet", times=clock))
        subject = Subject(token=token)
        one = inquire(View(whole.as_of(middle), subject))
        other = inquire(View(then, subject))
        assert one.metrics == other.metrics
        assert one.flags == other.flags
