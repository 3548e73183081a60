"""The standard's contracts on a chain, behind `payments.x402.ports`."""

from __future__ import annotations

from collections.abc import Sequence

from tessera.bindings.x402_channels import Claimed
from tessera.chain.deployments import Deployment
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.payments.onchain import SentBatch, mined
from tessera.payments.ports import SettleResult
from tessera.payments.x402.book import ChannelState
from tessera.payments.x402.calls import (
    CHANNELS,
    claim_call,
    deposit_call,
    read_channel,
    refund_call,
    settle_call,
    together,
    transfer_call,
    transferred,
)
from tessera.payments.x402.ports import Claim
from tessera.payments.x402.wire import Authorization, Deposit
from tessera.spec.signatures import Address, address_of, address_text
from tessera.spec.x402_digests import ChannelConfig

__all__ = ["X402OnChain"]


class X402OnChain:
    """The chain as whoever is paid by x402 uses it.

    Parameters
    ----------
    reader, sender
        Of the chain; the sender's account is the authorizer of its channels.
    deployment
        Where the currency is.
    confirmations
        Blocks on top of a claim before it is final.
    """

    def __init__(
        self,
        reader: ChainReader,
        sender: Sender,
        deployment: Deployment,
        *,
        confirmations: int = 0,
    ) -> None:
        self._confirmations = confirmations
        self._reader = reader
        self._sender = sender
        self._dollar = deployment.currency
        self._currency = address_of(deployment.currency.address)
        self._since = deployment.since

    async def read_channel(self, channel: bytes) -> ChannelState:
        """Read a channel at one block; zeros where there is none."""
        return await read_channel(self._reader, channel)

    async def deposit(self, config: ChannelConfig, deposit: Deposit) -> str:
        """Draw a deposit into its channel; return the transaction."""
        return (await self._sender.send(deposit_call(config, deposit))).tx_hash

    async def claim(self, claims: Sequence[Claim]) -> str:
        """Book what was charged, of up to 100 channels; return the transaction."""
        return (await self._sender.send(claim_call(claims))).tx_hash

    async def submit_claim(self, claims: Sequence[Claim], fee_ceiling: int | None) -> SentBatch:
        """Send a claim, and again for as long as no block has it deep enough."""
        flight = await self._sender.submit(
            claim_call(claims), confirmations=1 + self._confirmations, fee_ceiling=fee_ceiling
        )
        return SentBatch(flight)

    async def find(self, hashes: Sequence[str]) -> tuple[SettleResult, int] | None:
        """Return what one of these claims did, and how many blocks deep it lies."""
        found = await mined(self._reader, hashes, "X402Channels", "claim")
        if found is None:
            return None
        receipt, depth = found
        events = receipt.all_of(Claimed, address=CHANNELS.address)
        taken = tuple((int.from_bytes(each.channelId, "big"), each.claimAmount) for each in events)
        result = SettleResult(
            tx_hash=receipt.tx_hash,
            block=receipt.block,
            total=sum(amount for _, amount in taken),
            skipped=(),
            taken=taken,
            block_hash=receipt.block_hash,
        )
        return result, depth

    async def owed(self, receiver: Address) -> int:
        """Return what was claimed for a receiver and not sent yet, base units."""
        place = address_text(receiver)
        state = await self._reader.read(CHANNELS.receivers(place, self._dollar.address))
        return state.totalClaimed - state.totalSettled

    async def settle(self, receiver: Address) -> str:
        """Send what was claimed for a receiver to it; return the transaction."""
        return (await self._sender.send(settle_call(receiver, self._currency))).tx_hash

    async def refund(self, config: ChannelConfig, amount: int, claims: Sequence[Claim]) -> str:
        """Book what was charged, then give money of the channel back; return the transaction."""
        refund = refund_call(config, amount)
        call = together(claim_call(claims), refund) if claims else refund
        return (await self._sender.send(call)).tx_hash

    async def transfer(self, authorization: Authorization) -> str:
        """Move what a payer authorized; return the transaction."""
        return (await self._sender.send(transfer_call(self._currency, authorization))).tx_hash

    async def transferred(self, authorization: Authorization) -> str:
        """Find the transaction that moved what a payer authorized, whoever sent it."""
        return await transferred(self._reader, self._currency, authorization, since=self._since)

    async def is_used(self, payer: Address, nonce: bytes) -> bool:
        """Tell whether an authorization was used up, by whomever and for whatever."""
        return await self._reader.read(self._dollar.authorizationState(address_text(payer), nonce))

    async def money_of(self, payer: Address) -> int:
        """Return a payer's base units of the currency."""
        return await self._reader.read(self._dollar.balanceOf(address_text(payer)))
