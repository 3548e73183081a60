"""Who stands where in a subnet, from the results of its epochs and nothing else.

A share is of its side's reward in one epoch, models and validators apart, so the shares of a side
add up to 1. A change is the difference of two shares, in parts of the whole: +0.05 after 0.10 is
0.15. What somebody earned says nothing about what he will.
"""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from tessera.errors import InputError, NotFound
from tessera.units import BPS

__all__ = ["EpochLine", "Role", "Row", "Standing", "leaderboard", "read_epochs"]

DAY_S: Final = 86_400
YEAR_S: Final = 365 * DAY_S
WEEK_S: Final = 7 * DAY_S
MONTH_S: Final = 30 * DAY_S

_ONE: Final = 1 << 32
_Raw = Annotated[int, msgspec.Meta(ge=0, le=_ONE)]
_Count = Annotated[int, msgspec.Meta(ge=0)]


class Role(enum.StrEnum):
    """What a uid is in its subnet."""

    MODEL = "model"
    VALIDATOR = "validator"


class Standing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One uid in one epoch.

    Attributes
    ----------
    uid
        In the subnet; given to somebody else after its owner left.
    owner
        Who has it: the asset of a model, the account of a validator.
    role
        Model or validator.
    share
        Incentive of a model, dividends of a validator; raw, of 2^32.
    consensus, trust
        Raw. A model has a consensus, a validator a trust.
    stake, paid
        Base units of the network token: bonded on a validator, and what the epoch brought.
    take_bps
        Part of it that a validator keeps before its delegators.
    """

    uid: Annotated[int, msgspec.Meta(ge=0, le=65_535)]
    owner: str
    role: Role
    share: _Raw
    consensus: _Raw = 0
    trust: _Raw = 0
    stake: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,78}$")] = "0"
    paid: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,78}$")] = "0"
    take_bps: Annotated[int, msgspec.Meta(ge=0, le=BPS)] = 0


class EpochLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The result of one epoch.

    Attributes
    ----------
    epoch
        Its number.
    ended_at, seconds
        Unix time of its end, and how long it was.
    uids
        Everybody registered then.
    """

    epoch: _Count
    ended_at: _Count
    seconds: Annotated[int, msgspec.Meta(ge=1)]
    uids: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    rank
        By share within its role, from 1; equal shares by the lower uid.
    consensus, incentive
        Of a model, 0 to 1.
    trust, dividends, stake, apy
        Of a validator; `apy` is what a delegator's stake would grow in a year if each epoch paid as
        those of the last 30 days did, its take taken off and all left in; None where there is less
        than a day to go by.
    change_7d, change_30d
        Of the share; None where this owner was not there then.
    """

    rank: int
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
        }


def leaderboard(epochs: Sequence[EpochLine]) -> list[Row]:
    """Rank everybody by the latest epoch.

    Parameters
    ----------
    epochs
        Ascending; some may be missing, as an epoch that nobody posted pays nobody.

    Returns
    -------
    list
        Models first, then validators, each by rank; empty without epochs.

    Raises
    ------
    InputError
        They are not ascending, or a uid comes twice in one.
    """
    _check(epochs)
    if not epochs:
        return []
    latest = epochs[-1]
    week = _at(epochs, latest.ended_at - WEEK_S)
    month = _at(epochs, latest.ended_at - MONTH_S)
    rows: list[Row] = []
    for role in Role:
        those = sorted(
            (each for each in latest.uids if each.role is role),
            key=lambda each: (-each.share, each.uid),
        )
        for rank, each in enumerate(those, 1):
            model = role is Role.MODEL
            rows.append(
                Row(
                    rank=rank,
                    uid=each.uid,
                    owner=each.owner,
                    role=role,
                    trust=None if model else each.trust / _ONE,
                    consensus=each.consensus / _ONE if model else None,
                    incentive=each.share / _ONE if model else None,
                    dividends=None if model else each.share / _ONE,
                    apy=None if model else _apy(epochs, each),
                    stake=None if model else int(each.stake),
                    change_7d=_change(each, week),
                    change_30d=_change(each, month),
                )
            )
    return rows


def read_epochs(file: Path) -> tuple[EpochLine, ...]:
    """Read epochs from a file: a JSON list.

    Raises
    ------
    NotFound
        There is no such file.
    InputError
        It holds something else.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=tuple[EpochLine, ...])
    except FileNotFoundError as error:
        raise NotFound(f"epochs {file}", found="nothing", wanted="a file") from error
    except (OSError, msgspec.MsgspecError, RecursionError) as error:
        raise InputError(
            f"epochs {file}", found=str(error), wanted="a list of epochs as JSON"
        ) from error


def _check(epochs: Sequence[EpochLine]) -> None:
    for before, after in itertools.pairwise(epochs):
        if after.epoch <= before.epoch or after.ended_at <= before.ended_at:
            raise InputError(
                f"epoch {after.epoch}", found=f"after epoch {before.epoch}", wanted="ascending ones"
            )
    for epoch in epochs:
        if len({each.uid for each in epoch.uids}) != len(epoch.uids):
            raise InputError(f"epoch {epoch.epoch}", found="a uid twice", wanted="each once")


def _at(epochs: Sequence[EpochLine], time: int) -> EpochLine | None:
    """Return the last epoch that had ended by then."""
    return next((epoch for epoch in reversed(epochs) if epoch.ended_at <= time), None)


def _same(one: Standing, other: Standing) -> bool:
    return (one.uid, one.owner, one.role) == (other.uid, other.owner, other.role)


def _change(now: Standing, then: EpochLine | None) -> float | None:
    for each in then.uids if then is not None else ():
        if _same(each, now):
            return (now.share - each.share) / _ONE
    return None


def _apy(epochs: Sequence[EpochLine], validator: Standing) -> float | None:
    growth, seconds = 0.0, 0
    first = epochs[-1].ended_at - MONTH_S
    for epoch in epochs:
        if epoch.ended_at <= first:
            continue
        for each in epoch.uids:
            if not _same(each, validator) or not int(each.stake):
                continue
            to_delegators = int(each.paid) * (BPS - each.take_bps) / BPS
            growth += math.log1p(to_delegators / int(each.stake))
            seconds += epoch.seconds
    if seconds < DAY_S:
        return None
    # What would grow beyond any float in a year is as good as its largest.
    return math.expm1(min(700.0, growth * YEAR_S / seconds))
