"""What `Court.vy`, `Jury.vy` and `Draws.vy` compute, again in plain Python, and their trees.

Assignments: 40 places of a round are the same for all validators, 160 are a validator's own, and
all 200 items differ. A validator's tree of outputs has 256 places. A re-executor's tree of answers
has sixteen children to a node and three levels, each node with the number of right answers below
it, so a contested count is narrowed to one item in three moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tessera.errors import InputError
from tessera.spec.places import NO_LEAF, NumberedTree, shuffled, word
from tessera.spec.signatures import Address, keccak

__all__ = [
    "ASSIGNED",
    "CHECKED",
    "SHARED",
    "Answer",
    "AnswerTree",
    "Verdict",
    "assigned_items",
    "checked_places",
    "choice_of",
    "deposit_of_draw",
    "draw_commitment",
    "hidden_leaf",
    "item_at",
    "output_leaf",
    "outputs_tree",
    "pool_leaf",
    "report_commitment",
    "seed_of_block",
    "seed_of_draw",
    "verdict",
    "vote_commitment",
]

ASSIGNED: Final = 200
SHARED: Final = 40
CHECKED: Final = 5
_PLACES: Final = 256
_FAN_OUT: Final = 16
_LEVELS: Final = 3
_NEEDED: Final = 4


class Answer(NamedTuple):
    """What a re-executor found for a hidden item: a hash of the output, and whether it is right."""

    output: bytes
    correct: bool


class Verdict(NamedTuple):
    """How a vote ended: four or more for the challenger, for the accused, or for neither."""

    upheld: bool
    rejected: bool


def item_at(seed: bytes, round_: bytes, validator: Address, place: int, pool_items: int) -> int:
    """Compute the number of the public item that a validator gets at a place.

    Parameters
    ----------
    seed
        Of the test set's assignments.
    pool_items
        How many public items there are.

    Raises
    ------
    InputError
        There is no such place.
    """
    if not 0 <= place < ASSIGNED:
        raise InputError("place", found=place, wanted=f"0 to {ASSIGNED - 1}")
    common = keccak(seed + round_)
    if place < SHARED:
        return shuffled(place, pool_items, common)
    own = keccak(seed + round_ + bytes(12) + validator)
    behind = SHARED + shuffled(place - SHARED, pool_items - SHARED, own)
    return shuffled(behind, pool_items, common)


def assigned_items(seed: bytes, round_: bytes, validator: Address, pool_items: int) -> list[int]:
    """Return all 200 items of a validator, by place."""
    places = range(ASSIGNED)
    return [item_at(seed, round_, validator, place, pool_items) for place in places]


def checked_places(check_seed: bytes, round_: bytes, validator: Address) -> list[int]:
    """Return the five places that a validator must show."""
    own = keccak(check_seed + round_ + bytes(12) + validator)
    return [shuffled(check, ASSIGNED, own) for check in range(CHECKED)]


def pool_leaf(number: int, item: bytes) -> bytes:
    """Hash a public item, given the hash of its content, as the leaf of its number."""
    return keccak(word(number) + item + bytes(32))


def hidden_leaf(number: int, salt: bytes, item: bytes, label: bytes) -> bytes:
    """Hash a hidden item, given the hash of its content, with its salt and label."""
    return keccak(word(number) + salt + item + label)


def output_leaf(place: int, item: bytes, output: bytes) -> bytes:
    """Hash what a validator found at a place."""
    return keccak(word(place) + item + output)


def outputs_tree(outputs: Mapping[int, tuple[bytes, bytes]]) -> NumberedTree:
    """Build a validator's report: item and output by place; the other places stay empty."""
    leaves = [NO_LEAF] * _PLACES
    for place, (item, output) in outputs.items():
        leaves[place] = output_leaf(place, item, output)
    return NumberedTree(leaves)


def choice_of(answer: Answer) -> bytes:
    """Return what a juror votes about one item of a count."""
    return keccak(answer.output + word(answer.correct))


def vote_commitment(
    poll: int, juror: Address, choice: bytes, salt: bytes, *, chain_id: int, jury: Address
) -> bytes:
    """Return what a juror commits with."""
    return keccak(
        choice + salt + bytes(12) + juror + word(poll) + word(chain_id) + bytes(12) + jury
    )


def report_commitment(
    round_: bytes,
    executor: Address,
    root: bytes,
    correct: int,
    salt: bytes,
    *,
    chain_id: int,
    court: Address,
) -> bytes:
    """Return what a re-executor commits with."""
    where = word(chain_id) + bytes(12) + court
    return keccak(root + word(correct) + salt + bytes(12) + executor + round_ + where)


def draw_commitment(
    draw: int, sender: Address, secret: bytes, *, chain_id: int, draws: Address
) -> bytes:
    """Return what somebody commits to a secret with."""
    return keccak(secret + bytes(12) + sender + word(draw) + word(chain_id) + bytes(12) + draws)


def deposit_of_draw(first: int, *, kept: int) -> int:
    """Return what a secret costs that is not revealed: twice as much each time that one was kept.

    Parameters
    ----------
    first
        The deposit of a draw that is held for the first time.
    kept
        How often it was held already with a secret that nobody revealed.
    """
    return first << kept


def seed_of_draw(
    draw: int, revealed: Mapping[Address, bytes], *, chain_id: int, draws: Address
) -> bytes:
    """Join the secrets, all of which were revealed: their order does not matter."""
    mixed = 0
    for sender, secret in revealed.items():
        mixed ^= int.from_bytes(keccak(bytes(12) + sender + secret), "big")
    return keccak(word(mixed) + word(draw) + word(chain_id) + bytes(12) + draws)


def seed_of_block(draw: int, block_hash: bytes, *, chain_id: int, draws: Address) -> bytes:
    """Return the seed that the hash of a draw's block gives (`BlockDraws.vy`)."""
    return keccak(block_hash + word(draw) + word(chain_id) + bytes(12) + draws)


def verdict(votes: Sequence[bytes], shown: bytes, claim: bytes) -> Verdict:
    """Count a committee's votes; who did not vote is left out."""
    return Verdict(
        sum(vote == claim for vote in votes) >= _NEEDED,
        sum(vote == shown for vote in votes) >= _NEEDED,
    )


class AnswerTree:
    """All answers of a re-executor: the tree whose root and sum it reports.

    Parameters
    ----------
    answers
        One for each hidden item, 4,096 at most.

    Raises
    ------
    InputError
        There are more.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        width: int = _FAN_OUT**_LEVELS
        if len(answers) > width:
            raise InputError("answers", found=len(answers), wanted=f"at most {width}")
        self.answers = list(answers)
        level = [
            (keccak(word(number) + each.output + word(each.correct)), int(each.correct))
            for number, each in enumerate(answers)
        ]
        level += [(NO_LEAF, 0)] * (width - len(level))
        self._levels = [level]
        while len(level) > 1:
            level = [_node(level[at : at + _FAN_OUT]) for at in range(0, len(level), _FAN_OUT)]
            self._levels.append(level)

    @property
    def root(self) -> bytes:
        """The hash that is reported."""
        return self._levels[-1][0][0]

    @property
    def correct(self) -> int:
        """How many answers are right."""
        return self._levels[-1][0][1]

    def children(self, depth: int, number: int) -> tuple[list[bytes], list[int]]:
        """Return hashes and sums of the sixteen children of a node.

        Parameters
        ----------
        depth
            0 for the root.
        number
            Of the node among those of its depth.
        """
        below = self._levels[_LEVELS - 1 - depth]
        part = below[number * _FAN_OUT : (number + 1) * _FAN_OUT]
        return [hash_ for hash_, _ in part], [total for _, total in part]


def _node(children: Sequence[tuple[bytes, int]]) -> tuple[bytes, int]:
    hashes = b"".join(hash_ for hash_, _ in children)
    sums = b"".join(word(total) for _, total in children)
    return keccak(hashes + sums), sum(total for _, total in children)
