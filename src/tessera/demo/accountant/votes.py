"""The Governor: locks, votes and what locked shares earned, by `tessera.spec.governance`."""

from __future__ import annotations

from collections import Counter
from typing import Final

from msgspec.structs import astuple

from tessera.bindings import access, governor, launchpad, registry, share, storefront
from tessera.demo.accountant.checks import Checks
from tessera.demo.accountant.facts import Entry, Facts
from tessera.errors import TransactionReverted
from tessera.spec.governance import Answer, GovernanceModel, Rules
from tessera.spec.signatures import ZERO_ADDRESS_TEXT, address_of

__all__ = ["check_votes"]

_PRICE: Final = ("per_call", "per_1k_in", "per_1k_out")
_Effect = (
    registry.VersionReleased
    | registry.EndpointSet
    | registry.EndpointClosed
    | registry.DiscountSet
    | registry.ParentAdded
    | governor.TreasuryPaid
    | governor.LicenceSet
    | storefront.ProductCreated
    | access.SaleSwitched
)


class _Replay:
    def __init__(self, facts: Facts, checks: Checks) -> None:
        self._facts = facts
        self._checks = checks
        self.models: dict[int, GovernanceModel] = {}
        self.owners: dict[int, set[str]] = {}
        self.shares: dict[int, str] = {}
        self._held: dict[str, Counter[str]] = {}
        self._apart: set[str] = {facts.exchange}
        self._fetched: Counter[str] = Counter()
        self._products: dict[str, int] = {}
        self._shown: dict[tuple[int, int], governor.Proposed] = {}
        # Executed, but not seen done yet, by transaction and asset.
        self._waiting: dict[tuple[str, int], list[governor.Action]] = {}

    def take(self, entry: Entry) -> None:
        event = entry.event
        match event:
            case share.Transfer():
                held = self._held.setdefault(entry.address, Counter())
                held[event.receiver] += event.value
                if event.sender != ZERO_ADDRESS_TEXT:
                    held[event.sender] -= event.value
            case registry.Tokenized():
                self.shares[event.asset] = event.share
                rules = Rules(*self._facts.rules)
                self.models[event.asset] = GovernanceModel(rules, event.supply)
                self.owners[event.asset] = set()
            case launchpad.OfferingOpened():
                self._apart.add(event.offering)
            case launchpad.AuctionOpened():
                self._apart.add(event.auction)
            case launchpad.CurveOpened():
                self._apart.add(event.curve)
            case launchpad.VestingOpened():
                self._apart.add(event.vesting)
            case launchpad.AllocationOpened():
                self._apart.add(event.allocation)
            case share.RevenueClaimed(holder=holder) if holder == self._facts.governor:
                self._fetched[entry.address] += event.amount
            case (
                registry.VersionReleased()
                | registry.EndpointSet()
                | registry.EndpointClosed()
                | registry.DiscountSet()
                | registry.ParentAdded()
            ) if event.asset in self.models:
                self._check_done(entry.tx, event.asset, event)
            case storefront.ProductCreated():
                self._products[event.access] = event.asset
                if event.asset in self.models:
                    self._check_done(entry.tx, event.asset, event)
            case access.SaleSwitched():
                asset = self._products[entry.address]
                if asset in self.models:
                    self._check_done(entry.tx, asset, event, entry.address)
            case _ if entry.address == self._facts.governor:
                try:
                    self._govern(entry)
                except TransactionReverted as refused:
                    self._checks.refused("the Governor", refused)
            case _:
                pass

    def _govern(self, entry: Entry) -> None:
        event, now = entry.event, entry.time
        match event:
            case governor.Locked():
                self.owners[event.asset].add(event.owner)
                number = self.models[event.asset].lock(
                    address_of(event.owner), event.amount, now, revenue=self._revenue(event.asset)
                )
                self._same("locks are numbered", event.asset, event.lock, number)
            case governor.Unlocked():
                model = self.models[event.asset]
                lock = model.locks.get(event.lock)
                backed = [
                    number
                    for number, proposal in model.proposals.items()
                    if lock is not None and proposal.answers.get(event.lock) is Answer.YES
                ]
                amount = model.unlock(
                    address_of(event.owner), event.lock, now,
                    revenue=self._revenue(event.asset), backed=backed,
                )  # fmt: skip
                self._same("a lock gives back what was locked", event.asset, event.amount, amount)
            case governor.RevenueClaimed():
                amount = self.models[event.asset].claim(
                    address_of(event.account), revenue=self._revenue(event.asset)
                )
                self._same("what locked shares earned is the twin's, bit for bit", event.asset,
                           event.amount, amount)  # fmt: skip
            case governor.Proposed():
                self._shown[(event.asset, event.proposal)] = event
                self.models[event.asset].propose(
                    address_of(event.proposer), event.action, now,
                    grave=event.grave, could_vote=self._could_vote(event.asset),
                )  # fmt: skip
            case governor.Voted():
                weight = self.models[event.asset].vote(
                    address_of(event.voter), event.proposal, event.support, event.locks, now,
                    could_vote=self._could_vote(event.asset),
                )  # fmt: skip
                self._same("a vote weighs what is locked", event.asset, event.weight, weight)
            case governor.Executed():
                shown = self._shown[(event.asset, event.proposal)]
                self.models[event.asset].execute(
                    event.proposal, shown.action, now, grave=shown.grave
                )
                self._waiting.setdefault((entry.tx, event.asset), []).append(shown.action)
            case governor.Cancelled():
                shown = self._shown[(event.asset, event.proposal)]
                proposer = address_of(shown.proposer)
                self.models[event.asset].cancel(proposer, event.proposal, now)
            case governor.TreasuryDeposited():
                self.models[event.asset].deposit(event.amount)
            case governor.TreasuryPaid():
                self.models[event.asset].pay(event.amount)
                self._check_done(entry.tx, event.asset, event)
            case governor.LicenceSet():
                self._check_done(entry.tx, event.asset, event)
            case _:
                pass

    def _could_vote(self, asset: int) -> int:
        held = self._held[self.shares[asset]]
        return self.models[asset].supply - sum(held[address] for address in self._apart)

    def _revenue(self, asset: int) -> int:
        return self._fetched.pop(self.shares[asset], 0)

    def _check_done(self, tx: str, asset: int, event: _Effect, of: str = "") -> None:
        """See that the holders voted for exactly this: whoever owns the asset decides no more."""
        waiting = self._waiting.get((tx, asset), [])
        self._same("nothing changes without a vote", asset, len(waiting), 1)
        ended = isinstance(event, registry.DiscountSet) and not event.discount_bps
        if ended and not (waiting and _is_end(waiting[0])):
            # A discount ends with the terms that it lowered: part of another change.
            return
        if waiting:
            wanted = _effect_of(waiting.pop(), event, of)
            shown = wanted is not None and all(
                getattr(event, name) == value for name, value in wanted.items()
            )
            self._same("what is executed is what was shown", asset, shown, True)

    def close(self) -> None:
        """See that whatever was executed was done."""
        for (_, asset), left in self._waiting.items():
            self._same("what was executed was done", asset, len(left), 0)

    def _same(self, rule: str, asset: int, found: int, wanted: int) -> None:
        self._checks.same(rule, f"asset {asset}", found, wanted)


def _is_end(action: governor.Action) -> bool:
    return action.kind is governor.Kind.DISCOUNT and not action.discount.discount_bps


def _effect_of(action: governor.Action, event: _Effect, of: str) -> dict[str, object] | None:
    """Return the fields that an event must have if it is what an action says; None: no such one.

    Parameters
    ----------
    of
        The product that says it.
    """
    match event:
        case registry.VersionReleased() if action.kind is governor.Kind.RELEASE:
            new = action.release
            return {"root": new.root, "runner": new.runner, "uri": new.uri}
        case registry.EndpointSet() if action.kind is governor.Kind.ENDPOINT:
            terms = action.endpoint
            price = registry.Price(*(getattr(terms.price, name) for name in _PRICE))
            return {"operator": terms.operator, "cut_bps": terms.cut_bps,
                    "price": price, "url": terms.url}  # fmt: skip
        case registry.EndpointClosed() if action.kind is governor.Kind.CLOSING:
            return {"operator": action.endpoint.operator}
        case registry.DiscountSet() if action.kind is governor.Kind.DISCOUNT:
            given = action.discount
            return {"operator": action.endpoint.operator, "discount_bps": given.discount_bps,
                    "min_locked": given.min_locked}  # fmt: skip
        case registry.ParentAdded() if action.kind is governor.Kind.PARENT:
            return {"parent": action.parent.asset, "royalty_bps": action.parent.royalty_bps}
        case governor.TreasuryPaid() if action.kind is governor.Kind.PAYMENT:
            return {"receiver": action.payment.receiver, "amount": action.payment.amount}
        case governor.LicenceSet() if action.kind is governor.Kind.LICENCE:
            said = action.licence
            return {"document": said.document, "identifier": said.identifier, "uri": said.uri}
        case storefront.ProductCreated() if action.kind is governor.Kind.PRODUCT:
            return {"product": storefront.Product.from_values(astuple(action.product))}
        case access.SaleSwitched() if action.kind is governor.Kind.SALE:
            return {"on": action.sale.on} if of == action.sale.access else None
        case _:
            return None


def check_votes(facts: Facts, checks: Checks) -> dict[str, int]:
    """Every locked share is somebody's, and the Governor holds what it owes.

    Returns
    -------
    dict
        By what it is: base units that lie in the Governor.
    """
    if not facts.governor:
        return {}
    replay = _Replay(facts, checks)
    for entry in facts.entries:
        replay.take(entry)
    replay.close()
    found: dict[str, int] = {}
    for asset, model in replay.models.items():
        share_of = replay.shares[asset]
        about = facts.name(share_of)
        locked = {who: model.locked[address_of(who)] for who in replay.owners[asset]}
        checks.same_all("shares locked", facts.locked.get(asset, {}), locked, facts.name)
        held = facts.shares[share_of].balances.get(facts.governor, 0)
        checks.same("the Governor holds what is locked", about, held, sum(locked.values()))
        for number, proposal in model.proposals.items():
            counted = facts.votes.get((asset, number), (0, 0, 0))
            at = f"proposal {number} of {about}"
            checks.same("votes for it", at, counted[0], proposal.yes)
            checks.same("votes against it", at, counted[1], proposal.no)
            checks.same("shares that could vote", at, counted[2], proposal.counted)
        treasury = facts.treasuries.get(asset, 0)
        checks.same("a treasury is what came less what was paid", about, treasury, model.treasury)
        left = model.accruals.received - model.accruals.distributed
        most = len(locked)
        checks.within("lockers have claimed all but dust", about, left, 0, most)
        found[f"treasury of {about}"] = model.treasury
        found[f"dust of locked {about}"] = left
    checks.same(
        "the Governor holds treasuries and dust",
        "Governor",
        facts.balances.get(facts.governor, 0),
        sum(found.values()),
    )
    return found
