"""The demo, smaller: real chain, real models, real calls; then its books, true and false.

A publisher tokenizes a model, buyers buy shares, consumers call it through the OpenAI API and pay
per call, the fees are settled in one transaction, holders claim their part to the last unit, and
the books balance.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from tessera.bindings import (
    access,
    allocation,
    auction,
    bond,
    court,
    curve,
    emission,
    exchange,
    governor,
    network_token,
    offering,
    orders,
    registry,
    share,
    vesting,
)
from tessera.demo.accountant import Difference, audit
from tessera.demo.playing import run
from tessera.demo.report import Report, conclude, show_remainders
from tessera.demo.stage import set_stage, theatre
from tessera.demo.story import Script, tell
from tessera.demo.telling import Narrator
from tessera.diligence.own.books import read_books
from tessera.diligence.own.holders import earned_by
from tessera.errors import InputError
from tessera.facts import Event
from tessera.presenting import EXIT_INTERRUPTED, EXIT_UNEXPECTED

CALLS = 120
# Of a holder who locked shares, beside the consumers'.
HOLDERS_CALLS = 50

# A job in the background of a shell ignores Ctrl-C, and so would its children.
DEMO_IN_A_TERMINAL = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("tessera.demo", run_name="__main__")
"""


@dataclasses.dataclass
class Told:
    report: Report
    output: io.StringIO


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Play the story once; every test below looks at what it left."""
    import asyncio

    output = io.StringIO()
    narrator = Narrator(Console(file=output, width=100))
    script = Script(calls=CALLS, short_sale_s=8)

    async def play() -> Report:
        data = tmp_path_factory.mktemp("demo")
        async with set_stage(theatre(data), narrator) as stage:
            return await tell(stage, narrator, script)

    report = asyncio.run(play())
    timings = {**report.timings, "all of it": sum(report.timings.values())}
    return Told(dataclasses.replace(report, timings=timings), output)


def test_every_call_is_paid_and_the_books_balance(told: Told) -> None:
    report = told.report
    assert [str(difference) for difference in report.audit.differences] == []
    assert sum(report.audit.calls.values()) == CALLS + HOLDERS_CALLS + report.subnet.calls
    # The consumers' two, and one for each operator and epoch of the subnet.
    assert report.audit.paid.settlements == 2 + 4
    assert report.audit.paid.vouchers >= 4
    assert report.audit.paid.left == 0
    assert report.audit.paid.deposited == (
        report.audit.paid.charged + sum(report.withdrawn.values()) + report.subnet.unspent
    )


def test_an_analyst_writes_the_same_books_from_events(told: Told) -> None:
    """Diligence, which shares no code with the accountant, finds what each model earned."""
    report = told.report
    order = {tx: at for at, tx in enumerate(dict.fromkeys(e.tx for e in report.facts.entries))}
    events = [
        Event(order[entry.tx], entry.time, 0, log, entry.tx, entry.address.lower(), entry.event)
        for log, entry in enumerate(report.facts.entries)
    ]
    books = read_books(events)
    assert set(books) == set(report.audit.divisions)
    for asset, division in report.audit.divisions.items():
        book = books[asset]
        assert book.doubts == []
        assert (book.settled, book.till_income) == (division.settled, division.income)
        assert (book.commons, book.validators) == (division.commons, division.validators)
        assert (book.operator, book.holders) == (division.operator, division.holders)
        assert book.royalties == sum(division.royalties.values())
        assert book.left_over == division.remainder
        assert sum(each.amount for each in book.received) == division.received
        assert sum(each.at.amount for each in book.paid) == division.gross
    for asset, earnings in report.audit.earnings.items():
        book = books[asset]
        assert sum(each.amount for each in book.distributed) == earnings.distributed
        assert sum(each.amount for each in book.to_share) == earnings.distributed
        claimed = {each.holder: 0 for each in book.claims}
        for each in book.claims:
            claimed[each.holder] += each.at.amount
        assert claimed == {who.lower(): sum_ for who, sum_ in earnings.claimed.items()}
        earned = earned_by(events, book.share, report.facts.time)
        assert all(each.claimed == each.expected for each in earned.values())


def test_an_analyst_who_was_not_there_finds_the_same(told: Told) -> None:
    """From an indexed chain alone: no asset, payer or holder is named to whoever asks."""
    analysis = told.report.analysis
    assert analysis.differences == ()
    assert set(analysis.metrics) == set(told.report.market)
    assert sum(analysis.checks.values()) > 80
    assert analysis.checks["who paid by voucher is who has the receipts"] >= 8
    found = {each.name: each for each in analysis.metrics["digits"]}
    asset = told.report.market["digits"].asset
    assert found["gross_fees"].value == told.report.audit.divisions[asset].gross
    assert found["payout_coverage"].value == 1.0


def test_an_analyst_who_finds_something_else_fails_the_demo(told: Told) -> None:
    wrong = Difference("fees that an analyst finds are the gross", "digits", 1, "2")
    analysis = dataclasses.replace(told.report.analysis, differences=(wrong,))
    report = dataclasses.replace(told.report, analysis=analysis)
    assert not report.balanced


def test_calls_that_failed_left_no_receipt(told: Told) -> None:
    refused = told.report.traffic.refused
    assert sum(refused.values()) == 16
    assert any("(502)" in reason for reason in refused), "a model's own failure is among them"
    assert len(told.report.facts.calls) == CALLS + HOLDERS_CALLS + told.report.subnet.calls


def test_everybody_who_held_was_paid(told: Told) -> None:
    report = told.report
    for listed in report.market.values():
        claims = report.claims[listed.asset]
        assert f"{listed.plan.contributor} (vesting)" in claims
        assert all(amount > 0 for amount in claims.values())
    unsold = report.claims[report.market["digits"].asset]
    assert "publisher-1 (unsold)" in unsold
    royalties = report.audit.divisions[report.market["lsa-embed"].asset].received
    assert royalties > 0


def test_calls_after_the_vote_pay_the_new_price(told: Told) -> None:
    asset, facts = told.report.market["digits"].asset, told.report.facts
    first, voted = (
        entry.event.price.per_call
        for entry in facts.entries
        if isinstance(entry.event, registry.EndpointSet) and entry.event.asset == asset
    )
    assert voted == 2 * first
    first_version, second_version = (
        entry.event.version
        for entry in facts.entries
        if isinstance(entry.event, registry.VersionReleased) and entry.event.asset == asset
    )
    assert {c.version for c in facts.calls if c.line.asset == asset} == {1, 2}
    assert (first_version, second_version) == (1, 2)
    (discount,) = (e.event for e in facts.entries if isinstance(e.event, registry.DiscountSet))
    lines: dict[object, list[tuple[int, int]]] = {}
    for call in facts.calls:
        if call.line.asset == asset and call.line.terms != discount.terms:
            lines.setdefault(call.line, []).append((call.charged, call.cost))
    costs = [[cost for _, cost in sorted(calls)] for calls in lines.values()]
    # A call costs its price and a little for each row: never twice the old price before the vote.
    assert costs
    assert all(line[0] < voted <= line[-1] for line in costs)


def test_who_locked_shares_calls_at_the_price_that_the_holders_voted_for(told: Told) -> None:
    facts = told.report.facts
    (discount,) = (e.event for e in facts.entries if isinstance(e.event, registry.DiscountSet))
    calls = [call for call in facts.calls if call.line.terms == discount.terms]
    assert len(calls) == HOLDERS_CALLS
    others = {
        call.units: call.cost
        for call in facts.calls
        if call.line.asset == discount.asset and call.version == 2 and call not in calls
    }
    assert all(call.cost == others[call.units] * 4 // 5 for call in calls)


def test_contributors_claimed_their_parts_by_weight(told: Told) -> None:
    report = told.report
    lsa = report.market["lsa-embed"]
    amounts = {
        entry.event.vesting: entry.event.amount
        for entry in report.facts.entries
        if isinstance(entry.event, allocation.HandedOver)
    }
    found = {name: amounts[vesting.address] // 10**18 for name, vesting in lsa.claimed.items()}
    assert found == {"publisher-1": 24_000, "contributor-2": 16_000}
    claims = report.claims[lsa.asset]
    assert claims["publisher-1 (vesting)"] > 0
    assert claims["contributors (set aside)"] > 0


def test_the_treasury_paid_what_was_voted_for_and_keeps_the_rest(told: Told) -> None:
    facts = told.report.facts
    (paid,) = (e.event for e in facts.entries if isinstance(e.event, governor.TreasuryPaid))
    assert paid.receiver == told.report.world.account("contributor-1").address
    assert paid.amount == 3 * 10**6
    assert told.report.audit.remainders["treasury of Share of digits"] == 2 * 10**6


def test_what_is_left_in_contracts_has_a_name(told: Told) -> None:
    left = told.report.audit.remainders
    pools = {name: amount for name, amount in left.items() if name.startswith("reserves of")}
    of_shares = ["reserves of Share of lsa-embed", "reserves of Share of sentiment"]
    assert sorted(pools) == [*of_shares, "reserves of the pool of TSR"]
    treasury = left["treasury of Share of digits"]
    assert sum(left.values()) - sum(pools.values()) - treasury < 100
    output = io.StringIO()
    show_remainders(told.report, Console(file=output, width=100))
    assert "given by the faucet" in output.getvalue()


def test_a_failed_sale_gives_the_money_back(told: Told) -> None:
    sentiment = told.report.market["sentiment"]
    assert told.report.refunds == sentiment.bought
    # Who bought there has no shares from there; who has some bought them along the curve.
    holdings = told.report.audit.earnings[sentiment.asset].balances
    assert holdings[told.report.world.account("holder-4").address] % 10**18 != 0
    assert told.report.world.account("holder-5").address not in holdings


def test_who_came_in_the_middle_earned_less_than_who_held_all_along(told: Told) -> None:
    """`no_past_revenue`: 40,000 shares that came later earned less than 160,000 unsold ones."""
    claims = told.report.claims[told.report.market["digits"].asset]
    assert 0 < claims["holder-5"] * 160_000 < claims["publisher-1 (unsold)"] * 40_000


def test_the_bad_model_earns_nothing_and_the_cheat_weighs_nothing(told: Told) -> None:
    models = told.report.subnet.models
    assert models["blot"].earned == models["courtier"].earned == 0
    assert models["courtier"].consensus == (0, 0)
    assert models["courtier"].known > 0.8 > 0.5 > models["courtier"].unknown
    assert "only for validators" in models["courtier"].why
    assert "guess" in models["blot"].why
    assert models["scribe"].earned > 0
    assert models["clerk"].earned > 0


def test_who_approved_the_cheat_is_slashed_and_the_challenger_paid(told: Told) -> None:
    subnet = told.report.subnet
    lazy, honest = subnet.validators["validator-3"], subnet.validators["validator-1"]
    assert lazy.slashed == subnet.case.taken == 1_000 * 10**18
    assert subnet.case.bounty == lazy.slashed // 5
    assert subnet.case.votes == (5, 5)
    assert (lazy.earned, lazy.rewarded) == (0, 0), "a pool that was wiped is paid nothing"
    assert honest.earned > 0
    assert honest.rewarded > 0
    assert honest.slashed == 0
    tokens = told.report.audit.tokens
    assert sum(tokens.values()) == told.report.facts.network.minted
    assert "bond of validator-3" not in tokens
    assert tokens["bond of validator-1"] > 1_000 * 10**18


def test_the_report_is_whole_numbers_and_the_exit_code_is_0(told: Told, tmp_path: Path) -> None:
    file = tmp_path / "demo-report.json"
    assert conclude(told.report, file, Console(file=io.StringIO())) == 0
    found = json.loads(file.read_text())
    assert found["balanced"] is True
    assert found["calls"]["paid"] == CALLS + HOLDERS_CALLS + told.report.subnet.calls
    assert found["subnet"]["models"]["courtier"]["earned"] == "0"
    assert sum(map(int, found["tokens"].values())) > 10**6 * 10**18
    digits = found["models"]["digits"]
    assert digits["claims"]["holder-1"]["units"] > 0
    parts = ("commons", "validators", "operator", "royalties", "holders", "left_over")
    assert digits["gross"]["units"] == sum(digits[part]["units"] for part in parts)
    assert float(digits["benchmark"]["value"]) > 0.9
    assert found["timings_s"]["train the models on this machine"] > 0


@pytest.mark.parametrize(
    ("kind", "field", "rule"),
    [
        (share.RevenueClaimed, "amount", "a claim is the twin's, bit for bit"),
        (offering.RevenueClaimed, "amount", "a sale passed on what was claimed"),
        (offering.Bought, "cost", "shares cost their price"),
        (offering.Refunded, "amount", "a sale holds its escrow"),
        (offering.PoolOpened, "amount", "the pool gets its part of the proceeds"),
        (offering.PoolOpened, "shares", "the pool opens at the closing price"),
        (vesting.Released, "amount", "never_early"),
        (auction.Bid, "amount", "an auction closes with all bids"),
        (auction.Closed, "sold", "an auction sells at one price"),
        (auction.Collected, "amount", "everybody pays the clearing price"),
        (auction.ProceedsWithdrawn, "amount", "a sale holds its escrow"),
        (curve.Bought, "amount", "the curve's price, bit for bit"),
        (curve.SoldBack, "paid", "the curve's price, bit for bit"),
        (curve.Graduated, "raised", "a curve graduates at its target"),
        (curve.PoolOpened, "shares", "the pool opens at the curve's price"),
        (exchange.PoolOpened, "currency_amount", "the pool of TSR holds its money"),
        (exchange.Bought, "cost", "a purchase has the pool's price"),
        (exchange.Sold, "proceeds", "a sale has the pool's price"),
        (exchange.LiquidityAdded, "currency_amount", "liquidity costs its part"),
        (exchange.LiquidityRemoved, "tokens", "liquidity is worth its part"),
        (exchange.RevenueClaimed, "amount", "a provider's revenue is the twin's"),
        (access.Bought, "cost", "units cost their price"),
        (access.Ordered, "units", "a unit is held, waits or was served"),
        (access.Proved, "order", "a proof is of an answer"),
        (access.Refunded, "amount", "a refund is the price of its units"),
        (access.Rented, "cost", "a rent costs its price"),
        (access.Rented, "royalty", "the creator's royalty"),
        (access.Transfer, "value", "units held"),
        (orders.Filled, "paid", "a fill pays the signed price"),
        (governor.Locked, "amount", "a vote weighs what is locked"),
        (governor.Voted, "weight", "a vote weighs what is locked"),
        (governor.RevenueClaimed, "amount", "what locked shares earned is the twin's"),
        (governor.Unlocked, "amount", "a lock gives back what was locked"),
        (orders.Filled, "royalty", "a seller gets the price less the royalty"),
        (allocation.HandedOver, "amount", "a contributor gets the part of its weight"),
        (allocation.HandedOver, "revenue", "a part has earned from the first second"),
        (governor.TreasuryDeposited, "amount", "a treasury is what came less what was paid"),
        (governor.TreasuryPaid, "amount", "what is executed is what was shown"),
        (registry.DiscountSet, "min_locked", "what is executed is what was shown"),
        (registry.VersionReleased, "version", "a call is answered by the newest version"),
        (network_token.Transfer, "value", "TSR transfers add up to balances"),
        (bond.Staked, "amount", "bonds"),
        (bond.Slashed, "bounty", "a fifth of the offender's own stake"),
        (court.CaseOpened, "stake", "a challenger's stake is paid out whole"),
        (emission.PeriodClosed, "allotted", "a period is the twin's"),
        (emission.DemandCollected, "amount", "demand is what the commons got"),
        (emission.EpochSettled, "models_part", "an epoch pays what its periods allotted"),
        (emission.ModelPaid, "amount", "a model gets its part of the incentive"),
        (emission.ValidatorPaid, "fees", "a validator gets its part of the fees"),
    ],
)
def test_one_unit_too_much_in_these_books_is_found(
    told: Told, tmp_path: Path, kind: type, field: str, rule: str
) -> None:
    facts = told.report.facts
    entries = list(facts.entries)
    at = next(i for i, entry in enumerate(entries) if isinstance(entry.event, kind))
    event = entries[at].event
    more = 10**18 if kind is vesting.Released else 1
    # A share is 10^18 raw units; a schedule that unlocks by the second leaves room for a few.
    wrong = msgspec.structs.replace(event, **{field: getattr(event, field) + more * 10**5})
    entries[at] = dataclasses.replace(entries[at], event=wrong)
    found = audit(dataclasses.replace(facts, entries=tuple(entries)))
    assert not found.balanced
    named = [str(difference) for difference in found.differences]
    assert any(line.startswith(rule) for line in named), named
    shown = io.StringIO()
    report = dataclasses.replace(told.report, audit=found)
    code = conclude(report, tmp_path / "report.json", Console(file=shown, width=200))
    assert code == EXIT_UNEXPECTED
    assert str(found.differences[0]) in shown.getvalue()
    assert json.loads((tmp_path / "report.json").read_text())["differences"]


def test_it_says_how_long_each_step_took_and_that_the_text_model_is_a_toy(told: Told) -> None:
    said = told.output.getvalue()
    assert "pydoc-lm is a toy language model" in said
    assert "train the models on this machine" in said
    assert "240,000 of 400,000 shares sold, soft cap reached" in said


def test_what_would_fail_in_the_end_is_refused_at_the_beginning(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(InputError, match="new or empty"):
        run(data=tmp_path)
    with pytest.raises(InputError, match="calls"):
        run(calls=1)
    with pytest.raises(InputError, match="found 'a folder'"):
        run(report=tmp_path)
    with pytest.raises(InputError, match="cannot be written"):
        run(report=tmp_path / "something" / "report.json")


@pytest.mark.parametrize("moment", ["open the operator's books", "on this machine: 2 of "])
def test_ctrl_c_ends_every_child_and_exits_130(tmp_path: Path, moment: str) -> None:
    """In a terminal the signal reaches the whole group; the children must end by our hand."""
    process = subprocess.Popen(
        [sys.executable, "-c", DEMO_IN_A_TERMINAL, "--calls", "40"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if moment in line:
                break
        children = _descendants(process.pid)
        assert children, "the chain's node runs"
        os.killpg(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert process.returncode == EXIT_INTERRUPTED, said + rest
    assert "Traceback" not in rest
    deadline = time.monotonic() + 30
    while any(_alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [child for child in children if _alive(child)]
    left = [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert left == [], "the temporary folder is gone, and no report written"


def _descendants(pid: int) -> list[int]:
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found, wave = [], {pid}
    while wave:
        wave = {child for child, parent in parents.items() if parent in wave}
        found += sorted(wave)
    return found


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
