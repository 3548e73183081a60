"""Who is lowest in a full table: what a newcomer must name, and what anybody may show it missed.

The lowest is not immune; then has the least worth, of a model its incentive in the epoch that was
the newest final one when the newcomer came, of a validator its bond now; then is registered the
longest; then has the lowest uid. A model's incentive is shown by its proof in the posted result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tessera.app.epochs import open_desk
from tessera.app.subnets import SubnetView, read_subnet
from tessera.app.world import World
from tessera.bindings.codec import checksummed, encode
from tessera.bindings.epochs import Finalized
from tessera.bindings.subnets import PlaceCorrected, PlaceNamed, PlaceTaken
from tessera.chain.receipts import EventLog
from tessera.chain.sender import Sender
from tessera.errors import Conflict, InputError, NotFound
from tessera.spec.epochs import PostedEpoch
from tessera.spec.subnets import MODELS, VALIDATORS, Standing

__all__ = [
    "MODELS",
    "VALIDATORS",
    "Correction",
    "PlaceView",
    "correct",
    "lowest_place",
    "plan_correction",
    "read_places",
    "validator_at",
]

# What Epochs decodes: result, consensus, rank, data, path.
_EVIDENCE: Final = (
    "(bytes32,uint256,uint256,bytes32,uint256,bytes32,uint256,bytes32,uint256)",
    "uint256",
    "uint256",
    "bytes32",
    "(bytes32,uint256)[]",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceView:
    """One place as it counts from the next epoch on.

    Attributes
    ----------
    side, uid
        `MODELS` or `VALIDATORS`, and which.
    occupant
        The asset, or the validator's address as a number; 0 for nobody.
    since
        From which epoch on.
    waiting
        Who waits for the place; 0 for nobody.
    """

    side: int
    uid: int
    occupant: int
    since: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Correction:
    """A place that is lower than the one that a newcomer waits for.

    Attributes
    ----------
    uid, lower
        The place that is waited for, and the lower one.
    evidence
        What shows the incentives of both models, in that order; empty where nothing is to be shown.
    """

    uid: int
    lower: int
    evidence: tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class _Basis:
    """By what a newcomer is judged: when it came, and the newest final epoch then."""

    named_at: int
    epoch: int | None
    posted: PostedEpoch | None

    def counts(self, place: PlaceView) -> bool:
        """Tell whether a model was there in that epoch; before, it has earned nothing."""
        return bool(
            place.side == MODELS
            and place.occupant
            and self.epoch is not None
            and place.since <= self.epoch
        )

    def rank(self, place: PlaceView) -> int:
        """Return a model's incentive."""
        if self.posted is None or not self.counts(place):
            return 0
        return self.posted.model_proof(place.uid)[2]

    def evidence(self, place: PlaceView) -> bytes:
        """Return what shows it to the contract."""
        if self.posted is None or not self.counts(place):
            return b""
        _, *proof = self.posted.model_proof(place.uid)
        return encode("evidence", _EVIDENCE, (self.posted.header.call, *proof))


def validator_at(occupant: int) -> str:
    """Return the address of who has a validator's place."""
    return checksummed(f"0x{occupant:040x}")


async def read_places(world: World, subnet: SubnetView, side: int) -> list[PlaceView]:
    """Read all places of one side, by uid."""
    subnets, reader, number = world.deployment.subnets, world.reader, subnet.number
    count = (subnet.models, subnet.validators)[side][0]
    held = await reader.read_all(
        [subnets.occupant_at(number, side, uid, subnet.epoch + 1) for uid in range(count)],
        at="pending",
    )
    waiting = await reader.read_all(
        [subnets.waiting((number << 24) | (side << 16) | uid) for uid in range(count)],
        at="pending",
    )
    return [
        PlaceView(side=side, uid=uid, occupant=row[0], since=row[1], waiting=newcomer)
        for uid, (row, newcomer) in enumerate(zip(held, waiting, strict=True))
    ]


async def lowest_place(
    world: World, subnet: SubnetView, side: int, mirrors: Sequence[str] = ()
) -> int:
    """Return which place a newcomer to a full table must name now.

    Parameters
    ----------
    mirrors
        Who serves results of epochs, beside their posters.

    Raises
    ------
    Conflict
        Somebody waits for each place.
    InputError
        What models earned in the newest final epoch is not to be had.
    """
    places = [each for each in await read_places(world, subnet, side) if not each.waiting]
    if not places:
        raise Conflict(
            f"places of subnet {subnet.number}",
            found="somebody waits for each",
            wanted="one that nobody waits for",
        )
    now = (await world.reader.block("pending")).timestamp
    basis = await _basis(world, subnet, side, now, subnet.last_final, mirrors)
    standings = await _standings(world, subnet, places, basis)
    return min(standings, key=standings.__getitem__)


async def plan_correction(
    world: World,
    number: int,
    side: int,
    uid: int,
    lower: int | None = None,
    mirrors: Sequence[str] = (),
) -> Correction:
    """Find a place that is lower than the one that is waited for, and what shows it.

    Parameters
    ----------
    lower
        The lower place; the lowest where None.
    mirrors
        As for `lowest_place`.

    Raises
    ------
    NotFound
        Nobody waits for that place.
    Conflict
        No other place is lower.
    InputError
        As `lowest_place`.
    """
    subnet = await read_subnet(world, number)
    places = {each.uid: each for each in await read_places(world, subnet, side)}
    named = await _named(world, number, side, places.get(uid))
    finals = await world.reader.logs(
        Finalized,
        address=world.deployment.epochs.address,
        topics=Finalized.topics(subnet=number),
        first=world.deployment.since,
        last=named.block,
    )
    before = [log for log in finals if (log.block, log.index) < (named.block, named.index)]
    came = (await world.reader.block(named.block)).timestamp
    epoch = before[-1].event.epoch if before else None
    basis = await _basis(world, subnet, side, came, epoch, mirrors)
    free = [each for each in places.values() if not each.waiting]
    standings = await _standings(world, subnet, [places[uid], *free], basis)
    if lower is None:
        lower = min(standings, key=standings.__getitem__)
    if lower not in standings or lower == uid or standings[lower] >= standings[uid]:
        raise Conflict(
            f"place {uid} of subnet {number}",
            found="the lowest" if lower == uid else f"not higher than place {lower}",
            wanted="a place that is lower and that nobody waits for",
            next_step=f"see them: tessera subnet info {number}",
        )
    return Correction(uid, lower, (basis.evidence(places[uid]), basis.evidence(places[lower])))


async def correct(
    world: World, sender: Sender, number: int, side: int, correction: Correction
) -> tuple[int, str]:
    """Show a lower place; return raw network tokens that the sender earned, and the transaction."""
    subnets = world.deployment.subnets
    call = subnets.correct(number, side, correction.uid, correction.lower, *correction.evidence)
    receipt = await sender.send(call)
    return receipt.one_of(PlaceCorrected, address=subnets.address).reward, receipt.tx_hash


# --- Inside ---------------------------------------------------------------------------------------


async def _named(
    world: World, number: int, side: int, place: PlaceView | None
) -> EventLog[PlaceNamed]:
    """Return how the newcomer that waits for a place came."""
    if place is None or not place.waiting:
        raise NotFound(
            f"newcomer of subnet {number}",
            found="nobody who waits for that place",
            wanted="one that is waited for",
            next_step=f"see them: tessera subnet info {number}",
        )
    found = await world.reader.logs(
        PlaceNamed,
        address=world.deployment.subnets.address,
        topics=PlaceNamed.topics(subnet=number, side=side, occupant=place.waiting),
        first=world.deployment.since,
    )
    return found[-1]


async def _basis(
    world: World,
    subnet: SubnetView,
    side: int,
    named_at: int,
    epoch: int | None,
    mirrors: Sequence[str],
) -> _Basis:
    if side == VALIDATORS or epoch is None:
        return _Basis(named_at, epoch, None)
    try:
        async with open_desk(world, mirrors) as desk:
            posted = await desk.posted(subnet.number, epoch)
    except NotFound as error:
        raise InputError(
            f"lowest model of subnet {subnet.number}",
            found=f"nobody who serves the result of epoch {epoch}",
            wanted="what each model earned in it",
            next_step="say who does: --mirror URL; or name the place yourself",
        ) from error
    return _Basis(named_at, epoch, posted)


async def _standings(
    world: World, subnet: SubnetView, places: Sequence[PlaceView], basis: _Basis
) -> dict[int, Standing]:
    """Return how places of one side stand, by uid."""
    side = places[0].side
    registered = await _registered(world, subnet.number, side)
    worth = {each.uid: basis.rank(each) for each in places}
    if side == VALIDATORS:
        held = [each for each in places if each.occupant]
        bonds = await world.reader.read_all(
            [world.deployment.bond.bonded(validator_at(each.occupant)) for each in held],
            at="pending",
        )
        worth |= {each.uid: bond for each, bond in zip(held, bonds, strict=True)}
    return {
        each.uid: Standing(
            immune=basis.named_at < registered[each.uid] + subnet.rules.immunity,
            worth=worth[each.uid],
            registered=registered[each.uid],
            uid=each.uid,
        )
        if each.occupant
        else Standing(immune=False, worth=0, registered=0, uid=each.uid)
        for each in places
    }


async def _registered(world: World, number: int, side: int) -> dict[int, int]:
    """Return when who has a place came there, unix seconds by uid."""
    found = await world.reader.logs(
        PlaceTaken,
        address=world.deployment.subnets.address,
        topics=PlaceTaken.topics(subnet=number, side=side),
        first=world.deployment.since,
    )
    blocks = {log.event.uid: log.block for log in found}
    heads = {block: await world.reader.block(block) for block in sorted(set(blocks.values()))}
    return {uid: heads[block].timestamp for uid, block in blocks.items()}
