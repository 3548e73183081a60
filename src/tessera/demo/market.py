"""The first acts: publish, tokenize, let shares vest, and sell them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tessera.app import World
from tessera.assets.attribution.leaves import leaves_of
from tessera.assets.publish import Endpoint, plan_publication, publish
from tessera.bindings import Access, Auction, Offering, Share, Vesting
from tessera.bindings.launchpad import AuctionSale, Grant, Liquidity, Sale, Schedule
from tessera.bindings.storefront import Kind, Product
from tessera.demo.upstream import LocalModel
from tessera.ownership import access as rights
from tessera.ownership import auction as auctions
from tessera.ownership import contributing, selling
from tessera.ownership import offering as sales
from tessera.ownership import vesting as grants
from tessera.ownership.share import ShareTerms, tokenize
from tessera.spec.access import Scope
from tessera.spec.signatures import keccak
from tessera.units import SHARE_DECIMALS, AssetId, Bps, Seconds, Shares, Units

__all__ = [
    "PLANS",
    "Listed",
    "Plan",
    "Purchase",
    "buy_shares",
    "claim_contributions",
    "manifest_ending",
    "put_on_market",
]

_WHOLE: Final = 10**SHARE_DECIMALS
SUPPLY: Final = 1_000_000
"""Whole shares of each model."""
OPERATOR_CUT: Final = Bps(1_000)
_FLOOR: Final = Bps(7_000)
_MAX_DISCOUNT: Final = Bps(2_500)
_LONG_SALE_S: Final = 30 * 86_400
_AUCTION_S: Final = 60
_BETWEEN_BIDS_S: Final = 2.0
_LOCKED_S: Final = 365 * 86_400
_STANDARD_TIER: Final = 1
_CENT: Final = 10_000
_ROYALTY_BPS: Final = 1_000
_LONG_WINDOW_S: Final = 3_600
_VESTING_S: Final = 600
_CLIFF_S: Final = 2


@dataclass(frozen=True, slots=True)
class Purchase:
    """Who buys how many whole shares."""

    holder: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What a model's publisher sells beside calls.

    Attributes
    ----------
    calls
        That a unit is good for; 0 for a licence without end.
    price
        Base units for one unit.
    serve_window_s
        In which the operator must prove service.
    """

    calls: int
    price: int
    serve_window_s: int = _LONG_WINDOW_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What happens to one model; numbers of shares are whole shares.

    Attributes
    ----------
    publisher, contributor
        Who publishes it, and whose grant vests.
    vesting
        Shares of that grant.
    set_aside
        Shares for everybody whom the bundle names, by weight.
    for_sale, soft_cap, price
        The sale; the price is in base units for a whole share.
    purchases
        In this order.
    first_price
        Where an auction begins to fall to `price`; 0 for a sale at one price. The last of the
        purchases takes whatever is left.
    pool_bps
        Part of the proceeds that opens the pool of the shares once all are sold.
    rights
        To use it, for those who do not pay by the call.
    fails
        Whether the sale ends below its soft cap, soon.
    parents
        (slug, royalty in hundredths of a percent).
    replaceable
        Whether a language model that runs on this machine may take its part.
    upstream
        The server that answers for it, where that is not trained here.
    """

    slug: str
    symbol: str
    publisher: str
    contributor: str
    vesting: int
    for_sale: int
    soft_cap: int
    price: int
    purchases: tuple[Purchase, ...]
    set_aside: int = 0
    first_price: int = 0
    pool_bps: int = 0
    rights: Rights | None = None
    fails: bool = False
    parents: tuple[tuple[str, int], ...] = ()
    replaceable: bool = False
    upstream: LocalModel | None = None


PLANS: Final = (
    Plan(
        slug="lsa-embed",
        symbol="EMBED",
        publisher="publisher-1",
        contributor="contributor-2",
        vesting=50_000,
        set_aside=40_000,
        for_sale=300_000,
        soft_cap=150_000,
        price=8_000,
        purchases=(
            Purchase("holder-2", 100_000),
            Purchase("holder-3", 100_000),
            Purchase("holder-4", 100_000),
        ),
        pool_bps=1_000,
        rights=Rights(calls=0, price=200 * _CENT),
    ),
    Plan(
        slug="digits",
        symbol="DIGIT",
        publisher="publisher-1",
        contributor="contributor-1",
        vesting=100_000,
        for_sale=400_000,
        soft_cap=100_000,
        price=10_000,
        purchases=(
            Purchase("holder-1", 99_999),
            Purchase("holder-2", 80_000),
            Purchase("holder-3", 60_001),
        ),
        rights=Rights(calls=20, price=20 * _CENT),
    ),
    Plan(
        slug="sentiment",
        symbol="MOOD",
        publisher="publisher-2",
        contributor="contributor-2",
        vesting=70_000,
        for_sale=300_000,
        soft_cap=250_000,
        price=5_000,
        purchases=(Purchase("holder-4", 20_000), Purchase("holder-5", 30_000)),
        rights=Rights(calls=20, price=20 * _CENT, serve_window_s=10),
        fails=True,
    ),
    Plan(
        slug="pydoc-lm",
        symbol="PYDOC",
        publisher="publisher-2",
        contributor="contributor-1",
        vesting=80_000,
        for_sale=250_000,
        soft_cap=50_000,
        price=4_000,
        first_price=8_000,
        purchases=(Purchase("holder-1", 90_000), Purchase("holder-5", 160_000)),
        # It learned from the texts that lsa-embed's publisher collected and cleaned.
        parents=(("lsa-embed", 500),),
        replaceable=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A model on the market.

    Attributes
    ----------
    plan, asset, share
        What, and its Share.
    offering, vesting
        Where its shares are sold, an Offering or an Auction, and where the contributor's unlock.
    access
        The right to use it, as a token.
    allocation
        Shares set aside for its contributors.
    bought
        Cost of each purchase, base units.
    claimed
        What contributors claimed and unlocks now, by name.
    """

    plan: Plan
    asset: AssetId
    share: Share
    offering: Offering | Auction
    vesting: Vesting
    access: Access | None = None
    allocation: contributing.Allocation | None = None
    bought: dict[str, Units] = field(default_factory=dict)
    claimed: dict[str, Vesting] = field(default_factory=dict)

    @property
    def grants(self) -> list[tuple[str, Vesting]]:
        """Whoever has shares that unlock, and where they are."""
        return [(self.plan.contributor, self.vesting), *self.claimed.items()]

    def behind(self) -> dict[str, str]:
        """Name the person that shares in a contract earn for, by the contract's address."""
        found = {vesting.address: f"{who} (vesting)" for who, vesting in self.grants}
        found[self.offering.address] = f"{self.plan.publisher} (unsold)"
        if self.allocation is not None:
            found[self.allocation.address] = "contributors (set aside)"
        return found


def manifest_ending(plan: Plan) -> str:
    """Return the TOML that names a model's makers and parents."""
    lines = [
        *("[[contributors]]", f'name = "{plan.publisher}"', 'role = "code"', "weight = 6000", ""),
        *("[[contributors]]", f'name = "{plan.contributor}"', 'role = "data"', "weight = 4000", ""),
    ]
    for slug, royalty in plan.parents:
        lines += ["[[parents]]", f'asset = "{slug}"', f"royalty_bps = {royalty}", ""]
    return "\n" + "\n".join(lines)


async def put_on_market(
    world: World,
    plan: Plan,
    folder: Path,
    *,
    operator: str,
    url: str,
    period: Seconds,
    short_sale_s: int,
) -> Listed:
    """Publish a bundle, make its shares, lock the contributor's, and open the sale.

    What was done before an interruption is found and not done again.

    Parameters
    ----------
    operator, url
        Who serves it, and where.
    period
        Over which revenue streams to the holders.
    short_sale_s
        Length of a sale that is meant to fail.
    """
    sender = world.sender(plan.publisher)
    registry, launchpad = world.deployment.registry, world.deployment.launchpad
    planned = await plan_publication(
        folder,
        world.directory,
        sender.address,
        endpoint=Endpoint(operator, url, OPERATOR_CUT),
        decimals=world.currency.decimals,
        accounts={name: world.account(name).address for name in world.wallet.names()},
    )
    published = await publish(planned, world.store, registry, sender)
    asset = published.asset
    await world.directory.refresh()
    record = world.directory.get(asset)
    access = await _sell_rights(world, plan, asset, operator)
    if record is not None and record.share is not None:
        share = Share(record.share)
    else:
        terms = ShareTerms(
            name=f"Shares of {plan.slug}",
            symbol=plan.symbol,
            supply=Shares(SUPPLY * _WHOLE),
            period=period,
            floor=_FLOOR,
            max_discount=_MAX_DISCOUNT,
        )
        share = await tokenize(sender, registry, asset, terms)
    vested = await grants.find_vestings(world.reader, launchpad, asset=asset)
    if not vested:
        contributor = world.account(plan.contributor).address
        grant = Schedule(contributor, plan.vesting * _WHOLE, world.now(), _CLIFF_S, _VESTING_S)
        vested = await grants.vest(sender, launchpad, asset, share, [grant])
    allocation = await _allocation(world, plan, asset, share)
    sale: Offering | Auction
    if plan.first_price:
        sale = await _auction(world, plan, asset, share)
    else:
        sale = await _offering(world, plan, asset, share, short_sale_s)
    return Listed(plan, asset, share, sale, vested[0], access, allocation)


async def _offering(
    world: World, plan: Plan, asset: AssetId, share: Share, short_sale_s: int
) -> Offering:
    launchpad, sender = world.deployment.launchpad, world.sender(plan.publisher)
    offered = await sales.find_offerings(world.reader, launchpad, asset=asset)
    if offered:
        return offered[0]
    begin = world.now()
    sale = Sale(
        publisher=sender.address,
        price=plan.price,
        for_sale=plan.for_sale * _WHOLE,
        soft_cap=plan.soft_cap * _WHOLE,
        cap_per_buyer=plan.for_sale * _WHOLE,
        start=begin,
        end=begin + (short_sale_s if plan.fails else _LONG_SALE_S),
        allowed=selling.EVERYBODY,
        liquidity=Liquidity(plan.pool_bps, _STANDARD_TIER, _LOCKED_S)
        if plan.pool_bps
        else selling.NO_POOL,
    )
    return await sales.offer(sender, launchpad, asset, share, sale)


async def _sell_rights(world: World, plan: Plan, asset: AssetId, operator: str) -> Access | None:
    """Make the product before the shares: from then on only the holders could."""
    if plan.rights is None:
        return None
    storefront = world.deployment.storefront
    found = await rights.find_products(world.reader, storefront, asset=asset)
    if found:
        return found[0]
    terms = f"Use {plan.slug} for whatever you like; give it to nobody."
    product = Product(
        operator=operator,
        kind=Kind.COUNT if plan.rights.calls else Kind.PERPETUAL,
        price=plan.rights.price,
        per_unit=plan.rights.calls,
        cap=1_000,
        most_per_account=0,
        serve_window=plan.rights.serve_window_s,
        royalty_bps=_ROYALTY_BPS,
        scope=int(Scope.INFERENCE | Scope.COMMERCIAL),
        newest_version=0,
        document=keccak(terms.encode()),
        license="LicenseRef-Demo",
        name=f"Use of {plan.slug}",
        symbol=f"USE-{plan.symbol}",
    )
    made, _ = await rights.create(world.sender(plan.publisher), storefront, asset, product)
    return made


async def _auction(world: World, plan: Plan, asset: AssetId, share: Share) -> Auction:
    launchpad, sender = world.deployment.launchpad, world.sender(plan.publisher)
    opened = await auctions.find_auctions(world.reader, launchpad, asset=asset)
    if opened:
        return opened[0]
    begin = world.now()
    sale = AuctionSale(
        publisher=sender.address,
        first_price=plan.first_price,
        lowest_price=plan.price,
        for_sale=plan.for_sale * _WHOLE,
        soft_cap=plan.soft_cap * plan.price,
        cap_per_buyer=plan.for_sale * plan.first_price,
        start=begin,
        end=begin + _AUCTION_S,
        allowed=selling.EVERYBODY,
        liquidity=selling.NO_POOL,
    )
    return await auctions.open_auction(sender, launchpad, asset, share, sale)


async def _allocation(
    world: World, plan: Plan, asset: AssetId, share: Share
) -> contributing.Allocation | None:
    """Set shares aside for all contributors by weight; each claims its part with a proof."""
    if not plan.set_aside:
        return None
    launchpad = world.deployment.launchpad
    found = await contributing.find_allocations(world.reader, launchpad, asset)
    if found:
        return found[0]
    grant = Grant(plan.set_aside * _WHOLE, world.now(), _CLIFF_S, _VESTING_S)
    return await contributing.set_aside(
        world.sender(plan.publisher), launchpad, asset, share, grant
    )


async def claim_contributions(world: World, listed: Listed, folder: Path) -> dict[str, Vesting]:
    """Let every contributor that a bundle names claim its part; the vestings, by name."""
    launchpad = world.deployment.launchpad
    accounts = {name: world.account(name).address for name in world.wallet.names()}
    leaves = leaves_of(folder, accounts, decimals=world.currency.decimals).leaves
    found: dict[str, Vesting] = {}
    for leaf in leaves:
        ((_, allocation),) = await contributing.open_claims(
            world.reader, launchpad, listed.asset, [leaf.contribution]
        )
        found[leaf.name] = await contributing.claim_contribution(
            world.sender(leaf.name), launchpad, allocation, leaf.contribution, leaf.proof
        )
    return found


async def buy_shares(world: World, listed: Listed) -> Listed:
    """Let the holders buy as planned, and collect what was bought before the soft cap."""
    if isinstance(listed.offering, Auction):
        return await _bid(world, listed, listed.offering)
    offering = listed.offering
    bought: dict[str, Units] = {}
    waiting: list[str] = []
    currency = world.deployment.currency
    for purchase in listed.plan.purchases:
        sender = world.sender(purchase.holder)
        if await world.reader.read(offering.bought_in_all(sender.address)):
            continue
        amount = Shares(purchase.amount * _WHOLE)
        cost = await sales.preview_buy(
            world.reader, offering, amount, buyer=sender.address, now=world.now()
        )
        done = await sales.buy(sender, offering, currency, amount, max_cost=cost, now=world.now())
        bought[purchase.holder] = done.cost
        if not done.delivered:
            waiting.append(purchase.holder)
    if not listed.plan.fails:
        await asyncio.gather(
            *(
                sales.collect(world.sender(name), offering, world.account(name).address)
                for name in waiting
            )
        )
    return replace(listed, bought=bought)


async def _bid(world: World, listed: Listed, auction: Auction) -> Listed:
    """Bid what the shares cost at the present price; the last bid buys all that is left."""
    bought: dict[str, Units] = {}
    reader, currency = world.reader, world.deployment.currency
    for purchase in listed.plan.purchases:
        sender = world.sender(purchase.holder)
        view = await auctions.read_auction(reader, auction, now=world.now())
        before = await reader.read(auction.bid_of(sender.address))
        if view.stage is not selling.Stage.OPEN or before:
            continue
        amount = Units(purchase.amount * view.price)
        if purchase is listed.plan.purchases[-1]:
            # The price falls, for the one who bid before too.
            await asyncio.sleep(_BETWEEN_BIDS_S)
            amount = Units(listed.plan.for_sale * listed.plan.first_price)
        now = world.now()
        _, least = await auctions.preview_bid(
            reader, auction, amount, bidder=sender.address, now=now
        )
        made = await auctions.bid(sender, auction, currency, amount, least=least, now=now)
        bought[purchase.holder] = made.amount
    for name in bought:
        await auctions.collect(world.sender(name), auction, world.account(name).address)
    return replace(listed, bought=bought)
