"""Reading a chain: typed calls, events and blocks from any JSON-RPC URL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

import httpx

from tessera.bindings.calls import Call, Event, Topics
from tessera.chain.jsonrpc import JsonRpc, RpcRefused, Sleep
from tessera.chain.receipts import Block, EventLog, RawLog, TransactionReceipt
from tessera.chain.reverts import revert_of
from tessera.errors import NotFound

__all__ = ["At", "ChainReader"]

T = TypeVar("T")
E = TypeVar("E", bound=Event)

At = int | Literal["latest", "pending", "safe", "finalized", "earliest"]
"""A block: its number, or what the chain calls it."""

_FIRST_SPAN: Final = 2_000
_LONGEST_SPAN: Final = 100_000


class ChainReader:
    """Reads one chain. Use it as an async context manager, or `close` it.

    Parameters
    ----------
    url
        JSON-RPC over HTTP.
    chain_id
        The chain that must answer.
    timeout_s, attempts
        Bound of one attempt, and how often a request is tried before RpcUnavailable.
    sleep, transport
        How to wait, and how requests travel.

    Examples
    --------
    ::

        async with ChainReader("http://127.0.0.1:8545", chain_id=31337) as reader:
            held = await reader.read(Share(address).balanceOf(holder))
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
        self.rpc = JsonRpc(
            url,
            chain_id=chain_id,
            timeout_s=timeout_s,
            attempts=attempts,
            sleep=sleep,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self.rpc.close()

    @property
    def url(self) -> str:
        """Where the node is; may hold a key, so it is not for messages."""
        return self.rpc.url

    @property
    def chain_id(self) -> int:
        """The chain that is read."""
        return self.rpc.chain_id

    async def check_chain(self) -> None:
        """Make sure now that the right chain answers.

        Raises
        ------
        WrongChain, RpcUnavailable
            It does not.
        """
        await self.rpc.check_chain()

    async def read(self, call: Call[T], *, at: At = "latest", sender: str | None = None) -> T:
        """Make a call without a transaction and return what the contract returns.

        Parameters
        ----------
        call
            From a binding.
        at
            The block whose state is read. What depends on the time is read at "pending".
        sender
            On whose behalf; the zero address where None.

        Raises
        ------
        TransactionReverted
            The contract refuses; the subclass of its string.
        NotFound
            There is no code at the address.
        RpcUnavailable, WrongChain, RpcRefused
            The node.
        """
        try:
            answer = await self.rpc.call("eth_call", _call_object(call, sender), _tag(at))
        except RpcRefused as refused:
            raise _understood(refused, call) from refused
        return _decoded(call, answer)

    async def read_all(
        self, calls: Sequence[Call[T]], *, at: At = "latest", sender: str | None = None
    ) -> list[T]:
        """Make many calls in few requests.

        At a block number all of them see one state; at "latest" a block may come in between.

        Raises
        ------
        TransactionReverted, NotFound, RpcUnavailable, WrongChain, RpcRefused
            As for `read`, for the first call that fails.
        """
        requests = [("eth_call", (_call_object(call, sender), _tag(at))) for call in calls]
        found: list[T] = []
        for call, answer in zip(calls, await self.rpc.batch(requests), strict=True):
            if isinstance(answer, RpcRefused):
                raise _understood(answer, call) from answer
            found.append(_decoded(call, answer))
        return found

    async def block_number(self) -> int:
        """Return the height of the last block."""
        return int(await self.rpc.call("eth_blockNumber"), 16)

    async def block(self, at: At = "latest") -> Block:
        """Return the head of a block.

        Raises
        ------
        NotFound
            The chain has no such block (yet).
        """
        found = await self.rpc.call("eth_getBlockByNumber", _tag(at), False)
        if found is None:
            raise NotFound("block", found=at, wanted="one that exists")
        return Block.from_json(found)

    async def balance(self, address: str, *, at: At = "latest") -> int:
        """Return an account's wei: what pays for gas."""
        return int(await self.rpc.call("eth_getBalance", address, _tag(at)), 16)

    async def nonce(self, address: str, *, at: At = "latest") -> int:
        """Return how many transactions an account has made; at "pending", waiting ones included."""
        return int(await self.rpc.call("eth_getTransactionCount", address, _tag(at)), 16)

    async def code(self, address: str, *, at: At = "latest") -> bytes:
        """Return a contract's code; empty where there is none."""
        return bytes.fromhex((await self.rpc.call("eth_getCode", address, _tag(at)))[2:])

    async def receipt(self, tx_hash: str) -> TransactionReceipt | None:
        """Return what became of a transaction; None while it is in no block."""
        found = await self.rpc.call("eth_getTransactionReceipt", tx_hash)
        return None if found is None else TransactionReceipt.from_json(found)

    async def logs(
        self,
        kind: type[E],
        *,
        address: str | Sequence[str] | None = None,
        topics: Topics | None = None,
        first: int = 0,
        last: At = "latest",
    ) -> list[EventLog[E]]:
        """Return the events of one kind, in the chain's order.

        Parameters
        ----------
        kind
            From a binding.
        address
            Of the contract or contracts; any where None.
        topics
            From `kind.topics(...)`, to choose by indexed fields.
        first, last
            Blocks, both included.
        """
        found = self.raw_logs(
            (kind.TOPIC,) if topics is None else topics,
            address=address,
            first=first,
            last=last,
        )
        return [log.read_as(kind) async for log in found if kind.matches(log.topics)]

    async def raw_logs(
        self,
        topics: Topics = (),
        *,
        address: str | Sequence[str] | None = None,
        first: int = 0,
        last: At = "latest",
    ) -> AsyncIterator[RawLog]:
        """Yield logs in the chain's order.

        Nodes limit a request by blocks or by results and each says so in its own words; so a range
        that is refused is halved, and one that is answered is followed by a longer one.

        Raises
        ------
        RpcRefused
            Not even one block is answered.
        """
        end = last if isinstance(last, int) else (await self.block(last)).number
        span = _FIRST_SPAN
        start = first
        filters: dict[str, Any] = {
            "topics": [None if topic is None else f"0x{topic.hex()}" for topic in topics]
        }
        if address is not None:
            filters["address"] = address if isinstance(address, str) else list(address)
        while start <= end:
            stop = min(end, start + span - 1)
            request = {**filters, "fromBlock": hex(start), "toBlock": hex(stop)}
            try:
                found = await self.rpc.call("eth_getLogs", request)
            except RpcRefused:
                if stop == start:
                    raise
                span = max(1, (stop - start + 1) // 2)
                continue
            for log in found:
                if not log.get("removed"):
                    yield RawLog.from_json(log)
            start = stop + 1
            span = min(_LONGEST_SPAN, span * 2)


def _call_object(call: Call[Any], sender: str | None) -> dict[str, str]:
    made = {"to": call.to, "data": f"0x{call.data.hex()}"}
    if call.value:
        made["value"] = hex(call.value)
    if sender is not None:
        made["from"] = sender
    return made


def _understood(refused: RpcRefused, call: Call[Any]) -> Exception:
    return revert_of(refused, call.contract, function=call.function, address=call.to) or refused


def _decoded(call: Call[T], answer: str) -> T:
    data = bytes.fromhex(answer[2:])
    if not data and call.outputs:
        raise NotFound(
            f"contract {call.contract} at {call.to}",
            found="no code that answers",
            wanted=f"{call.contract} on this chain",
            next_step="check the address, the chain and the deployments file",
        )
    return call.decode(data)


def _tag(at: At) -> str:
    return hex(at) if isinstance(at, int) else at
