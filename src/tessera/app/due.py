"""What anybody may send now, and what the network waits for until somebody does.

Only reads. What was done is told by the chain, so nothing is kept here, and what somebody else did
in the meantime is no longer due.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from tessera.app.contests import MODELS, VALIDATORS, PlaceView, read_places
from tessera.app.epochs import EpochDesk
from tessera.app.subnets import read_subnet
from tessera.app.world import World
from tessera.bindings.bond import Frozen
from tessera.bindings.calls import Call
from tessera.bindings.emission import (
    DemandCollected,
    EpochSettled,
    ModelPaid,
    ValidatorPaid,
)
from tessera.bindings.emission import Node as EmissionNode
from tessera.bindings.emission import Result as EmissionResult
from tessera.bindings.scores import DataAsked
from tessera.errors import TransactionReverted
from tessera.spec.epochs import PostedEpoch
from tessera.spec.sum_trees import Node

__all__ = [
    "Due",
    "due_admissions",
    "due_bootstrap",
    "due_claims",
    "due_close",
    "due_collection",
    "due_convictions",
    "due_demand",
    "due_epoch",
    "due_flushes",
    "due_payouts",
    "due_thaws",
    "paying_epochs",
    "waiting_places",
]

_SIDES: Final = ("model", "validator")
_FINAL, _SKIPPED = 1, 2
_LOW_128: Final = 2**128 - 1


class Due(NamedTuple):
    """One transaction that is due.

    Attributes
    ----------
    what
        The function.
    about
        Of what, in a few words.
    call
        To send.
    """

    what: str
    about: str
    call: Call[Any]


# --- Epochs ---------------------------------------------------------------------------------------


async def due_epoch(desk: EpochDesk, subnet: int) -> Due | None:
    """Return what ends the next epoch of a subnet, or voids its result."""
    status = await desk.status(subnet)
    epoch, about = status.epoch, f"epoch {status.epoch} of subnet {subnet}"
    if status.stage == "posted":
        for question in status.questions:
            if status.now > question.due:
                call = desk.epochs.accuse(subnet, epoch, question.part)
                return Due("accuse", f"{about}, part {question.part} was not shown", call)
        if not status.questions and status.now >= status.ends_at:
            return Due("finalize", about, desk.epochs.finalize(subnet, epoch))
    elif status.stage in {"empty", "late"}:
        return Due("skip", about, desk.epochs.skip(subnet, epoch))
    return None


async def due_convictions(desk: EpochDesk, subnet: int, back: int) -> list[Due]:
    """Return whose rows were asked for and never shown, in the last epochs."""
    world, scores = desk.world, desk.world.deployment.scores
    logs = await world.reader.logs(
        DataAsked,
        address=scores.address,
        topics=DataAsked.topics(subnet=subnet),
        first=world.deployment.since,
    )
    clock = await world.reader.read(desk.epochs.clock_of(subnet))
    asked = [log.event for log in logs if log.event.epoch + back >= clock.next]
    told = await world.reader.read_all(
        [scores.asked_of(subnet, each.epoch, each.row, each.leaf) for each in asked]
    )
    now, found = await desk.now(), []
    closes = {
        epoch: (await desk.read.on_chain(subnet, epoch)).closes_at
        for epoch in {each.epoch for each in asked}
    }
    for each, (_, shown, withheld) in zip(asked, told, strict=True):
        if not shown and not withheld and now >= closes[each.epoch]:
            about = f"leaf {each.leaf} of row {each.row}, epoch {each.epoch} of subnet {subnet}"
            call = scores.convict(subnet, each.epoch, each.row, each.leaf)
            found.append(Due("convict", about, call))
    return found


async def due_collection(desk: EpochDesk, payee: str) -> list[Due]:
    """Return what an account is owed by Epochs: bonds, fees, parts of bonds of liars."""
    world = desk.world
    back = await desk.take_backs(payee)
    found = [Due("take_back", f"fee of {world.named(payee)}", call) for call in back]
    owed = await world.reader.read(desk.epochs.owed_of(payee))
    owed += len(back) * (await desk.terms()).fee
    about = f"{world.network.shown(owed)} for {world.named(payee)}"
    return [*found, Due("collect", about, desk.epochs.collect(payee))] if owed else []


# --- Emission -------------------------------------------------------------------------------------


async def due_close(desk: EpochDesk) -> Due | None:
    """Return what closes a period of emission that is over, if anything was counted in it."""
    emission, read = desk.world.deployment.emission, desk.world.reader.read
    terms, period = await read(emission.terms()), await read(emission.period())
    began = await read(emission.started_at())
    demand, bootstraps, *_ = await read(emission.period_of(period))
    over = (await desk.now() - began) // terms.period > period
    if not over or not (demand or bootstraps):
        return None
    return Due("close", f"period {period} of emission", emission.close())


async def due_bootstrap(desk: EpochDesk, subnet: int) -> Due | None:
    """Return what counts a subnet's bootstrap for this period, if it has one left."""
    world, read = desk.world, desk.world.reader.read
    emission, at = world.deployment.emission, world.deployment
    terms = await read(emission.terms())
    opening = await read(at.subnet_pool.opening_of(subnet))
    used = await read(emission.bootstraps_of(subnet))
    if not opening * terms.bootstrap_bps // (10_000 * terms.bootstrap_periods):
        return None
    if used >= terms.bootstrap_periods or not await read(at.subnets.is_live(subnet)):
        return None
    period = await _period_now(desk)
    _, counted, of = await read(emission.share_of(subnet))
    if counted and of == period:
        return None
    return Due("bootstrap", f"subnet {subnet}", emission.bootstrap(subnet))


async def due_demand(desk: EpochDesk, subnet: int) -> list[Due]:
    """Return the models of a subnet whose paid demand was not counted in this period."""
    world = desk.world
    emission, subnets, reader = world.deployment.emission, world.deployment.subnets, world.reader
    period, found = await _period_now(desk), []
    for asset in await assets_of(world, subnet):
        demand = await reader.read(world.deployment.channels.demand_of(asset))
        counted, known_in = await reader.read(emission.counted_of(asset))
        if await reader.read(subnets.subnet_of(asset)) != subnet:
            continue
        if known_in == subnet:
            topics = DemandCollected.topics(asset=asset, subnet=subnet, period=period)
            if demand == counted or await reader.logs(
                DemandCollected,
                address=emission.address,
                topics=topics,
                first=world.deployment.since,
            ):
                continue
        about = f"model {_model(world, asset)} of subnet {subnet}"
        found.append(Due("collect_demand", about, emission.collect_demand(asset)))
    return found


async def due_payouts(desk: EpochDesk, subnet: int, back: int) -> list[Due]:
    """Return the last epochs that owe something: final ones settle, skipped ones carry it on."""
    world, reader, emission = desk.world, desk.world.reader, desk.world.deployment.emission
    clock = await reader.read(desk.epochs.clock_of(subnet))
    epochs = range(max(0, clock.next - back), clock.next)
    pots = await reader.read_all([emission.pot_of(subnet, epoch) for epoch in epochs])
    owing = {epoch for epoch, pot in zip(epochs, pots, strict=True) if any(pot)}
    tsr, fees = await reader.read(emission.coming_to(subnet))
    if tsr or fees:
        # What was counted in a period that is closed is the epoch's in which it ended.
        _, _, period = await reader.read(emission.share_of(subnet))
        terms, began = await reader.read(emission.terms()), await reader.read(emission.started_at())
        ended = began + (period + 1) * terms.period - 1
        owing.add(await reader.read(world.deployment.subnets.epoch_at(subnet, ended)))
    found = []
    for epoch in sorted(owing):
        about = f"epoch {epoch} of subnet {subnet}"
        settled = await reader.read(desk.epochs.settled(subnet, epoch))
        if settled == _SKIPPED:
            found.append(Due("carry", about, emission.carry(subnet, epoch)))
        elif settled == _FINAL and not await _is_settled(world, subnet, epoch):
            header = await desk.read.header(subnet, epoch)
            assert header is not None
            result = EmissionResult.from_values(header.call)
            found.append(Due("settle", about, emission.settle(subnet, epoch, result)))
    return found


async def paying_epochs(desk: EpochDesk, subnet: int, back: int) -> list[int]:
    """Return the last epochs of a subnet that pay."""
    world = desk.world
    logs = await world.reader.logs(
        EpochSettled,
        address=world.deployment.emission.address,
        topics=EpochSettled.topics(subnet=subnet),
        first=world.deployment.since,
    )
    return [log.event.epoch for log in logs][-back:]


async def due_claims(desk: EpochDesk, subnet: int, epoch: int, least: int = 0) -> list[Due]:
    """Return who of an epoch that pays was not paid.

    Parameters
    ----------
    least
        Raw TSR: claims of less are left to whom they pay.

    Raises
    ------
    NotFound
        The parts of its result are not to be had.
    """
    world, reader = desk.world, desk.world.reader
    emission, first = world.deployment.emission, world.deployment.since
    models, validators, fees, *left = await reader.read(emission.payout_of(subnet, epoch))
    said = await desk.read.on_chain(subnet, epoch)
    # Each claim is rounded down, so less than a unit for each stays.
    if left[0] < said.columns and left[1] < said.rows and left[2] < said.rows:
        return []
    paid_models = await reader.logs(
        ModelPaid,
        address=emission.address,
        topics=ModelPaid.topics(subnet=subnet, epoch=epoch),
        first=first,
    )
    paid_validators = await reader.logs(
        ValidatorPaid,
        address=emission.address,
        topics=ValidatorPaid.topics(subnet=subnet, epoch=epoch),
        first=first,
    )
    posted = await desk.read.whole(subnet, epoch)
    uids = {log.event.uid for log in paid_models}
    found = _model_claims(desk, subnet, epoch, posted, (models, least), uids)
    who = {log.event.validator for log in paid_validators}
    parts = (validators, fees, least)
    return found + await _validator_claims(desk, subnet, epoch, posted, parts, who)


def _model_claims(
    desk: EpochDesk,
    subnet: int,
    epoch: int,
    posted: PostedEpoch,
    parts: tuple[int, int],
    paid: set[int],
) -> list[Due]:
    emission, header, found = desk.world.deployment.emission, posted.header, []
    part, least = parts
    result = EmissionResult.from_values(header.call)
    for uid, column in enumerate(posted.columns):
        if column is None or uid in paid or not header.incentive:
            continue
        if part * column.rank // header.incentive >= max(1, least):
            _, consensus, rank, data, path = posted.model_proof(uid)
            call = emission.claim_model(
                subnet, epoch, result, uid, consensus, rank, data, _nodes(path)
            )
            about = f"model at {uid}, epoch {epoch} of subnet {subnet}"
            found.append(Due("claim_model", about, call))
    return found


async def _validator_claims(
    desk: EpochDesk,
    subnet: int,
    epoch: int,
    posted: PostedEpoch,
    parts: tuple[int, int, int],
    paid: set[str],
) -> list[Due]:
    world, header, found = desk.world, posted.header, []
    scores, emission = world.deployment.scores, world.deployment.emission
    dividends, stakes = header.dividends & _LOW_128, header.sums >> 64 & 2**64 - 1
    result = EmissionResult.from_values(header.call)
    rows = [scores.row_at(subnet, epoch, row) for row in range(len(posted.rows))]
    validators = [who for who, _, _, _ in await world.reader.read_all(rows)]
    for row, (who, counted) in enumerate(zip(validators, posted.rows, strict=True)):
        if counted is None or who in paid:
            continue
        # By stake, where nobody earned a dividend.
        mine, whole = (counted[1] & _LOW_128, dividends) if dividends else (counted[0], stakes)
        if not whole:
            continue
        tsr, fees = (part * mine // whole for part in parts[:2])
        if tsr >= max(1, parts[2]) or (fees and not parts[2]):
            _, active, count, path = posted.validator_proof(row)
            call = emission.claim_validator(subnet, epoch, result, row, active, count, _nodes(path))
            about = f"{world.named(who)}, epoch {epoch} of subnet {subnet}"
            found.append(Due("claim_validator", about, call))
    return found


async def due_flushes(desk: EpochDesk, subnet: int, least: int = 0) -> list[Due]:
    """Return the models whose pay waits to be handed on, `least` raw TSR or more."""
    world, emission = desk.world, desk.world.deployment.emission
    paid = await world.reader.logs(
        ModelPaid,
        address=emission.address,
        topics=ModelPaid.topics(subnet=subnet),
        first=world.deployment.since,
    )
    assets = sorted({log.event.asset for log in paid if log.event.asset and log.event.amount})
    earned = await world.reader.read_all([emission.earned_of(asset) for asset in assets])
    return [
        Due("flush", f"model {_model(world, asset)}", emission.flush(asset))
        for asset, amount in zip(assets, earned, strict=True)
        if amount >= max(1, least)
    ]


# --- Subnets --------------------------------------------------------------------------------------


async def due_admissions(desk: EpochDesk, subnet: int) -> list[Due]:
    """Return the newcomers of a subnet whose place nobody contested in time."""
    world, found = desk.world, []
    for place in await waiting_places(desk, subnet):
        call = world.deployment.subnets.admit(subnet, place.side, place.uid)
        with contextlib.suppress(TransactionReverted):
            # Until its time is over; nothing else holds it up.
            await world.reader.read(call, at="pending")
            about = f"{_SIDES[place.side]} place {place.uid} of subnet {subnet}"
            found.append(Due("admit", about, call))
    return found


async def waiting_places(desk: EpochDesk, subnet: int) -> list[PlaceView]:
    """Return the places of a subnet that a newcomer waits for."""
    view = await read_subnet(desk.world, subnet)
    places = [
        place
        for side in (MODELS, VALIDATORS)
        for place in await read_places(desk.world, view, side)
    ]
    return [place for place in places if place.waiting]


# --- Bonds ----------------------------------------------------------------------------------------


async def due_thaws(desk: EpochDesk) -> list[Due]:
    """Return the bonds that are frozen for a case whose time is over."""
    world, bond = desk.world, desk.world.deployment.bond
    logs = await world.reader.logs(Frozen, address=bond.address, first=world.deployment.since)
    cases = {(each.event.validator, each.event.slasher, each.event.case) for each in logs}
    told = await world.reader.read_all([bond.case_of(*case) for case in sorted(cases)])
    now = await desk.now()
    return [
        Due("thaw", f"bond of {world.named(case[0])}", bond.thaw(*case))
        for case, (ends, frozen, _) in zip(sorted(cases), told, strict=True)
        if frozen and now >= ends
    ]


# --- Inside ---------------------------------------------------------------------------------------


async def assets_of(world: World, subnet: int) -> list[int]:
    """Return the models of a subnet: those of the epoch that runs, and of the next one."""
    subnets, reader = world.deployment.subnets, world.reader
    places, _ = await reader.read(subnets.table_of(subnet, MODELS))
    now = max((await reader.block()).timestamp, world.now())
    epoch = await reader.read(subnets.epoch_at(subnet, now))
    told: Iterable[tuple[int, int]] = await reader.read_all(
        [
            subnets.occupant_at(subnet, MODELS, uid, number)
            for uid in range(places)
            for number in (epoch, epoch + 1)
        ]
    )
    return sorted({asset for asset, _ in told if asset})


def _model(world: World, asset: int) -> str:
    record = world.directory.get(asset)
    return str(asset) if record is None else record.slug


async def _period_now(desk: EpochDesk) -> int:
    emission, read = desk.world.deployment.emission, desk.world.reader.read
    terms, began = await read(emission.terms()), await read(emission.started_at())
    return (await desk.now() - began) // terms.period


async def _is_settled(world: World, subnet: int, epoch: int) -> bool:
    logs = await world.reader.logs(
        EpochSettled,
        address=world.deployment.emission.address,
        topics=EpochSettled.topics(subnet=subnet, epoch=epoch),
        first=world.deployment.since,
    )
    return bool(logs)


def _nodes(path: Iterable[Node]) -> list[EmissionNode]:
    return [EmissionNode(node.digest, node.sum) for node in path]
