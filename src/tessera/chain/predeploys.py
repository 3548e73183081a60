"""What a development chain has from its first block: contracts of others' standards.

Clients of x402 look for its channels at one address on every chain, and tools for Multicall. On a
public chain the real ones are there; on a new embedded chain ours are, as code of its beginning.
On the chain id of Base Sepolia the test dollar stands where that chain has its dollar: x402's
clients know the address, and need no configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tessera.chain.reader import ChainReader
from tessera.contracts import load_artifact

__all__ = [
    "BASE_SEPOLIA",
    "BASE_SEPOLIA_DOLLAR",
    "DOLLAR",
    "PLACES",
    "places_on",
    "predeployed_code",
    "predeployed_on",
]

DOLLAR: Final = "TestDollar"
BASE_SEPOLIA: Final = 84_532
BASE_SEPOLIA_DOLLAR: Final = "0x036CbD53842c5426634e7929541eC2318f3dCF7e"

PLACES: Final[Mapping[str, str]] = {
    "Multicall": "0xcA11bde05977b3631167028862bE2a173976CA11",
    "X402Channels": "0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003",
    "X402Collector": "0x4020806089470a89826cB9fB1f4059150b550004",
}
"""Where the standards have these contracts, on every chain."""

_COLLECTED_FOR: Final = "x402BatchSettlement"


def places_on(chain_id: int) -> dict[str, str]:
    """Return the contracts of a development chain's beginning: address by name."""
    places = dict(PLACES)
    if chain_id == BASE_SEPOLIA:
        places[DOLLAR] = BASE_SEPOLIA_DOLLAR
    return places


def predeployed_code(chain_id: int, *, decimals: int, faucet: int) -> dict[str, bytes]:
    """Return what a new development chain begins with: code by address.

    Parameters
    ----------
    chain_id
        EIP-155 number.
    decimals, faucet
        Of the test dollar, where the chain begins with one: its decimals, and the most base units
        that one call of its faucet gives.
    """
    immutables = {
        "X402Collector": {_COLLECTED_FOR: int(PLACES["X402Channels"], 16)},
        DOLLAR: {"decimals": decimals, "faucet_limit": faucet},
    }
    return {
        address: load_artifact(name).code(immutables.get(name, {}))
        for name, address in places_on(chain_id).items()
    }


async def predeployed_on(reader: ChainReader) -> dict[str, str]:
    """Return those contracts of ours that are in their places on a chain: address by name.

    Raises
    ------
    RpcUnavailable
        The node does not answer.
    """
    return {
        name: address
        for name, address in places_on(reader.chain_id).items()
        if load_artifact(name).is_code(await reader.code(address))
    }
