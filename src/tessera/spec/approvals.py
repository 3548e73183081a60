"""`Approvals.vy` again in plain Python: rounds in which validators stake their bonds on models.

The model leaves tokens and bonds out: what a call would take, send or slash is returned or noted,
and what a bond is worth comes in. What the contract reverts raises `TransactionReverted` with the
same string and changes nothing. Accuracies are millionths, tokens base units, times unix seconds.

Invariants `slash_bounded`, `bond_covers_open`, `settled_once`; held against the contract by
`test_approval_promises.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from tessera.errors import InvariantViolation, TransactionReverted
from tessera.spec.bad_counts import WHOLE, bad_count
from tessera.spec.places import word
from tessera.spec.signatures import Address, keccak

__all__ = [
    "GUARD",
    "ApprovalsModel",
    "Decision",
    "Evidence",
    "Gains",
    "Opinion",
    "RoundModel",
    "SetModel",
    "State",
    "commitment_of",
    "decide",
    "gain_of",
    "largest_weight",
    "median_score",
    "model_name",
    "penalty_bps",
    "round_name",
    "set_name",
]

GUARD: Final = 20_000
"""A model is bad where it is below its threshold by more than this, beyond doubt: 2 pp."""

_BPS: Final = 10_000
_MIN_VALIDATORS: Final = 5
_MAX_VALIDATORS: Final = 32
_LAST_GAINS: Final = 30
_COMMITTED_BY, _REVEALED_BY, _TRUTH_BY, _CONTESTED_BY, _RESOLVED_IN = 6, 8, 80, 168, 72
_RECOUNTED_IN, _MAX_ATTEMPTS = 84, 3
_EXECUTOR_BPS: Final = 1_000
_OWN_PART: Final = 5
_SALES_AT_ONCE: Final = 3
_MASK_96: Final = 2**96 - 1


class State(IntEnum):
    """Where a round is."""

    OPEN = 0
    CLOSED = 1
    GOOD = 2
    BAD = 3
    VOID = 4


class Evidence(IntEnum):
    """What a validator is punished for."""

    SILENCE = 0
    FABRICATED = 1
    BAD_APPROVAL = 2
    LEAK = 3


class Opinion(NamedTuple):
    """What a validator revealed in a round.

    Attributes
    ----------
    bond
        Behind it, base units.
    approves
        None where nothing was revealed.
    score
        Millionths.
    backs
        What the validator staked itself, base units; 0 where no sale may rely on it.
    """

    bond: int
    approves: bool | None
    score: int = 0
    backs: int = 0


class Decision(NamedTuple):
    """What a round decides.

    Attributes
    ----------
    most
        The largest weight that one validator counts with.
    score
        The weighted median.
    weight, in_favour
        Capped weights: of all who committed, and of those who approve.
    approving
        Sum of what approvers staked themselves: what a part of a sale's proceeds is lent on.
    listed
        Whether five or more approve, with two thirds of the weight.
    """

    most: int
    score: int
    weight: int
    in_favour: int
    approving: int
    listed: bool


def set_name(committer: Address, root: bytes, pool: bytes, until: int) -> bytes:
    """Return the id of a test set."""
    return keccak(bytes(12) + committer + root + pool + word(until))


def model_name(content: bytes, environment: bytes) -> bytes:
    """Return the id of a model: its content root, and the hash of all that it runs in."""
    return keccak(content + environment)


def round_name(test_set: bytes, asset: int, version: int, model: bytes) -> bytes:
    """Return the id of a round."""
    return keccak(test_set + word(asset) + word(version) + model)


def commitment_of(
    round_: bytes,
    validator: Address,
    *,
    approve: bool,
    score: int,
    root: bytes,
    salt: bytes,
    chain_id: int,
    approvals: Address,
) -> bytes:
    """Return what a validator commits with.

    It binds validator, model version and test set (by the round), chain and contract.
    """
    return keccak(
        word(approve)
        + word(score)
        + root
        + salt
        + bytes(12)
        + validator
        + round_
        + word(chain_id)
        + bytes(12)
        + approvals
    )


def largest_weight(bonds: Sequence[int]) -> int:
    """Find the largest cap that is at most a fifth of all bonds capped by it; 0 below five bonds.

    Capping by a fifth of the uncapped sum would not do: a validator with nine tenths of all bonds
    would still have two thirds of what counts.
    """
    ordered = sorted(bonds)
    below = sum(ordered)
    for above in range(_MIN_VALIDATORS):
        # `above` bonds count as the cap, and `below` is the sum of all others.
        most = below // (_MIN_VALIDATORS - above)
        if above >= len(ordered) or most >= ordered[-above - 1]:
            return most
        below -= ordered[-above - 1]
    raise InvariantViolation("with four bonds above the cap, the fifth fits")


def median_score(weighted: Sequence[tuple[int, int]]) -> int:
    """Return the smallest score with more than half of the weight at or below it; 0 of nothing.

    Parameters
    ----------
    weighted
        Scores with their weights.
    """
    total = sum(weight for _, weight in weighted)
    below = 0
    for score, weight in sorted(weighted):
        below += weight
        if 2 * below > total:
            return score
    return 0


def decide(opinions: Sequence[Opinion]) -> Decision:
    """Decide a round by the listing rule."""
    most = largest_weight([each.bond for each in opinions])
    counts = [min(each.bond, most) for each in opinions]
    seen = [
        (each.score, weight)
        for each, weight in zip(opinions, counts, strict=True)
        if each.approves is not None
    ]
    if not any(weight for _, weight in seen):
        # The contract takes any score whose sums fit; with no weight at all none but 0 of nobody.
        seen = []
    pros = [weight for each, weight in zip(opinions, counts, strict=True) if each.approves]
    weight, in_favour = sum(counts), sum(pros)
    return Decision(
        most,
        median_score(seen),
        weight,
        in_favour,
        sum(each.backs for each in opinions if each.approves),
        len(pros) >= _MIN_VALIDATORS and in_favour * 3 >= weight * 2,
    )


def penalty_bps(in_favour: int, weight: int) -> int:
    """Compute what a bad approval costs: min(30 %, 5 % + 3 * (x - 2 %)), rounded down, 0 at least.

    Parameters
    ----------
    in_favour, weight
        Of the round; x is their ratio.
    """
    if weight == 0:
        return 0
    return min(3_000, max(3 * (in_favour * _BPS // weight), 100) - 100)


def gain_of(prior: int, score: int, truth: int) -> int:
    """Compute how much nearer to the truth a score was than the public's guess, in millionths^2."""
    return (prior - truth) ** 2 - (score - truth) ** 2


@dataclass(slots=True)
class Gains:
    """The last thirty gains of a validator in rounds of one issuer."""

    last: list[int] = field(default_factory=list)

    def add(self, gain: int) -> int:
        """Add one, and return the mean of the last thirty: rounded down, and not below 0."""
        self.last = [*self.last, gain][-_LAST_GAINS:]
        return max(0, sum(self.last)) // len(self.last)


@dataclass(slots=True)
class SetModel:
    """A test set."""

    committer: Address
    items: int
    pledge: int
    until: int
    covered: int = 0
    begun: int = 0
    truth_at: int = 0
    drawn: bool = False
    open_rounds: int = 0
    failed: bool = False


@dataclass(slots=True)
class RoundModel:
    """One model before one test set."""

    test_set: bytes
    model: bytes
    issuer: Address
    tau: int
    prior: int
    budget: int
    cap: int = 0
    state: State = State.OPEN
    decision: Decision | None = None
    opinions: dict[Address, Opinion] = field(default_factory=dict)
    commitments: dict[Address, bytes] = field(default_factory=dict)
    counted: int | None = None
    executors: tuple[Address, Address] | None = None
    deadline: int = 0
    attempts: int = 0
    finished_at: int = 0
    graded: set[Address] = field(default_factory=set)
    convicted: set[Address] = field(default_factory=set)
    weights: dict[Address, int] = field(default_factory=dict)


class ApprovalsModel:
    """Every round of one Approvals contract.

    Parameters
    ----------
    hour
        Seconds that stand for an hour.
    least_bond
        Base units that a validator must have bonded.
    """

    def __init__(self, hour: int, least_bond: int) -> None:
        self.hour = hour
        self.least_bond = least_bond
        self.sets: dict[bytes, SetModel] = {}
        self.rounds: dict[bytes, RoundModel] = {}
        self.taken: defaultdict[tuple[bytes, Address], int] = defaultdict(int)
        self.removed: set[Address] = set()
        self.backed: defaultdict[Address, list[bytes]] = defaultdict(list)
        self.gains: defaultdict[tuple[Address, Address], Gains] = defaultdict(Gains)
        self.obligations = 0

    # --- Test sets ------------------------------------------------------------------------------

    def commit_set(
        self, name: bytes, committer: Address, items: int, pledge: int, until: int
    ) -> None:
        """Commit to a test set whose id is known."""
        self._assert(name not in self.sets, "committed already")
        self.sets[name] = SetModel(committer, items, pledge, until)
        self.obligations += pledge

    def draw(self, name: bytes, now: int) -> None:
        """Ask for the seed of the assignments."""
        row = self.sets[name]
        self._assert(now >= row.until, "submissions are open")
        self._assert(row.open_rounds != 0, "nothing was submitted")
        self._assert(not row.drawn, "asked for already")
        row.drawn = True

    def begin(self, name: bytes, now: int, *, seeded: bool) -> None:
        """Let the time to commit begin."""
        row = self.sets[name]
        self._assert(row.drawn and not row.begun and not row.failed, "not to begin now")
        self._assert(seeded, "no seed yet")
        row.begun = now

    def reveal_truth(self, name: bytes, sender: Address, now: int) -> None:
        """Tell where the hidden items are."""
        row = self.sets[name]
        self._assert(sender == row.committer, "only the committer")
        since = now - row.begun
        self._assert(
            row.begun != 0
            and row.truth_at == 0
            and not row.failed
            and _REVEALED_BY * self.hour <= since < _TRUTH_BY * self.hour,
            "not to be revealed now",
        )
        row.truth_at = now

    def fail_set(self, name: bytes, now: int) -> tuple[int, int]:
        """Take the pledge of a committer that is late; what its teller gets, and the commons."""
        row = self.sets[name]
        late = row.begun and not row.truth_at and now >= row.begun + _TRUTH_BY * self.hour
        self._assert(bool(late), "the committer has time")
        self._assert(not row.failed, "failed already")
        row.failed = True
        pledge, row.pledge = row.pledge, 0
        self.obligations -= pledge
        return pledge // 5, pledge - pledge // 5

    # --- Rounds ---------------------------------------------------------------------------------

    def open_round(self, name: bytes, round_: RoundModel, now: int) -> None:
        """Submit a model; its id is known."""
        row = self.sets[round_.test_set]
        self._assert(now < row.until, "submissions are over")
        self._assert(round_.issuer != row.committer, "the committer does not judge its own")
        self._assert(name not in self.rounds, "submitted already")
        self.rounds[name] = round_
        row.open_rounds += 1
        self.obligations += round_.budget

    def commit(
        self,
        name: bytes,
        validator: Address,
        commitment: bytes,
        bonded: int,
        now: int,
        *,
        own: int,
        bears: int,
    ) -> Address | None:
        """Take part with a bond: the whole, or five times the own stake where that is less.

        Parameters
        ----------
        bonded, own
            Base units of all its stake, and of what it staked itself.
        bears
            Base units of the currency that the bond bears a sale of: fifty times its worth.

        Returns
        -------
        Address or None
            Who lost its seat to the larger bond.
        """
        round_ = self.rounds[name]
        row = self.sets[round_.test_set]
        open_ = row.begun and now < row.begun + _COMMITTED_BY * self.hour
        self._assert(bool(open_), "not the time to commit")
        self._assert(validator not in round_.opinions, "committed already")
        self._assert(commitment != bytes(32), "not a commitment")
        free = validator not in self.removed and not self.taken[round_.model, validator]
        self._assert(free, "removed")
        self._assert(validator != row.committer, "the committer does not judge its own")
        bond = min(bonded, _OWN_PART * own, _MASK_96)
        self._assert(bond >= self.least_bond and bears >= round_.cap, "bond too low")
        last = None
        if len(round_.opinions) == _MAX_VALIDATORS:
            last = min(round_.opinions, key=lambda each: round_.opinions[each].bond)
            self._assert(round_.opinions[last].bond < bond, "the round is full")
        freed = 0 if last is None else round_.opinions[last].bond
        covered = row.covered + bond - freed
        self._assert(covered <= row.pledge, "the pledge covers no more bonds")
        row.covered = covered
        backs = min(own, bond) if round_.cap and self._backs(validator, name) else 0
        opinion = Opinion(bond, None, backs=backs)
        if last is None:
            round_.opinions[validator] = opinion
        else:
            # In the same place, so that of equal bonds the first one is the smallest.
            seats = round_.opinions.items()
            round_.opinions = dict((validator, opinion) if k == last else (k, v) for k, v in seats)
            del round_.commitments[last]
        round_.commitments[validator] = commitment
        return last

    def _backs(self, validator: Address, name: bytes) -> bool:
        """Let a validator's own stake be behind one more round for a sale, if it may."""
        behind = self.backed[validator]
        behind[:] = [each for each in behind if not self._is_settled(each, validator)]
        if len(behind) == _SALES_AT_ONCE:
            return False
        behind.append(name)
        return True

    def _is_settled(self, name: bytes, validator: Address) -> bool:
        """Say whether a round is over, and who approved a bad model that was listed has paid."""
        round_ = self.rounds[name]
        if round_.state is not State.BAD or round_.decision is None or not round_.decision.listed:
            return round_.state >= State.GOOD
        opinion = round_.opinions.get(validator)
        approves = opinion is not None and bool(opinion.approves)
        return not approves or self.taken[round_.model, validator] != 0

    def reveal(
        self,
        name: bytes,
        validator: Address,
        opinion: tuple[bool, int],
        commitment: bytes,
        now: int,
    ) -> None:
        """Show an opinion; `commitment` is the hash of what is shown."""
        round_ = self.rounds[name]
        begun = self.sets[round_.test_set].begun
        since = now - begun
        self._assert(
            _COMMITTED_BY * self.hour <= since < _REVEALED_BY * self.hour, "not the time to reveal"
        )
        approves, score = opinion
        self._assert(score <= WHOLE, "score out of range")
        before = round_.opinions.get(validator, Opinion(0, None))
        fits = before.approves is None and round_.commitments.get(validator) == commitment
        self._assert(fits, "not what was committed")
        round_.opinions[validator] = before._replace(approves=approves, score=score)

    def close(self, name: bytes, now: int) -> Decision:
        """Decide, and return what the contract must be told and finds."""
        round_ = self.rounds[name]
        begun = self.sets[round_.test_set].begun
        over = begun and now >= begun + _REVEALED_BY * self.hour
        self._assert(bool(over), "not over yet")
        self._assert(round_.state is State.OPEN, "closed already")
        round_.state = State.CLOSED
        round_.decision = decide(list(round_.opinions.values()))
        return round_.decision

    def set_count(
        self, name: bytes, correct: int, executors: tuple[Address, Address], now: int
    ) -> None:
        """Take the count of two re-executors, as the Court hands it over."""
        round_ = self.rounds[name]
        self._assert(round_.state < State.GOOD, "finished already")
        row = self.sets[round_.test_set]
        deadline = round_.deadline
        if round_.attempts == 0:
            deadline = row.truth_at + (_CONTESTED_BY - _RESOLVED_IN) * self.hour
        self._assert(now < deadline, "too late to count")
        round_.counted, round_.executors = correct, executors
        if round_.attempts:
            round_.deadline = now + _RESOLVED_IN * self.hour

    def void_count(self, name: bytes, now: int) -> bool:
        """Take a wrong count back; whether others may count."""
        round_ = self.rounds[name]
        round_.counted = None
        round_.attempts += 1
        round_.deadline = now + _RECOUNTED_IN * self.hour
        return round_.attempts < _MAX_ATTEMPTS

    def finish(self, name: bytes, now: int, *, held: bool = False) -> State:
        """Say what the model is, when nothing can be contested any more."""
        round_ = self.rounds[name]
        row = self.sets[round_.test_set]
        self._assert(round_.state < State.GOOD, "finished already")
        state = State.VOID
        if not row.failed:
            self._assert(row.truth_at != 0 and not held, "not final yet")
            last = max(row.truth_at + _CONTESTED_BY * self.hour, round_.deadline)
            self._assert(now >= last, "not final yet")
            if round_.counted is not None:
                self._assert(round_.state is State.CLOSED, "close it first")
                bad = round_.counted <= bad_count(row.items, round_.tau - GUARD)
                state = State.BAD if bad else State.GOOD
        round_.state = state
        round_.finished_at = now
        row.open_rounds -= 1
        if state is State.VOID:
            self.obligations -= round_.budget
            round_.budget = 0
        else:
            part = round_.budget * _EXECUTOR_BPS // _BPS
            round_.budget -= 2 * part
            self.obligations -= 2 * part
        return state

    # --- Penalties and rewards ------------------------------------------------------------------

    def punish_silence(self, name: bytes, validator: Address, now: int) -> int:
        """Return what a validator that revealed nothing loses."""
        round_ = self.rounds[name]
        opinion = round_.opinions.get(validator)
        silent = opinion is not None and opinion.approves is None
        self._assert(silent, "nothing to punish")
        begun = self.sets[round_.test_set].begun
        self._assert(now >= begun + _REVEALED_BY * self.hour, "not over yet")
        assert opinion is not None
        return self._punish(round_, validator, opinion.bond // 100)

    def punish_approval(self, name: bytes, validator: Address) -> int:
        """Return what a validator that approved a bad model loses."""
        round_ = self.rounds[name]
        opinion = round_.opinions.get(validator)
        self._assert(round_.state is State.BAD, "nothing to punish")
        self._assert(opinion is not None and bool(opinion.approves), "nothing to punish")
        assert opinion is not None
        assert round_.decision is not None
        part = penalty_bps(round_.decision.in_favour, round_.decision.weight)
        return self._punish(round_, validator, opinion.bond * part // _BPS)

    def convict(self, name: bytes, validator: Address) -> int:
        """Return what a convicted validator loses: its bond, less what it lost already."""
        round_ = self.rounds[name]
        round_.convicted.add(validator)
        round_.weights.pop(validator, None)
        self.removed.add(validator)
        bond = round_.opinions[validator].bond
        if bond > self.taken[round_.model, validator]:
            return self._punish(round_, validator, bond)
        return 0

    def grade(self, name: bytes, validator: Address, now: int, *, accused: bool = False) -> None:
        """Count a validator's gain over the public's guess."""
        round_ = self.rounds[name]
        known = round_.state in (State.GOOD, State.BAD)
        self._assert(known, "no truth to grade by")
        self._assert(now < round_.finished_at + _RESOLVED_IN * self.hour, "grading is over")
        opinion = round_.opinions.get(validator, Opinion(0, None))
        self._assert(opinion.approves is not None, "nothing to grade")
        self._assert(validator not in round_.graded, "graded already")
        free = validator not in round_.convicted and not accused
        self._assert(free, "accused or convicted")
        round_.graded.add(validator)
        assert round_.counted is not None
        truth = round_.counted * WHOLE // self.sets[round_.test_set].items
        gains = self.gains[round_.issuer, validator]
        mean = gains.add(gain_of(round_.prior, opinion.score, truth))
        if mean:
            round_.weights[validator] = opinion.bond * mean

    def reward(self, name: bytes, validator: Address, now: int) -> int:
        """Return what a validator gets of the budget: rounded down, and the last all of it."""
        round_ = self.rounds[name]
        over = round_.finished_at and now >= round_.finished_at + _RESOLVED_IN * self.hour
        self._assert(bool(over), "grading is not over")
        weight = round_.weights.get(validator, 0)
        self._assert(weight != 0, "nothing to pay")
        amount = round_.budget * weight // sum(round_.weights.values())
        del round_.weights[validator]
        round_.budget -= amount
        self.obligations -= amount
        return amount

    def _punish(self, round_: RoundModel, validator: Address, penalty: int) -> int:
        before = self.taken[round_.model, validator]
        self._assert(penalty > before, "punished already")
        self.taken[round_.model, validator] = penalty
        return penalty - before

    @staticmethod
    def _assert(holds: bool, reason: str) -> None:
        if not holds:
            raise TransactionReverted("Approvals", f"approvals: {reason}")
