"""Subnets: every epoch computed again from its rows, and every TSR and fee that was paid for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Final

from tessera.bindings import (
    channels,
    emission,
    epochs,
    network_token,
    scores,
    subnet_pool,
    subnets,
)
from tessera.bindings.registry import AssetRegistered, Tokenized
from tessera.demo.accountant.bonds import BondReplay
from tessera.demo.accountant.checks import Checks
from tessera.demo.accountant.facts import Entry, Facts, NetworkFacts
from tessera.errors import TransactionReverted
from tessera.spec.emission import EmissionModel, EmissionTerms
from tessera.spec.epochs import EpochInputs, Former, PostedEpoch, RevealedRow, Rules, build
from tessera.spec.scores import Row
from tessera.spec.signatures import address_of

__all__ = ["EmissionReplay"]

_MODELS: Final = 0
_COUNT: Final = 2**128 - 1


@dataclass(slots=True)
class _Subnet:
    """What events said about one subnet."""

    owner: str
    start: int
    rules: subnets.Rules
    opening: int = 0
    # Epochs from which places count, in their order.
    models: list[tuple[int, int]] = field(default_factory=list)
    rows: dict[int, list[scores.Revealed]] = field(default_factory=dict)
    results: dict[int, PostedEpoch] = field(default_factory=dict)
    last: int | None = None

    def epoch_at(self, time: int) -> int:
        return (time - self.start) // self.rules.tempo

    def columns(self, epoch: int) -> int:
        return sum(since <= epoch for _, since in self.models)


class EmissionReplay:
    """The books of Emission, written again; takes events after `BondReplay` took them.

    Attributes
    ----------
    paid, withdrawn
        Raw TSR that went to the validators' pools in Bond, and to accounts.
    """

    def __init__(
        self, facts: Facts, network: NetworkFacts, checks: Checks, bonds: BondReplay
    ) -> None:
        self._facts = facts
        self._network = network
        self._checks = checks
        self._bonds = bonds
        self.terms = EmissionTerms(**dict(zip(EmissionTerms.__slots__, network.terms, strict=True)))
        self.model = EmissionModel(self.terms, _genesis(facts))
        self.subnets: dict[int, _Subnet] = {}
        self.paid = self.withdrawn = 0
        self._demand: Counter[int] = Counter()
        self._owners: dict[int, str] = {}
        self._tokenized: set[int] = set()
        # What Channels paid Emission, by transaction.
        self._came: Counter[str] = Counter()

    def take(self, entry: Entry) -> None:
        """Take the next event."""
        event, at = entry.event, self._network.at
        match event:
            case channels.Settled():
                self._demand[event.asset] += event.commons
            case channels.CreditWithdrawn() if event.account == at["Emission"]:
                self._came[entry.tx] += event.amount
            case AssetRegistered():
                self._owners[event.asset] = event.creator
            case Tokenized():
                self._tokenized.add(event.asset)
            case subnets.SubnetCreated():
                self.subnets[event.subnet] = _Subnet(event.owner, event.start, event.rules)
            case subnet_pool.PoolOpened():
                self.subnets[event.subnet].opening = event.amount
            case subnets.PlaceTaken() if event.side == _MODELS:
                self.subnets[event.subnet].models.append((event.occupant, event.since))
                # Whoever puts a model there lets Emission look at once.
                self.model.counted[event.occupant] = (self._demand[event.occupant], event.subnet)
            case scores.Revealed():
                rows = self.subnets[event.subnet].rows.setdefault(event.epoch, [])
                rows.append(event)
            case epochs.Posted():
                self._post(event)
            case epochs.Finalized():
                self.subnets[event.subnet].last = event.epoch
            case _ if entry.address == at["Emission"]:
                try:
                    self._take(entry)
                except TransactionReverted as refused:
                    self._checks.refused("Emission", refused)
            case _:
                pass

    def close(self) -> dict[str, int]:
        """Compare what Emission keeps at the end; base units by what they are."""
        checks, network, names = self._checks, self._network, self._facts.name
        checks.same_all("TSR kept for accounts", network.credits, self.model.credit, names)
        checks.same_all(
            "fees kept for accounts", network.fee_credits, self.model.fees_credit, names
        )
        earned = {
            asset: self.model.earned[asset] + self.model.for_holders[asset]
            for asset in network.earned
        }
        checks.same_all("TSR kept for assets", network.earned, earned, lambda key: f"asset {key}")
        checks.same("fees that wait", "Emission", network.waiting_fees, self.model.waiting_fees)
        left = sum(payout.fees_left for payout in self.model.payouts.values())
        checks.within("claims leave less than a unit each", "Emission", left, 0,
                      self._claims - 1)  # fmt: skip
        pots = sum(fees for _, fees in self.model.pots.values())
        named = {
            "fees that wait for demand": self.model.waiting_fees,
            "fees of epochs to come": pots
            + sum(self.model.gathered(number)[1] for number in self.subnets),
            "fees kept for validators and commons": sum(self.model.fees_credit.values()),
            "fees that claims rounded away": left,
        }
        held = self._facts.balances.get(network.at["Emission"], 0)
        checks.same("Emission holds the fees that it owes", "Emission", held, sum(named.values()))
        checks.same("fees owed", "Emission", network.fee_obligations, held)
        return named

    def kept(self) -> int:
        """Return the raw TSR that Emission keeps, dust of claims included."""
        dust = sum(
            payout.models_left + payout.validators_left for payout in self.model.payouts.values()
        )
        self._checks.within("claims leave less than a raw TSR each", "Emission", dust, 0,
                            self._claims - 1)  # fmt: skip
        known = sum(self.model.credit.values()) + sum(self.model.earned.values())
        return known + sum(self.model.for_holders.values()) + dust

    @property
    def _claims(self) -> int:
        return 1 + sum(len(payout.claimed) for payout in self.model.payouts.values())

    # --- Results ----------------------------------------------------------------------------------

    def _post(self, event: epochs.Posted) -> None:
        """Compute the epoch again from the rows that validators serve."""
        subnet, number = self.subnets[event.subnet], event.epoch
        about = f"epoch {number} of subnet {event.subnet}"
        columns = subnet.columns(number)
        served = self._network.rows.get((event.subnet, number), {})
        rows = []
        for revealed in subnet.rows.get(number, []):
            weights = served.get(revealed.validator, ())
            filled = tuple(weights) + (0,) * (columns - len(weights))
            root = Row(dict(enumerate(filled)), columns).root
            self._checks.same("a served row is the one that was revealed",
                              self._facts.name(revealed.validator), root == revealed.root,
                              True)  # fmt: skip
            rows.append(RevealedRow(address_of(revealed.validator), revealed.stake, filled))
        rules = Rules(
            subnet.rules.kappa, subnet.rules.bonds_penalty, subnet.rules.bonds_moving_average,
            subnet.rules.yuma3,
        )  # fmt: skip
        posted = build(
            EpochInputs(
                columns, tuple(rows), rules, event.result.inputs, self._former(subnet, columns)
            )
        )
        for name, wanted in asdict(posted.header).items():
            same = getattr(event.result, name) == wanted
            self._checks.same("a result is the twin's, bit for bit", f"{about}: {name}", same,
                              True)  # fmt: skip
        subnet.results[number] = posted

    def _former(self, subnet: _Subnet, columns: int) -> Former | None:
        if subnet.last is None:
            return None
        return Former(
            subnet.last,
            subnet.results[subnet.last],
            tuple(address_of(row.validator) for row in subnet.rows[subnet.last]),
            (True,) * columns,
        )

    # --- Emission ---------------------------------------------------------------------------------

    def _take(self, entry: Entry) -> None:
        event, model = entry.event, self.model
        elapsed = entry.time - self._network.started_at
        if isinstance(event, emission.PeriodClosed):
            self._close(entry, event, elapsed)
            return
        if model.period != elapsed // self.terms.period:
            # A period in which nothing was counted closes without a word.
            model.close(elapsed, price=0, fees=0, commons=self._network.commons)
        match event:
            case emission.DemandCollected():
                grown = model.collect_demand(
                    event.asset, self._demand[event.asset], event.subnet,
                    epoch_at=self._paid_by(event.subnet),
                )  # fmt: skip
                self._same("demand is what the commons got", event.asset, event.amount, grown)
            case emission.Bootstrapped():
                subnet = self.subnets[event.subnet]
                amount = model.bootstrap(
                    event.subnet, subnet.opening, live=True, epoch_at=self._paid_by(event.subnet)
                )
                self._same("a bootstrap is a part of the pool's opening", event.subnet,
                           event.amount, amount)  # fmt: skip
            case emission.EpochSettled():
                self._settle(event, entry.time)
            case emission.ModelPaid():
                result = self.subnets[event.subnet].results[event.epoch]
                column = result.columns[event.uid]
                amount = model.claim_model(
                    event.subnet, event.epoch, event.uid, event.asset,
                    rank=0 if column is None else column.rank, ranks=result.header.incentive,
                    commons=self._network.commons,
                )  # fmt: skip
                self._same("a model gets its part of the incentive", event.asset, event.amount,
                           amount)  # fmt: skip
            case emission.ValidatorPaid():
                self._pay(event)
            case emission.Flushed():
                amount = model.flush(
                    event.asset,
                    owner=self._owners[event.asset],
                    tokenized=event.asset in self._tokenized,
                )
                self._same("what a model earned is handed on whole", event.asset, event.amount,
                           amount)  # fmt: skip
            case emission.Withdrawn():
                in_tsr = event.token == self._network.token
                kept = model.credit if in_tsr else model.fees_credit
                self.withdrawn += event.amount if in_tsr else 0
                self._checks.same("what Emission keeps is withdrawn whole",
                                  self._facts.name(event.account), event.amount,
                                  kept.pop(event.account, 0))  # fmt: skip
            case _:
                pass

    def _close(self, entry: Entry, event: emission.PeriodClosed, elapsed: int) -> None:
        model, came = self.model, self._came.pop(entry.tx, 0)
        model.close(elapsed, price=event.price, fees=came, commons=self._network.commons)
        totals, about = model.periods[event.period], f"period {event.period}"
        for name, found, wanted in (
            ("demand", event.demand, totals.demand),
            ("bootstraps", event.bootstraps, totals.bootstraps),
            ("allotted", event.allotted, totals.allotted),
            ("fees", event.fees, totals.fees),
        ):
            self._checks.same("a period is the twin's", f"{about}: {name}", found, wanted)

    def _settle(self, event: emission.EpochSettled, now: int) -> None:
        subnet = self.subnets[event.subnet]
        self.model.gather(event.subnet, epoch_at=self._paid_by(event.subnet))
        result = subnet.results[event.epoch].header
        minted = self.model.settle(
            event.subnet, event.epoch, status=1,
            sums=(result.sums & _COUNT, result.dividends & _COUNT, result.incentive),
            owner=event.owner, live=True, now_epoch=subnet.epoch_at(now),
            commons=self._network.commons,
        )  # fmt: skip
        payout = self.model.payouts[event.subnet, event.epoch]
        about = f"epoch {event.epoch} of subnet {event.subnet}"
        for name, found, wanted in (
            ("owner", event.owner_part, minted - payout.models - payout.validators),
            ("models", event.models_part, payout.models),
            ("validators", event.validators_part, payout.validators),
            ("fees", event.fees, payout.fees),
        ):
            self._checks.same("an epoch pays what its periods allotted, split as fixed",
                              f"{about}: {name}", found, wanted)  # fmt: skip

    def _pay(self, event: emission.ValidatorPaid) -> None:
        subnet = self.subnets[event.subnet]
        rows = [row.validator for row in subnet.rows[event.epoch]]
        row = rows.index(event.validator)
        counted = subnet.results[event.epoch].rows[row]
        stake, words = (0, 0) if counted is None else counted
        pool = self._bonds.model.pools[address_of(event.validator)]
        pays: str | None = None
        if pool.closed:
            pays = self._network.commons
        elif pool.total == 0:
            pays = event.validator
        amount, fees = self.model.claim_validator(
            event.subnet, event.epoch, row, event.validator,
            stake=stake, dividend=words & _COUNT, pays=pays,
        )  # fmt: skip
        self.paid += amount if pays is None else 0
        about = self._facts.name(event.validator)
        self._checks.same("a validator gets its part of the dividends", about, event.amount, amount)
        self._checks.same("a validator gets its part of the fees", about, event.fees, fees)

    def _paid_by(self, number: int) -> int:
        """Return the epoch in which the period that a subnet counted last ended."""
        _, _, period = self.model.shares.get(number, (0, 0, self.model.period))
        ended = self._network.started_at + (period + 1) * self.terms.period - 1
        return self.subnets[number].epoch_at(ended)

    def _same(self, rule: str, key: int, found: int, wanted: int) -> None:
        self._checks.same(rule, f"{key}", found, wanted)


def _genesis(facts: Facts) -> int:
    """Return what the network began with: its token's first transfer."""
    moves = (entry.event for entry in facts.entries)
    return next((move.value for move in moves if isinstance(move, network_token.Transfer)), 0)
