"""A posted result with all its parts: nine words on chain, the rest served by its poster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from tessera.spec.epochs.arithmetic import U40, column_words, old_bonds, ranked, stake_words
from tessera.spec.epochs.inputs import EpochInputs
from tessera.spec.epochs.known import KnownTree
from tessera.spec.signatures import keccak
from tessera.spec.sum_trees import Node, SumTree, leaf_of, packed

__all__ = [
    "Column",
    "ColumnCall",
    "Header",
    "PostedEpoch",
    "assembled",
    "bonds_before",
    "build",
    "carried",
    "computed",
    "list_hash",
    "revealed",
    "row_leaf",
    "true_stakes",
]

_WORD: Final = 32

ColumnCall = tuple[int, int, list[int], tuple[Node, ...]]
"""A column as a call takes it: consensus, rank, words, path."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a post says, word for word `Result` of the contracts."""

    inputs: bytes
    rules: int
    previous: int
    stakes: bytes
    sums: int
    columns: bytes
    incentive: int
    rows: bytes
    dividends: int

    @property
    def digest(self) -> bytes:
        """What the chain keeps of it."""
        return keccak(b"".join(_word(part) for part in self.call))

    @property
    def column_top(self) -> Node:
        """The highest node of the columns' tree."""
        return Node(self.columns, self.incentive)

    @property
    def row_top(self) -> Node:
        """The highest node of the rows' tree."""
        return Node(self.rows, self.dividends)

    @property
    def call(self) -> tuple[bytes | int, ...]:
        """As an argument of a call."""
        return astuple(self)


class Column(NamedTuple):
    """One model: its consensus, its rank, and a word for each row, 32 bytes each."""

    consensus: int
    rank: int
    words: bytes

    @property
    def data(self) -> bytes:
        """The hash of its words."""
        return keccak(_listed(self.words))

    @property
    def leaf(self) -> Node:
        """Its leaf in the tree of columns."""
        return leaf_of(keccak(_word(self.consensus) + self.data), self.rank)

    def numbers(self) -> list[int]:
        """Return its words as a call takes them."""
        return [
            int.from_bytes(self.words[at : at + _WORD], "big")
            for at in range(0, len(self.words), _WORD)
        ]


@dataclass(frozen=True, slots=True)
class PostedEpoch:
    """A result as far as its parts are known; what is None was not served.

    Attributes
    ----------
    header
        What is on chain.
    stakes
        A word for each row.
    columns
        By uid.
    rows
        Active stake, and what the leaf counts: dividends, trust in the upper half.
    column_tree, row_tree
        As far as their nodes are known.
    """

    header: Header
    stakes: tuple[int, ...] | None
    columns: tuple[Column | None, ...]
    rows: tuple[tuple[int, int] | None, ...]
    column_tree: SumTree | KnownTree
    row_tree: SumTree | KnownTree

    @classmethod
    def unseen(cls, header: Header, rows: int, columns: int) -> PostedEpoch:
        """Return a result of which only the header is known."""
        return cls(
            header=header,
            stakes=None,
            columns=(None,) * columns,
            rows=(None,) * rows,
            column_tree=KnownTree(header.column_top, columns),
            row_tree=KnownTree(header.row_top, rows),
        )

    def with_column(self, uid: int, call: ColumnCall) -> PostedEpoch:
        """Add a column that an answer showed, as `show_column` takes it, to one that was unseen."""
        consensus, rank, numbers, path = call
        column = Column(consensus, rank, b"".join(_word(number) for number in numbers))
        if isinstance(self.column_tree, KnownTree):
            self.column_tree.learn(uid, column.leaf, path)
        return replace(self, columns=(*self.columns[:uid], column, *self.columns[uid + 1 :]))

    def with_row(self, row: int, active: int, counted: int, path: Sequence[Node]) -> PostedEpoch:
        """Add a row that an answer showed, as `show_row` takes it, to one that was unseen."""
        if isinstance(self.row_tree, KnownTree):
            self.row_tree.learn(row, row_leaf(active, counted), path)
        rows = (*self.rows[:row], (active, counted), *self.rows[row + 1 :])
        return replace(self, rows=rows)

    def column_call(self, uid: int) -> ColumnCall:
        """Return a column with its path, as a call takes it; an empty one where there is none."""
        column = self.columns[uid] if 0 <= uid < len(self.columns) else None
        if column is None:
            return (0, 0, [], ())
        return (column.consensus, column.rank, column.numbers(), self.column_tree.path(uid))

    def model_proof(self, uid: int) -> tuple[int, int, int, bytes, tuple[Node, ...]]:
        """Return what `model_part` takes after the result.

        Raises
        ------
        IndexError
            There is no such model, or it was not served.
        """
        column = self.columns[uid]
        if column is None:
            raise IndexError(uid)
        return (uid, column.consensus, column.rank, column.data, self.column_tree.path(uid))

    def validator_proof(self, row: int) -> tuple[int, int, int, tuple[Node, ...]]:
        """Return what `validator_part` takes after the result.

        Raises
        ------
        IndexError
            There is no such row, or it was not served.
        """
        counted = self.rows[row]
        if counted is None:
            raise IndexError(row)
        return (row, *counted, self.row_tree.path(row))

    def restated(self, **words: bytes | int) -> PostedEpoch:
        """Return the same parts under a header with other words."""
        return replace(self, header=replace(self.header, **words))  # type: ignore[arg-type]


def carried(inputs: EpochInputs) -> list[int]:
    """For each row, its validator's row in the last final epoch, + 1; 0 for none."""
    places: dict[bytes, int] = {}
    if inputs.former is not None:
        places = {who: place for place, who in enumerate(inputs.former.validators, 1)}
    return [
        places.get(row.validator, 0) if row.stake and not row.void else 0 for row in inputs.rows
    ]


def revealed(inputs: EpochInputs) -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
    """Return the weights that count (rows x columns)."""
    matrix = np.zeros((len(inputs.rows), inputs.columns), dtype=np.uint16)
    for number, row in enumerate(inputs.rows):
        if not row.void:
            matrix[number] = row.weights
    return matrix


def bonds_before(
    inputs: EpochInputs, former: Sequence[int]
) -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
    """Return the old bonds that count (rows x columns)."""
    last = inputs.former
    if last is None:
        return np.zeros((len(inputs.rows), inputs.columns), dtype=np.uint16)
    words = [None if column is None else column.words for column in last.posted.columns]
    return old_bonds(words, last.kept, former)


def true_stakes(inputs: EpochInputs, sums: int | None = None) -> tuple[list[int], int]:
    """Return the word of each row and of their sums, which a header may have stated."""
    return stake_words(
        [0 if row.void else row.stake for row in inputs.rows],
        [0 if row.void else sum(row.weights) for row in inputs.rows],
        carried(inputs),
        sums,
    )


def build(inputs: EpochInputs) -> PostedEpoch:
    """Compute an epoch, and all that its poster posts and serves.

    Parameters
    ----------
    inputs
        What the chain says.

    Returns
    -------
    PostedEpoch
        The same on every machine.
    """
    stakes, sums = true_stakes(inputs)
    return computed(inputs, stakes, sums)


def computed(
    inputs: EpochInputs, stakes: Sequence[int], sums: int, incentive: int | None = None
) -> PostedEpoch:
    """Compute an epoch's columns and rows.

    Parameters
    ----------
    inputs
        What the chain says.
    stakes, sums
        The rows' words, and their sums'.
    incentive
        The sum of ranks that somebody states; the true one where it is left out.
    """
    weights = revealed(inputs)
    found = ranked(weights, stakes, inputs.rules)
    words, earned = column_words(
        weights,
        stakes,
        inputs.rules,
        bonds_before(inputs, carried(inputs)),
        found,
        int(found.rank.sum()) if incentive is None else incentive,
    )
    return assembled(
        inputs.digest,
        inputs.rules.word,
        0 if inputs.former is None else inputs.former.epoch + 1,
        stakes=tuple(stakes),
        sums=sums,
        columns=tuple(
            Column(int(consensus), int(rank), word.tobytes())
            for consensus, rank, word in zip(found.consensus, found.rank, words, strict=True)
        ),
        rows=tuple(
            (word >> 40 & U40, packed(dividends, trust))
            for word, (dividends, trust) in zip(stakes, earned, strict=True)
        ),
    )


def assembled(
    digest: bytes,
    rules: int,
    previous: int,
    *,
    stakes: tuple[int, ...],
    sums: int,
    columns: tuple[Column, ...],
    rows: tuple[tuple[int, int], ...],
) -> PostedEpoch:
    """Put parts under the trees and the header that state them, true or not."""
    column_tree = SumTree(column.leaf for column in columns)
    row_tree = SumTree(row_leaf(*row) for row in rows)
    header = Header(
        inputs=digest,
        rules=rules,
        previous=previous,
        stakes=list_hash(stakes),
        sums=sums,
        columns=column_tree.top.digest,
        incentive=column_tree.sum,
        rows=row_tree.top.digest,
        dividends=row_tree.sum,
    )
    return PostedEpoch(header, stakes, columns, rows, column_tree, row_tree)


def list_hash(words: Sequence[int]) -> bytes:
    """Hash a list of words as the contracts do."""
    return keccak(_listed(b"".join(_word(word) for word in words)))


def row_leaf(active: int, counted: int) -> Node:
    """Return a row's leaf in the tree of rows."""
    return leaf_of(_word(active), counted)


def _listed(words: bytes) -> bytes:
    return _word(_WORD) + _word(len(words) // _WORD) + words


def _word(part: bytes | int) -> bytes:
    return part if isinstance(part, bytes) else part.to_bytes(_WORD, "big")
