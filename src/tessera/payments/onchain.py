"""Channels on a real chain: what an operator and a consumer read and send."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, NoReturn

from tessera.bindings.calls import Call
from tessera.bindings.channels import (
    ChannelOpened,
    Settled,
    VoucherSkipped,
    VouchersSettled,
    Withdrawn,
)
from tessera.bindings.channels import Grant as ChainGrant
from tessera.bindings.channels import (
    TillKey as ChainTillKey,
)
from tessera.chain.deployments import Deployment
from tessera.chain.flights import Flight
from tessera.chain.reader import ChainReader
from tessera.chain.receipts import TransactionReceipt
from tessera.chain.sender import Sender
from tessera.chain.wallet import Account
from tessera.errors import InputError, NotFinal, NotFound, TransactionReverted
from tessera.ownership.allowing import allow
from tessera.payments.ports import ChannelView, SettleResult
from tessera.spec.channels import Grant, LineState
from tessera.spec.signatures import ZERO_ADDRESS, Address, Domain, address_of, address_text
from tessera.spec.vouchers import Reason, TillKey
from tessera.units import MAX_UINT64, format_amount

__all__ = [
    "AccountSigner",
    "ConsumerOnChain",
    "OperatorOnChain",
    "SentBatch",
    "channels_domain",
    "read_channel",
]


class AccountSigner:
    """Lets an account sign vouchers or receipts."""

    __slots__ = ("_account", "address", "public_key")

    def __init__(self, account: Account) -> None:
        self._account = account
        self.address: Address = address_of(account.address)
        self.public_key = account.public_key

    def sign(self, digest: bytes) -> bytes:
        """Return r, s, v: 65 bytes with a low `s`."""
        return self._account.sign_digest(digest)

    def agree(self, their_key: bytes) -> bytes:
        """Return what only the two keys' holders can compute: 32 secret bytes."""
        return self._account.agree(their_key)


def channels_domain(deployment: Deployment) -> Domain:
    """Return what vouchers and receipts of a deployment are signed for."""
    return Domain(deployment.chain_id, address_of(deployment.channels.address))


async def read_channel(
    reader: ChainReader,
    deployment: Deployment,
    operator: Address,
    channel: int,
    keys: Sequence[TillKey] = (),
) -> ChannelView | None:
    """Read a channel and some of its lines at one block; None where there is no such channel.

    Raises
    ------
    ChainError
        The chain could not be asked.
    """
    channels = deployment.channels
    toward = address_text(operator)
    calls: list[Call[Any]] = [
        channels.channel_of(toward, channel),
        *(channels.line_of(toward, channel, key.asset, key.terms) for key in keys),
    ]
    block = await reader.block()
    found = await reader.read_all(calls, at=block.number)
    payer, signer, restricted, balance, available_at = found[0]
    if address_of(payer) == ZERO_ADDRESS:
        return None
    return ChannelView(
        payer=address_of(payer),
        signer=address_of(signer),
        restricted=restricted,
        balance=balance,
        available_at=available_at,
        lines={key: LineState(*line) for key, line in zip(keys, found[1:], strict=True)},
        block_time=block.timestamp,
    )


class SentBatch:
    """A settlement on its way, as `SentSettlement` wants it."""

    def __init__(self, flight: Flight) -> None:
        self._flight = flight

    @property
    def nonce(self) -> int:
        """Of the operator's account."""
        return self._flight.nonce

    @property
    def hashes(self) -> tuple[str, ...]:
        """Of all that was signed for it, 0x-hex; the last one offers most."""
        return tuple(signed.hash for signed in self._flight.signed)

    @property
    def failure(self) -> Exception | None:
        """Why it never will be in a block; None while it may."""
        outcome = self._flight.outcome
        failed = outcome.exception() if outcome.done() and not outcome.cancelled() else None
        # Not mined in time is no end: it is still looked after.
        if isinstance(failed, NotFinal) or not isinstance(failed, Exception):
            return None
        return failed

    def raise_ceiling(self, fee_ceiling: int | None) -> None:
        """Let it offer up to so much wei per gas; never less than before. None for no limit."""
        before = self._flight.fee_ceiling
        if before is not None:
            self._flight.fee_ceiling = None if fee_ceiling is None else max(before, fee_ceiling)


async def mined(
    reader: ChainReader, hashes: Sequence[str], contract: str, function: str
) -> tuple[TransactionReceipt, int] | None:
    """Return the receipt of one of these transactions, and how many blocks deep it lies.

    Raises
    ------
    TransactionReverted
        It failed in its block.
    """
    for tx_hash in hashes:
        receipt = await reader.receipt(tx_hash)
        if receipt is None:
            continue
        if not receipt.succeeded:
            raise TransactionReverted(contract, "", tx_hash, function=function)
        return receipt, await reader.block_number() - receipt.block
    return None


class OperatorOnChain:
    """The chain as an operator uses it.

    Parameters
    ----------
    reader, sender
        Of the chain; the sender's account is the operator.
    deployment
        Where the contracts are.
    confirmations
        Blocks on top of a settlement before it is final; until then it is sent again when its
        block is replaced.
    """

    def __init__(
        self,
        reader: ChainReader,
        sender: Sender,
        deployment: Deployment,
        *,
        confirmations: int = 0,
    ) -> None:
        self._reader = reader
        self._sender = sender
        self._deployment = deployment
        self._confirmations = confirmations
        self._operator = address_of(sender.address)

    async def read_channel(self, channel: int, keys: Sequence[TillKey]) -> ChannelView | None:
        """Read a channel toward this operator and some of its lines, all at one block."""
        return await read_channel(self._reader, self._deployment, self._operator, channel, keys)

    async def settle(self, tills: Sequence[TillKey], words: Sequence[int]) -> SettleResult:
        """Send one batch and wait until it is in a block."""
        return self._settled(await self._sender.send(self._settlement(tills, words)))

    async def gas_price(self) -> int:
        """Return what gas costs in the next block, wei."""
        return (await self._reader.block()).base_fee

    async def submit(
        self, tills: Sequence[TillKey], words: Sequence[int], fee_ceiling: int | None
    ) -> SentBatch:
        """Send one batch, and again for as long as no block has it deep enough."""
        call = self._settlement(tills, words)
        flight = await self._sender.submit(
            call, confirmations=1 + self._confirmations, fee_ceiling=fee_ceiling
        )
        return SentBatch(flight)

    async def find(self, hashes: Sequence[str]) -> tuple[SettleResult, int] | None:
        """Return what one of these transactions did, and how many blocks deep it lies."""
        found = await mined(self._reader, hashes, "Channels", "settle")
        return None if found is None else (self._settled(found[0]), found[1])

    def _settlement(self, tills: Sequence[TillKey], words: Sequence[int]) -> Call[Any]:
        chain_tills = [ChainTillKey(key.asset, key.terms) for key in tills]
        return self._deployment.channels.settle(chain_tills, words)

    def _settled(self, receipt: TransactionReceipt) -> SettleResult:
        address = self._deployment.channels.address
        words = [
            word
            for event in receipt.all_of(VouchersSettled, address=address)
            for word in event.taken
        ]
        # Each word is channel (64) | amount << 64.
        taken = tuple((word & MAX_UINT64, word >> 64) for word in words)
        skipped = receipt.all_of(VoucherSkipped, address=address)
        assets = {event.asset for event in receipt.all_of(Settled, address=address)}
        return SettleResult(
            tx_hash=receipt.tx_hash,
            block=receipt.block,
            total=sum(amount for _, amount in taken),
            skipped=tuple((event.channel, Reason(event.reason)) for event in skipped),
            assets=tuple(sorted(assets)),
            taken=taken,
            block_hash=receipt.block_hash,
        )

    async def flush(self, asset: int) -> str:
        """Hand an asset's pending income on; return the transaction."""
        receipt = await self._sender.send(self._deployment.channels.flush(asset))
        return receipt.tx_hash


class ConsumerOnChain:
    """The chain as a payer uses it.

    Parameters
    ----------
    reader, sender
        Of the chain; the sender's account is the payer.
    deployment
        Where the contracts are.
    operator
        Toward whom channels are opened.
    """

    def __init__(
        self, reader: ChainReader, sender: Sender, deployment: Deployment, operator: Address
    ) -> None:
        self._reader = reader
        self._sender = sender
        self._deployment = deployment
        self.payer = address_of(sender.address)
        self.operator = operator

    async def opened(self) -> list[int]:
        """Return the numbers of all channels that the payer ever opened, latest first."""
        channels = self._deployment.channels
        found = await self._reader.logs(
            ChannelOpened,
            address=channels.address,
            topics=ChannelOpened.topics(
                payer=address_text(self.payer), operator=address_text(self.operator)
            ),
            first=self._deployment.since,
        )
        return [log.event.channel for log in reversed(found)]

    async def latest(self) -> int:
        """Return the channel that the payer opened last for himself, not for a session key.

        Raises
        ------
        NotFound
            There is none toward this operator.
        """
        for number in await self.opened():
            view = await self.read(number)
            if view is not None and view.signer == self.payer:
                return number
        raise NotFound(
            f"channels of {address_text(self.payer)}",
            found="none",
            wanted="one toward this operator",
            next_step="open one: tessera channel open AMOUNT",
        )

    async def read(self, channel: int, keys: Sequence[TillKey] = ()) -> ChannelView | None:
        """Read a channel and some of its lines; None where it was never opened."""
        return await read_channel(self._reader, self._deployment, self.operator, channel, keys)

    async def funds(self) -> int:
        """Return how much of the currency the payer holds."""
        currency = self._deployment.currency
        return await self._reader.read(currency.balanceOf(self._sender.address))

    async def open(
        self,
        deposit: int,
        signer: Address,
        grants: Sequence[Grant] = (),
        *,
        salt: bytes | None = None,
    ) -> int:
        """Open a channel and return its number.

        Parameters
        ----------
        deposit
            Base units.
        signer
            Whose vouchers count.
        grants
            What a session key may spend.
        salt
            32 bytes that the number is made of; drawn at random where None, so that nobody knows
            the number before and two programs of one payer never choose the same.

        Raises
        ------
        InputError
            The payer has not that much.
        TransactionReverted
            The channel exists.
        """
        await self._allow(deposit)
        channels = self._deployment.channels
        receipt = await self._sender.send(
            channels.open(
                address_text(self.operator),
                secrets.token_bytes(32) if salt is None else salt,
                deposit,
                address_text(signer),
                [ChainGrant(*grant) for grant in grants],
            )
        )
        return receipt.one_of(ChannelOpened, address=channels.address).channel

    async def grant(self, channel: int, grants: Sequence[Grant]) -> str:
        """Set what a channel's session key may spend on some lines; return the transaction.

        Raises
        ------
        TransactionReverted
            The channel's signer is not held to grants, or the payer is another.
        """
        channels = self._deployment.channels
        call = channels.grant(
            address_text(self.operator), channel, [ChainGrant(*grant) for grant in grants]
        )
        return (await self._sender.send(call)).tx_hash

    async def top_up(self, channel: int, amount: int) -> str:
        """Add to a channel; return the transaction.

        Raises
        ------
        InputError
            The payer has not that much.
        """
        await self._allow(amount)
        call = self._deployment.channels.top_up(address_text(self.operator), channel, amount)
        return (await self._sender.send(call)).tx_hash

    async def request_withdrawal(self, channel: int) -> int:
        """Begin to take the rest back; return when that will be possible, unix seconds."""
        channels = self._deployment.channels
        await self._sender.send(channels.request_withdrawal(address_text(self.operator), channel))
        view = await self.read(channel)
        return view.available_at if view else 0

    async def cancel_withdrawal(self, channel: int) -> str:
        """Take the request back; return the transaction."""
        call = self._deployment.channels.cancel_withdrawal(address_text(self.operator), channel)
        return (await self._sender.send(call)).tx_hash

    async def withdraw(self, channel: int) -> int:
        """Take the rest back, once the delay is over; return how much came.

        Raises
        ------
        TransactionReverted
            None was requested, or it is too early.
        """
        channels = self._deployment.channels
        receipt = await self._sender.send(channels.withdraw(address_text(self.operator), channel))
        return receipt.one_of(Withdrawn, address=channels.address).amount

    async def _allow(self, amount: int) -> None:
        held = await self.funds()
        if held < amount:
            await self._refuse_poor(held, amount)
        # Exactly what is deposited: an allowance that stays open is worth stealing.
        currency, channels = self._deployment.currency, self._deployment.channels
        await allow(self._sender, currency, channels.address, amount)

    async def _refuse_poor(self, held: int, wanted: int) -> NoReturn:
        currency = self._deployment.currency
        decimals = await self._reader.read(currency.decimals())
        symbol = await self._reader.read(currency.symbol())
        raise InputError(
            f"account {self._sender.address}",
            found=format_amount(held, decimals=decimals, symbol=symbol, grouped=True),
            wanted=(
                f"{format_amount(wanted, decimals=decimals, symbol=symbol, grouped=True)}, "
                "which are to be deposited"
            ),
            next_step=(
                f"deposit less, or get more: tessera account faucet {self._sender.address}"
                if self._deployment.has_faucet
                else "deposit less, or fund the account"
            ),
        )
