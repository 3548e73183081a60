"""Random small epochs: the court finds no fault in what the twin builds, and each one elsewhere."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from rig.contract import refused
from rig.effort import times
from rig.engines import Reverted
from rig.epochs import SUBNET, EpochWorld, Told
from rig.false_epochs import RULES, epoch_inputs, every_challenge, one_false
from rig.people import person

from tessera.spec.consensus.epoch import run_epoch
from tessera.spec.consensus.fixed import div
from tessera.spec.consensus.inputs import Parameters, Subnet
from tessera.spec.epochs import Former, PostedEpoch, find_fault
from tessera.spec.epochs.arithmetic import U40, WORD
from tessera.spec.epochs.faults import COLUMNS, ROWS, STAKES
from tessera.spec.epochs.results import carried

POSTER, CHALLENGER = person("poster"), person("challenger")
_KEPT: list[EpochWorld] = []


def _world() -> EpochWorld:
    if not _KEPT:
        world = EpochWorld()
        world.fund(POSTER)
        world.fund(CHALLENGER)
        _KEPT.append(world)
    return _KEPT[0]


def _after_another(draw: st.DataObject, world: EpochWorld) -> Told:
    """Settle a first epoch, mostly, and tell of the second; some models are new in it."""
    rules = draw.draw(RULES)
    first = world.tell(0, draw.draw(epoch_inputs(world, 0, None, rules)))
    if draw.draw(st.sampled_from([True, True, False])):
        world.settle(first, by=POSTER)
    else:
        return first
    models = draw.draw(st.integers(1, 5))
    kept = []
    for uid in range(models):
        same = uid < first.inputs.columns and draw.draw(st.booleans())
        world.appeared(uid, 1, 0 if same else 1)
        kept.append(same)
    former = Former(0, first.posted, tuple(row.validator for row in first.inputs.rows), tuple(kept))
    return world.tell(1, draw.draw(epoch_inputs(world, 1, former, rules)))


@times(0.15)
@given(draw=st.data())
def test_a_true_result_survives_every_challenge(draw: st.DataObject) -> None:
    world = _world()
    with world.engine.trial():
        told = _after_another(draw, world)
        assert find_fault(told.posted, told.inputs) is None
        world.post(told, by=POSTER)
        for challenge in every_challenge(told.inputs, told.posted):
            with refused("epoch_court: no fault"):
                world.send(told, told.posted.header, challenge, by=CHALLENGER)


@times(2)
@given(draw=st.data())
def test_one_false_number_is_found_and_proved(draw: st.DataObject) -> None:
    world = _world()
    with world.engine.trial():
        told = _after_another(draw, world)
        false = one_false(draw.draw, told.posted)
        assume(false.header != told.posted.header)
        challenge = find_fault(false, told.inputs)
        assert challenge is not None
        assert challenge.function != "ask"
        world.post(told, false, by=POSTER)
        world.send(told, false.header, challenge, by=CHALLENGER)
        assert world.epochs("digest_of", SUBNET, told.epoch) == bytes(32)
        assert world.epochs("owed_of", CHALLENGER.address) == world.terms.bond // 5


@times(1)
@given(draw=st.data())
def test_one_false_number_is_found_by_asking(draw: st.DataObject) -> None:
    """Of a result that nobody serves, questions and answers show the first false part, or a part
    that cannot be shown."""
    world = _world()
    with world.engine.trial():
        told = _after_another(draw, world)
        false = one_false(draw.draw, told.posted)
        assume(false.header != told.posted.header)
        world.post(told, false, by=POSTER)
        seen = PostedEpoch.unseen(false.header, len(told.inputs.rows), told.inputs.columns)
        asked: list[int] = []
        while (challenge := find_fault(seen, told.inputs)) and challenge.function == "ask":
            (part,) = challenge.arguments
            assert part not in asked
            asked.append(part)
            world.send(told, false.header, challenge, by=CHALLENGER)
            answer = _answer(false, part)
            try:
                world.judge(told.epoch, false.header, *answer, by=POSTER)
            except Reverted:
                world.wait(world.terms.answer_window + 1)
                world.epochs("accuse", SUBNET, told.epoch, part)
                break
            seen = _heard(seen, answer)
        else:
            assert challenge is not None
            world.send(told, false.header, challenge, by=CHALLENGER)
        assert len(asked) <= 1 + 4
        assert world.epochs("digest_of", SUBNET, told.epoch) == bytes(32)


def _answer(posted: PostedEpoch, part: int) -> tuple[Any, ...]:
    if part == STAKES:
        return ("show_stakes", list(posted.stakes or ()))
    if part >= ROWS:
        return ("show_row", *posted.validator_proof(part - ROWS))
    return ("show_column", part - COLUMNS, posted.column_call(part - COLUMNS))


def _heard(seen: PostedEpoch, answer: tuple[Any, ...]) -> PostedEpoch:
    function, *shown = answer
    if function == "show_stakes":
        return replace(seen, stakes=tuple(shown[0]))
    return seen.with_row(*shown) if function == "show_row" else seen.with_column(*shown)


@times(2)
@given(draw=st.data())
def test_what_is_posted_is_what_consensus_comes_to(draw: st.DataObject) -> None:
    """The parts that the court recomputes one at a time are those of an epoch computed at once."""
    world = _world()
    with world.engine.trial():
        told = _after_another(draw, world)
    inputs, posted = told.inputs, told.posted
    rows, uids = len(inputs.rows), len(inputs.rows) + inputs.columns
    result = run_epoch(
        _subnet(told),
        [
            *(
                [(rows + uid, weight) for uid, weight in enumerate(row.weights)]
                if not row.void
                else []
                for row in inputs.rows
            ),
            *([] for _ in range(inputs.columns)),
        ],
        [*_old_bonds(told), *([] for _ in range(inputs.columns))],
    )
    words = posted.stakes or ()
    assert result.stake[:rows] == tuple(word & U40 for word in words)
    assert result.active_stake[:rows] == tuple(word >> 40 & U40 for word in words)
    columns = [column for column in posted.columns if column is not None]
    assert result.consensus[rows:] == tuple(column.consensus for column in columns)
    total = posted.header.incentive
    assert result.incentive[rows:] == tuple(div(column.rank, total) for column in columns)
    counted = [row[1] for row in posted.rows if row is not None]
    earned = posted.header.dividends % 2**128
    assert result.validator_trust[:rows] == tuple(each >> 128 for each in counted)
    assert result.dividends[:rows] == tuple(div(each % 2**128, earned) for each in counted)
    stored = {
        (row, rows + uid): bond
        for uid, column in enumerate(columns)
        for row, bond in enumerate(np.frombuffer(column.words, dtype=WORD)["bond"].tolist())
        if bond
    }
    kept = {(row, uid): bond for row in range(uids) for uid, bond in result.bonds[row] if bond}
    assert kept == stored


def _subnet(told: Told) -> Subnet:
    """Models sit behind the validators; nobody is inactive, and everybody has a permit."""
    inputs, rules = told.inputs, told.inputs.rules
    rows, columns = len(inputs.rows), inputs.columns
    # Scaled down, exactly: consensus takes stakes below 2**63.
    stakes = [0 if row.void else Fraction(row.stake, 2**30) for row in inputs.rows]
    return Subnet(
        Parameters(
            kappa=rules.kappa,
            bonds_penalty=rules.bonds_penalty,
            bonds_moving_average=rules.bonds_moving_average,
            yuma3=rules.yuma3,
            max_validators=256,
        ),
        block=1_000,
        emission=0,
        stake=(*stakes, *[0] * columns),
        permit=(True,) * rows + (False,) * columns,
        last_update=(999,) * (rows + columns),
        registered=(1,) * (rows + columns),
        last_step_block=500,
    )


def _old_bonds(told: Told) -> list[list[tuple[int, int]]]:
    inputs = told.inputs
    former = inputs.former
    bonds: list[list[tuple[int, int]]] = [[] for _ in inputs.rows]
    for uid in range(inputs.columns) if former is not None else ():
        assert former is not None
        column = former.posted.columns[uid] if former.kept[uid] else None
        for row, place in enumerate(carried(inputs)):
            if column is not None and place:
                bond = int(np.frombuffer(column.words, dtype=WORD)["bond"][place - 1])
                bonds[row].append((len(inputs.rows) + uid, bond))
    return bonds
