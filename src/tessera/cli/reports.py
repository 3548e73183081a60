"""`tessera benchmark verify`, `claim`, `compare` and `weights`: what follows from reports."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import counted
from tessera.cli.measuring import benchmarks_here, endpoint_of, round_id, score_lines
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.config import Config
    from tessera.validation.endpoints import Endpoint
    from tessera.validation.task import Benchmark

__all__ = ["Code", "register_reports", "reports_by_uid"]

_SEED_BITS = 53

Code = Annotated[
    bool,
    typer.Option("--allow-python-runners", help="Run publishers' Python, in a child process."),
]


def register_reports(benchmark: typer.Typer) -> None:
    """Add the commands to those about benchmarks."""

    @command(benchmark, "verify")
    async def verify(
        session: Session,
        report: Annotated[Path, typer.Argument(help="The report.")],
        *,
        benchmark: Annotated[
            str, typer.Option(help="Check draw, items, questions and scores against it.")
        ] = "",
        round_: Annotated[
            str, typer.Option("--round", help="Id of the round of approvals that it was for.")
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
            session.say(told, *lines, *score_lines(found))
            return
        task, known = await _checked_task(session, config, benchmark, found, round_)
        told["benchmark"] = True
        lines.append(f"benchmark  {task.name}: draw, items, questions and scores are right")
        if receipts is not None:
            told["receipts"] = await _check_receipts(session, found, task, receipts)
            lines.append(f"receipts   {told['receipts']} calls are signed as reported")
        if own is not None or url:
            numbers = secrets.randbits(_SEED_BITS) if sample_seed is None else sample_seed
            async with endpoint_of(config, url, own, model or known, key_env) as opened:
                more, said = await _asked_again(
                    session, found, task, opened, sample, numbers, alpha, told
                )
            told |= more
            lines += said
        session.say(told, *lines, *score_lines(found))

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

    @command(benchmark, "approval")
    async def approval(
        session: Session,
        report: Annotated[Path, typer.Argument(help="The report, of 200 items of the round.")],
        *,
        benchmark: Annotated[str, typer.Option(help="The benchmark: the round's public pool.")],
        round_: Annotated[str, typer.Option("--round", help="Id of the round.")],
        threshold: Annotated[float, typer.Option(help="Score that is required, such as 0.8.")],
        allow_python_runners: Code = False,
    ) -> None:
        """Say what a validator commits to in a round of approvals: approve or not, score, root."""
        from tessera.errors import InputError
        from tessera.validation.approving import MILLION, approval_of
        from tessera.validation.report import read_report

        if not 0 <= threshold <= 1:
            raise InputError("--threshold", found=threshold, wanted="0 to 1")
        config = session.config(allow_python_runners=allow_python_runners or None)
        found = await asyncio.to_thread(read_report, report)
        task, _ = await _checked_task(session, config, benchmark, found, round_)
        said = approval_of(found, task, threshold=round(threshold * MILLION))
        root = "0x" + said.root.hex()
        session.say(
            {
                "approve": said.approve,
                "score": str(said.score),
                "root": root,
                "pool": "0x" + task.items_root.hex(),
                "pool_items": len(task.items),
            },
            f"approve  {'yes' if said.approve else 'no'}; it takes {threshold + 0.02:.2f}",
            f"score    {said.score:,} millionths",
            f"root     {root}, of the outputs by place",
        )

    @command(benchmark, "weights")
    async def weights(
        session: Session,
        reports: Annotated[
            list[str], typer.Argument(metavar="UID=REPORT...", help="One report per model.")
        ],
    ) -> None:
        """Make the row of weights that a validator commits, from its reports."""
        from tessera.validation.weights import row_of_reports

        found = await reports_by_uid(reports)
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


async def reports_by_uid(given: list[str]) -> dict[int, dict[str, Any]]:
    """Read and check reports that are named as UID=REPORT.

    Raises
    ------
    InputError
        One is not named so, or a uid comes twice.
    """
    from tessera.errors import InputError
    from tessera.validation.report import check_report, read_report

    found: dict[int, dict[str, Any]] = {}
    for each in given:
        uid, _, file = each.partition("=")
        if not (uid.isascii() and uid.isdigit() and file) or int(uid) in found:
            raise InputError("reports", found=each, wanted="UID=REPORT, each uid once")
        found[int(uid)] = await asyncio.to_thread(read_report, Path(file))
        check_report(found[int(uid)])
    return found


async def _checked_task(
    session: Session, config: Config, name: str, report: dict[str, Any], round_: str
) -> tuple[Benchmark, str]:
    from tessera.app.benchmarking import folder_of, open_task
    from tessera.validation.report import check_against

    folder = folder_of(name, await benchmarks_here(session, name))
    task = await asyncio.to_thread(open_task, folder, config)
    await check_against(report, task, round_=round_id(round_) if round_ else None)
    return task, str(report["core"]["model"]["name"])


async def _check_receipts(
    session: Session, report: dict[str, Any], task: Benchmark, folder: Path
) -> int:
    from tessera.app.receipts import kept_calls
    from tessera.payments.onchain import channels_domain
    from tessera.validation.evidence import check_calls

    async with session.world() as world:
        calls = await kept_calls(world, folder)
        return check_calls(report, task, calls, channels_domain(world.deployment))


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
