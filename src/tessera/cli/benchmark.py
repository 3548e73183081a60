"""`tessera benchmark`: measure a model, verify what others measured, and hold claims against it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
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

__all__ = ["register"]

_SEED_BITS = 53
_HASH_DIGITS = 64

Code = Annotated[
    bool,
    typer.Option("--allow-python-runners", help="Run publishers' Python, in a child process."),
]


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

        known = {**await _of_chain(session), **find_benchmarks()}
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
        wish = _Wish(task, model, items, seed, validator, out, at_once)
        if own is None and not url:
            await _run_paid(session, config, wish, budget, keep, dry_run=dry_run, yes=yes)
        else:
            await _run_free(session, config, wish, url, own, key_env, dry_run=dry_run)

    @command(benchmark, "verify")
    async def verify(
        session: Session,
        report: Annotated[Path, typer.Argument(help="The report.")],
        *,
        benchmark: Annotated[
            str, typer.Option(help="Check draw, items, questions and scores against it.")
        ] = "",
        receipts: Annotated[
            Path | None, typer.Option(help="Check the kept calls against the report.")
        ] = None,
        own: Annotated[
            Path | None, typer.Option(help="Ask your copy of the bundle some items again.")
        ] = None,
        url: Annotated[str, typer.Option(help="Ask a server some items again.")] = "",
        model: Annotated[str, typer.Option(help="What that server calls the model.")] = "",
        sample: Annotated[int, typer.Option(help="Items to ask again.", min=1)] = 20,
        sample_seed: Annotated[int | None, typer.Option(help="Repeats a sample.")] = None,
        alpha: Annotated[
            float, typer.Option(help="Honest reports accused, as a part.", min=1e-6, max=0.5)
        ] = 0.001,
        key_env: Annotated[
            str, typer.Option(help="Environment variable with the key of --url.")
        ] = "",
        allow_python_runners: Code = False,
    ) -> None:
        """Check a report: its hashes, its benchmark, its receipts, and a sample asked again.

        Exit code 6 where it contradicts itself, its benchmark or its receipts; 7 where the model
        answers otherwise.
        """
        from tessera.errors import InputError
        from tessera.validation.report import check_report, read_report

        config = session.config(allow_python_runners=allow_python_runners or None)
        found = await asyncio.to_thread(read_report, report)
        check_report(found)
        told: dict[str, Any] = {"root": found["root"], "hashes": True}
        lines = [f"hashes     right; root {found['root']}"]
        if not benchmark:
            if receipts or own or url:
                raise InputError(
                    "--benchmark", found="nothing", wanted="the benchmark, to ask or compare again"
                )
            session.say(told, *lines, *_score_lines(found))
            return
        task, known = await _checked_task(session, config, benchmark, found)
        told["benchmark"] = True
        lines.append(f"benchmark  {task.name}: draw, items, questions and scores are right")
        if receipts is not None:
            told["receipts"] = await _check_receipts(session, found, task, receipts)
            lines.append(f"receipts   {told['receipts']} calls are signed as reported")
        if own is not None or url:
            numbers = secrets.randbits(_SEED_BITS) if sample_seed is None else sample_seed
            async with _endpoint(config, url, own, model or known, key_env) as opened:
                more, said = await _asked_again(
                    session, found, task, opened, sample, numbers, alpha, told
                )
            told |= more
            lines += said
        session.say(told, *lines, *_score_lines(found))

    @command(benchmark, "claim")
    async def claim(
        session: Session,
        report: Annotated[Path, typer.Argument(help="The report.")],
        *,
        claimed: Annotated[float, typer.Option(help="The score that is claimed, such as 0.92.")],
        confidence: Annotated[float, typer.Option(help="Of the interval.")] = 0.95,
    ) -> None:
        """Say whether a claimed score is verified, contradicted or unverifiable.

        Exit code 6 where it is contradicted.
        """
        from tessera.validation.claims import Standing, judge_claim
        from tessera.validation.refusals import ClaimContradicted
        from tessera.validation.report import check_report, read_report

        found = await asyncio.to_thread(read_report, report)
        check_report(found)
        core = found["core"]
        judged = judge_claim(
            claimed,
            core["score"],
            core["scored"],
            proportion=core["proportion"],
            confidence=confidence,
        )
        data = {**judged.as_json(), "metric": core["metric"], "root": found["root"]}
        if judged.standing is Standing.CONTRADICTED:
            raise ClaimContradicted(
                f"claim of {claimed:g} {core['metric']}: contradicted at {confidence:.0%}; "
                f"{judged.why}",
                **data,
            )
        session.say(data, f"{judged.standing}: {judged.why} ({confidence:.0%} confidence)")

    @command(benchmark, "compare")
    async def compare(
        session: Session,
        known: Annotated[Path, typer.Argument(help="Report asked for by a validator's key.")],
        unknown: Annotated[Path, typer.Argument(help="Report asked for by a key nobody knows.")],
        *,
        repeats: Annotated[
            bool, typer.Option("--repeats", help="It repeats itself: outputs must be equal, too.")
        ] = False,
        alpha: Annotated[
            float, typer.Option(help="Honest endpoints accused, as a part.", min=1e-6, max=0.5)
        ] = 0.001,
    ) -> None:
        """Say whether a model answers better for validators than for anybody else.

        Exit code 7 where it does.
        """
        from tessera.errors import ModelDiffers
        from tessera.validation.favour import compare_reports
        from tessera.validation.report import check_report, read_report

        both = [await asyncio.to_thread(read_report, file) for file in (known, unknown)]
        for report in both:
            check_report(report)
        found = compare_reports(*both, alpha=alpha, repeats=repeats)
        scores = f"{found.known:.4f} for the known key, {found.unknown:.4f} for the other"
        if found.accused:
            name = both[0]["core"]["model"]["name"]
            raise ModelDiffers(
                f"{name}: answers better for validators: {scores} (p = {found.p_value:.2g})",
                **found.as_json(),
            )
        would = (
            "" if found.found_from is None
            else f"; a lead of {found.found_from:.2f} would have been found 95 times of 100"
        )  # fmt: skip
        session.say(
            found.as_json(),
            f"scores     {scores}, on {found.items[0]} and {found.items[1]} items",
            f"p-value    {found.p_value:.3g} ({found.method}); accused from {alpha:g} down",
            f"verdict    nothing that an honest endpoint would not show{would}",
        )

    @command(benchmark, "weights")
    async def weights(
        session: Session,
        reports: Annotated[
            list[str], typer.Argument(metavar="UID=REPORT...", help="One report per model.")
        ],
    ) -> None:
        """Make the row of weights that a validator commits, from its reports."""
        from tessera.errors import InputError
        from tessera.validation.report import check_report, read_report
        from tessera.validation.weights import row_of_reports

        found: dict[int, dict[str, Any]] = {}
        for given in reports:
            uid, _, file = given.partition("=")
            if not (uid.isascii() and uid.isdigit() and file) or int(uid) in found:
                raise InputError("reports", found=given, wanted="UID=REPORT, each uid once")
            found[int(uid)] = await asyncio.to_thread(read_report, Path(file))
            check_report(found[int(uid)])
        row = row_of_reports(found)
        scores = {uid: report["core"]["score"] for uid, report in found.items()}
        session.say(
            {"row": [[uid, weight] for uid, weight in row]},
            *(
                f"{uid:>5}  {weight:>5}  "
                + ("unsupported" if scores[uid] is None else f"scored {scores[uid]:.4f}")
                for uid, weight in row
            ),
        )


class _Wish(NamedTuple):
    """What is to be run."""

    benchmark: str
    model: str
    items: int | None
    seed: str
    validator: str
    out: Path
    at_once: int

    @property
    def journal(self) -> Path:
        """Where the run is written down until its report is."""
        return self.out.with_name(self.out.name + ".run")


async def _run_free(
    session: Session,
    config: Config,
    wish: _Wish,
    url: str,
    own: Path | None,
    key_env: str,
    *,
    dry_run: bool,
) -> None:
    """Run on one's own copy or on another's server: nothing is paid from here."""
    from tessera.app.benchmarking import folder_of, open_task

    folder = folder_of(wish.benchmark, await _of_chain(session, wish.benchmark))
    task = await asyncio.to_thread(open_task, folder, config)
    async with _endpoint(config, url, own, wish.model, key_env) as (endpoint, model):
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


async def _run_paid(
    session: Session,
    config: Config,
    wish: _Wish,
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
    wish: _Wish,
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
    wish: _Wish,
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
    lines = _score_lines(report)
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


def _score_lines(report: dict[str, Any]) -> list[str]:
    from tessera.validation.claims import wilson

    core = report["core"]
    name = core["model"]["name"]
    version = core["model"]["version"]
    shown = f"{name}@{version}" if version is not None else name
    lines = [f"model      {shown}, on {core['task_name']}"]
    if core["score"] is None:
        return [*lines, "score      unsupported: this endpoint cannot be asked so"]
    between = ""
    if core["proportion"] and core["scored"]:
        found = wilson(core["score"], core["scored"])
        between = f", {found.low:.4f} to {found.high:.4f} at {found.confidence:.0%}"
    items = counted(core["scored"], "item")
    return [*lines, f"score      {core['score']:.4f} {core['metric']} on {items}{between}"]


# --- What is asked --------------------------------------------------------------------------


async def _of_chain(session: Session, wanted: str = "") -> dict[str, Path]:
    """Return the benchmarks of the store where a chain runs; without one there are none.

    A folder that is `wanted` needs no chain.
    """
    from tessera.app import connect
    from tessera.app.benchmarking import benchmarks_of_chain
    from tessera.errors import ChainError, NotFound

    if await asyncio.to_thread(os.path.isdir, wanted):
        return {}
    try:
        async with connect(session.config()) as world:
            await world.directory.refresh()
            return await asyncio.to_thread(benchmarks_of_chain, world, wanted)
    except (ChainError, NotFound):
        return {}


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


def _draw(wish: _Wish, validator: bytes, model: bytes) -> Draw | None:
    from tessera.errors import InputError
    from tessera.validation.draw import Draw

    if wish.items is None:
        if wish.seed or wish.validator:
            raise InputError(
                "--items", found="nothing", wanted="how many to draw, where a draw is described"
            )
        return None
    if not wish.seed:
        raise InputError(
            "--seed", found="nothing", wanted="a seed that nobody chose, or any text of your own"
        )
    return Draw(_seed(wish.seed), validator, model, wish.items)


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


@asynccontextmanager
async def _endpoint(
    config: Config, url: str, own: Path | None, model: str, key_env: str
) -> AsyncIterator[tuple[Endpoint, Any]]:
    from tessera.app.benchmarking import open_own, open_server
    from tessera.errors import InputError
    from tessera.validation.report import ModelName

    if own is not None and url:
        raise InputError("--own and --url", found="both", wanted="one of them")
    if own is not None:
        async with open_own(own, config) as opened:
            yield opened
        return
    if not model:
        raise InputError("--model", found="nothing", wanted="what the server calls the model")
    key = os.environ.get(key_env, "") if key_env else ""
    if key_env and not key:
        raise InputError("--key-env", found=f"{key_env}, which is empty", wanted="one with a key")
    async with open_server(url, model, key) as endpoint:
        yield endpoint, ModelName(model)


# --- Verifying ------------------------------------------------------------------------------


async def _checked_task(
    session: Session, config: Config, name: str, report: dict[str, Any]
) -> tuple[Benchmark, str]:
    from tessera.app.benchmarking import folder_of, open_task
    from tessera.validation.report import check_against

    folder = folder_of(name, await _of_chain(session, name))
    task = await asyncio.to_thread(open_task, folder, config)
    await check_against(report, task)
    return task, str(report["core"]["model"]["name"])


async def _check_receipts(
    session: Session, report: dict[str, Any], task: Benchmark, folder: Path
) -> int:
    from tessera.client.evidence import kept
    from tessera.errors import NotFound
    from tessera.payments.onchain import channels_domain
    from tessera.serving.receipts import listed_signer
    from tessera.validation.evidence import check_calls

    async with session.world() as world:
        domain = channels_domain(world.deployment)
        await world.directory.refresh()

        def signer_of(signed: Any) -> Any:
            record = world.directory.get(signed.receipt.asset)
            if record is None:
                raise NotFound(
                    "receipt: asset", found=str(signed.receipt.asset), wanted="one of this chain"
                )
            return listed_signer(signed, domain, record)

        calls = await asyncio.to_thread(kept, folder, domain, signer_of)
        return check_calls(report, task, calls, domain)


async def _asked_again(
    session: Session,
    report: dict[str, Any],
    task: Benchmark,
    opened: tuple[Endpoint, Any],
    sample: int,
    seed: int,
    alpha: float,
    told: dict[str, Any],
) -> tuple[dict[str, Any], list[str]]:
    from tessera.errors import Conflict, ModelDiffers
    from tessera.validation.rerun import rerun, sample_of

    endpoint, model = opened
    wanted = report["core"]["model"]["content_root"]
    if model.content_root is not None and wanted not in {None, model.content_root}:
        raise Conflict(
            f"own copy of {model.name}",
            found=f"content root {model.content_root}",
            wanted=f"{wanted}, of which the report is",
        )
    numbers = sample_of(report, sample, seed)
    with session.progress("asking again", counted=True) as progress:
        verdict = await rerun(report, task, endpoint, numbers, alpha=alpha, progress=progress)
    again: dict[str, Any] = {
        **verdict.as_json(),
        "sample": len(numbers),
        "sample_seed": str(seed),
    }
    if verdict.accuses:
        raise ModelDiffers(
            f"report {report['root'][:18]}…: {verdict.said} (p = {verdict.p_value:.2g})",
            **told,
            **again,
        )
    lines = [f"again      {counted(len(numbers), 'item')}: {verdict.said}"]
    return {"again": again}, [*lines, f"strength   {verdict.strength}"]
