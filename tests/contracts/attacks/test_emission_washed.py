"""Somebody owns a subnet, its models and its validators, and wants more than it puts in."""

from __future__ import annotations

import pytest
from rig.bonding import GENESIS, TSR
from rig.compiling import mock
from rig.contract import deployed, refused
from rig.emitting import ONE, OTHER, POOL_MONEY, TERMS, Emitting, open_emission
from rig.engines import Reverted
from rig.epochs import HOUR, SUBNET, VALIDATORS
from rig.people import Person
from rig.signing import Batch, SignedLine, compact, domain_of, sign_voucher
from rig.system import DAY

from tessera.spec.emission import budget_of

FOR_EVER = 2**40


@pytest.fixture
def stage() -> Emitting:
    stage = open_emission()
    stage.open_subnet()
    stage.open_market()
    return stage


def call_itself(stage: Emitting, who: Person, asset: int, amount: int) -> None:
    """Pay for an asset of one's own that one serves oneself, by a real settlement."""
    channels = stage.world.channels
    channel = stage.world.open_channel(who, who, amount)
    line = SignedLine(asset, 1, amount, amount)
    voucher = compact(*sign_voucher(who, domain_of(channels), channel, [line]))
    batch = Batch([(asset, 1)])
    batch.add(channel, [line], voucher)
    channels("settle", batch.tills, batch.words, by=who.address)
    channels("flush", asset)
    channels("withdraw_credit", by=who.address)


@pytest.mark.parametrize("amount", [200 * ONE, 200_000 * ONE, 20_000_000 * ONE])
def test_wash_loses(stage: Emitting, attacker: Person, amount: int) -> None:
    """One coalition owns the subnet, its model, the endpoint and the only validator.

    It pays itself `amount`. The commons' half of the fee is gone. Back come the validators' half
    and TSR worth at most half of the commons' half; where there is more demand than budget,
    far less.
    """
    asset = stage.world.publish(attacker, operator=attacker)
    stage.subnets("create", SUBNET, attacker.address)
    stage.subnets("join", SUBNET, asset, 0)
    stage.emission("collect_demand", asset)
    call_itself(stage, attacker, asset, amount)
    commons = stage.world.channels("credit_of", stage.commons.address)
    assert commons == amount // 200 == stage.emission("collect_demand", asset)
    stage.stake(VALIDATORS[0], TSR)
    stage.post(1, [[1]])
    minted = stage.settle(1)
    stage.claim_model(1, 0)
    _, fees = stage.claim_validator(1, 0)
    stage.emission("flush", asset)
    assert minted * stage.emission("price") // TSR <= commons // 2
    assert minted <= budget_of(TERMS, GENESIS)
    left = stage.world.held(attacker) + fees + minted * stage.emission("price") // TSR
    assert left <= amount - commons // 2


@pytest.mark.parametrize(("spent", "rise"), [(23, 150), (38, 190)])
def test_washing_in_front_of_a_closing_after_a_rise(
    stage: Emitting, attacker: Person, spent: int, rise: int
) -> None:
    """TSR jumps; before the means have seen it the attacker pays itself fees and closes the period.

    It is paid at the mean of before, and sells at the price of now. With nine tenths of the demand
    minted it won from a rise of a ninth on; with half of it, a rise has to double the price.
    """
    asset = stage.new_model(attacker, 0)
    stage.wait(TERMS.period - 60)
    stage.world.fund(attacker, POOL_MONEY, spender=stage.exchange)
    sides = (stage.world.currency, stage.tsr)
    trade = (*sides, POOL_MONEY * spent // 100, 0, attacker.address, stage.now)
    stage.exchange("swap_exact_in", *trade, by=attacker.address)
    stage.earn(asset, 100 * ONE)
    demand = stage.emission("collect_demand", asset)
    stage.wait(60)
    stage.emission("close")
    minted, _ = stage.emission("coming_to", SUBNET)
    tsr, money = stage.exchange("reserves_of", stage.tsr)
    assert money * TSR * 100 // tsr >= ONE // 2 * rise
    assert 0 < minted * money // tsr < demand


def test_fees_of_others_are_no_prize(stage: Emitting, attacker: Person) -> None:
    """Most of the market is in no subnet, and the validators' half of its fees lies in Emission.

    If it were shared by demand, whoever washed the only subnet would take all of it. A subnet's
    validators get at most what the commons got for its models.
    """
    outside, mine = stage.world.publish(attacker), stage.new_model(attacker, 0)
    stage.earn(outside, 1_000 * ONE)
    stage.earn(mine, ONE)
    stage.emission("collect_demand", mine)
    stage.post(1, [[1]])
    stage.settle(1)
    _, fees = stage.claim_validator(1, 0)
    assert fees <= ONE


def test_demand_of_the_past_is_not_brought_along(stage: Emitting, attacker: Person) -> None:
    """A model with years of demand joins a fresh subnet, leaves it and comes again."""
    asset = stage.world.publish(attacker)
    stage.earn(asset, 10**6 * ONE)
    stage.subnets("join", SUBNET, asset, 0)
    assert stage.emission("collect_demand", asset) == 0
    stage.subnets("join", OTHER, asset, 0)
    assert stage.emission("collect_demand", asset) == 0
    stage.subnets("join", SUBNET, asset, 0)
    assert stage.emission("collect_demand", asset) == 0


def test_a_pumped_subnet_token_emits_nothing(stage: Emitting, attacker: Person) -> None:
    """Elsewhere emission follows the token's price, which its owner can hold up."""
    stage.subnets("create", OTHER, attacker.address)
    stage.fund(attacker, 10_000 * TSR)
    stage.pool("open", OTHER, TSR, by=attacker.address)
    stage.pool("buy", OTHER, 900 * TSR, 0, FOR_EVER, by=attacker.address)
    stage.wait(10 * DAY)
    stage.emission("close")
    assert stage.emission("allotted") == 0


def test_subnets_made_for_their_bootstrap_cost_twice_of_it(
    stage: Emitting, attacker: Person
) -> None:
    """The opening never comes back: not by trading, not by dissolution, not by a gift."""
    subnets, opening = range(20, 25), 100 * TSR
    stage.fund(attacker, len(subnets) * opening)
    for subnet in subnets:
        stage.subnets("create", subnet, attacker.address)
        stage.pool("open", subnet, opening, by=attacker.address)
    for _ in range(TERMS.bootstrap_periods):
        for subnet in subnets:
            stage.emission("bootstrap", subnet)
        stage.wait(TERMS.period)
    stage.emission("close")
    for subnet in subnets:
        stage.subnets("dissolve", subnet)
        stage.pool("close", subnet)
    assert stage.held(attacker) == 0
    assert stage.emission("allotted") <= len(subnets) * opening // 2


def test_a_price_of_one_moment_counts_for_nothing(stage: Emitting, attacker: Person) -> None:
    """TSR dumped around the closing of a period: fees would be worth ten times as much of it."""
    asset = stage.new_model(attacker, 0)
    stage.earn(asset, 100 * ONE)
    stage.emission("collect_demand", asset)
    stage.wait(TERMS.period)
    before = stage.emission("price")
    stage.fund(attacker, 300_000 * TSR)
    sides = (stage.tsr, stage.world.currency)
    stage.exchange(
        *("swap_exact_in", *sides, 300_000 * TSR, 0, attacker.address, stage.now),
        by=attacker.address,
    )
    tsr, money = stage.exchange("reserves_of", stage.tsr)
    assert money * TSR // tsr < before // 10
    assert stage.emission("price") == before


def test_a_price_that_has_risen_is_the_one_that_counts(stage: Emitting, attacker: Person) -> None:
    """The mean of a day lags: who pays fees after a rise would get TSR at yesterday's price."""
    stage.world.fund(attacker, POOL_MONEY, spender=stage.exchange)
    sides = (stage.world.currency, stage.tsr)
    stage.exchange(
        *("swap_exact_in", *sides, POOL_MONEY, 0, attacker.address, stage.now), by=attacker.address
    )
    stage.wait(HOUR)
    long = stage.exchange("twap", stage.tsr, DAY)[0]
    tsr, money = stage.exchange("reserves_of", stage.tsr)
    assert long < ONE
    assert stage.emission("price") > 19 * ONE // 10
    assert stage.emission("sale_price") == money * TSR // tsr


def test_a_pool_of_dust_that_is_deep_for_one_call(attacker: Person) -> None:
    """The attacker opens TSR's pool with dust, at a hundredth of TSR's price, and waits for a day.

    Its fees would be worth a hundred times as many TSR, so long as its pool passes for deep: in the
    call that closes the period it lends the pool money, or buys until the pool is full of it, and
    takes all back. What was locked from the first second is what counts.
    """
    stage = open_emission()
    stage.open_subnet()
    asset = stage.new_model(attacker, 0)
    stage.fund(attacker, 200_000 * TSR)
    stage.world.fund(attacker, 10**6 * ONE, spender=stage.exchange)
    plan = (stage.tsr, TSR, ONE // 100, 1, attacker.address, FOR_EVER)
    stage.exchange("open_pool", *plan, by=attacker.address)
    stage.wait(DAY)
    stage.earn(asset, 100 * ONE)
    stage.emission("collect_demand", asset)
    stage.wait(TERMS.period)
    for name, lent in (
        ("add_liquidity", (stage.tsr, 100_000 * TSR, 1_000 * ONE, 0)),
        ("swap_exact_in", (stage.world.currency, stage.tsr, 10**5 * ONE, 0)),
    ):
        with stage.place.engine.trial():
            stage.exchange(name, *lent, attacker.address, stage.now, by=attacker.address)
            assert stage.exchange("reserves_of", stage.tsr)[1] > TERMS.min_depth
            stage.emission("close")
            assert stage.emission("price") == stage.emission("allotted") == 0


def test_weight_for_a_place_that_nobody_holds(stage: Emitting, attacker: Person) -> None:
    """Validators in league score an empty place: its part is the commons', and nobody's prize."""
    asset = stage.new_model(attacker, 0)
    stage.earn(asset, 100 * ONE)
    stage.emission("collect_demand", asset)
    stage.stake(VALIDATORS[0], TSR)
    stage.post(1, [[0, 1]])
    stage.settle(1)
    amount = stage.claim_model(1, 1)
    assert amount > 40 * TSR
    assert stage.emission("earned_of", 0) == 0
    assert (
        stage.emission("withdraw", by=stage.commons.address) == amount == stage.held(stage.commons)
    )


def test_holders_do_not_sell_at_yesterdays_price(stage: Emitting, attacker: Person) -> None:
    """TSR jumps up: what is for sale for holders costs the present price at once."""
    stage.emission.poke("for_holders_of", 5, value=TSR)
    stage.world.fund(attacker, 100_000 * ONE, spender=stage.exchange)
    sides = (stage.world.currency, stage.tsr)
    stage.exchange(
        *("swap_exact_in", *sides, 50_000 * ONE, 0, attacker.address, stage.now),
        by=attacker.address,
    )
    with refused("emission: dearer than the limit"):
        stage.emission("buy_for_holders", 5, TSR, ONE, FOR_EVER, by=attacker.address)


def test_an_epoch_pays_no_more_than_it_has(stage: Emitting, attacker: Person) -> None:
    """Two results' claims never draw on each other's money: each epoch has its own account."""
    asset = stage.new_model(attacker, 0)
    for epoch in (1, 3):
        stage.to_epoch(epoch)
        stage.earn(asset, epoch * 100 * ONE)
        stage.emission("collect_demand", asset)
        stage.post(epoch, [[1], [1]])
    paid = [stage.settle(epoch) for epoch in (3, 1)]
    assert paid == [300 * TSR, 100 * TSR]
    for epoch, minted in ((1, paid[1]), (3, paid[0])):
        assert stage.claim_model(epoch, 0) == minted * 41 // 100
        got = [stage.claim_validator(epoch, row)[0] for row in range(2)]
        assert sum(got) <= minted - minted * 41 // 100 - minted * 18 // 100


def test_a_caller_with_little_gas_does_not_close_a_period_without_a_price(
    stage: Emitting, attacker: Person
) -> None:
    """A call that fails for want of gas would look like a pool without a mean price.

    Whatever gas the caller brings: the period is closed with its price and its fees, or not at all.
    """
    asset = stage.new_model(attacker, 0)
    stage.earn(asset, 100 * ONE)
    stage.emission("collect_demand", asset)
    period = stage.emission("period")
    stage.wait(TERMS.period)
    miser = deployed(stage.place.engine, mock("Miser"), by=attacker.address)
    call = ("call", stage.emission.address, stage.emission.interface.call_data("close"))
    starved, closed = [], 0
    for gas in range(20_000, 420_000, 4_000):
        with stage.place.engine.trial():
            try:
                miser(*call, gas)
            except Reverted as error:
                starved += [gas] * (error.reason == "emission: too little gas")
                continue
            closed += 1
            told = tuple(stage.emission("period_of", period))
            assert told[2:] == (ONE // 2, 100 * TSR, 100 * ONE)
    assert closed
    with refused("emission: too little gas"):
        miser(*call, starved[0])
