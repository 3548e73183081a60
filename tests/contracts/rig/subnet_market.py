"""The stage of stories about subnet tokens: a pool contract, its token, and network tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

from rig.compiling import compiled, mock
from rig.contract import Contract, deployed
from rig.engines import Engine, new_engine
from rig.people import Person, person
from rig.system import DAY, create_address
from tessera.spec.weighted_pool import SubnetMarketModel

OPENING = 1_000 * 10**18
SUBNET = 7
FOR_EVER = 2**40


@dataclass
class SubnetMarket:
    """One SubnetPool, with subnets that all belong to one owner."""

    engine: Engine
    tsr: Contract
    pool: Contract
    subnets: Contract
    owner: Person
    commons: Person
    model: SubnetMarketModel = field(default_factory=lambda: SubnetMarketModel(DAY))

    @property
    def now(self) -> int:
        return self.engine.now

    def fund(self, who: Person, amount: int) -> None:
        """Give somebody network tokens, and let the pool take all they have."""
        self.tsr("mint", who.address, amount, by=self.commons.address)
        self.tsr("approve", self.pool, 2**256 - 1, by=who.address)

    def open(self, subnet: int = SUBNET, amount: int = OPENING) -> Contract:
        """Open a subnet's pool; its token."""
        self.subnets("create", subnet, self.owner.address)
        self.fund(self.owner, amount)
        address = self.pool("open", subnet, amount, by=self.owner.address)
        self.model.open(subnet, amount, now=self.now)
        return Contract(self.engine, compiled("SubnetToken"), address)

    def close(self, subnet: int = SUBNET) -> None:
        """Dissolve a subnet and close its pool."""
        self.subnets("dissolve", subnet)
        self.pool("close", subnet)

    def buy(self, who: Person, amount: int, subnet: int = SUBNET, *, least: int = 0) -> int:
        """Fund somebody and let them buy; the raw tokens."""
        self.fund(who, amount)
        return int(self.pool("buy", subnet, amount, least, FOR_EVER, by=who.address))

    def sell(self, who: Person, tokens: int, subnet: int = SUBNET, *, least: int = 0) -> int:
        """Let somebody sell raw tokens; what they brought."""
        token = self.pool("token_of", subnet)
        Contract(self.engine, compiled("SubnetToken"), token)(
            "approve", self.pool, 2**256 - 1, by=who.address
        )
        return int(self.pool("sell", subnet, tokens, least, FOR_EVER, by=who.address))

    def held(self, who: Contract | Person) -> int:
        """Read a balance of network tokens."""
        return int(self.tsr("balanceOf", who.address))


def deploy_subnet_market() -> SubnetMarket:
    """Deploy the pool contract, with its token at a predicted address, on a fresh engine."""
    engine, deployer = new_engine(), person("deployer").address
    owner, commons = person("subnet owner"), person("commons")
    tsr = deployed(engine, mock("PlainCurrency"), 18, by=deployer)
    subnets = deployed(engine, mock("PlainSubnets"), by=deployer)
    pool = create_address(deployer, 3)
    token = deployed(engine, compiled("SubnetToken"), pool, by=deployer)
    made = deployed(
        engine,
        compiled("SubnetPool"),
        *(tsr, subnets, token, commons.address, DAY),
        by=deployer,
    )
    assert made.address == pool
    return SubnetMarket(engine, tsr, made, subnets, owner, commons)
