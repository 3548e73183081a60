"""`Epochs.vy` again in plain Python: the order of epochs, bonds, questions, and who is owed what.

What the court recomputes is left out: `convict` and `answered` are told by whoever knows. The
token is left out too: what goes in and out is returned. What the contract reverts raises
`TransactionReverted` with the same string and changes nothing. Invariants `solvent`,
`settled_once`, `never_early`, `can_always_claim`; held against the contract by
`test_epoch_promises.py`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from tessera.errors import TransactionReverted
from tessera.spec.epochs.faults import COLUMNS, ROWS
from tessera.spec.epochs.inputs import MAX_ROWS
from tessera.spec.epochs.results import Header
from tessera.spec.signatures import Address

__all__ = ["CHALLENGER_PARTS", "ROUNDS", "EpochsModel", "Question", "Seen", "Terms"]

CHALLENGER_PARTS: Final = 5
"""The challenger of a void result gets one part in so many of its bond."""
ROUNDS: Final = 5
"""Rounds of questions that a challenge window has room for."""
ANSWERS: Final = 64
"""Questions that a poster is sure to find room for in one answer window."""
MAX_COLUMNS: Final = 4_096


@dataclass(frozen=True, slots=True)
class Terms:
    """What a deployment fixes; seconds, and base units of the network token."""

    bond: int
    fee: int
    post_window: int
    challenge_window: int
    answer_window: int
    reaction_window: int

    def __post_init__(self) -> None:
        rounds = ROUNDS * (self.answer_window + self.reaction_window)
        _require(
            self.answer_window != 0 and self.challenge_window >= rounds,
            "epochs: window too short for five rounds of questions",
        )
        _require(
            self.fee * ANSWERS >= self.bond // CHALLENGER_PARTS,
            "epochs: fee too low for the bond",
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """What Scores and Subnets say of an epoch."""

    rows: int
    columns: int
    closes_at: int
    digest: bytes
    rules: int


@dataclass(slots=True)
class Question:
    """Who asked for a part, and until when it must be shown."""

    requester: Address
    due: int


@dataclass(slots=True)
class _Post:
    digest: bytes
    poster: Address
    posted_at: int
    answered_at: int = 0
    open: int = 0


@dataclass(slots=True)
class _Subnet:
    next: int = 0
    last: int = 0
    carried: int = 0
    since: int = 0
    final_at: int = 0
    posts: dict[int, _Post] = field(default_factory=dict)
    attempts: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    questions: dict[tuple[int, int, int], Question] = field(default_factory=dict)


class EpochsModel:
    """All subnets' results, and the money that stands for them.

    Parameters
    ----------
    terms
        The deployment's.
    commons
        Who gets what a challenger does not.
    """

    def __init__(self, terms: Terms, commons: Address) -> None:
        self.terms = terms
        self.commons = commons
        self.subnets: defaultdict[int, _Subnet] = defaultdict(_Subnet)
        self.owed_of: defaultdict[Address, int] = defaultdict(int)
        self.obligations = 0

    def post(
        self, subnet: int, epoch: int, header: Header, seen: Seen, poster: Address, now: int
    ) -> bytes:
        """Take a result and its bond; the result's digest."""
        state = self._next(subnet, epoch)
        _require(now >= seen.closes_at, "epochs: inputs not fixed yet")
        _require(bool(seen.rows and seen.columns), "epochs: nothing to compute")
        _require(
            seen.rows <= MAX_ROWS and seen.columns <= MAX_COLUMNS,
            "epochs: too large to be challenged",
        )
        _require(header.inputs == seen.digest, "epochs: other inputs")
        _require(header.rules == seen.rules, "epochs: other rules")
        _require(header.previous == state.carried, "epochs: other last result")
        state.posts[epoch] = _Post(header.digest, poster, now)
        self.obligations += self.terms.bond
        return header.digest

    def finalize(self, subnet: int, epoch: int, now: int) -> None:
        """End an epoch with what was posted."""
        live = self._live(subnet, epoch)
        _require(live.open == 0, "epochs: a question is open")
        _require(now >= self.ends_at(subnet, epoch), "epochs: window still open")
        state = self.subnets[subnet]
        state.next = state.last = state.carried = epoch + 1
        state.since = state.final_at = now
        self.owed_of[live.poster] += self.terms.bond

    def skip(self, subnet: int, epoch: int, seen: Seen, now: int) -> None:
        """End an epoch with nothing."""
        state = self._next(subnet, epoch)
        _require(now >= seen.closes_at, "epochs: inputs not fixed yet")
        if seen.rows and seen.columns:
            late = max(seen.closes_at, state.since) + self.terms.post_window
            _require(now >= late, "epochs: still time to post")
            # Perhaps nobody has the last result's parts any more.
            state.carried = 0
        state.next, state.since = epoch + 1, now

    def convict(self, subnet: int, epoch: int, challenger: Address, now: int) -> None:
        """Void a result whose fault the court saw."""
        self._live(subnet, epoch)
        state = self.subnets[subnet]
        del state.posts[epoch]
        state.attempts[epoch] += 1
        state.since = now
        found = self.terms.bond // CHALLENGER_PARTS
        self.owed_of[challenger] += found
        self.owed_of[self.commons] += self.terms.bond - found

    def ask(
        self, subnet: int, epoch: int, part: int, seen: Seen, requester: Address, now: int
    ) -> None:
        """Ask for a part, for the fee."""
        live = self._live(subnet, epoch)
        _require(now < live.posted_at + self.terms.challenge_window, "epochs: too late to ask")
        _require(
            part < COLUMNS + seen.columns or ROWS <= part < ROWS + seen.rows,
            "epochs: no such part",
        )
        state = self.subnets[subnet]
        key = (epoch, state.attempts[epoch], part)
        _require(key not in state.questions, "epochs: asked already")
        state.questions[key] = Question(requester, now + self.terms.answer_window)
        live.open += 1
        self.obligations += self.terms.fee

    def answered(self, subnet: int, epoch: int, part: int, by: Address, now: int) -> None:
        """Close a question whose part the court saw; the fee is for who showed it."""
        live = self._live(subnet, epoch)
        state = self.subnets[subnet]
        key = (epoch, state.attempts[epoch], part)
        _require(key in state.questions, "epochs: nobody asked")
        del state.questions[key]
        live.open -= 1
        live.answered_at = now
        self.owed_of[by] += self.terms.fee

    def accuse(self, subnet: int, epoch: int, part: int, now: int) -> None:
        """Void a result of which a part was not shown in time."""
        self._live(subnet, epoch)
        state = self.subnets[subnet]
        question = state.questions.get((epoch, state.attempts[epoch], part))
        if question is None:
            raise TransactionReverted("Epochs", "epochs: nobody asked")
        _require(now > question.due, "epochs: still time to answer")
        self.convict(subnet, epoch, question.requester, now)

    def take_back(self, subnet: int, epoch: int, attempt: int, part: int) -> None:
        """Give a question's fee back, of a void result."""
        state = self.subnets[subnet]
        _require(attempt < state.attempts[epoch], "epochs: not void")
        question = state.questions.pop((epoch, attempt, part), None)
        if question is None:
            raise TransactionReverted("Epochs", "epochs: nobody asked")
        self.owed_of[question.requester] += self.terms.fee

    def collect(self, payee: Address) -> int:
        """Return what somebody is owed and now gets, base units."""
        amount = self.owed_of.pop(payee, 0)
        self.obligations -= amount
        return amount

    def settled(self, subnet: int, epoch: int) -> int:
        """0: not yet; 1: with a final result; 2: skipped."""
        state = self.subnets[subnet]
        if epoch >= state.next:
            return 0
        return 1 if epoch in state.posts else 2

    def ends_at(self, subnet: int, epoch: int) -> int:
        """When a live result can be final, if no question is open then."""
        live = self._live(subnet, epoch)
        reacted = live.answered_at + self.terms.reaction_window if live.answered_at else 0
        return max(live.posted_at + self.terms.challenge_window, reacted)

    def _next(self, subnet: int, epoch: int) -> _Subnet:
        state = self.subnets[subnet]
        _require(epoch == state.next, "epochs: not the next epoch")
        _require(epoch not in state.posts, "epochs: posted already")
        return state

    def _live(self, subnet: int, epoch: int) -> _Post:
        state = self.subnets[subnet]
        live = state.posts.get(epoch)
        if live is None or epoch != state.next:
            raise TransactionReverted("Epochs", "epochs: no live result")
        return live


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise TransactionReverted("Epochs", reason)
