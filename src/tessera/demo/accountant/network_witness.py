"""Reads what the accountant is told about TSR: balances, bonds, and what contracts owe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from tessera.bindings import approvals, bond, emission, epochs, network_token
from tessera.bindings.registry import AssetRegistered, NetworkSet
from tessera.chain.deployments import Deployment
from tessera.chain.reader import ChainReader
from tessera.demo.accountant.facts import Entry, NetworkFacts
from tessera.spec.signatures import ZERO_ADDRESS_TEXT

__all__ = ["Rows", "gather_network"]

Rows = Mapping[tuple[int, int], Mapping[str, tuple[int, ...]]]
"""Weights by subnet and epoch, and by validator."""

_OWING: Final = ("Bond", "Subnets", "Scores", "Epochs", "Emission", "Court", "Approvals")
_HOLDING: Final = (*_OWING, "SubnetPool", "NetworkExchange", "Draws", "Conduct", "ApprovedSale")


async def gather_network(
    reader: ChainReader,
    deployment: Deployment,
    entries: Sequence[Entry],
    rows: Rows,
    at: int,
) -> NetworkFacts:
    """Read the network's token and everything that holds it, at one block.

    Parameters
    ----------
    entries
        All events up to it.
    rows
        As validators serve them.
    at
        Number of the block.
    """
    known = _Known(entries)
    token, emits = deployment.network_token, deployment.emission
    addresses = {name: deployment.contracts[name].address for name in _HOLDING}

    async def table(keys: Iterable[Any], call: Any) -> dict[Any, Any]:
        listed = sorted(keys)
        found = await reader.read_all([call(key) for key in listed], at=at)
        return dict(zip(listed, found, strict=True))

    owing: dict[str, Any] = {
        "Bond": deployment.bond, "Subnets": deployment.subnets, "Scores": deployment.scores,
        "Epochs": deployment.epochs, "Emission": emits, "Court": deployment.court,
        "Approvals": deployment.approvals,
    }  # fmt: skip
    sets = await table(known.test_sets, deployment.approvals.set_of)
    rounds = await table(known.rounds, deployment.approvals.round_of)
    earned = await table(known.assets, emits.earned_of)
    for_holders = await table(known.assets, emits.for_holders_of)
    terms = await reader.read(emits.terms(), at=at)
    epoch_terms = await reader.read(deployment.epochs.terms(), at=at)
    minted, supply, waiting, fees, started = await reader.read_all(
        [
            token.minted(), token.totalSupply(), emits.waiting_fees(), emits.fee_obligations(),
            emits.started_at(),
        ],
        at=at,
    )  # fmt: skip
    return NetworkFacts(
        token=token.address,
        at=addresses,
        commons=await reader.read(deployment.registry.commons(), at=at),
        minted=minted,
        supply=supply,
        balances=await table({*known.people, *addresses.values()}, token.balanceOf),
        obligations=await table(_OWING, lambda name: owing[name].obligations()),
        bonds=await table(known.validators, deployment.bond.slashable),
        bond_times=await reader.read(deployment.bond.times(), at=at),
        terms=msgspec.structs.astuple(terms),
        started_at=started,
        credits=await table(known.people, emits.credit_of),
        earned={asset: earned[asset] + for_holders[asset] for asset in earned},
        fee_credits=await table(known.people, emits.fees_credit_of),
        waiting_fees=waiting,
        fee_obligations=fees,
        pledges={name: row.pledge for name, row in sets.items()},
        budgets={name: row.budget for name, row in rounds.items()},
        owed=await table(known.people, deployment.epochs.owed_of),
        epoch_bond=epoch_terms.bond,
        draw_deposit=await reader.read(deployment.draws.DEPOSIT(), at=at),
        rows=rows,
    )


class _Known:
    """Every account, asset and round that an event of validation names."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.people: set[str] = set()
        self.validators: set[str] = set()
        self.assets: set[int] = set()
        self.test_sets: set[bytes] = set()
        self.rounds: set[bytes] = set()
        for entry in entries:
            match entry.event:
                case network_token.Transfer() as moved:
                    self.people |= {moved.sender, moved.receiver}
                case NetworkSet() as network:
                    self.people.add(network.commons)
                case emission.ValidatorPaid(validator=validator):
                    self.people.add(validator)
                case epochs.Posted(poster=poster):
                    self.people.add(poster)
                case bond.Staked(validator=validator):
                    self.validators.add(validator)
                case AssetRegistered(asset=asset):
                    self.assets.add(asset)
                case approvals.SetCommitted(test_set=name):
                    self.test_sets.add(name)
                case approvals.RoundOpened(round=name):
                    self.rounds.add(name)
                case _:
                    pass
        self.people.discard(ZERO_ADDRESS_TEXT)
