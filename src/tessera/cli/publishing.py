"""`tessera init`, `publish` and `tokenize`: from a folder to an asset that people can own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import counted, parse_duration, parse_percent, parse_shares, shown_shares
from tessera.cli.effects import DryRun, Yes, confirmed, effects_json, show_effects
from tessera.cli.naming import token_names
from tessera.cli.session import Session, command
from tessera.units import SHARE_DECIMALS

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.assets.directory import AssetRecord
    from tessera.assets.publish import Endpoint, Published, PublishPlan

__all__ = ["register"]

_NO_PRODUCTS = "none: make them before; tessera access create"


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @command(app, "init")
    async def init(
        session: Session,
        folder: Annotated[Path, typer.Argument(help="New or existing folder.")] = Path(),
        *,
        kind: Annotated[
            str, typer.Option(help="model, dataset, service, workflow or compute.")
        ] = "model",
        upstream: Annotated[
            str | None, typer.Option(help="URL of a model server; else the local Ollama.")
        ] = None,
        model: Annotated[str | None, typer.Option(help="Offer this model of that server.")] = None,
        task: Annotated[
            str | None,
            typer.Option(help="Of it: chat, embeddings, classification or moderation."),
        ] = None,
    ) -> None:
        """Write a first tessera.toml into a folder; with --upstream or --model a complete one."""
        from tessera.assets import Kind, init_bundle
        from tessera.errors import InputError, NotFound

        if upstream is not None or model is not None:
            await _offer_upstream(session, folder, upstream, model, task)
            return
        if task is not None:
            raise InputError("--task", found=task, wanted="--upstream URL or --model NAME with it")
        if kind not in set(Kind):
            raise NotFound.among("kind", kind, list(Kind))
        manifest = init_bundle(folder, Kind(kind))
        session.say(
            {"manifest": str(manifest)},
            f"wrote {manifest}",
            f"edit it, then: tessera publish {folder}",
        )

    @command(app)
    async def publish(
        session: Session,
        folder: Annotated[Path, typer.Argument(help="With a tessera.toml at its top.")],
        *,
        cut: Annotated[
            str | None, typer.Option(help="Operator's part of each payment, percent; else kept.")
        ] = None,
        operator: Annotated[
            str | None, typer.Option(help="Key or address that serves it; else the running one.")
        ] = None,
        url: Annotated[
            str | None, typer.Option(help="Of that operator's gateway; else the running one.")
        ] = None,
        unlisted: Annotated[bool, typer.Option("--unlisted", help="Nobody serves it yet.")] = False,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Publish a folder as a new asset, or as the next version of your asset."""
        from tessera.assets.publish import publish as publish_plan

        cut_bps = None if cut is None else parse_percent(cut, "--cut")
        async with session.world() as world:
            who = session.actor("publisher")
            sender = world.sender(who)
            endpoint = None if unlisted else _endpoint(session, world, operator, url, cut_bps)
            plan = await _planned(session, world, folder, sender.address, endpoint)
            if dry_run:
                _present_plan(session, world, plan)
                return
            steps = _steps(plan)
            if steps:
                what = f"Publish {plan.bundle.manifest.name}: {', '.join(steps)}"
                confirmed(session, what, yes=yes, gives=False)
            try:
                with session.progress(f"storing {folder.name}") as progress:
                    done = await publish_plan(
                        plan, world.store, world.deployment.registry, sender, progress=progress
                    )
            except asyncio.CancelledError:
                session.note(
                    f"what was sent stays sent; tessera publish {folder} goes on from what the "
                    "chain has then"
                )
                raise
            _present_published(session, world, plan, done)

    @command(app)
    async def tokenize(
        session: Session,
        asset: Annotated[str, typer.Argument(help="Slug, URN or id.")],
        *,
        supply: Annotated[str, typer.Option(help="Whole shares.")] = "1000000",
        symbol: Annotated[str | None, typer.Option(help="Else made from the slug.")] = None,
        name: Annotated[str | None, typer.Option(help="Else the slug.")] = None,
        floor: Annotated[str, typer.Option(help="Holders' least part, percent.")] = "50",
        period: Annotated[
            str | None, typer.Option(help="Revenue streams over it: 30s, 12h, 7d.")
        ] = None,
        max_discount: Annotated[str, typer.Option(help="Governance's largest, percent.")] = "0",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Make an asset's shares, all of them yours; from then on its holders earn and decide."""
        from tessera.ownership.effects import Effect
        from tessera.ownership.share import ShareTerms
        from tessera.ownership.share import tokenize as make
        from tessera.units import Seconds

        async with session.world() as world:
            record = await session.asset(world, asset)
            terms = ShareTerms(
                name=name or record.slug[:32],
                symbol=symbol or record.slug.replace("-", "")[:11].upper(),
                supply=parse_shares(supply, "--supply"),
                period=(
                    Seconds(world.config.revenue_period_s)
                    if period is None
                    else parse_duration(period, "--period")
                ),
                floor=parse_percent(floor, "--floor"),
                max_discount=parse_percent(max_discount, "--max-discount"),
            )
            who = session.actor("publisher")
            registry, owner = world.deployment.registry, world.address(who)
            products = await _products_of(world, record)
            shares_of = f"shares of {record.slug}"
            effects = [Effect(owner, "", shares_of, terms.supply, "made", SHARE_DECIMALS)]
            data = {
                "asset": str(record.asset),
                "slug": record.slug,
                "symbol": terms.symbol,
                "supply": str(terms.supply),
                "period_s": terms.period,
                "floor_bps": terms.floor,
                "products": products,
                "effects": effects_json(effects),
            }
            preview = [
                f"makes     {shown_shares(terms.supply)} {terms.symbol} of {record.slug}, for good",
                "then      its holders decide: versions and prices by vote, products by two thirds",
                f"products  {', '.join(products) or _NO_PRODUCTS}",
            ]
            if dry_run:
                await world.reader.read(
                    registry.tokenize(record.asset, terms.on_chain(owner)), sender=owner
                )
                session.say(
                    {**data, "dry_run": True},
                    *preview,
                    *show_effects(world, effects),
                )
                return
            if not session.as_json:
                for line in preview:
                    session.note(line)
            confirmed(session, f"Make {shares_of}", yes=yes)
            share = await make(world.sender(who), registry, record.asset, terms)
            session.say(
                {**data, "share": share.address},
                f"{record.slug}: {shown_shares(terms.supply)} {terms.symbol} at {share.address}",
                f"next: tessera offer {record.slug} --shares N --price P",
            )


async def _products_of(world: World, record: AssetRecord) -> list[str]:
    """Return what the products of an asset are called."""
    from tessera.ownership.access import find_products

    names = await token_names(world)
    found = await find_products(
        world.reader,
        world.deployment.storefront,
        asset=record.asset,
        first=world.deployment.since,
    )
    return [names[access.address] for access in found]


async def _offer_upstream(
    session: Session, folder: Path, url: str | None, model: str | None, task: str | None
) -> None:
    from tessera.app import choose_model, find_upstreams, write_upstream_bundle
    from tessera.errors import NotFound
    from tessera.serving.transport import base_url

    config = session.config(upstreams=(url,)) if url is not None else session.config()
    servers = await find_upstreams(config)
    if url is None:
        # Whoever names only a model means a server that has it.
        servers.sort(key=lambda server: model not in server.models)
    if not servers:
        raise NotFound(
            "model server",
            found="none near, and none named",
            wanted="one that has the model",
            next_step="start one, or name it: --upstream URL",
        )
    server = servers[0]
    chosen = choose_model(server, model)
    manifest, slug, does = write_upstream_bundle(folder, server.url, chosen, task)
    if server.failure is not None:
        session.note(f"{server.url} {server.failure}; that it has {chosen} was not checked")
    if server.url not in map(base_url, session.config().upstreams) and url is not None:
        session.note(f"its operator must allow it: tessera up --upstream {server.url}")
    session.say(
        {
            "manifest": str(manifest),
            "slug": slug,
            "task": does.value,
            "upstream": server.url,
            "model": chosen,
            "answered": server.failure is None,
        },
        f"wrote {manifest}: {slug}, {does.value} by {chosen} of {server.url}",
        f"look at its price and licence, then: tessera publish {folder}",
    )


def _endpoint(
    session: Session, world: World, operator: str | None, url: str | None, cut: Any
) -> Endpoint:
    from tessera.assets.publish import Endpoint
    from tessera.errors import InputError

    if operator is not None:
        address = world.address(operator)
    elif world.running is not None:
        address = world.running.operator
    else:
        raise InputError(
            "operator",
            wanted="who serves the asset",
            next_step="name a key or an address with --operator, or publish with --unlisted",
        )
    return Endpoint(address, url if url is not None else session.gateway_url(world), cut)


async def _planned(
    session: Session, world: World, folder: Path, publisher: str, endpoint: Endpoint | None
) -> PublishPlan:
    from tessera.assets.publish import plan_publication

    with session.progress(f"hashing {folder.name}") as progress:
        return await plan_publication(
            folder,
            world.directory,
            publisher,
            endpoint=endpoint,
            decimals=world.currency.decimals,
            accounts=world.addresses,
            progress=progress,
        )


def _steps(plan: PublishPlan) -> list[str]:
    steps = []
    if plan.to_register:
        steps.append("register a new asset")
    if plan.to_release:
        steps.append(f"release version {plan.version}")
    if plan.to_list or (plan.to_register and plan.endpoint is not None):
        steps.append("list its operator and price")
    return steps


def _present_plan(session: Session, world: World, plan: PublishPlan) -> None:
    steps = _steps(plan)
    price = plan.bundle.manifest.price
    session.say(
        {
            "slug": plan.bundle.manifest.name,
            "root": f"0x{plan.bundle.root.hex()}",
            "files": len(plan.bundle.files),
            "bytes": plan.bundle.size,
            "version": plan.version,
            "already_published": plan.already_published,
            "steps": steps,
            "needs_proposal": plan.needs_proposal,
            "effects": [],
            "dry_run": True,
        },
        (
            f"{plan.bundle.manifest.name}: {counted(len(plan.bundle.files), 'file')}, "
            f"{plan.bundle.size:,} bytes"
        ),
        f"root      0x{plan.bundle.root.hex()}",
        f"price     {world.currency.shown(price.per_call)} a call",
        f"would     {', '.join(steps) or 'do nothing: it is published already'}",
        *(["takes     a proposal: the asset has shares"] if plan.needs_proposal else []),
    )


def _present_published(session: Session, world: World, plan: PublishPlan, done: Published) -> None:
    urn = f"eip155:{world.reader.chain_id}/erc721:{world.deployment.registry.address}/{done.asset}"
    if plan.already_published:
        headline = f"{done.slug} is published already, as version {done.version}; nothing was sent"
    elif done.registered:
        headline = f"published {done.slug}"
    elif done.released:
        headline = f"released {done.slug} version {done.version}"
    else:
        headline = f"listed {done.slug} with its new price"
    session.say(
        {
            "asset": str(done.asset),
            "urn": urn,
            "slug": done.slug,
            "version": done.version,
            "root": f"0x{done.root.hex()}",
            "registered": done.registered,
            "released": done.released,
            "listed": done.listed,
            "already_published": plan.already_published,
            "transactions": list(done.tx_hashes),
        },
        headline,
        f"asset     {urn}",
        f"root      0x{done.root.hex()}",
    )
