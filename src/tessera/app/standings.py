"""The standing of a subnet's models and validators, read from the chain and from what is served.

Whose results are final, what they paid and what is staked is on the chain. What each place earned
is in the results' parts, which posters serve and which are computed again from the revealed rows
where nobody does; both are held against what was posted. Only the epochs that a figure needs are
read: the latest, those 7 and 30 days before, and those whose pay somebody has not claimed yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tessera.app.places import MODELS, VALIDATORS, validator_at
from tessera.app.subnets import read_subnet
from tessera.app.world import World
from tessera.bindings.bond import Rewarded
from tessera.bindings.emission import EpochSettled, ValidatorPaid
from tessera.bindings.epochs import Finalized, Skipped
from tessera.bindings.scores import Revealed
from tessera.errors import TesseraError
from tessera.spec.epochs import PostedEpoch
from tessera.units import BPS
from tessera.validation.leaderboard import (
    MONTH_S,
    WEEK_S,
    EpochLine,
    Occupant,
    Payment,
    Role,
    Row,
    leaderboard,
    read_standings,
)

__all__ = ["Results", "Table", "Unread", "read_table"]

_HALF: Final = 128


class Results(Protocol):
    """Who has whole results of epochs: `tessera.validation.desk.EpochDesk`."""

    async def posted(self, subnet: int, epoch: int) -> PostedEpoch | None:
        """Return a result with all its parts; None where nothing is posted."""


@dataclass(frozen=True, slots=True)
class Unread:
    """An epoch whose result cannot be read, and why."""

    epoch: int
    why: str


@dataclass(frozen=True, slots=True)
class Table:
    """Who stands where in a subnet.

    Attributes
    ----------
    subnet
        Its number.
    epoch, ended_at
        The latest final one, by which places are ranked, and its end; None and 0 without one.
    rows
        Models, then validators, by rank.
    unread
        Epochs that figures are unknown for the lack of.
    """

    subnet: int
    epoch: int | None
    ended_at: int
    rows: tuple[Row, ...]
    unread: tuple[Unread, ...]


@dataclass(frozen=True, slots=True)
class _Settled:
    """An epoch that is over for good."""

    epoch: int
    final: bool


async def read_table(world: World, results: Results, subnet: int) -> Table:
    """Read who stands where.

    Parameters
    ----------
    results
        Reads results of epochs, whose parts it holds against what was posted.

    Raises
    ------
    NotFound
        There is no such subnet.
    """
    view = await read_subnet(world, subnet)
    reading = _Reading(world, results, subnet, view.began - view.epoch * view.rules.tempo,
                       view.rules.tempo)  # fmt: skip
    settled = await reading.settled()
    finals = [each.epoch for each in settled if each.final]
    latest = finals[-1] if finals else None
    places = (view.models[0], view.validators[0])
    occupants = await reading.occupants(view.epoch if latest is None else latest, places)
    lines = await reading.lines(settled, latest)
    bonds = [each.owner for each in occupants if each.role is Role.VALIDATOR]
    bond = world.deployment.bond
    staked = await world.reader.read_all([bond.bonded(owner) for owner in bonds])
    rows = leaderboard(lines, occupants, dict(zip(bonds, staked, strict=True)))
    return Table(
        subnet=subnet,
        epoch=latest,
        ended_at=0 if latest is None else reading.end_of(latest),
        rows=tuple(rows),
        unread=tuple(Unread(line.epoch, line.why) for line in lines if line.why),
    )


class _Reading:
    """One reading of one subnet."""

    def __init__(self, world: World, results: Results, subnet: int, start: int, tempo: int) -> None:
        self._world = world
        self._results = results
        self._subnet = subnet
        self._start = start
        self._tempo = tempo

    def end_of(self, epoch: int) -> int:
        """Return when an epoch ended, unix seconds."""
        return self._start + (epoch + 1) * self._tempo

    async def settled(self) -> list[_Settled]:
        """Return the epochs that are over for good, in order."""
        reader, at, first = self._world.reader, self._world.deployment.epochs.address, self._first
        finals = await reader.logs(
            Finalized, address=at, topics=Finalized.topics(subnet=self._subnet), first=first
        )
        skipped = await reader.logs(
            Skipped, address=at, topics=Skipped.topics(subnet=self._subnet), first=first
        )
        found = [_Settled(log.event.epoch, final=True) for log in finals]
        found += [_Settled(log.event.epoch, final=False) for log in skipped]
        return sorted(found, key=lambda each: each.epoch)

    async def occupants(self, epoch: int, places: tuple[int, int]) -> list[Occupant]:
        """Return who has which place in an epoch."""
        subnets, found = self._world.deployment.subnets, []
        for side, count in zip((MODELS, VALIDATORS), places, strict=True):
            told = await self._world.reader.read_all(
                [subnets.occupant_at(self._subnet, side, uid, epoch) for uid in range(count)]
            )
            for uid, (occupant, since) in enumerate(told):
                if occupant and side == MODELS:
                    found.append(Occupant(Role.MODEL, uid, str(occupant), since))
                elif occupant:
                    found.append(Occupant(Role.VALIDATOR, uid, validator_at(occupant), since))
        return found

    async def lines(self, settled: Sequence[_Settled], latest: int | None) -> list[EpochLine]:
        """Return the epochs of the last 30 days, and the last before them."""
        if latest is None:
            return []
        finals = [each.epoch for each in settled if each.final]
        needed = {latest} | {
            epoch
            for seconds in (WEEK_S, MONTH_S)
            for epoch in [self._last_before(finals, self.end_of(latest) - seconds)]
            if epoch is not None
        }
        oldest = min(*needed, self._first_within(settled, MONTH_S))
        stakes = await self._stakes()
        paid, parts = await self._paid(), await self._parts()
        lines = []
        for each in settled:
            if each.epoch < oldest:
                continue
            claimed, part = paid.get(each.epoch, {}), parts.get(each.epoch, 0)
            rows = stakes.get(each.epoch, {})
            unclaimed = bool(part) and not set(rows) <= set(claimed)
            why, posted, standings = "", None, None
            if each.final and (each.epoch in needed or unclaimed):
                try:
                    posted = await self._results.posted(self._subnet, each.epoch)
                    assert posted is not None
                    standings = read_standings(posted, await self._uids(each.epoch, rows))
                except TesseraError as error:
                    why = str(error)
            lines.append(
                EpochLine(
                    epoch=each.epoch,
                    ended_at=self.end_of(each.epoch),
                    seconds=self._tempo,
                    standings=standings if each.final else {},
                    payments=await self._payments(rows, claimed, part, posted),
                    final=each.final,
                    why=why,
                )
            )
        return lines

    # --- Of all epochs at once --------------------------------------------------------------------

    @property
    def _first(self) -> int:
        return self._world.deployment.since

    def _last_before(self, finals: Sequence[int], time: int) -> int | None:
        return next((epoch for epoch in reversed(finals) if self.end_of(epoch) <= time), None)

    def _first_within(self, settled: Sequence[_Settled], seconds: int) -> int:
        first = self.end_of(settled[-1].epoch) - seconds
        return next(each.epoch for each in settled if self.end_of(each.epoch) > first)

    async def _stakes(self) -> Mapping[int, dict[str, tuple[int, int]]]:
        """Return by epoch and validator the number of its row, and the stake behind it."""
        found: dict[int, dict[str, tuple[int, int]]] = defaultdict(dict)
        for log in await self._world.reader.logs(
            Revealed,
            address=self._world.deployment.scores.address,
            topics=Revealed.topics(subnet=self._subnet),
            first=self._first,
        ):
            found[log.event.epoch][log.event.validator] = (log.event.row, log.event.stake)
        return found

    async def _parts(self) -> dict[int, int]:
        """Return by epoch what Emission gave its validators."""
        logs = await self._world.reader.logs(
            EpochSettled,
            address=self._world.deployment.emission.address,
            topics=EpochSettled.topics(subnet=self._subnet),
            first=self._first,
        )
        return {log.event.epoch: log.event.validators_part for log in logs}

    async def _paid(self) -> Mapping[int, dict[str, int]]:
        """Return by epoch and validator what was claimed for those who staked with it."""
        reader, deployment = self._world.reader, self._world.deployment
        claims = await reader.logs(
            ValidatorPaid,
            address=deployment.emission.address,
            topics=ValidatorPaid.topics(subnet=self._subnet),
            first=self._first,
        )
        rewards: dict[tuple[str, str, int], list[int]] = defaultdict(list)
        if claims:
            # What was not put into the pool, as nobody had staked there, is not the delegators'.
            for log in await reader.logs(
                Rewarded,
                address=deployment.bond.address,
                topics=Rewarded.topics(payer=deployment.emission.address),
                first=self._first,
            ):
                event = log.event
                rewards[log.tx_hash, event.validator, event.amount].append(event.take)
        found: dict[int, dict[str, int]] = defaultdict(dict)
        for claim in claims:
            paid = claim.event
            takes = rewards[claim.tx_hash, paid.validator, paid.amount]
            found[paid.epoch][paid.validator] = paid.amount - takes.pop() if takes else 0
        return found

    # --- Of one -----------------------------------------------------------------------------------

    async def _uids(self, epoch: int, rows: Mapping[str, tuple[int, int]]) -> dict[int, int]:
        """Return the places of those who revealed, by row."""
        subnets = self._world.deployment.subnets
        count = await self._world.reader.read(subnets.table_of(self._subnet, VALIDATORS))
        held = await self._world.reader.read_all(
            [subnets.occupant_at(self._subnet, VALIDATORS, uid, epoch) for uid in range(count[0])]
        )
        uid_of = {validator_at(who): uid for uid, (who, _) in enumerate(held) if who}
        return {row: uid_of[who] for who, (row, _) in rows.items() if who in uid_of}

    async def _payments(
        self,
        rows: Mapping[str, tuple[int, int]],
        claimed: Mapping[str, int],
        part: int,
        posted: PostedEpoch | None,
    ) -> dict[str, Payment]:
        found = {}
        for who, (row, stake) in rows.items():
            if who in claimed or not part:
                found[who] = Payment(stake, claimed.get(who, 0))
            elif posted is None:
                found[who] = Payment(stake, None)
            else:
                amount = _unclaimed(posted, row, part)
                bond = self._world.deployment.bond
                take, _, _ = await self._world.reader.read(bond.take_of(who))
                found[who] = Payment(stake, amount - amount * take // BPS)
        return found


def _unclaimed(posted: PostedEpoch, row: int, part: int) -> int:
    """Return what a validator will be paid: by dividends, or by stake where nobody has any."""
    rows = [counted or (0, 0) for counted in posted.rows]
    lower = (1 << _HALF) - 1
    shares = [counted & lower for _, counted in rows]
    if not any(shares):
        shares = [active for active, _ in rows]
    whole = sum(shares)
    return part * shares[row] // whole if whole else 0
