"""Governance: holders lock shares, propose, vote, and have done what they voted for.

What a proposal does is read from its action, as the chain hashed it; a title is never believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import astuple, replace

from tessera.assets.directory import AssetRecord, EndpointRecord
from tessera.bindings import Governor, Registry, Share, TestDollar, storefront
from tessera.bindings.governor import (
    Action,
    Discount,
    EndpointTerms,
    Kind,
    Licence,
    Locked,
    Parent,
    Payment,
    Price,
    Product,
    Proposed,
    Release,
    RevenueClaimed,
    Sale,
    State,
    TreasuryDeposited,
    Unlocked,
    Voted,
    Worth,
)
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.errors import InputError, NotFound
from tessera.ownership.access import ProductView
from tessera.ownership.allowing import allow, check_shares
from tessera.ownership.share import Claimed
from tessera.spec import prices
from tessera.spec.access import Scope
from tessera.spec.signatures import ZERO_ADDRESS_TEXT
from tessera.units import AssetId, Shares, Units, UnixSeconds, shown_shares

__all__ = [
    "Change",
    "LockView",
    "ProposalView",
    "cancel",
    "changes_of",
    "claim",
    "closing",
    "deposit",
    "discount",
    "endpoint",
    "execute",
    "find_locks",
    "find_proposals",
    "licence",
    "lock",
    "outdated",
    "parent",
    "payment",
    "product",
    "propose",
    "read_proposal",
    "release",
    "renew",
    "sale",
    "unlock",
    "votable",
    "vote",
]

_NOTHING: Final = bytes(32)
_MOST_LOCKS: Final = 16
_SAID_YES: Final = 2
_OPEN: Final = State.VOTING | State.WAITING | State.READY
_EMPTY: Final = Action(
    kind=Kind.RELEASE,
    release=Release(_NOTHING, 0, ""),
    endpoint=EndpointTerms(ZERO_ADDRESS_TEXT, 0, Price(0, 0, 0), ""),
    discount=Discount(0, 0),
    licence=Licence(_NOTHING, "", ""),
    payment=Payment(ZERO_ADDRESS_TEXT, 0),
    parent=Parent(0, 0),
    product=Product(ZERO_ADDRESS_TEXT, Worth(0), 0, 0, 0, 0, 0, 0, 0, 0, _NOTHING, "", "", ""),
    sale=Sale(ZERO_ADDRESS_TEXT, False),
)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that an action changes.

    Attributes
    ----------
    thing
        What, such as "price per call".
    before, after
        As numbers or texts of the chain; empty where there was nothing, or will be.
    unit
        "units" of the currency, "bps", "shares", or empty for a text.
    """

    thing: str
    before: str
    after: str
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockView:
    """A lock as the chain shows it.

    Attributes
    ----------
    number, owner, amount
        Its number for the asset, whose it is, and raw shares.
    since, free_from
        Locked since, and from when time alone lets it be unlocked.
    backing
        How many proposals that it said yes to have not let it go.
    """

    number: int
    owner: str
    amount: Shares
    since: UnixSeconds
    free_from: UnixSeconds
    backing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalView:
    """A proposal as the chain shows it.

    Attributes
    ----------
    asset, number, proposer, title
        Which, by whom, and what its proposer called it.
    action
        What will be done.
    grave
        Whether it takes two thirds of the supply and waits for the exit delay.
    state
        At the pending block.
    voting_ends, executable_from, expires
        Unix seconds.
    yes, no, counted, needed
        Raw shares: votes, the most that could have voted, and the yes votes that it takes.
    """

    asset: AssetId
    number: int
    proposer: str
    title: str
    action: Action
    grave: bool
    state: State
    voting_ends: UnixSeconds
    executable_from: UnixSeconds
    expires: UnixSeconds
    yes: Shares
    no: Shares
    counted: Shares
    needed: Shares


# --- Actions -------------------------------------------------------------------------------------


def release(root: bytes, runner: int, uri: str) -> Action:
    """Append a version."""
    return replace(_EMPTY, kind=Kind.RELEASE, release=Release(root, runner, uri))


def endpoint(operator: str, cut_bps: int, price: prices.Price, url: str) -> Action:
    """List an operator, or give it another price or cut."""
    asked = Price(price.per_call, price.per_1k_in, price.per_1k_out)
    return replace(
        _EMPTY, kind=Kind.ENDPOINT, endpoint=EndpointTerms(operator, cut_bps, asked, url)
    )


def closing(operator: str) -> Action:
    """Take an operator off the list."""
    return replace(_EMPTY, kind=Kind.CLOSING, endpoint=replace(_EMPTY.endpoint, operator=operator))


def discount(operator: str, discount_bps: int, min_locked: Shares) -> Action:
    """Give payers who locked enough shares a lower price; 0 ends it."""
    return replace(
        _EMPTY,
        kind=Kind.DISCOUNT,
        endpoint=replace(_EMPTY.endpoint, operator=operator),
        discount=Discount(discount_bps, min_locked),
    )


def licence(document: bytes, identifier: str, uri: str) -> Action:
    """Say which document is the asset's licence."""
    return replace(_EMPTY, kind=Kind.LICENCE, licence=Licence(document, identifier, uri))


def payment(receiver: str, amount: Units) -> Action:
    """Pay out of the asset's treasury."""
    return replace(_EMPTY, kind=Kind.PAYMENT, payment=Payment(receiver, amount))


def parent(asset: AssetId, royalty_bps: int) -> Action:
    """Owe a further parent a royalty, for terms yet to be written."""
    return replace(_EMPTY, kind=Kind.PARENT, parent=Parent(asset, royalty_bps))


def product(terms: storefront.Product) -> Action:
    """Make a product: a token for the right to use the asset, whose terms never change."""
    return replace(_EMPTY, kind=Kind.PRODUCT, product=Product.from_values(astuple(terms)))


def sale(access: str, on: bool) -> Action:
    """Stop or resume the sale of a product's units."""
    return replace(_EMPTY, kind=Kind.SALE, sale=Sale(access, on))


def changes_of(
    action: Action, record: AssetRecord, treasury: Units, view: ProductView | None = None
) -> list[Change]:
    """Say what an action would change, against what the chain has now.

    Parameters
    ----------
    action
        As proposed.
    record
        The asset, refreshed.
    treasury
        Base units in the asset's treasury.
    view
        The product whose sale is stopped or resumed, if the asset has it.
    """
    known = record.endpoints.get(action.endpoint.operator)
    listed = known if known is not None and known.listed else None
    operator = action.endpoint.operator
    match action.kind:
        case Kind.RELEASE:
            latest = record.latest
            return [
                Change("newest version", str(latest.version), str(latest.version + 1)),
                Change("content root", "0x" + latest.root.hex(), "0x" + action.release.root.hex()),
                Change("where its bundle is", latest.uri, action.release.uri),
            ]
        case Kind.ENDPOINT:
            new = action.endpoint
            rows = [
                ("price per call", "per_call", "units"),
                ("price per 1,000 units in", "per_1k_in", "units"),
                ("price per 1,000 units out", "per_1k_out", "units"),
            ]
            found = [
                Change(
                    thing,
                    "" if listed is None else str(getattr(listed.price, name)),
                    str(getattr(new.price, name)),
                    unit,
                )
                for thing, name, unit in rows
            ]
            return [
                Change("operator", operator if listed is not None else "", operator),
                *found,
                Change(
                    "operator's cut",
                    "" if listed is None else str(listed.cut_bps),
                    str(new.cut_bps),
                    "bps",
                ),
                Change("gateway", "" if listed is None else listed.url, new.url),
            ]
        case Kind.CLOSING:
            return [Change("operator", operator if listed is not None else "", "")]
        case Kind.DISCOUNT:
            given = None if listed is None else listed.discount
            wanted = action.discount
            return [
                Change("operator", operator, operator),
                Change(
                    "discount for who locked enough",
                    "0" if given is None else str(given.bps),
                    str(wanted.discount_bps),
                    "bps",
                ),
                Change(
                    "shares to be locked for it",
                    "0" if given is None else str(given.min_locked),
                    str(wanted.min_locked),
                    "shares",
                ),
            ]
        case Kind.LICENCE:
            return [
                Change("licence document", "", "0x" + action.licence.document.hex()),
                Change("licence", "", action.licence.identifier),
                Change("where it is", "", action.licence.uri),
            ]
        case Kind.PAYMENT:
            left = treasury - action.payment.amount
            return [
                Change("paid to", "", action.payment.receiver),
                Change("amount", "", str(action.payment.amount), "units"),
                Change("treasury", str(treasury), str(max(0, left)), "units"),
            ]
        case Kind.PRODUCT:
            return _product_changes(action.product, record)
        case Kind.SALE:
            return _sale_changes(action.sale, view)
        case _:
            return [
                Change("parent", "", str(action.parent.asset)),
                Change("royalty, from new terms on", "0", str(action.parent.royalty_bps), "bps"),
            ]


def _product_changes(terms: Product, record: AssetRecord) -> list[Change]:
    serving = record.endpoints.get(terms.operator)
    listed = serving is not None and serving.listed
    worth = {
        Worth.COUNT: f"{terms.per_unit} calls",
        Worth.PERIOD: f"{terms.per_unit} s",
        Worth.PERPETUAL: "use for good",
    }
    scope = ", ".join(each.name.lower() for each in Scope(terms.scope) if each.name)
    return [
        Change("product", "", f"{terms.name} ({terms.symbol})"),
        Change("price of a unit", "", str(terms.price), "units"),
        Change("a unit is", "", worth.get(terms.kind, "nothing")),
        Change("units in all", "", str(terms.cap)),
        Change("most for one account", "", str(terms.most_per_account or "no limit")),
        Change("allows", "", scope),
        Change("versions", "", f"up to {terms.newest_version}" if terms.newest_version else "all"),
        Change("licence", "", terms.license),
        Change("licence document", "", "0x" + terms.document.hex()),
        Change("operator", "", terms.operator + ("" if listed else ", who is not listed now")),
        Change("served within", "", f"{terms.serve_window} s"),
        Change("royalty of a resale or a rent", "", str(terms.royalty_bps), "bps"),
    ]


def _sale_changes(wanted: Sale, view: ProductView | None) -> list[Change]:
    if view is None:
        return [Change("product", "", f"{wanted.access}, which is none of this asset")]
    words = {True: "on sale", False: "not on sale"}
    return [
        Change("product", view.address, view.address),
        Change("its name", view.name, view.name),
        Change("price of a unit", str(view.price), str(view.price), "units"),
        Change("units not sold", str(view.cap - view.sold), str(view.cap - view.sold)),
        Change("its units are", words[view.on_sale], words[wanted.on]),
    ]


# --- Locks ---------------------------------------------------------------------------------------


async def check_lock(sender: Sender, share: Share, amount: Shares) -> None:
    """Refuse before anything is sent what cannot be locked.

    Raises
    ------
    InputError
        The sender has fewer, or there is nothing to lock.
    """
    if amount < 1:
        raise InputError("shares to lock", found=shown_shares(amount), wanted="more than 0")
    await check_shares(sender, share, amount)


async def lock(
    sender: Sender, governor: Governor, share: Share, asset: AssetId, amount: Shares
) -> tuple[int, str]:
    """Lock shares of the sender; return the lock's number and the transaction.

    Raises
    ------
    InputError
        As `check_lock`.
    """
    await check_lock(sender, share, amount)
    await allow(sender, share, governor.address, amount)
    receipt = await sender.send(governor.lock(asset, amount))
    return receipt.one_of(Locked).lock, receipt.tx_hash


async def unlock(
    sender: Sender, governor: Governor, asset: AssetId, number: int
) -> tuple[int, str]:
    """Take a lock's shares back; proposals that are over let it go in the same transaction.

    More than 16 of them take a transaction for each further 16, before.
    """
    backed = await _backed(sender.reader, governor, asset, number)
    while len(backed) > _MOST_LOCKS:
        await sender.send(governor.let_go(asset, number, backed[-_MOST_LOCKS:]))
        del backed[-_MOST_LOCKS:]
    receipt = await sender.send(governor.unlock(asset, number, backed))
    return receipt.one_of(Unlocked).amount, receipt.tx_hash


async def _backed(
    reader: ChainReader, governor: Governor, asset: AssetId, number: int
) -> list[int]:
    """Return the proposals that are over and that the lock still backs."""
    backing = (await reader.read(governor.lock_of(asset, number)))[4]
    if not backing:
        return []
    count = await reader.read(governor.proposal_count(asset))
    numbers = range(1, count + 1)
    said = await reader.read_all([governor.vote_of(asset, each, number) for each in numbers])
    backed = [each for each, answer in zip(numbers, said, strict=True) if answer == _SAID_YES]
    states = await reader.read_all(
        [governor.state_of(asset, each) for each in backed], at="pending"
    )
    return [each for each, state in zip(backed, states, strict=True) if not state & _OPEN]


async def find_locks(
    reader: ChainReader,
    governor: Governor,
    asset: AssetId,
    *,
    owner: str | None = None,
    first: int = 0,
) -> list[LockView]:
    """Return the locks of an asset that were not taken back, oldest first."""
    logs = await reader.logs(
        Locked,
        address=governor.address,
        topics=Locked.topics(asset=asset, owner=owner),
        first=first,
    )
    numbers = [log.event.lock for log in logs]
    rows = await reader.read_all([governor.lock_of(asset, number) for number in numbers])
    return [
        LockView(
            number=number,
            owner=row[0],
            amount=Shares(row[1]),
            since=UnixSeconds(row[2]),
            free_from=UnixSeconds(row[3]),
            backing=row[4],
        )
        for number, row in zip(numbers, rows, strict=True)
        if row[0] != ZERO_ADDRESS_TEXT
    ]


async def claim(
    sender: Sender, governor: Governor, asset: AssetId, *, receiver: str | None = None
) -> Claimed:
    """Pay the sender what its locked shares earned; 0 is no error."""
    receipt = await sender.send(governor.claim(asset, receiver))
    return Claimed(Units(receipt.one_of(RevenueClaimed).amount), receipt.tx_hash)


# --- Proposals -----------------------------------------------------------------------------------


async def propose(
    sender: Sender, governor: Governor, asset: AssetId, action: Action, title: str
) -> tuple[Proposed, str]:
    """Put an action to the vote; return what the chain noted, and the transaction.

    Raises
    ------
    TransactionReverted
        The sender locked too little, or has a proposal open.
    """
    receipt = await sender.send(governor.propose(asset, action, title))
    return receipt.one_of(Proposed), receipt.tx_hash


async def find_proposals(
    reader: ChainReader, governor: Governor, asset: AssetId, *, first: int = 0
) -> list[ProposalView]:
    """Return every proposal for an asset, oldest first."""
    logs = await reader.logs(
        Proposed, address=governor.address, topics=Proposed.topics(asset=asset), first=first
    )
    events = [log.event for log in logs]
    return [await _viewed(reader, governor, event) for event in events]


async def read_proposal(
    reader: ChainReader, governor: Governor, asset: AssetId, number: int, *, first: int = 0
) -> ProposalView:
    """Return one proposal, its action as its event shows it.

    Raises
    ------
    NotFound
        There is none of this number.
    """
    logs = await reader.logs(
        Proposed,
        address=governor.address,
        topics=Proposed.topics(asset=asset, proposal=number),
        first=first,
    )
    if not logs:
        count = await reader.read(governor.proposal_count(asset))
        raise NotFound(
            f"proposal {number}",
            found=f"{count} proposals" if count else "none for this asset",
            wanted="a number of tessera govern list",
        )
    return await _viewed(reader, governor, logs[0].event)


async def _viewed(reader: ChainReader, governor: Governor, event: Proposed) -> ProposalView:
    row = await reader.read(governor.proposal_of(event.asset, event.proposal))
    state = await reader.read(governor.state_of(event.asset, event.proposal), at="pending")
    return ProposalView(
        asset=AssetId(event.asset),
        number=event.proposal,
        proposer=event.proposer,
        title=event.title,
        action=event.action,
        grave=event.grave,
        state=state,
        voting_ends=UnixSeconds(event.voting_ends),
        executable_from=UnixSeconds(event.executable_from),
        expires=UnixSeconds(event.expires),
        yes=Shares(row[7]),
        no=Shares(row[8]),
        counted=Shares(row[9]),
        needed=Shares(row[10]),
    )


async def vote(
    sender: Sender, governor: Governor, view: ProposalView, support: bool, *, first: int = 0
) -> tuple[Shares, str]:
    """Vote with every lock of the sender that is older than the proposal and has not voted.

    Returns
    -------
    tuple
        The weight that was added, in raw shares, and the last transaction.

    Raises
    ------
    InputError
        The sender has no such lock.
    """
    numbers = await votable(sender.reader, governor, view, sender.address, first=first)
    if not numbers:
        raise InputError(
            f"locks of {sender.address} for proposal {view.number}",
            found="none that is older than it and has not voted",
            wanted="shares that were locked before it was made",
            next_step="lock shares for the next one: tessera govern lock",
        )
    weight, tx_hash = 0, ""
    for begin in range(0, len(numbers), _MOST_LOCKS):
        some = numbers[begin : begin + _MOST_LOCKS]
        receipt = await sender.send(governor.vote(view.asset, view.number, support, some))
        weight += receipt.one_of(Voted).weight
        tx_hash = receipt.tx_hash
    return Shares(weight), tx_hash


async def votable(
    reader: ChainReader, governor: Governor, view: ProposalView, owner: str, *, first: int = 0
) -> Sequence[int]:
    """Return the numbers of the locks that an owner can vote with on a proposal."""
    proposed_at = (await reader.read(governor.proposal_of(view.asset, view.number)))[3]
    locks = await find_locks(reader, governor, view.asset, owner=owner, first=first)
    older = [each.number for each in locks if each.since < proposed_at]
    said = await reader.read_all(
        [governor.vote_of(view.asset, view.number, number) for number in older]
    )
    return [number for number, answer in zip(older, said, strict=True) if answer == 0]


async def cancel(sender: Sender, governor: Governor, view: ProposalView) -> str:
    """Take a proposal of the sender back; return the transaction."""
    return (await sender.send(governor.cancel(view.asset, view.number))).tx_hash


async def execute(sender: Sender, governor: Governor, view: ProposalView) -> str:
    """Do what was voted for; return the transaction. Anyone may."""
    receipt = await sender.send(governor.execute(view.asset, view.number, view.action))
    return receipt.tx_hash


async def deposit(
    sender: Sender, governor: Governor, currency: TestDollar, asset: AssetId, amount: Units
) -> tuple[Units, str]:
    """Put money into an asset's treasury; return what arrived, and the transaction."""
    await allow(sender, currency, governor.address, amount)
    receipt = await sender.send(governor.deposit(asset, amount))
    return Units(receipt.one_of(TreasuryDeposited).amount), receipt.tx_hash


# --- Terms ---------------------------------------------------------------------------------------


async def outdated(
    reader: ChainReader, registry: Registry, record: AssetRecord
) -> list[EndpointRecord]:
    """Return the open endpoints whose terms were written before the asset's latest parent."""
    listed = record.listed
    splits = await reader.read_all(
        [registry.split_of(record.asset, each.operator, each.terms) for each in listed]
    )
    known = len(record.parents)
    return [each for each, split in zip(listed, splits, strict=True) if len(split[2]) < known]


async def renew(
    sender: Sender, registry: Registry, asset: AssetId, operators: Sequence[str]
) -> list[str]:
    """Bind operators to all parents of an asset; the transactions. Ends a discount of theirs.

    Raises
    ------
    TransactionReverted
        The terms of one know every parent already.
    """
    return [
        (await sender.send(registry.renew_terms(asset, operator))).tx_hash for operator in operators
    ]
