"""A bond beside its twin: the network's token, stakers, and slashers that do what they are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rig.compiling import compiled
from rig.contract import NOBODY, Contract, deployed
from rig.people import Person, person
from rig.system import DAY, World, deploy_world
from tessera.spec.bond import BondTimes

DELAY, NOTICE, MAX_FREEZE, PERIOD = 14 * DAY, 30 * DAY, 7 * DAY, DAY
TIMES = BondTimes(DELAY, NOTICE, MAX_FREEZE, PERIOD)
TSR = 10**18
GENESIS = 1_000_000 * TSR
EVIDENCE = b"\xee" * 32


def case(number: int) -> bytes:
    """Name a case."""
    return number.to_bytes(32, "big")


@dataclass
class Bonding:
    """A Bond, its token with all of the genesis in one hand, and some slashers with code."""

    world: World
    token: Contract
    bond: Contract
    treasury: Person
    slashers: list[Contract] = field(default_factory=list)

    def fund(self, who: Person, amount: int) -> None:
        """Give somebody network tokens, all of which Bond may take."""
        self.token("transfer", who.address, amount, by=self.treasury.address)
        self.token("approve", self.bond, 2**256 - 1, by=who.address)

    def stake(self, who: Person, validator: Person, amount: int) -> int:
        """Fund somebody and stake it all; the shares."""
        self.fund(who, amount)
        return int(self.bond("stake", validator.address, amount, by=who.address))

    def validator(self, role: str, amount: int, *, take_bps: int = 0) -> Person:
        """Let somebody enlist every slasher and stake."""
        who = person(role)
        for slasher in self.slashers:
            self.bond("enlist", slasher, by=who.address)
        self.bond("set_take", take_bps, by=who.address)
        self.stake(who, who, amount)
        return who

    def reward(self, validator: Person, amount: int) -> None:
        """Reward as an emission would."""
        self.fund(self.treasury, 0)
        self.bond("reward", validator.address, amount, by=self.treasury.address)

    def as_slasher(self, name: str, *arguments: object, by: int = 0) -> bytes:
        """Let a slasher call Bond; the raw answer."""
        payload = self.bond.interface.call_data(name, *arguments)
        actor = self.slashers[by]
        answer = actor("call", self.bond.address, payload, by=self.treasury.address)
        assert isinstance(answer, bytes)
        return answer

    def slash(
        self,
        validator: Person,
        amount: int,
        number: int,
        *,
        whistle_blower: Person | None = None,
        evidence: bytes = EVIDENCE,
        by: int = 0,
    ) -> int:
        """Slash as a slasher; base units taken."""
        to = NOBODY if whistle_blower is None else whistle_blower.address
        arguments = (validator.address, amount, case(number), evidence, to)
        return int.from_bytes(self.as_slasher("slash", *arguments, by=by), "big")

    def leave_all(self, who: Person, validator: Person) -> int:
        """Take everything back; the base units that leave."""
        shares = self.bond("stake_of", validator.address, who.address)[0]
        return int(self.bond("unstake", validator.address, shares, by=who.address))

    def held(self, who: Person | Contract) -> int:
        """Read a balance of the network token."""
        return int(self.token("balanceOf", who.address))

    def pool(self, validator: Person) -> Any:
        """Read a pool as the contract tells it."""
        return self.bond("pool_of", validator.address)


def open_bonding(
    *,
    world: World | None = None,
    slashers: int = 2,
    token: Callable[[World], Contract] | None = None,
    times: tuple[int, int, int, int] = (DELAY, NOTICE, MAX_FREEZE, PERIOD),
) -> Bonding:
    """Deploy token, Bond and slashers."""
    world = world or deploy_world()
    treasury = person("treasury")
    deployer = world.owner.address
    if token is None:
        network = deployed(
            world.engine, compiled("NetworkToken"), GENESIS, treasury.address, by=deployer
        )
    else:
        network = token(world)
    bond = deployed(world.engine, compiled("Bond"), network, world.registry, *times, by=deployer)
    actors = [world.actor() for _ in range(slashers)]
    return Bonding(world, network, bond, treasury, actors)
