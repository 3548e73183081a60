"""Fixtures: a bare node with a contract that writes transfers, and facts of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from bench.emitter import EMITTER, emitted
from sqlalchemy import select
from tests.integration.chain_client.bare_node import CHAIN_ID, BareNode

from tessera.facts.facts import Facts
from tessera.facts.live import Live
from tessera.indexer.book import Book, merged
from tessera.indexer.fetching import Fetcher
from tessera.indexer.following import Indexer
from tessera.indexer.nodes import Limits, Nodes
from tessera.indexer.pieces import Selection
from tessera.storage.facts_database import open_facts
from tessera.storage.facts_schema import OBSERVED, ranges

TOKEN = "0x" + "77" * 20
OTHER = "0x" + "78" * 20
PAYER = "0x" + "aa" * 20


class Market:
    """A node on which transfers are made."""

    code = f"0x{EMITTER.hex()}"

    def __init__(self, node: BareNode) -> None:
        self.node = node
        self.url = node.url
        for token in (TOKEN, OTHER):
            node.rpc("anvil_setCode", token, self.code)
        node.fund(PAYER)
        node.rpc("anvil_impersonateAccount", PAYER)
        node.stop_mining()

    def transfers(self, *counts: int, token: str = TOKEN) -> None:
        """Make a block for each count, with so many transfers; none for 0."""
        for count in counts:
            if count:
                self.node.rpc(
                    "eth_sendTransaction",
                    {"from": PAYER, "to": token, "data": emitted(count), "gas": hex(2_000_000)},
                )
            self.node.rpc("evm_mine")

    def head(self) -> int:
        return int(self.node.rpc("eth_blockNumber"), 16)


Meddle = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
"""Given one request and the real answer, returns the answer that is given."""


class Meddler(httpx.AsyncBaseTransport):
    """Stands before a real node under several names, and changes what it says.

    Parameters
    ----------
    url
        The real node.
    meddlers
        By host: what is done to each answer, or a whole HTTP response in place of any.
    """

    def __init__(self, url: str, **meddlers: Meddle | Callable[[list[Any]], httpx.Response | None]):
        self._url = url
        self._meddlers = meddlers
        self._real = httpx.AsyncHTTPTransport()
        self.asked: list[tuple[str, str]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = msgspec.json.decode(request.content)
        requests = body if isinstance(body, list) else [body]
        meddle = self._meddlers[request.url.host]
        self.asked += [(request.url.host, each["method"]) for each in requests]
        if (whole := getattr(meddle, "instead", lambda _: None)(requests)) is not None:
            return whole
        real = await self._real.handle_async_request(
            httpx.Request("POST", self._url, headers=request.headers, content=request.content)
        )
        found = msgspec.json.decode(await real.aread())
        await real.aclose()
        answers = found if isinstance(found, list) else [found]
        by_number = {each["id"]: each for each in answers}
        changed = [meddle(each, by_number[each["id"]]) for each in requests]
        content = msgspec.json.encode(changed if isinstance(body, list) else changed[0])
        return httpx.Response(200, content=content)

    async def aclose(self) -> None:
        await self._real.aclose()


def honest(_request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Change nothing."""
    return answer


def lagging(height: int) -> Meddle:
    """Know no block above a height, and answer for those with no logs, as balanced nodes do."""

    def meddle(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "eth_getBlockByNumber":
            asked = request["params"][0]
            block = answer.get("result")
            if asked == "latest" and block and int(block["number"], 16) > height:
                return {**answer, "result": {**block, "number": hex(height)}}
            if asked != "latest" and int(asked, 16) > height:
                return {**answer, "result": None}
        if request["method"] == "eth_getLogs":
            kept = [log for log in answer["result"] if int(log["blockNumber"], 16) <= height]
            return {**answer, "result": kept}
        return answer

    return meddle


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareNode]:
    node = BareNode.start(tmp_path_factory.mktemp("node"))
    yield node
    node.end()


@pytest.fixture
def market(shared_node: BareNode) -> Iterator[Market]:
    """The module's node, as it was before each test."""
    before = shared_node.rpc("evm_snapshot")
    yield Market(shared_node)
    assert shared_node.rpc("evm_revert", before)


Index = Callable[..., "Observed"]


class Observed:
    """Facts in a file of a test's own."""

    def __init__(self, path: Path, urls: list[str]) -> None:
        self.path = path
        self.urls = urls
        self.clock = itertools.count(1_800_000_000)

    async def catch_up(self, chosen: Selection, **options: object) -> object:
        agree = bool(options.pop("agree", False))
        limits = options.pop("limits", Limits(timeout_s=20))
        async with Nodes(
            options.pop("urls", self.urls),  # type: ignore[arg-type]
            chain_id=CHAIN_ID,
            limits=limits,  # type: ignore[arg-type]
            transport=options.pop("transport", None),  # type: ignore[arg-type]
        ) as nodes:
            with open_facts(self.path, write=True) as database:
                book = Book(database, now=lambda: next(self.clock))
                indexer = Indexer(
                    Fetcher(nodes, agree=agree),
                    book,
                    chosen,
                    chain_id=CHAIN_ID,
                    **options,  # type: ignore[arg-type]
                )
                return await indexer.catch_up()

    def contents(self, *names: str) -> dict[str, list[tuple[Any, ...]]]:
        """Return all that is there, but when it was known; heads only of blocks with facts."""
        tables = [t for t in OBSERVED if not names or t.name in names]
        with open_facts(self.path) as database:
            found = {}
            for table in tables:
                kept = [c for c in table.c if c.name not in ("known_at", "gone")]
                asked = select(*kept).where(table.c.gone == 0).order_by(*table.primary_key.columns)
                found[table.name] = [
                    tuple(row) for row in database.read(lambda c, a=asked: c.execute(a).fetchall())
                ]
            asked = select(ranges.c.stream, ranges.c.first, ranges.c.last).where(ranges.c.gone == 0)
            covered = database.read(lambda c: c.execute(asked).fetchall())
        if not any(row.stream == "chain" for row in covered):
            used = {row[1] for row in found.get("facts_transfers", [])}
            blocks = found.get("facts_blocks", [])
            found["facts_blocks"] = [row for row in blocks if row[0] in used]
        if not names:
            for stream in {row.stream for row in covered}:
                found[stream] = list(
                    merged((r.first, r.last) for r in covered if r.stream == stream)
                )
        return found

    def facts(self) -> Facts:
        return Facts(Live(open_facts(self.path)))


@pytest.fixture
def observed(tmp_path: Path, market: Market) -> Callable[[str], Observed]:
    return lambda name: Observed(tmp_path / f"{name}.sqlite", [market.url])
