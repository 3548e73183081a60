"""One stretch of a chain, as one node tells it: what is returned is whole, or it is refused.

Held against what a chain guarantees: blocks are linked by hashes; a log carries its block's hash;
a block's filter has every log, and where all logs of a block are read it must be exactly theirs. So
a node that reorders is put in order, one whose chain moves meanwhile is asked again, and one that
leaves out or makes up logs in a chain that is read whole is found out. Of single contracts' logs in
old blocks only a second node tells what a first one leaves out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from tessera.bindings.logs import event_topics
from tessera.chain.jsonrpc import RpcRefused
from tessera.errors import ChainError
from tessera.indexer.kinds import Kinds
from tessera.indexer.nodes import HistoryMissing, Node, Nodes, Request, TooMuchAsked, understood
from tessera.indexer.pieces import (
    Piece,
    Seen,
    Selection,
    check_block,
    moved,
    transfers_of,
    unasked,
)
from tessera.indexer.wire import (
    TRANSFER,
    BadAnswer,
    Block,
    Header,
    Log,
    PlacedLog,
    Receipt,
    address_bytes,
    call_row,
    data_bytes,
    event_row,
    hash_bytes,
    number,
    reader_of,
    transfer_rows,
)

__all__ = ["Fetcher", "NodesDisagree"]

_ADDRESSES_AT_ONCE: Final = 500
_NO_SUCH_METHOD: Final = -32601

_text = reader_of(str)
_logs_of = reader_of(list[Log])
_placed_logs_of = reader_of(list[PlacedLog])
_header_of = reader_of(Header | None)
_block_of = reader_of(Block | None)
_receipts_of = reader_of(list[Receipt] | None)
_receipt_of = reader_of(Receipt | None)

_Outcome = msgspec.Raw | RpcRefused


class NodesDisagree(ChainError):
    """Two nodes tell different facts of the same blocks: one of them lies or is broken."""


class Fetcher:
    """Reads pieces of a chain.

    Parameters
    ----------
    nodes
        Of the chain.
    agree
        Whether each piece is asked of two nodes, which must tell the same.
    """

    def __init__(self, nodes: Nodes, *, agree: bool = False) -> None:
        self._nodes = nodes
        self._kinds = Kinds(nodes)
        self._agree = agree
        self._block_receipts = True

    def forget(self) -> None:
        """After a reorganization: know nothing of contracts any more."""
        self._kinds.forget()

    async def head(self) -> Header:
        """Return the head of the last block.

        Raises
        ------
        RpcUnavailable, BadAnswer, RpcRefused
            The node.
        """
        (answer,) = await self._nodes.ask([("eth_getBlockByNumber", ("latest", False))])
        header: Header | None = _header_of(_result(answer))
        if header is None:
            raise BadAnswer("last block", found="none", wanted="one")
        return header

    async def headers(
        self, numbers: Sequence[int], *, node: Node | None = None
    ) -> list[Header | None]:
        """Return the heads of blocks; None for those that the node does not have.

        Raises
        ------
        RpcUnavailable, BadAnswer
            The node.
        """
        answers = await self._nodes.ask([_head_request(n) for n in numbers], node=node)
        found: list[Header | None] = []
        for wanted, answer in zip(numbers, answers, strict=True):
            # A refusal says "header not found" in each node's own words.
            header = None if isinstance(answer, RpcRefused) else _header_of(answer)
            if header is not None and number(header.number) != wanted:
                raise BadAnswer(f"block {wanted}", found=header.number, wanted="its head")
            found.append(header)
        return found

    async def has_code(self, address: str, block: int) -> bool:
        """Tell whether a contract was at an address at a block.

        Raises
        ------
        HistoryMissing
            The nodes keep no state so far back.
        RpcUnavailable, BadAnswer, RpcRefused
            As for the others.
        """
        node = self._nodes.well()
        (answer,) = await self._nodes.ask([("eth_getCode", (address, hex(block)))], node=node)
        return bool(data_bytes(_text(_given(answer, node))))

    async def piece(self, chosen: Selection, first: int, last: int, *, settled: bool) -> Piece:
        """Read some blocks from one node, and where nodes have to agree from a second one.

        Parameters
        ----------
        first, last
            Blocks, both included.
        settled
            Whether they are so deep that no reorganization reaches them while they are read;
            else the head of each is read and held against the logs.

        Raises
        ------
        TooMuchAsked
            Fewer blocks may be answered.
        HistoryMissing
            The nodes do not go back so far.
        BadAnswer
            What a node says does not fit together, or is of two forks.
        NodesDisagree
            Two say different things.
        RpcUnavailable, WrongChain
            None answers.
        """
        trouble: ChainError | None = None
        for _ in range(max(3, 2 * len(self._nodes.all))):
            node = self._nodes.well()
            try:
                found = await self._read(chosen, first, last, settled=settled, node=node)
                if self._agree:
                    await self._hold_against_another(chosen, found, settled=settled, node=node)
            except TooMuchAsked:
                raise
            except ChainError as error:
                if not (error.retryable or isinstance(error, HistoryMissing | NodesDisagree)):
                    raise
                trouble = error
                self._nodes.rest(node)
            else:
                return found
        assert trouble is not None
        raise trouble

    async def _hold_against_another(
        self, chosen: Selection, found: Piece, *, settled: bool, node: Node
    ) -> None:
        others = self._nodes.others(node)
        if not others:
            raise NodesDisagree(
                "nodes", found="one", wanted="two that must agree", next_step="--rpc URL --rpc URL"
            )
        same = await self._read(chosen, found.first, found.last, settled=settled, node=others[0])
        if found != same:
            raise NodesDisagree(
                f"blocks {found.first} to {found.last}",
                found=f"{found.rows} rows of {node.shown}, and {same.rows} or others of "
                f"{others[0].shown}",
                wanted="the same of both",
                next_step="find out which one lies, and name those that you trust with --rpc",
            )

    # --- What one node says ---------------------------------------------------------------------

    async def _read(
        self, chosen: Selection, first: int, last: int, *, settled: bool, node: Node
    ) -> Piece:
        if chosen.whole:
            return await self._whole(first, last, node)
        return await self._some(chosen, first, last, settled=settled, node=node)

    async def _some(
        self, chosen: Selection, first: int, last: int, *, settled: bool, node: Node
    ) -> Piece:
        """Read logs of some contracts, with heads of blocks around them in the same request.

        The heads come from before and after the logs: a node that lags or forgets has one of them
        not, where it would answer with no logs at all.
        """
        heads = [first] if settled else list(range(first, last + 1))
        transfers = _filters(chosen.tokens, first, last, [TRANSFER])
        others = _filters(chosen.contracts, first, last, [])
        asked: list[Request] = [_head_request(n) for n in heads]
        asked += [("eth_getLogs", (each,)) for each in (*transfers, *others)]
        answers = iter(await self._nodes.ask([*asked, _head_request(last)], node=node))
        before = [_there(_header_of(_given(next(answers), node)), n, node) for n in heads]
        span = last - first + 1
        logs = [log for _ in transfers for log in _logs_of(_given(next(answers), node, span))]
        kept = [log for _ in others for log in _placed_logs_of(_given(next(answers), node, span))]
        after = _there(_header_of(_given(next(answers), node)), last, node)
        _check_links(before, node)
        piece = Piece(first, last, hash_bytes(before[0].parent_hash))
        for header in (*before, after):
            piece.see(Seen.of(header), node.shown)
        await self._place(piece, [*logs, *kept], node)
        piece.transfers = transfers_of(logs, chosen.tokens, piece)
        piece.events = [event_row(log, "") for log in kept]
        if any(
            log.address.lower() not in chosen.contracts or not first <= row.block <= last
            for log, row in zip(kept, piece.events, strict=True)
        ):
            raise unasked(piece)
        piece.put_in_order(node.shown)
        if settled:
            piece.forget_empty()
        else:
            await self._look_for_hidden(chosen, before, {*logs_blocks(logs, kept)}, node)
        return piece

    async def _place(self, piece: Piece, logs: Sequence[Log], node: Node) -> None:
        """See the blocks of logs: by what these say of them, or by asking for their heads."""
        unseen: dict[str, Log] = {}
        for log in logs:
            if unseen.setdefault(log.block_number, log).block_hash != log.block_hash:
                raise moved(number(log.block_number), node.shown)
        lacking: dict[int, bytes] = {}
        for log in unseen.values():
            at, hashed = number(log.block_number), hash_bytes(log.block_hash)
            known = piece.blocks.get(at)
            if known is not None:
                piece.see(Seen(at, hashed, known.time), node.shown)
            elif log.block_timestamp is None:
                lacking[at] = hashed
            else:
                piece.see(Seen(at, hashed, number(log.block_timestamp)), node.shown)
        headers = await self.headers(list(lacking), node=node) if lacking else []
        for (at, hashed), header in zip(lacking.items(), headers, strict=True):
            seen = Seen.of(_there(header, at, node))
            if seen.hash != hashed:
                raise moved(at, node.shown)
            piece.see(seen, node.shown)

    async def _look_for_hidden(
        self, chosen: Selection, heads: Sequence[Header], told: Iterable[str], node: Node
    ) -> None:
        """Ask by hash for logs that a block's filter may have and the answer had not.

        A filter may say so by chance; then the node says once more that there are none.
        """
        addresses = sorted(chosen.tokens | chosen.contracts)
        doubted = [
            head for head in heads if head.number not in told and chosen.may_be_in(head.logs_bloom)
        ]
        if not doubted:
            return
        answers = await self._nodes.ask(
            [
                ("eth_getLogs", ({"blockHash": head.hash, "address": addresses},))
                for head in doubted
            ],
            node=node,
        )
        for head, answer in zip(doubted, answers, strict=True):
            logs = _logs_of(_given(answer, node))
            others = any(log.address.lower() in chosen.contracts for log in logs)
            if others or transfer_rows(logs):
                raise moved(number(head.number), node.shown)

    async def _whole(self, first: int, last: int, node: Node) -> Piece:
        """Read blocks with all that is in them, each held against its own filter."""
        numbers = range(first, last + 1)
        asked = [("eth_getBlockByNumber", (hex(n), True)) for n in numbers]
        blocks: list[Block] = [
            _there(_block_of(_given(answer, node)), n, node)
            for n, answer in zip(numbers, await self._nodes.ask(asked, node=node), strict=True)
        ]
        _check_links(blocks, node)
        piece = Piece(first, last, hash_bytes(blocks[0].parent_hash))
        logs: list[PlacedLog] = []
        receipts = await self._receipts(blocks, node)
        for at, block in zip(numbers, blocks, strict=True):
            check_block(block, receipts[block.hash], node.shown)
            piece.see(Seen.of(block), node.shown)
            for place, (made, receipt) in enumerate(
                zip(block.transactions, receipts[block.hash], strict=True)
            ):
                piece.calls.append(call_row(at, place, made, receipt))
                logs += receipt.logs
        piece.transfers = transfer_rows(logs)
        topics = event_topics()
        ours = [log for log in logs if log.topics and hash_bytes(log.topics[0]) in topics]
        kinds = await self._kinds.names({address_bytes(log.address) for log in ours}, node=node)
        piece.events = [
            event_row(log, kind)
            for log in ours
            if (kind := kinds.get(address_bytes(log.address), ""))
        ]
        piece.put_in_order(node.shown)
        return piece

    async def _receipts(self, blocks: Sequence[Block], node: Node) -> Mapping[str, list[Receipt]]:
        found: dict[str, list[Receipt]] = {block.hash: [] for block in blocks}
        full = [block for block in blocks if block.transactions]
        if self._block_receipts and full:
            asked = [("eth_getBlockReceipts", (block.number,)) for block in full]
            answers = await self._nodes.ask(asked, node=node)
            self._block_receipts = not any(
                isinstance(answer, RpcRefused) and answer.rpc_code == _NO_SUCH_METHOD
                for answer in answers
            )
            if self._block_receipts:
                for block, answer in zip(full, answers, strict=True):
                    receipts = _receipts_of(_given(answer, node))
                    found[block.hash] = _there(receipts, number(block.number), node)
                return found
        made = [(block, each.hash) for block in full for each in block.transactions]
        asked = [("eth_getTransactionReceipt", (hashed,)) for _, hashed in made]
        answers = await self._nodes.ask(asked, node=node)
        for (block, _), answer in zip(made, answers, strict=True):
            receipt = _receipt_of(_given(answer, node))
            found[block.hash].append(_there(receipt, number(block.number), node))
        return found


def logs_blocks(*logs: Iterable[Log]) -> Iterable[str]:
    """Return the numbers of the blocks of logs, as the node writes them."""
    return (log.block_number for log in itertools.chain(*logs))


def _head_request(block: int) -> Request:
    return "eth_getBlockByNumber", (hex(block), False)


def _filters(
    addresses: Iterable[str], first: int, last: int, topics: list[str]
) -> list[dict[str, Any]]:
    ordered = sorted(addresses)
    return [
        {
            "address": ordered[at : at + _ADDRESSES_AT_ONCE],
            "topics": topics,
            "fromBlock": hex(first),
            "toBlock": hex(last),
        }
        for at in range(0, len(ordered), _ADDRESSES_AT_ONCE)
    ]


def _result(outcome: _Outcome) -> msgspec.Raw:
    if isinstance(outcome, RpcRefused):
        raise outcome
    return outcome


def _given(outcome: _Outcome, node: Node, span: int = 1) -> msgspec.Raw:
    if isinstance(outcome, RpcRefused):
        raise understood(outcome, node=node, span=span)
    return outcome


def _there(found: Any, block: int, node: Node) -> Any:
    if found is None:
        # Too early for a node that forgets, or too late for one that lags; another may have it.
        raise HistoryMissing(
            f"block {block} of node {node.shown}",
            found="none, or none of its receipts",
            wanted="a node that keeps history so far back, and is not behind",
            next_step="name an archive node with --rpc, or begin later: --from BLOCK",
        )
    return found


def _check_links(heads: Sequence[Header], node: Node) -> None:
    for former, latter in itertools.pairwise(heads):
        if latter.parent_hash != former.hash or number(latter.number) != number(former.number) + 1:
            raise moved(number(latter.number), node.shown)
