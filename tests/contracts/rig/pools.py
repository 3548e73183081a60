"""The stage of stories about trading: an Exchange, a tokenized model with a pool, and an Access."""

from __future__ import annotations

from dataclasses import dataclass

from rig.compiling import compiled
from rig.contract import Contract
from rig.people import Person, person
from rig.shop import ProductTerms
from rig.system import ONE_SHARE, World, deploy_world

SUPPLY = 1_000_000 * ONE_SHARE
TOKENS = 100_000 * ONE_SHARE
CURRENCY = 200_000_000_000
STANDARD = 1
UNITS = 1_000_000


@dataclass
class Floor:
    """One Exchange with its people; the share's pool is open unless told otherwise."""

    world: World
    asset: int
    share: Contract
    publisher: Person
    provider: Person
    trader: Person

    @property
    def exchange(self) -> Contract:
        return self.world.exchange

    @property
    def currency(self) -> Contract:
        return self.world.currency

    def key(self, token: Contract | None = None) -> int:
        """Return a token's number in ERC-6909."""
        return int((token or self.share).address, 16)

    def open(
        self,
        token: Contract | None = None,
        *,
        tokens: int = TOKENS,
        currency: int = CURRENCY,
        tier: int = STANDARD,
        provider: Person | None = None,
        locked_until: int = 0,
        by: Person | None = None,
    ) -> int:
        """Open a pool with money made for it; by the publisher unless told."""
        token, sender = token or self.share, by or self.publisher
        self.allow(sender, token)
        self.world.fund(sender, currency, spender=self.exchange)
        to = (provider or sender).address
        return int(
            self.exchange(
                *("open_pool", token.address, tokens, currency, tier, to, locked_until),
                by=sender.address,
            )
        )

    def allow(self, who: Person, token: Contract) -> None:
        """Let the Exchange take a token of somebody."""
        token("approve", self.exchange, 2**256 - 1, by=who.address)

    def arm(self, who: Person, *, shares: int = 0, money: int = 0) -> None:
        """Give somebody shares of the publisher's and money, and let the Exchange take both."""
        if shares:
            self.share("transfer", who.address, shares, by=self.publisher.address)
        self.allow(who, self.share)
        self.world.fund(who, money, spender=self.exchange)

    def swap(
        self,
        token_in: Contract,
        token_out: Contract,
        amount_in: int,
        *,
        least: int = 0,
        by: Person | None = None,
        deadline: int | None = None,
    ) -> int:
        """Trade an exact amount in; by the trader unless told."""
        who = (by or self.trader).address
        until = self.world.now if deadline is None else deadline
        sides = (token_in.address, token_out.address)
        return int(self.exchange("swap_exact_in", *sides, amount_in, least, who, until, by=who))

    def swap_out(
        self,
        token_in: Contract,
        token_out: Contract,
        amount_out: int,
        *,
        most: int = 2**256 - 1,
        by: Person | None = None,
    ) -> int:
        """Trade for an exact amount out."""
        who = (by or self.trader).address
        sides = (token_in.address, token_out.address)
        now = self.world.now
        return int(self.exchange("swap_exact_out", *sides, amount_out, most, who, now, by=who))

    def buy(self, money: int, **options: object) -> int:
        """Buy shares for an exact amount of money."""
        return self.swap(self.currency, self.share, money, **options)  # type: ignore[arg-type]

    def sell(self, shares: int, **options: object) -> int:
        """Sell an exact amount of shares."""
        return self.swap(self.share, self.currency, shares, **options)  # type: ignore[arg-type]

    def add(self, who: Person, tokens: int, currency: int, *, least: int = 0) -> int:
        """Add liquidity to the share's pool from what somebody has."""
        wish = (self.share.address, tokens, currency, least, who.address, self.world.now)
        return int(self.exchange("add_liquidity", *wish, by=who.address))

    def remove(self, who: Person, liquidity: int) -> tuple[int, int]:
        """Remove liquidity from the share's pool without limits."""
        wish = (self.share.address, liquidity, 0, 0, who.address, self.world.now)
        tokens, currency = self.exchange("remove_liquidity", *wish, by=who.address)
        return int(tokens), int(currency)

    def liquidity(self, who: Person) -> int:
        """Read a position in the share's pool."""
        return int(self.exchange("balanceOf", who.address, self.key()))

    def reserves(self, token: Contract | None = None) -> tuple[int, int]:
        """Read a pool's reserves."""
        tokens, currency = self.exchange("reserves_of", (token or self.share).address)
        return int(tokens), int(currency)

    def pay_holders(self, amount: int) -> None:
        """Let revenue come in, and stream from now on."""
        self.world.fund(self.share.address, amount)
        self.share("sync")

    def new_access(self) -> Contract:
        """Make a free product of the asset; the publisher takes all its units."""
        terms = ProductTerms(person("operator").address, price=0, cap=UNITS, most_per_account=UNITS)
        by = self.publisher.address
        address = self.world.storefront("create", self.asset, terms.row(), by=by)
        access = Contract(self.world.engine, compiled("Access"), address)
        access("buy", UNITS, by=by)
        return access

    def pretend_sale(self, clone: Contract, asset: int) -> None:
        """Let the Launchpad take a contract for a sale of an asset."""
        self.world.launchpad.poke("clone_rows", clone.address, value=asset << 16 | 1)

    def pretend_open_sales(self, count: int) -> None:
        """Let the Launchpad count open sales of the asset."""
        self.world.launchpad.poke("asset_rows", self.asset, value=count << 192)

    def pretend_price(self) -> None:
        """Let the Launchpad believe that a sale by the asset's owner found a price."""
        self.world.launchpad.poke("asset_rows", self.asset, value=1 << 254)

    def pretend_access(self, token: Contract) -> None:
        """Let the Storefront take a contract for a product of the asset."""
        self.world.storefront.poke("asset_of", token.address, value=self.asset)


def open_floor(
    world: World | None = None, *, pool: bool = True, supply: int = SUPPLY, period: int = 86_400
) -> Floor:
    """Tokenize a model; the publisher holds all shares but the pool's."""
    world = world or deploy_world()
    publisher, provider, trader = person("publisher"), person("provider"), person("trader")
    asset = world.publish(publisher, operator=person("operator"))
    share = world.tokenize(asset, publisher, supply=supply, period=period)
    floor = Floor(world, asset, share, publisher, provider, trader)
    if pool:
        floor.open()
    return floor
