"""What the chain says of an asset of our own; of a stranger's token an analyst has to say it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Final

from tessera.bindings import channels
from tessera.bindings.launchpad import (
    AllocationOpened,
    AuctionOpened,
    CurveOpened,
    OfferingOpened,
    VestingOpened,
)
from tessera.bindings.registry import AssetRegistered, OwnerChanged, Tokenized
from tessera.diligence.own.payers import channels_of, deployment_of
from tessera.diligence.subject import Currency, Holders, Payments, People, Subject, Unlock
from tessera.errors import DataError, NotFound
from tessera.facts import Event, Facts, Kind

__all__ = ["asset_of_share", "currency_of", "slugs_of", "subject_of_asset"]

_DECIMALS: Final = bytes.fromhex("313ce567")
_SHARE_DECIMALS: Final = 18
_TEST_DOLLAR_DECIMALS: Final = 6
_PROMISE: Final = "the Share pays whoever holds it, pro rata, by its code"


def subject_of_asset(facts: Facts, asset: int) -> Subject:
    """Return what there is to say of a tokenized asset, from its contracts' own events.

    Dates of unlocks are days, as in every schedule; the contract counts seconds.

    Raises
    ------
    NotFound
        No such asset was registered, or it has no Share.
    DataError
        Its contracts' events were not observed.
    """
    events = deployment_of(observed_events(facts), asset)
    born = next(
        (
            event
            for event in events
            if isinstance(event.event, AssetRegistered) and event.event.asset == asset
        ),
        None,
    )
    made = next(
        (
            event.event
            for event in events
            if isinstance(event.event, Tokenized) and event.event.asset == asset
        ),
        None,
    )
    if born is None or made is None:
        raise NotFound(
            f"asset {asset}: {'not registered' if born is None else 'it has no Share'}",
            next_step="tessera tokenize makes one" if born else "tessera list shows what there is",
        )
    said = born.event
    assert isinstance(said, AssetRegistered)
    labels = _labels(events, asset)
    labels.pop(said.creator.lower(), None)
    money = channels_of(events)
    paid_in = () if money is None else (currency_of(facts, events, money),)
    return Subject(
        token=made.share.lower(),
        name=said.slug,
        asset=asset,
        decimals=_SHARE_DECIMALS,
        launched=_day(born.time),
        payments=Payments(
            contracts=() if money is None else (money,),
            currencies=tuple(each for each in paid_in if each is not None),
        ),
        holders=Holders(promise=_PROMISE, distributors=(made.share.lower(),)),
        people=People(team=(said.creator.lower(),), deployer=said.creator.lower(), anonymous=None),
        unlocks=_unlocks(events, asset),
        labels=labels,
    )


def asset_of_share(facts: Facts, token: str) -> int | None:
    """Return the asset whose Share a token is; None where it is no Share of ours."""
    if Kind.EVENTS not in facts.kinds:
        return None
    for event in facts.events(contract="Registry", name="Tokenized"):
        if isinstance(event.event, Tokenized) and event.event.share.lower() == token.lower():
            return event.event.asset
    return None


def slugs_of(facts: Facts) -> dict[str, int]:
    """Return the assets that have a Share, by their slug.

    A slug belongs to whoever registered it first, as everywhere here; a later asset of the same
    name has only its number, even where the first one has no Share.
    """
    first: dict[str, int] = {}
    for event in facts.events(contract="Registry", name="AssetRegistered"):
        if isinstance(event.event, AssetRegistered):
            first.setdefault(event.event.slug, event.event.asset)
    tokenized = {
        event.event.asset
        for event in facts.events(contract="Registry", name="Tokenized")
        if isinstance(event.event, Tokenized)
    }
    return {slug: asset for slug, asset in first.items() if asset in tokenized}


def observed_events(facts: Facts) -> tuple[Event, ...]:
    """Return all events of our own contracts.

    Raises
    ------
    DataError
        Nobody looked at them.
    """
    if Kind.EVENTS not in facts.kinds:
        raise DataError(
            "events of our own contracts",
            found="not observed",
            wanted="all since the deployment",
            next_step="tessera index follows them",
        )
    return facts.events()


def currency_of(facts: Facts, events: Iterable[Event], money: str) -> Currency | None:
    """Return what deposits to Channels are made in; None where none was made, or none was seen.

    Parameters
    ----------
    money
        Address of Channels.
    """
    events = list(events)
    first = next((event for event in events if isinstance(event.event, channels.Deposited)), None)
    if first is None or not isinstance(first.event, channels.Deposited):
        return None
    for token in facts.tokens():
        moved = facts.transfers(token)
        target = moved.addresses.id_of(money)
        rows = (moved.block == first.block) & (moved.tx == first.tx) & (moved.log < first.log)
        if target is None or not (rows & (moved.target == target)).any():
            continue
        decimals = _decimals(facts, token, events)
        if decimals is not None:
            # The market counts in dollars: its currency is taken for one.
            return Currency(address=token, decimals=decimals, usd=1.0)
    return None


def _decimals(facts: Facts, token: str, events: Iterable[Event]) -> int | None:
    answers = [read for read in facts.reads(token, _DECIMALS) if read.ok and len(read.answer) == 32]
    if answers:
        return int.from_bytes(answers[-1].answer)
    tests = any(event.address == token and event.contract == "TestDollar" for event in events)
    return _TEST_DOLLAR_DECIMALS if tests else None


def _labels(events: Iterable[Event], asset: int) -> dict[str, str]:
    found: dict[str, str] = {}
    for event in events:
        match event.event:
            case (
                OfferingOpened(offering=made)
                | AuctionOpened(auction=made)
                | CurveOpened(curve=made)
            ) if event.event.asset == asset:
                found[made.lower()] = "treasury"
            case VestingOpened(vesting=made) | AllocationOpened(allocation=made) if (
                event.event.asset == asset
            ):
                found[made.lower()] = "vesting"
            case OwnerChanged(owner=founder):
                # Whom a network's founder sends coins for gas is not thereby one of them.
                found[founder.lower()] = "faucet"
            case _ if event.contract == "Exchange":
                found[event.address] = "dex_pool"
            case _ if event.contract == "Governor":
                found[event.address] = "staking"
            case _:
                pass
    return found


def _unlocks(events: Iterable[Event], asset: int) -> tuple[Unlock, ...]:
    return tuple(
        Unlock(
            bucket=f"vesting of {said.beneficiary.lower()}",
            amount=str(said.schedule.amount),
            start=_day(said.schedule.start),
            end=_day(said.schedule.start + said.schedule.duration),
            cliff=_day(said.schedule.start + said.schedule.cliff),
            insider=True,
        )
        for event in events
        if isinstance(said := event.event, VestingOpened) and said.asset == asset
    )


def _day(moment: int) -> date:
    return datetime.fromtimestamp(moment, UTC).date()
