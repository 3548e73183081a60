"""Demand, periods, epochs and claims: what Emission does, says and refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rig.bonding import GENESIS, TSR
from rig.compiling import compiled, mock
from rig.contract import Contract, deployed, refused
from rig.emitting import ONE, OTHER, TERMS, Emitting, open_emission
from rig.engines import new_engine
from rig.epochs import SUBNET, VALIDATORS
from rig.people import person
from rig.system import DAY, create_address

from tessera.spec.emission import CAP, budget_of, sale_cost, worth_of

PUBLISHER, BUYER, ANYBODY = person("publisher"), person("buyer"), person("keeper")
FOR_EVER = 2**40
OPENING = 1_000 * TSR
SCORES = [[3, 1], [1, 1]]


@pytest.fixture
def stage() -> Emitting:
    stage = open_emission()
    stage.open_subnet()
    stage.open_market()
    return stage


def paying(stage: Emitting, demand: int = 100 * ONE, epoch: int = 1) -> tuple[int, int]:
    """Let two models be in the subnet, one of them paid for, and an epoch be final."""
    models = stage.new_model(PUBLISHER, 0), stage.new_model(PUBLISHER, 1)
    stage.earn(models[0], demand)
    stage.emission("collect_demand", models[0])
    for validator in VALIDATORS[:2]:
        stage.stake(validator, 1_000 * TSR)
    stage.post(epoch, SCORES)
    return models


def test_demand_counts_for_the_subnet_from_the_day_an_asset_joined(stage: Emitting) -> None:
    asset = stage.world.publish(PUBLISHER)
    stage.earn(asset, 5 * ONE)
    assert stage.emission("collect_demand", asset) == 0
    stage.subnets("join", SUBNET, asset, 0)
    assert stage.emission("collect_demand", asset) == 0
    assert tuple(stage.emission("counted_of", asset)) == (5 * ONE, SUBNET)
    stage.earn(asset, 7 * ONE)
    assert stage.emission("collect_demand", asset) == 7 * ONE
    (collected,) = stage.emission.events("DemandCollected")
    period = stage.emission("period")
    assert collected.arguments == {
        "asset": asset,
        "subnet": SUBNET,
        "period": period,
        "amount": 7 * ONE,
    }
    assert stage.emission("collect_demand", asset) == 0
    assert tuple(stage.emission("share_of", SUBNET)) == (7 * ONE, 0, period)
    stage.subnets("join", OTHER, asset, 0)
    stage.earn(asset, ONE)
    assert stage.emission("collect_demand", asset) == 0


def test_a_period_is_closed_by_whatever_comes_first(stage: Emitting) -> None:
    asset = stage.new_model(PUBLISHER, 0)
    stage.earn(asset, 100 * ONE)
    stage.emission("collect_demand", asset)
    period = stage.emission("period")
    stage.wait(TERMS.period)
    stage.emission("close")
    (closed,) = stage.emission.events("PeriodClosed")
    worth = worth_of(TERMS, 100 * ONE, ONE // 2)
    assert closed.arguments == {
        "period": period,
        "demand": 100 * ONE,
        "bootstraps": 0,
        "price": ONE // 2,
        "budget": budget_of(TERMS, GENESIS),
        "allotted": worth,
        "fees": 100 * ONE,
    }
    assert worth == 100 * TSR
    assert stage.emission("allotted") == worth
    assert tuple(stage.emission("coming_to", SUBNET)) == (worth, 100 * ONE)
    stage.emission("close")
    assert not stage.emission.events()


def test_the_schedule_halves_and_splits_what_passes_a_threshold(stage: Emitting) -> None:
    full = TERMS.rate * TERMS.period
    assert stage.emission("budget", 0) == stage.emission("budget", CAP // 2 - full) == full
    assert stage.emission("budget", CAP // 2 - 100) == 100 + (full - 100) // 2
    assert stage.emission("budget", CAP // 2) == full // 2
    assert stage.emission("budget", CAP * 3 // 4) == full // 4
    assert stage.emission("budget", CAP) == 0
    for minted in (CAP - 1, CAP - full, CAP * 7 // 8 - 1):
        assert stage.emission("budget", minted) == budget_of(TERMS, minted) <= CAP - minted


def test_more_demand_than_budget_shares_the_budget(stage: Emitting) -> None:
    stage.open_subnet(OTHER)
    rich, poor = stage.new_model(PUBLISHER, 0), stage.new_model(PUBLISHER, 0, OTHER)
    stage.earn(rich, 30_000 * ONE)
    stage.earn(poor, 10_000 * ONE)
    for asset in (rich, poor):
        stage.emission("collect_demand", asset)
    stage.wait(TERMS.period)
    stage.emission("close")
    budget = budget_of(TERMS, GENESIS)
    assert stage.emission("coming_to", SUBNET)[0] == budget * 3 // 4
    assert stage.emission("coming_to", OTHER)[0] == budget // 4


def test_without_a_price_demand_is_worth_nothing_but_its_fees() -> None:
    """No pool, a pool that is too young, one with too little in it, and one that may be emptied."""
    stage = open_emission()
    stage.open_subnet()
    asset = stage.new_model(PUBLISHER, 0)

    def closed() -> tuple[int, ...]:
        stage.earn(asset, ONE)
        stage.emission("collect_demand", asset)
        period = stage.emission("period")
        stage.wait(TERMS.period)
        stage.emission("close")
        return tuple(stage.emission("period_of", period))

    assert closed() == (ONE, 0, 0, 0, ONE)
    with stage.place.engine.trial():
        stage.open_market(TSR, 99 * ONE)
        assert closed()[2] == 0
    with stage.place.engine.trial():
        stage.open_market(locked_until=stage.now + DAY)
        assert closed()[2] == 0
    stage.open_market()
    stage.place.engine.now -= DAY
    assert closed()[2] == 0
    assert stage.emission("price") == stage.emission("sale_price") == 0
    stage.wait(DAY)
    assert closed()[2] == ONE // 2


def test_tsr_is_never_taken_to_be_cheaper_than_the_floor() -> None:
    stage = open_emission(replace(TERMS, floor_price=ONE))
    stage.open_market()
    assert stage.emission("price") == ONE
    assert stage.emission("sale_price") == ONE // 2


def test_a_bootstrap_is_a_part_of_what_opened_the_pool(stage: Emitting) -> None:
    with refused("emission: subnet is not live"):
        stage.emission("bootstrap", OTHER)
    with refused("emission: the pool was never opened"):
        stage.emission("bootstrap", SUBNET)
    stage.open_subnet(OTHER, OPENING)
    part = OPENING // 2 // TERMS.bootstrap_periods
    for number in range(TERMS.bootstrap_periods):
        assert stage.emission("bootstraps_of", OTHER) == number
        assert stage.emission("bootstrap", OTHER) == part
        assert stage.emission.events("Bootstrapped")[0].arguments["amount"] == part
        if number + 1 < TERMS.bootstrap_periods:
            with refused("emission: counted in this period already"):
                stage.emission("bootstrap", OTHER)
        stage.wait(TERMS.period)
        stage.emission("close")
        assert tuple(stage.emission("coming_to", OTHER)) == (part, 0)
    with refused("emission: the bootstrap is over"):
        stage.emission("bootstrap", OTHER)


def test_an_epoch_pays_owner_models_and_validators(stage: Emitting) -> None:
    models = paying(stage)
    assert stage.settle(1) == 100 * TSR
    (settled,) = stage.emission.events("EpochSettled")
    assert settled.arguments["owner_part"] == 100 * TSR * 18 // 100
    part = 100 * TSR * 41 // 100
    assert tuple(stage.emission("payout_of", SUBNET, 1))[:3] == (part, part, 100 * ONE)
    ranks = [column.rank for column in stage.told[1].posted.columns]
    for uid, asset in enumerate(models):
        amount = stage.claim_model(1, uid)
        assert amount == part * ranks[uid] // sum(ranks) == stage.emission("earned_of", asset)
        assert stage.emission("flush", asset) == amount
        assert stage.emission.events("Flushed")[0].arguments["receiver"] == PUBLISHER.address
    earned = stage.emission("credit_of", PUBLISHER.address)
    assert part - 2 < earned <= part
    assert stage.emission("withdraw", by=PUBLISHER.address) == earned == stage.held(PUBLISHER)
    assert stage.emission("withdraw", by=PUBLISHER.address) == 0
    for row, validator in enumerate(VALIDATORS[:2]):
        amount, fees = stage.claim_validator(1, row)
        assert amount > 0
        told = stage.bond.events("Rewarded")
        assert not told or told[0].arguments["amount"] == amount
        taken = stage.emission("withdraw_fees", BUYER.address, by=validator.address)
        assert taken == fees > 0
    assert 100 * ONE - 2 < stage.world.held(BUYER) <= 100 * ONE
    left = tuple(stage.emission("payout_of", SUBNET, 1))[3:]
    assert max(left) <= 2
    assert stage.emission("withdraw", by=stage.owner.address) == 100 * TSR * 18 // 100
    assert stage.held(stage.emission) == stage.emission("obligations") <= 4
    assert stage.tsr("minted") == GENESIS + 100 * TSR


def test_a_claim_counts_once_and_needs_its_proof(stage: Emitting) -> None:
    paying(stage)
    with refused("emission: epoch pays nothing"):
        stage.claim_model(1, 0)
    stage.settle(1)
    stage.claim_model(1, 0)
    stage.claim_validator(1, 0)
    assert stage.emission("is_claimed", SUBNET, 1, 0)
    with refused("emission: claimed already"):
        stage.claim_model(1, 0)
    with refused("emission: claimed already"):
        stage.claim_validator(1, 0)
    posted = stage.told[1].posted
    uid, consensus, rank, data, path = posted.model_proof(1)
    with refused("epochs: not in the result"):
        stage.emission(
            *("claim_model", SUBNET, 1, posted.header.call, uid, consensus, rank + 1, data, path)
        )


def test_an_epoch_is_settled_once_when_it_is_final(stage: Emitting) -> None:
    models = paying(stage)
    header = stage.told[1].posted.header
    with refused("emission: epoch is not final"):
        stage.emission("settle", SUBNET, 2, header.call)
    stage.settle(1)
    with refused("emission: settled already"):
        stage.settle(1)
    stage.post(2, SCORES)
    with refused("emission: nothing to pay"):
        stage.settle(2)
    stage.earn(models[0], ONE)
    stage.emission("collect_demand", models[0])
    # It is the fourth day by now: what is paid in it is paid by its epoch.
    stage.wait(TERMS.period)
    with refused("emission: nothing to pay"):
        stage.settle(2)


def test_what_a_skipped_epoch_had_to_pay_is_the_present_ones(stage: Emitting) -> None:
    asset = stage.new_model(PUBLISHER, 0)
    stage.earn(asset, 100 * ONE)
    stage.emission("collect_demand", asset)
    stage.to_epoch(2)
    stage.emission("collect_demand", asset)
    for epoch in (0, 1):
        stage.place.epochs("skip", SUBNET, epoch)
    with refused("emission: nothing to pay"):
        stage.emission("carry", SUBNET, 0)
    with refused("emission: epoch was not skipped"):
        stage.emission("carry", SUBNET, 2)
    stage.emission("carry", SUBNET, 1)
    assert stage.emission.events("Carried")[0].arguments["to_epoch"] == 2
    assert tuple(stage.emission("pot_of", SUBNET, 2)) == (100 * TSR, 100 * ONE)
    assert stage.emission("allotted") == 100 * TSR


def test_of_a_dissolved_subnet_the_fees_are_the_commons_and_nothing_is_minted(
    stage: Emitting,
) -> None:
    asset = stage.new_model(PUBLISHER, 0)
    stage.earn(asset, 100 * ONE)
    stage.emission("collect_demand", asset)
    stage.to_epoch(2)
    for epoch in (0, 1):
        stage.place.epochs("skip", SUBNET, epoch)
    stage.subnets("dissolve", SUBNET)
    stage.emission("carry", SUBNET, 1)
    assert stage.emission("fees_credit_of", stage.commons.address) == 100 * ONE
    assert stage.tsr("minted") == GENESIS


def test_where_no_model_earned_the_validators_get_its_part(stage: Emitting) -> None:
    """All scores are zero: no rank, no dividend, and the stakes decide."""
    asset = stage.new_model(PUBLISHER, 0)
    stage.earn(asset, 100 * ONE)
    stage.emission("collect_demand", asset)
    stage.stake(VALIDATORS[0], TSR)
    stage.post(1, [[0], [0]], stakes=[3 * TSR, TSR])
    stage.settle(1)
    owner = 100 * TSR * 18 // 100
    paid = tuple(stage.emission("payout_of", SUBNET, 1))
    assert paid[:2] == (0, 100 * TSR - owner)
    assert stage.claim_model(1, 0) == 0
    first, second = stage.claim_validator(1, 0), stage.claim_validator(1, 1)
    assert abs(first[0] - 3 * second[0]) < 10**12
    assert first[0] + second[0] + 2 > paid[1]


def test_a_result_without_stake_pays_nobody_and_the_pot_goes_on(stage: Emitting) -> None:
    asset = stage.new_model(PUBLISHER, 0)
    stage.earn(asset, 100 * ONE)
    stage.emission("collect_demand", asset)
    stage.post(1, [[1], [1]], voids={0, 1})
    assert stage.settle(1) == 0
    now = stage.subnets("epoch_at", SUBNET, stage.now)
    assert tuple(stage.emission("pot_of", SUBNET, now)) == (100 * TSR, 100 * ONE)


def test_a_validator_without_stake_is_paid_and_one_that_was_slashed_to_nothing_is_not(
    stage: Emitting,
) -> None:
    paying(stage)
    slasher, victim = stage.world.actor(), VALIDATORS[1]
    stage.bond("enlist", slasher, by=victim.address)
    stage.wait(40 * DAY)
    shares = stage.bond("stake_of", VALIDATORS[0].address, VALIDATORS[0].address)[0]
    stage.bond("unstake", VALIDATORS[0].address, shares, by=VALIDATORS[0].address)
    case, evidence = b"\x01" * 32, b"\x02" * 32
    taken = (victim.address, 2**95, case, evidence, ANYBODY.address)
    stage.world.as_contract(slasher, stage.bond, "slash", *taken)
    assert stage.bond("pool_of", victim.address)[6]
    stage.settle(1)
    amount, _ = stage.claim_validator(1, 0)
    assert stage.emission("credit_of", VALIDATORS[0].address) == amount > 0
    amount, fees = stage.claim_validator(1, 1)
    assert stage.emission("credit_of", stage.commons.address) == amount > 0
    assert stage.emission("fees_credit_of", victim.address) == fees


def test_a_tokenized_models_part_is_sold_for_its_holders(stage: Emitting) -> None:
    models = paying(stage)
    share = stage.world.tokenize(models[0], PUBLISHER, period=DAY)
    stage.settle(1)
    amount = stage.claim_model(1, 0)
    stage.emission("flush", models[0])
    assert stage.emission("for_holders_of", models[0]) == amount
    cost = sale_cost(amount, ONE // 2)
    stage.world.fund(BUYER, cost, spender=stage.emission)
    late = (models[0], amount, cost, stage.now - 1)
    with refused("emission: too late"):
        stage.emission("buy_for_holders", *late, by=BUYER.address)
    for bad in (0, amount + 1):
        with refused("emission: not that much for sale"):
            stage.emission("buy_for_holders", models[0], bad, cost, FOR_EVER, by=BUYER.address)
    with refused("emission: dearer than the limit"):
        stage.emission("buy_for_holders", models[0], amount, cost - 1, FOR_EVER, by=BUYER.address)
    plan = (models[0], amount, cost, FOR_EVER)
    assert stage.emission("buy_for_holders", *plan, by=BUYER.address) == cost
    assert stage.emission.events("SoldForHolders")[0].arguments["cost"] == cost
    assert stage.held(BUYER) == amount
    stage.wait(DAY)
    assert share("claimable", PUBLISHER.address) >= cost - 1


def test_nothing_is_sold_for_holders_without_a_price() -> None:
    stage = open_emission()
    stage.emission.poke("for_holders_of", 5, value=TSR)
    with refused("emission: no price"):
        stage.emission("buy_for_holders", 5, TSR, TSR, FOR_EVER, by=BUYER.address)


def test_fees_that_no_demand_asks_for_become_the_commons(stage: Emitting) -> None:
    """Fees of assets in no subnet wait for one whole period, and no subnet gets them."""
    inside, outside = stage.new_model(PUBLISHER, 0), stage.world.publish(PUBLISHER)
    # What waited longest is used first: of the 10 that wait, 1 in the second period.
    for waits, commons in ((10, 0), (11, 9)):
        stage.earn(inside, ONE)
        stage.earn(outside, 10 * ONE)
        stage.emission("collect_demand", inside)
        stage.wait(TERMS.period)
        stage.emission("close")
        assert stage.emission("waiting_fees") == waits * ONE
        assert stage.emission("fees_credit_of", stage.commons.address) == commons * ONE
    assert stage.emission("fee_obligations") == 22 * ONE == stage.world.held(stage.emission)


def test_more_than_can_be_counted_is_refused(stage: Emitting) -> None:
    asset = stage.new_model(PUBLISHER, 0)
    stage.emission.poke("totals", stage.emission("period"), value=2**96 - 1)
    stage.earn(asset, 1)
    with refused("emission: more than can be counted"):
        stage.emission("collect_demand", asset)


def test_a_currency_that_refuses_stops_a_purchase_and_a_payment(stage: Emitting) -> None:
    currency = deployed(stage.place.engine, mock("FalseCurrency"), 18, by=ANYBODY.address)
    parts = [stage.tsr, currency, stage.world.registry, stage.world.channels, stage.exchange]
    parts += [stage.subnets, stage.pool, stage.place.epochs, stage.bond]
    emission = deployed(
        stage.place.engine, compiled("Emission"), *parts, TERMS.row(), by=ANYBODY.address
    )
    asset = stage.world.new_share(PUBLISHER)("asset")
    emission.poke("for_holders_of", asset, value=TSR)
    emission.poke("obligations", value=TSR)
    emission.poke("fees_credit_of", BUYER.address, value=1)
    emission.poke("fee_obligations", value=1)
    with refused("emission: currency refused the transfer"):
        emission("buy_for_holders", asset, TSR, ONE, FOR_EVER, by=BUYER.address)
    with refused("emission: token refused the transfer"):
        emission("withdraw_fees", by=BUYER.address)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"period": 0}, "schedule out of range"),
        ({"rate": 0}, "schedule out of range"),
        ({"rate": 2**96}, "schedule out of range"),
        ({"owner_bps": 5_901}, "split out of range"),
        ({"demand_bps": 10_001}, "more than the demand"),
        ({"bootstrap_bps": 5_001}, "bootstrap out of range"),
        ({"bootstrap_periods": 0}, "bootstrap out of range"),
        ({"short_window": 0}, "price out of range"),
        ({"long_window": 3_599}, "price out of range"),
        ({"floor_price": 0}, "price out of range"),
        ({"min_depth": 0}, "price out of range"),
    ],
)
def test_a_deployment_has_bounds(changes: dict[str, int], reason: str) -> None:
    anything = [ANYBODY.address] * 9
    with refused(f"emission: {reason}"):
        row = replace(TERMS, **changes).row()
        deployed(new_engine(), compiled("Emission"), *anything, row, by=ANYBODY.address)


def test_the_market_lists_the_network_token_only(stage: Emitting) -> None:
    at = create_address(person("network deployer").address, 5)
    listing = Contract(stage.place.engine, compiled("NetworkMarket"), at)
    assert listing("asset_of", stage.tsr) == 1
    assert listing("asset_of", stage.world.currency) == 0
    assert listing("controller_of", 1) == stage.commons.address
    share = stage.world.new_share(PUBLISHER)
    assert listing("share_of", share("asset")) == "0x" + "00" * 20
    with refused("exchange: neither a share nor an access"):
        stage.exchange("open_pool", share, TSR, ONE, 1, BUYER.address, 0, by=PUBLISHER.address)


def test_views_tell_the_deployment(stage: Emitting) -> None:
    assert tuple(stage.emission("terms")) == TERMS.row()
    assert stage.emission("started_at") == stage.began
    assert stage.emission("period_of", 999) == (0, 0, 0, 0, 0)
