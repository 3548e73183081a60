"""Who belongs together: wallets of one first funder, contracts of one deployer, one owner's labels.

A funder belongs to those that it funded only where it also gave them the token: nearly every wallet
was funded by some other, and whoever followed that alone would make one entity of a whole chain.

An entity is a guess that evidence supports, never a proof, so results show addresses and entities
side by side. Nobody is joined through an exchange, a bridge, a mixer or a faucet, nor through an
unlabelled hub: one that funded many wallets and was itself paid by many that it did not fund.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import rlp
from numpy.typing import NDArray

from tessera.diligence.labels import AddressClass, Classes, Labels, classes_of
from tessera.diligence.view import View
from tessera.facts import ABSENT, Addresses, Calls, Kind, Transfers
from tessera.facts.addresses import address_bytes, address_text
from tessera.spec.signatures import keccak

__all__ = ["Entities", "cluster", "created_by", "entities_of", "first_funders"]

HUB: Final = 50
"""Who first funded more wallets than this, and was paid by as many others, serves the public."""

_NONCES: Final = 64
_JOINABLE: Final = (
    AddressClass.TEAM,
    AddressClass.CONTRACT,
    AddressClass.WALLET,
    AddressClass.UNSEEN,
)
_STRANGERS: Final = {AddressClass.BURN, AddressClass.EXCHANGE, AddressClass.BRIDGE}


@dataclass(frozen=True, eq=False)
class Entities:
    """Who belongs to whom.

    Attributes
    ----------
    entity
        int32 of shape (addresses,): of those that belong together the id of the least address.
    funded
        For how many addresses the first funder is known.
    hubs
        Funders through whom nobody was joined.
    joined
        How many addresses belong to an entity of two or more.
    observed
        Whether transactions were there to look for funders in.
    """

    entity: NDArray[np.int32]
    funded: int
    hubs: tuple[str, ...]
    joined: int
    observed: bool

    def together(self, amounts: list[int]) -> list[int]:
        """Return amounts by address as amounts by entity: at its id, 0 at its other members'."""
        sums = [0] * len(amounts)
        for entity, amount in zip(self.entity.tolist(), amounts, strict=True):
            if amount:
                sums[entity] += amount
        return sums


class _Joined:
    """Disjoint sets, each named by its least member."""

    def __init__(self, count: int) -> None:
        self.parent = list(range(count))

    def find(self, member: int) -> int:
        root = member
        while self.parent[root] != root:
            root = self.parent[root]
        while self.parent[member] != root:
            self.parent[member], member = root, self.parent[member]
        return root

    def join(self, one: int, other: int) -> None:
        one, other = self.find(one), self.find(other)
        if one != other:
            self.parent[max(one, other)] = min(one, other)


def first_funders(calls: Calls) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return whom the chain's own coin first reached, and from whom.

    Returns
    -------
    pair of int32 of shape (n,)
        Ids in `calls.addresses`: the funded, ascending, and the funder of each. What a contract
        paid within a transaction is not seen.
    """
    paid = calls.ok & (calls.to >= 0) & (calls.to != calls.sender)
    paid &= calls.value.limbs.any(axis=1)
    funded, first = np.unique(calls.to[paid], return_index=True)
    return funded.astype(np.int32), calls.sender[paid][first].astype(np.int32)


def created_by(deployer: str, nonce: int) -> str:
    """Return the address of the contract that an account creates with this transaction."""
    return address_text(keccak(rlp.encode([address_bytes(deployer), nonce]))[12:])


def cluster(
    addresses: Addresses,
    classes: Classes,
    calls: Calls | None = None,
    *,
    moves: Transfers | None = None,
    deployers: Iterable[str] = (),
    hub: int = HUB,
) -> Entities:
    """Put addresses together.

    Parameters
    ----------
    addresses
        Who is put together; ids of the result are its ids.
    classes
        Their classes, with the labels they come from.
    calls
        Transactions of the chain, in order; None where nobody looked.
    moves
        Transfers by which a funder is known to have given those that it funded more than their
        gas; with the same ids.
    deployers
        Accounts whose contracts are looked for, besides all that are seen to create one.
    hub
        Above so many, funding is a service.
    """
    joinable = classes.members(*_JOINABLE)
    joined = _Joined(len(addresses))
    _by_owner(joined, addresses, classes.labels)
    funded, hubs = 0, tuple[str, ...]()
    creators = set(deployers)
    if calls is not None:
        funded, hubs = _by_funder(joined, addresses, classes.labels, calls, joinable, moves, hub)
        seen = calls.sender[calls.ok & (calls.to == ABSENT)]
        creators.update(calls.addresses.texts(np.unique(seen)))
    for creator in sorted(creators):
        home = addresses.id_of(creator)
        for nonce in range(_NONCES):
            made = addresses.id_of(created_by(creator, nonce))
            if made is None or not joinable[made]:
                continue
            if home is None:
                home = made
            elif joinable[home]:
                joined.join(home, made)
    entity = np.fromiter(map(joined.find, range(len(addresses))), np.int32, len(addresses))
    entity = _named_by_least(entity, addresses)
    sizes = np.bincount(entity, minlength=len(entity))
    return Entities(entity, funded, hubs, int(sizes[sizes > 1].sum()), calls is not None)


def _by_owner(joined: _Joined, addresses: Addresses, labels: Labels) -> None:
    """Join the wallets of one exchange or bridge, and those of the team."""
    homes: dict[tuple[AddressClass, str], int] = {}
    for address, label in labels.by_address.items():
        found = addresses.id_of(address)
        own = label.klass in {AddressClass.EXCHANGE, AddressClass.BRIDGE, AddressClass.TEAM}
        if found and own and label.owner:
            joined.join(found, homes.setdefault((label.klass, label.owner), found))


def _by_funder(
    joined: _Joined,
    addresses: Addresses,
    labels: Labels,
    calls: Calls,
    joinable: NDArray[np.bool_],
    moves: Transfers | None,
    hub: int,
) -> tuple[int, tuple[str, ...]]:
    funded, funder = first_funders(calls)
    who, count = np.unique(funder, return_counts=True)
    excluded = {
        int(each)
        for each in who
        if (label := labels.by_address.get(calls.addresses[int(each)])) is not None
        and (label.public or label.klass in _STRANGERS)
    }
    hubs = []
    first = np.full(len(calls.addresses), ABSENT, np.int32)
    first[funded] = funder
    for each in who[count > hub].tolist():
        payers = np.unique(calls.sender[calls.ok & (calls.to == each)])
        # Its own wallets may pay it back as often as they like.
        if each not in excluded and int((first[payers] != each).sum()) > hub:
            hubs.append(calls.addresses[each])
            excluded.add(each)
    here = addresses.ids_of(calls.addresses.texts(funded))
    givers = dict(zip(who.tolist(), addresses.ids_of(calls.addresses.texts(who)), strict=True))
    homes: dict[int, int] = {}
    by = np.full(len(addresses), ABSENT, np.int32)
    for member, giver in zip(here.tolist(), funder.tolist(), strict=True):
        if member > 0 and joinable[member] and giver not in excluded:
            joined.join(homes.setdefault(giver, member), member)
            if givers[giver] > 0 and joinable[givers[giver]]:
                by[member] = givers[giver]
    if moves is not None:
        for member in np.unique(moves.target[by[moves.target] == moves.source]).tolist():
            joined.join(int(by[member]), member)
    return int((here > 0).sum()), tuple(sorted(hubs))


def entities_of(view: View) -> Entities:
    """Return who belongs together among all who ever had the token, as of the view."""
    return view.kept("entities", lambda: _entities(view))


def _entities(view: View) -> Entities:
    facts, people = view.facts, view.subject.people
    return cluster(
        view.transfers.addresses,
        classes_of(view),
        facts.calls() if Kind.CALLS in facts.kinds else None,
        moves=view.transfers,
        deployers=[people.deployer] if people.deployer else [],
    )


def _named_by_least(entity: NDArray[np.int32], addresses: Addresses) -> NDArray[np.int32]:
    """Return each entity's least address in place of any: ids of a table mean nothing."""
    table = addresses.table
    order = np.lexsort([table[:, byte] for byte in range(table.shape[1] - 1, -1, -1)])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    least = np.full(len(order), len(order), np.int64)
    np.minimum.at(least, entity, rank)
    return order[least[entity]].astype(np.int32)
