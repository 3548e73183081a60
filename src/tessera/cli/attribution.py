"""`tessera attribution`: who is worth how much to a model, and the leaves that say so on chain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import (
    parse_duration,
    parse_shares,
    share_count,
    shown_percent,
    shown_shares,
)
from tessera.cli.effects import DryRun, Yes, confirmed, effects_json, show_effects
from tessera.cli.session import Session, command
from tessera.units import SHARE_DECIMALS

if TYPE_CHECKING:
    from tessera.app.attributing import Attribution
    from tessera.assets.attribution.leaves import Leaves

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    attribution = typer.Typer(
        help="Weigh the contributors of a model, and show their leaves.",
        no_args_is_help=True,
    )
    app.add_typer(attribution, name="attribution")

    @command(attribution)
    def example(
        session: Session,
        folder: Annotated[Path, typer.Argument(help="New or empty.")],
    ) -> None:
        """Write the demo's digits classifier with a declared game: six contributors of pictures."""
        from tessera.demo.models.digits_game import PARTS, write_example

        with session.waiting("training the classifier"):
            write_example(folder)
        session.say(
            {"folder": str(folder), "players": dict(PARTS)},
            f"wrote {folder}: the classifier, training.py and attribution.toml",
            f"then: tessera attribution run {folder}",
        )

    @command(attribution)
    async def run(
        session: Session,
        folder: Annotated[Path, typer.Argument(help="A bundle with an attribution.toml.")],
        *,
        method: Annotated[
            str, typer.Option(help="shapley (sampled), exact (up to 12 players), leave-one-out.")
        ] = "shapley",
        permutations: Annotated[int, typer.Option(help="Orders to sample.", min=1)] = 240,
        sampling: Annotated[
            str, typer.Option(help="Draw orders plain, antithetic or stratified.")
        ] = "stratified",
        seed: Annotated[int, typer.Option(help="Of the orders and of every training.")] = 7,
        truncation: Annotated[
            float, typer.Option(help="End an order so near to the full score; 0: never.", min=0.0)
        ] = 0.0,
        confidence: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
        jobs: Annotated[int, typer.Option(help="Trainings at the same time.", min=1)] = 1,
        resume: Annotated[
            bool, typer.Option("--resume", help="Go on with an interrupted run.")
        ] = False,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Compute, and write nothing into the bundle.")
        ] = False,
    ) -> None:
        """Train on coalitions of contributors, weigh each, and write them into tessera.toml."""
        from tessera.app.attributing import Settings, attribute, read_game, write_attribution
        from tessera.app.world import addresses_of
        from tessera.assets.attribution.shapley import Method, Sampling
        from tessera.assets.reading import CURRENCY_DECIMALS

        settings = Settings(
            method=_one_of("method", method, Method),
            permutations=permutations,
            sampling=_one_of("sampling", sampling, Sampling),
            seed=seed,
            truncation=truncation,
            confidence=confidence,
        )
        game = read_game(folder)
        journals = session.config().data_dir / "attribution"
        with session.progress(f"weighing {folder.name}", counted=True) as progress:
            done = await attribute(
                game, settings, journals=journals, resume=resume, jobs=jobs, told=progress
            )
        leaves = None
        if not dry_run:
            accounts = addresses_of(session.config())
            write_attribution(done, decimals=CURRENCY_DECIMALS, accounts=accounts)
            leaves = _leaves(session, folder, missing=True)
        _present(session, folder, done, leaves)

    @command(attribution)
    def leaves(
        session: Session,
        folder: Annotated[Path, typer.Argument(help="With a tessera.toml at its top.")],
    ) -> None:
        """Show the contribution leaves of a bundle, their root, and each one's proof."""
        found = _leaves(session, folder, missing=False)
        assert found is not None
        table = session.table("contributor", "role", "weight>", "account!", "evidence")
        for leaf in found.leaves:
            given = leaf.contribution
            table.add_row(
                leaf.name,
                given.role.name.lower(),
                shown_percent(given.weight),
                given.account,
                f"0x{given.evidence.hex()[:16]}…" if any(given.evidence) else "-",
            )
        session.present(
            found.shown(),
            lambda console: console.print(table, f"root  0x{found.root.hex()}", sep="\n"),
        )

    @command(attribution)
    async def grant(
        session: Session,
        asset: Annotated[str, typer.Argument(help="Slug, URN or id.")],
        shares: Annotated[str, typer.Argument(help="Whole shares, for all of them together.")],
        *,
        cliff: Annotated[str, typer.Option(help="Nothing before: 30s, 12h, 180d.")] = "0s",
        duration: Annotated[str, typer.Option(help="All of it after: 2y is 730d.")] = "365d",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Set shares of yours aside for an asset's contributors; each claims by weight."""
        from tessera.bindings.launchpad import Grant
        from tessera.ownership.allowing import check_shares
        from tessera.ownership.contributing import check_contributors, set_aside
        from tessera.ownership.effects import Effect

        async with session.world() as world:
            record = await session.asset(world, asset)
            check_contributors(record)
            share = await world.share(record.asset)
            given = Grant(
                parse_shares(shares),
                world.now(),
                parse_duration(cliff, "--cliff"),
                parse_duration(duration, "--duration"),
            )
            shown: dict[str, object] = {
                "asset": str(record.asset),
                "root": f"0x{record.contributions.hex()}",
                "shares": str(given.amount),
                "start": given.start,
                "cliff_s": given.cliff,
                "duration_s": given.duration,
            }
            sender, shares_of = world.sender(session.actor("publisher")), f"shares of {record.slug}"
            await check_shares(sender, share, given.amount)
            why = "for its contributors, by weight"
            effects = [
                Effect(sender.address, share.address, shares_of, -given.amount, why, SHARE_DECIMALS)
            ]
            shown["effects"] = effects_json(effects)
            what = f"{shown_shares(given.amount)} {shares_of} for its contributors"
            if dry_run:
                session.say(
                    {**shown, "dry_run": True},
                    f"would set aside {what}, root 0x{record.contributions.hex()}",
                    *show_effects(world, effects),
                    "they leave only by claims of contributors",
                )
                return
            confirmed(session, f"Set aside {what}; nobody takes them back", yes=yes)
            made = await set_aside(sender, world.deployment.launchpad, record.asset, share, given)
            session.say(
                {**shown, "allocation": made.address}, f"set aside {what}", f"at {made.address}"
            )

    @command(attribution)
    async def claim(
        session: Session,
        asset: Annotated[str, typer.Argument(help="Slug, URN or id.")],
        leaves: Annotated[
            Path, typer.Argument(help="The bundle's folder, or a file of its leaves.")
        ],
        contributor: Annotated[str, typer.Argument(help="Key or address.")],
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Move a contributor's shares into a vesting of his own, with his proof. Anyone may."""
        from tessera.errors import NotFound
        from tessera.ownership.contributing import check_proof, claim_contribution, open_claims
        from tessera.ownership.effects import Effect
        from tessera.spec.allocation import part_of

        async with session.world() as world:
            record = await session.asset(world, asset)
            account = world.address(contributor)
            found = _found_leaves(session, leaves)
            own = [leaf for leaf in found.leaves if leaf.contribution.account == account]
            if not own:
                raise NotFound(
                    f"leaf of {contributor}",
                    found=f"{len(found.leaves)} leaves of others",
                    wanted=f"one of {account}",
                    next_step="see all: tessera attribution leaves FOLDER",
                )
            launchpad = world.deployment.launchpad
            proofs = {leaf.contribution: leaf.proof for leaf in own}
            claims = await open_claims(
                world.reader, launchpad, record.asset, list(proofs), first=world.deployment.since
            )
            share, shares_of = await world.share(record.asset), f"shares of {record.slug}"
            rows: list[dict[str, Any]] = []
            effects = []
            for contribution, allocation in claims:
                check_proof(allocation, contribution, proofs[contribution])
                part = part_of(allocation.grant.amount, contribution.weight)
                row = {
                    "account": account,
                    "allocation": allocation.address,
                    "shares": str(part),
                }
                rows.append(row)
                why = f"into a vesting of {account}"
                effects.append(
                    Effect(allocation.address, share.address, shares_of, -part, why, SHARE_DECIMALS)
                )
            data: dict[str, object] = {"claims": rows, "effects": effects_json(effects)}
            if dry_run:
                lines = [f"would claim {share_count(int(row['shares']))}" for row in rows]
                session.say({**data, "dry_run": True}, *lines, *show_effects(world, effects))
                return
            total = shown_shares(sum(int(row["shares"]) for row in rows))
            confirmed(session, f"Claim {total} {shares_of} for {account}", yes=yes, gives=False)
            sender = world.sender(session.actor(contributor))
            for row, (contribution, allocation) in zip(rows, claims, strict=True):
                vesting = await claim_contribution(
                    sender, launchpad, allocation, contribution, proofs[contribution]
                )
                row["vesting"] = vesting.address
            session.say(
                data,
                *(f"{share_count(int(row['shares']))} into {row['vesting']}" for row in rows),
            )


def _found_leaves(session: Session, source: Path) -> Leaves:
    from tessera.assets.attribution.leaves import read_leaves

    if source.is_file():
        return read_leaves(source)
    found = _leaves(session, source, missing=False)
    assert found is not None
    return found


def _one_of(thing: str, value: str, options: Any) -> Any:
    from tessera.errors import NotFound

    if value not in set(options):
        raise NotFound.among(thing, value, list(options))
    return options(value)


def _leaves(session: Session, folder: Path, *, missing: bool) -> Leaves | None:
    from tessera.app.world import addresses_of
    from tessera.assets.attribution.leaves import leaves_of
    from tessera.assets.reading import CURRENCY_DECIMALS
    from tessera.errors import NotFound

    accounts = addresses_of(session.config())
    try:
        return leaves_of(folder, accounts, decimals=CURRENCY_DECIMALS)
    except NotFound as error:
        if not missing:
            raise
        session.note(f"no root yet: {error.message}")
        return None


def _present(session: Session, folder: Path, done: Attribution, leaves: Leaves | None) -> None:
    report = done.report()
    outcome = done.outcome
    sampled = outcome.blocks > 0
    columns = ["contributor", "part", "value>"]
    columns += [f"{done.settings.confidence:.0%} interval>"] if sampled else []
    table = session.table(*columns, "weight>")
    for player in report["players"]:
        row = [player["name"] or player["account"], player["part"], f"{player['value']:+.4f}"]
        row += [f"{player['low']:+.4f} to {player['high']:+.4f}"] if sampled else []
        table.add_row(*row, shown_percent(player["weight"]))
    lines = [
        f"{report['metric']} {outcome.everybody:.4f} of all, {outcome.nobody:.4f} of nobody",
        f"{report['coalitions']} coalitions scored, {done.trained} trainings now",
    ]
    if report["gap_allowed"] is not None:
        lines.append(
            f"values sum to {report['sum']:.6f}, wanted {outcome.everybody - outcome.nobody:.6f}; "
            f"off by {abs(outcome.gap):.1e}, allowed {outcome.error:.1e}"
        )
    else:
        lines.append(f"values sum to {report['sum']:.6f}: leave-one-out promises no sum")
    if sampled:
        lines.append(f"intervals: {report['interval']}; of the sampling of orders alone")
    floored = [p["name"] or p["account"] for p in report["players"] if p["value"] < 0]
    if floored:
        lines.append(f"below 0, counted as 0: {', '.join(floored)}")
    lines.append("weights by largest remainder")
    if leaves is not None:
        lines.append(f"root  0x{leaves.root.hex()}")
    told = {"root": None, "leaves": []} if leaves is None else leaves.shown()
    session.present(
        {**report, "folder": str(folder), "trained": done.trained, **told},
        lambda console: console.print(table, *lines, sep="\n"),
    )
