"""JSON-RPC over HTTP to one chain: bounded in time, retried where that is safe, never guessed.

All methods that we use may be repeated: reads change nothing, and a raw transaction that arrives
twice is one transaction.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec

from tessera.errors import ChainError, InputError, RpcUnavailable, WrongChain

__all__ = ["JsonRpc", "RpcRefused"]

_MOST_IN_BATCH: Final = 100
_CONNECTIONS: Final = 64
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0
# Too many requests; and what a proxy says whose node is away or late.
_TRY_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_LIMIT_EXCEEDED: Final = -32005
_UNAVAILABLE: Final = -32002

_decode = msgspec.json.decode
_encode = msgspec.json.encode

Sleep = Callable[[float], Awaitable[None]]


class RpcRefused(ChainError):
    """The node understood the request and answered with an error.

    Parameters
    ----------
    method
        What was asked.
    rpc_code
        JSON-RPC error code.
    said
        The node's message.
    data
        What it added; for a revert, the contract's answer.
    """

    def __init__(self, method: str, rpc_code: int, said: str, data: Any = None) -> None:
        super().__init__(f"{method}: {said}", method=method, rpc_code=rpc_code)
        self.method = method
        self.rpc_code = rpc_code
        self.said = said
        self.data = data


class JsonRpc:
    """A connection to the node of one chain.

    Parameters
    ----------
    url
        http or https.
    chain_id
        The chain that must answer. It is asked for before the first request, and again after the
        node was out of reach: another one may have come up in its place.
    timeout_s
        For one attempt.
    attempts
        How often a request is tried while the node does not answer.
    sleep
        Waits between attempts.
    transport
        How requests travel; HTTP where None.
    """

    def __init__(
        self,
        url: str,
        *,
        chain_id: int,
        timeout_s: float = 30.0,
        attempts: int = 4,
        sleep: Sleep = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        address = urlsplit(url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise InputError(
                "RPC URL", found=url, wanted="http://host:port", next_step="correct --rpc-url"
            )
        self.url = url
        self.chain_id = chain_id
        self._attempts = max(1, attempts)
        self._sleep = sleep
        self._numbers = itertools.count(1)
        self._chain_seen = False
        self._http = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, 5.0), pool=None),
            limits=httpx.Limits(
                max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS
            ),
            headers={"Content-Type": "application/json"},
            # A proxy of the environment must not come between us and a node on this machine.
            trust_env=_remote(url),
            # Reading all authorities' certificates takes longer than most commands; a plain
            # address shows none, and a context without authorities would believe none.
            verify=address.scheme == "https" or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def check_chain(self) -> None:
        """Ask the node for its chain id.

        Raises
        ------
        WrongChain
            It is not the one wanted.
        RpcUnavailable
            It does not answer.
        """
        await self._exchange(self._request("eth_chainId", ()), checking=True)

    async def call(self, method: str, *params: object) -> Any:
        """Ask one thing.

        Raises
        ------
        RpcRefused
            The node answered with an error.
        RpcUnavailable
            It did not answer, in all attempts.
        WrongChain
            It answers for another chain.
        """
        answer = await self._exchange(self._request(method, params))
        if not isinstance(answer, dict):
            raise self._nonsense(answer)
        return self._result(method, answer)

    async def batch(self, requests: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """Ask many things in few requests.

        Returns
        -------
        list
            For each request its result, or the RpcRefused that it got. Nodes may answer the parts
            in any order and at different blocks.

        Raises
        ------
        RpcUnavailable, WrongChain
            As for `call`; then nothing is known of any part.
        """
        results: list[Any] = []
        for start in range(0, len(requests), _MOST_IN_BATCH):
            part = requests[start : start + _MOST_IN_BATCH]
            bodies = [self._request(method, params) for method, params in part]
            answers = await self._exchange(bodies)
            if not isinstance(answers, list):
                if not isinstance(answers, dict) or "error" not in answers:
                    raise self._nonsense(answers)
                # Some nodes take no batches, or only short ones, and say so with one error.
                results += await asyncio.gather(*(self._answer(*request) for request in part))
                continue
            by_number = {answer.get("id"): answer for answer in answers if isinstance(answer, dict)}
            for (method, _), body in zip(part, bodies, strict=True):
                answer = by_number.get(body["id"])
                if answer is None:
                    raise self._nonsense(answers)
                try:
                    results.append(self._result(method, answer))
                except RpcRefused as refused:
                    results.append(refused)
        return results

    async def _answer(self, method: str, params: Sequence[object]) -> Any:
        try:
            return await self.call(method, *params)
        except RpcRefused as refused:
            return refused

    def _request(self, method: str, params: Sequence[object]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._numbers), "method": method, "params": params}

    async def _exchange(self, body: object, *, checking: bool = False) -> Any:
        pause_s = _FIRST_PAUSE_S
        trouble = ""
        for attempt in range(self._attempts):
            if attempt:
                self._chain_seen = False
                await self._sleep(pause_s)
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 3)
            try:
                if checking or not self._chain_seen:
                    await self._see_chain()
                if checking:
                    return None
                return await self._post(body)
            except _NoAnswerError as error:
                trouble = str(error)
        self._chain_seen = False
        raise RpcUnavailable(
            f"node {_shown(self.url)}",
            found=f"{trouble} ({self._attempts} attempts)",
            wanted="an answer",
            next_step="start it, or name another with --rpc-url",
            url=_shown(self.url),
        )

    async def _see_chain(self) -> None:
        answer = await self._post(self._request("eth_chainId", ()))
        if not isinstance(answer, dict):
            raise self._nonsense(answer)
        found = int(self._result("eth_chainId", answer), 16)
        if found != self.chain_id:
            raise WrongChain(
                f"chain id of {_shown(self.url)}",
                found=found,
                wanted=str(self.chain_id),
                next_step=f"use --chain-id {found} if that is the chain you mean, or another URL",
            )
        self._chain_seen = True

    async def _post(self, body: object) -> Any:
        try:
            response = await self._http.post(self.url, content=_encode(body))
        except httpx.TimeoutException as error:
            raise _NoAnswerError(f"no answer in time ({type(error).__name__})") from error
        except httpx.TransportError as error:
            raise _NoAnswerError(str(error) or type(error).__name__) from error
        if response.status_code in _TRY_AGAIN and not _is_error_object(response.content):
            raise _NoAnswerError(f"HTTP status {response.status_code}")
        try:
            answer = _decode(response.content)
        except msgspec.DecodeError as error:
            raise self._nonsense(f"HTTP status {response.status_code}, no JSON") from error
        code = answer.get("error", {}).get("code") if isinstance(answer, dict) else None
        if code in (_LIMIT_EXCEEDED, _UNAVAILABLE) and _asks_for_patience(answer["error"]):
            raise _NoAnswerError(str(answer["error"].get("message")))
        return answer

    def _result(self, method: str, answer: dict[str, Any]) -> Any:
        error = answer.get("error")
        if error is None:
            if "result" not in answer:
                raise self._nonsense(answer)
            return answer["result"]
        if not isinstance(error, dict):
            raise RpcRefused(method, 0, str(error))
        raise RpcRefused(
            method, int(error.get("code", 0)), str(error.get("message", "")), error.get("data")
        )

    def _nonsense(self, answer: object) -> ChainError:
        return ChainError(
            f"node {_shown(self.url)}",
            found=str(answer)[:200],
            wanted="a JSON-RPC answer",
            next_step="check that the URL is a chain's JSON-RPC endpoint",
        )


class _NoAnswerError(Exception):
    """An attempt that may be repeated."""


def _asks_for_patience(error: dict[str, Any]) -> bool:
    said = str(error.get("message", "")).lower()
    return error.get("code") == _UNAVAILABLE or "rate" in said or "too many requests" in said


def _is_error_object(content: bytes) -> bool:
    # Some nodes send a proper JSON-RPC error under HTTP status 500.
    try:
        answer = _decode(content)
    except msgspec.DecodeError:
        return False
    return isinstance(answer, dict) and isinstance(answer.get("error"), dict)


def _remote(url: str) -> bool:
    return urlsplit(url).hostname not in ("127.0.0.1", "::1", "localhost")


def _shown(url: str) -> str:
    # Hosted nodes carry a key in the path, the query or the user's part.
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"
