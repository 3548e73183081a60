"""`tessera audit`: whether an endpoint runs the model that was tokenized."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import counted
from tessera.cli.effects import (
    DryRun,
    Yes,
    confirmed,
    effects_json,
    payment,
    show_effects,
)
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.assets.directory import AssetRecord
    from tessera.client import Client
    from tessera.client.auditing import Copy, Plan
    from tessera.client.evidence import PaidCall
    from tessera.serving.equality.verdict import Verdict

__all__ = ["register"]

_SEED_BITS = 53
_ID_DIGITS = 12


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app)
    async def audit(
        session: Session,
        endpoint: Annotated[
            str | None, typer.Argument(help="URL of the gateway; else the one that runs here.")
        ] = None,
        *,
        model: Annotated[
            str | None, typer.Option(help="Slug, or slug@version; else its only one.")
        ] = None,
        own: Annotated[
            Path | None, typer.Option(help="Folder of your copy; else the one in the store.")
        ] = None,
        upstream: Annotated[
            str, typer.Option(help="Server of yours, for a model that only names one.")
        ] = "",
        inputs: Annotated[
            Path | None, typer.Option(help="What to ask: a text, or a row as JSON, per line.")
        ] = None,
        samples: Annotated[int, typer.Option(help="Calls to compare.", min=1, max=10_000)] = 200,
        alpha: Annotated[
            float, typer.Option(help="Honest endpoints accused, as a part.", min=1e-6, max=0.5)
        ] = 0.001,
        exact: Annotated[
            bool, typer.Option("--exact", help="Ask for texts with seeds, compare by letters.")
        ] = False,
        seed: Annotated[int | None, typer.Option(help="Repeats an audit's questions.")] = None,
        deposit: Annotated[str, typer.Option(help="Most that it may cost.")] = "1",
        keep: Annotated[
            Path | None, typer.Option(help="Keep calls and receipts in this folder.")
        ] = None,
        receipts: Annotated[
            Path | None, typer.Option(help="Compare calls kept there; make none.")
        ] = None,
        allow_python_runners: Annotated[
            bool, typer.Option("--allow-python-runners", help="Run a copy that is Python code.")
        ] = False,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Compare an endpoint's answers with those of your own copy, and say what follows.

        Exit code 0 where nothing tells them apart, 7 where the endpoint runs something else.
        """
        from tessera.app import connect
        from tessera.client.auditing import Plan
        from tessera.errors import ModelDiffers

        plan = Plan(
            samples=samples,
            alpha=alpha,
            seed=secrets.randbits(_SEED_BITS) if seed is None else seed,
            repeatable=exact,
        )
        config = session.config(allow_python_runners=allow_python_runners or None)
        copying = {"folder": own, "upstream": upstream}
        async with connect(config) as world:
            if receipts is not None:
                copy, verdict, calls = await _of_kept(
                    session, world, receipts, model, plan, copying
                )
            else:
                url = endpoint or session.gateway_url(world)
                done = await _of_calls(
                    session, world, url, model, plan, copying,
                    inputs=_inputs(inputs), deposit=deposit, keep=keep, dry_run=dry_run, yes=yes,
                )  # fmt: skip
                if done is None:
                    return
                copy, verdict, calls = done
            cost = sum(call.receipt.cost for call in calls if call.receipt is not None)
            data: dict[str, Any] = {
                "model": f"{copy.slug}@{copy.version}",
                "endpoint": None if receipts is not None else url,
                **verdict.as_json(),
                "receipts": sum(call.receipt is not None for call in calls),
                "cost": str(cost),
                "seed": str(plan.seed),
            }
            if not verdict.accuses:
                session.say(data, *_lines(world, copy, verdict, calls))
                return
            if not session.as_json:
                for line in _lines(world, copy, verdict, calls):
                    session.out.print(line, markup=False)
            raise ModelDiffers(
                f"{copy.slug}@{copy.version}: {verdict.said} (p = {verdict.p_value:.2g})", **data
            )


async def _of_calls(
    session: Session,
    world: World,
    url: str,
    model: str | None,
    plan: Plan,
    copying: dict[str, Any],
    *,
    inputs: list[Any],
    deposit: str,
    keep: Path | None,
    dry_run: bool,
    yes: bool,
) -> tuple[Copy, Verdict, list[PaidCall]] | None:
    """Ask and compare; None where it was only to be shown what that would do."""
    from tessera.app.auditing import open_copy
    from tessera.client import Client
    from tessera.client.auditing import ask, judge, questions
    from tessera.client.evidence import keep as kept_as_files
    from tessera.errors import Conflict, NotFound
    from tessera.payments.onchain import channels_domain
    from tessera.spec.signatures import address_text

    most = world.currency.parse(deposit, "--deposit")
    client = Client(
        url,
        account=world.account(session.actor("consumer")),
        deployment=world.deployment,
        rpc_url=world.reader.url,
        state_dir=world.config.data_dir / "purses",
        deposit=most,
        max_call_cost=most,
    )
    try:
        cards = {card.id: card for card in await asyncio.to_thread(client.models)}
        name, _, wanted = (model or _only(cards)).partition("@")
        card = cards.get(name)
        if card is None:
            raise NotFound.among(f"gateway {url}: model", name, cards)
        record = await session.asset(world, str(card.key.asset))
        operator = address_text(await asyncio.to_thread(lambda: client.operator))
        if operator not in record.endpoints:
            session.note(f"note: the chain does not list {operator} for {record.slug}")
        if wanted and wanted != str(card.version):
            raise Conflict(
                f"gateway {url}: {name}",
                found=f"version {card.version}",
                wanted=f"version {wanted}",
            )
        async with open_copy(world, record, card.version, limits=card.limits, **copying) as copy:
            bodies = questions(copy, plan, inputs)
            bound = _checked_cost(world, client, copy, bodies, most)
            told, lines = await _announced(world, client, copy, len(bodies), bound, most)
            if dry_run:
                session.say({**told, "dry_run": True}, *lines)
                return None
            confirmed(session, f"Audit {copy.slug} by {len(bodies)} paid calls", lines, yes=yes)
            with session.progress(f"asking {card.id}", counted=True) as progress:
                calls = await ask(client, copy, bodies, plan, progress)
            if keep is not None:
                domain = channels_domain(world.deployment)
                for call in calls:
                    kept_as_files(keep, call, domain, client.operator)
            with session.progress("asking your copy", counted=True) as progress:
                return copy, await judge(copy, calls, plan, progress), calls
    finally:
        await asyncio.to_thread(client.close)


async def _of_kept(
    session: Session,
    world: World,
    folder: Path,
    model: str | None,
    plan: Plan,
    copying: dict[str, Any],
) -> tuple[Copy, Verdict, list[PaidCall]]:
    import random

    from tessera.app.auditing import open_copy
    from tessera.app.receipts import kept_calls
    from tessera.client.auditing import judge
    from tessera.errors import InputError

    calls = [call for call in await kept_calls(world, folder) if call.receipt is not None]
    if model is not None:
        meant: AssetRecord = world.directory.find(model)
        _, _, version = model.partition("@")
        calls = [
            call for call in calls
            if call.receipt is not None and call.receipt.receipt.asset == meant.asset
            and version in {"", str(call.receipt.receipt.version)}
        ]  # fmt: skip
    about = {(c.receipt.receipt.asset, c.receipt.receipt.version) for c in calls if c.receipt}
    if len(about) != 1:
        raise InputError(
            f"receipts in {folder}",
            found=f"{len(about)} models and versions",
            wanted="one",
            next_step="choose: --model SLUG@VERSION",
        )
    ((asset, number),) = about
    record = await session.asset(world, str(asset))
    if len(calls) > plan.samples:
        calls = random.Random(plan.seed).sample(calls, plan.samples)  # noqa: S311 - a sample
    async with open_copy(world, record, number, **copying) as copy:
        with session.progress("asking your copy", counted=True) as progress:
            return copy, await judge(copy, calls, plan, progress), calls


def _only(cards: dict[str, Any]) -> str:
    from tessera.errors import InputError

    if len(cards) == 1:
        return next(iter(cards))
    raise InputError(
        "--model", found="nothing", wanted=f"one of {', '.join(sorted(cards)) or 'none served'}"
    )


def _checked_cost(world: World, client: Client, copy: Copy, bodies: list[bytes], most: int) -> int:
    from tessera.errors import InputError
    from tessera.serving.bodies import read_body

    card = next(card for card in client.models() if card.key.asset == copy.asset)
    units = [read_body(copy.path, body, copy.limits).most for body in bodies]
    bound = sum(card.price.cost_ceil(unit.input, unit.output) for unit in units)
    if bound > most:
        raise InputError(
            f"audit of {copy.slug}",
            found=f"up to {world.currency.shown(bound)} for {counted(len(bodies), 'call')}",
            wanted=f"{world.currency.shown(most)} at most",
            next_step="allow more: --deposit AMOUNT; or fewer calls: --samples N",
        )
    return bound


async def _announced(
    world: World, client: Client, copy: Copy, calls: int, bound: int, most: int
) -> tuple[dict[str, Any], list[str]]:
    """Return what an audit would do, as JSON values and for people."""
    channel = await asyncio.to_thread(client.find)
    effects = [] if channel is not None else payment(
        world, client.address, world.deployment.channels.address, most, "set aside for the calls"
    )  # fmt: skip
    told = {
        "model": f"{copy.slug}@{copy.version}",
        "calls": calls,
        "cost_at_most": str(bound),
        "channel": None if channel is None else str(channel),
        "effects": effects_json(effects),
    }
    pays = "a new channel" if channel is None else f"channel {channel}"
    shown = world.currency.shown(bound)
    lines = [f"would ask {told['model']} {calls:,} times, for at most {shown} from {pays}"]
    return told, lines + show_effects(world, effects)


def _inputs(file: Path | None) -> list[Any]:
    import msgspec

    from tessera.errors import InputError

    if file is None:
        return []
    try:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"--inputs {file}",
            found=getattr(error, "strerror", None) or str(error),
            wanted="a file of UTF-8 text",
        ) from error
    if not lines:
        raise InputError(f"--inputs {file}", found="no lines", wanted="a text or a row per line")
    given: list[Any] = []
    for line in lines:
        if not line.lstrip().startswith("["):
            given.append(line)
            continue
        try:
            given.append(msgspec.json.decode(line))
        except msgspec.DecodeError as error:
            raise InputError(
                f"--inputs {file}", found=line[:80], wanted="a row such as [5.1, 3.5, 1.4]"
            ) from error
    return given


def _whose(copy: Copy) -> str:
    from tessera.serving.runner import Identity

    if copy.runner.identity is Identity.HASHED:
        return "your copy has the chain's content root"
    return "compared with a server of yours, which nothing on the chain vouches for"


def _lines(world: World, copy: Copy, verdict: Verdict, calls: list[PaidCall]) -> list[str]:
    details = verdict.details
    if verdict.method == "exact":
        compared = (
            f"{verdict.samples} answers one by one: {details['identical']} identical, "
            f"{details['within_noise']} within float noise, {details['different']} different"
        )
    else:
        kernels = details["by_kernel"]
        assert isinstance(kernels, dict)
        by = ", ".join(f"{name} {p:.2g}" for name, p in kernels.items())
        compared = (
            f"{verdict.samples} texts with {details['own_samples']} of your own copy (p by: {by})"
        )
    cost = sum(call.receipt.cost for call in calls if call.receipt is not None)
    signed = sum(call.receipt is not None for call in calls)
    return [
        f"model     {copy.slug} version {copy.version}; {_whose(copy)}",
        f"compared  {compared}",
        f"verdict   {verdict.finding}: {verdict.said}",
        f"p-value   {verdict.p_value:.3g}; accused from {verdict.alpha:g} down, as few honest are",
        f"strength  {verdict.strength}",
        f"paid      {world.currency.shown(cost)}; {signed} of {len(calls)} answers have a receipt",
    ]
