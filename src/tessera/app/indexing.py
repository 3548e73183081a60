"""Facts of a chain: where they are, how they are brought up to date, and how far they are."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
from sqlalchemy import func, select

from tessera.app.running import find_running
from tessera.config import Config, Origin
from tessera.errors import InputError, RpcUnavailable
from tessera.facts.addresses import address_bytes, address_text
from tessera.facts.facts import Facts
from tessera.facts.live import Live
from tessera.facts.observations import Moment
from tessera.indexer.book import Book, merged
from tessera.indexer.fetching import Fetcher
from tessera.indexer.following import Indexer, Outcome, Report
from tessera.indexer.looking import Viewer
from tessera.indexer.nodes import Limits, Nodes
from tessera.indexer.pieces import Selection
from tessera.storage import facts_schema as schema
from tessera.storage.facts_database import FactsDatabase, open_facts

__all__ = [
    "Indexing",
    "Status",
    "Stream",
    "Wanted",
    "facts_place",
    "live_facts",
    "open_indexing",
    "read_status",
]

_LARGEST_HOLDERS: Final = 200
_SAMPLED_BALANCES: Final = 24
_MOST_TOKENS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be observed, and of whom it is asked.

    Parameters
    ----------
    tokens, contracts
        Whose transfers, and whose logs, are read; with neither the whole chain is.
    first, last
        Blocks; where None, from the creation, and to the head.
    further
        URLs beside that of the settings.
    agree
        Whether two nodes must say the same.
    rate
        Requests a second that each node is asked at most; 0: as many as it answers.
    """

    tokens: Sequence[str] = ()
    contracts: Sequence[str] = ()
    first: int | None = None
    last: int | None = None
    further: Sequence[str] = ()
    agree: bool = False
    rate: float = 0.0

    @property
    def selection(self) -> Selection:
        """As the indexer takes it.

        Raises
        ------
        InputError
            Something is no address.
        """
        tokens = frozenset(address_text(address_bytes(each)) for each in self.tokens)
        contracts = frozenset(address_text(address_bytes(each)) for each in self.contracts)
        return Selection(tokens, contracts, whole=not tokens and not contracts)


@dataclass(frozen=True, slots=True)
class Stream:
    """How far one thing is observed: "chain", "token:0x.." or "contract:0x..".

    Attributes
    ----------
    ranges
        Blocks that were read, ascending and apart.
    """

    name: str
    ranges: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Status:
    """What facts there are.

    Attributes
    ----------
    head, head_time
        The last block that was read, and its time in unix seconds.
    known_at
        When something was last written.
    rows
        By table: blocks, transfers, calls, events, codes, slots, reads.
    reorgs, taken_back
        How often the chain took blocks back, and how many.
    """

    chain_id: int
    head: int
    head_time: int
    known_at: int
    streams: list[Stream]
    rows: dict[str, int]
    reorgs: int
    taken_back: int


def facts_place(config: Config, named: Path | None = None) -> Path | str:
    """Return where the facts of the configured chain are: a file, or a database's URL."""
    if named is not None:
        return named.expanduser()
    if config.facts_database:
        return config.facts_database
    return config.data_dir / "facts" / f"{_with_chain(config).chain_id}.sqlite"


@contextmanager
def live_facts(config: Config, named: Path | None = None) -> Iterator[Facts]:
    """Open the facts of the configured chain, as of their last block now.

    Raises
    ------
    NotFound, DataError
        There are none yet.
    """
    with open_facts(facts_place(config, named)) as database:
        source = Live(database)
        known_at = source.known_at
        head = source.head(Moment(2**62, known_at))
        yield Facts(source, Moment(head.block, known_at))


@asynccontextmanager
async def open_indexing(
    config: Config,
    wanted: Wanted,
    *,
    named: Path | None = None,
    report: Report = lambda _done, _total: None,
    clock: Callable[[], float] = time.time,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[Indexing]:
    """Open the facts for writing, and reach the nodes.

    Raises
    ------
    RpcUnavailable
        No URL is set and nothing runs here.
    InputError
        Something is no address.
    Busy
        Somebody else writes there.
    """
    chosen = wanted.selection
    config = _with_chain(config)
    running = find_running(config.data_dir)
    url = config.rpc_url or (running.rpc_url if running else "")
    if not url:
        raise RpcUnavailable(
            f"data folder {config.data_dir}",
            found="no running chain",
            wanted="one to observe",
            next_step="start one: tessera up; or name one: --rpc URL --chain-id NUMBER",
        )
    if wanted.agree and not wanted.further:
        raise InputError(
            "--agree", found="one node", wanted="two or more", next_step="name another: --also URL"
        )
    limits = Limits(requests_per_s=wanted.rate)
    urls = [url, *wanted.further]
    async with Nodes(urls, chain_id=config.chain_id, limits=limits, transport=transport) as nodes:
        place = facts_place(config, named)
        if isinstance(place, Path):
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open_facts(place, write=True) as database:
            book = Book(database, now=clock)
            fetcher = Fetcher(nodes, agree=wanted.agree)
            indexer = Indexer(
                fetcher,
                book,
                chosen,
                chain_id=config.chain_id,
                first=wanted.first,
                last=wanted.last,
                report=report,
            )
            yield Indexing(database, nodes, fetcher, book, indexer, chosen)


class Indexing:
    """An open indexer; made by `open_indexing`."""

    def __init__(
        self,
        database: FactsDatabase,
        nodes: Nodes,
        fetcher: Fetcher,
        book: Book,
        indexer: Indexer,
        chosen: Selection,
    ) -> None:
        self._database = database
        self._nodes = nodes
        self._fetcher = fetcher
        self._book = book
        self._indexer = indexer
        self._chosen = chosen

    async def catch_up(self) -> Outcome:
        """Read what is missing; see `Indexer.catch_up`."""
        return await self._indexer.catch_up()

    async def look(self, block: int, further: Sequence[str] = ()) -> int:
        """Look at tokens, at their largest holders and at further addresses, at a block.

        Code, proxies and what they lead to, supply and decimals, and some balances, by which a
        token that is not the sum of its transfers gives itself away.

        Returns
        -------
        int
            Addresses that were looked at.

        Raises
        ------
        HistoryMissing, RpcUnavailable, BadAnswer, ReorgDetected
            As for `Viewer.look`.
        """
        facts = Facts(Live(self._database), Moment(block))
        viewer = Viewer(self._nodes, self._fetcher, self._book, block)
        tokens = sorted(self._chosen.tokens) or list(facts.tokens()[:_MOST_TOKENS])
        further = [address_text(address_bytes(each)) for each in further]
        looked = 0
        for token in tokens:
            holders = _largest_holders(facts, token)
            looked += await viewer.look(
                [*further, *map(address_text, holders)],
                tokens=[token],
                holders=holders[:_SAMPLED_BALANCES],
            )
        if further and not tokens:
            looked += await viewer.look(further)
        return looked


def read_status(place: Path | str) -> Status:
    """Return what facts there are.

    Raises
    ------
    NotFound, DataError
        There are none.
    """
    with open_facts(place) as database:
        source = Live(database)

        def query(connection: Any) -> Status:
            chain = connection.execute(select(schema.chain)).one()
            ranges: dict[str, list[tuple[int, int]]] = {}
            for row in connection.execute(select(schema.ranges).where(schema.ranges.c.gone == 0)):
                ranges.setdefault(row.stream, []).append((row.first, row.last))
            rows = {
                table.name.removeprefix("facts_"): connection.execute(
                    select(func.count()).select_from(table).where(table.c.gone == 0)
                ).scalar_one()
                for table in schema.OBSERVED
            }
            taken = connection.execute(select(schema.reorgs.c.tip - schema.reorgs.c.fork)).scalars()
            depths = list(taken)
            return Status(
                source.chain_id,
                chain.head,
                chain.head_time,
                chain.known_at,
                [Stream(name, merged(found)) for name, found in sorted(ranges.items())],
                rows,
                len(depths),
                sum(depths),
            )

        return database.read(query)


def _with_chain(config: Config) -> Config:
    """Return the settings with the chain of a running supervisor, where none is named."""
    running = find_running(config.data_dir)
    if not config.rpc_url and running and config.origin("chain_id") is Origin.DEFAULT:
        return dataclasses.replace(config, chain_id=running.chain_id)
    return config


def _largest_holders(facts: Facts, token: str) -> list[bytes]:
    """Return the accounts with the largest balances by replay, the largest first."""
    transfers = facts.transfers(token)
    count = len(transfers.addresses)
    if not len(transfers):
        return []
    got = transfers.amount.totals_by(transfers.target, count)
    gave = transfers.amount.totals_by(transfers.source, count)
    balances = [(mine - theirs, n) for n, (mine, theirs) in enumerate(zip(got, gave, strict=True))]
    largest = sorted(balances[1:], key=lambda each: (-each[0], each[1]))[:_LARGEST_HOLDERS]
    ids = np.array([n for balance, n in largest if balance > 0], np.int64)
    return [transfers.addresses.table[n].tobytes() for n in ids]
