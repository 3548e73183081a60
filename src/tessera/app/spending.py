"""Before a contract takes network tokens: enough of them, and an approval of exactly that much."""

from __future__ import annotations

from tessera.app.world import World
from tessera.chain.sender import Sender
from tessera.errors import InputError
from tessera.ownership.allowing import allow

__all__ = ["require_tokens", "spend"]


async def require_tokens(world: World, account: str, amount: int, what: str) -> None:
    """Refuse what an account has too few network tokens for.

    Parameters
    ----------
    account
        Its address.
    amount
        Raw network tokens.
    what
        What they are for, as "a stake".

    Raises
    ------
    InputError
        It holds fewer.
    """
    held = await world.reader.read(world.deployment.network_token.balanceOf(account))
    if held < amount:
        raise InputError(
            f"account {world.named(account)}",
            found=world.network.shown(held),
            wanted=f"{world.network.shown(amount)} for {what}",
            next_step=f"on a development chain: tessera account faucet {account} --tsr AMOUNT"
            if world.embedded
            else "buy some: tessera market swap AMOUNT money TSR",
        )


async def spend(world: World, sender: Sender, spender: str, amount: int, what: str) -> None:
    """Let a contract take so many network tokens of the sender, who must have them.

    Raises
    ------
    InputError
        As `require_tokens`; nothing was sent then.
    """
    await require_tokens(world, sender.address, amount, what)
    if amount:
        await allow(sender, world.deployment.network_token, spender, amount)
