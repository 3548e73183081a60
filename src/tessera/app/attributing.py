"""Attribution of a declared game: trains on coalitions, remembers each score, writes what came out.

Trainings run in child processes of the publisher's own, one per `jobs`. Each score goes into a
journal as soon as it is there; a run that was interrupted takes them up again and ends with the
same bytes. Scores are remembered for the same program, parts and seed only.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import platform
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self, TextIO

from tessera.assets.attribution.declared import GAME_NAME, DeclaredGame, read_game
from tessera.assets.attribution.leaves import write_contributors
from tessera.assets.attribution.shapley import (
    Method,
    Outcome,
    Sampling,
    exact_shapley,
    leave_one_out,
    sampled_shapley,
)
from tessera.assets.attribution.weights import weights_of
from tessera.assets.bundle import validate
from tessera.assets.manifest import Contributor, Evidence
from tessera.errors import BackendFailed, Conflict, InputError
from tessera.storage.lock import FileLock
from tessera.units import BPS, Bps

__all__ = ["REPORT_NAME", "Attribution", "Settings", "attribute", "read_game", "write_attribution"]

REPORT_NAME: Final = "attribution.json"
_SHOWN: Final = 400
_LINE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How values are computed; what changes them, and nothing else.

    Attributes
    ----------
    method
        Sampled or exact Shapley values, or leave-one-out.
    permutations
        Orders to sample.
    sampling
        How these are drawn.
    seed
        Of the orders, and handed to every training.
    truncation
        An order ends once it is within this of the score of all parts; 0: never before its end.
    confidence
        Of the intervals.
    """

    method: Method = Method.SHAPLEY
    permutations: int = 240
    sampling: Sampling = Sampling.STRATIFIED
    seed: int = 7
    truncation: float = 0.0
    confidence: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """What came out.

    Attributes
    ----------
    outcome
        Values and intervals, in the order of the players.
    weights
        Of the players, 0 for whoever added nothing or less.
    coalitions
        Different coalitions that were scored.
    trained
        Trainings of this run; the rest was in the journal.
    """

    game: DeclaredGame
    settings: Settings
    outcome: Outcome
    weights: tuple[Bps, ...]
    coalitions: int
    trained: int

    def report(self) -> dict[str, Any]:
        """Return all of it as JSON values; the same run gives the same ones, whatever the hour."""
        outcome, settings = self.outcome, self.settings
        sampled = settings.method is Method.SHAPLEY
        return {
            "method": str(settings.method),
            "metric": self.game.metric,
            "seed": settings.seed,
            "sampling": str(settings.sampling) if sampled else None,
            "permutations": outcome.orders,
            "blocks": outcome.blocks,
            "truncation": settings.truncation if sampled else 0.0,
            "cut_short": outcome.cut_short,
            "confidence": settings.confidence if sampled else None,
            "interval": (
                f"Student's t over {outcome.blocks} independent blocks, two-sided, per player"
                if sampled
                else "none: nothing was sampled"
            ),
            "coalitions": self.coalitions,
            "everybody": outcome.everybody,
            "nobody": outcome.nobody,
            "sum": outcome.everybody - outcome.nobody - outcome.gap,
            "gap": outcome.gap,
            "gap_allowed": None if settings.method is Method.LEAVE_ONE_OUT else outcome.error,
            "rounding": "negative values count as 0; largest remainder",
            "weight": self.game.weight,
            "program_sha256": _file_hash(self.game.folder / self.game.program),
            "python": platform.python_version(),
            "players": [
                {
                    "name": player.name,
                    "account": player.account,
                    "role": player.role.name.lower(),
                    "part": player.part,
                    "value": value.value,
                    "low": value.low,
                    "high": value.high,
                    "weight": weight,
                }
                for player, value, weight in zip(
                    self.game.players, outcome.values, self.weights, strict=True
                )
            ],
        }


async def attribute(
    game: DeclaredGame,
    settings: Settings,
    *,
    journals: Path,
    resume: bool = False,
    jobs: int = 1,
    told: Callable[[int, int], None] | None = None,
) -> Attribution:
    """Compute what each player of a game is worth.

    Parameters
    ----------
    game
        As declared.
    settings
        How.
    journals
        Folder for the scores of runs under way.
    resume
        Go on with the scores of an earlier run instead of forgetting them.
    jobs
        Trainings at the same time; changes nothing but how long it takes.
    told
        Hears how much of how much is done.

    Raises
    ------
    BackendFailed
        The program fails, takes too long or returns no number.
    Conflict
        It is not deterministic: the same parts and seed gave two scores.
    Busy
        Another run of the same game goes on.
    """
    if jobs < 1:
        raise InputError("jobs", found=jobs, wanted="1 or more")
    name = _fingerprint(game, settings.seed)
    count = len(game.players)
    lock = FileLock(
        journals / f"{name}.lock", f"attribution of {game.folder.name}", next_step="let it end"
    )
    try:
        with _Journal.open(journals / f"{name}.jsonl", keep=resume) as journal:
            async with (
                _Trainers.start(game, settings.seed, jobs) as trainers,
                contextlib.AsyncExitStack() as stack,
            ):
                worth = _Scores(trainers, journal)
                stack.push_async_callback(worth.close)
                await worth.check_repeatable((1 << count) - 1)
                match settings.method:
                    case Method.LEAVE_ONE_OUT:
                        outcome = await leave_one_out(count, worth, told=told)
                    case Method.EXACT:
                        outcome = await exact_shapley(count, worth, told=told)
                    case Method.SHAPLEY:
                        outcome = await sampled_shapley(
                            count,
                            worth,
                            orders=settings.permutations,
                            seed=settings.seed,
                            sampling=settings.sampling,
                            tolerance=settings.truncation,
                            confidence=settings.confidence,
                            at_once=jobs,
                            told=told,
                        )
    finally:
        lock.release()
    weights = weights_of([value.value for value in outcome.values], game.weight)
    return Attribution(
        game=game,
        settings=settings,
        outcome=outcome,
        weights=weights,
        coalitions=len(worth.used),
        trained=trainers.trained,
    )


def write_attribution(
    done: Attribution, *, decimals: int, accounts: Mapping[str, str] | None = None
) -> None:
    """Write the report into the bundle, and the contributors into its manifest.

    Whoever is only named gets the account of that name where there is one: so each contributor
    can compute his leaf and its proof from the bundle alone.

    Each player's evidence is the report: so his leaf on the chain stands for what was computed,
    how, and from what seed.

    Raises
    ------
    Conflict
        The manifest's other contributors do not leave the players what the game says they share,
        or cannot be kept.
    BundleInvalid
        The bundle is not valid.
    """
    folder, known = done.game.folder, accounts or {}
    manifest = validate(folder, decimals=decimals).manifest
    players = {(who, p.role) for p in done.game.players for who in _called(p.account, p.name)}
    others = [
        contributor
        for contributor in manifest.contributors
        if not any(
            (who, contributor.role) in players
            for who in _called(contributor.account, contributor.name)
        )
    ]
    if sum(other.weight for other in others) + done.game.weight != BPS:
        raise Conflict(
            f"{GAME_NAME}: game.weight",
            found=f"{done.game.weight}, beside {sum(o.weight for o in others)} of others",
            wanted=f"{BPS} together",
            next_step="change it, or the weights of those in tessera.toml who are no players",
        )
    report = json.dumps(done.report(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    (folder / REPORT_NAME).write_text(report, encoding="utf-8")
    paid = [
        Contributor(
            player.role,
            weight,
            player.account or known.get(player.name or ""),
            player.name,
            Evidence(file=REPORT_NAME),
        )
        for player, weight in zip(done.game.players, done.weights, strict=True)
        if weight
    ]
    kept = [
        replace(other, evidence=Evidence(file=other.evidence.file))
        if other.evidence.file is not None
        else other
        for other in others
    ]
    write_contributors(folder, [*kept, *paid])


def _called(account: str | None, name: str | None) -> list[str]:
    return [who.lower() for who in (account, name) if who is not None]


class _Scores:
    """What coalitions are worth: each asked once, however many orders pass through it."""

    def __init__(self, trainers: _Trainers, journal: _Journal) -> None:
        self._trainers = trainers
        self._journal = journal
        self._asked: dict[int, asyncio.Future[float]] = {}

    @property
    def used(self) -> set[int]:
        """The coalitions that were asked for."""
        return set(self._asked)

    async def __call__(self, mask: int) -> float:
        known = self._journal.scores.get(mask)
        if known is not None and mask not in self._asked:
            self._asked[mask] = asyncio.get_running_loop().create_future()
            self._asked[mask].set_result(known)
        if mask not in self._asked:
            self._asked[mask] = asyncio.ensure_future(self._train(mask))
        return await asyncio.shield(self._asked[mask])

    async def close(self) -> None:
        """End what was asked for and is not wanted any more."""
        for asked in self._asked.values():
            asked.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)

    async def check_repeatable(self, mask: int) -> None:
        """Refuse a program that gives another score when it is asked again."""
        first, again = await self(mask), await self._trainers.score(mask)
        if first != again:
            raise Conflict(
                f"program {self._trainers.game.program}",
                found=f"{first!r} and {again!r} from the same parts and seed",
                wanted="the same score each time",
                next_step="seed everything that it draws; one thread adds in one order",
            )

    async def _train(self, mask: int) -> float:
        score = await self._trainers.score(mask)
        self._journal.add(mask, score)
        return score


class _Journal:
    """Scores of coalitions, a line each; a last line that was cut off is forgotten."""

    def __init__(self, file: TextIO, scores: dict[int, float]) -> None:
        self._file = file
        self.scores = scores

    @classmethod
    def open(cls, path: Path, *, keep: bool) -> Self:
        scores: dict[int, float] = {}
        if keep and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    row = json.loads(line)
                    scores[int(row["coalition"], 16)] = float(row["score"])
        file = path.open("w", encoding="utf-8")
        journal = cls(file, {})
        for mask, score in scores.items():
            journal.add(mask, score)
        return journal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, mask: int, score: float) -> None:
        self.scores[mask] = score
        self._file.write(json.dumps({"coalition": hex(mask), "score": score}) + "\n")
        self._file.flush()


class _Trainers:
    """Child processes that train, each one coalition at a time."""

    def __init__(self, game: DeclaredGame, seed: int) -> None:
        self.game = game
        self.trained = 0
        self._seed = seed
        self._free: asyncio.Queue[asyncio.subprocess.Process] = asyncio.Queue()

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, game: DeclaredGame, seed: int, jobs: int) -> AsyncIterator[_Trainers]:
        made = cls(game, seed)
        processes: list[asyncio.subprocess.Process] = []
        try:
            while len(processes) < jobs:
                processes.append(await made._started())
            for process in processes:
                await made._heard(process)
                made._free.put_nowait(process)
            yield made
        finally:
            for process in processes:
                if process.returncode is None:
                    process.kill()
                await process.wait()

    async def score(self, mask: int) -> float:
        process = await self._free.get()
        try:
            assert process.stdin is not None
            asked = {"parts": self.game.parts(mask), "seed": self._seed}
            with contextlib.suppress(ConnectionError):
                # One that has died is heard of as it is read from.
                process.stdin.write(json.dumps(asked).encode() + b"\n")
                await process.stdin.drain()
            answer = await self._heard(process)
        finally:
            self._free.put_nowait(process)
        self.trained += 1
        return float(answer["score"])

    async def _started(self) -> asyncio.subprocess.Process:
        program = (self.game.folder / self.game.program).resolve()
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tessera.app.trainer", str(os.getpid()), str(program)),
            self.game.callable,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=self.game.folder,
            limit=_LINE,
            # Ctrl-C in a terminal reaches the whole group; we end it ourselves.
            start_new_session=True,
            # Scores must depend neither on what somebody has set nor on how many threads add.
            env={
                **os.environ,
                "PYTHONHASHSEED": "0",
                "PYTHONDONTWRITEBYTECODE": "1",
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
                "MKL_NUM_THREADS": "1",
            },
        )

    async def _heard(self, process: asyncio.subprocess.Process) -> dict[str, Any]:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(self.game.timeout_s):
                line = await process.stdout.readline()
        except TimeoutError as error:
            raise self._failed(f"no score within {self.game.timeout_s} s") from error
        if not line:
            raise self._failed("its process ended")
        answer: dict[str, Any] = json.loads(line)
        if "failure" in answer:
            raise self._failed(str(answer["failure"])[:_SHOWN])
        return answer

    def _failed(self, found: str) -> BackendFailed:
        return BackendFailed(
            f"program {self.game.program}",
            found=found,
            wanted=f"{self.game.callable}(parts, seed) to return a score",
            next_step="mend it and go on: --resume",
        )


def _fingerprint(game: DeclaredGame, seed: int) -> str:
    """Name everything that scores depend on as far as we know it."""
    parts = [[player.part, _file_hash(game.folder / player.part)] for player in game.players]
    known = {
        "seed": seed,
        "callable": game.callable,
        "program": _file_hash(game.folder / game.program),
        "parts": parts,
        "python": platform.python_version(),
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:32]


def _file_hash(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return None
