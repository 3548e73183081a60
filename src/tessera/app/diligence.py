"""From what somebody typed to a report: which token, which facts, which limits.

Facts come from files, or from a chain that is indexed first; who judges them sees neither (ADR
0083).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tessera.config import Config, Origin
from tessera.diligence.subject import Subject, read_about, token_address
from tessera.diligence.thresholds import Limit, adjusted, parse_bounds
from tessera.errors import InputError

if TYPE_CHECKING:
    from tessera.diligence.report import Report
    from tessera.facts import Facts

__all__ = ["Asked", "Progress", "analysis", "answered", "gathered", "limits_of"]

Progress = Callable[[int, int], None]

_ABOUT: Final = ".toml"
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
    config: Config, asked: Asked, *, progress: Progress
) -> AsyncIterator[tuple[Facts, Subject]]:
    """Find the token that is meant and what was observed of it.

    Parameters
    ----------
    progress
        Told how much is read, and of how much (0: nobody knows).

    Raises
    ------
    InputError
        Something that was named is not what it should be, or the extra `analysis` is missing.
    DataError
        The facts cannot be relied on.
    """
    if asked.facts is None:
        raise InputError(
            "facts", found="none", wanted="files to look into", next_step="name them: --facts PATH"
        )
    from tessera.facts.opening import open_facts

    subject = _subject_of(asked)
    facts = await asyncio.to_thread(
        open_facts,
        asked.facts,
        # The setting has a default, which says nothing of the chain that a file is about.
        chain_id=0 if config.origin("chain_id") is Origin.DEFAULT else config.chain_id,
        token=subject.token,
        progress=lambda rows: progress(rows, 0),
    )
    yield (facts if asked.as_of is None else facts.as_of(asked.as_of)), subject


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
    with analysis():
        from tessera.diligence.inquiry import inquire
        from tessera.diligence.view import View
    view = View(
        facts,
        subject,
        repository=asked.repository,
        prices=asked.prices,
        labels=asked.labels,
    )
    return await asyncio.to_thread(inquire, view, asked.limits, progress=progress)


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


def _subject_of(asked: Asked) -> Subject:
    """The token that is meant, with what its description says."""
    text = asked.token.strip()
    if text.endswith(_ABOUT):
        if asked.about is not None:
            raise InputError("description", found=f"{text} and --about", wanted="one of them")
        return read_about(Path(text).expanduser())
    if asked.about is None:
        return Subject(token=token_address(text))
    described = read_about(asked.about)
    if token_address(text) != described.token:
        raise InputError(
            str(asked.about),
            found=described.token,
            wanted=f'token = "{text.lower()}", which is asked about',
        )
    return described
