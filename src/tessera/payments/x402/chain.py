"""The standard's contracts on a chain, behind `payments.x402.ports`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from eth_abi.abi import encode

from tessera.bindings import x402_channels as bindings
from tessera.bindings.test_dollar import AuthorizationUsed, Transfer
from tessera.chain.deployments import Deployment
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.payments.x402.book import ChannelState
from tessera.payments.x402.ports import Claim
from tessera.payments.x402.wire import Authorization, Deposit
from tessera.spec.signatures import Address, address_text
from tessera.spec.x402_digests import BATCH_SETTLEMENT, DEPOSIT_COLLECTOR, ChannelConfig

__all__ = ["X402OnChain"]

_COLLECTOR: Final = address_text(DEPOSIT_COLLECTOR)
_COLLECTED: Final = ("uint256", "uint256", "uint256", "bytes")


class X402OnChain:
    """The chain as whoever is paid by x402 uses it.

    Parameters
    ----------
    reader, sender
        Of the chain; the sender's account is the authorizer of its channels.
    deployment
        Where the currency is.
    """

    def __init__(self, reader: ChainReader, sender: Sender, deployment: Deployment) -> None:
        self._reader = reader
        self._sender = sender
        self._dollar = deployment.currency
        self._since = deployment.since
        self._channels = bindings.X402Channels(address_text(BATCH_SETTLEMENT))

    async def read_channel(self, channel: bytes) -> ChannelState:
        """Read a channel at one block; zeros where there is none."""
        calls: list[Any] = [
            self._channels.channels(channel),
            self._channels.pendingWithdrawals(channel),
            self._channels.refundNonce(channel),
        ]
        at = await self._reader.block_number()
        state, pending, nonce = await self._reader.read_all(calls, at=at)
        return ChannelState(state.balance, state.totalClaimed, pending.initiatedAt, nonce)

    async def deposit(self, config: ChannelConfig, deposit: Deposit) -> str:
        """Draw a deposit into its channel; return the transaction."""
        data = encode(
            _COLLECTED,
            (deposit.valid_after, deposit.valid_before, deposit.salt, deposit.signature),
        )
        call = self._channels.deposit(_config(config), deposit.amount, _COLLECTOR, data)
        return (await self._sender.send(call)).tx_hash

    async def claim(self, claims: Sequence[Claim]) -> str:
        """Book what was charged, of up to 100 channels; return the transaction."""
        call = self._channels.claim([_row(claim) for claim in claims])
        return (await self._sender.send(call)).tx_hash

    async def settle(self, receiver: Address) -> str:
        """Send what was claimed for a receiver to it; return the transaction."""
        call = self._channels.settle(address_text(receiver), self._dollar.address)
        return (await self._sender.send(call)).tx_hash

    async def refund(self, config: ChannelConfig, amount: int, claims: Sequence[Claim]) -> str:
        """Book what was charged, then give money of the channel back; return the transaction."""
        refund = self._channels.refund(_config(config), amount)
        if not claims:
            return (await self._sender.send(refund)).tx_hash
        claim = self._channels.claim([_row(each) for each in claims])
        both = self._channels.multicall([claim.data, refund.data])
        return (await self._sender.send(both)).tx_hash

    async def transfer(self, authorization: Authorization) -> str:
        """Move what a payer authorized; return the transaction."""
        by = authorization
        call = self._dollar.transferWithAuthorization(
            address_text(by.payer),
            address_text(by.receiver),
            by.value,
            by.valid_after,
            by.valid_before,
            by.nonce,
            by.signature[64],
            by.signature[:32],
            by.signature[32:64],
        )
        return (await self._sender.send(call)).tx_hash

    async def transferred(self, authorization: Authorization) -> str:
        """Find the transaction that moved what a payer authorized, whoever sent it."""
        by = authorization
        payer, receiver = address_text(by.payer), address_text(by.receiver)
        topics = AuthorizationUsed.topics(authorizer=payer, nonce=by.nonce)
        for used in await self._reader.logs(
            AuthorizationUsed, address=self._dollar.address, topics=topics, first=self._since
        ):
            moved = await self._reader.logs(
                Transfer,
                address=self._dollar.address,
                topics=Transfer.topics(sender=payer, receiver=receiver),
                first=used.block,
                last=used.block,
            )
            # The currency says first that it was used, and with its next word what it moved.
            if any(
                log.tx_hash == used.tx_hash
                and log.index == used.index + 1
                and log.event.value == by.value
                for log in moved
            ):
                return used.tx_hash
        return ""

    async def is_used(self, payer: Address, nonce: bytes) -> bool:
        """Tell whether an authorization was used up, by whomever and for whatever."""
        return await self._reader.read(self._dollar.authorizationState(address_text(payer), nonce))

    async def money_of(self, payer: Address) -> int:
        """Return a payer's base units of the currency."""
        return await self._reader.read(self._dollar.balanceOf(address_text(payer)))


def _config(config: ChannelConfig) -> bindings.ChannelConfig:
    return bindings.ChannelConfig(
        address_text(config.payer),
        address_text(config.payer_authorizer),
        address_text(config.receiver),
        address_text(config.receiver_authorizer),
        address_text(config.token),
        config.withdraw_delay,
        config.salt,
    )


def _row(claim: Claim) -> bindings.VoucherClaim:
    voucher = bindings.Voucher(_config(claim.config), claim.maximum)
    return bindings.VoucherClaim(voucher, claim.signature, claim.charged)
