"""Places of models and validators in a subnet: chosen, taken, given up.

A place that nobody has is taken at once, and counts from the next epoch on. In a full table the
newcomer waits for the lowest place, while anybody may show a lower one (`tessera.app.contests`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tessera.app.contests import (
    MODELS,
    VALIDATORS,
    PlaceView,
    lowest_place,
    read_places,
    validator_at,
)
from tessera.app.spending import spend
from tessera.app.subnets import read_subnet
from tessera.app.world import World
from tessera.bindings.calls import Call
from tessera.bindings.subnets import (
    Burned,
    PlaceNamed,
    PlaceTaken,
)
from tessera.chain.sender import Sender
from tessera.errors import Closed, Conflict, NotAllowed, NotFound, StaleQuote
from tessera.units import UnixSeconds

__all__ = [
    "MODELS",
    "VALIDATORS",
    "Joined",
    "PlaceView",
    "Seat",
    "admit",
    "join_model",
    "join_validator",
    "leave_model",
    "leave_validator",
    "plan_model",
    "plan_validator",
    "read_places",
    "validator_at",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """What a newcomer would get and pay; raw network tokens.

    Attributes
    ----------
    uid
        The place.
    replaces
        Who has it now; 0 where nobody has.
    burn
        What is burned.
    deposit
        What comes back when the newcomer is admitted, and is lost if somebody shows a lower place.
    counts_from
        The first epoch that the place counts in; of one that somebody has, the earliest.
    """

    uid: int
    replaces: int
    burn: int
    deposit: int
    counts_from: int

    @property
    def cost(self) -> int:
        """What is taken."""
        return self.burn + self.deposit


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A place that was taken, or is waited for.

    Attributes
    ----------
    uid
        The place.
    burn, deposit
        What was paid, which may be less than was planned: a place's price falls with time.
    counts_from
        From which epoch on; 0 where it is waited for.
    admitted_from
        From when on who waits can be admitted, unix seconds; 0 where it has the place.
    transactions
        In order.
    """

    uid: int
    burn: int
    deposit: int
    counts_from: int
    admitted_from: UnixSeconds
    transactions: tuple[str, ...]


# --- Coming ---------------------------------------------------------------------------------------


async def plan_model(
    world: World,
    account: str,
    number: int,
    asset: int,
    *,
    uid: int | None = None,
    most: int | None = None,
    mirrors: Sequence[str] = (),
) -> Seat:
    """Choose a place for an asset and say what it costs.

    Parameters
    ----------
    account
        Who speaks for the asset: its controller, or its owner in the Registry.
    uid
        The place; the first free one where None, or the lowest of a full table.
    most
        The highest burn, raw network tokens.
    mirrors
        Who serves results of epochs, beside their posters; see `tessera.app.epochs`.

    Raises
    ------
    NotAllowed
        The account does not speak for the asset.
    Conflict
        The asset is in a subnet already, or the place cannot be taken.
    NotFound, Closed, StaleQuote, InputError
        There is no such subnet or place, it is closing, it costs more, or the lowest is not known.
    """
    registry, subnets = world.deployment.registry, world.deployment.subnets
    speakers = await world.reader.read_all(
        [registry.controller_of(asset), registry.ownerOf(asset)], at="pending"
    )
    if account not in speakers:
        raise NotAllowed(
            f"asset {asset}",
            found=world.named(account),
            wanted=f"who speaks for it: {' or '.join(map(world.named, dict.fromkeys(speakers)))}",
            next_step="act with that key: --as KEY",
        )
    home = await world.reader.read(subnets.subnet_of(asset), at="pending")
    if home:
        raise Conflict(
            f"asset {asset}",
            found=f"in subnet {home}",
            wanted="in none",
            next_step="take it out first: tessera subnet leave MODEL",
        )
    return await _plan(world, number, MODELS, uid, most, mirrors)


async def plan_validator(
    world: World, account: str, number: int, *, uid: int | None = None, most: int | None = None
) -> Seat:
    """Choose a place for a validator and say what it costs; parameters as for `plan_model`.

    Raises
    ------
    Conflict
        It has a place, its bond is too low or does not answer to Scores, or the place cannot be
        taken.
    NotFound, Closed, StaleQuote
        As `plan_model`.
    """
    subnet = await read_subnet(world, number)
    bond, subnets, name = world.deployment.bond, world.deployment.subnets, world.named(account)
    known = await world.reader.read(subnets.uid_of(number, account), at="pending")
    if known:
        raise Conflict(
            f"validator {name}", found=f"uid {known - 1} of subnet {number}", wanted="no place"
        )
    bonded = await world.reader.read(bond.bonded(account), at="pending")
    scores = bond.enlistment_of(account, world.deployment.scores.address)
    since, _, _, answers = await world.reader.read(scores, at="pending")
    if not answers:
        raise Conflict(
            f"bond of {name}",
            found="does not answer to Scores" + (" yet" if since else ""),
            wanted="one that does",
            next_step=f"wait until it does: tessera bond info {account}"
            if since
            else "before the first stake: tessera bond enlist scores",
        )
    if bonded < subnet.rules.threshold:
        raise Conflict(
            f"bond of {name}",
            found=world.network.shown(bonded),
            wanted=f"{world.network.shown(subnet.rules.threshold)} or more",
            next_step="stake more: tessera bond stake AMOUNT",
        )
    return await _plan(world, number, VALIDATORS, uid, most, ())


async def _plan(
    world: World,
    number: int,
    side: int,
    uid: int | None,
    most: int | None,
    mirrors: Sequence[str],
) -> Seat:
    subnet = await read_subnet(world, number)
    if subnet.closing_at:
        raise Closed(
            f"subnet {number}",
            found="closing",
            wanted="one that takes newcomers",
            next_step="tessera subnet list",
        )
    if most is not None and subnet.burn > most:
        raise StaleQuote(
            f"place in subnet {number}",
            found=world.network.shown(subnet.burn),
            wanted=f"at most {world.network.shown(most)}",
            next_step="pay more, or wait: it halves with time",
        )
    places = await read_places(world, subnet, side)
    limit = (subnet.rules.max_models, subnet.rules.max_validators)[side]
    free = [each.uid for each in places if not each.occupant and not each.waiting]
    open_ones = free + ([len(places)] if len(places) < limit else [])
    if uid is None:
        if open_ones:
            uid = open_ones[0]
        else:
            uid = await lowest_place(world, subnet, side, mirrors)
    taken = places[uid] if uid < len(places) else None
    if uid not in open_ones:
        if taken is None:
            raise NotFound(
                f"place {uid} of subnet {number}", found="none", wanted=f"0 to {len(places)}"
            )
        if open_ones or taken.waiting:
            raise Conflict(
                f"place {uid} of subnet {number}",
                found="waited for" if taken.waiting else "not free",
                wanted=f"a free one: {open_ones[0]}" if open_ones else "one nobody waits for",
            )
    replaces = taken.occupant if taken is not None else 0
    return Seat(
        uid=uid,
        replaces=replaces,
        burn=subnet.burn,
        deposit=subnet.burn if replaces else 0,
        counts_from=subnet.epoch + 1,
    )


async def join_model(
    world: World,
    sender: Sender,
    number: int,
    asset: int,
    *,
    uid: int | None = None,
    most: int | None = None,
    mirrors: Sequence[str] = (),
) -> Joined:
    """Put an asset into a subnet; from then on what its callers pay counts there.

    Raises
    ------
    TesseraError
        As `plan_model`; or the sender has too few network tokens.
    """
    seat = await plan_model(
        world, sender.address, number, asset, uid=uid, most=most, mirrors=mirrors
    )
    call = world.deployment.subnets.register_model(number, asset, seat.uid, seat.burn)
    joined = await _join(world, sender, seat, call)
    # The first time only remembers what was paid before, so it must not wait for a keeper.
    begun = await sender.send(world.deployment.emission.collect_demand(asset))
    return replace(joined, transactions=(*joined.transactions, begun.tx_hash))


async def join_validator(
    world: World,
    sender: Sender,
    number: int,
    *,
    uid: int | None = None,
    most: int | None = None,
) -> Joined:
    """Take a place among a subnet's validators.

    Raises
    ------
    TesseraError
        As `plan_validator`; or the sender has too few network tokens.
    """
    seat = await plan_validator(world, sender.address, number, uid=uid, most=most)
    call = world.deployment.subnets.register_validator(number, seat.uid, seat.burn)
    return await _join(world, sender, seat, call)


async def _join(world: World, sender: Sender, seat: Seat, call: Call[None]) -> Joined:
    subnets = world.deployment.subnets
    await spend(world, sender, subnets.address, seat.cost, "a place")
    receipt = await sender.send(call)
    taken = receipt.all_of(PlaceTaken, address=subnets.address)
    named = receipt.all_of(PlaceNamed, address=subnets.address)
    return Joined(
        uid=seat.uid,
        burn=receipt.one_of(Burned, address=subnets.address).amount,
        deposit=named[0].deposit if named else 0,
        counts_from=taken[0].since if taken else 0,
        admitted_from=UnixSeconds(named[0].admitted_from if named else 0),
        transactions=(receipt.tx_hash,),
    )


# --- Admitted, and going --------------------------------------------------------------------------


async def admit(world: World, sender: Sender, number: int, side: int, uid: int) -> tuple[int, str]:
    """Give a place to who waits for it; return from which epoch it counts, and the transaction.

    The epoch is 0 where the subnet was dissolved meanwhile, and only the deposit came back.
    """
    subnets = world.deployment.subnets
    receipt = await sender.send(subnets.admit(number, side, uid))
    taken = receipt.all_of(PlaceTaken, address=subnets.address)
    return (taken[0].since if taken else 0), receipt.tx_hash


async def leave_model(world: World, sender: Sender, asset: int) -> tuple[int, str]:
    """Take an asset out of its subnet; return from which epoch on, and the transaction."""
    subnets = world.deployment.subnets
    receipt = await sender.send(subnets.deregister_model(asset))
    return receipt.all_of(PlaceTaken, address=subnets.address)[0].since, receipt.tx_hash


async def leave_validator(world: World, sender: Sender, number: int) -> tuple[int, str]:
    """Give the sender's place up; return from which epoch on, and the transaction."""
    subnets = world.deployment.subnets
    receipt = await sender.send(subnets.deregister_validator(number))
    return receipt.all_of(PlaceTaken, address=subnets.address)[0].since, receipt.tx_hash
