"""The scheduler alone: parts of a full model, in calls and in units, without clock or loop."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.serving.fairness import FairQueue, QueueRules, Ticket


def queue(
    locked: Mapping[object, float] | None = None, *, at_once: int = 1, **rules: int
) -> FairQueue:
    parts = locked or {}
    return FairQueue(at_once, QueueRules(**rules), lambda payer: parts.get(payer, 0.0))


def served(
    fair: FairQueue,
    backlog: Mapping[str, int],
    calls: int,
    *,
    most: Mapping[str, int] | None = None,
    spent: Mapping[str, int] | None = None,
    seed: int = 0,
) -> Counter[str]:
    """Serve so many calls to payers who ask again whenever one of theirs has begun."""
    chance = random.Random(seed)
    most, spent = most or {}, spent or {}
    running: list[Ticket] = []
    done: Counter[str] = Counter()
    for payer, number in backlog.items():
        for _ in range(number):
            ticket, _ = fair.enter(payer, most.get(payer, 1))
            if ticket is not None and ticket.serving:
                running.append(ticket)
    for _ in range(calls):
        ended = running.pop(chance.randrange(len(running)))
        payer = str(ended.flow.payer)
        done[payer] += 1
        fair.leave(ended, spent.get(payer, 1))
        begun = fair.next()
        assert begun is not None
        running.append(begun)
        fair.enter(str(begun.flow.payer), most.get(str(begun.flow.payer), 1))
    return done


@pytest.mark.parametrize("at_once", [1, 4])
def test_ten_times_the_stake_is_ten_times_the_calls(at_once: int) -> None:
    fair = queue({"large": 0.10, "small": 0.01}, at_once=at_once)
    done = served(fair, {"large": 20, "small": 20, "nobody": 20}, 6_000)
    assert done["large"] / done["small"] == pytest.approx(10, rel=0.02)
    # What is kept for those without shares: one call in twenty.
    assert done["nobody"] / 6_000 == pytest.approx(0.05, rel=0.03)


def test_small_stakes_weigh_against_those_without_any_in_proportion() -> None:
    fair = queue({"large": 0.0010, "small": 0.0001})
    done = served(fair, {"large": 20, "small": 20, "nobody": 20}, 6_000)
    assert done["large"] / done["nobody"] == pytest.approx(10, rel=0.02)
    assert done["small"] / done["nobody"] == pytest.approx(1, rel=0.02)


def test_nobody_starves_beside_whoever_locked_everything() -> None:
    strangers = {f"stranger-{n}": 2 for n in range(5)}
    done = served(queue({"whale": 1.0}), {"whale": 40, **strangers}, 4_000)
    assert sum(done[name] for name in strangers) == pytest.approx(200, rel=0.05)
    assert min(done[name] for name in strangers) >= 35


def test_a_holder_of_a_crumb_is_never_worse_off_than_one_without() -> None:
    done = served(
        queue({"whale": 0.9, "crumb": 1e-9}), {"whale": 20, "crumb": 5, "nobody": 5}, 4_000
    )
    assert done["crumb"] >= done["nobody"] - 2


def test_strangers_in_any_number_leave_a_holder_his_part_of_the_supply() -> None:
    """Accounts without shares cost next to nothing. However many ask at once, whoever locked 5 %
    of the supply keeps 5 % of the model: a queue holds far fewer of them than 10,000."""
    strangers = {f"stranger-{n}": 1 for n in range(245)}
    done = served(queue({"holder": 0.05}), {"holder": 10, **strangers}, 3_000)
    assert done["holder"] / 3_000 >= 0.05


def test_units_are_shared_and_not_calls() -> None:
    done = served(queue(), {"long": 10, "short": 10}, 4_400, most={"long": 10}, spent={"long": 10})
    assert done["short"] / done["long"] == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize("at_once", [1, 3])
def test_whoever_allows_long_answers_and_gets_short_ones_loses_nothing(at_once: int) -> None:
    fair = queue(at_once=at_once)
    done = served(fair, {"generous": 10, "exact": 10}, 4_000, most={"generous": 4_096})
    assert done["generous"] / done["exact"] == pytest.approx(1, rel=0.02)


def test_use_of_an_empty_model_is_never_held_against_anybody() -> None:
    fair = queue()
    for _ in range(1_000):
        ticket, _ = fair.enter("regular", 5)
        assert ticket is not None
        fair.leave(ticket, 5)
    done = served(fair, {"regular": 5, "newcomer": 5}, 100)
    assert abs(done["regular"] - done["newcomer"]) <= 1


def test_time_without_calls_earns_no_credit() -> None:
    fair = queue(at_once=2)
    first, _ = fair.enter("late", 1)
    done = served(fair, {"steady": 5}, 500)
    assert first is not None
    fair.leave(first, 1)
    for _ in range(200):
        fair.enter("late", 1)
    before = done["steady"]
    running = [ticket for _ in range(1) if (ticket := fair.next()) is not None]
    after: Counter[str] = Counter()
    for _ in range(100):
        ended = running.pop()
        fair.leave(ended, 1)
        begun = fair.next()
        assert begun is not None
        running.append(begun)
        after[str(begun.flow.payer)] += 1
        fair.enter(str(begun.flow.payer), 1)
    assert before == 500
    assert after["steady"] >= 45


def test_a_full_queue_takes_from_whoever_has_most_waiting_for_his_weight() -> None:
    fair = queue({"holder": 0.001}, length=20)
    for _ in range(21):
        fair.enter("greedy", 1)
    refused, out = fair.enter("greedy", 1)
    assert (refused, out) == (None, None)
    let_in, out = fair.enter("stranger", 1)
    assert let_in is not None
    assert out is not None
    assert out.flow.payer == "greedy"
    for _ in range(12):
        let_in, out = fair.enter("holder", 1)
        assert let_in is not None
        assert out is not None
        assert out.flow.payer == "greedy"
    assert fair.waiting == 20
    assert fair.waiting_of("stranger") == 1


def test_a_newcomer_finds_a_place_in_a_queue_that_holders_filled() -> None:
    """His weight is what it will be beside them once he waits, not what it would be alone."""
    fair = queue({"large": 0.10, "small": 0.01}, length=20)
    for _ in range(11):
        fair.enter("large", 1)
    for _ in range(10):
        fair.enter("small", 1)
    let_in, out = fair.enter("nobody", 1)
    assert let_in is not None
    assert out is not None
    assert out.flow.payer == "small"


def test_a_stake_counts_from_the_moment_that_it_is_known() -> None:
    parts: dict[object, float] = {}
    fair = FairQueue(1, QueueRules(), lambda payer: parts.get(payer, 0.0))
    assert served(fair, {"holder": 10, "other": 10}, 100)["holder"] in range(49, 52)
    parts["holder"] = 0.0010
    begun = [t for t in (fair.next(),) if t is not None]
    assert not begun
    assert fair.weight("holder") == pytest.approx(10)


def test_the_estimate_of_a_turn_grows_with_the_queue_and_shrinks_with_the_stake() -> None:
    fair = queue({"holder": 0.01})
    for _ in range(50):
        fair.enter("one", 1)
        fair.enter("two", 1)
    assert fair.ahead_of("holder") < fair.ahead_of("newcomer") < fair.ahead_of("one")
    assert fair.ahead_of("one") <= fair.waiting


calls = st.lists(
    st.tuples(
        st.sampled_from(["enter", "enter", "next", "leave", "abandon"]),
        st.integers(0, 5),
        st.integers(1, 50),
    ),
    max_size=200,
)


@given(calls, st.integers(1, 3))
def test_counts_stay_true_whatever_happens(steps: list[tuple[str, int, int]], at_once: int) -> None:
    fair = queue({0: 0.5, 1: 0.001, 2: 1e-6}, at_once=at_once, length=8)
    waiting: list[Ticket] = []
    serving: list[Ticket] = []
    for step, payer, units in steps:
        match step:
            case "enter":
                ticket, out = fair.enter(payer, units)
                if out is not None:
                    waiting.remove(out)
                if ticket is not None:
                    (serving if ticket.serving else waiting).append(ticket)
            case "next":
                ticket = fair.next()
                if ticket is not None:
                    waiting.remove(ticket)
                    serving.append(ticket)
                else:
                    assert not waiting or len(serving) == at_once
            case "leave" if serving:
                fair.leave(serving.pop(units % len(serving)), units)
            case "abandon" if waiting:
                fair.abandon(waiting.pop(units % len(waiting)))
        assert (fair.waiting, fair.serving) == (len(waiting), len(serving))
        assert fair.serving <= at_once
        assert fair.waiting <= 8
        stakes = {t.flow.payer: t.flow.stake for t in waiting}
        assert fair._open == sum(stake == 0 for stake in stakes.values())
        assert fair._stakes == pytest.approx(sum(stakes.values()), abs=1e-6)
    while serving or waiting:
        for ticket in serving:
            fair.leave(ticket, 1)
        serving.clear()
        while (ticket := fair.next()) is not None:
            waiting.remove(ticket)
            serving.append(ticket)
    assert not fair._flows
