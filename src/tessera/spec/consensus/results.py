"""What an epoch answers with, whichever version computed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tessera.spec.consensus.fixed import to_u16
from tessera.spec.consensus.inputs import EpochKind, Subnet
from tessera.spec.consensus.uids import Voters, null_paid, paid

__all__ = ["EpochResult", "result_of"]

Bonds = TypeVar("Bonds")


@dataclass(frozen=True, slots=True)
class EpochResult(Generic[Bonds]):
    """The outcome of one epoch: raw I32F32 words, base units, and what is stored.

    Attributes
    ----------
    stake
        Each uid's part of all stake, raw.
    active_stake
        Each active validator's part of the stake that votes, raw.
    consensus
        Per column the largest weight that kappa of the stake supports, raw.
    validator_trust
        How much of a validator's weights was left after clipping, raw.
    incentive
        Each model's part of the models' reward, raw.
    dividends
        Each validator's part of the validators' reward, raw.
    model_emission, validator_emission, emission
        Base units; every entry rounds down, and what the floors leave over is paid to nobody.
    active
        Whether the uid updated recently enough.
    permit
        Who is a validator from the next epoch on.
    bonds
        Rows to store, as u16, in the form in which this version was given them.
    """

    stake: tuple[int, ...]
    active_stake: tuple[int, ...]
    consensus: tuple[int, ...]
    validator_trust: tuple[int, ...]
    incentive: tuple[int, ...]
    dividends: tuple[int, ...]
    model_emission: tuple[int, ...]
    validator_emission: tuple[int, ...]
    emission: tuple[int, ...]
    active: tuple[bool, ...]
    permit: tuple[bool, ...]
    bonds: Bonds

    def stored(self, name: str) -> tuple[int, ...]:
        """Give a vector of raw words as the u16 ratios that are stored of it.

        Parameters
        ----------
        name
            "stake", "consensus", "validator_trust", "incentive" or "dividends".

        Returns
        -------
        tuple[int, ...]
            Of 65,535, rounded down.
        """
        return tuple(to_u16(raw) for raw in getattr(self, name))


def result_of(
    subnet: Subnet,
    who: Voters,
    consensus: Sequence[int],
    trust: Sequence[int],
    incentive: Sequence[int],
    dividends: Sequence[int],
    bonds: Bonds,
) -> EpochResult[Bonds]:
    """Pay an epoch's emission and put its outcome together.

    Parameters
    ----------
    subnet
        Of the epoch.
    who
        Its voters.
    consensus, trust, incentive, dividends
        Raw, per uid.
    bonds
        To store.

    Returns
    -------
    EpochResult
        Of one epoch.
    """
    null = subnet.parameters.kind is EpochKind.NULL
    amounts = null_paid(subnet, who) if null else paid(subnet, who, incentive, dividends)
    return EpochResult(
        stake=tuple(who.stake),
        active_stake=tuple(who.active_stake),
        consensus=tuple(consensus),
        validator_trust=tuple(trust),
        incentive=tuple(incentive),
        dividends=tuple(dividends),
        model_emission=tuple(amounts.models),
        validator_emission=tuple(amounts.validators),
        emission=tuple(amounts.combined),
        active=tuple(who.active),
        permit=tuple(who.next_permit),
        bonds=bonds,
    )
