"""Who holds a token: how much there is, four readings of who has it, and who hides.

Supply: `minted` is what was minted less what went to zero, `total` that less what lies at addresses
nobody can spend from, `circulating` that less what is locked (vesting, treasury and team,
lock-boxes of bridges).
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.concentration import Concentration, concentration
from tessera.diligence.custody import see_through
from tessera.diligence.entities import Entities
from tessera.diligence.labels import CUSTODY, LOCKED, AddressClass, Classes
from tessera.diligence.results import hash_inputs
from tessera.facts import ABSENT, ZERO_ID, Transfers

__all__ = [
    "Owners",
    "Supply",
    "anonymous_share",
    "locked_liquidity",
    "owners_of",
    "pool_shares",
    "said_of",
    "supply",
]

_SHOWN: Final = 25


@dataclass(frozen=True, slots=True)
class Supply:
    """How much there is, in base units.

    Attributes
    ----------
    minted
        Minted less sent to zero, by replay.
    burned
        At addresses that nobody can spend from, zero aside.
    locked
        In vesting, treasury, team wallets and bridges' lock-boxes.
    """

    minted: int
    burned: int
    locked: int

    @property
    def total(self) -> int:
        """What may ever move."""
        return self.minted - self.burned

    @property
    def circulating(self) -> int:
        """What may move now."""
        return self.total - self.locked


def supply(balances: Sequence[int], classes: Classes) -> Supply:
    """Add up balances (base units by id; that of the zero address counts for nothing)."""
    held = np.array(balances, object)
    held[ZERO_ID] = 0
    burned = int(held[classes.members(AddressClass.BURN)].sum())
    return Supply(int(held.sum()), burned, int(held[classes.members(*LOCKED)].sum()))


@dataclass(frozen=True, eq=False)
class Owners:
    """Who holds it, in four readings.

    Attributes
    ----------
    raw
        All addresses but those that burn.
    adjusted
        Without exchanges, bridges, staking, vesting and pools.
    through
        With what lies in staking, vesting and pools given to who put it there, where that is seen.
    entities
        `adjusted`, with addresses that belong together as one.
    excluded
        Base units left out of `adjusted`.
    opaque
        Base units in staking, vesting and pools whose owners are not seen.
    unlabelled
        Base units in contracts that nobody has labelled.
    unseen
        Base units at addresses whose code nobody looked at.
    largest
        Ids of the 25 largest in `adjusted`, equal ones by address.
    """

    raw: Concentration | None
    adjusted: Concentration | None
    through: Concentration | None
    entities: Concentration | None
    excluded: int
    opaque: int
    unlabelled: int
    unseen: int
    largest: tuple[int, ...]


def owners_of(
    balances: Sequence[int],
    classes: Classes,
    entities: Entities,
    parts: dict[int, dict[int, int]],
    order: NDArray[np.int64],
) -> Owners:
    """Read balances in the four ways.

    Parameters
    ----------
    balances
        Base units by id.
    parts
        What each holder has of each contract that is seen through; see `custody.deposits`.
    order
        Ids with a balance, the largest first, equal ones by address.
    """
    burn = classes.members(AddressClass.BURN)
    custody = classes.members(*CUSTODY)
    kept = (~burn & ~custody).tolist()
    adjusted = [held if keep else 0 for held, keep in zip(balances, kept, strict=True)]
    seen, through = see_through(balances, parts)
    seen = [held if keep else 0 for held, keep in zip(seen, kept, strict=True)]

    def held_by(mask: NDArray[np.bool_]) -> int:
        return sum(balances[each] for each in np.flatnonzero(mask).tolist())

    opaque = classes.members(AddressClass.STAKING, AddressClass.VESTING, AddressClass.DEX_POOL)
    opaque[through] = False
    # Smallest first: what is sorted already is not sorted again.
    rising = order[::-1].tolist()
    dead = burn.tolist()
    largest = itertools.islice((each for each in order.tolist() if kept[each]), _SHOWN)
    return Owners(
        raw=concentration(balances[each] for each in rising if not dead[each]),
        adjusted=concentration(adjusted[each] for each in rising),
        through=concentration(seen),
        entities=concentration(entities.together(adjusted)),
        excluded=held_by(custody & ~burn),
        opaque=held_by(opaque),
        unlabelled=held_by(classes.members(AddressClass.CONTRACT)),
        unseen=held_by(classes.members(AddressClass.UNSEEN)),
        largest=tuple(largest),
    )


def pool_shares(
    liquidity: Transfers, transfers: Transfers, burn: NDArray[np.bool_]
) -> dict[int, int]:
    """Return who owns a pool, by its own token, as ids of another table.

    Parameters
    ----------
    liquidity
        Transfers of the pool's token.
    transfers
        Whose table the ids are of; owners that it lacks are left out, and so is what was burned.
    """
    count = len(liquidity.addresses)
    got = liquidity.amount.totals_by(liquidity.target, count)
    gave = liquidity.amount.totals_by(liquidity.source, count)
    here = transfers.addresses.ids_of(liquidity.addresses)
    return {
        home: into - out
        for home, into, out in zip(here.tolist(), got, gave, strict=True)
        if home > ZERO_ID and into > out and not burn[home]
    }


def locked_liquidity(
    liquidity: Transfers, burned: Collection[str], lockers: Collection[str]
) -> Fraction | None:
    """Return which part of a pool's own token nobody can take out now; None where there is none.

    Parameters
    ----------
    liquidity
        Transfers of the pool's token. What it mints to the zero address is its least liquidity,
        which never leaves; what is sent there was redeemed.
    burned, lockers
        Addresses that nobody spends from, and contracts that hold it back for a time.
    """
    amount, count = liquidity.amount, len(liquidity.addresses)
    minted, gone = liquidity.source == ZERO_ID, liquidity.target == ZERO_ID
    for_good = amount[minted & gone].total()
    outstanding = amount[minted].total() - amount[gone & ~minted].total()
    if outstanding <= 0:
        return None
    got = amount.totals_by(liquidity.target, count)
    gave = amount.totals_by(liquidity.source, count)
    kept = (liquidity.addresses.id_of(each) for each in {*burned, *lockers})
    held = sum(got[each] - gave[each] for each in kept if each not in (None, ZERO_ID))
    return Fraction(for_good + held, outstanding)


def anonymous_share(
    transfers: Transfers,
    balances: Sequence[int],
    classes: Classes,
    deployer: int,
    funded: NDArray[np.bool_],
) -> tuple[int, list[int]]:
    """Return what lies in nameless wallets that the deployer filled and that never gave any away.

    Parameters
    ----------
    deployer
        Its id.
    funded
        Mask over ids: whose first coins came from the deployer.

    Returns
    -------
    pair
        Base units, and the ids of the wallets.
    """
    filled = funded.copy()
    filled[transfers.target[transfers.source == deployer]] = True
    filled[transfers.source[transfers.source != ZERO_ID]] = False
    filled &= classes.members(AddressClass.WALLET, AddressClass.CONTRACT, AddressClass.UNSEEN)
    named = transfers.addresses.ids_of(classes.labels.by_address)
    filled[named[named != ABSENT]] = False
    filled[deployer] = filled[ZERO_ID] = False
    own = transfers.addresses.id_of(transfers.token)
    if own is not None:
        filled[own] = False
    wallets = [each for each in np.flatnonzero(filled).tolist() if balances[each]]
    return sum(balances[each] for each in wallets), wallets


def said_of(transfers: Transfers, classes: Classes) -> str:
    """Hash what is said of each who ever had the token, by address: ids mean nothing."""
    table = transfers.addresses.table
    known = transfers.participants()
    known = known[classes.codes[known] != AddressClass.UNSEEN]
    ranked = known[np.lexsort(table[known].T[::-1])]
    return hash_inputs(table[ranked].tobytes(), classes.codes[ranked].tobytes())
