"""Which transaction proves a posted result false.

A false result has a first false part: first by what the parts are computed from (stakes, sums,
weights, ranks, bonds, dividends), then by column. The part before is true then, so the contract,
which computes a part from what the result says of the parts before it, comes to the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from tessera.spec.epochs.arithmetic import U40, WORD, column_words, ranked
from tessera.spec.epochs.inputs import TILE, EpochInputs, row_tree
from tessera.spec.epochs.results import (
    Column,
    Header,
    PostedEpoch,
    bonds_before,
    carried,
    list_hash,
    revealed,
    row_leaf,
    true_stakes,
)
from tessera.spec.sum_trees import Node, SumTree, adds_up, parent_of

__all__ = ["COLUMNS", "ROWS", "STAKES", "Challenge", "find_fault"]

STAKES: Final = 0
"""Part to ask for: the stakes."""
COLUMNS: Final = 1
"""Part to ask for: plus the column's uid."""
ROWS: Final = 2**32
"""Part to ask for: plus the row's number."""
NO_HEADER: Final = Header(bytes(32), 0, 0, bytes(32), 0, bytes(32), 0, bytes(32), 0)
"""In the place of a last result, where there is none."""


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


def _faults(claimed: PostedEpoch, inputs: EpochInputs) -> Iterator[Challenge]:
    stakes = claimed.stakes
    if stakes is None or list_hash(stakes) != claimed.header.stakes:
        if list_hash(true_stakes(inputs)[0]) == claimed.header.stakes:
            stakes = tuple(true_stakes(inputs)[0])
        else:
            yield Challenge("ask", (STAKES,))
            return
    yield from _false_stakes(stakes, claimed.header, inputs)
    trees = (
        (True, claimed.column_tree, claimed.header.columns, claimed.header.incentive),
        (False, claimed.row_tree, claimed.header.rows, claimed.header.dividends),
    )
    for of_columns, tree, digest, total in trees:
        yield from _false_node(of_columns, tree, Node(digest, total), inputs)
    weights = revealed(inputs)
    found = ranked(weights, stakes, inputs.rules)
    words, earned = column_words(
        weights,
        stakes,
        inputs.rules,
        bonds_before(inputs, carried(inputs)),
        found,
        claimed.header.incentive,
    )
    true = [
        Column(int(consensus), int(rank), word.tobytes())
        for consensus, rank, word in zip(found.consensus, found.rank, words, strict=True)
    ]
    known = _known(claimed, true)
    yield from _false_columns(known, stakes, inputs, true)
    yield from _false_rows(known, stakes, earned)


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


def _false_node(
    of_columns: bool, tree: SumTree, top: Node, inputs: EpochInputs
) -> Iterator[Challenge]:
    """Look from the top down: the first false node's path is true above it."""
    leaves = inputs.columns if of_columns else len(inputs.rows)
    if tree.count != leaves:
        yield Challenge("ask", (COLUMNS if of_columns else ROWS,))
        return
    for level in range(len(tree.levels) - 1, 0, -1):
        below = tree.levels[level - 1]
        for index, node in enumerate(tree.levels[level]):
            stated = top if level == len(tree.levels) - 1 else node
            if 2 * index + 1 == len(below):
                # The last of an odd number moved up as it was.
                continue
            left, right = below[2 * index : 2 * index + 2]
            if parent_of(left, right, stated.sum).digest != stated.digest:
                # Not what was posted: ask for a leaf below it, whose path shows these nodes.
                leaf = min(index << level, leaves - 1)
                yield Challenge("ask", ((COLUMNS if of_columns else ROWS) + leaf,))
            elif not adds_up(left.sum, right.sum, stated.sum):
                path = tree.path(index, level)
                yield Challenge(
                    "challenge_node",
                    (of_columns, level, index, left, right, stated.sum, path),
                )
    if len(tree.levels) == 1 and tree.levels[0][0] != top:
        yield Challenge("ask", (COLUMNS if of_columns else ROWS,))


def _known(claimed: PostedEpoch, true: Sequence[Column]) -> PostedEpoch:
    """Keep of the columns what was posted; one that was not served is known if it is true."""
    columns: list[Column | None] = []
    for uid, leaf in enumerate(claimed.column_tree.levels[0]):
        served = claimed.columns[uid] if uid < len(claimed.columns) else None
        if served is not None and served.leaf == leaf:
            columns.append(served)
        else:
            columns.append(true[uid] if true[uid].leaf == leaf else None)
    return replace(claimed, columns=tuple(columns))


def _false_columns(
    claimed: PostedEpoch, stakes: Sequence[int], inputs: EpochInputs, true: Sequence[Column]
) -> Iterator[Challenge]:
    for uid, column in enumerate(claimed.columns):
        if column is None:
            yield Challenge("ask", (COLUMNS + uid,))
        elif len(column.words) != len(true[uid].words):
            yield _column_challenge(claimed, stakes, inputs, uid)
        else:
            said, is_so = (
                np.frombuffer(each.words, dtype=WORD)["weight"] for each in (column, true[uid])
            )
            for row in np.nonzero(said != is_so)[0]:
                yield _entry_challenge(claimed, inputs, uid, int(row))
            if (column.consensus, column.rank) != (true[uid].consensus, true[uid].rank):
                yield _column_challenge(claimed, stakes, inputs, uid)
    # With all ranks true, so is their sum, and the words follow column by column.
    for uid, column in enumerate(claimed.columns):
        if column != true[uid]:
            yield _column_challenge(claimed, stakes, inputs, uid)


def _entry_challenge(claimed: PostedEpoch, inputs: EpochInputs, uid: int, row: int) -> Challenge:
    tree, leaves = row_tree(inputs.rows[row].weights)
    leaf = uid // TILE
    return Challenge(
        "challenge_entry", (uid, claimed.column_call(uid), row, leaves[leaf], tree.path(leaf))
    )


def _column_challenge(
    claimed: PostedEpoch, stakes: Sequence[int], inputs: EpochInputs, uid: int
) -> Challenge:
    last = inputs.former
    header = NO_HEADER.call
    old: tuple[int, int, list[int], tuple[Node, ...]] = (0, 0, [], ())
    if last is not None:
        header = last.posted.header.call
        old = last.posted.column_call(uid)
    return Challenge(
        "challenge_column",
        (
            list(stakes),
            uid,
            claimed.column_call(uid),
            claimed.column_call(uid - 1),
            header,
            old,
        ),
    )


def _false_rows(
    claimed: PostedEpoch, stakes: Sequence[int], earned: Sequence[tuple[int, int]]
) -> Iterator[Challenge]:
    for row, (dividends, trust) in enumerate(earned):
        leaf = claimed.row_tree.levels[0][row]
        said = claimed.rows[row] if row < len(claimed.rows) else None
        if leaf == row_leaf(stakes[row] >> 40 & U40, dividends | trust << 128):
            continue
        if said is None or row_leaf(*said) != leaf:
            yield Challenge("ask", (ROWS + row,))
        else:
            last = claimed.column_call(len(claimed.columns) - 1)
            path = claimed.row_tree.path(row)
            yield Challenge("challenge_dividends", (list(stakes), row, *said, path, last))
