"""`tessera assets list` and `show`: what is published, for what price, and what it has earned."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli import copying
from tessera.cli.amounts import shown_duration, shown_percent, shown_shares
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.assets.directory import AssetRecord, EndpointRecord
    from tessera.spec.prices import Price

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    assets = typer.Typer(help="List assets, show one, or copy its bundle.", no_args_is_help=True)
    app.add_typer(assets, name="assets")

    @command(assets, "list")
    async def list_(session: Session) -> None:
        """List everything that is registered."""
        async with session.world() as world:
            await world.directory.refresh()
            records = list(world.directory)
            table = session.table("asset", "kind", "version>", "price per call", "shares")
            for record in records:
                listed = record.listed
                table.add_row(
                    record.slug,
                    (record.kind.name or "?").lower(),
                    str(record.latest.version),
                    _price(world, listed[0].price) if listed else "not served",
                    shown_shares(record.supply) if record.share else "-",
                )
            session.present(
                {"assets": [_record(world, record) for record in records]},
                lambda console: console.print(table if records else "nothing is published yet"),
            )

    @command(assets, "show")
    async def show(
        session: Session, asset: Annotated[str, typer.Argument(help="Slug, URN or id.")]
    ) -> None:
        """Show an asset: price, terms, holders' floor, and its revenue so far."""
        async with session.world() as world:
            record = await session.asset(world, asset)
            money = await _revenue(world, record)
            session.say(
                {**_record(world, record), **{k: str(v) for k, v in money.items()}},
                *_lines(world, record, money),
            )

    copying.register(assets)


def _price(world: World, price: Price) -> str:
    """Write what a call costs at least; units may come on top, which `assets show` says."""
    least = world.currency.shown(price.per_call)
    return f"from {least}" if price.per_1k_in or price.per_1k_out else least


def _record(world: World, record: AssetRecord) -> dict[str, Any]:
    return {
        "asset": str(record.asset),
        "urn": str(world.directory.urn(record)),
        "slug": record.slug,
        "kind": (record.kind.name or "?").lower(),
        "number": record.number,
        "owner": record.owner,
        "controller": record.controller,
        "versions": [
            {"version": release.version, "root": f"0x{release.root.hex()}"}
            for release in record.versions
        ],
        "endpoints": [_endpoint(endpoint) for endpoint in record.endpoints.values()],
        "parents": [
            {"asset": str(parent.asset), "royalty_bps": parent.royalty_bps}
            for parent in record.parents
        ],
        "contributions": f"0x{record.contributions.hex()}",
        "share": record.share,
        "supply": str(record.supply),
        "floor_bps": record.floor_bps,
        "period_s": record.period_s,
    }


def _endpoint(endpoint: EndpointRecord) -> dict[str, Any]:
    return {
        "operator": endpoint.operator,
        "listed": endpoint.listed,
        "terms": endpoint.terms,
        "cut_bps": endpoint.cut_bps,
        "fee_bps": endpoint.fee_bps,
        "price": {
            "per_call": str(endpoint.price.per_call),
            "per_1k_in": str(endpoint.price.per_1k_in),
            "per_1k_out": str(endpoint.price.per_1k_out),
        },
        "url": endpoint.url,
        "discount": endpoint.discount
        and {
            "bps": endpoint.discount.bps,
            "terms": endpoint.discount.terms,
            "min_locked": str(endpoint.discount.min_locked),
        },
    }


async def _revenue(world: World, record: AssetRecord) -> dict[str, int]:
    from tessera.bindings.channels import Settled

    channels = world.deployment.channels
    settled, pending = await asyncio.gather(
        world.reader.logs(
            Settled,
            address=channels.address,
            topics=Settled.topics(asset=record.asset),
            first=world.deployment.since,
        ),
        world.reader.read(channels.pending_of(record.asset)),
    )
    return {"settled": sum(log.event.amount for log in settled), "pending": pending}


def _lines(world: World, record: AssetRecord, money: dict[str, int]) -> list[str]:
    shown = world.currency.shown
    lines = [
        f"{record.slug} ({(record.kind.name or '?').lower()}, number {record.number})",
        f"asset     {world.directory.urn(record)}",
        f"owner     {record.owner}",
        f"version   {record.latest.version}, root 0x{record.latest.root.hex()}",
    ]
    for endpoint in record.endpoints.values():
        price = endpoint.price
        lines += [
            f"operator  {endpoint.operator}" + ("" if endpoint.listed else " (closed)"),
            (
                f"  price   {shown(price.per_call)} a call, {shown(price.per_1k_in)} per 1,000 "
                f"units in, {shown(price.per_1k_out)} out"
            ),
            (
                f"  terms   number {endpoint.terms}: network {shown_percent(endpoint.fee_bps)}, "
                f"operator {shown_percent(endpoint.cut_bps)}"
            ),
        ]
        if endpoint.discount is not None:
            lines.append(
                f"  holders {shown_percent(endpoint.discount.bps)} less, terms number "
                f"{endpoint.discount.terms}, for {shown_shares(endpoint.discount.min_locked)} "
                "shares locked"
            )
    for parent in record.parents:
        found = world.directory.get(parent.asset)
        name = found.slug if found else str(parent.asset)
        lines.append(f"royalty   {shown_percent(parent.royalty_bps)} to {name}")
    if record.share:
        lines += [
            f"shares    {shown_shares(record.supply)} at {record.share}",
            (
                f"  floor   holders get {shown_percent(record.floor_bps)} or more, streamed over "
                f"{shown_duration(record.period_s)}"
            ),
        ]
    lines += [
        f"settled   {shown(money['settled'])} so far",
        f"pending   {shown(money['pending'])} not handed on yet",
    ]
    return lines
