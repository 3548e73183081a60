"""Who stands where in a subnet, from the results of its epochs and what they paid.

A share is of its side's reward in one epoch, models and validators apart, so the shares of a side
add up to 1. A change is the difference of two shares, in parts of the whole: +0.05 after 0.10 is
0.15. What somebody earned says nothing about what it will.

What cannot be read is unknown, and so is all that follows from it; nothing is filled in.
"""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tessera.errors import InputError
from tessera.spec.epochs import PostedEpoch

__all__ = [
    "MONTH_S",
    "WEEK_S",
    "EpochLine",
    "Occupant",
    "Payment",
    "Role",
    "Row",
    "Standing",
    "leaderboard",
    "read_standings",
]

DAY_S: Final = 86_400
YEAR_S: Final = 365 * DAY_S
WEEK_S: Final = 7 * DAY_S
MONTH_S: Final = 30 * DAY_S

_ONE: Final = 1 << 32
_HALF: Final = 128
_LOWER: Final = (1 << _HALF) - 1


class Role(enum.StrEnum):
    """What a place in a subnet is."""

    MODEL = "model"
    VALIDATOR = "validator"


@dataclass(frozen=True, slots=True)
class Occupant:
    """Who has a place.

    Attributes
    ----------
    uid
        The place; given to somebody else after its owner left.
    owner
        The asset of a model, the account of a validator.
    since
        The first epoch that it has the place in.
    """

    role: Role
    uid: int
    owner: str
    since: int


@dataclass(frozen=True, slots=True)
class Standing:
    """One place in the result of one epoch; 0 to 1.

    Attributes
    ----------
    share
        Incentive of a model, dividends of a validator.
    support
        Consensus of a model, trust of a validator.
    """

    share: float
    support: float


@dataclass(frozen=True, slots=True)
class Payment:
    """What an epoch brought a validator's pool; raw network tokens.

    Attributes
    ----------
    stake
        What its row counted with; 0 where it revealed none.
    delegated
        What came for all who staked with it, its take taken off; None where that cannot be read.
    """

    stake: int
    delegated: int | None


@dataclass(frozen=True, slots=True)
class EpochLine:
    """One epoch that is settled.

    Attributes
    ----------
    epoch
        Its number.
    ended_at, seconds
        Unix time of its end, and how long it was.
    standings
        By role and uid; who is not there has none of its side's reward. None where the result is
        not read: it is not needed, or `why` says what is missing. Empty for a skipped epoch.
    payments
        By validator's account.
    final
        Whether it has a result; a skipped one pays nobody.
    why
        Why its result cannot be read.
    """

    epoch: int
    ended_at: int
    seconds: int
    standings: Mapping[tuple[Role, int], Standing] | None
    payments: Mapping[str, Payment]
    final: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; what is unknown is None.

    Attributes
    ----------
    rank
        By share within its role, from 1; equal shares by the lower uid.
    consensus, incentive
        Of a model, 0 to 1.
    trust, dividends, stake, apy
        Of a validator; `stake` is bonded now, and `apy` is what a delegator's stake would grow in
        a year if each epoch paid as those of the last 30 days did, its take taken off and all left
        in; None where there is less than a day to go by.
    change_7d, change_30d
        Of the share; None where this owner was not there then, or nothing was final.
    unknown
        Which of these are None because a result cannot be read.
    """

    rank: int | None
    uid: int
    owner: str
    role: Role
    trust: float | None
    consensus: float | None
    incentive: float | None
    dividends: float | None
    apy: float | None
    stake: int | None
    change_7d: float | None
    change_30d: float | None
    unknown: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "rank": self.rank,
            "uid": self.uid,
            "owner": self.owner,
            "role": str(self.role),
            "trust": self.trust,
            "consensus": self.consensus,
            "incentive": self.incentive,
            "dividends": self.dividends,
            "apy": self.apy,
            "stake": None if self.stake is None else str(self.stake),
            "change_7d": self.change_7d,
            "change_30d": self.change_30d,
            "unknown": list(self.unknown),
        }


def read_standings(
    posted: PostedEpoch, validators: Mapping[int, int]
) -> dict[tuple[Role, int], Standing]:
    """Return what a result says of each place.

    Parameters
    ----------
    posted
        With all parts.
    validators
        The uids of those who revealed, by row.

    Raises
    ------
    InputError
        A part is missing.
    """
    found: dict[tuple[Role, int], Standing] = {}
    ranks, dividends = posted.header.incentive, posted.header.dividends & _LOWER
    for uid, column in enumerate(posted.columns):
        if column is None:
            raise _missing(f"column {uid}")
        found[Role.MODEL, uid] = Standing(_part(column.rank, ranks), column.consensus / _ONE)
    for number, row in enumerate(posted.rows):
        if row is None:
            raise _missing(f"row {number}")
        if number in validators:
            _, counted = row
            share = _part(counted & _LOWER, dividends)
            standing = Standing(share, (counted >> _HALF) / _ONE)
            found[Role.VALIDATOR, validators[number]] = standing
    return found


def leaderboard(
    epochs: Sequence[EpochLine], occupants: Sequence[Occupant], stakes: Mapping[str, int]
) -> list[Row]:
    """Rank everybody by the latest final epoch.

    Parameters
    ----------
    epochs
        Settled ones, ascending; some may be missing.
    occupants
        Of the latest final epoch.
    stakes
        Bonded now, raw network tokens, by validator's account.

    Returns
    -------
    list
        Models first, then validators, each by rank, or by uid where ranks are unknown.

    Raises
    ------
    InputError
        The epochs are not ascending, or a place comes twice.
    """
    _check(epochs, occupants)
    finals = [epoch for epoch in epochs if epoch.final]
    latest = finals[-1] if finals else None
    week, month = _before(finals, WEEK_S), _before(finals, MONTH_S)
    rows: list[Row] = []
    for role in Role:
        those = sorted(
            (each for each in occupants if each.role is role),
            key=lambda each: (-(_of(latest, each) or _NOTHING).share, each.uid),
        )
        for rank, each in enumerate(those, 1):
            standing, model = _of(latest, each), role is Role.MODEL
            share = standing.share if standing else None
            support = standing.support if standing else None
            apy = None if model else _apy(epochs, each)
            changes = _change(each, share, week), _change(each, share, month)
            known = {
                "rank": standing is not None or latest is None,
                "apy": apy is not _UNREAD,
                "change_7d": changes[0] is not _UNREAD,
                "change_30d": changes[1] is not _UNREAD,
            }
            for name in _MODELS if model else _VALIDATORS:
                known[name] = known["rank"]
            rows.append(
                Row(
                    rank=rank if standing else None,
                    uid=each.uid,
                    owner=each.owner,
                    role=role,
                    trust=None if model else support,
                    consensus=support if model else None,
                    incentive=share if model else None,
                    dividends=None if model else share,
                    apy=_read(apy),
                    stake=None if model else stakes.get(each.owner, 0),
                    change_7d=_read(changes[0]),
                    change_30d=_read(changes[1]),
                    unknown=tuple(name for name, is_known in known.items() if not is_known),
                )
            )
    return rows


class _Unread(enum.Enum):
    """What would be a number if a result could be read."""

    UNREAD = enum.auto()


_UNREAD: Final = _Unread.UNREAD
_NOTHING: Final = Standing(0.0, 0.0)
_MODELS: Final = ("consensus", "incentive")
_VALIDATORS: Final = ("trust", "dividends")


def _read(value: float | _Unread | None) -> float | None:
    return None if value is _UNREAD else value


def _check(epochs: Sequence[EpochLine], occupants: Sequence[Occupant]) -> None:
    for before, after in itertools.pairwise(epochs):
        if after.epoch <= before.epoch or after.ended_at <= before.ended_at:
            raise InputError(
                f"epoch {after.epoch}", found=f"after epoch {before.epoch}", wanted="ascending ones"
            )
    if len({(each.role, each.uid) for each in occupants}) != len(occupants):
        raise InputError("places", found="one twice", wanted="each once")


def _before(finals: Sequence[EpochLine], seconds: int) -> EpochLine | None:
    """Return the last final epoch that had ended so long before the latest one did."""
    if not finals:
        return None
    time = finals[-1].ended_at - seconds
    return next((epoch for epoch in reversed(finals) if epoch.ended_at <= time), None)


def _of(epoch: EpochLine | None, occupant: Occupant) -> Standing | None:
    """Return where somebody stood in an epoch; who earned nothing stands at nothing."""
    if epoch is None or epoch.standings is None:
        return None
    return epoch.standings.get((occupant.role, occupant.uid), _NOTHING)


def _change(
    occupant: Occupant, share: float | None, then: EpochLine | None
) -> float | _Unread | None:
    if then is None or occupant.since > then.epoch:
        return None
    before = _of(then, occupant)
    return _UNREAD if share is None or before is None else share - before.share


def _apy(epochs: Sequence[EpochLine], validator: Occupant) -> float | _Unread | None:
    growth, seconds = 0.0, 0
    first = epochs[-1].ended_at - MONTH_S if epochs else 0
    for epoch in epochs:
        if epoch.ended_at <= first or epoch.epoch < validator.since:
            continue
        seconds += epoch.seconds
        payment = epoch.payments.get(validator.owner)
        if payment is None or not payment.stake:
            continue
        if payment.delegated is None:
            return _UNREAD
        growth += math.log1p(payment.delegated / payment.stake)
    if seconds < DAY_S:
        return None
    # What would grow beyond any float in a year is as good as its largest.
    return math.expm1(min(700.0, growth * YEAR_S / seconds))


def _part(of: int, whole: int) -> float:
    return of / whole if whole else 0.0


def _missing(part: str) -> InputError:
    return InputError(f"{part} of a result", found="not there", wanted="all of its parts")
