"""The market of the network's token, and NetworkPrice, which says what it is worth as security."""

from __future__ import annotations

from dataclasses import dataclass

from rig.bonding import TSR
from rig.compiling import compiled
from rig.contract import Contract, deployed
from rig.people import Person, key_of
from rig.system import DAY, World
from tessera.spec.exchange import ExchangeModel, PoolModel
from tessera.spec.network_price import NetworkPriceModel

HOUR = 3_600
UNIT = 10**6
MODEL = NetworkPriceModel(DAY, HOUR, 10_000 * UNIT)
FOR_EVER = 2**32 - 1
# What the pool begins with: a TSR costs one half.
POOL_TSR, POOL_MONEY = 100_000 * TSR, 50_000 * UNIT


@dataclass
class Pricing:
    """An Exchange that lists the network's token only, its twin, and NetworkPrice."""

    world: World
    token: Contract
    treasury: Person
    exchange: Contract
    price: Contract
    books: ExchangeModel

    @property
    def pool(self) -> PoolModel:
        return self.books.pool_of(key_of(self.token))

    def arm(self, who: Person, *, tsr: int = 0, money: int = 0) -> None:
        """Give somebody tokens and money, all of which the Exchange may take."""
        self.token("transfer", who.address, tsr, by=self.treasury.address)
        self.token("approve", self.exchange, 2**256 - 1, by=who.address)
        self.world.fund(who, money, spender=self.exchange)

    def open(
        self, tsr: int = POOL_TSR, money: int = POOL_MONEY, *, locked_until: int = FOR_EVER
    ) -> None:
        """Open the pool by the treasury."""
        self.arm(self.treasury, money=money)
        plan = (self.token, tsr, money, 1, self.treasury.address, locked_until)
        self.exchange("open_pool", *plan, by=self.treasury.address)
        keys = key_of(self.token), key_of(self.treasury)
        self.books.open_pool(keys[0], tsr, money, 1, keys[1], locked_until, now=self.world.now)

    def buy(self, who: Person, money: int) -> int:
        """Buy tokens; how many."""
        return self._swap(who, self.world.currency, self.token, money)

    def sell(self, who: Person, tsr: int) -> int:
        """Sell tokens; what they bring."""
        return self._swap(who, self.token, self.world.currency, tsr)

    def _swap(self, who: Person, sold: Contract, bought: Contract, amount: int) -> int:
        now = self.world.now
        plan = (sold, bought, amount, 0, who.address, now)
        got = int(self.exchange("swap_exact_in", *plan, by=who.address))
        sides = key_of(sold), key_of(bought)
        assert self.books.swap_exact_in(*sides, amount, 0, now=now, deadline=now) == got
        return got

    def add(self, who: Person, tsr: int, money: int) -> int:
        """Provide liquidity; how much."""
        now = self.world.now
        plan = (self.token, tsr, money, 0, who.address, now)
        added = int(self.exchange("add_liquidity", *plan, by=who.address))
        key, provider = key_of(self.token), key_of(who)
        told, _, _ = self.books.add_liquidity(
            key, tsr, money, 0, provider, now=now, deadline=now, revenue=0
        )
        assert added == told
        return added

    def value_of(self, tokens: int) -> int:
        """Ask the contract."""
        return int(self.price("value_of", tokens))


def open_pricing(
    world: World, token: Contract, treasury: Person, model: NetworkPriceModel = MODEL
) -> Pricing:
    """Deploy the market, without a pool yet."""
    deployer = world.owner.address

    def deploy(name: str, *arguments: object) -> Contract:
        return deployed(world.engine, compiled(name), *arguments, by=deployer)

    listing = deploy("NetworkMarket", token, world.commons.address)
    exchange = deploy("Exchange", world.currency, listing, listing, listing)
    windows = (model.long_window, model.short_window, model.min_depth)
    price = deploy("NetworkPrice", token, exchange, *windows)
    return Pricing(world, token, treasury, exchange, price, ExchangeModel(key_of(world.currency)))
