"""Who plays in the chapter about the subnet, and what they stake."""

from __future__ import annotations

import asyncio
from typing import Final

from tessera.app import World
from tessera.units import Units

__all__ = [
    "BOND",
    "CHALLENGER",
    "COMMITTER",
    "JURORS",
    "KEEPER",
    "LAZY",
    "MODELS",
    "OWNER",
    "POSTER",
    "STRANGERS",
    "VALIDATORS",
    "WHOLE",
    "gather_people",
]

WHOLE: Final = 10**18
"""Raw TSR in one."""

OWNER: Final = "subnet-owner"
MODELS: Final = {"scribe": "publisher-1", "clerk": "publisher-2", "blot": "publisher-2"}
"""Who publishes what the story's operator serves; the fourth is the second operator's."""

VALIDATORS: Final = ("validator-1", "validator-2", "validator-3")
LAZY: Final = VALIDATORS[-1]
STRANGERS: Final = {"validator-1": "passer-by-1", "validator-2": "passer-by-2"}
"""Keys that nobody knows to be a validator's. The lazy one has none."""

JURORS: Final = tuple(f"juror-{number}" for number in range(1, 7))
CHALLENGER: Final = "challenger"
COMMITTER: Final = "committer"
POSTER: Final = "poster"
KEEPER: Final = "keeper"

BOND: Final = 1_000 * WHOLE
"""That every validator and every juror stakes."""

_TSR: Final = {
    OWNER: 300,
    "publisher-1": 20,
    "publisher-2": 20,
    **dict.fromkeys(VALIDATORS, 1_020),
    **dict.fromkeys(JURORS, 1_000),
    CHALLENGER: 100,
    COMMITTER: 3_000,
    POSTER: 210,
    KEEPER: 40,
}
"""Whole ones that each begins with."""

_DOLLARS: Final = 20
_GAS: Final = 10**18


async def gather_people(world: World) -> None:
    """Make the keys, and give out coins, TSR and, to those who measure, test dollars."""
    payers = (*VALIDATORS, *STRANGERS.values())
    names = tuple(dict.fromkeys((*_TSR, *payers)))
    for name in names:
        await asyncio.to_thread(world.wallet.load_or_create, name)
    addresses = {name: world.account(name).address for name in names}
    unit = 10**world.currency.decimals
    await asyncio.gather(
        *(world.fund(address, _GAS) for address in addresses.values()),
        *(world.endow(addresses[name], Units(amount * WHOLE)) for name, amount in _TSR.items()),
        *(world.give(addresses[name], Units(_DOLLARS * unit)) for name in payers),
    )
