"""What taking x402 payments needs from a chain; `payments.x402.chain` fills it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tessera.payments.ports import SentSettlement, SettleResult
from tessera.payments.x402.book import ChannelState
from tessera.payments.x402.wire import Authorization, Deposit
from tessera.spec.signatures import Address
from tessera.spec.x402_digests import ChannelConfig

__all__ = ["Claim", "X402Chain"]


class Claim(NamedTuple):
    """A row of a claim: of a channel's voucher, how much was charged in all.

    Attributes
    ----------
    config, maximum, signature
        The voucher.
    charged
        Base units; at most `maximum`.
    """

    config: ChannelConfig
    maximum: int
    signature: bytes
    charged: int


class X402Chain(Protocol):
    """The standard's contracts and the currency, as whoever is paid uses them.

    What is sent is in a block when a method returns; `TransactionReverted` tells what the contract
    refused, any other `ChainError` that the chain could not be asked.
    """

    async def read_channel(self, channel: bytes) -> ChannelState:
        """Read a channel at one block; zeros where there is none."""

    async def deposit(self, config: ChannelConfig, deposit: Deposit) -> str:
        """Draw a deposit into its channel; return the transaction."""

    async def claim(self, claims: Sequence[Claim]) -> str:
        """Book what was charged, of up to 100 channels; return the transaction."""

    async def submit_claim(
        self, claims: Sequence[Claim], fee_ceiling: int | None
    ) -> SentSettlement:
        """Send a claim, and again for as long as no block has it deep enough.

        Parameters
        ----------
        fee_ceiling
            Wei per gas that it must not offer more than; None for no limit.
        """

    async def find(self, hashes: Sequence[str]) -> tuple[SettleResult, int] | None:
        """Return what one of these claims did, and how many blocks deep it lies.

        Channels are their names as numbers. None where no block has any of them.
        """

    async def owed(self, receiver: Address) -> int:
        """Return what was claimed for a receiver and not sent yet, base units."""

    async def settle(self, receiver: Address) -> str:
        """Send what was claimed for a receiver to it; return the transaction."""

    async def refund(self, config: ChannelConfig, amount: int, claims: Sequence[Claim]) -> str:
        """Book what was charged, then give money of the channel back; return the transaction."""

    async def transfer(self, authorization: Authorization) -> str:
        """Move what a payer authorized; return the transaction."""

    async def transferred(self, authorization: Authorization) -> str:
        """Find the transaction that moved what a payer authorized, whoever sent it.

        Returns
        -------
        str
            "" where there is none; a nonce that was cancelled, or used for another receiver or
            amount, is none.
        """

    async def is_used(self, payer: Address, nonce: bytes) -> bool:
        """Tell whether an authorization was used up, by whomever and for whatever."""

    async def money_of(self, payer: Address) -> int:
        """Return a payer's base units of the currency."""
