"""What people call a product or an order of Access, and what a token is called when it is shown.

An address always names a product; its symbol does where no other product has it, and an asset does
where it has just one. An order is PRODUCT/NUMBER. What is printed here is accepted here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.bindings import Access
    from tessera.cli.session import Session

__all__ = ["OrderName", "ProductName", "find_access", "find_order", "order_name", "token_names"]

ProductName = Annotated[
    str, typer.Argument(help="Symbol or address of a product, or an asset that has just one.")
]
OrderName = Annotated[str, typer.Argument(help="PRODUCT/NUMBER, as the orders are listed.")]
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")


async def token_names(world: World) -> dict[str, str]:
    """Return what shares and products are called, by address.

    A symbol that two products have names neither; they go by their addresses.
    """
    from tessera.bindings import Access
    from tessera.ownership.access import find_products

    await world.directory.refresh()
    names = {
        record.share: f"shares of {record.slug}"
        for record in world.directory
        if record.share and world.directory.by_slug(record.slug) is record
    }
    found = await find_products(
        world.reader, world.deployment.storefront, first=world.deployment.since
    )
    symbols = await world.reader.read_all([Access(access.address).symbol() for access in found])
    taken = [symbol.upper() for symbol in symbols]
    for access, symbol in zip(found, symbols, strict=True):
        alone = taken.count(symbol.upper()) == 1
        names[access.address] = symbol if alone and _PLAIN.fullmatch(symbol) else access.address
    return names


def order_name(names: dict[str, str], access: str, number: int) -> str:
    """Write an order so that `find_order` reads it."""
    return f"{names.get(access, access)}/{number}"


async def find_access(session: Session, world: World, name: str) -> Access:
    """Return the product that somebody means.

    Raises
    ------
    InputError
        The asset has none, or several.
    NotFound
        There is no such product, and no such asset.
    """
    from tessera.assets.references import is_address
    from tessera.bindings import Access
    from tessera.bindings.codec import checksummed
    from tessera.errors import InputError
    from tessera.ownership.access import find_product, find_products

    storefront = world.deployment.storefront
    if is_address(name):
        return await find_product(world.reader, storefront, checksummed(name))
    names = await token_names(world)
    # Symbols are whoever's; a slug is the asset's that had it first, so it goes before.
    meant = [address for address, known in names.items() if known.upper() == name.upper()]
    if meant and name not in {record.slug for record in world.directory}:
        return Access(meant[0])
    record = await session.asset(world, name)
    found = await find_products(
        world.reader, storefront, asset=record.asset, first=world.deployment.since
    )
    if len(found) != 1:
        raise InputError(
            f"product of {record.slug}",
            found=", ".join(names[access.address] for access in found) or "none",
            wanted="one of them" if found else "an asset with a product",
            next_step=f"tessera access list {record.slug}",
        )
    return found[0]


async def find_order(session: Session, world: World, text: str) -> tuple[Access, int]:
    """Return the product and the number of the order that somebody means.

    Raises
    ------
    InputError
        It is no PRODUCT/NUMBER, or the asset has several products.
    NotFound
        There is no such product or order.
    """
    from tessera.errors import InputError, NotFound

    product, _, number = text.rpartition("/")
    if not product or not (number.isascii() and number.isdigit()):
        raise InputError(
            "order",
            found=text,
            wanted="PRODUCT/NUMBER, such as my-model/1",
            next_step="tessera access orders",
        )
    access = await find_access(session, world, product)
    made = (await world.reader.read(access.state()))[1]
    if not 1 <= int(number) <= made:
        raise NotFound(
            f"order {text}",
            found="none",
            wanted=f"1 to {made}" if made else "a product with orders",
            next_step="tessera access orders",
        )
    return access, int(number)
