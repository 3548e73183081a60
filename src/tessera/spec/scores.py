"""`Scores.vy` again in plain Python: rows of scores, committed, revealed, and served.

Quarters of the tempo make an epoch's clock: commit in the first two, reveal in the third, ask for
data until the end of the epoch, answer until a quarter after it; then its inputs are closed. A row
is a Merkle-sum tree whose leaf t holds the weights of models 64 t to 64 t + 63. What the contract
reverts raises `TransactionReverted` with the same string and changes nothing. TSR is left out: what
comes in and goes out is returned, raw.

Invariants `solvent`, `settled_once`; held against the contract by `test_score_promises.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from tessera.errors import InputError, TransactionReverted
from tessera.spec.signatures import ZERO_ADDRESS, Address, keccak
from tessera.spec.subnets import MODELS, SubnetsModel
from tessera.spec.sum_trees import Node, SumTree, leads_to, leaf_of

__all__ = [
    "LEAF_WIDTH",
    "MAX_WEIGHT",
    "Row",
    "ScoresModel",
    "StakedBond",
    "Times",
    "commitment_of",
    "leaf_data",
    "leaves_of",
]

LEAF_WIDTH: Final = 64
MAX_WEIGHT: Final = 2**16 - 1
WITHHOLDING_BPS: Final = 100
"""What a leaf that nobody shows costs its validator: a hundredth of its bond."""

_MASK_128: Final = 2**128 - 1
_TOO_MUCH: Final = 2**256 - 1


class Times(NamedTuple):
    """An epoch's clock, Unix seconds: each is the first second in which something is too late.

    Attributes
    ----------
    began
        When the epoch began.
    commit_until
        Then reveals begin.
    reveal_until
        Nobody reveals any more.
    ask_until
        Nobody asks for data any more.
    posting_from
        The inputs are closed, and a result may be posted.
    """

    began: int
    commit_until: int
    reveal_until: int
    ask_until: int
    posting_from: int

    @classmethod
    def of(cls, began: int, tempo: int) -> Times:
        """Return the clock of an epoch that begins then."""
        quarter = tempo // 4
        return cls(began, *(began + quarters * quarter for quarters in (2, 3, 4, 5)))


class Row:
    """What a validator thinks of the models of an epoch.

    Parameters
    ----------
    weights
        By the model's uid, 0 to 65,535; what is not named is 0, which is no entry.
    columns
        How many models the epoch has.

    Raises
    ------
    InputError
        A uid that no model has, or a weight that is no whole number of 16 bits (as NaN, a fraction
        and a negative number are not).
    """

    def __init__(self, weights: Mapping[int, int], columns: int) -> None:
        dense = [0] * (leaves_of(columns) * LEAF_WIDTH)
        for uid, weight in weights.items():
            if not _is_whole(uid, columns - 1):
                raise InputError("row: uid", found=uid, wanted=f"a model's: 0 to {columns - 1}")
            if not _is_whole(weight, MAX_WEIGHT):
                raise InputError(
                    f"row: weight of model {uid}",
                    found=weight,
                    wanted=f"a whole number from 0 to {MAX_WEIGHT}",
                )
            dense[uid] = weight
        self.leaves = [
            _words(dense[first : first + LEAF_WIDTH]) for first in range(0, len(dense), LEAF_WIDTH)
        ]
        self.tree = SumTree(
            leaf_of(leaf_data(words), sum(_weights(words))) for words in self.leaves
        )

    @property
    def root(self) -> bytes:
        """The 32 bytes that are revealed."""
        return self.tree.root

    @property
    def sum(self) -> int:
        """The sum of all weights."""
        return self.tree.sum

    def shown(self, leaf: int) -> tuple[tuple[int, ...], tuple[Node, ...]]:
        """Return a leaf's four words and what leads from them to the root."""
        return self.leaves[leaf], self.tree.path(leaf)


class StakedBond(Protocol):
    """What Scores asks of Bond and tells it."""

    def bonded(self, validator: Address) -> int:
        """Return a validator's bond, raw TSR."""

    def may_slash(self, validator: Address, case: bytes) -> bool:
        """Whether Scores could slash in this case now."""

    def slash(self, validator: Address, amount: int, case: bytes) -> int:
        """Take stake; the raw TSR that was taken."""


def leaves_of(columns: int) -> int:
    """Return how many leaves a row has for so many models."""
    return (columns + LEAF_WIDTH - 1) // LEAF_WIDTH


def leaf_data(words: Sequence[int]) -> bytes:
    """Hash a leaf's four words."""
    return keccak(b"".join(word.to_bytes(32, "big") for word in words))


def commitment_of(
    row: Row | tuple[bytes, int],
    salt: bytes,
    validator: Address,
    subnet: int,
    epoch: int,
    chain_id: int,
    scores: Address,
) -> bytes:
    """Return what a validator commits to for a row, or for the root and the sum of one."""
    root, total = (row.root, row.sum) if isinstance(row, Row) else row
    return keccak(
        root
        + total.to_bytes(32, "big")
        + salt
        + bytes(12)
        + validator
        + subnet.to_bytes(32, "big")
        + epoch.to_bytes(32, "big")
        + chain_id.to_bytes(32, "big")
        + bytes(12)
        + scores
    )


@dataclass
class _Asked:
    by: Address
    shown: bool = False
    withheld: bool = False


@dataclass
class _Revealed:
    validator: Address
    root: bytes
    sum: int
    stake: int
    asked: dict[int, _Asked] = field(default_factory=dict)
    slashed: bool = False

    @property
    def is_void(self) -> bool:
        return any(not each.shown for each in self.asked.values())


@dataclass
class _Epoch:
    columns: int
    commits: dict[Address, tuple[bytes, int, int]] = field(default_factory=dict)
    rows: list[_Revealed] = field(default_factory=list)
    digest: bytes = bytes(32)


class ScoresModel:
    """Every row of one Scores contract.

    Parameters
    ----------
    subnets
        Clock and places.
    bond
        The validators' stake.
    data_fee
        What asking for a leaf costs, raw TSR.
    chain_id, address
        Part of every commitment.
    """

    def __init__(
        self,
        subnets: SubnetsModel,
        bond: StakedBond,
        data_fee: int,
        chain_id: int,
        address: Address,
    ) -> None:
        self.subnets = subnets
        self.bond = bond
        self.data_fee = data_fee
        self.chain_id = chain_id
        self.address = address
        self.epochs: dict[tuple[int, int], _Epoch] = {}
        self.obligations = 0

    # --- Rows -----------------------------------------------------------------------------------

    def commit(self, validator: Address, subnet: int, uid: int, commitment: bytes, now: int) -> int:
        """Bind a validator to a row; the epoch."""
        epoch, began, tempo, threshold, columns = self.subnets.seated(subnet, uid, validator, now)
        times = Times.of(began, tempo)
        _require(now < times.commit_until, "scores: not in the time for commits")
        _require(columns != 0, "scores: no models to score")
        _require(commitment != bytes(32), "scores: commitment is empty")
        commits = self.epochs[subnet, epoch].commits if (subnet, epoch) in self.epochs else {}
        _require(validator not in commits, "scores: committed already")
        stake = self.bond.bonded(validator)
        _require(threshold <= stake, "scores: bond below the threshold")
        state = self.epochs.setdefault((subnet, epoch), _Epoch(columns))
        state.commits[validator] = (commitment, uid, stake)
        return epoch

    def reveal(
        self,
        validator: Address,
        subnet: int,
        epoch: int,
        row: tuple[bytes, int],
        salt: bytes,
        now: int,
    ) -> int:
        """Open a commit to the root and the sum of a row; the row's number."""
        state = self.epochs.get((subnet, epoch), _Epoch(0))
        _require(validator in state.commits, "scores: nothing committed")
        commitment, uid, stake = state.commits[validator]
        times = self._times(subnet, epoch)
        _require(
            times.commit_until <= now < times.reveal_until, "scores: not in the time for reveals"
        )
        said = commitment_of(row, salt, validator, subnet, epoch, self.chain_id, self.address)
        _require(said == commitment, "scores: not what was committed")
        root, total = row
        _require(total <= state.columns * MAX_WEIGHT, "scores: sum out of range")
        _require(self.row_of(subnet, epoch, validator) == 0, "scores: revealed already")
        number = len(state.rows)
        state.rows.append(_Revealed(validator, root, total, stake))
        words = (number, int.from_bytes(validator, "big"), uid, stake)
        state.digest = keccak(
            state.digest
            + b"".join(word.to_bytes(32, "big") for word in words)
            + root
            + total.to_bytes(32, "big")
        )
        return number

    # --- Data -----------------------------------------------------------------------------------

    def ask(self, caller: Address, subnet: int, epoch: int, row: int, leaf: int, now: int) -> int:
        """Ask for a leaf; the fee, raw TSR."""
        state = self.epochs.get((subnet, epoch), _Epoch(0))
        _require(row < len(state.rows), "scores: no such row")
        _require(leaf < leaves_of(state.columns), "scores: no such leaf")
        _require(now < self._times(subnet, epoch).ask_until, "scores: too late to ask")
        asked = state.rows[row].asked
        _require(leaf not in asked, "scores: asked for already")
        asked[leaf] = _Asked(caller)
        self.obligations += self.data_fee
        return self.data_fee

    def show(
        self,
        subnet: int,
        epoch: int,
        row: int,
        leaf: int,
        shown: tuple[Sequence[int], Sequence[Node]],
        now: int,
    ) -> tuple[Address, int]:
        """Answer with a leaf's words and its path; who gets the fee, and the fee."""
        revealed, asked = self._asked(subnet, epoch, row, leaf)
        _require(not asked.shown, "scores: shown already")
        _require(now < self._times(subnet, epoch).posting_from, "scores: too late to show")
        _require(self.holds(subnet, epoch, row, leaf, *shown), "scores: not that leaf")
        asked.shown = True
        self.obligations -= self.data_fee
        return revealed.validator, self.data_fee

    def convict(
        self, subnet: int, epoch: int, row: int, leaf: int, now: int
    ) -> tuple[Address, int, int]:
        """Judge a leaf that was not shown; who gets the fee back, the fee, what was slashed."""
        revealed, asked = self._asked(subnet, epoch, row, leaf)
        _require(not asked.shown, "scores: shown already")
        _require(not asked.withheld, "scores: paid back already")
        _require(self._times(subnet, epoch).posting_from <= now, "scores: it can still be shown")
        asked.withheld = True
        slashed = 0
        case = self.case_of(subnet, epoch, row, leaf)
        if not revealed.slashed and self.bond.may_slash(revealed.validator, case):
            revealed.slashed = True
            # Rounded down: the dust stays bonded.
            penalty = revealed.stake * WITHHOLDING_BPS // 10_000
            slashed = self.bond.slash(revealed.validator, penalty, case)
        self.obligations -= self.data_fee
        return asked.by, self.data_fee, slashed

    # --- Views ----------------------------------------------------------------------------------

    def epoch_of(self, subnet: int, epoch: int) -> tuple[int, int, int, int, bytes]:
        """Return rows, stake that counts, models, when posting begins, and a hash of it all."""
        state = self.epochs.get((subnet, epoch), _Epoch(0))
        stake = sum(row.stake for row in state.rows if not row.is_void)
        voids = sum(1 << number for number, row in enumerate(state.rows) if row.is_void)
        inputs = keccak(state.digest + voids.to_bytes(32, "big"))
        posting_from = self._times(subnet, epoch).posting_from
        return len(state.rows), stake, state.columns, posting_from, inputs

    def row_at(self, subnet: int, epoch: int, row: int) -> tuple[Address, bytes, int, int]:
        """Return validator, root, sum and stake of a row; 0 and 0 where it counts for nothing."""
        rows = self.epochs.get((subnet, epoch), _Epoch(0)).rows
        if row >= len(rows):
            return ZERO_ADDRESS, bytes(32), 0, 0
        found = rows[row]
        counts = (0, 0) if found.is_void else (found.sum, found.stake)
        return found.validator, found.root, *counts

    def row_of(self, subnet: int, epoch: int, validator: Address) -> int:
        """Return the number of a validator's row, plus 1; 0 for none."""
        rows = self.epochs.get((subnet, epoch), _Epoch(0)).rows
        found = [number for number, row in enumerate(rows) if row.validator == validator]
        return found[0] + 1 if found else 0

    def holds(
        self,
        subnet: int,
        epoch: int,
        row: int,
        leaf: int,
        words: Sequence[int],
        path: Sequence[Node],
    ) -> bool:
        """Whether these are the weights of a leaf of a row."""
        state = self.epochs.get((subnet, epoch), _Epoch(0))
        if row >= len(state.rows):
            return False
        weights = _weights(words)
        first = leaf * LEAF_WIDTH
        if any(weights[max(state.columns - first, 0) :]):
            return False
        sums = [node.sum for node in path]
        total = _TOO_MUCH if any(each > _MASK_128 for each in sums) else sum(weights) + sum(sums)
        revealed = state.rows[row]
        node = leaf_of(leaf_data(words), sum(weights))
        return total == revealed.sum and leads_to(
            node, 0, leaf, leaves_of(state.columns), path, revealed.root
        )

    def model_since(self, subnet: int, uid: int, epoch: int) -> int:
        """Return from which epoch on the model was there that had a place in an epoch."""
        return self.subnets.occupant_at(subnet, MODELS, uid, epoch)[1]

    def case_of(self, subnet: int, epoch: int, row: int, leaf: int) -> bytes:
        """Return the name that Bond knows a question for data by."""
        words = (int.from_bytes(self.address, "big"), subnet, epoch, row, leaf)
        return keccak(b"".join(word.to_bytes(32, "big") for word in words))

    def _asked(self, subnet: int, epoch: int, row: int, leaf: int) -> tuple[_Revealed, _Asked]:
        rows = self.epochs.get((subnet, epoch), _Epoch(0)).rows
        asked = rows[row].asked.get(leaf) if row < len(rows) else None
        if asked is None:
            raise TransactionReverted("Scores", "scores: not asked for")
        return rows[row], asked

    def _times(self, subnet: int, epoch: int) -> Times:
        clock = self.subnets.subnets[subnet].clock
        return Times.of(clock.begin_of(epoch), clock.tempo)


def _words(weights: Sequence[int]) -> tuple[int, ...]:
    return tuple(
        sum(weight << 16 * place for place, weight in enumerate(weights[first : first + 16]))
        for first in range(0, LEAF_WIDTH, 16)
    )


def _weights(words: Sequence[int]) -> list[int]:
    return [word >> 16 * place & MAX_WEIGHT for word in words for place in range(16)]


def _is_whole(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise TransactionReverted("Scores", reason)
