"""What the accountant is given: what the chain said, what it has, and what consumers were told.

Nothing here comes from the operator's books or from the contracts' own sums alone: events, balances
and receipts are three witnesses, and the accountant lets them contradict each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tessera.bindings.calls import Event
from tessera.spec.revenue import Stream

__all__ = [
    "ChannelKey",
    "Entry",
    "Facts",
    "LineKey",
    "NetworkFacts",
    "PaidCall",
    "ShareFacts",
    "TermsKey",
]


class TermsKey(NamedTuple):
    """What a split is a function of."""

    asset: int
    operator: str
    terms: int


class ChannelKey(NamedTuple):
    """A channel, as the contract keys it."""

    operator: str
    channel: int


class LineKey(NamedTuple):
    """What one channel owes for one asset under one row of terms."""

    operator: str
    channel: int
    asset: int
    terms: int


class PaidCall(NamedTuple):
    """One receipt as a consumer keeps it; its signature was checked when it came.

    Attributes
    ----------
    name
        The receipt's id.
    line
        What it is charged on.
    charged
        Cumulative, base units.
    cost
        Of this call, base units.
    time, units, version
        As the receipt says: unix seconds, units in and out together, and of the asset.
    """

    name: str
    line: LineKey
    charged: int
    cost: int
    time: int
    units: int
    version: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of one of our contracts, in the order of the chain.

    Attributes
    ----------
    event, address
        What was said, and by which contract.
    time
        Of its block, unix seconds.
    tx
        Hash of the transaction.
    """

    event: Event
    address: str
    time: int
    tx: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareFacts:
    """One Share as the chain shows it at the last block.

    Attributes
    ----------
    balances, claimable
        Raw shares, and base units, by holder.
    stream
        As stored.
    paid, obligations
        Base units ever claimed, and spoken for.
    """

    balances: Mapping[str, int]
    claimable: Mapping[str, int]
    stream: Stream
    paid: int
    obligations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFacts:
    """The network's token, and everything that moves it, at the same block.

    Amounts are raw TSR unless they are said to be base units of the currency.

    Attributes
    ----------
    token, at, commons
        Addresses of TSR, of the contracts of validation by their names, and of the commons.
    minted, supply
        Ever minted, what the network began with included; and what is left of it.
    balances
        By address.
    obligations
        What a contract says that it owes, by its name.
    bonds, bond_times
        What could be slashed, by validator; delay, notice, longest freeze and period of rewards.
    terms, started_at
        Of Emission, as its struct; unix seconds.
    credits, earned
        What Emission keeps for accounts, and for assets.
    fee_credits, waiting_fees, fee_obligations
        Base units that Emission keeps: for accounts, for nobody yet, and all.
    pledges, budgets
        Left in Approvals, by test set and by round.
    owed, epoch_bond
        What Epochs keeps for accounts, and what posting takes.
    draw_deposit
        What a secret takes.
    rows
        Weights by subnet and epoch, and by validator: as they were served.
    """

    token: str
    at: Mapping[str, str]
    commons: str
    minted: int
    supply: int
    balances: Mapping[str, int]
    obligations: Mapping[str, int]
    bonds: Mapping[str, int]
    bond_times: tuple[int, int, int, int]
    terms: tuple[int, ...]
    started_at: int
    credits: Mapping[str, int]
    earned: Mapping[int, int]
    fee_credits: Mapping[str, int]
    waiting_fees: int
    fee_obligations: int
    pledges: Mapping[bytes, int]
    budgets: Mapping[bytes, int]
    owed: Mapping[str, int]
    epoch_bond: int
    draw_deposit: int
    rows: Mapping[tuple[int, int], Mapping[str, tuple[int, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything about one world at one block.

    Amounts are base units of the currency unless they are said to be shares.

    Attributes
    ----------
    time
        Of the block that everything was read at, unix seconds.
    currency, channels
        Addresses of the two contracts that hold or move everybody's money.
    contracts
        Addresses of all contracts, clones and Tills included; whoever else has money is a person.
    entries
        All events of all contracts, clones included.
    balances
        Of the currency, by address.
    supply
        Of the currency.
    channel_balances, lines
        What is left in channels, and what is settled on their lines.
    gross, pending, credit, obligations
        As `Channels` has them.
    shares
        By the Share's address.
    offering_flows
        By the Offering's or Auction's address: revenue it received, and revenue it passed on.
    units, backing
        By product of Access: units by holder, and what the product says must stay there.
    tills, orders, exchange, governor
        Addresses of all Tills, of the order book, of the Exchange, and of the Governor.
    reserves, positions
        By token with a pool: raw units and base units in it, and liquidity by provider.
    rules
        Of the Governor, seconds: shortest lock, vote, timelock, exit delay, execution window.
    locked, votes, treasuries
        Raw shares locked by asset and owner; yes, no and counted by asset and proposal; base units
        by asset.
    calls
        Every receipt that a consumer got for a voucher.
    uses
        Every receipt that a consumer got for an order: product, order, and hashes of request and
        response.
    network
        Of TSR and validation; None where a story has none.
    names
        What people call an address.
    """

    time: int
    currency: str
    channels: str
    entries: tuple[Entry, ...]
    balances: Mapping[str, int]
    supply: int
    channel_balances: Mapping[ChannelKey, int]
    lines: Mapping[LineKey, int]
    gross: Mapping[TermsKey, int]
    pending: Mapping[int, int]
    credit: Mapping[str, int]
    obligations: int
    shares: Mapping[str, ShareFacts]
    offering_flows: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    contracts: frozenset[str] = frozenset()
    units: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    backing: Mapping[str, int] = field(default_factory=dict)
    tills: frozenset[str] = frozenset()
    orders: str = ""
    exchange: str = ""
    reserves: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    positions: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    governor: str = ""
    rules: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    locked: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    votes: Mapping[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)
    treasuries: Mapping[int, int] = field(default_factory=dict)
    calls: tuple[PaidCall, ...] = ()
    uses: frozenset[tuple[str, int, bytes, bytes]] = frozenset()
    network: NetworkFacts | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    def name(self, address: str) -> str:
        """Return what people call an address, or the address."""
        return self.names.get(address, address)
