"""A facilitator on the chain of a running `tessera up`, or on any other EVM chain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from tessera.app.world import World, connect, load_account, wallet_of
from tessera.bindings.codec import checksummed
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.config import Config
from tessera.errors import InputError
from tessera.payments.x402.facilitator import Facilitator, FacilitatorRules
from tessera.spec.signatures import Address, address_of

__all__ = ["open_facilitator"]

_LEAST_WEI: Final = 10**16
_RPC_TIMEOUT_S: Final = 15.0


@asynccontextmanager
async def open_facilitator(
    config: Config,
    name: str,
    *,
    tokens: Sequence[str] = (),
    any_token: bool = False,
    per_minute: int,
    gas_per_hour: int,
    receivers: Sequence[str] = (),
    least_units: int = 1,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Facilitator]:
    """Build a facilitator for the length of a context.

    Parameters
    ----------
    config
        The settings: where the chain is.
    name
        Of the key that pays for gas. On an embedded chain it is made, and given coins.
    tokens, any_token
        What may be paid in: addresses, or anything. By default the currency of the running chain.
    receivers
        Whose payments are settled: addresses; everybody's by default.
    per_minute, gas_per_hour, least_units
        As in `FacilitatorRules`.
    clock
        Unix seconds.

    Raises
    ------
    InputError
        No token is named on a chain of others, a name is no address, or the key has no coins.
    NotFound
        There is no key of that name.
    RpcUnavailable, WrongChain, DataError
        The chain does not answer, or is another one.
    """
    allowed = {_address(token, "--token") for token in tokens}
    served = {_address(receiver, "--receiver") for receiver in receivers}
    async with AsyncExitStack() as stack:
        if config.rpc_url:
            reader = ChainReader(config.rpc_url, chain_id=config.chain_id, timeout_s=_RPC_TIMEOUT_S)
            stack.push_async_callback(reader.close)
            await reader.check_chain()
            sender = Sender(reader, load_account(wallet_of(config), name))
            stack.push_async_callback(sender.close)
        else:
            world = await stack.enter_async_context(connect(config, clock=clock))
            reader, sender = world.reader, await _funded(world, name)
            if not allowed:
                allowed.add(address_of(world.currency.address))
        if not allowed and not any_token:
            raise InputError(
                "facilitator: tokens",
                found="none",
                wanted="what payments may be made in",
                next_step="name them: --token ADDRESS; or take every token: --any-token",
            )
        held = await reader.balance(sender.address)
        if held < _LEAST_WEI:
            raise InputError(
                f"account {name} ({sender.address})",
                found=f"{held} wei",
                wanted="some of the chain's own coin, which pays for gas",
                next_step="send it some, or use another key: --as NAME",
            )
        rules = FacilitatorRules(
            tokens=None if any_token else frozenset(allowed),
            serves=lambda receiver: not served or receiver in served,
            per_minute=per_minute,
            gas_per_hour=gas_per_hour,
            least_units=least_units,
        )
        yield Facilitator(reader, sender, rules, clock)


async def _funded(world: World, name: str) -> Sender:
    if world.embedded and name not in world.wallet.names():
        await asyncio.to_thread(world.wallet.load_or_create, name)
    account = world.account(name)
    if world.embedded and await world.reader.balance(account.address) < _LEAST_WEI:
        await world.fund(account.address)
    return world.sender(name)


def _address(text: str, option: str) -> Address:
    try:
        return address_of(checksummed(text))
    except ValueError as error:
        raise InputError(
            option, found=text, wanted="an address: 0x and 40 hexadecimal digits"
        ) from error
