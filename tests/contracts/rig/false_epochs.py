"""Results with one false number in them, and every challenge that can be tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from rig.epochs import EpochWorld, lying_tree, rebuilt
from tessera.spec.epochs import Challenge, EpochInputs, Former, PostedEpoch, Rules
from tessera.spec.epochs.faults import NO_HEADER
from tessera.spec.scores import LEAF_WIDTH
from tessera.spec.sum_trees import SumTree

RULES = st.builds(
    Rules,
    kappa=st.sampled_from([0, 1, 32_767, 32_767, 65_534, 65_535]),
    bonds_penalty=st.sampled_from([65_535, 65_535, 0, 6_554]),
    bonds_moving_average=st.sampled_from([900_000, 0, 1_000_000, 123_456]),
    yuma3=st.booleans(),
)
WEIGHT = st.sampled_from([0, 0, 1, 2, 3, 99, 40_000, 65_535])
STAKE = st.sampled_from([0, 1, 10**18, 3 * 10**18, 10**24, 2**85])


@st.composite
def epoch_inputs(
    draw: st.DrawFn, world: EpochWorld, number: int, former: Former | None, rules: Rules
) -> Any:
    """Draw a matrix of scores, who gave them with how much, and who withheld."""
    models = draw(st.integers(1, 5)) if former is None else len(former.kept)
    who = draw(st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True))
    weights = [draw(st.lists(WEIGHT, min_size=models, max_size=models)) for _ in who]
    stakes = [draw(STAKE) for _ in who]
    voids = draw(st.sets(st.integers(0, len(who) - 1), max_size=1))
    return world.inputs(
        weights, stakes, epoch=number, rules=rules, former=former, voids=voids, who=who
    )


def every_challenge(inputs: EpochInputs, posted: PostedEpoch) -> Iterator[Challenge]:
    """Yield every challenge there is against a result whose parts are all served."""
    stakes = list(posted.stakes or ())
    rows, columns = len(inputs.rows), inputs.columns
    for row in range(rows + 1):
        yield Challenge("challenge_stakes", (stakes, row))
    for of_columns, tree in ((True, posted.column_tree), (False, posted.row_tree)):
        for level in range(1, len(tree.levels)):
            below = tree.levels[level - 1]
            for index in range(len(below) // 2):
                stated = tree.levels[level][index].sum
                pair = below[2 * index : 2 * index + 2]
                yield Challenge(
                    "challenge_node",
                    (of_columns, level, index, *pair, stated, tree.path(index, level)),
                )
    last = inputs.former
    for uid in range(columns):
        call = posted.column_call(uid)
        header = NO_HEADER.call if last is None else last.posted.header.call
        old = (0, 0, [], ()) if last is None else last.posted.column_call(uid)
        yield Challenge(
            "challenge_column",
            (stakes, uid, call, posted.column_call(uid - 1), header, old),
        )
        for row in range(rows):
            shown = inputs.rows[row].row.shown(uid // LEAF_WIDTH)
            yield Challenge("challenge_entry", (uid, call, row, *shown))
    for row in range(rows):
        counted = posted.rows[row]
        assert counted is not None
        yield Challenge(
            "challenge_dividends",
            (stakes, row, *counted, posted.row_tree.path(row), posted.column_call(columns - 1)),
        )


def one_false(draw: Callable[..., Any], posted: PostedEpoch) -> PostedEpoch:
    """Change one number of a result, anywhere; all that states it follows."""
    change = draw(
        st.sampled_from(
            ["stake", "length", "sums", "node", "consensus", "rank", "cut", "row", "moved"]
            + ["word"] * 4
        )
    )
    stakes = list(posted.stakes or ())
    columns = [column for column in posted.columns if column is not None]
    rows = [row for row in posted.rows if row is not None]
    uid = draw(st.integers(0, len(columns) - 1))
    row = draw(st.integers(0, len(rows) - 1))
    bit = 1 << draw(st.integers(0, 39))
    if change == "stake":
        stakes[row] ^= bit << 40 * draw(st.integers(0, 4))
        return rebuilt(posted, stakes=tuple(stakes))
    if change == "length":
        longer = [*stakes, stakes[row]] if draw(st.booleans()) else stakes[:-1]
        return rebuilt(posted, stakes=tuple(longer))
    if change == "sums":
        return posted.restated(sums=posted.header.sums ^ bit << 64 * draw(st.integers(0, 2)))
    if change == "node":
        return _lying(draw, posted, bit)
    column = columns[uid]
    if change == "consensus":
        column = column._replace(consensus=column.consensus ^ bit)
    elif change == "rank":
        column = column._replace(rank=column.rank ^ bit)
    elif change == "cut":
        column = column._replace(words=column.words[:-32] if bit % 2 else column.words * 2)
    elif change == "word":
        at, lane = 32 * row, draw(st.integers(0, 159))
        word = int.from_bytes(column.words[at : at + 32], "big") ^ 1 << lane
        column = column._replace(
            words=column.words[:at] + word.to_bytes(32, "big") + column.words[at + 32 :]
        )
    elif change == "moved":
        other = draw(st.integers(0, len(columns) - 1))
        columns[uid], columns[other] = columns[other], columns[uid]
        return rebuilt(posted, columns=tuple(columns))
    else:
        active, counted = rows[row]
        which = draw(st.integers(0, 2))
        rows[row] = (
            (active ^ bit, counted) if which == 0 else (active, counted ^ bit << 128 * (which - 1))
        )
        return rebuilt(posted, rows=tuple(rows))
    columns[uid] = column
    return rebuilt(posted, columns=tuple(columns))


def _lying(draw: Callable[..., Any], posted: PostedEpoch, bit: int) -> PostedEpoch:
    """Let a node above the leaves state another sum."""
    of_columns = draw(st.booleans())
    tree: SumTree = posted.column_tree if of_columns else posted.row_tree
    if len(tree.levels) == 1:
        return posted
    level = draw(st.integers(1, len(tree.levels) - 1))
    index = draw(st.integers(0, len(tree.levels[level - 1]) // 2 - 1))
    lying = lying_tree(tree, level, index, tree.levels[level][index].sum ^ bit)
    top = lying.levels[-1][0]
    if of_columns:
        header = replace(posted.header, columns=top.digest, incentive=top.sum)
        return replace(posted, column_tree=lying, header=header)
    header = replace(posted.header, rows=top.digest, dividends=top.sum)
    return replace(posted, row_tree=lying, header=header)
