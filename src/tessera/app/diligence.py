"""From what somebody typed to a report: which token, which facts, which limits.

Facts come from files, or from a chain that is indexed first; who judges them sees neither (ADR
0083).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tessera.app.indexing import Wanted, live_facts, open_indexing
from tessera.config import Config, Origin
from tessera.diligence.subject import Subject, read_about, token_address
from tessera.diligence.thresholds import Limit, adjusted, parse_bounds
from tessera.errors import Busy, InputError, NotFound, TesseraError
from tessera.facts import Facts, Kind
from tessera.facts.opening import open_facts
from tessera.indexer.nodes import HistoryMissing

if TYPE_CHECKING:
    from tessera.diligence.report import Report

__all__ = ["Announce", "Asked", "Progress", "analysis", "answered", "gathered", "limits_of"]

Announce = Callable[[str], None]
Progress = Callable[[int, int], None]

_DESCRIPTION: Final = ".toml"
_DATABASE: Final = ".sqlite"
_MOST_DIGITS: Final = 78
_EXTRA: Final = frozenset({"eth", "evmole", "jinja2", "llvmlite", "numba", "polars", "scipy"})
"""What the extra `analysis` brings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question.

    Attributes
    ----------
    token
        An address, an asset of our own by slug or number, or a file that describes the token.
    facts
        A folder or a file of facts; None: the chain is asked.
    about
        A file that describes the token.
    repository
        A folder with a git history, or a URL of one; None: what the description names.
    prices, labels
        Files that go before what comes with the program.
    as_of
        The last block that counts; None: the newest.
    limits
        What counts as bad.
    """

    token: str
    facts: Path | None = None
    about: Path | None = None
    repository: str | None = None
    prices: Path | None = None
    labels: Path | None = None
    as_of: int | None = None
    limits: tuple[Limit, ...] = field(default_factory=lambda: adjusted({}))


def limits_of(config: Config, given: Iterable[str] = ()) -> tuple[Limit, ...]:
    """The limits as they are set: a flag wins over the setting, that over the field's.

    Raises
    ------
    InputError
        A text is no bound.
    NotFound
        There is no such limit.
    """
    return adjusted({**parse_bounds(config.limits), **parse_bounds(given)})


@asynccontextmanager
async def gathered(
    config: Config, asked: Asked, *, progress: Progress, announce: Announce = lambda _: None
) -> AsyncIterator[tuple[Facts, Subject]]:
    """Find the token that is meant and what was observed of it.

    Without files the chain is asked for what is not observed yet, and all of it is kept.

    Parameters
    ----------
    progress
        Told how much is read, and of how much (0: nobody knows).
    announce
        Told what could not be observed.

    Raises
    ------
    InputError
        Something that was named is not what it should be, or the extra `analysis` is missing.
    ChainError
        No node answers, or it is another chain's.
    DataError
        The facts cannot be relied on.
    """
    meant = _meant(asked)
    if asked.facts is None:
        await _observe(config, asked, meant, progress, announce)
        with live_facts(config) as facts:
            yield _as_of(facts, asked), _subject_in(facts, meant)
    elif asked.facts.suffix == _DATABASE:
        with live_facts(config, asked.facts) as facts:
            yield _as_of(facts, asked), _subject_in(facts, meant)
    else:
        facts = await asyncio.to_thread(
            open_facts,
            asked.facts,
            # The setting has a default, which says nothing of the chain that a file is about.
            chain_id=0 if config.origin("chain_id") is Origin.DEFAULT else config.chain_id,
            token=meant.token if isinstance(meant, Subject) else None,
            progress=lambda rows: progress(rows, 0),
        )
        yield _as_of(facts, asked), _subject_in(facts, meant)


async def answered(facts: Facts, subject: Subject, asked: Asked, *, progress: Progress) -> Report:
    """Ask all questions of facts, in threads.

    Parameters
    ----------
    progress
        Told how many parts are done, from another thread.

    Raises
    ------
    InputError
        The extra `analysis` is missing, or there is no such token.
    """
    _refuse_no_repository(asked.repository)
    # Reading millions of rows needs Python as little as loading what judges them needs the disk.
    read = asyncio.get_running_loop().run_in_executor(None, _read_ahead, facts, subject.token)
    with analysis():
        from tessera.diligence.inquiry import inquire
        from tessera.diligence.view import View
    await read
    view = View(
        facts,
        subject,
        repository=asked.repository,
        prices=asked.prices,
        labels=asked.labels,
    )
    return await asyncio.to_thread(inquire, view, asked.limits, progress=progress)


def _refuse_no_repository(where: str | None) -> None:
    """Refuse a folder that was named and is not there; a URL is tried."""
    if where is not None and ":" not in where and not Path(where).expanduser().exists():
        raise InputError("--repo", found=where, wanted="a folder that exists, or a URL")


def _read_ahead(facts: Facts, token: str) -> None:
    """Read a token's transfers, and hash them; who asks for them next is told what is wrong."""
    with contextlib.suppress(TesseraError):
        facts.transfers(token).digest()


@contextmanager
def analysis() -> Iterator[None]:
    """Say what is to be installed where the extra is missing.

    Raises
    ------
    InputError
        It is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise InputError(
            "diligence",
            found=f"no {error.name}",
            wanted="the extra `analysis`",
            next_step="pip install 'tessera-market[analysis]'",
        ) from error


def _as_of(facts: Facts, asked: Asked) -> Facts:
    return facts if asked.as_of is None else facts.as_of(asked.as_of)


def _meant(asked: Asked) -> Subject | str:
    """The token that is meant, with what its description says; or an asset's slug or number."""
    text = asked.token.strip()
    if text.endswith(_DESCRIPTION):
        if asked.about is not None:
            raise InputError("description", found=f"{text} and --about", wanted="one of them")
        return read_about(Path(text).expanduser())
    described = None if asked.about is None else read_about(asked.about)
    if text[:2].lower() != "0x":
        if described is not None:
            raise InputError(
                "--about", found="an asset of our own", wanted="another token's address"
            )
        return text
    if described is None:
        return Subject(token=token_address(text))
    if token_address(text) != described.token:
        raise InputError(
            str(asked.about),
            found=described.token,
            wanted=f'token = "{text.lower()}", which is asked about',
        )
    return described


def _subject_in(facts: Facts, meant: Subject | str) -> Subject:
    """What there is to say of a token; of a Share of ours, the chain says it."""
    with analysis():
        from tessera.diligence.own import asset_of_share, slugs_of, subject_of_asset
    if isinstance(meant, Subject):
        bare = meant == Subject(token=meant.token)
        asset = asset_of_share(facts, meant.token) if bare else None
        return meant if asset is None else subject_of_asset(facts, asset)
    if Kind.EVENTS not in facts.kinds:
        raise InputError(
            "token",
            found=meant,
            wanted="an address, 0x and 40 hexadecimal digits: these facts hold no assets of ours",
        )
    if meant.isdecimal() and len(meant) <= _MOST_DIGITS:
        return subject_of_asset(facts, int(meant))
    slugs = slugs_of(facts)
    if meant not in slugs:
        raise NotFound.among(
            "token",
            meant,
            slugs,
            next_step="name any other token by its address: 0x and 40 hexadecimal digits",
        )
    return subject_of_asset(facts, slugs[meant])


async def _observe(
    config: Config, asked: Asked, meant: Subject | str, progress: Progress, announce: Announce
) -> None:
    """Bring the facts of the chain up to date, as far as this question needs."""
    further: list[str] = []
    tokens: list[str] = []
    # An embedded chain is small, and what our own contracts did is spread over all of it.
    if isinstance(meant, Subject) and config.rpc_url:
        paid, people = meant.payments, meant.people
        tokens = [meant.token, *(each.address for each in paid.currencies)]
        further = [*paid.contracts, *paid.supply_side, *meant.holders.distributors]
        further += [*people.team, *people.treasury]
    wanted = Wanted(tokens=tokens, last=asked.as_of)
    try:
        async with open_indexing(config, wanted, report=progress) as indexing:
            outcome = await indexing.catch_up()
            block = outcome.head if asked.as_of is None else asked.as_of
            try:
                await indexing.look(block, further)
            except HistoryMissing as error:
                announce(f"code and balances stay unknown: {error.message}")
    except Busy as error:
        announce(f"what is observed already counts: {error.message}")
