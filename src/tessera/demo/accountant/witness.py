"""Reads the accountant's facts from a chain, all at one block."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tessera.bindings import Access, Auction, Offering, Share
from tessera.bindings.access import Transfer as AccessTransfer
from tessera.bindings.channels import ChannelOpened, IncomeReceived, Settled
from tessera.bindings.exchange import LiquidityAdded, PoolOpened
from tessera.bindings.governor import Locked, Proposed
from tessera.bindings.launchpad import (
    AllocationOpened,
    AuctionOpened,
    CurveOpened,
    OfferingOpened,
    VestingOpened,
)
from tessera.bindings.logs import decode_event
from tessera.bindings.registry import AssetRegistered, NetworkSet, Tokenized
from tessera.bindings.share import Transfer as ShareTransfer
from tessera.bindings.storefront import ProductCreated
from tessera.bindings.test_dollar import Transfer
from tessera.chain.deployments import Deployment
from tessera.chain.parameters import ARTIFACTS
from tessera.chain.reader import ChainReader
from tessera.chain.receipts import RawLog
from tessera.demo.accountant.facts import (
    ChannelKey,
    Entry,
    Facts,
    PaidCall,
    ShareFacts,
    TermsKey,
)
from tessera.demo.accountant.network_witness import Rows, gather_network
from tessera.spec.revenue import Stream
from tessera.spec.signatures import ZERO_ADDRESS_TEXT

__all__ = ["gather"]


async def gather(
    reader: ChainReader,
    deployment: Deployment,
    calls: Iterable[PaidCall],
    names: Mapping[str, str],
    *,
    uses: Iterable[tuple[str, int, bytes, bytes]] = (),
    rows: Rows | None = None,
) -> Facts:
    """Read everything that our contracts said and have, at the last block.

    Parameters
    ----------
    calls
        The receipts that consumers keep.
    names
        What people call an address.
    uses
        Receipts for orders of Access that consumers keep.
    rows
        Weights that validators serve, where a subnet is played.
    """
    head = await reader.block()
    entries, contracts = await _entries(reader, deployment, head.number)
    calls = tuple(calls)
    known = _Known(entries, calls, deployment.exchange.address)
    at = head.number
    channels, currency = deployment.channels, deployment.currency

    async def numbers(made: Sequence[Any]) -> list[Any]:
        return await reader.read_all(made, at=at)

    holders = sorted(known.people | {channels.address})
    balances, channel_rows, line_rows, gross, pending, credit = await asyncio.gather(
        numbers([currency.balanceOf(address) for address in holders]),
        numbers([channels.channel_of(*key) for key in known.channels]),
        numbers([channels.line_of(*key) for key in known.lines]),
        numbers([channels.gross_of(*key) for key in known.terms]),
        numbers([channels.pending_of(asset) for asset in known.assets]),
        numbers([channels.credit_of(address) for address in holders]),
    )
    supply, obligations = await numbers([currency.totalSupply(), channels.obligations()])
    flows = {
        sale.address: tuple(await numbers([sale.received(), sale.distributed()]))
        for sale in known.sales
    }
    units = {
        address: dict(zip(owners, await numbers([Access(address).balanceOf(o) for o in owners]),
                          strict=True))
        for address, owners in known.products.items()
    }  # fmt: skip
    exchange = deployment.exchange
    reserves = await numbers([exchange.reserves_of(token) for token in known.pools])
    positions = {
        token: dict(
            zip(
                providers,
                await numbers([exchange.balanceOf(who, int(token, 16)) for who in providers]),
                strict=True,
            )
        )
        for token, providers in known.pools.items()
    }
    governor = deployment.governor
    rules = await reader.read(governor.rules(), at=at)
    locked = {
        asset: dict(
            zip(
                owners,
                await numbers([governor.locked_of(asset, who) for who in owners]),
                strict=True,
            )
        )
        for asset, owners in known.lockers.items()
    }
    proposals = await numbers([governor.proposal_of(*key) for key in known.proposals])
    treasuries = await numbers([governor.treasury_of(asset) for asset in known.assets])
    products = list(known.products)
    backing = await numbers([Access(address).backing() for address in products])
    tills = await numbers([channels.till_of(*key) for key in known.terms])
    till_balances = await numbers([currency.balanceOf(address) for address in tills])
    return Facts(
        time=head.timestamp,
        currency=currency.address,
        channels=channels.address,
        entries=entries,
        balances=dict(zip(holders, balances, strict=True))
        | dict(zip(tills, till_balances, strict=True)),
        supply=supply,
        channel_balances={
            key: row[3] for key, row in zip(known.channels, channel_rows, strict=True)
        },
        lines={key: row[0] for key, row in zip(known.lines, line_rows, strict=True)},
        gross=dict(zip(known.terms, gross, strict=True)),
        pending=dict(zip(known.assets, pending, strict=True)),
        credit=dict(zip(holders, credit, strict=True)),
        obligations=obligations,
        shares={
            address: await _share(reader, Share(address), sorted(accounts), at)
            for address, accounts in known.shares.items()
        },
        offering_flows=flows,
        contracts=frozenset(contracts | set(tills)),
        units=units,
        backing=dict(zip(products, backing, strict=True)),
        tills=frozenset(tills),
        orders=deployment.orders.address,
        exchange=exchange.address,
        reserves=dict(zip(known.pools, reserves, strict=True)),
        positions=positions,
        governor=governor.address,
        rules=rules[:5],
        locked=locked,
        votes={
            key: (row[7], row[8], row[9])
            for key, row in zip(known.proposals, proposals, strict=True)
        },
        treasuries=dict(zip(known.assets, treasuries, strict=True)),
        calls=calls,
        uses=frozenset(uses),
        network=await gather_network(reader, deployment, entries, rows or {}, at),
        names=dict(names),
    )


class _Known:
    """Every account that any event or receipt names."""

    def __init__(self, entries: Sequence[Entry], calls: Sequence[PaidCall], exchange: str) -> None:
        self.people: set[str] = set()
        self.channels: list[ChannelKey] = []
        self.assets: list[int] = []
        self.sales: list[Offering | Auction] = []
        self.shares: dict[str, set[str]] = {}
        self.products: dict[str, list[str]] = {}
        self.pools: dict[str, list[str]] = {}
        self.lockers: dict[int, list[str]] = {}
        self.proposals: list[tuple[int, int]] = []
        self.lines = list(dict.fromkeys(call.line for call in calls))
        terms = {TermsKey(line.asset, line.operator, line.terms): None for line in self.lines}
        for entry in entries:
            match entry.event:
                case Transfer() as moved:
                    self.people |= {moved.sender, moved.receiver}
                case ShareTransfer() as moved:
                    self.shares.setdefault(entry.address, set()).add(moved.receiver)
                case ChannelOpened() as opened:
                    self.channels.append(ChannelKey(opened.operator, opened.channel))
                case AssetRegistered() as registered:
                    self.assets.append(registered.asset)
                case OfferingOpened() as sale:
                    self.sales.append(Offering(sale.offering))
                case AuctionOpened() as fall:
                    self.sales.append(Auction(fall.auction))
                case Settled() | IncomeReceived() as paid:
                    terms[TermsKey(paid.asset, paid.operator, paid.terms)] = None
                case ProductCreated() as made:
                    self.products[made.access] = []
                    terms[TermsKey(made.asset, made.operator, made.terms)] = None
                case AccessTransfer() as moved:
                    owners = self.products[entry.address]
                    if moved.receiver not in (ZERO_ADDRESS_TEXT, *owners):
                        owners.append(moved.receiver)
                case PoolOpened() as pool if entry.address == exchange:
                    self.pools[pool.token] = [pool.provider]
                case LiquidityAdded() as pool if entry.address == exchange:
                    if pool.provider not in self.pools[pool.token]:
                        self.pools[pool.token].append(pool.provider)
                case Locked() as lock:
                    owners = self.lockers.setdefault(lock.asset, [])
                    if lock.owner not in owners:
                        owners.append(lock.owner)
                case Proposed() as proposed:
                    self.proposals.append((proposed.asset, proposed.proposal))
                case NetworkSet() as network:
                    self.people |= {network.commons, network.validators}
                case _:
                    pass
        for address, accounts in self.shares.items():
            accounts.discard(address)
        self.people.discard(ZERO_ADDRESS_TEXT)
        self.terms = list(terms)


async def _share(reader: ChainReader, share: Share, accounts: list[str], at: int) -> ShareFacts:
    calls: list[Any] = [
        *(share.balanceOf(account) for account in accounts),
        *(share.claimable(account) for account in accounts),
        share.revenue_stream(),
        share.paid(),
        share.obligations(),
    ]
    found = await reader.read_all(calls, at=at)
    count = len(accounts)
    return ShareFacts(
        balances=dict(zip(accounts, found[:count], strict=True)),
        claimable=dict(zip(accounts, found[count : 2 * count], strict=True)),
        stream=Stream(*found[2 * count]),
        paid=found[2 * count + 1],
        obligations=found[2 * count + 2],
    )


async def _entries(
    reader: ChainReader, deployment: Deployment, last: int
) -> tuple[tuple[Entry, ...], set[str]]:
    """Return all events, and the addresses of all contracts, clones included."""
    contracts = {
        row.address: ARTIFACTS.get(name, name) for name, row in deployment.contracts.items()
    }
    contracts.setdefault(deployment.currency.address, "TestDollar")
    raw: list[RawLog] = [log async for log in reader.raw_logs(first=deployment.since, last=last)]
    # Clones are known by the events that made them; those may stand behind the clone's own first.
    for log in raw:
        match decode_event(log.topics, log.data):
            case Tokenized(share=made) if contracts.get(log.address) == "Registry":
                contracts[made] = "Share"
            case OfferingOpened(offering=made) if contracts.get(log.address) == "Launchpad":
                contracts[made] = "Offering"
            case AuctionOpened(auction=made) if contracts.get(log.address) == "Launchpad":
                contracts[made] = "Auction"
            case CurveOpened(curve=made) if contracts.get(log.address) == "Launchpad":
                contracts[made] = "Curve"
            case VestingOpened(vesting=made) if contracts.get(log.address) == "Launchpad":
                contracts[made] = "Vesting"
            case AllocationOpened(allocation=made) if contracts.get(log.address) == "Launchpad":
                contracts[made] = "Allocation"
            case ProductCreated(access=made) if contracts.get(log.address) == "Storefront":
                contracts[made] = "Access"
            case _:
                pass
    times = await _times(reader, sorted({log.block for log in raw}))
    found: list[Entry] = []
    for log in raw:
        if log.address not in contracts:
            continue
        event = decode_event(log.topics, log.data, contract=contracts[log.address])
        if event is not None:
            found.append(Entry(event, log.address, times[log.block], log.tx_hash))
    return tuple(found), set(contracts)


async def _times(reader: ChainReader, blocks: list[int]) -> dict[int, int]:
    requests = [("eth_getBlockByNumber", (hex(block), False)) for block in blocks]
    answers = await reader.rpc.batch(requests)
    return {
        block: int(answer["timestamp"], 16) for block, answer in zip(blocks, answers, strict=True)
    }
