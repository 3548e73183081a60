"""Who plays: keys of people that exist only in this world, with coins for gas and test dollars."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from tessera.app import World
from tessera.units import Units

__all__ = [
    "CONSUMERS",
    "HOLDERS",
    "PEOPLE",
    "PUBLISHERS",
    "SESSION_KEY",
    "assemble",
    "names_of",
]

PUBLISHERS: Final = ("publisher-1", "publisher-2")
CONTRIBUTORS: Final = ("contributor-1", "contributor-2")
HOLDERS: Final = tuple(f"holder-{number}" for number in range(1, 6))
CONSUMERS: Final = tuple(f"consumer-{number}" for number in range(1, 5))
SESSION_KEY: Final = "consumer-4-session"
"""Signs vouchers for consumer-4 and can do nothing else; it has neither coins nor money."""

PEOPLE: Final = (*PUBLISHERS, *CONTRIBUTORS, *HOLDERS, *CONSUMERS, "commons")
_SAVINGS: Final = {**dict.fromkeys(HOLDERS, 10_000), **dict.fromkeys(CONSUMERS, 1_000)}
"""Whole test dollars."""
_GAS: Final = 10**18
_BEHIND: Final = {"Exchange": "providers (pool)", "Governor": "lockers (votes)"}
"""For whom shares earn that lie in a contract."""


async def assemble(world: World) -> None:
    """Make everybody's key, and give out coins and test dollars.

    What is there already is kept, so a world can be populated again.
    """
    for name in (*PEOPLE, SESSION_KEY):
        await asyncio.to_thread(world.wallet.load_or_create, name)
    addresses = [world.account(name).address for name in PEOPLE]
    coins = await asyncio.gather(*(world.reader.balance(address) for address in addresses))
    await asyncio.gather(
        *(
            world.fund(address, _GAS)
            for address, has in zip(addresses, coins, strict=True)
            if has < _GAS // 2
        )
    )
    unit = 10**world.currency.decimals
    await asyncio.gather(
        *(world.mint(name, Units(dollars * unit)) for name, dollars in _SAVINGS.items())
    )


def names_of(world: World, more: Sequence[tuple[str, str]] = ()) -> dict[str, str]:
    """Return what people call each address: keys, contracts, and `more` (address, name)."""
    contracts = {
        row.address: _BEHIND.get(name, name) for name, row in world.deployment.contracts.items()
    }
    keys = {world.account(name).address: name for name in world.wallet.names()}
    return {**contracts, **keys, **dict(more)}
