"""The stage of stories about emission: everything real but Subnets and Scores, and what was paid.

What a settlement leaves behind in Channels (demand, and the validators' half as credit) is written
there, so that a test says in one line what a thousand calls paid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rig.bonding import DELAY, GENESIS, MAX_FREEZE, NOTICE, PERIOD, TSR
from rig.compiling import compiled, mock
from rig.contract import Contract, deployed
from rig.epochs import HOUR, SUBNET, EpochWorld, Told
from rig.people import Person, person
from rig.system import DAY, World, create_address
from tessera.spec.emission import EmissionModel, EmissionTerms
from tessera.spec.epochs import Former

OTHER = SUBNET + 1
TEMPO = DAY
# Base units of a currency of 18 decimals: one of it.
ONE = 10**18
TERMS = EmissionTerms(
    period=6 * HOUR,
    rate=TSR // 12,
    bootstrap_periods=4,
    long_window=DAY,
    short_window=HOUR,
    floor_price=ONE // 100,
    min_depth=100 * ONE,
)
# What the pool of TSR begins with: a TSR costs one half.
POOL_TSR, POOL_MONEY = 100_000 * TSR, 50_000 * ONE


@dataclass
class Emitting:
    """One Emission and all that it asks."""

    place: EpochWorld
    tsr: Contract
    bond: Contract
    subnets: Contract
    pool: Contract
    exchange: Contract
    emission: Contract
    treasury: Person
    owner: Person
    poster: Person
    began: int
    told: dict[int, Told] = field(default_factory=dict)
    paid: int = 0

    @property
    def world(self) -> World:
        return self.place.world

    @property
    def now(self) -> int:
        return self.place.now

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.place.wait(seconds)

    def to_epoch(self, epoch: int) -> None:
        """Wait until an epoch begins; its predecessor is over then."""
        self.place.engine.now = max(self.now, self.began + epoch * TEMPO)

    def fund(self, who: Person, amount: int) -> None:
        """Give somebody TSR, all of which pool, Bond and market may take."""
        self.tsr("transfer", who.address, amount, by=self.treasury.address)
        for spender in (self.pool, self.bond, self.exchange):
            self.tsr("approve", spender, 2**256 - 1, by=who.address)

    def open_subnet(self, subnet: int = SUBNET, opening: int = 0) -> None:
        """Create a subnet, with a pool where an opening is named."""
        self.subnets("create", subnet, self.owner.address)
        if opening:
            self.fund(self.owner, opening)
            self.pool("open", subnet, opening, by=self.owner.address)

    def new_model(self, publisher: Person, uid: int, subnet: int = SUBNET) -> int:
        """Publish a model in a subnet; its demand counts from now on."""
        asset = self.world.publish(publisher)
        self.subnets("join", subnet, asset, uid)
        self.emission("collect_demand", asset)
        return asset

    def open_market(
        self, tsr: int = POOL_TSR, money: int = POOL_MONEY, *, locked_until: int = 2**32 - 1
    ) -> None:
        """Open the pool of TSR for good, and wait until it has a mean price of a day."""
        self.fund(self.treasury, 0)
        self.world.fund(self.treasury, money, spender=self.exchange)
        terms = (self.tsr, tsr, money, 1, self.treasury.address, locked_until)
        self.exchange("open_pool", *terms, by=self.treasury.address)
        self.wait(DAY)

    def earn(self, asset: int, demand: int) -> None:
        """Let consumers have paid `200 * demand` for an asset at a fee of 1 %."""
        channels, emission = self.world.channels, self.emission.address
        for variable, key in (("demand_of", asset), ("credit_of", emission)):
            channels.poke(variable, key, value=channels.slot(variable, key) + demand)
        channels.poke("obligations", value=channels.slot("obligations") + demand)
        self.world.fund(channels.address, demand)
        self.paid += 2 * demand

    def post(self, epoch: int, weights: list[list[int]], **more: Any) -> Told:
        """Bring the epochs of the subnet up to this one, and let its true result become final."""
        self.to_epoch(epoch + 1)
        clock = self.place.epochs("clock_of", SUBNET)
        for earlier in range(clock[0], epoch):
            self.place.epochs("skip", SUBNET, earlier)
        last = self.place.epochs("clock_of", SUBNET)[1]
        if last:
            more["former"] = self._former(last - 1, len(weights[0]))
        told = self.place.tell(epoch, self.place.inputs(weights, epoch=epoch, **more))
        self.place.settle(told, by=self.poster)
        self.told[epoch] = told
        return told

    def _former(self, epoch: int, columns: int) -> Former:
        told = self.told[epoch]
        validators = tuple(row.validator for row in told.inputs.rows)
        return Former(epoch, told.posted, validators, (True,) * columns)

    def settle(self, epoch: int, subnet: int = SUBNET) -> int:
        """Let an epoch pay."""
        header = self.told[epoch].posted.header
        return int(self.emission("settle", subnet, epoch, header.call))

    def claim_model(self, epoch: int, uid: int) -> int:
        """Claim for a model."""
        posted = self.told[epoch].posted
        proof = posted.model_proof(uid)
        return int(self.emission("claim_model", SUBNET, epoch, posted.header.call, *proof))

    def claim_validator(self, epoch: int, row: int) -> tuple[int, int]:
        """Claim for a validator."""
        posted = self.told[epoch].posted
        proof = posted.validator_proof(row)
        return tuple(self.emission("claim_validator", SUBNET, epoch, posted.header.call, *proof))

    def stake(self, who: Person, amount: int) -> None:
        """Let a validator bond TSR of its own."""
        self.fund(who, amount)
        self.bond("stake", who.address, amount, by=who.address)

    def held(self, who: Person | Contract) -> int:
        """Read a balance of TSR."""
        return int(self.tsr("balanceOf", who.address))

    def model(self) -> EmissionModel:
        """Begin the books that the contract's must equal."""
        return EmissionModel(TERMS, GENESIS)

    @property
    def commons(self) -> Person:
        return self.world.commons


def open_emission(terms: EmissionTerms = TERMS, *, genesis: int = GENESIS) -> Emitting:
    """Deploy everything at predicted addresses; the validators' half of all fees comes here."""
    place = EpochWorld()
    world, engine = place.world, place.engine
    deployer, treasury = person("network deployer").address, person("treasury")
    names = ("tsr", "bond", "subnets", "token", "pool", "listing", "exchange", "emission")
    at = {name: create_address(deployer, nonce) for nonce, name in enumerate(names)}

    def deploy(name: str, part: Any, *arguments: object) -> Contract:
        contract = deployed(engine, part, *arguments, by=deployer)
        assert contract.address == at[name], "a predicted address is wrong"
        return contract

    tsr = deploy("tsr", compiled("NetworkToken"), genesis, treasury.address)
    bond = deploy("bond", compiled("Bond"), tsr, world.registry, DELAY, NOTICE, MAX_FREEZE, PERIOD)
    subnets = deploy("subnets", mock("PlainSubnets"))
    token = deploy("token", compiled("SubnetToken"), at["pool"])
    commons = world.commons.address
    pool = deploy("pool", compiled("SubnetPool"), tsr, subnets, token, commons, DAY)
    listing = deploy("listing", compiled("NetworkMarket"), tsr, commons)
    exchange = deploy("exchange", compiled("Exchange"), world.currency, listing, listing, listing)
    emission = deploy(
        "emission",
        compiled("Emission"),
        *(tsr, world.currency, world.registry, world.channels, exchange),
        *(subnets, pool, place.epochs, bond),
        terms.row(),
    )
    tsr("set_minter", emission, by=deployer)
    world.registry("set_network", 100, commons, emission, by=world.owner.address)
    poster = person("poster")
    place.fund(poster)
    return Emitting(
        place,
        tsr,
        bond,
        subnets,
        pool,
        exchange,
        emission,
        treasury,
        person("subnet owner"),
        poster,
        engine.now,
    )
