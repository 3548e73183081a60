"""`tessera govern`: lock shares, propose, vote, and see to it that what was voted for is done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import (
    parse_percent,
    parse_shares,
    share_count,
    shown_percent,
    shown_shares,
    shown_time,
)
from tessera.cli.effects import (
    DryRun,
    Yes,
    confirmed,
    effects_json,
    payment,
    require_money,
    show_effects,
)
from tessera.cli.session import Session, command
from tessera.units import SHARE_DECIMALS

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.assets.directory import AssetRecord, EndpointRecord
    from tessera.bindings.governor import Action
    from tessera.ownership.effects import Effect
    from tessera.ownership.governance import Change, ProposalView

__all__ = ["put", "register"]

_Asset = Annotated[str, typer.Argument(help="Slug, URN or id.")]
_Number = Annotated[int, typer.Argument(help="Number of the proposal.", min=1)]
_Title = Annotated[str, typer.Option(help="For people; it decides nothing.")]
_Operator = Annotated[str | None, typer.Option(help="Key or address; else the running one.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    govern = typer.Typer(
        help="Lock shares, propose, vote and execute: holders decide.", no_args_is_help=True
    )
    app.add_typer(govern, name="govern")
    proposing = typer.Typer(
        help="Put something to the vote; a product or its sale: tessera access create, sale.",
        no_args_is_help=True,
    )
    govern.add_typer(proposing, name="propose")
    _register_locks(govern)
    _register_proposals(govern)
    _register_kinds(proposing)


def _moved(record: AssetRecord, giver: str, receiver: str, shares: int, why: str) -> list[Effect]:
    from tessera.ownership.effects import Effect

    symbol = f"shares of {record.slug}"
    return [
        Effect(giver, record.share or "", symbol, -shares, why, SHARE_DECIMALS),
        Effect(receiver, record.share or "", symbol, shares, why, SHARE_DECIMALS),
    ]


# --- Locks ----------------------------------------------------------------------------------------


def _register_locks(govern: typer.Typer) -> None:
    @command(govern)
    async def lock(
        session: Session,
        asset: _Asset,
        shares: Annotated[str, typer.Argument(help="Whole shares.")],
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Lock shares, to vote and for a discount; they go on earning."""
        from tessera.bindings import Share
        from tessera.ownership import governance

        async with session.world() as world:
            record = await _governed(session, world, asset)
            amount = parse_shares(shares)
            rules = await world.reader.read(world.deployment.governor.rules())
            free_from = world.now() + rules[0]
            line = f"{share_count(amount)} of {record.slug}, until {shown_time(free_from)}"
            data: dict[str, object] = {
                "asset": str(record.asset),
                "slug": record.slug,
                "amount": str(amount),
                "free_from": free_from,
            }
            holder, governor = world.sender(session.actor("holder")), world.deployment.governor
            share = Share(record.share or "")
            effects = _moved(record, holder.address, governor.address, amount, "locked")
            data["effects"] = effects_json(effects)
            if dry_run:
                await governance.check_lock(holder, share, amount)
                session.say(
                    {**data, "dry_run": True},
                    f"would lock {line} at the earliest",
                    *show_effects(world, effects),
                )
                return
            confirmed(session, f"Lock {line} at the earliest", yes=yes)
            number, tx_hash = await governance.lock(holder, governor, share, record.asset, amount)
            session.say({**data, "lock": number, "transaction": tx_hash}, f"lock {number}: {line}")

    @command(govern)
    async def unlock(
        session: Session,
        asset: _Asset,
        number: Annotated[int, typer.Argument(help="Number of the lock.", min=1)],
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Take the shares of a lock back."""
        from tessera.errors import NotFound
        from tessera.ownership import governance

        async with session.world() as world:
            record = await _governed(session, world, asset)
            governor, who = world.deployment.governor, session.actor("holder")
            if dry_run:
                row = await world.reader.read(governor.lock_of(record.asset, number))
                if not row[1]:
                    raise NotFound(
                        f"lock {number} of {record.slug}",
                        found="none",
                        wanted="one of yours",
                        next_step=f"tessera govern locks {record.slug}",
                    )
                effects = _moved(record, governor.address, row[0], row[1], "unlocked")
                session.say(
                    {
                        "amount": str(row[1]),
                        "free_from": row[3],
                        "effects": effects_json(effects),
                        "dry_run": True,
                    },
                    f"would take {share_count(row[1])} back, from {shown_time(row[3])} on",
                    *show_effects(world, effects),
                )
                return
            confirmed(session, f"Unlock lock {number} of {record.slug}", yes=yes)
            amount, tx_hash = await governance.unlock(
                world.sender(who), governor, record.asset, number
            )
            session.say(
                {"lock": number, "amount": str(amount), "transaction": tx_hash},
                f"{share_count(amount)} of {record.slug} are free",
            )

    @command(govern)
    async def locks(session: Session, asset: _Asset) -> None:
        """Show your locks, and from when each is free."""
        from tessera.ownership import governance

        async with session.world() as world:
            record = await _governed(session, world, asset)
            governor, owner = world.deployment.governor, world.address(session.actor("holder"))
            found = await governance.find_locks(
                world.reader, governor, record.asset, owner=owner, first=world.deployment.since
            )
            earned = await world.reader.read(governor.claimable(record.asset, owner), at="pending")
            table = session.table("lock>", "shares>", "since!", "free from!", "backs>")
            for each in found:
                table.add_row(
                    str(each.number), shown_shares(each.amount), shown_time(each.since),
                    shown_time(each.free_from), str(each.backing),
                )  # fmt: skip

            def show(console: Any) -> None:
                console.print(table)
                console.print(f"earned and not claimed: {world.currency.shown(earned)}")

            session.present(
                {
                    "owner": owner,
                    "claimable": str(earned),
                    "locks": [
                        {
                            "lock": each.number,
                            "amount": str(each.amount),
                            "since": each.since,
                            "free_from": each.free_from,
                            "backing": each.backing,
                        }
                        for each in found
                    ],
                },
                show,
            )

    @command(govern)
    async def claim(
        session: Session, asset: _Asset, *, dry_run: DryRun = False, yes: Yes = False
    ) -> None:
        """Take the revenue of your locked shares."""
        from tessera.ownership import governance

        async with session.world() as world:
            record = await _governed(session, world, asset)
            sender = world.sender(session.actor("holder"))
            governor = world.deployment.governor
            due = await world.reader.read(
                governor.claimable(record.asset, sender.address), at="pending"
            )
            why = f"revenue of locked shares of {record.slug}"
            effects = payment(world, governor.address, sender.address, due, why)
            data: dict[str, object] = {"amount": str(due), "effects": effects_json(effects)}
            if dry_run:
                lines = show_effects(world, effects)
                shown = f"would claim {world.currency.shown(due)}"
                session.say({**data, "dry_run": True}, shown, *lines)
                return
            confirmed(session, f"Claim {world.currency.shown(due)}", yes=yes, gives=False)
            done = await governance.claim(sender, governor, record.asset)
            session.say(
                {**data, "amount": str(done.amount), "transaction": done.tx_hash},
                f"claimed {world.currency.shown(done.amount)}",
            )


# --- Proposals ------------------------------------------------------------------------------------


def _register_proposals(govern: typer.Typer) -> None:
    @command(govern, "list")
    async def list_(session: Session, asset: _Asset) -> None:
        """Show the proposals for an asset."""
        from tessera.ownership import governance

        async with session.world() as world:
            record = await _governed(session, world, asset)
            found = await governance.find_proposals(
                world.reader, world.deployment.governor, record.asset,
                first=world.deployment.since,
            )  # fmt: skip
            table = session.table("number>", "kind", "state", "yes>", "needed>", "no>", "title")
            for view in found:
                table.add_row(
                    str(view.number), _kind(view.action), _state(view), shown_shares(view.yes),
                    shown_shares(view.needed), shown_shares(view.no), view.title,
                )  # fmt: skip
            session.present(
                {"proposals": [_json(view) for view in found]},
                lambda console: console.print(table if found else "no proposals"),
            )

    @command(govern)
    async def status(session: Session, asset: _Asset, number: _Number) -> None:
        """Show what a proposal would do, and where it is."""
        async with session.world() as world:
            record = await _governed(session, world, asset)
            view, changes = await _read(world, record, number)
            session.say(
                {**_json(view), "changes": _changes_json(changes)}, *_told(world, view, changes)
            )

    @command(govern)
    async def vote(
        session: Session,
        asset: _Asset,
        number: _Number,
        answer: Annotated[str, typer.Argument(help="yes or no.")],
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Vote with all your locks that are older than the proposal."""
        from tessera.errors import InputError
        from tessera.ownership import governance

        if answer not in ("yes", "no"):
            raise InputError("vote", found=answer, wanted="yes or no")
        async with session.world() as world:
            record = await _governed(session, world, asset)
            view, changes = await _read(world, record, number)
            who, governor = session.actor("holder"), world.deployment.governor
            if dry_run:
                numbers = await governance.votable(
                    world.reader, governor, view, world.address(who), first=world.deployment.since
                )
                session.say(
                    {
                        **_json(view),
                        "changes": _changes_json(changes),
                        "locks": list(numbers),
                        "dry_run": True,
                    },
                    *_told(world, view, changes),
                    f"would vote {answer} with locks {', '.join(map(str, numbers)) or 'none'}",
                )
                return
            if not session.as_json:
                for line in _plan(world, view, changes):
                    session.note(line)
            confirmed(session, f"Vote {answer}", yes=yes)
            weight, tx_hash = await governance.vote(
                world.sender(who), governor, view, answer == "yes", first=world.deployment.since
            )
            now, _ = await _read(world, record, number)
            session.say(
                {**_json(now), "weight": str(weight), "transaction": tx_hash},
                f"{answer} with {share_count(weight)}",
                *_standing(now),
            )

    @command(govern)
    async def cancel(
        session: Session,
        asset: _Asset,
        number: _Number,
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Take a proposal of yours back."""
        from tessera.ownership import governance

        async with session.world() as world:
            record = await _governed(session, world, asset)
            view, _ = await _read(world, record, number)
            sender, governor = world.sender(session.actor("holder")), world.deployment.governor
            data: dict[str, object] = {"proposal": number, "effects": []}
            if dry_run:
                trial = governor.cancel(view.asset, view.number)
                await world.reader.read(trial, sender=sender.address, at="pending")
                session.say({**data, "dry_run": True}, f"would take back {view.title!r}")
                return
            confirmed(session, f"Take proposal {number} of {record.slug} back", yes=yes)
            tx_hash = await governance.cancel(sender, governor, view)
            session.say({**data, "transaction": tx_hash}, "taken back")

    @command(govern)
    async def execute(
        session: Session,
        asset: _Asset,
        number: _Number,
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Have done what was voted for. Anyone may."""
        from tessera.ownership import governance

        async with session.world() as world:
            record = await _governed(session, world, asset)
            view, changes = await _read(world, record, number)
            governor, who = world.deployment.governor, session.actor("holder")
            if dry_run:
                # As the chain would judge it at the next block.
                trial = governor.execute(view.asset, view.number, view.action)
                await world.reader.read(trial, sender=world.address(who), at="pending")
                session.say(
                    {**_json(view), "changes": _changes_json(changes), "dry_run": True},
                    *_told(world, view, changes),
                    "would be executed now",
                )
                return
            if not session.as_json:
                for line in _plan(world, view, changes):
                    session.note(line)
            confirmed(session, "Execute it", yes=yes)
            tx_hash = await governance.execute(world.sender(who), governor, view)
            now, _ = await _read(world, record, number)
            session.say({**_json(now), "transaction": tx_hash}, _state(now))

    @command(govern)
    async def renew(
        session: Session,
        asset: _Asset,
        *,
        operator: Annotated[
            str | None, typer.Option(help="Key or address; else all that know fewer parents.")
        ] = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Bind operators to parents that were added since their terms were written. Anyone may."""
        from tessera.ownership import governance

        async with session.world() as world:
            record = await session.asset(world, asset)
            registry, who = world.deployment.registry, session.actor("holder")
            found = await governance.outdated(world.reader, registry, record)
            if operator is not None:
                address = world.address(operator)
                found = [endpoint for endpoint in found if endpoint.operator == address]
            named = [endpoint.operator for endpoint in found]
            data: dict[str, object] = {"asset": str(record.asset), "operators": named}
            if not found:
                session.say(data, f"the terms of {record.slug} know all of its parents")
                return
            parents = [world.directory.get(parent.asset) for parent in record.parents]
            owed = ", ".join(parent.slug for parent in parents if parent)
            lines = [
                f"operator  {endpoint.operator} will owe royalties to {owed}"
                + ("; its discount for holders ends" if endpoint.discount else "")
                for endpoint in found
            ]
            if dry_run:
                for address in named:
                    trial = registry.renew_terms(record.asset, address)
                    await world.reader.read(trial, sender=world.address(who))
                session.say({**data, "dry_run": True}, *lines, "would be renewed")
                return
            confirmed(session, "Renew", lines, yes=yes)
            done = await governance.renew(world.sender(who), registry, record.asset, named)
            session.say(
                {**data, "transactions": done},
                *lines,
                f"renewed the terms of {len(named)} operators",
            )

    @command(govern)
    async def treasury(session: Session, asset: _Asset) -> None:
        """Show what an asset's treasury holds."""
        async with session.world() as world:
            record = await _governed(session, world, asset)
            held = await world.reader.read(world.deployment.governor.treasury_of(record.asset))
            session.say(
                {"asset": str(record.asset), "treasury": str(held)}, world.currency.shown(held)
            )

    @command(govern)
    async def deposit(
        session: Session,
        asset: _Asset,
        amount: Annotated[str, typer.Argument(help="In the currency.")],
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Put money into an asset's treasury; only a vote takes it out."""
        from tessera.ownership import governance

        async with session.world() as world:
            record = await _governed(session, world, asset)
            units = world.currency.parse(amount)
            line = f"{world.currency.shown(units)} into the treasury of {record.slug}"
            sender, governor = world.sender(session.actor("holder")), world.deployment.governor
            currency = world.deployment.currency
            await require_money(world, session.actor("holder"), units)
            effects = payment(world, sender.address, governor.address, units, "into the treasury")
            data: dict[str, object] = {"amount": str(units), "effects": effects_json(effects)}
            if dry_run:
                lines = show_effects(world, effects)
                session.say({**data, "dry_run": True}, f"would put {line}", *lines)
                return
            confirmed(session, f"Put {line}", yes=yes)
            arrived, tx_hash = await governance.deposit(
                sender, governor, currency, record.asset, units
            )
            session.say({**data, "amount": str(arrived), "transaction": tx_hash}, line)


# --- What can be proposed -------------------------------------------------------------------------


def _register_kinds(proposing: typer.Typer) -> None:
    @command(proposing)
    async def release(
        session: Session,
        asset: _Asset,
        folder: Annotated[Path, typer.Argument(help="With a tessera.toml at its top.")],
        *,
        title: _Title = "a new version",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """A new version, of a folder; the bundle is kept for the operator of this machine."""
        import asyncio

        from tessera.assets import validate
        from tessera.assets.publish import release_of
        from tessera.ownership import governance

        async with session.world() as world:
            record = await _governed(session, world, asset)
            bundle = await asyncio.to_thread(validate, folder, decimals=world.currency.decimals)
            found = release_of(bundle)
            if not dry_run:
                await asyncio.to_thread(world.store.add, bundle.folder, expected=bundle.root)
            action = governance.release(found.root, found.runner, found.uri)
            await put(session, world, record, action, title, dry_run=dry_run, yes=yes)

    @command(proposing)
    async def endpoint(
        session: Session,
        asset: _Asset,
        *,
        operator: _Operator = None,
        price: Annotated[str | None, typer.Option(help="Per call; else as it is.")] = None,
        per_1k_in: Annotated[str | None, typer.Option(help="Per 1,000 units in.")] = None,
        per_1k_out: Annotated[str | None, typer.Option(help="Per 1,000 units out.")] = None,
        cut: Annotated[str | None, typer.Option(help="Operator's part, percent.")] = None,
        url: Annotated[str | None, typer.Option(help="Of its gateway.")] = None,
        title: _Title = "an endpoint",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """An operator's listing: its price, its cut, its URL. What is not named stays as it is."""
        from tessera.ownership import governance
        from tessera.spec.prices import Price

        async with session.world() as world:
            record = await _governed(session, world, asset)
            address, known = _operator(world, record, operator)

            def units(text: str | None, thing: str, present: int) -> int:
                return present if text is None else world.currency.parse(text, thing)

            present = Price() if known is None else known.price
            wanted = Price(
                units(price, "--price", present.per_call),
                units(per_1k_in, "--per-1k-in", present.per_1k_in),
                units(per_1k_out, "--per-1k-out", present.per_1k_out),
            )
            cut_bps = 0 if known is None else known.cut_bps
            if cut is not None:
                cut_bps = parse_percent(cut, "--cut")
            where = url or ("" if known is None else known.url) or session.gateway_url(world)
            action = governance.endpoint(address, cut_bps, wanted, where)
            await put(session, world, record, action, title, dry_run=dry_run, yes=yes)

    @command(proposing)
    async def close(
        session: Session,
        asset: _Asset,
        *,
        operator: _Operator = None,
        title: _Title = "the end of an endpoint",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """An operator's end; its cut lapses after the grace."""
        from tessera.ownership import governance

        async with session.world() as world:
            record = await _governed(session, world, asset)
            address, _ = _operator(world, record, operator)
            action = governance.closing(address)
            await put(session, world, record, action, title, dry_run=dry_run, yes=yes)

    @command(proposing)
    async def discount(
        session: Session,
        asset: _Asset,
        percent: Annotated[str, typer.Argument(help="Off the price; 0 ends it.")],
        *,
        min_locked: Annotated[str, typer.Option(help="Whole shares that a payer must lock.")] = "1",
        operator: _Operator = None,
        title: _Title = "a discount for who locks shares",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """A lower price for payers who locked shares, out of the holders' part."""
        from tessera.ownership import governance

        async with session.world() as world:
            record = await _governed(session, world, asset)
            address, _ = _operator(world, record, operator)
            bps = parse_percent(percent, "discount")
            action = governance.discount(address, bps, parse_shares(min_locked, "--min-locked"))
            await put(session, world, record, action, title, dry_run=dry_run, yes=yes)

    @command(proposing)
    async def licence(
        session: Session,
        asset: _Asset,
        *,
        document: Annotated[
            str, typer.Option(help="The text, as a file; or its hash, 0x and 64 hex digits.")
        ],
        identifier: Annotated[str, typer.Option(help="Short name, as SPDX has them.")] = "",
        uri: Annotated[str, typer.Option(help="Where to read it.")] = "",
        title: _Title = "a licence",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """A document that is the asset's licence."""
        from tessera.ownership import governance

        async with session.world() as world:
            record = await _governed(session, world, asset)
            digest = _digest(document)
            action = governance.licence(digest, identifier, uri)
            await put(session, world, record, action, title, dry_run=dry_run, yes=yes)

    @command(proposing)
    async def pay(
        session: Session,
        asset: _Asset,
        receiver: Annotated[str, typer.Argument(help="Key or address.")],
        amount: Annotated[str, typer.Argument(help="In the currency.")],
        *,
        title: _Title = "a payment out of the treasury",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """A payment out of the asset's treasury."""
        from tessera.ownership import governance

        async with session.world() as world:
            record = await _governed(session, world, asset)
            action = governance.payment(world.address(receiver), world.currency.parse(amount))
            await put(session, world, record, action, title, dry_run=dry_run, yes=yes)

    @command(proposing)
    async def parent(
        session: Session,
        asset: _Asset,
        older: Annotated[str, typer.Argument(help="The parent: slug, URN or id.")],
        royalty: Annotated[str, typer.Argument(help="Percent of each payment.")],
        *,
        title: _Title = "a royalty to a parent",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """A royalty to a further parent, for terms yet to be written; never taken back."""
        from tessera.ownership import governance

        async with session.world() as world:
            record = await _governed(session, world, asset)
            owed = await session.asset(world, older)
            action = governance.parent(owed.asset, parse_percent(royalty, "royalty"))
            await put(session, world, record, action, title, dry_run=dry_run, yes=yes)


async def put(
    session: Session,
    world: World,
    record: AssetRecord,
    action: Action,
    title: str,
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    """Put an action to the vote, after a look at what it would change and what it takes."""
    from tessera.ownership import governance

    governor, who = world.deployment.governor, session.actor("holder")
    grave = await world.reader.read(governor.preview_grave(record.asset, action))
    changes = await _changes(world, record, action)
    lines = [
        f"{record.slug}: {_kind(action)}",
        *_change_lines(world, changes),
        f"takes     two thirds of the supply, and waits for the exit delay: {_why_grave(action)}"
        if grave
        else "takes     a fifth of what can vote, and more yes than no",
    ]
    data: dict[str, object] = {
        "asset": str(record.asset),
        "slug": record.slug,
        "kind": _kind(action),
        "grave": grave,
        "title": title,
        "changes": _changes_json(changes),
    }
    if dry_run:
        trial = governor.propose(record.asset, action, title)
        await world.reader.read(trial, sender=world.address(who), at="pending")
        session.say({**data, "dry_run": True}, *lines, "would be put to the vote")
        return
    if not session.as_json:
        for line in lines:
            session.note(line)
    confirmed(session, "Put it to the vote", yes=yes)
    noted, tx_hash = await governance.propose(
        world.sender(who), governor, record.asset, action, title
    )
    session.say(
        {
            **data,
            "proposal": noted.proposal,
            "voting_ends": noted.voting_ends,
            "executable_from": noted.executable_from,
            "expires": noted.expires,
            "transaction": tx_hash,
        },
        f"proposal {noted.proposal}: {title}",
        f"vote      until {shown_time(noted.voting_ends)}",
        f"execute   from {shown_time(noted.executable_from)} to {shown_time(noted.expires)}",
        f"next: tessera govern vote {record.slug} {noted.proposal} yes",
    )


# --- Reading and showing --------------------------------------------------------------------------


async def _governed(session: Session, world: World, name: str) -> AssetRecord:
    from tessera.errors import NotFound

    record = await session.asset(world, name)
    if record.share is None:
        raise NotFound(
            f"shares of {record.slug}",
            found="none: its owner decides about it",
            wanted="an asset with shares",
            next_step=f"its owner can make them: tessera tokenize {record.slug}",
        )
    return record


def _operator(
    world: World, record: AssetRecord, name: str | None
) -> tuple[str, EndpointRecord | None]:
    from tessera.errors import InputError

    if name is not None:
        address = world.address(name)
    elif len(record.listed) == 1:
        address = record.listed[0].operator
    elif world.running is not None:
        address = world.running.operator
    else:
        raise InputError(
            "operator",
            found=f"{len(record.listed)} are listed",
            wanted="one",
            next_step="name it: --operator KEY or ADDRESS",
        )
    return address, record.endpoints.get(address)


async def _read(
    world: World, record: AssetRecord, number: int
) -> tuple[ProposalView, list[Change]]:
    from tessera.ownership import governance

    view = await governance.read_proposal(
        world.reader, world.deployment.governor, record.asset, number, first=world.deployment.since
    )
    return view, await _changes(world, record, view.action)


async def _changes(world: World, record: AssetRecord, action: Action) -> list[Change]:
    from tessera.bindings import Access
    from tessera.bindings.governor import Kind
    from tessera.ownership import governance
    from tessera.ownership.access import read_product
    from tessera.units import Units

    deployed, view = world.deployment, None
    treasury = await world.reader.read(deployed.governor.treasury_of(record.asset))
    if action.kind == Kind.SALE:
        of = await world.reader.read(deployed.storefront.asset_of(action.sale.access))
        if of == record.asset:
            view = await read_product(world.reader, Access(action.sale.access))
    return governance.changes_of(action, record, Units(treasury), view)


def _why_grave(action: Action) -> str:
    from tessera.bindings.governor import Kind

    if action.kind & (Kind.PRODUCT | Kind.SALE):
        return "rights once sold stay good"
    return "less for the holders"


def _told(world: World, view: ProposalView, changes: list[Change]) -> list[str]:
    return [*_plan(world, view, changes), *_standing(view)]


def _plan(world: World, view: ProposalView, changes: list[Change]) -> list[str]:
    """Tell what does not change as long as the proposal is there."""
    return [
        f"proposal {view.number}, called {view.title!r} by {view.proposer}",
        f"kind      {_kind(view.action)}",
        *_change_lines(world, changes),
        f"takes     {shown_shares(view.needed)} yes"
        + (f", two thirds of the supply: {_why_grave(view.action)}" if view.grave else ""),
    ]


def _standing(view: ProposalView) -> list[str]:
    return [
        f"votes     {shown_shares(view.yes)} yes, {shown_shares(view.no)} no",
        f"state     {_state(view)}",
        f"vote      until {shown_time(view.voting_ends)}",
        f"execute   from {shown_time(view.executable_from)} to {shown_time(view.expires)}",
    ]


def _change_lines(world: World, changes: list[Change]) -> list[str]:
    lines = []
    for change in changes:
        texts = [change.before, change.after] if change.before != change.after else [change.after]
        shown = " -> ".join(_value(world, text, change.unit) for text in texts)
        lines.append(f"  {change.thing}: {shown}")
    return lines


def _digest(document: str) -> bytes:
    """Return the hash of a licence: given as such, or of the file that is named."""
    from tessera.errors import InputError
    from tessera.spec.signatures import keccak

    if document.startswith("0x") and len(document) == 66:
        return bytes.fromhex(document[2:])
    try:
        return keccak(Path(document).read_bytes())
    except OSError as error:
        raise InputError(
            "--document", found=error.strerror or document, wanted="a file, or 0x and 64 hex digits"
        ) from error


def _value(world: World, text: str, unit: str) -> str:
    if not text:
        return "none"
    if unit == "units":
        return world.currency.shown(int(text))
    if unit == "bps":
        return shown_percent(int(text))
    return shown_shares(int(text)) if unit == "shares" else text


def _kind(action: Action) -> str:
    from tessera.bindings.governor import Kind

    return {
        Kind.RELEASE: "release",
        Kind.ENDPOINT: "endpoint",
        Kind.CLOSING: "close",
        Kind.DISCOUNT: "discount",
        Kind.LICENCE: "licence",
        Kind.PAYMENT: "pay",
        Kind.PARENT: "parent",
        Kind.PRODUCT: "product",
        Kind.SALE: "sale",
    }[action.kind]


def _state(view: ProposalView) -> str:
    return (view.state.name or str(int(view.state))).lower()


def _json(view: ProposalView) -> dict[str, object]:
    return {
        "asset": str(view.asset),
        "proposal": view.number,
        "proposer": view.proposer,
        "title": view.title,
        "kind": _kind(view.action),
        "grave": view.grave,
        "state": _state(view),
        "yes": str(view.yes),
        "no": str(view.no),
        "counted": str(view.counted),
        "needed": str(view.needed),
        "voting_ends": view.voting_ends,
        "executable_from": view.executable_from,
        "expires": view.expires,
    }


def _changes_json(changes: list[Change]) -> list[dict[str, str]]:
    return [
        {
            "thing": change.thing,
            "before": change.before,
            "after": change.after,
            "unit": change.unit,
        }
        for change in changes
    ]
