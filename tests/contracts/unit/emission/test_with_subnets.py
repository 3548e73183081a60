"""From paid calls to claims: real Channels, Subnets, Scores, Epochs, Bond, pools and Emission."""

from __future__ import annotations

from dataclasses import replace

from rig.compiling import compiled
from rig.contract import Contract, deployed, refused
from rig.emitting import TERMS
from rig.epochs import TERMS as EPOCH_TERMS
from rig.people import Person, person
from rig.scoring import RULES, TSR, Scoring, open_scoring
from rig.signing import Batch, SignedLine, compact, domain_of, sign_voucher
from rig.system import DAY, NOBODY, create_address

from tessera.spec.epochs import EpochInputs, RevealedRow, Rules, build

UNIT = 10**6
SCORES = [[60_000, 20_000], [65_535, 0]]
CONSENSUS = Rules(RULES.kappa, RULES.bonds_penalty, RULES.bonds_moving_average, RULES.yuma3)
OWNER, OPERATOR, CONSUMER = person("publisher"), person("operator"), person("consumer")


def emission_of(scoring: Scoring, pool_tsr: int, pool_money: int) -> tuple[Contract, Contract]:
    """Deploy what emits beside what scores, and open the market of TSR; Emission and the pool."""
    world, deployer = scoring.world, person("network deployer").address
    at = [create_address(deployer, nonce) for nonce in range(5)]
    commons = world.commons.address

    def deploy(name: str, *arguments: object) -> Contract:
        return deployed(world.engine, compiled(name), *arguments, by=deployer)

    token = deploy("SubnetToken", at[1])
    pool = deploy("SubnetPool", scoring.token, scoring.subnets, token, commons, DAY)
    listing = deploy("NetworkMarket", scoring.token, commons)
    exchange = deploy("Exchange", world.currency, listing, listing, listing)
    parts = (scoring.token, world.currency, world.registry, world.channels, exchange)
    parts += (scoring.subnets, pool, scoring.epochs, scoring.bond)
    terms = replace(TERMS, period=RULES.tempo, floor_price=1, min_depth=UNIT)
    emission = deploy("Emission", *parts, terms.row())
    scoring.token("set_minter", emission, by=person("validation deployer").address)
    world.registry("set_network", 100, commons, emission, by=world.owner.address)
    maker = scoring.fund(person("provider"), pool_tsr)
    world.fund(maker, pool_money, spender=exchange)
    scoring.token("approve", exchange, 2**256 - 1, by=maker.address)
    plan = (scoring.token, pool_tsr, pool_money, 1, maker.address, 2**32 - 1)
    exchange("open_pool", *plan, by=maker.address)
    return emission, pool


def pay(scoring: Scoring, asset: int, amount: int) -> None:
    """Let a consumer pay the operator for calls, by a voucher that is settled."""
    world = scoring.world
    channel = world.open_channel(CONSUMER, OPERATOR, amount)
    line = SignedLine(asset, 1, amount, amount)
    voucher = compact(*sign_voucher(CONSUMER, domain_of(world.channels), channel, [line]))
    batch = Batch([(asset, 1)])
    batch.add(channel, [line], voucher)
    world.channels("settle", batch.tills, batch.words, by=OPERATOR.address)


def scored(scoring: Scoring, subnet: int, epoch: int, validators: list[Person]) -> EpochInputs:
    """Let validators commit and reveal in the present epoch, and wait until it is over."""
    rows = [
        scoring.commit(subnet, uid, who, dict(enumerate(SCORES[uid])))
        for uid, who in enumerate(validators)
    ]
    scoring.turn_to(subnet, epoch, 2)
    for who, (row, salt) in zip(validators, rows, strict=True):
        scoring.revealed(subnet, epoch, who, row, salt)
    scoring.turn_to(subnet, epoch, 5)
    _, _, columns, _, digest = scoring.scores("epoch_of", subnet, epoch)
    told = [scoring.scores("row_at", subnet, epoch, place) for place in range(len(rows))]
    revealed = tuple(
        RevealedRow(bytes.fromhex(who[2:]), stake, tuple(SCORES[place]), void=False)
        for place, (who, _, _, stake) in enumerate(told)
    )
    return EpochInputs(columns, revealed, CONSENSUS, digest, None)


def test_from_a_paid_call_to_a_claim() -> None:
    scoring = open_scoring(
        terms=tuple(getattr(EPOCH_TERMS, name) for name in type(EPOCH_TERMS).__dataclass_fields__)
    )
    world, owner = scoring.world, scoring.fund(OWNER)
    # A TSR costs two.
    emission, pool = emission_of(scoring, 10_000 * TSR, 20_000 * UNIT)
    subnet = scoring.create(owner)
    models = []
    for uid in range(2):
        asset = world.publish(OWNER, operator=OPERATOR)
        scoring.speakers[asset] = OWNER
        scoring.place_model(subnet, owner, uid, asset)
        models.append(asset)
        assert emission("collect_demand", asset) == 0
    validators = [
        scoring.place_validator(subnet, scoring.validator(f"validator {uid}"), uid)
        for uid in range(2)
    ]
    scoring.token("approve", pool, 2**256 - 1, by=owner.address)
    token = pool("open", subnet, 10 * TSR, by=owner.address)
    assert token != NOBODY
    # The market is a day old before demand is counted in it; an epoch that is over is skipped.
    epoch = scoring.model.subnets[subnet].clock.epoch_at(scoring.now + DAY) + 1
    for empty in range(epoch - 1):
        scoring.turn_to(subnet, empty, 5)
        scoring.epochs("skip", subnet, empty)
    scoring.turn_to(subnet, epoch, 1)
    pay(scoring, models[0], 20_000 * UNIT)
    assert emission("collect_demand", models[0]) == 100 * UNIT
    posted = build(scored(scoring, subnet, epoch, validators))
    scoring.epochs("skip", subnet, epoch - 1)
    poster = scoring.fund(person("poster"))
    scoring.token("approve", scoring.epochs, 2**256 - 1, by=poster.address)
    scoring.epochs("post", subnet, epoch, posted.header.call, by=poster.address)
    with refused("emission: epoch is not final"):
        emission("settle", subnet, epoch, posted.header.call)
    world.wait(EPOCH_TERMS.challenge_window)
    scoring.epochs("finalize", subnet, epoch)
    # Demand of 100 at a price of 2, half of it.
    paid_by = scoring.subnets("epoch_at", subnet, _end_of_period(emission))
    assert paid_by == epoch
    minted = emission("settle", subnet, epoch, posted.header.call)
    assert abs(minted - 25 * TSR) < TSR // 100
    earned = []
    for uid, asset in enumerate(models):
        proof = posted.model_proof(uid)
        earned.append(emission("claim_model", subnet, epoch, posted.header.call, *proof))
        emission("flush", asset)
    assert earned[0] > earned[1]
    for row, who in enumerate(validators):
        proof = posted.validator_proof(row)
        amount, fees = emission("claim_validator", subnet, epoch, posted.header.call, *proof)
        assert amount > 0
        assert emission("withdraw_fees", by=who.address) == fees > 0
    for who in (owner, OWNER):
        emission("withdraw", by=who.address)
    assert scoring.token("balanceOf", emission.address) == emission("obligations") < 10


def _end_of_period(emission: Contract) -> int:
    terms, began = emission("terms"), emission("started_at")
    counted = emission("share_of", 1)[2]
    return int(began + (counted + 1) * terms[0] - 1)
