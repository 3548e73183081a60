"""Subnets and Scores beside their twins, with the real Bond, token and Registry behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from rig.abi import encode
from rig.compiling import compiled, mock
from rig.contract import Contract, deployed
from rig.people import Person, key_of, person
from rig.system import DAY, World, create_address, deploy_world
from tessera.spec.scores import Row, ScoresModel, commitment_of
from tessera.spec.signatures import Address
from tessera.spec.subnets import MODELS, VALIDATORS, Rules, SubnetsModel, Windows

TSR = 10**18
GENESIS = 10_000_000 * TSR
ALL = 2**255
TEMPO = 4_000
QUARTER = TEMPO // 4
DATA_FEE = TSR // 10
# Bond's delay, notice, longest freeze, and the period of a reward's stream.
BOND_TIMES = (14 * DAY, 30 * DAY, 7 * DAY, DAY)
WINDOWS = Windows(
    min_tempo=400,
    min_lock=100 * TSR,
    lock_decay=10 * DAY,
    contest_window=TEMPO,
    closing_window=2 * DAY,
    idle_window=30 * DAY,
)
RULES = Rules(
    tempo=TEMPO,
    kappa=32_767,
    bonds_penalty=65_535,
    bonds_moving_average=900_000,
    yuma3=False,
    max_models=4,
    max_validators=3,
    immunity=2 * TEMPO,
    burn_half_life=TEMPO,
    min_burn=TSR,
    threshold=1_000 * TSR,
)


@dataclass
class Scoring:
    """One deployment, its twins, and what steps of a story need."""

    world: World
    token: Contract
    bond: Contract
    subnets: Contract
    scores: Contract
    epochs: Contract
    treasury: Person
    court: Contract | None = None
    model: SubnetsModel = field(init=False)
    rows: ScoresModel = field(init=False)
    speakers: dict[int, Person] = field(default_factory=dict)
    salts: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.model = SubnetsModel(WINDOWS, self)
        chain_id = self.world.engine.chain_id
        self.rows = ScoresModel(self.model, self, DATA_FEE, chain_id, key_of(self.scores))

    @property
    def now(self) -> int:
        return self.world.now

    # --- What the twins ask, read from the contracts behind ours --------------------------------

    def speaks_for(self, who: Address, asset: int) -> bool:
        return asset in self.speakers and key_of(self.speakers[asset]) == who

    def bonded(self, validator: Address) -> int:
        return int(self.bond("bonded", f"0x{validator.hex()}"))

    def bond_times(self) -> tuple[int, int]:
        delay, _, max_freeze, _ = self.bond("times")
        return int(delay), int(max_freeze)

    def has_enlisted(self, validator: Address) -> bool:
        return bool(self.bond("enlistment_of", f"0x{validator.hex()}", self.scores)[3])

    def last_final(self, subnet: int) -> int:
        return int(self.epochs("last_final", subnet))

    def final_at(self, subnet: int) -> int:
        return int(self.epochs("final_at", subnet))

    def incentive_of(self, subnet: int, epoch: int, uid: int) -> int:
        return self.epochs.slot("incentives", subnet, epoch, uid)

    def may_slash(self, validator: Address, case: bytes) -> bool:
        return bool(self.bond("may_slash", f"0x{validator.hex()}", self.scores, case))

    def slash(self, validator: Address, amount: int, case: bytes) -> int:
        return min(amount, int(self.bond("slashable", f"0x{validator.hex()}")))

    # --- Steps ----------------------------------------------------------------------------------

    def fund(self, who: Person, amount: int = 100_000 * TSR) -> Person:
        """Give somebody TSR, all of which Bond, Subnets and Scores may take."""
        self.token("transfer", who.address, amount, by=self.treasury.address)
        for spender in (self.bond, self.subnets, self.scores):
            self.token("approve", spender, 2**256 - 1, by=who.address)
        return who

    def held(self, who: Person | Contract) -> int:
        """Read a balance of TSR."""
        return int(self.token("balanceOf", who.address))

    def create(self, owner: Person, **changes: Any) -> int:
        """Open a subnet, on both sides."""
        rules = RULES._replace(**changes)
        expected, _ = self.model.create(key_of(owner), rules, ALL, self.now)
        subnet = int(self.subnets("create", tuple(rules), ALL, by=owner.address))
        assert subnet == expected
        return subnet

    def asset(self, publisher: Person) -> int:
        """Publish an asset; its owner speaks for it."""
        asset = self.world.publish(publisher)
        self.speakers[asset] = publisher
        return asset

    def place_model(self, subnet: int, publisher: Person, uid: int, asset: int = 0) -> int:
        """Register an asset, on both sides."""
        asset = asset or self.asset(publisher)
        self.model.register_model(key_of(publisher), subnet, asset, uid, ALL, self.now)
        self.subnets("register_model", subnet, asset, uid, ALL, by=publisher.address)
        return asset

    def validator(self, role: str, stake: int = 10_000 * TSR) -> Person:
        """Let somebody enlist Scores and stake."""
        who = self.fund(person(role))
        self.bond("enlist", self.scores, by=who.address)
        if stake:
            self.bond("stake", who.address, stake, by=who.address)
        return who

    def place_validator(self, subnet: int, who: Person, uid: int) -> Person:
        """Register a validator, on both sides."""
        self.model.register_validator(key_of(who), subnet, uid, ALL, self.now)
        self.subnets("register_validator", subnet, uid, ALL, by=who.address)
        return who

    def turn_to(self, subnet: int, epoch: int, quarters: float = 0) -> None:
        """Let time pass until some quarters of an epoch are over."""
        clock = self.model.subnets[subnet].clock
        self.world.engine.now = clock.begin_of(epoch) + int(quarters * clock.tempo) // 4

    def evidence(self, subnet: int, side: int, uid: int, basis: int) -> bytes:
        """Return what proves a place's worth to the double of Epochs."""
        if side == VALIDATORS or basis == 0:
            return b""
        return encode(["uint256"], [self.incentive_of(subnet, basis - 1, uid)])

    def correct(
        self, subnet: int, side: int, uid: int, lower: int, *, by: Person, basis: int = 0
    ) -> None:
        """Show a lower place to the contract alone."""
        proofs = [self.evidence(subnet, side, each, basis) for each in (uid, lower)]
        self.subnets("correct", subnet, side, uid, lower, *proofs, by=by.address)

    def commit(
        self, subnet: int, uid: int, who: Person, weights: Mapping[int, int] | Row, salt: int = 7
    ) -> tuple[Row, bytes]:
        """Commit to a row in the epoch that runs, on both sides; the row and its salt."""
        epoch = self.model.subnets[subnet].clock.epoch_at(self.now)
        columns = self.model.places_in(subnet, MODELS, self.now)
        row = weights if isinstance(weights, Row) else Row(weights, columns)
        grain = salt.to_bytes(32, "big")
        said = self.commitment(row, grain, who, subnet, epoch)
        assert self.rows.commit(key_of(who), subnet, uid, said, self.now) == epoch
        assert self.scores("commit", subnet, uid, said, by=who.address) == epoch
        return row, grain

    def commitment(
        self, row: Row | tuple[bytes, int], salt: bytes, who: Person, subnet: int, epoch: int
    ) -> bytes:
        """Hash as the twin does."""
        chain_id = self.world.engine.chain_id
        return commitment_of(row, salt, key_of(who), subnet, epoch, chain_id, key_of(self.scores))

    def reveal(
        self, subnet: int, epoch: int, who: Person, row: Row | tuple[bytes, int], salt: bytes
    ) -> int:
        """Open a commit to the contract alone; the row's number."""
        root, total = (row.root, row.sum) if isinstance(row, Row) else row
        return int(
            self.scores("reveal", subnet, epoch, root, total, salt, "https://x", by=who.address)
        )

    def revealed(self, subnet: int, epoch: int, who: Person, row: Row, salt: bytes) -> int:
        """Open a commit on both sides; the row's number."""
        number = self.rows.reveal(key_of(who), subnet, epoch, (row.root, row.sum), salt, self.now)
        assert self.reveal(subnet, epoch, who, row, salt) == number
        return number


def open_scoring(
    world: World | None = None,
    *,
    terms: tuple[int, ...] = (),
    bond_times: tuple[int, int, int, int] = BOND_TIMES,
) -> Scoring:
    """Deploy the token, Bond, Subnets and Scores at predicted addresses.

    With `terms` (see Epochs) the real Epochs and its court are behind them, else a double that
    says what the test wants.
    """
    world = world or deploy_world()
    deployer, treasury = person("validation deployer").address, person("treasury")
    names = ("token", "bond", "subnets", "scores", "epochs", *(("court",) if terms else ()))
    at = {name: create_address(deployer, nonce) for nonce, name in enumerate(names)}
    engine = world.engine
    parts = {
        "token": (compiled("NetworkToken"), GENESIS, treasury.address),
        "bond": (
            compiled("Bond"),
            at["token"],
            world.registry,
            *bond_times,
        ),
        "subnets": (
            compiled("Subnets"),
            at["token"],
            world.registry,
            at["bond"],
            at["scores"],
            at["epochs"],
            *WINDOWS,
        ),
        "scores": (compiled("Scores"), at["token"], at["subnets"], at["bond"], DATA_FEE),
        "epochs": (mock("FixedEpochs"),),
    }
    if terms:
        parties = (at["token"], world.registry, at["scores"], at["court"])
        parts["epochs"] = (compiled("Epochs"), *parties, terms)
        parts["court"] = (compiled("EpochCourt"),)
    made = {}
    for name in names:
        part, *arguments = parts[name]
        made[name] = deployed(engine, part, *arguments, by=deployer)
        assert made[name].address == at[name], "a predicted address is wrong"
    court = made.pop("court", None)
    return Scoring(world=world, treasury=treasury, court=court, **made)


def scored(validators: int = 2, models: int = 3, **changes: Any) -> tuple[Scoring, int]:
    """Open a subnet that has validators and models from epoch 1 on, and turn to its begin."""
    scoring = open_scoring()
    owner = scoring.fund(person("publisher"))
    subnet = scoring.create(owner, **changes)
    for uid in range(models):
        scoring.place_model(subnet, owner, uid)
    for uid in range(validators):
        scoring.place_validator(subnet, scoring.validator(f"validator {uid}"), uid)
    scoring.turn_to(subnet, 1)
    return scoring, subnet
