"""Which contract of ours an address is: told from its code, so that nobody else can be one."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Final

from tessera.chain.jsonrpc import RpcRefused
from tessera.contracts import Artifact, artifact_names, load_artifact
from tessera.indexer.nodes import Node, Nodes
from tessera.indexer.wire import reader_of

__all__ = ["Kinds"]

# An ERC-1167 proxy, behind which our clones have their arguments.
_BEFORE: Final = bytes.fromhex("363d3d373d3d3d363d73")
_BEHIND: Final = bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
_AT: Final = len(_BEFORE)
_END: Final = _AT + 20

_text = reader_of(str)


class Kinds:
    """Names of contracts by address; a stranger's contract has the empty name.

    Parameters
    ----------
    nodes
        Whom to ask for code.
    """

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._known: dict[bytes, str] = {}

    def forget(self) -> None:
        """After a reorganization: another contract may be at an address now."""
        self._known.clear()

    async def names(self, addresses: Iterable[bytes], *, node: Node) -> Mapping[bytes, str]:
        """Return the name of each, by its code and that of what it delegates to.

        Raises
        ------
        RpcUnavailable, BadAnswer, RpcRefused
            The node.
        """
        wanted = sorted({*addresses} - self._known.keys())
        codes = await self._codes(wanted, node)
        behind = {each: _delegate(code) for each, code in codes.items()}
        further = {each for each in behind.values() if each is not None} - codes.keys()
        codes |= await self._codes(sorted(further), node)
        for each in wanted:
            code = codes[behind[each] or each]
            # While its chain is read, a contract may not be there yet for a node that lags.
            if code:
                self._known[each] = _name_of(code)
        return self._known

    async def _codes(self, addresses: list[bytes], node: Node) -> dict[bytes, bytes]:
        found = {}
        requests = [("eth_getCode", (f"0x{each.hex()}", "latest")) for each in addresses]
        for each, answer in zip(addresses, await self._nodes.ask(requests, node=node), strict=True):
            if isinstance(answer, RpcRefused):
                raise answer
            found[each] = bytes.fromhex(_text(answer)[2:])
        return found


def _delegate(code: bytes) -> bytes | None:
    if code.startswith(_BEFORE) and code[_END : _END + len(_BEHIND)] == _BEHIND:
        return code[_AT:_END]
    return None


@functools.lru_cache(maxsize=1024)
def _name_of(code: bytes) -> str:
    return next((artifact.name for artifact in _artifacts() if artifact.is_code(code)), "")


@functools.cache
def _artifacts() -> tuple[Artifact, ...]:
    return tuple(load_artifact(name) for name in artifact_names())
