"""Code, storage slots and answers of contracts at a block: looked at on demand, kept as facts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from tessera.chain.jsonrpc import RpcRefused
from tessera.indexer.book import Book, Look
from tessera.indexer.fetching import Fetcher
from tessera.indexer.nodes import Node, Nodes, Request, understood
from tessera.indexer.pieces import Seen, moved
from tessera.indexer.wire import data_bytes, reader_of

__all__ = ["ERC20_CALLS", "PROXY_SLOTS", "Viewer", "balance_of"]

ERC20_CALLS: Final = {
    "totalSupply": bytes.fromhex("18160ddd"),
    "decimals": bytes.fromhex("313ce567"),
    "symbol": bytes.fromhex("95d89b41"),
    "name": bytes.fromhex("06fdde03"),
}
"""What is asked of every token."""

_IMPLEMENTATION: Final = 0x360894A13BA1A3210667C828492DB98DCA3E2076CC3735A920A3CA505D382BBC
_BEACON: Final = 0xA3F0AD74E5423AEBFD80D3EF4346578335A9A72AEAEE59FF6CB3582B35133D50
_ADMIN: Final = 0xB53127684A568B3173AE13B9F8A6016E243E63B6E8EE1178D6A717850B5D6103
_PROXIABLE: Final = 0xC5F16F0FCC639FA48A6947836D9850F504798523BF8C9A3A87D5876CF622BCF7
PROXY_SLOTS: Final = (_IMPLEMENTATION, _BEACON, _ADMIN, _PROXIABLE)
"""Where EIP-1967 and EIP-1822 keep what a proxy leads to, and who may change it."""

_BALANCE_OF: Final = bytes.fromhex("70a08231")
_BEACONS_IMPLEMENTATION: Final = bytes.fromhex("5c60da1b")
_OWNER: Final = bytes.fromhex("8da5cb5b")
_MOST_HOPS: Final = 4
_REVERTED: Final = 3
# How nodes say that the contract, and not they, failed.
_FAILED: Final = re.compile(r"revert|opcode|out ?of ?gas|stack|jump|execution", re.IGNORECASE)
_CLONE: Final = bytes.fromhex("363d3d373d3d3d363d73")

_text = reader_of(str)


def balance_of(holder: bytes) -> bytes:
    """Return the calldata that asks a token for somebody's balance."""
    return _BALANCE_OF + holder.rjust(32, b"\0")


class Viewer:
    """Looks at contracts at one block.

    Parameters
    ----------
    nodes, fetcher
        Whom to ask; all of one look is asked of one node.
    book
        Where it is written down.
    block
        An early one takes an archive node.
    """

    def __init__(self, nodes: Nodes, fetcher: Fetcher, book: Book, block: int) -> None:
        self._nodes = nodes
        self._fetcher = fetcher
        self._book = book
        self._block = block

    async def look(
        self,
        addresses: Iterable[str],
        *,
        tokens: Iterable[str] = (),
        holders: Sequence[bytes] = (),
    ) -> int:
        """Read code, and of contracts the slots of proxies and what these lead to.

        Parameters
        ----------
        addresses
            Contracts or accounts, lower case; of accounts it is learnt that they are none.
        tokens
            Of these what an ERC-20 says of itself, and the balances of some holders.
        holders
            Whose; 20 bytes each.

        Returns
        -------
        int
            How many addresses were looked at.

        Raises
        ------
        HistoryMissing
            The node keeps no state of that block.
        ReorgDetected
            The block is another one now.
        RpcUnavailable, BadAnswer
            The node.
        """
        node = self._nodes.well()
        (before,) = await self._fetcher.headers([self._block], node=node)
        look = Look(self._block, {}, {}, {})
        ahead = sorted({bytes.fromhex(each[2:]) for each in (*addresses, *tokens)})
        for _ in range(_MOST_HOPS):
            new = [each for each in ahead if each not in look.codes]
            if not new:
                break
            ahead = await self._hop(look, new, node)
        for token in sorted(tokens):
            await self._ask_token(look, bytes.fromhex(token[2:]), holders, node)
        (after,) = await self._fetcher.headers([self._block], node=node)
        if before is None or after is None or before.hash != after.hash:
            raise moved(self._block, node.shown)
        self._book.note(look, Seen.of(after))
        return len(look.codes)

    async def _hop(self, look: Look, addresses: list[bytes], node: Node) -> list[bytes]:
        """Read code and slots of some addresses; return what they lead to."""
        tag = hex(self._block)
        shown = [f"0x{each.hex()}" for each in addresses]
        codes = await self._asked([("eth_getCode", (each, tag)) for each in shown], node)
        look.codes.update(zip(addresses, codes, strict=True))
        proxies = [each for each in addresses if look.codes[each]]
        asked = [(each, slot.to_bytes(32)) for each in proxies for slot in PROXY_SLOTS]
        values = await self._asked(
            [
                ("eth_getStorageAt", (f"0x{each.hex()}", f"0x{slot.hex()}", tag))
                for each, slot in asked
            ],
            node,
        )
        ahead = []
        for (each, slot), value in zip(asked, values, strict=True):
            word = value.rjust(32, b"\0")
            look.slots[each, slot] = word
            if any(word):
                ahead.append(word[12:])
        for each in proxies:
            code = look.codes[each]
            if code.startswith(_CLONE):
                ahead.append(code[10:30])
        beacons = [
            look.slots[each, _BEACON.to_bytes(32)][12:]
            for each in proxies
            if any(look.slots[each, _BEACON.to_bytes(32)])
        ]
        calls = [(beacon, _BEACONS_IMPLEMENTATION) for beacon in beacons]
        calls += [(each, _OWNER) for each in proxies]
        for (who, what), (ok, answer) in (await self._called(calls, node)).items():
            look.reads[who, what] = (ok, answer)
            if what == _BEACONS_IMPLEMENTATION and ok and len(answer) == 32:
                ahead.append(answer[12:])
        return ahead

    async def _ask_token(
        self, look: Look, token: bytes, holders: Sequence[bytes], node: Node
    ) -> None:
        calls = [(token, call) for call in ERC20_CALLS.values()]
        calls += [(token, balance_of(holder)) for holder in holders]
        look.reads.update(await self._called(calls, node))

    async def _called(
        self, calls: Sequence[tuple[bytes, bytes]], node: Node
    ) -> dict[tuple[bytes, bytes], tuple[bool, bytes]]:
        requests: list[Request] = [
            (
                "eth_call",
                ({"to": f"0x{to.hex()}", "data": f"0x{data.hex()}"}, hex(self._block)),
            )
            for to, data in calls
        ]
        answers = await self._nodes.ask(requests, node=node) if requests else []
        found = {}
        for call, answer in zip(calls, answers, strict=True):
            if isinstance(answer, RpcRefused):
                if not _is_revert(answer):
                    raise understood(answer, node=node, span=1)
                found[call] = (False, _revert_data(answer))
            else:
                found[call] = (True, data_bytes(_text(answer)))
        return found

    async def _asked(self, requests: list[Request], node: Node) -> list[bytes]:
        found = []
        for answer in await self._nodes.ask(requests, node=node) if requests else []:
            if isinstance(answer, RpcRefused):
                raise understood(answer, node=node, span=1)
            found.append(data_bytes(_text(answer)))
        return found


def _is_revert(refused: RpcRefused) -> bool:
    return refused.rpc_code == _REVERTED or _FAILED.search(refused.said) is not None


def _revert_data(refused: RpcRefused) -> bytes:
    data = refused.data
    if not isinstance(data, str) or not data.startswith("0x"):
        return b""
    try:
        return bytes.fromhex(data[2:])
    except ValueError:
        return b""
