"""What each function does when it is let through, and who is let through."""

from __future__ import annotations

from dataclasses import dataclass, field

from tessera.diligence.behaviour.functions import Function
from tessera.diligence.behaviour.origins import TIME
from tessera.diligence.behaviour.runs import Paid, Run
from tessera.diligence.behaviour.scripts import FUND, Step
from tessera.diligence.behaviour.search import Stage
from tessera.diligence.behaviour.solutions import Gate, Solution
from tessera.diligence.behaviour.tracing import ARGUMENT

__all__ = ["Profile", "profile_all"]

_ATTEMPTS = 24
_LARGEST_SLOT = 1 << 64  # above are entries of mappings and arrays


@dataclass(frozen=True, slots=True)
class Profile:
    """One function that writes.

    Parameters
    ----------
    works
        A state was found in which it succeeds.
    gates
        Who had to be let through; empty where anybody is.
    written
        Places of the contract that it writes.
    paid
        Money that left the contract.
    own
        Changes of the accounts' balances of the token on trial.
    timed
        Whether a branch, or an amount paid, depends on the time.
    clocks
        Places that were held against the time.
    gave_up
        Whether an account's entry, other than its balance, was lowered: it had what it got.
    named
        Places among `written` whose new word comes from an argument: whoever calls says it.
    """

    function: Function
    works: bool
    gates: tuple[Gate, ...]
    written: frozenset[int]
    paid: tuple[Paid, ...] = ()
    own: dict[bytes, int] = field(default_factory=dict)
    timed: bool = False
    stopped: bool = False
    destroys: bool = False
    blind: frozenset[str] = frozenset()
    ether: bool = False
    named: frozenset[int] = frozenset()
    loads: frozenset[int] = frozenset()
    clocks: frozenset[int] = frozenset()
    gave_up: bool = False

    @property
    def gated(self) -> bool:
        """Whether not everybody is let through."""
        return bool(self.gates)


def profile_all(stage: Stage, into: dict[bytes, Profile]) -> None:
    """Put the profile of every function that may write `into`, by selector.

    Raises
    ------
    Exhausted
        The sandbox's time is spent; what was found until then is kept.
    """
    for function in stage.functions:
        if not function.reads_only:
            into[function.selector] = _profile(stage, function)


def _profile(stage: Stage, function: Function) -> Profile:
    cast = stage.cast
    value = FUND if function.mutability == "payable" else 0
    free = Step(function, cast.outsider, cast.first, value=value)
    solution = stage.solve([free], attempts=_ATTEMPTS)
    gates: tuple[Gate, ...] = ()
    if not solution.works:
        asked = Step(function, cast.owner, cast.first, value=value, open=False)
        opened = stage.solve([asked], attempts=_ATTEMPTS)
        gates = tuple(dict.fromkeys((*solution.gates, *opened.gates)))
        if opened.works or not solution.runs:
            solution = opened
        elif not solution.gated:
            gates = ()
    run = solution.runs[-1] if solution.runs else Run()
    return Profile(
        function=function,
        works=solution.works,
        gates=gates,
        written=frozenset(s.key for s in run.stores if s.address == stage.name and s.old != s.new),
        paid=tuple(p for p in run.paid if p.source == stage.name and p.amount),
        own=_own(solution),
        timed=any(
            origin is not None and TIME in origin.sources
            for origin in (*(b.origin for b in run.branches), *(p.amount_origin for p in run.paid))
        ),
        stopped=run.stopped,
        destroys=run.destroyed,
        blind=frozenset(run.blind),
        ether=function.mutability == "payable",
        gave_up=any(
            s.new < s.old
            and stage.keeper(s.key) is not None
            and (s.address, s.key) not in stage.base
            for s in run.stores
        ),
        clocks=_clocks(stage, run),
        loads=frozenset(load.key for load in run.loads if load.where == stage.name),
        named=frozenset(
            s.key
            for s in run.stores
            if s.address == stage.name
            and s.origin is not None
            and any(part.where == ARGUMENT for part in s.origin.fields)
        ),
    )


def _clocks(stage: Stage, run: Run) -> frozenset[int]:
    """Slots of whole words that were compared with the time."""
    return frozenset(
        part.key
        for branch in run.branches
        for comparison in (branch.origin.comparisons if branch.origin is not None else ())
        for one, other in (
            (comparison.left_origin, comparison.right_origin),
            (comparison.right_origin, comparison.left_origin),
        )
        if one is not None and other is not None and TIME in one.sources and len(other.fields) == 1
        for part in other.fields
        if part.where == stage.name and part.key < _LARGEST_SLOT
    )


def _own(solution: Solution) -> dict[bytes, int]:
    if not solution.outcomes:
        return {}
    return {
        account: changes["own"]
        for account, changes in solution.outcomes[-1].gained.items()
        if "own" in changes
    }
