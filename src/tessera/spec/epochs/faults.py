"""Which transaction proves a posted result false.

A false result has a first false part: stakes and their sums, then columns from the left, then rows.
Everything before it is true then, so the contract, which computes a part from what the result says
of the parts before it, comes to the same. A column is computed with the sum of ranks that the
result states: where that sum is false, a rank is, or a node of the tree that sums them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any, Final, NamedTuple

import numpy as np

from tessera.spec.epochs.arithmetic import WORD
from tessera.spec.epochs.inputs import EpochInputs
from tessera.spec.epochs.known import Difference, KnownTree
from tessera.spec.epochs.results import (
    Column,
    ColumnCall,
    Header,
    PostedEpoch,
    computed,
    list_hash,
    row_leaf,
    true_stakes,
)
from tessera.spec.scores import LEAF_WIDTH
from tessera.spec.sum_trees import Node, SumTree

__all__ = ["COLUMNS", "ROWS", "STAKES", "Challenge", "find_fault", "questions"]

STAKES: Final = 0
"""Part to ask for: the stakes."""
COLUMNS: Final = 1
"""Part to ask for: plus the column's uid."""
ROWS: Final = 2**32
"""Part to ask for: plus the row's number."""
AT_ONCE: Final = 8
"""Questions of one round."""
NO_HEADER: Final = Header(bytes(32), 0, 0, bytes(32), 0, bytes(32), 0, bytes(32), 0)
"""In the place of a last result, where there is none."""
NO_COLUMN: Final[ColumnCall] = (0, 0, [], ())
"""In the place of a column before the first one."""


class Challenge(NamedTuple):
    """A transaction to send.

    Attributes
    ----------
    function
        `ask` of Epochs, with its `part`; else a function of EpochCourt.
    arguments
        After the subnet and the epoch, and after the result where it is the court's.
    """

    function: str
    arguments: tuple[Any, ...]


def find_fault(claimed: PostedEpoch, inputs: EpochInputs) -> Challenge | None:
    """Look for the first false or missing part of a posted result.

    Parameters
    ----------
    claimed
        What is on chain, and what its poster served; a part that does not hash to what is on chain
        counts as not served.
    inputs
        What the chain says.

    Returns
    -------
    Challenge or None
        None: the result is true, whatever was not served.
    """
    return next(_faults(claimed, inputs), None)


def questions(claimed: PostedEpoch, inputs: EpochInputs) -> tuple[Challenge, ...]:
    """What to ask for at once, where `find_fault` says to ask: at most eight parts.

    Their answers show three levels of a tree, so five rounds find one column of 4,096. Nothing,
    where there is a fault to prove or none at all.
    """
    return tuple(
        takewhile(lambda challenge: challenge.function == "ask", _faults(claimed, inputs))
    )[:AT_ONCE]


def _faults(claimed: PostedEpoch, inputs: EpochInputs) -> Iterator[Challenge]:
    stakes = claimed.stakes
    if stakes is None or list_hash(stakes) != claimed.header.stakes:
        if list_hash(true_stakes(inputs)[0]) == claimed.header.stakes:
            stakes = tuple(true_stakes(inputs)[0])
        else:
            yield Challenge("ask", (STAKES,))
            return
    yield from _false_stakes(stakes, claimed.header, inputs)
    # From here on stakes and their sums are true.
    true = computed(inputs, stakes, claimed.header.sums, claimed.header.incentive)
    columns = _known(claimed.column_tree, true.column_tree, claimed.header.column_top)
    rows = _known(claimed.row_tree, true.row_tree, claimed.header.row_top)
    known = replace(
        claimed,
        stakes=stakes,
        columns=tuple(
            _part(columns.node(0, uid), claimed.columns[uid : uid + 1], column)
            for uid, column in enumerate(true.columns)
        ),
        rows=tuple(
            _row(rows.node(0, row), claimed.rows[row : row + 1], counted)
            for row, counted in enumerate(true.rows)
        ),
        column_tree=columns,
        row_tree=rows,
    )
    yield from _false_column(known, columns, inputs, true)
    yield from _false_row(known, rows, true)


def _false_stakes(
    stakes: Sequence[int], header: Header, inputs: EpochInputs
) -> Iterator[Challenge]:
    rows = len(inputs.rows)
    true, _ = true_stakes(inputs, header.sums)
    if len(stakes) != rows:
        yield Challenge("challenge_stakes", (list(stakes), 0))
        return
    for row in range(rows):
        if stakes[row] != true[row]:
            yield Challenge("challenge_stakes", (list(stakes), row))
    if true_stakes(inputs)[1] != header.sums:
        yield Challenge("challenge_stakes", (list(stakes), rows))


def _known(claimed: SumTree | KnownTree, true: SumTree | KnownTree, top: Node) -> KnownTree:
    """Know of a posted tree what was shown of it, and what is true in it."""
    known = KnownTree(top, true.count) if isinstance(claimed, SumTree) else claimed
    for tree in (claimed, true):
        if isinstance(tree, SumTree):
            known.offer(tree.levels)
    return known


def _part(leaf: Node | None, served: Sequence[Column | None], true: Column | None) -> Column | None:
    """Keep of what was served, or else is true, what was posted."""
    for column in (*served, true):
        if column is not None and column.leaf == leaf:
            return column
    return None


def _row(
    leaf: Node | None, served: Sequence[tuple[int, int] | None], true: tuple[int, int] | None
) -> tuple[int, int] | None:
    for row in (*served, true):
        if row is not None and row_leaf(*row) == leaf:
            return row
    return None


def _false_column(
    known: PostedEpoch, tree: KnownTree, inputs: EpochInputs, true: PostedEpoch
) -> Iterator[Challenge]:
    expected = true.column_tree
    assert isinstance(expected, SumTree)
    found = tree.difference(expected)
    # A rank above the stated sum of all: what follows from that sum is no number of this kind.
    above = [
        uid
        for uid, column in enumerate(true.columns)
        if column is not None and column.rank > known.header.incentive
    ]
    if above and (found is None or found.index << found.level > above[0]):
        found = tree.towards(above[0])
    if found is None:
        return
    if found.lies:
        yield _node_challenge(tree, found, of_columns=True)
        return
    column = known.columns[found.index] if found.level == 0 else None
    if column is None:
        yield from _asked(COLUMNS, found, len(known.columns))
        return
    is_so = true.columns[found.index]
    assert is_so is not None
    if len(column.words) == len(is_so.words):
        said, right = (np.frombuffer(each.words, dtype=WORD)["weight"] for each in (column, is_so))
        for row in np.nonzero(said != right)[0]:
            yield _entry_challenge(known, inputs, found.index, int(row))
    # All columns before it are as expected, so it does not follow from them.
    yield _column_challenge(known, inputs, found.index)


def _false_row(known: PostedEpoch, tree: KnownTree, true: PostedEpoch) -> Iterator[Challenge]:
    expected = true.row_tree
    assert isinstance(expected, SumTree)
    found = tree.difference(expected)
    if found is None:
        return
    if found.lies:
        yield _node_challenge(tree, found, of_columns=False)
        return
    row = known.rows[found.index] if found.level == 0 else None
    if row is None:
        yield from _asked(ROWS, found, len(known.rows))
        return
    last = known.column_call(len(known.columns) - 1)
    path = known.row_tree.path(found.index)
    stakes = list(known.stakes or ())
    yield Challenge("challenge_dividends", (stakes, found.index, *row, path, last))


def _asked(parts: int, found: Difference, count: int) -> Iterator[Challenge]:
    """Ask for leaves below a node, evenly far from one another; the leftmost first."""
    first, width = found.index << found.level, 1 << found.level
    for leaf in range(first, min(first + width, count), max(1, width // AT_ONCE)):
        yield Challenge("ask", (parts + leaf,))


def _node_challenge(tree: KnownTree, found: Difference, *, of_columns: bool) -> Challenge:
    place = found.level - 1, 2 * found.index
    node, left, right = (
        tree.node(*at) for at in ((found.level, found.index), place, (place[0], place[1] + 1))
    )
    assert node is not None
    path = tree.path(found.index, found.level)
    return Challenge(
        "challenge_node", (of_columns, found.level, found.index, left, right, node.sum, path)
    )


def _entry_challenge(claimed: PostedEpoch, inputs: EpochInputs, uid: int, row: int) -> Challenge:
    shown = inputs.rows[row].row.shown(uid // LEAF_WIDTH)
    return Challenge("challenge_entry", (uid, claimed.column_call(uid), row, *shown))


def _column_challenge(claimed: PostedEpoch, inputs: EpochInputs, uid: int) -> Challenge:
    last = inputs.former
    header, old = NO_HEADER.call, NO_COLUMN
    if last is not None:
        header, old = last.posted.header.call, last.posted.column_call(uid)
    return Challenge(
        "challenge_column",
        (
            list(claimed.stakes or ()),
            uid,
            claimed.column_call(uid),
            claimed.column_call(uid - 1) if uid else NO_COLUMN,
            header,
            old,
        ),
    )
