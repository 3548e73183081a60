"""Rounds of approvals: what committer, issuer and validators send, and what anybody may.

Everything that is committed to lies sealed in the data folder first, so each function may be called
again after any end, and goes on where it was. What the chain refuses raises `TransactionReverted`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tessera.app.judging import (
    assignment,
    check_pool_of,
    check_round_task,
    folder_of,
    set_of,
    situation,
)
from tessera.app.spending import spend
from tessera.app.world import World
from tessera.chain.sender import Sender
from tessera.errors import Conflict, InputError, NotFound, TransactionReverted
from tessera.spec.approvals import (
    GUARD,
    Opinion,
    commitment_of,
    decide,
    model_name,
    round_name,
    set_name,
)
from tessera.spec.bad_counts import bad_count
from tessera.spec.signatures import ZERO_ADDRESS_TEXT, address_of
from tessera.validation import sealed
from tessera.validation.agenda import Stage, Step, steps
from tessera.validation.approving import approval_of, environment_of
from tessera.validation.endpoints import Endpoint
from tessera.validation.hidden import HiddenSet, check_pool
from tessera.validation.kinds.scoring import Item
from tessera.validation.report import ModelName, build_report, check_against
from tessera.validation.running import USUAL, Limits, Progress, items_to_ask, run
from tessera.validation.situation import Situation
from tessera.validation.statements import SealedSet, Statement, fresh
from tessera.validation.task import Benchmark

__all__ = [
    "advance",
    "commit",
    "commit_set",
    "execute",
    "hidden_kept",
    "open_round",
    "places_due",
    "possible",
    "reveal",
    "reveal_truth",
    "show",
    "situation",
    "statement_kept",
    "supply",
]

_NONE: Final = bytes(32)


# --- The committer ------------------------------------------------------------------------------


async def commit_set(
    world: World,
    sender: Sender,
    pool: Benchmark,
    hidden: Sequence[Item],
    *,
    pledge: int,
    until: int,
    uri: str = "",
) -> bytes:
    """Commit to hidden items, and return the test set's id.

    Called again for the same items and pool it goes on with what was sealed: the same salts, and
    the same set where it is on the chain or may still come there, whatever `until` says now.

    Parameters
    ----------
    pool
        What validators are given items of.
    hidden
        From `hidden.open_hidden`.
    pledge
        Network tokens that cover the bonds of all validators whom the set can cost, base units.
    until
        Unix seconds at which submissions end.
    uri
        Where the pool is.
    """
    check_pool(pool)
    approvals = world.deployment.approvals
    chain_id = world.reader.chain_id
    items = [dict(item) for item in hidden]
    about = HiddenSet.of(hidden, _NONE).tree.root
    name = sealed.name_of(
        "hidden", chain_id, approvals.address, about, pool.items_root, sender.address
    )
    try:
        found = await asyncio.to_thread(sealed.kept, folder_of(world), name, SealedSet, "test set")
        if await _is_there(world, _named(found, sender.address)):
            return _named(found, sender.address)
        if found.until <= world.now():
            # What was sent with that time can do nothing any more; else it may still be on its
            # way, and another time would be another set, with a pledge of its own.
            found = SealedSet(found.secret, until, pool.items_root, items)
    except NotFound:
        found = SealedSet(fresh(), until, pool.items_root, items)
    await asyncio.to_thread(sealed.keep, folder_of(world), name, found)
    made, named = HiddenSet.of(hidden, found.secret), _named(found, sender.address)
    by_id = sealed.name_of("set", chain_id, approvals.address, named)
    await asyncio.to_thread(sealed.keep, folder_of(world), by_id, found)
    await spend(world, sender, approvals.address, pledge, "the pledge")
    await sender.send(
        approvals.commit_set(
            made.tree.root, len(items), pool.items_root, len(pool.items), pledge, found.until, uri
        )
    )
    return named


def _named(found: SealedSet, committer: str) -> bytes:
    root = HiddenSet.of(found.items, found.secret).tree.root
    return set_name(address_of(committer), root, found.pool, found.until)


async def _is_there(world: World, name: bytes) -> bool:
    row = await world.reader.read(world.deployment.approvals.set_of(name))
    return row.committer != ZERO_ADDRESS_TEXT


async def hidden_kept(world: World, test_set: bytes) -> HiddenSet:
    """Return the hidden items of a set that was committed to from this data folder.

    Raises
    ------
    NotFound
        It was not.
    """
    there = world.deployment.approvals.address
    name = sealed.name_of("set", world.reader.chain_id, there, test_set)
    found = await asyncio.to_thread(
        sealed.kept, folder_of(world), name, SealedSet, f"test set 0x{test_set.hex()}"
    )
    return HiddenSet.of(found.items, found.secret)


async def reveal_truth(world: World, sender: Sender, test_set: bytes, uri: str) -> HiddenSet:
    """Tell where the hidden items are; serve `hidden.write_truth` of what this returns there.

    Raises
    ------
    NotFound
        They are not sealed here.
    """
    hidden = await hidden_kept(world, test_set)
    if not (await set_of(world, test_set)).truth_at:
        await sender.send(world.deployment.approvals.reveal_truth(test_set, uri))
    return hidden


async def supply(world: World, sender: Sender, test_set: bytes) -> list[int]:
    """Show on the chain the hidden items that somebody demanded; return which."""
    hidden, found = await hidden_kept(world, test_set), await situation(world, test_set)
    for index in found.demands:
        salt, content, proof = hidden.shown(index)
        call = world.deployment.court.supply(test_set, index, salt, content, _NONE, proof)
        await sender.send(call)
    return list(found.demands)


# --- The issuer ---------------------------------------------------------------------------------


async def open_round(
    world: World,
    sender: Sender,
    test_set: bytes,
    task: Benchmark,
    *,
    asset: int,
    version: int,
    tau: int,
    prior: int,
    budget: int = 0,
    cap: int = 0,
) -> bytes:
    """Submit a version of an asset to a test set, and return the round's id.

    Proves first, where nobody did, how few right answers show that a model is bad.

    Parameters
    ----------
    sender
        The asset's owner or controller.
    task
        The set's public pool, as a benchmark: what else decides the answers is hashed from it.
    tau, prior
        Accuracy that it must reach, and that the public expects; millionths.
    budget
        Network tokens for rewards; `cap` is what shares may be sold for on the approval, base
        units of the currency.

    Raises
    ------
    Conflict
        The set's pool is another benchmark.
    """
    approvals = world.deployment.approvals
    row = await set_of(world, test_set)
    check_pool_of(row, task)
    environment = environment_of(task)
    content = await world.reader.read(world.deployment.registry.root_of(asset, version))
    name = round_name(test_set, asset, version, model_name(content, environment))
    if (await world.reader.read(approvals.round_of(name))).test_set != _NONE:
        return name
    counts, least = world.deployment.bad_counts, tau - GUARD
    if least <= 0:
        raise InputError("tau", found=tau, wanted=f"above {GUARD} millionths")
    if not await world.reader.read(counts.known(row.items, least)):
        shown = await asyncio.to_thread(bad_count, row.items, least)
        await sender.send(counts.prove(row.items, least, shown))
    await spend(world, sender, approvals.address, budget, "the rewards")
    await sender.send(
        approvals.open_round(test_set, asset, version, environment, tau, prior, cap, budget)
    )
    return name


# --- A validator --------------------------------------------------------------------------------


async def execute(
    world: World,
    round_: bytes,
    validator: str,
    task: Benchmark,
    endpoint: Endpoint,
    model: ModelName,
    *,
    journal: Path | None = None,
    limits: Limits = USUAL,
    progress: Progress = lambda _done, _all: None,
) -> dict[str, Any]:
    """Run a validator's items on a model, and return the report.

    Parameters
    ----------
    validator
        Address.
    journal
        Written while it runs; one that is there is gone on from.
    """
    await check_round_task(world, round_, task)
    draw = await assignment(world, round_, validator)
    numbers = items_to_ask(task, draw)
    about = f"round 0x{round_.hex()} {model.name} {model.content_root}"
    done = await run(
        task, numbers, endpoint, about=about, journal=journal, limits=limits, progress=progress
    )
    return await build_report(task, model, done.measured, draw=draw, run={"why": done.why})


async def commit(
    world: World, sender: Sender, round_: bytes, report: dict[str, Any], task: Benchmark
) -> Statement:
    """Check a report against round and benchmark, seal what follows from it, and commit to that.

    Raises
    ------
    ReportWrong
        The report is about other items, or contradicts itself.
    Conflict
        Another statement was sealed for this round: it may be committed to, so only it can be
        revealed.
    """
    row = await check_round_task(world, round_, task)
    await check_against(report, task, round_=round_)
    draw = await assignment(world, round_, sender.address)
    said = report["core"]["draw"]
    if said is None or said["validator"] != "0x" + draw.validator.hex():
        raise Conflict(
            "report", found=f"items of {said and said['validator']}",
            wanted=f"those of {sender.address}",
        )  # fmt: skip
    if said["seed"] != "0x" + draw.seed.hex():
        raise Conflict("report", found=f"seed {said['seed']}", wanted=f"0x{draw.seed.hex()}")
    made = approval_of(report, task, threshold=row.tau)
    outputs = [(place, item, output) for place, (item, output) in sorted(made.leaves.items())]
    name = _statement_name(world, round_, sender.address)
    try:
        found = await statement_kept(world, round_, sender.address)
        if (found.approve, found.score, found.outputs) != (made.approve, made.score, outputs):
            raise Conflict(
                f"round 0x{round_.hex()}", found="another statement that was sealed",
                wanted="the same outputs",
                next_step=f"reveal that one; it is in {folder_of(world) / name}",
            )  # fmt: skip
    except NotFound:
        found = Statement(made.approve, made.score, fresh(), outputs)
        await asyncio.to_thread(sealed.keep, folder_of(world), name, found)
    approvals = world.deployment.approvals
    commitment = commitment_of(
        round_,
        address_of(sender.address),
        approve=found.approve,
        score=found.score,
        root=found.tree.root,
        salt=found.salt,
        chain_id=world.reader.chain_id,
        approvals=address_of(approvals.address),
    )
    if not await world.reader.read(approvals.bond_behind(round_, sender.address)):
        await sender.send(approvals.commit(round_, commitment))
    return found


def _statement_name(world: World, round_: bytes, validator: str) -> str:
    there = world.deployment.approvals.address
    return sealed.name_of("statement", world.reader.chain_id, there, round_, validator)


async def statement_kept(world: World, round_: bytes, validator: str) -> Statement:
    """Return a validator's statement that was sealed in this data folder.

    Raises
    ------
    NotFound
        None was.
    """
    name = _statement_name(world, round_, validator)
    about = f"statement in round 0x{round_.hex()}"
    return await asyncio.to_thread(sealed.kept, folder_of(world), name, Statement, about)


async def reveal(world: World, sender: Sender, round_: bytes, uri: str) -> Statement:
    """Show what was committed; serve the report at the address that is named.

    Raises
    ------
    NotFound
        No statement was sealed here.
    """
    approvals = world.deployment.approvals
    found = await statement_kept(world, round_, sender.address)
    row = await world.reader.read(approvals.row_of(round_, sender.address))
    if not row[2]:
        await sender.send(
            approvals.reveal(round_, found.approve, found.score, found.tree.root, found.salt, uri)
        )
    return found


async def show(
    world: World, sender: Sender, round_: bytes, places: Sequence[int] | None = None
) -> list[int]:
    """Show outputs of one's own on the chain: those that are due, or at the places named.

    What is due are the drawn places, and the one of every case against the validator. What is not
    shown counts as made up.
    """
    court = world.deployment.court
    found = await statement_kept(world, round_, sender.address)
    if places is None:
        places = await places_due(world, round_, sender.address)
    for place in places:
        item, output, proof = found.shown(place)
        await sender.send(court.show(round_, sender.address, place, item, output, proof))
    return list(places)


async def places_due(world: World, round_: bytes, validator: str) -> list[int]:
    """Return the places of a validator that must be shown, and were not yet."""
    now = await situation(world, round_)
    mine = [each for each in now.validators if each.address == validator]
    wanted = {place for each in mine for place in each.checks if place not in each.shown}
    wanted |= {
        each.case.place
        for each in now.cases
        if each.case.stage == Stage.TO_SHOW
        and each.case.accused == validator
        and each.shown == _NONE
    }
    return sorted(wanted)


# --- What anybody may ---------------------------------------------------------------------------


async def possible(world: World, found: Situation, sender: str) -> list[Step]:
    """Return the steps that the contracts would take from somebody now."""
    good = []
    for step in steps(found):
        try:
            await world.reader.read(_call(world, found, step, sender), sender=sender, at="pending")
        except TransactionReverted:
            # Whether it is due only the contract knows.
            continue
        good.append(step)
    return good


async def advance(
    world: World, sender: Sender, name: bytes, *, only: Sequence[str] = ()
) -> list[Step]:
    """Send everything that anybody may send now in a round or a test set; return what was sent.

    It costs gas and nothing else, and some of it pays whoever sends it: a fifth of what a silent or
    convicted validator's own stake loses.

    Parameters
    ----------
    only
        Names of steps; all where empty.
    """
    sent = list[Step]()
    while True:
        found = await situation(world, name)
        fresh_ = [
            step
            for step in await possible(world, found, sender.address)
            if step not in sent and (not only or step.name in only)
        ]
        if not fresh_:
            return sent
        # One at a time: each may make the next one due, or needless.
        await sender.send(_call(world, found, fresh_[0], sender.address))
        sent.append(fresh_[0])


def _call(world: World, found: Situation, step: Step, sender: str) -> Any:
    approvals, court = world.deployment.approvals, world.deployment.court
    jury, draws = world.deployment.jury, world.deployment.draws
    test_set, round_ = found.set_name, found.name or b""
    about: tuple[Any, ...] = step.about
    calls: dict[str, Any] = {
        "draw": lambda: approvals.draw(test_set),
        "begin": lambda: approvals.begin(test_set),
        "abandon": lambda: approvals.abandon(test_set),
        "fail_set": lambda: approvals.fail_set(test_set, sender),
        "withdraw_pledge": lambda: approvals.withdraw_pledge(test_set),
        "call_checks": lambda: court.call_checks(test_set),
        "punish_withheld": lambda: court.punish_withheld(test_set, *about),
        "close": lambda: approvals.close(round_, *_decision(found)),
        "finish": lambda: approvals.finish(round_),
        "punish_silence": lambda: approvals.punish_silence(round_, *about),
        "punish_approval": lambda: approvals.punish_approval(round_, *about),
        "punish_missing": lambda: court.punish_missing(round_, *about),
        "seat_executors": lambda: court.seat_executors(round_),
        "call_others": lambda: court.call_others(round_),
        "seat": lambda: jury.seat(*about),
        "answer": lambda: court.answer(*about),
        "resolve": lambda: court.resolve(*about),
        "grade": lambda: approvals.grade(round_, *about),
        "reward": lambda: approvals.reward(round_, *about),
        "return_budget": lambda: approvals.return_budget(round_),
        "forfeit": lambda: draws.forfeit(*about),
        "again": lambda: draws.again(*about),
    }
    return calls[step.name]()


def _decision(found: Situation) -> tuple[int, int]:
    """Return the largest weight and the median, which the contract checks by sums."""
    opinions = [
        Opinion(each.bond, each.approves if each.revealed else None, each.score)
        for each in found.validators
    ]
    decided = decide(opinions)
    return decided.most, decided.score
