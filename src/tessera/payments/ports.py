"""What this room needs from a chain, as its own words; `payments.onchain` fills them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tessera.spec.access import Scope
from tessera.spec.channels import LineState
from tessera.spec.signatures import Address
from tessera.spec.vouchers import Reason, TillKey

__all__ = [
    "ChannelView",
    "Clock",
    "OperatorChain",
    "OrderProof",
    "OrdersChain",
    "ProofResult",
    "RightView",
    "SentSettlement",
    "SettleResult",
    "SettlingChain",
    "TypedSigner",
]


class Clock(Protocol):
    """Says what time it is."""

    def __call__(self) -> float:
        """Return unix seconds."""


class TypedSigner(Protocol):
    """Signs EIP-712 digests with one key; `spec.signatures.Signer` is one."""

    @property
    def address(self) -> Address:
        """Whose signatures these are."""

    @property
    def public_key(self) -> bytes:
        """Of the same key, 33 bytes."""

    def sign(self, digest: bytes) -> bytes:
        """Return r, s, v: 65 bytes with a low `s`."""

    def agree(self, their_key: bytes) -> bytes:
        """Return what only the two keys' holders can compute: 32 secret bytes."""


@dataclass(frozen=True, slots=True)
class ChannelView:
    """A channel as the chain shows it at one block, with the lines that were asked for.

    Attributes
    ----------
    payer, signer
        Who gets the rest back, and whose vouchers count.
    restricted
        Whether the signer is held to the lines' caps and expiries.
    balance
        Deposited and not settled, base units.
    available_at
        When a requested withdrawal is possible, unix seconds; 0 if none was requested.
    lines
        Each line that was asked for; zeros where the chain has nothing.
    block_time
        Of the block at which it was read, unix seconds; 0 where nobody asked.
    """

    payer: Address
    signer: Address
    restricted: bool
    balance: int
    available_at: int
    lines: Mapping[TillKey, LineState] = field(default_factory=dict)
    block_time: int = 0


@dataclass(frozen=True, slots=True)
class SettleResult:
    """What one settlement transaction did.

    Attributes
    ----------
    tx_hash
        0x-hex.
    block
        Its height.
    total
        Base units taken from all channels.
    skipped
        (channel, reason) per voucher that the contract did not take.
    assets
        Which assets got something; their income waits to be flushed.
    taken
        (channel, base units) per voucher that counted.
    block_hash
        Of that block, 0x-hex; empty where nobody says.
    """

    tx_hash: str
    block: int
    total: int
    skipped: tuple[tuple[int, Reason], ...]
    assets: tuple[int, ...] = ()
    taken: tuple[tuple[int, int], ...] = ()
    block_hash: str = ""


class OperatorChain(Protocol):
    """The chain as an operator uses it."""

    async def read_channel(self, channel: int, keys: Sequence[TillKey]) -> ChannelView | None:
        """Read a channel toward this operator and some of its lines, all at one block.

        Returns
        -------
        ChannelView or None
            None where no such channel was ever opened.

        Raises
        ------
        ChainError
            The chain could not be asked.
        """

    async def settle(self, tills: Sequence[TillKey], words: Sequence[int]) -> SettleResult:
        """Send one batch and wait until it is in a block."""

    async def flush(self, asset: int) -> str:
        """Hand an asset's pending income on; return the transaction."""


class SentSettlement(Protocol):
    """A settlement on its way to a block, and from there to finality."""

    @property
    def nonce(self) -> int:
        """Of the operator's account."""

    @property
    def hashes(self) -> Sequence[str]:
        """Of all that was signed for it, 0x-hex; the last one offers most."""

    @property
    def failure(self) -> Exception | None:
        """Why it never will be in a block; None while it may."""

    def raise_ceiling(self, fee_ceiling: int | None) -> None:
        """Let it offer up to so much wei per gas; never less than before. None for no limit."""


class SettlingChain(OperatorChain, Protocol):
    """The chain as an operator uses it that follows its settlements until they are final."""

    async def gas_price(self) -> int:
        """Return what gas costs in the next block, wei."""

    async def submit(
        self, tills: Sequence[TillKey], words: Sequence[int], fee_ceiling: int | None
    ) -> SentSettlement:
        """Send one batch, and again for as long as no block has it deep enough.

        Raises
        ------
        TransactionReverted
            The contract would refuse it; nothing was sent.
        """

    async def find(self, hashes: Sequence[str]) -> tuple[SettleResult, int] | None:
        """Return what one of these transactions did, and how many blocks deep it lies.

        None where no block has any of them. Raises TransactionReverted where it failed in it.
        """


@dataclass(frozen=True, slots=True)
class RightView:
    """An order of Access as the chain shows it, with what its product's terms say.

    Attributes
    ----------
    asset, scope, newest_version
        What the licence covers; a version of 0 is all.
    price
        Of a call where units are calls, rounded down; of one unit otherwise. Base units.
    owner, renter, rented_until
        Whose it is; who rented it last, and until when, unix seconds.
    ordered_at, serve_window
        When it was made, and how many seconds its operator has to prove service.
    valid_until, calls
        When it ends, and how many calls it is good for in all.
    proved, void
        Whether service was proved, or the money went back.
    """

    asset: int
    scope: Scope
    newest_version: int
    price: int
    owner: Address
    renter: Address
    rented_until: int
    ordered_at: int
    serve_window: int
    valid_until: int
    calls: int
    proved: bool
    void: bool


@dataclass(frozen=True, slots=True)
class OrderProof:
    """A use that its owner signed, and the hash of the answer: what proves an order's service.

    Attributes
    ----------
    access, order
        Which order.
    call, request, deadline, signature
        What was signed.
    response
        Keccak-256 of the answer.
    serve_by
        When the order's window ends, unix seconds.
    """

    access: Address
    order: int
    call: bytes
    request: bytes
    deadline: int
    signature: bytes
    response: bytes
    serve_by: int


@dataclass(frozen=True, slots=True)
class ProofResult:
    """What one proof transaction did: which orders counted, and how much money went on."""

    tx_hash: str
    proved: tuple[int, ...]
    paid: int


class OrdersChain(Protocol):
    """The chain as an operator uses it for orders."""

    async def read_order(self, access: Address, order: int) -> RightView | None:
        """Read an order of a product that this operator serves; None where there is none."""

    async def prove(self, access: Address, proofs: Sequence[OrderProof]) -> ProofResult:
        """Hand proofs of one product in, and send the money on to the asset's accounts."""
