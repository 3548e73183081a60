"""Shares: made once per asset, passed on freely, and paid as long as they are held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tessera.bindings import Registry, Share
from tessera.bindings.registry import Tokenization, Tokenized
from tessera.bindings.share import RevenueClaimed
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.errors import InputError, NotFound
from tessera.spec.signatures import ZERO_ADDRESS_TEXT
from tessera.units import (
    SHARE_DECIMALS,
    AssetId,
    Bps,
    Seconds,
    Shares,
    Units,
    checked_bps,
    checked_uint96,
    format_amount,
    shown_shares,
)

__all__ = [
    "Claimed",
    "ShareTerms",
    "claim",
    "check_transfer",
    "claimable",
    "share_of",
    "tokenize",
    "transfer",
]

_WHOLE_SHARE: Final = 10**SHARE_DECIMALS
_LONGEST_TEXT: Final = 32
_NONE: Final = Bps(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareTerms:
    """What a Share is made with; none of it ever changes.

    Attributes
    ----------
    name, symbol
        Texts of 1 to 32 bytes.
    supply
        Raw units, one whole share or more.
    period
        Time over which settled revenue streams to the holders.
    floor
        The least part of what is settled that the holders get, whatever terms come.
    max_discount
        The largest discount that the asset's governance may ever give.
    """

    name: str
    symbol: str
    supply: Shares
    period: Seconds
    floor: Bps = _NONE
    max_discount: Bps = _NONE

    def check(self) -> None:
        """Refuse what the Registry would.

        Raises
        ------
        InputError
            A text is too long or empty, or a number is out of range.
        """
        for thing, text in (("name", self.name), ("symbol", self.symbol)):
            if not 1 <= len(text.encode()) <= _LONGEST_TEXT:
                raise InputError(
                    f"{thing} of the share", found=text, wanted=f"1 to {_LONGEST_TEXT} bytes"
                )
        checked_uint96(self.supply, "supply")
        if self.supply < _WHOLE_SHARE:
            raise InputError(
                "supply",
                found=format_amount(self.supply, decimals=SHARE_DECIMALS),
                wanted="1 share or more",
            )
        if self.period < 1:
            raise InputError("period", found=self.period, wanted="1 second or more")
        checked_bps(self.floor, "holders' floor")
        checked_bps(self.max_discount, "largest discount")

    def on_chain(self, receiver: str) -> Tokenization:
        """Return them as the Registry takes them, all shares for `receiver`.

        Raises
        ------
        InputError
            As `check`.
        """
        self.check()
        return Tokenization(
            name=self.name,
            symbol=self.symbol,
            supply=self.supply,
            period=self.period,
            floor_bps=self.floor,
            max_discount_bps=self.max_discount,
            receiver=receiver,
        )


@dataclass(frozen=True, slots=True)
class Claimed:
    """What one claim paid.

    Attributes
    ----------
    amount
        Base units.
    tx_hash
        Of the transaction.
    """

    amount: Units
    tx_hash: str


async def tokenize(
    sender: Sender,
    registry: Registry,
    asset: AssetId,
    terms: ShareTerms,
    *,
    receiver: str | None = None,
) -> Share:
    """Make an asset's Share, all of it for one receiver. From then on revenue is the holders'.

    Parameters
    ----------
    sender
        Of the asset's controller.
    receiver
        Gets the whole supply; the sender where None.

    Raises
    ------
    InputError
        The terms are out of range.
    TransactionReverted
        The asset has a Share already, the sender does not control it, or the floor is above what
        its terms leave.
    """
    call = registry.tokenize(asset, terms.on_chain(receiver or sender.address))
    receipt = await sender.send(call)
    return Share(receipt.one_of(Tokenized).share)


async def share_of(reader: ChainReader, registry: Registry, asset: AssetId) -> Share:
    """Return an asset's Share.

    Raises
    ------
    NotFound
        It is not tokenized.
    """
    address = await reader.read(registry.share_of(asset))
    if address == ZERO_ADDRESS_TEXT:
        raise NotFound(
            f"shares of asset {asset}",
            found="none: it is not tokenized",
            wanted="a tokenized asset",
            next_step="its controller can make them: tessera tokenize",
        )
    return Share(address)


async def check_transfer(
    reader: ChainReader, share: Share, owner: str, receiver: str, amount: Shares
) -> None:
    """Refuse a transfer as it would be refused, before it is signed.

    Raises
    ------
    InputError
        There is nothing to send, or the owner has fewer.
    TransactionReverted
        The receiver cannot hold shares.
    """
    if amount < 1:
        raise InputError("shares to transfer", found=amount, wanted="1 raw unit or more")
    held = await reader.read(share.balanceOf(owner))
    if held < amount:
        raise InputError(
            f"shares of {owner}",
            found=shown_shares(held),
            wanted=f"the {shown_shares(amount)} to pass on",
            next_step="pass fewer on; tessera portfolio shows what there is",
        )
    await reader.read(share.transfer(receiver, amount), sender=owner)


async def transfer(sender: Sender, share: Share, receiver: str, amount: Shares) -> str:
    """Pass shares on; what they earned so far stays the sender's. Return the transaction.

    Raises
    ------
    InputError, TransactionReverted
        As `check_transfer`.
    """
    await check_transfer(sender.reader, share, sender.address, receiver, amount)
    return (await sender.send(share.transfer(receiver, amount))).tx_hash


async def claimable(reader: ChainReader, share: Share, holder: str) -> Units:
    """Return what a holder could claim in the next block, base units rounded down."""
    return Units(await reader.read(share.claimable(holder), at="pending"))


async def claim(sender: Sender, share: Share, *, receiver: str | None = None) -> Claimed:
    """Pay the sender all that its shares earned; 0 is no error."""
    receipt = await sender.send(share.claim(receiver))
    paid = receipt.all_of(RevenueClaimed, address=share.address)
    return Claimed(Units(sum(event.amount for event in paid)), receipt.tx_hash)
