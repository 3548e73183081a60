"""Rights to use an asset: products, the units bought of them, and the orders made of units.

A unit is backed by its price until an order made of it was served. Everything here is read from the
chain or sent to it; what a transaction would change can be had first, as `Effect`s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tessera.bindings import Access, Storefront, TestDollar
from tessera.bindings.access import Bought, Ordered, Refunded, Rented
from tessera.bindings.storefront import Product, ProductCreated
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.errors import Closed, InputError, NotFound, StaleQuote
from tessera.ownership.allowing import allow
from tessera.ownership.effects import Effect
from tessera.spec.access import ALL_CALLS, FOR_EVER, Kind, Scope, rent_cost, royalty_of
from tessera.units import AssetId, Units, UnixSeconds

__all__ = [
    "OrderState",
    "ProductView",
    "buy",
    "check_rentable",
    "check_units",
    "create",
    "find_product",
    "find_products",
    "offer_rent",
    "orders_of",
    "preview_buy",
    "preview_rent",
    "read_order",
    "read_product",
    "redeem",
    "refund",
    "rent",
    "scope_named",
]

_SCOPES: Final = {scope.name.lower(): scope for scope in Scope if scope.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductView:
    """A product as the chain shows it.

    Attributes
    ----------
    address, name, symbol
        Of its token.
    asset, operator, terms
        What is used, who serves it, and under which terms its income is split.
    kind, per_unit
        What a unit is worth: calls or seconds for each; 0 for a licence.
    price
        Base units for one unit; 0 for a free product.
    cap, most_per_account, sold
        Units; a limit of 0 is none.
    serve_window
        Seconds in which the operator must prove service of an order.
    royalty_bps
        Of a resale or a rent.
    scope, newest_version, document, licence
        What the licence allows, up to which version (0 for all), and its text's hash and name.
    on_sale
        Whether units are sold now.
    waiting
        Units in orders that wait for service.
    backing
        Money that may have to be refunded, base units.
    """

    address: str
    name: str
    symbol: str
    asset: AssetId
    operator: str
    terms: int
    kind: Kind
    per_unit: int
    price: Units
    cap: int
    most_per_account: int
    sold: int
    serve_window: int
    royalty_bps: int
    scope: Scope
    newest_version: int
    document: bytes
    licence: str
    till: str
    on_sale: bool
    waiting: int
    backing: Units

    @property
    def left(self) -> int:
        """Units that can still be bought here."""
        return self.cap - self.sold if self.on_sale else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderState:
    """An order as the chain shows it.

    Attributes
    ----------
    access, number
        Which one.
    owner, user
        Whose it is, and who may use it now.
    units, ordered_at
        Of how many units, and when.
    valid_until, user_until
        Unix seconds; `FOR_EVER` where nothing ends it, 0 where it was given up.
    calls
        In all; `ALL_CALLS` where they are not counted.
    proved, void
        Whether it was served, or given up.
    daily_price, most_seconds
        For rent at so much a day, for so long at most; 0 seconds: it is not.
    """

    access: str
    number: int
    owner: str
    user: str
    units: int
    ordered_at: UnixSeconds
    valid_until: int
    user_until: int
    calls: int
    proved: bool
    void: bool
    daily_price: Units
    most_seconds: int

    @property
    def counted(self) -> bool:
        """Whether its calls are counted."""
        return self.calls != ALL_CALLS

    @property
    def ends(self) -> bool:
        """Whether time ends it."""
        return self.valid_until != FOR_EVER


def scope_named(names: Sequence[str]) -> Scope:
    """Return what a licence allows, from its words.

    Raises
    ------
    NotFound
        A word is none of them.
    """
    scope = Scope(0)
    for name in names:
        if name not in _SCOPES:
            raise NotFound.among("scope of the licence", name, list(_SCOPES))
        scope |= _SCOPES[name]
    return scope


# --- Products -------------------------------------------------------------------------------------


async def create(
    sender: Sender, storefront: Storefront, asset: AssetId, product: Product
) -> tuple[Access, str]:
    """Make a product; its token, and the transaction.

    Raises
    ------
    TransactionReverted
        The sender does not control the asset, or the terms are out of bounds.
    """
    receipt = await sender.send(storefront.create(asset, product))
    return Access(receipt.one_of(ProductCreated).access), receipt.tx_hash


async def find_products(
    reader: ChainReader, storefront: Storefront, *, asset: AssetId | None = None, first: int = 0
) -> list[Access]:
    """Return the products of an asset, or of all assets, oldest first."""
    logs = await reader.logs(
        ProductCreated,
        address=storefront.address,
        topics=ProductCreated.topics(asset=asset),
        first=first,
    )
    return [Access(log.event.access) for log in logs]


async def find_product(reader: ChainReader, storefront: Storefront, address: str) -> Access:
    """Return the product at an address.

    Raises
    ------
    NotFound
        The Storefront did not make it: whoever did could let it say anything.
    """
    if not await reader.read(storefront.is_access(address)):
        raise NotFound(
            f"product {address}",
            found="a token that the Storefront did not make",
            wanted="one of ours",
            next_step="look at what is sold: tessera access list",
        )
    return Access(address)


async def read_product(reader: ChainReader, access: Access) -> ProductView:
    """Read a product."""
    terms, name, symbol, state, backing = await asyncio.gather(
        reader.read(access.terms()),
        reader.read(access.name()),
        reader.read(access.symbol()),
        reader.read(access.state()),
        reader.read(access.backing()),
    )
    sold, _, waiting, on_sale = state
    return ProductView(
        address=access.address,
        name=name,
        symbol=symbol,
        asset=AssetId(terms.asset),
        operator=terms.operator,
        terms=terms.terms,
        kind=Kind(terms.kind),
        per_unit=terms.per_unit,
        price=Units(terms.price),
        cap=terms.cap,
        most_per_account=terms.most_per_account,
        sold=sold,
        serve_window=terms.serve_window,
        royalty_bps=terms.royalty_bps,
        scope=Scope(terms.scope),
        newest_version=terms.newest_version,
        document=terms.document,
        licence=terms.license,
        till=terms.till,
        on_sale=on_sale,
        waiting=waiting,
        backing=Units(backing),
    )


# --- Buying and redeeming -------------------------------------------------------------------------


async def preview_buy(
    reader: ChainReader,
    access: Access,
    currency: TestDollar,
    units: int,
    *,
    buyer: str,
    receiver: str,
    order: bool,
) -> tuple[Units, list[Effect]]:
    """Return what a purchase would cost and change, or refuse as it would.

    Parameters
    ----------
    units
        Of the product.
    buyer, receiver
        Who pays, and who gets the units or the order.
    order
        Whether an order is made of them at once.

    Raises
    ------
    Closed
        The product is not on sale.
    InputError
        So many units are not left or not allowed, the buyer may not buy for another account, or
        has too little money.
    """
    view = await read_product(reader, access)
    if not view.on_sale:
        raise Closed(
            f"product {view.symbol}",
            found="not on sale",
            wanted="one that is",
            next_step="buy units from somebody who has some: tessera orders book",
        )
    most = view.left
    if view.most_per_account:
        if buyer != receiver:
            raise InputError(
                f"buyer of {view.symbol}",
                found=buyer,
                wanted=f"{receiver}: where each account may have so many, it buys them itself",
            )
        bought = await reader.read(access.bought_by(receiver))
        most = min(most, max(0, view.most_per_account - bought))
    if not 0 < units <= most:
        raise InputError(
            f"units of {view.symbol}",
            found=units,
            wanted=f"1 to {most}, which are left for {receiver}" if most else "none are left",
        )
    if order and view.kind is Kind.PERPETUAL and units != 1:
        raise InputError("order of a licence", found=f"{units} units", wanted="1")
    cost = Units(view.price * units)
    held, symbol = await asyncio.gather(
        reader.read(currency.balanceOf(buyer)), reader.read(currency.symbol())
    )
    if held < cost:
        raise InputError(
            f"money of {buyer}",
            found=f"{held} base units",
            wanted=f"{cost}, which {units} units cost",
            next_step="buy fewer; on a development chain: tessera account faucet",
        )
    effects = []
    if cost:
        effects += [
            Effect(buyer, currency.address, symbol, -cost, "the price"),
            Effect(view.address, currency.address, symbol, cost, "kept until service is proved"),
        ]
    if not order:
        effects.append(Effect(receiver, view.address, view.symbol, units, "units"))
    return cost, effects


async def buy(
    sender: Sender,
    access: Access,
    currency: TestDollar,
    units: int,
    *,
    max_cost: Units,
    receiver: str,
    order: bool,
) -> tuple[Units, int | None, str]:
    """Buy units, and make an order of them at once where `order` says so.

    Returns
    -------
    tuple
        The cost, the order's number if one was made, and the transaction.

    Raises
    ------
    Closed, InputError
        As `preview_buy`.
    StaleQuote
        It costs more than `max_cost`.
    TransactionReverted
        Somebody else was faster.
    """
    cost, _ = await preview_buy(
        sender.reader,
        access,
        currency,
        units,
        buyer=sender.address,
        receiver=receiver,
        order=order,
    )
    if cost > max_cost:
        raise StaleQuote("cost of the units", found=cost, wanted=f"at most {max_cost} base units")
    if cost:
        await allow(sender, currency, access.address, cost)
    call = access.buy_and_redeem(units, receiver) if order else access.buy(units, receiver)
    receipt = await sender.send(call)
    paid = receipt.one_of(Bought, address=access.address).cost
    number = receipt.one_of(Ordered, address=access.address).order if order else None
    return Units(paid), number, receipt.tx_hash


async def check_units(reader: ChainReader, access: Access, owner: str, units: int) -> None:
    """Refuse to redeem what is not there.

    Raises
    ------
    InputError
        The owner has fewer, or none are to be redeemed.
    """
    held = await reader.read(access.balanceOf(owner))
    if not 0 < units <= held:
        raise InputError(
            f"units of {owner}",
            found=held,
            wanted=f"the {units} to redeem" if units > 0 else "a number above 0",
            next_step="buy some: tessera access buy",
        )


async def redeem(sender: Sender, access: Access, units: int, *, owner: str) -> tuple[int, str]:
    """Make an order of the sender's units; its number and the transaction.

    Raises
    ------
    InputError
        The sender has fewer.
    """
    await check_units(sender.reader, access, sender.address, units)
    receipt = await sender.send(access.redeem(units, owner))
    return receipt.one_of(Ordered, address=access.address).order, receipt.tx_hash


# --- Orders ---------------------------------------------------------------------------------------


async def read_order(reader: ChainReader, access: Access, number: int) -> OrderState:
    """Read an order as it is in a block made now.

    Raises
    ------
    TransactionReverted
        There is no such order.
    """
    view, rented = await asyncio.gather(
        reader.read(access.order_of(number), at="pending"),
        reader.read(access.rent_of(number), at="pending"),
    )
    _, _, daily_price, most_seconds = rented
    return OrderState(
        access=access.address,
        number=number,
        owner=view.owner,
        user=view.user,
        units=view.units,
        ordered_at=UnixSeconds(view.ordered_at),
        valid_until=view.valid_until,
        user_until=view.user_until,
        calls=view.calls,
        proved=view.proved,
        void=view.void,
        daily_price=Units(daily_price),
        most_seconds=most_seconds,
    )


async def orders_of(
    reader: ChainReader, storefront: Storefront, who: str, *, first: int = 0
) -> list[OrderState]:
    """Return the orders that somebody owns or ever rented, by product and number."""
    products = {
        access.address: access for access in await find_products(reader, storefront, first=first)
    }
    if not products:
        return []
    where = list(products)
    owned, rented = await asyncio.gather(
        reader.logs(Ordered, address=where, topics=Ordered.topics(owner=who), first=first),
        reader.logs(Rented, address=where, topics=Rented.topics(renter=who), first=first),
    )
    keys = {(log.address, log.event.order) for log in owned}
    keys |= {(log.address, log.event.order) for log in rented}
    ordered = sorted(keys, key=lambda key: (where.index(key[0]), key[1]))
    return list(
        await asyncio.gather(
            *(read_order(reader, products[address], number) for address, number in ordered)
        )
    )


async def refund(sender: Sender, access: Access, number: int) -> tuple[Units, str]:
    """Take the money of an order back that was not served; base units and the transaction.

    The owner's, wherever it is; anybody else may send it to the owner.

    Raises
    ------
    TransactionReverted
        It was served or given up, or the operator still has time.
    """
    order = await sender.reader.read(access.order_of(number))
    own = order.owner == sender.address
    receipt = await sender.send(access.refund(number) if own else access.refund_for(number))
    return Units(receipt.one_of(Refunded, address=access.address).amount), receipt.tx_hash


# --- Rent -----------------------------------------------------------------------------------------


async def check_rentable(reader: ChainReader, access: Access) -> None:
    """Refuse to rent out calls: each can be sold instead.

    Raises
    ------
    InputError
        Units of the product are calls.
    """
    view = await read_product(reader, access)
    if view.kind is Kind.COUNT:
        raise InputError(
            f"order of {view.symbol}",
            found="one of calls",
            wanted="one of a period or a licence",
            next_step="tessera orders sell",
        )


async def offer_rent(
    sender: Sender, access: Access, number: int, *, daily_price: Units, most_seconds: int
) -> str:
    """Offer an order for rent, or end the offer with 0 seconds; the transaction."""
    receipt = await sender.send(access.offer_rent(number, daily_price, most_seconds))
    return receipt.tx_hash


async def preview_rent(
    reader: ChainReader,
    access: Access,
    currency: TestDollar,
    number: int,
    duration: int,
    *,
    renter: str,
) -> tuple[Units, list[Effect]]:
    """Return what a rent would cost and change.

    Raises
    ------
    InputError
        The order is not for rent, or not for so long.
    """
    order, product, symbol = await asyncio.gather(
        read_order(reader, access, number),
        read_product(reader, access),
        reader.read(currency.symbol()),
    )
    if not 0 < duration <= order.most_seconds:
        raise InputError(
            f"order {number} of {product.symbol}",
            found=f"{duration} seconds",
            wanted=f"1 to {order.most_seconds}" if order.most_seconds else "one that is for rent",
        )
    cost = rent_cost(order.daily_price, duration)
    royalty = royalty_of(cost, product.royalty_bps)
    money = currency.address
    effects = [
        Effect(renter, money, symbol, -cost, "the rent"),
        Effect(order.owner, money, symbol, cost - royalty, "the rent less the royalty"),
    ]
    if royalty:
        effects.append(Effect(product.till, money, symbol, royalty, "the creator's royalty"))
    return Units(cost), [effect for effect in effects if effect.change]


async def rent(
    sender: Sender,
    access: Access,
    currency: TestDollar,
    number: int,
    duration: int,
    *,
    max_cost: Units,
) -> tuple[Units, UnixSeconds, str]:
    """Rent an order for the sender; the cost, when it ends, and the transaction.

    Raises
    ------
    InputError
        As `preview_rent`.
    StaleQuote
        It costs more than `max_cost`.
    TransactionReverted
        It is rented already, was not served yet, or ends before.
    """
    cost, _ = await preview_rent(
        sender.reader, access, currency, number, duration, renter=sender.address
    )
    if cost > max_cost:
        raise StaleQuote("cost of the rent", found=cost, wanted=f"at most {max_cost} base units")
    if cost:
        await allow(sender, currency, access.address, cost)
    receipt = await sender.send(access.rent(number, duration, max_cost))
    rented = receipt.one_of(Rented, address=access.address)
    return Units(rented.cost), UnixSeconds(rented.until), receipt.tx_hash
