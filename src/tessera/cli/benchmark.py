"""`tessera benchmark list` and `run`: ask a model each item of a benchmark, and pay for it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

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
from tessera.cli.measuring import benchmarks_here, endpoint_of, round_id, score_lines
from tessera.cli.reports import Code, register_reports
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.assets.directory import AssetRecord
    from tessera.client import Client
    from tessera.client.gateway import ModelCard
    from tessera.config import Config
    from tessera.validation.draw import Draw
    from tessera.validation.endpoints import Endpoint
    from tessera.validation.running import Finished
    from tessera.validation.task import Benchmark

__all__ = ["Wish", "register", "run_free", "run_paid"]

_HASH_DIGITS = 64


def register(app: typer.Typer) -> None:
    """Add the commands."""
    benchmark = typer.Typer(
        help="Measure models, verify reports, judge claims.", no_args_is_help=True
    )
    app.add_typer(benchmark, name="benchmark")

    @command(benchmark, "list")
    async def list_benchmarks(session: Session) -> None:
        """Show the benchmarks that are installed, and those of the store."""
        from tessera.validation.task import find_benchmarks, open_benchmark

        known = {**await benchmarks_here(session), **find_benchmarks()}
        tasks = {name: open_benchmark(folder) for name, folder in sorted(known.items())}
        told = [
            {
                "name": name,
                "title": task.title,
                "kind": task.kind,
                "metric": task.scoring.metric,
                "items": len(task.eligible),
                "task": "0x" + task.id.hex(),
                "folder": str(known[name]),
            }
            for name, task in tasks.items()
        ]
        if session.as_json or not told:
            session.say(
                {"benchmarks": told},
                "none installed or in the store; a folder can be one: docs/guides/benchmarks.md",
            )
            return
        table = session.table("name", "kind", "metric", "items>", "title")
        for row in told:
            table.add_row(*(str(row[key]) for key in ("name", "kind", "metric", "items", "title")))
        session.out.print(table)

    @command(benchmark, "run")
    async def run_benchmark(
        session: Session,
        task: Annotated[
            str, typer.Argument(metavar="BENCHMARK", help="Folder, or name of a listed one.")
        ],
        *,
        model: Annotated[
            str, typer.Option(help="Slug at the gateway, or what a server calls it.")
        ] = "",
        url: Annotated[
            str, typer.Option(help="Any OpenAI-compatible server, in place of a gateway.")
        ] = "",
        own: Annotated[
            Path | None, typer.Option(help="Folder of your copy of a bundle, in place of both.")
        ] = None,
        out: Annotated[Path, typer.Option(help="Where the report goes.")] = Path("report.json"),
        items: Annotated[
            int | None, typer.Option(help="Draw so many; else all are asked.", min=1)
        ] = None,
        seed: Annotated[
            str, typer.Option(help="Of the draw: 64 hexadecimal digits, or any text to hash.")
        ] = "",
        validator: Annotated[str, typer.Option(help="Whose draw it is: a key or an address.")] = "",
        round_: Annotated[
            str, typer.Option("--round", help="Id of the round of approvals that it is for.")
        ] = "",
        at_once: Annotated[int, typer.Option(help="Items asked at a time.", min=1, max=256)] = 4,
        budget: Annotated[str, typer.Option(help="Most that it may cost.")] = "1",
        keep: Annotated[
            Path | None,
            typer.Option(help="Folder of the calls with receipts; else beside the report."),
        ] = None,
        key_env: Annotated[
            str, typer.Option(help="Environment variable with the key of --url.")
        ] = "",
        allow_python_runners: Code = False,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Ask a model each item, pay for it, and write a report.

        A run that ends early goes on where it was when it is started again.
        """
        config = session.config(allow_python_runners=allow_python_runners or None)
        wish = Wish(task, model, items, seed, round_, validator, out, at_once)
        if own is None and not url:
            await run_paid(session, config, wish, budget, keep, dry_run=dry_run, yes=yes)
        else:
            await run_free(session, config, wish, url, own, key_env, dry_run=dry_run)

    register_reports(benchmark)


class Wish(NamedTuple):
    """What is to be run."""

    benchmark: str
    model: str
    items: int | None
    seed: str
    round: str
    validator: str
    out: Path
    at_once: int

    @property
    def journal(self) -> Path:
        """Where the run is written down until its report is."""
        return self.out.with_name(self.out.name + ".run")


async def run_free(
    session: Session,
    config: Config,
    wish: Wish,
    url: str,
    own: Path | None,
    key_env: str,
    *,
    dry_run: bool,
) -> None:
    """Run on one's own copy or on another's server: nothing is paid from here."""
    from tessera.app.benchmarking import folder_of, open_task

    folder = folder_of(wish.benchmark, await benchmarks_here(session, wish.benchmark))
    task = await asyncio.to_thread(open_task, folder, config)
    async with endpoint_of(config, url, own, wish.model, key_env) as (endpoint, model):
        draw = _draw(wish, _address(config, wish.validator), model.drawn_by)
        about = f"{url or 'own'} {model.name} {model.content_root}"
        numbers = _numbers(task, draw)
        if dry_run:
            told = _plan(task, model.name, numbers)
            session.say(
                {**told, "dry_run": True}, f"would ask {model.name} {counted(len(numbers), 'item')}"
            )
            return
        finished = await _asked(session, task, numbers, endpoint, wish, about, None)
        await _written(session, task, model, finished, draw, wish, {"url": url or None})


async def run_paid(
    session: Session,
    config: Config,
    wish: Wish,
    budget: str,
    keep: Path | None,
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    """Run through a gateway, and pay."""
    from tessera.app import connect
    from tessera.app.benchmarking import (
        benchmarks_of_chain,
        folder_of,
        model_served,
        open_task,
    )
    from tessera.client import Client
    from tessera.payments.onchain import channels_domain
    from tessera.validation.endpoints import PaidEndpoint
    from tessera.validation.running import most_of

    async with connect(config) as world:
        await world.directory.refresh()
        known = await asyncio.to_thread(benchmarks_of_chain, world, wish.benchmark)
        folder = folder_of(wish.benchmark, known)
        task = await asyncio.to_thread(open_task, folder, config)
        most = world.currency.parse(budget, "--budget")
        calls = keep or wish.out.with_name(wish.out.name + ".calls")
        client = Client(
            session.gateway_url(world),
            account=world.account(session.actor("consumer")),
            deployment=world.deployment,
            rpc_url=world.reader.url,
            state_dir=config.data_dir / "purses",
            deposit=most,
            max_call_cost=most,
            keep=calls,
        )
        try:
            card, record = await _card(session, world, client, wish.model)
            release = next(each for each in record.versions if each.version == card.version)
            draw = _draw(wish, _address_at(world, wish.validator), release.root)
            numbers = _numbers(task, draw)
            async with client.async_http() as http:
                endpoint = PaidEndpoint(http, card, channels_domain(world.deployment))
                bound = most_of(task, numbers, endpoint)
                plan = _plan(task, f"{card.id}@{card.version}", numbers)
                told, lines = await _announced(world, client, plan, bound, most)
                if dry_run:
                    session.say({**told, "dry_run": True}, *lines)
                    return
                confirmed(session, f"Benchmark {card.id} by paid calls", lines, yes=yes)
                about = f"paid {client.url} {record.asset}@{card.version}"
                finished = await _asked(session, task, numbers, endpoint, wish, about, most)
            model = model_served(record, card.version, finished.served)
            made: dict[str, object] = {
                "url": client.url,
                "calls": str(calls),
                "payer": client.address,
            }
            await _written(session, task, model, finished, draw, wish, made, world)
        finally:
            await asyncio.to_thread(client.close)


async def _asked(
    session: Session,
    task: Benchmark,
    numbers: tuple[int, ...],
    endpoint: Endpoint,
    wish: Wish,
    about: str,
    budget: int | None,
) -> Finished:
    from tessera.validation.running import Limits, run

    with session.progress(f"asking {wish.model or 'your copy'}", counted=True) as progress:
        return await run(
            task,
            numbers,
            endpoint,
            about=about,
            journal=wish.journal,
            limits=Limits(wish.at_once, budget),
            progress=progress,
        )


async def _written(
    session: Session,
    task: Benchmark,
    model: Any,
    finished: Finished,
    draw: Draw | None,
    wish: Wish,
    made: Mapping[str, object],
    world: World | None = None,
) -> None:
    """Score, write and say what came out; the journal has done its duty then."""
    from tessera.app.benchmarking import report_of
    from tessera.validation.report import write_report

    report = await report_of(task, model, finished, draw=draw, **made)
    await asyncio.to_thread(write_report, wish.out, report)
    await asyncio.to_thread(wish.journal.unlink, missing_ok=True)
    core = report["core"]
    lines = score_lines(report)
    if finished.why:
        lines.append(f"note       {finished.why}")
    if world is not None:
        lines.append(
            f"paid       {world.currency.shown(finished.cost)}; receipts in {made['calls']}"
        )
    if finished.resumed:
        lines.append(f"resumed    {counted(finished.resumed, 'item')} had been asked before")
    lines.append(f"report     {wish.out}, root {report['root']}")
    session.say(
        {
            "report": str(wish.out),
            "root": report["root"],
            **{
                name: core[name]
                for name in ("task", "task_name", "metric", "status", "score", "scored",
                             "outcomes", "details", "model")
            },
            "cost": str(finished.cost),
            "resumed": finished.resumed,
            "why": finished.why,
        },
        *lines,
    )  # fmt: skip


# --- What is asked --------------------------------------------------------------------------


async def _card(
    session: Session, world: World, client: Client, model: str
) -> tuple[ModelCard, AssetRecord]:
    from tessera.errors import InputError, NotFound

    cards = {card.id: card for card in await asyncio.to_thread(client.models)}
    if not model:
        listed = ", ".join(sorted(cards)) or "none served"
        raise InputError("--model", found="nothing", wanted=f"one of {listed}")
    card = cards.get(model)
    if card is None:
        raise NotFound.among(f"gateway {client.url}: model", model, cards)
    return card, await session.asset(world, str(card.key.asset))


def _numbers(task: Benchmark, draw: Draw | None) -> tuple[int, ...]:
    from tessera.validation.running import items_to_ask

    return items_to_ask(task, draw)


def _draw(wish: Wish, validator: bytes, model: bytes) -> Draw | None:
    from tessera.errors import InputError
    from tessera.validation.draw import Draw

    if wish.items is None:
        if wish.seed or wish.validator or wish.round:
            raise InputError(
                "--items", found="nothing", wanted="how many to draw, where a draw is described"
            )
        return None
    if not wish.seed:
        raise InputError(
            "--seed", found="nothing", wanted="a seed that nobody chose, or any text of your own"
        )
    of = round_id(wish.round) if wish.round else model
    return Draw(_seed(wish.seed), of, validator, wish.items)


def _seed(text: str) -> bytes:
    digits = text.removeprefix("0x")
    if len(digits) == _HASH_DIGITS:
        try:
            return bytes.fromhex(digits)
        except ValueError:
            pass
    return hashlib.sha256(text.encode()).digest()


def _address(config: Config, name: str) -> bytes:
    from tessera.app.world import addresses_of
    from tessera.spec.signatures import ZERO_ADDRESS, address_of

    if not name:
        return ZERO_ADDRESS
    return address_of(name if name.startswith("0x") else addresses_of(config)[name])


def _address_at(world: World, name: str) -> bytes:
    from tessera.spec.signatures import ZERO_ADDRESS, address_of

    return address_of(world.address(name)) if name else ZERO_ADDRESS


def _plan(task: Benchmark, model: str, numbers: tuple[int, ...]) -> dict[str, Any]:
    asks = sum(len(task.scoring.asks(task.items[number])) for number in numbers)
    return {
        "task": "0x" + task.id.hex(),
        "task_name": task.name,
        "model": model,
        "items": len(numbers),
        "calls": asks,
    }


async def _announced(
    world: World, client: Client, plan: dict[str, Any], bound: int, most: int
) -> tuple[dict[str, Any], list[str]]:
    """Return what a run would do, as JSON values and for people."""
    channel = await asyncio.to_thread(client.find)
    effects = [] if channel is not None else payment(
        world, client.address, world.deployment.channels.address, most, "set aside for the calls"
    )  # fmt: skip
    told = {
        **plan,
        "cost_at_most": str(min(bound, most)),
        "channel": None if channel is None else str(channel),
        "effects": effects_json(effects),
    }
    pays = "a new channel" if channel is None else f"channel {channel}"
    shown = world.currency.shown(min(bound, most))
    lines = [f"would ask {plan['model']} {plan['calls']:,} times, for at most {shown} from {pays}"]
    if bound > most:
        lines.append(
            f"  all of them could cost {world.currency.shown(bound)}: at the end of the budget it "
            "stops, and goes on when it is run again with more"
        )
    return told, lines + show_effects(world, effects)
