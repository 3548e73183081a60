"""EIP-2612 permits: an approval that is signed, and sent with what needs it in one transaction."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from tessera.bindings import Access, Share, TestDollar
from tessera.bindings.codec import encode
from tessera.chain.sender import Sender
from tessera.errors import NotFound, TransactionReverted
from tessera.spec.signatures import keccak
from tessera.units import UnixSeconds

__all__ = ["Permit", "sign_permit"]

_PERMIT: Final = keccak(
    b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)


class Permit(NamedTuple):
    """A signature over exactly one amount, good until a deadline and once."""

    v: int
    r: bytes
    s: bytes


async def sign_permit(
    sender: Sender,
    token: Access | Share | TestDollar,
    spender: str,
    amount: int,
    *,
    deadline: UnixSeconds,
) -> Permit | None:
    """Let a contract take exactly so much of the sender's tokens until a deadline.

    Returns
    -------
    Permit or None
        None where the token takes none: a currency need not know of permits.
    """
    owner = sender.address
    try:
        separator, nonce = await asyncio.gather(
            sender.reader.read(token.DOMAIN_SEPARATOR()), sender.reader.read(token.nonces(owner))
        )
        kinds = ("bytes32", "address", "address", "uint256", "uint256", "uint256")
        values = (_PERMIT, owner, spender, amount, nonce, deadline)
        struct = keccak(encode("permit", kinds, values))
        signature = sender.account.sign_digest(keccak(b"\x19\x01" + separator + struct))
        permit = Permit(signature[64], signature[:32], signature[32:64])
        # Some tokens have the two readings and another permit.
        trial = token.permit(owner, spender, amount, deadline, *permit)
        await sender.reader.read(trial, sender=owner)
    except (TransactionReverted, NotFound):
        return None
    return permit
