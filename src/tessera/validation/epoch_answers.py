"""What of a result was shown on the chain, because somebody asked for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tessera.bindings.epoch_court import ColumnShown, RowShown, StakesShown
from tessera.spec.epochs import PostedEpoch
from tessera.spec.epochs.known import KnownTree
from tessera.spec.epochs.results import list_hash, row_leaf
from tessera.spec.sum_trees import Node
from tessera.validation.epoch_inputs import EpochReader

__all__ = ["with_answers"]


async def with_answers(
    read: EpochReader, court: str, subnet: int, epoch: int, known: PostedEpoch
) -> PostedEpoch:
    """Add to a live result what its poster had to show.

    The court's logs also have what was shown of results of this epoch that are void: only what
    leads to the words of this one is taken.

    Parameters
    ----------
    court
        Address of the court.
    """
    first = read.since
    named: dict[str, Any] = {"epochs": read.epochs.address, "subnet": subnet, "epoch": epoch}
    topics = StakesShown.topics(**named)
    for stakes in await read.reader.logs(StakesShown, address=court, topics=topics, first=first):
        if list_hash(stakes.event.stakes) == known.header.stakes:
            known = replace(known, stakes=tuple(stakes.event.stakes))
    topics = ColumnShown.topics(**named)
    for column in await read.reader.logs(ColumnShown, address=court, topics=topics, first=first):
        uid, shown, tree = column.event.index, column.event.column, known.column_tree
        if known.columns[uid] is None and isinstance(tree, KnownTree):
            call = (shown.consensus, shown.rank, list(shown.words), _nodes(shown.path))
            more = known.with_column(uid, call)
            found = more.columns[uid]
            known = more if found and tree.node(0, uid) == found.leaf else known
    topics = RowShown.topics(**named)
    for row in await read.reader.logs(RowShown, address=court, topics=topics, first=first):
        number, counted, tree = row.event.row, (row.event.active, row.event.counted), known.row_tree
        if known.rows[number] is None and isinstance(tree, KnownTree):
            more = known.with_row(number, *counted, _nodes(row.event.path))
            known = more if tree.node(0, number) == row_leaf(*counted) else known
    return known


def _nodes(path: Sequence[Any]) -> tuple[Node, ...]:
    return tuple(Node(node.digest, node.sum) for node in path)
