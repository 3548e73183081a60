"""What a new network does once, after its contracts exist and before anybody uses them.

Each step looks whether it was done, so that founding goes on where it was interrupted, and costs a
few reads on every later start. Until the deployer opens TSR's pool nobody else can: all of TSR's
genesis is the deployer's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from tessera.bindings import NetworkToken
from tessera.bindings.calls import Call
from tessera.chain.deployments import Deployment
from tessera.chain.sender import Sender
from tessera.units import NETWORK_DECIMALS

__all__ = ["found"]

TEST_SETS: Final = ((1_000, 780_000, 738),)
"""Sizes of test sets whose bad counts are proved from the start: items, least score in millionths
(a threshold of 0.80, and two points), largest bad count."""

_STANDARD_FEE: Final = 1
_FOR_EVER: Final = 2**32 - 1
"""Until when the first liquidity stays: only what cannot leave is depth that prices rest on."""
_NOBODY: Final = "0x" + "00" * 20


async def found(
    sender: Sender, deployment: Deployment, *, announce: Callable[[str], None] = lambda _: None
) -> None:
    """Give a new network its minter, its first bad count, the market of TSR, and the fee's halves.

    Parameters
    ----------
    sender
        Of the deployer.
    deployment
        Complete.
    announce
        Told of each step, and of what only somebody else can do.

    Raises
    ------
    AccountUnfunded
        The deployer cannot pay for gas.
    """
    async for step, calls in _steps(sender, deployment, announce):
        announce(step)
        for call in calls:
            await sender.send(call)


async def _steps(
    sender: Sender, deployment: Deployment, announce: Callable[[str], None]
) -> AsyncIterator[tuple[str, list[Call[Any]]]]:
    read, registry = sender.reader.read, deployment.registry
    token, counts = deployment.network_token, deployment.bad_counts
    emission = deployment.emission.address
    addresses = [token.minter(), registry.owner(), registry.validators(), registry.commons()]
    minter, owner, validators, commons = await sender.reader.read_all(addresses)
    if minter == _NOBODY:
        yield "TSR: its schedule alone mints from now on", [token.set_minter(emission)]
    for items, least, correct in TEST_SETS:
        if not await read(counts.known(items, least)):
            yield f"proving the bad count of {items} items", [counts.prove(items, least, correct)]
    if not await read(deployment.network_exchange.has_pool(token.address)):
        calls = await _market(sender, deployment, token)
        if calls:
            yield "opening the market of TSR", calls
        else:
            announce("TSR has no market yet: the deployer lacks the money that opens it")
    # What somebody decided since stays.
    if validators == commons:
        if owner == sender.address:
            fee_bps = await read(registry.fee_bps())
            set_network = registry.set_network(fee_bps, commons, emission)
            yield "validators' half of the fee goes to Emission", [set_network]
        else:
            announce(f"{owner} must name Emission ({emission}) as receiver of the validators' half")


async def _market(sender: Sender, deployment: Deployment, token: NetworkToken) -> list[Call[Any]]:
    """Return what opens the pool of TSR; nothing where the deployer cannot pay its money side."""
    parameters, currency = deployment.parameters, deployment.currency
    exchange, commons = deployment.network_exchange, parameters.commons
    money = parameters.network_pool
    tokens = money * 10**NETWORK_DECIMALS // parameters.network_price
    held = await sender.reader.read(currency.balanceOf(sender.address))
    calls: list[Call[Any]] = []
    if held < money:
        if not deployment.has_faucet:
            return []
        limit = await sender.reader.read(currency.faucet_limit())
        missing = money - held
        calls += [currency.faucet(min(limit, missing - at)) for at in range(0, missing, limit)]
    return [
        *calls,
        currency.approve(exchange.address, money),
        token.approve(exchange.address, tokens),
        exchange.open_pool(token.address, tokens, money, _STANDARD_FEE, commons, _FOR_EVER),
    ]
