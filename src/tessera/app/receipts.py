"""Receipts held against the chain: who may have signed one about an asset."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from tessera.app.world import World
from tessera.client.evidence import PaidCall, kept
from tessera.errors import NotFound
from tessera.payments.header import SignedReceipt
from tessera.payments.onchain import channels_domain
from tessera.serving.receipts import listed_signer
from tessera.spec.signatures import Address

__all__ = ["kept_calls", "receipt_signers"]


async def receipt_signers(world: World) -> Callable[[SignedReceipt], Address]:
    """Return what says of a receipt who signed it, if the chain lists him for its asset.

    It raises `NotFound` for an asset of another chain, and `SignatureRejected` for anybody else's
    signature.
    """
    await world.directory.refresh()
    domain = channels_domain(world.deployment)

    def signer_of(signed: SignedReceipt) -> Address:
        record = world.directory.get(signed.receipt.asset)
        if record is None:
            raise NotFound(
                "receipt: asset",
                found=str(signed.receipt.asset),
                wanted="one registered on this chain",
            )
        return listed_signer(signed, domain, record)

    return signer_of


async def kept_calls(world: World, folder: Path) -> list[PaidCall]:
    """Read the calls that are kept in a folder, each with its receipt checked.

    Raises
    ------
    SignatureRejected, NotFound
        A receipt is not of who operates its asset, or not about the bodies beside it.
    InputError
        A body is missing, or there is no receipt at all.
    """
    signer_of = await receipt_signers(world)
    return await asyncio.to_thread(kept, folder, channels_domain(world.deployment), signer_of)
