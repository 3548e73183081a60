"""How payments were divided: every split computed again by `tessera.spec.split`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tessera.bindings.channels import (
    CreditWithdrawn,
    Flushed,
    IncomeReceived,
    Settled,
    SurplusAbsorbed,
)
from tessera.bindings.registry import (
    AssetRegistered,
    DiscountSet,
    EndpointSet,
    NetworkSet,
    ParentAdded,
    TermsRenewed,
)
from tessera.demo.accountant.checks import Checks
from tessera.demo.accountant.facts import Entry, Facts, TermsKey
from tessera.spec.split import Parts, SplitModel, SplitTerms

__all__ = ["Division", "check_split"]

# Commons, validators, operator and the asset itself; each parent is one more.
_PARTIES = 4


@dataclass(slots=True)
class Division:
    """What one asset took in, and for whom; base units.

    Attributes
    ----------
    settled, income
        By vouchers, and through its Tills.
    commons, validators, operator, holders
        Their parts.
    royalties
        By parent.
    remainder
        What all the floors leave in `Channels` until the next payment.
    received
        Royalties from children.
    """

    settled: int = 0
    income: int = 0
    commons: int = 0
    validators: int = 0
    operator: int = 0
    holders: int = 0
    royalties: Counter[int] = field(default_factory=Counter)
    remainder: int = 0
    received: int = 0

    @property
    def gross(self) -> int:
        """All that it took in."""
        return self.settled + self.income

    @property
    def divided(self) -> int:
        """All parts and the remainder; the gross again if the books are right."""
        parts = self.commons + self.validators + self.operator + self.holders
        return parts + sum(self.royalties.values()) + self.remainder


class _Replay:
    """Channels' books, written again from its events. No cut lapses in this story."""

    def __init__(self, facts: Facts, checks: Checks) -> None:
        self.facts = facts
        self.checks = checks
        self.divisions: dict[int, Division] = {}
        self.models: dict[TermsKey, SplitModel] = {}
        self.terms: dict[TermsKey, SplitTerms] = {}
        self.present: dict[tuple[int, str], SplitTerms] = {}
        self.born_to: dict[int, tuple[tuple[int, int], ...]] = {}
        self.parents: dict[int, tuple[tuple[int, int], ...]] = {}
        self.pending: Counter[int] = Counter()
        self.credit: Counter[str] = Counter()
        self.commons = self.validators = ""
        self.default_fee = 0

    def take(self, entry: Entry) -> None:
        event = entry.event
        match event:
            case NetworkSet():
                self.commons, self.validators = event.commons, event.validators
                # Terms 0 are the unlisted operator's: the fee that the network began with.
                self.default_fee = self.default_fee or event.fee_bps
            case AssetRegistered():
                self.divisions[event.asset] = Division()
                self.parents[event.asset] = self.born_to[event.asset] = tuple(
                    (parent.asset, parent.royalty_bps) for parent in event.parents
                )
            case ParentAdded():
                added = (event.parent, event.royalty_bps)
                self.parents[event.asset] = (*self.parents[event.asset], added)
            case EndpointSet() | TermsRenewed() | DiscountSet():
                self._write_terms(event)
            case Settled():
                key = TermsKey(event.asset, event.operator, event.terms)
                self.divisions[event.asset].settled += event.amount
                parts = self._credit(key, event.amount)
                self.checks.same(
                    "the commons' half is the same on the chain and in the twin",
                    f"asset {event.asset}",
                    event.commons,
                    parts.commons,
                )
            case IncomeReceived():
                key = TermsKey(event.asset, event.operator, event.terms)
                self.divisions[event.asset].income += event.amount
                self._credit(key, event.amount)
            case Flushed():
                self.checks.same(
                    "a flush hands on exactly what was pending",
                    f"asset {event.asset}",
                    event.amount,
                    self.pending.pop(event.asset, 0),
                )
                if event.receiver not in self.facts.shares:
                    self.credit[event.receiver] += event.amount
            case CreditWithdrawn():
                self.checks.same(
                    "a credit is withdrawn whole",
                    self.facts.name(event.account),
                    event.amount,
                    self.credit.pop(event.account, 0),
                )
            case SurplusAbsorbed():
                self.credit[self.commons] += event.amount
            case _:
                pass

    def _write_terms(self, event: EndpointSet | TermsRenewed | DiscountSet) -> None:
        key = TermsKey(event.asset, event.operator, event.terms)
        at = (event.asset, event.operator)
        if isinstance(event, DiscountSet):
            # Its end writes nothing: calls that were made under it keep their terms.
            if event.discount_bps:
                self.terms[key] = self.present[at].discounted(event.discount_bps)
            return
        if isinstance(event, EndpointSet):
            fee, cut = event.fee_bps, event.cut_bps
        else:
            fee, cut = self.present[at].fee_bps, self.present[at].cut_bps
        # A row that is there already keeps the parents it knew.
        self.terms.setdefault(key, SplitTerms(fee, cut, self.parents[event.asset]))
        self.present[at] = self.terms[key]

    def _credit(self, key: TermsKey, amount: int) -> Parts:
        if key not in self.models:
            unlisted = SplitTerms(self.default_fee, 0, self.born_to[key.asset])
            self.models[key] = SplitModel(self.terms[key] if key.terms else unlisted)
        parts = self.models[key].credit(amount)
        division = self.divisions[key.asset]
        division.commons += parts.commons
        division.validators += parts.validators
        division.operator += parts.operator
        division.holders += parts.asset
        self.credit[self.commons] += parts.commons
        self.credit[self.validators] += parts.validators
        self.credit[key.operator] += parts.operator
        self.pending[key.asset] += parts.asset
        for parent, royalty in parts.parents:
            division.royalties[parent] += royalty
            self.divisions[parent].received += royalty
            self.pending[parent] += royalty
        return parts


def check_split(facts: Facts, checks: Checks) -> dict[int, Division]:
    """Divide every payment again, and compare each credit, flush and remainder with the chain."""
    replay = _Replay(facts, checks)
    for entry in facts.entries:
        replay.take(entry)
    for key, model in replay.models.items():
        replay.divisions[key.asset].remainder += model.left_over
        parties = _PARTIES + len(model.terms.royalties)
        checks.within(
            "the remainder is smaller than the number of parties",
            f"asset {key.asset}",
            model.left_over,
            0,
            parties - 1,
        )
    gross = {key: model.gross for key, model in replay.models.items()}
    checks.same_all("gross", facts.gross, gross, lambda key: f"asset {key.asset}")
    checks.same_all("pending income", facts.pending, replay.pending, lambda key: f"asset {key}")
    checks.same_all("credit", facts.credit, replay.credit, facts.name)
    for asset, division in replay.divisions.items():
        checks.same(
            "income is fee halves, cut, royalties, holders and remainder",
            f"asset {asset}",
            division.gross,
            division.divided,
        )
    owed = (
        sum(facts.channel_balances.values())
        + sum(replay.pending.values())
        + sum(replay.credit.values())
        + sum(division.remainder for division in replay.divisions.values())
    )
    checks.same(
        "Channels owes channels, assets, credits and remainders",
        "Channels",
        facts.obligations,
        owed,
    )
    return replay.divisions
