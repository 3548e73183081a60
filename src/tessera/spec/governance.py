"""`Governor.vy` again in plain Python: locks, votes, the timeline of a proposal, and its count.

One model is the governance of one asset. Times are unix seconds, weights raw shares. What the
contract refuses the model refuses with the same words. Invariants `never_early`,
`can_always_claim`; held against the contract by `test_governance_matches_spec.py` and by the
machine `GovernancePromises`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from tessera.errors import TransactionReverted
from tessera.spec.accruals import AccrualsModel
from tessera.spec.signatures import Address
from tessera.units import BPS

__all__ = [
    "PROPOSER_BPS",
    "QUORUM_BPS",
    "Answer",
    "GovernanceModel",
    "Lock",
    "Proposal",
    "Rules",
    "State",
    "needed_votes",
    "passed",
    "state_at",
]

QUORUM_BPS: Final = 2_000
"""Yes votes, as a part of the shares that could have voted."""
PROPOSER_BPS: Final = 100
"""What a proposer must have locked, as a part of the supply."""


class State(Enum):
    """Where a proposal is; numbered as the contract's flag is."""

    VOTING = 1
    DEFEATED = 2
    WAITING = 4
    READY = 8
    EXECUTED = 16
    CANCELLED = 32
    EXPIRED = 64


_OPEN: Final = frozenset({State.VOTING, State.WAITING, State.READY})


class Answer(Enum):
    """What a lock said about a proposal."""

    NOTHING = 0
    NO = 1
    YES = 2
    LET_GO = 3


@dataclass(frozen=True, slots=True)
class Rules:
    """The windows of a deployment, in seconds.

    Attributes
    ----------
    min_lock
        Shares stay locked at least this long.
    voting_time, timelock, exit_delay, execution_window
        One behind the other; the exit delay only for what leaves less to the holders.
    """

    min_lock: int
    voting_time: int
    timelock: int
    exit_delay: int
    execution_window: int


@dataclass(slots=True)
class Lock:
    """Shares of one owner, locked at one time.

    Attributes
    ----------
    owner, amount, since
        Who, raw shares, and when.
    votes_end
        The last end of a vote that it took part in.
    backing
        Proposals that it said yes to and that did not let it go.
    """

    owner: Address
    amount: int
    since: int
    votes_end: int = 0
    backing: int = 0


@dataclass(slots=True)
class Proposal:
    """One proposal.

    Attributes
    ----------
    proposer, action, proposed_at, grave
        What was put to the vote, by whom and when; grave takes two thirds of the supply.
    supply, counted
        Raw shares there are, and the most that were seen able to vote.
    yes, no
        Raw shares.
    executed, cancelled
        How it ended, if it did.
    answers
        By number of the lock.
    """

    proposer: Address
    action: Hashable
    proposed_at: int
    grave: bool
    supply: int
    counted: int
    yes: int = 0
    no: int = 0
    executed: bool = False
    cancelled: bool = False
    answers: dict[int, Answer] = field(default_factory=dict)


def needed_votes(proposal: Proposal) -> int:
    """Return the yes votes that a proposal needs at least, in raw shares rounded up."""
    needed = -(-proposal.counted * QUORUM_BPS // BPS)
    return max(needed, -(-proposal.supply * 2 // 3)) if proposal.grave else needed


def passed(proposal: Proposal) -> bool:
    """Say whether the votes suffice: more yes than no, the quorum, and two thirds where grave."""
    return proposal.yes > proposal.no and proposal.yes >= needed_votes(proposal)


def state_at(proposal: Proposal, rules: Rules, now: int) -> State:
    """Say where a proposal is; nothing but the clock and the votes decides."""
    if proposal.executed:
        return State.EXECUTED
    if proposal.cancelled:
        return State.CANCELLED
    voting_ends = proposal.proposed_at + rules.voting_time
    if now < voting_ends:
        return State.VOTING
    if not passed(proposal):
        return State.DEFEATED
    executable_from = voting_ends + rules.timelock
    if proposal.grave:
        executable_from += rules.exit_delay
    if now < executable_from:
        return State.WAITING
    return State.READY if now < executable_from + rules.execution_window else State.EXPIRED


class GovernanceModel:
    """The governance of one asset.

    Parameters
    ----------
    rules
        Of the deployment.
    supply
        Raw shares.

    Attributes
    ----------
    locks, proposals
        By number, from 1.
    locked
        Raw shares by owner.
    accruals
        Revenue of the locked shares.
    treasury
        Base units that a vote may pay out.
    """

    def __init__(self, rules: Rules, supply: int) -> None:
        self.rules = rules
        self.supply = supply
        self.locks: dict[int, Lock] = {}
        self.proposals: dict[int, Proposal] = {}
        self.locked: defaultdict[Address, int] = defaultdict(int)
        self.accruals = AccrualsModel()
        self.treasury = 0
        self._lock_count = 0
        self._last: dict[Address, int] = {}

    @property
    def locked_total(self) -> int:
        """All raw shares that are locked."""
        return sum(self.locked.values())

    def state(self, number: int, now: int) -> State:
        """Say where a proposal is."""
        proposal = self.proposals.get(number)
        if proposal is None:
            raise _refused("no such proposal")
        return state_at(proposal, self.rules, now)

    # --- Locks -----------------------------------------------------------------------------------

    def lock(self, owner: Address, amount: int, now: int, *, revenue: int) -> int:
        """Lock shares; `revenue` is what the Share would pay the contract now."""
        if amount == 0:
            raise _refused("nothing to lock")
        self._settle(owner, revenue)
        self._lock_count += 1
        self.locked[owner] += amount
        self.locks[self._lock_count] = Lock(owner, amount, now)
        return self._lock_count

    def unlock(
        self, owner: Address, number: int, now: int, *, revenue: int, backed: Sequence[int] = ()
    ) -> int:
        """Give a lock's shares back; `backed` proposals that are over let it go first."""
        lock = self._own(owner, number)
        let_go = self._over(number, now, backed)
        if now < lock.since + self.rules.min_lock:
            raise _refused("locked too short a time")
        if now < lock.votes_end:
            raise _refused("a vote of this lock is not over")
        if lock.backing != len(let_go):
            raise _refused("a proposal of this lock is not over")
        for each in let_go:
            self.proposals[each].answers[number] = Answer.LET_GO
        self._settle(owner, revenue)
        self.locked[owner] -= lock.amount
        del self.locks[number]
        return lock.amount

    def let_go(self, number: int, now: int, backed: Sequence[int]) -> None:
        """Free a lock of proposals that are over; there may be more than `unlock` takes at once."""
        for each in self._over(number, now, backed):
            self.proposals[each].answers[number] = Answer.LET_GO
            self.locks[number].backing -= 1

    def _over(self, number: int, now: int, backed: Sequence[int]) -> list[int]:
        """Return the proposals, once it is sure that the lock said yes to each and each is over."""
        over: list[int] = []
        for each in backed:
            if self.state(each, now) in _OPEN:
                raise _refused("the proposal is not over")
            if self.proposals[each].answers.get(number) is not Answer.YES or each in over:
                raise _refused("the lock does not back it")
            over.append(each)
        return over

    def claim(self, owner: Address, *, revenue: int) -> int:
        """Pay what the owner's locked shares earned; base units, rounded down."""
        self._settle(owner, revenue)
        return self.accruals.take(owner)

    def _settle(self, owner: Address, revenue: int) -> None:
        self.accruals.pull(revenue, self.locked_total)
        self.accruals.settle(owner, self.locked[owner])

    def _own(self, owner: Address, number: int) -> Lock:
        lock = self.locks.get(number)
        if lock is None or lock.owner != owner:
            raise _refused("not the caller's lock")
        return lock

    # --- Proposals -------------------------------------------------------------------------------

    def propose(
        self, proposer: Address, action: Hashable, now: int, *, grave: bool, could_vote: int
    ) -> int:
        """Put an action to the vote; `could_vote` are the raw shares that could now."""
        if self.locked[proposer] * BPS < self.supply * PROPOSER_BPS:
            raise _refused("too few shares locked to propose")
        last = self._last.get(proposer)
        if last is not None and self.state(last, now) in _OPEN:
            raise _refused("the caller's last proposal is open")
        number = len(self.proposals) + 1
        self.proposals[number] = Proposal(proposer, action, now, grave, self.supply, could_vote)
        self._last[proposer] = number
        return number

    def observe(self, number: int, now: int, *, could_vote: int) -> int:
        """Count who could vote now; the most is what the quorum is a part of."""
        if self.state(number, now) is not State.VOTING:
            raise _refused("not being voted on")
        proposal = self.proposals[number]
        proposal.counted = max(proposal.counted, could_vote)
        return proposal.counted

    def vote(
        self,
        voter: Address,
        number: int,
        support: bool,
        locks: Sequence[int],
        now: int,
        *,
        could_vote: int,
    ) -> int:
        """Vote with locks that are older than the proposal, each once; return their weight."""
        if self.state(number, now) is not State.VOTING:
            raise _refused("not being voted on")
        proposal = self.proposals[number]
        for place, each in enumerate(locks):
            lock = self._own(voter, each)
            if lock.since >= proposal.proposed_at:
                raise _refused("the lock is not older than the proposal")
            if each in proposal.answers or each in locks[:place]:
                raise _refused("the lock voted already")
        weight = sum(self.locks[each].amount for each in locks)
        if weight == 0:
            raise _refused("a vote without a lock")
        self.observe(number, now, could_vote=could_vote)
        for each in locks:
            lock = self.locks[each]
            lock.votes_end = max(lock.votes_end, proposal.proposed_at + self.rules.voting_time)
            lock.backing += support
            proposal.answers[each] = Answer.YES if support else Answer.NO
        if support:
            proposal.yes += weight
        else:
            proposal.no += weight
        return weight

    def cancel(self, caller: Address, number: int, now: int) -> None:
        """Take a proposal back."""
        if self.state(number, now) not in _OPEN:
            raise _refused("the proposal is over")
        if self.proposals[number].proposer != caller:
            raise _refused("only the proposer")
        self.proposals[number].cancelled = True

    def execute(self, number: int, action: Hashable, now: int, *, grave: bool) -> None:
        """Mark a proposal executed; `grave` is whether its action would be grave by now."""
        state = self.state(number, now)
        if state is State.EXECUTED:
            raise _refused("executed already")
        if state is not State.READY:
            raise _refused("not to be executed now")
        proposal = self.proposals[number]
        if proposal.action != action:
            raise _refused("not what was voted for")
        if grave and not proposal.grave:
            raise _refused("takes two thirds by now; propose it again")
        proposal.executed = True

    # --- Treasury --------------------------------------------------------------------------------

    def deposit(self, amount: int) -> int:
        """Put base units into the treasury."""
        self.treasury += amount
        return amount

    def pay(self, amount: int) -> int:
        """Pay base units out, as an executed proposal says."""
        if amount > self.treasury:
            raise _refused("treasury too low")
        self.treasury -= amount
        return amount


def _refused(reason: str) -> TransactionReverted:
    return TransactionReverted("Governor", f"governor: {reason}")
