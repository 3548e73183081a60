"""What a purchase needs before it is sent: enough of it, and an approval of exactly that much."""

from __future__ import annotations

from tessera.bindings import Access, Share, TestDollar
from tessera.bindings.network_token import NetworkToken
from tessera.bindings.subnet_token import SubnetToken
from tessera.chain.sender import Sender
from tessera.errors import InputError
from tessera.units import (
    shown_shares,
)

__all__ = ["allow", "check_money", "check_shares"]


async def check_shares(sender: Sender, share: Share, needed: int) -> None:
    """Refuse before anything is sent what the sender has too few shares for."""
    held = await sender.reader.read(share.balanceOf(sender.address))
    if held < needed:
        raise InputError(
            f"shares of {sender.address}",
            found=shown_shares(held),
            wanted=f"the {shown_shares(needed)} that are needed",
            next_step="offer fewer",
        )


async def check_money(sender: Sender, currency: TestDollar, needed: int) -> None:
    """Refuse before anything is sent what the sender has too little money for."""
    held = await sender.reader.read(currency.balanceOf(sender.address))
    if held < needed:
        raise InputError(
            f"money of {sender.address}",
            found=f"{held} base units",
            wanted=f"{needed}, which the shares cost",
            next_step="buy fewer; on a development chain: tessera account faucet",
        )


async def allow(
    sender: Sender,
    token: Access | NetworkToken | Share | SubnetToken | TestDollar,
    spender: str,
    amount: int,
) -> None:
    """Let a contract take so much of the sender's tokens, unless it may already."""
    allowed = await sender.reader.read(token.allowance(sender.address, spender))
    if allowed < amount:
        await sender.send(token.approve(spender, amount))
