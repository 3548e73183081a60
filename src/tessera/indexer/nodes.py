"""Several nodes of one chain: asked within their limits, bounded in time and bytes, tried in turn.

A node may be slow, rate-limited, behind, pruned or lying. Here it is bounded and replaced; what it
says is checked by whoever asked (`tessera.indexer.fetching`).
"""

from __future__ import annotations

import asyncio
import itertools
import re
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx
import msgspec

from tessera.chain.jsonrpc import RpcRefused
from tessera.errors import ChainError, InputError, RpcUnavailable, WrongChain
from tessera.indexer.wire import Answer, BadAnswer, decode_answers, number, reader_of

__all__ = [
    "Clock",
    "HistoryMissing",
    "Limits",
    "Node",
    "Nodes",
    "Request",
    "TooMuchAsked",
    "understood",
]

Sleep = Callable[[float], Awaitable[None]]
Clock = Callable[[], float]
Request = tuple[str, Sequence[object]]

_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 8.0
_LONGEST_ASKED_PAUSE_S: Final = 60.0
_OK: Final = 200
_TOO_LARGE: Final = 413
_TRY_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
_UNAVAILABLE: Final = -32002
_PATIENCE: Final = re.compile(
    r"rate.?limit|too many req|throttl|compute units|capacity|quota|try again|slow down",
    re.IGNORECASE,
)
_TOO_WIDE: Final = re.compile(r"range|results|response size|logs|blocks", re.IGNORECASE)
_PRUNED_CODE: Final = 4444
_PRUNED: Final = re.compile(
    r"missing trie node|pruned|historical? (state|data)|archive|state .*not available"
    r"|header not found|history .*(unavailable|expired)|distance to target block exceeds",
    re.IGNORECASE,
)
_NO_SUCH_METHOD: Final = -32601
_encode = msgspec.json.encode
_text = reader_of(str)


class HistoryMissing(ChainError):
    """The node keeps no history so far back: it is pruned, or no archive."""


class TooMuchAsked(ChainError):
    """The node will not answer so much at once; less may do."""

    retryable = True


class _NoAnswerError(Exception):
    """An attempt that may be repeated, later or on another node."""

    def __init__(self, trouble: str, *, after_s: float = 0.0) -> None:
        super().__init__(trouble)
        self.after_s = after_s


@dataclass(frozen=True, slots=True)
class Limits:
    """What one node is asked at most.

    Parameters
    ----------
    requests_per_s
        Of single requests, those within a batch counted each; 0: as many as it answers.
    at_once
        HTTP requests in flight.
    timeout_s
        For a whole answer, however slowly it drips.
    answer_bytes
        Longest answer that is read.
    attempts
        How often a request is tried, on all nodes together.
    batch
        Requests within one HTTP request.
    """

    requests_per_s: float = 0.0
    at_once: int = 6
    timeout_s: float = 60.0
    answer_bytes: int = 128 << 20
    attempts: int = 6
    batch: int = 100


class Node:
    """One URL."""

    def __init__(
        self,
        url: str,
        *,
        chain_id: int,
        limits: Limits,
        clock: Clock,
        sleep: Sleep,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        address = urlsplit(url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise InputError(
                "RPC URL", found=url, wanted="http://host:port", next_step="correct --rpc"
            )
        self.url = url
        port = f":{address.port}" if address.port else ""
        self.shown = f"{address.scheme}://{address.hostname}{port}"
        """Without what may be a key."""
        self.resting_until = 0.0
        self.busy = 0
        self.batches = True
        self.batch = limits.batch
        self._chain_id = chain_id
        self._chain_seen = False
        self._limits = limits
        self._clock = clock
        self._sleep = sleep
        self._free_at = 0.0
        self._at_once = asyncio.Semaphore(limits.at_once)
        self._numbers = itertools.count(1)
        local = address.hostname in ("127.0.0.1", "::1", "localhost")
        self._http = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(limits.timeout_s, connect=min(limits.timeout_s, 5.0), pool=None),
            limits=httpx.Limits(max_connections=limits.at_once),
            headers={"Content-Type": "application/json", "Accept-Encoding": "gzip"},
            # A proxy of the environment must not come between us and a node on this machine.
            trust_env=not local,
            verify=address.scheme == "https" or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(self, requests: Sequence[Request]) -> list[msgspec.Raw | RpcRefused]:
        """Ask in one HTTP request; answers in the order of the requests."""
        if not self._chain_seen:
            await self._see_chain()
        if not self.batches or len(requests) == 1:
            return [await self._single(request) for request in requests]
        bodies = [self._body(*request) for request in requests]
        answers = await self._post(bodies)
        if isinstance(answers, Answer):
            if answers.error is not None and self.batch > 1 and len(requests) > 1:
                # Short batches or none: found out by halving, and remembered.
                self.batch = len(requests) // 2
                self.batches = self.batch > 1
                middle = max(1, self.batch)
                return [*await self.ask(requests[:middle]), *await self.ask(requests[middle:])]
            raise BadAnswer(f"node {self.shown}", found="one answer", wanted="an answer to each")
        by_number = {answer.id: answer for answer in answers}
        found: list[msgspec.Raw | RpcRefused] = []
        for (method, _), body in zip(requests, bodies, strict=True):
            answer = by_number.get(body["id"])
            if answer is None:
                raise BadAnswer(
                    f"node {self.shown}",
                    found=f"no answer to {method}",
                    wanted="an answer to each request of a batch",
                    next_step="name another node with --rpc",
                )
            found.append(self._outcome(method, answer))
        return found

    async def _single(self, request: Request) -> msgspec.Raw | RpcRefused:
        answer = await self._post(self._body(*request))
        if isinstance(answer, list):
            raise BadAnswer(f"node {self.shown}", found="a list", wanted="one answer")
        return self._outcome(request[0], answer)

    def _body(self, method: str, params: Sequence[object]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._numbers), "method": method, "params": params}

    def _outcome(self, method: str, answer: Answer) -> msgspec.Raw | RpcRefused:
        error = answer.error
        if error is None:
            return answer.result
        patience = _PATIENCE.search(error.message) and not _TOO_WIDE.search(error.message)
        if patience or error.code == _UNAVAILABLE:
            raise _NoAnswerError(error.message)
        return RpcRefused(method, error.code, error.message, error.data)

    async def _see_chain(self) -> None:
        outcome = await self._single(("eth_chainId", ()))
        if isinstance(outcome, RpcRefused):
            raise outcome
        # Of 63 bits at most, as heights are: a longer one cannot even be shown.
        found = number(_text(outcome))
        if found != self._chain_id:
            raise WrongChain(
                f"chain id of {self.shown}",
                found=found,
                wanted=str(self._chain_id),
                next_step=f"use --chain-id {found} if that is the chain you mean, or another URL",
            )
        self._chain_seen = True

    async def _post(self, body: object) -> list[Answer] | Answer:
        await self._turn(len(body) if isinstance(body, list) else 1)
        async with self._at_once:
            self.busy += 1
            try:
                async with asyncio.timeout(self._limits.timeout_s):
                    return await self._exchange(_encode(body))
            except TimeoutError as error:
                self._chain_seen = False
                raise _NoAnswerError("no whole answer in time") from error
            except httpx.HTTPError as error:
                self._chain_seen = False
                raise _NoAnswerError(str(error) or type(error).__name__) from error
            finally:
                self.busy -= 1

    async def _exchange(self, content: bytes) -> list[Answer] | Answer:
        request = self._http.build_request("POST", self.url, content=content)
        response = await self._http.send(request, stream=True)
        try:
            whole = await self._whole(response)
        finally:
            await response.aclose()
        if response.status_code == _OK:
            return decode_answers(whole)
        if response.status_code == _TOO_LARGE:
            raise TooMuchAsked(f"node {self.shown}: HTTP status 413")
        try:
            # Some nodes send a proper JSON-RPC error under another HTTP status.
            answers = decode_answers(whole)
        except BadAnswer:
            answers = None
        if isinstance(answers, Answer) and answers.error is not None:
            return answers
        if response.status_code in _TRY_AGAIN:
            raise _NoAnswerError(
                f"HTTP status {response.status_code}", after_s=_asked_pause(response)
            )
        raise ChainError(
            f"node {self.shown}",
            found=f"HTTP status {response.status_code}",
            wanted="a JSON-RPC answer",
            next_step="check the URL, and the key in it",
        )

    async def _whole(self, response: httpx.Response) -> bytes:
        coding = response.headers.get("content-encoding", "identity")
        if coding not in ("identity", "gzip"):
            raise BadAnswer(f"node {self.shown}: coding", found=coding, wanted="gzip, and once")
        most = self._limits.answer_bytes
        # The client's own decoder would unpack all of a bomb before any of it is counted.
        unpacked = _unpacked(response, most) if coding == "gzip" else response.aiter_bytes()
        parts: list[bytes] = []
        size = 0
        async for part in unpacked:
            size += len(part)
            if size > most:
                raise TooMuchAsked(
                    f"node {self.shown}: answer", found=f"more than {most:,} bytes", wanted="less"
                )
            parts.append(part)
        return b"".join(parts)

    async def _turn(self, requests: int) -> None:
        """Wait until so many requests are within the node's rate."""
        if self._limits.requests_per_s <= 0:
            return
        now = self._clock()
        starts = max(now, self._free_at)
        self._free_at = starts + requests / self._limits.requests_per_s
        if starts > now:
            await self._sleep(starts - now)


class Nodes:
    """The nodes of one chain; use as an async context manager, or `close` it.

    Parameters
    ----------
    urls
        At least one. Where there are several, one that fails rests and another is asked.
    chain_id
        Each must answer for it.
    limits
        For each of them.
    clock, sleep
        Seconds that only ascend, and how to wait.
    transport
        How requests travel; HTTP where None.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        chain_id: int,
        limits: Limits | None = None,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if not urls:
            raise InputError("RPC URL", found="none", wanted="one or more", next_step="--rpc URL")
        self.limits = limits or Limits()
        self.chain_id = chain_id
        self._clock = clock
        self._sleep = sleep
        self.all = [
            Node(
                url,
                chain_id=chain_id,
                limits=self.limits,
                clock=clock,
                sleep=sleep,
                transport=transport,
            )
            for url in dict.fromkeys(urls)
        ]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        for node in self.all:
            await node.close()

    async def ask(
        self, requests: Sequence[Request], *, node: Node | None = None
    ) -> list[msgspec.Raw | RpcRefused]:
        """Ask in as few HTTP requests as the node takes.

        Parameters
        ----------
        node
            Only this one; any that is well where None, the same for all of a batch.

        Returns
        -------
        list
            For each request its result, not yet decoded, or the RpcRefused that it got.

        Raises
        ------
        RpcUnavailable
            No node answered, in all attempts.
        TooMuchAsked
            The answer is longer than what is read.
        BadAnswer, WrongChain, ChainError
            The node is none of this chain.
        """
        found: list[msgspec.Raw | RpcRefused] = []
        at = 0
        while at < len(requests):
            asked = node or self.well()
            part = requests[at : at + asked.batch]
            found += await self._tried(part, node)
            at += len(part)
        return found

    async def _tried(
        self, requests: Sequence[Request], node: Node | None
    ) -> list[msgspec.Raw | RpcRefused]:
        pause_s = _FIRST_PAUSE_S
        troubles: dict[str, str] = {}
        # Whoever asks one of several asks another one next.
        attempts = self.limits.attempts if node is None or len(self.all) == 1 else 2
        for attempt in range(attempts):
            asked = node or self.well()
            wait_s = asked.resting_until - self._clock()
            if wait_s > 0:
                await self._sleep(wait_s)
            try:
                return await asked.ask(requests)
            except _NoAnswerError as error:
                troubles[asked.shown] = str(error)
                rest_s = min(max(pause_s, error.after_s), _LONGEST_ASKED_PAUSE_S)
                asked.resting_until = self._clock() + rest_s
                if (attempt + 1) % len(self.all) == 0:
                    pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
            except BadAnswer as error:
                troubles[asked.shown] = str(error)
                asked.resting_until = self._clock() + pause_s
                if attempt + 1 == attempts or len(self.all) == 1:
                    raise
        raise RpcUnavailable(
            "node " + ", ".join(troubles),
            found=f"{'; '.join(troubles.values())} ({attempts} attempts)",
            wanted="an answer",
            next_step="start it, ask less of it with --rate, or name another with --rpc",
        )

    def well(self) -> Node:
        """Return the node to ask next: not resting, and with the least to do."""
        now = self._clock()
        return min(self.all, key=lambda node: (max(node.resting_until - now, 0.0), node.busy))

    def rest(self, node: Node) -> None:
        """Ask this one later than others, after what it said did not fit."""
        node.resting_until = max(node.resting_until, self._clock() + _FIRST_PAUSE_S)

    def others(self, node: Node) -> list[Node]:
        """Return the nodes beside one."""
        return [each for each in self.all if each is not node]


async def _unpacked(response: httpx.Response, most: int) -> AsyncIterator[bytes]:
    """Unpack gzip in parts, and never more than one byte beyond the most that is read."""
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    size = 0
    async for packed in response.aiter_raw():
        try:
            part = unpacker.decompress(packed, most - size + 1)
        except zlib.error as error:
            raise _NoAnswerError(f"damaged gzip: {error}") from error
        size += len(part)
        yield part
    if not unpacker.eof:
        raise _NoAnswerError("gzip that ends too early")


def understood(refused: RpcRefused, *, node: Node, span: int) -> ChainError:
    """Return what a refusal means: missing history, too much at once, or itself.

    Parameters
    ----------
    span
        Blocks that were asked for at once; for one nothing is too much but its results.
    """
    if refused.rpc_code == _PRUNED_CODE or _PRUNED.search(refused.said):
        return HistoryMissing(
            f"node {node.shown}",
            found=refused.said[:200],
            wanted="a node that keeps history so far back",
            next_step="name an archive node with --rpc, or begin later: --from BLOCK",
        )
    if refused.rpc_code == _NO_SUCH_METHOD:
        return refused
    if span > 1:
        # Each node words its limits in its own way; less is worth an attempt whatever it says.
        return TooMuchAsked(f"node {node.shown}: {refused.said[:200]}")
    return refused


def _asked_pause(response: httpx.Response) -> float:
    after = response.headers.get("retry-after", "")
    return float(after) if after.isascii() and after.isdigit() else 0.0
