"""The end of the chapter: per model and per validator what came of it, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from tessera.app import Currency, World
from tessera.demo.subnet.approval import Case
from tessera.demo.subnet.cast import CHALLENGER, LAZY, VALIDATORS
from tessera.demo.subnet.epochs import Epoch, Subnet
from tessera.demo.subnet.measuring import Candidate, Measuring
from tessera.spec.consensus.fixed import ONE
from tessera.units import format_amount

__all__ = ["SubnetReport", "reported", "show_subnet"]

_PLACES: Final = 4


@dataclass(frozen=True, slots=True)
class SubnetReport:
    """What the chapter leaves for the report.

    Attributes
    ----------
    network
        How TSR is shown.
    chance
        What a guess scores.
    models, validators
        Rows by slug and by name.
    case
        How the one that was accused came off.
    calls, cost, unspent
        Of all measurements; base units.
    """

    network: Currency
    chance: float
    models: Mapping[str, ModelRow]
    validators: Mapping[str, ValidatorRow]
    case: Case
    calls: int
    cost: int
    unspent: int

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values; raw TSR as texts."""
        return {
            "models": {slug: row.as_json() for slug, row in self.models.items()},
            "validators": {name: row.as_json() for name, row in self.validators.items()},
            "case": {
                "accused": LAZY,
                "challenger": CHALLENGER,
                "place": self.case.place,
                "shown": "0x" + self.case.shown.hex(),
                "claimed": "0x" + self.case.claim.hex(),
                "votes": list(self.case.votes),
                "taken": str(self.case.taken),
                "bounty": str(self.case.bounty),
            },
            "calls": self.calls,
        }


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model of the subnet.

    Attributes
    ----------
    known, unknown
        Mean scores of calls by keys of validators, and by keys that nobody knows.
    weights
        Of each validator that gave a row in the first epoch, parts of the whole row.
    consensus, incentive
        By epoch: the median that counts, and the part of what models earned.
    earned
        Raw TSR of all epochs.
    why
        In a sentence.
    """

    known: float
    unknown: float
    weights: Mapping[str, float]
    consensus: tuple[float, ...]
    incentive: tuple[float, ...]
    earned: int
    why: str

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "score_by_known_keys": self.known,
            "score_by_unknown_keys": self.unknown,
            "weights": dict(self.weights),
            "consensus": list(self.consensus),
            "incentive": list(self.incentive),
            "earned": str(self.earned),
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class ValidatorRow:
    """A validator of the subnet.

    Attributes
    ----------
    trust
        In the first epoch: the part of its weights that the others share.
    earned, rewarded
        Raw TSR of all epochs, and for judging well in the round of approvals.
    fees
        Base units of the currency.
    slashed
        Raw TSR.
    why
        In a sentence.
    """

    trust: float
    earned: int
    rewarded: int
    fees: int
    slashed: int
    why: str

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "trust": self.trust,
            "earned": str(self.earned),
            "rewarded": str(self.rewarded),
            "fees": self.fees,
            "slashed": str(self.slashed),
            "why": self.why,
        }


def reported(
    world: World,
    subnet: Subnet,
    measuring: Measuring,
    case: Case,
    rewards: Mapping[str, int],
    unspent: int,
) -> SubnetReport:
    """Put together what came of the epochs, the measurements and the case."""
    receipts = measuring.receipts()
    models = {each.slug: _model(world, subnet, measuring, each) for each in subnet.candidates}
    validators = {
        name: _validator(subnet.epochs, name, world.account(name).address, case, rewards)
        for name in VALIDATORS
    }
    return SubnetReport(
        world.network, measuring.task.chance, models, validators, case,
        len(receipts), sum(call.cost for call in receipts), unspent,
    )  # fmt: skip


def show_subnet(report: SubnetReport, console: Console, currency: Currency) -> None:
    """Print both tables."""
    first = next(iter(report.models.values()))
    table = _table("What validators found of each reader, and what it earned in TSR")
    rows = [f"row {name[-1]}" for name in first.weights]
    for head in ("known", "other", *rows, "cons.", "inc.", "earned"):
        table.add_column(head, justify="right", overflow="fold")
    table.add_column("why", overflow="fold")
    for slug, row in report.models.items():
        shown = (
            row.known,
            row.unknown,
            *row.weights.values(),
            row.consensus[-1],
            row.incentive[-1],
        )
        table.add_row(
            slug, *(f"{value:.2f}" for value in shown), _short(row.earned, report.network), row.why
        )
    console.print()
    console.print(table)
    says = (
        "known, other: scores by calls of validators' keys, and of keys that nobody knows; "
        "row: parts of each validator's weights in epoch 1; cons., inc.: consensus and part of the "
        "incentive in the last epoch."
    )
    console.print(says, markup=False, highlight=False, style="dim")
    table = _table("What each validator earned and lost, in TSR; fees in the currency")
    for head in ("trust", "epochs", "approval", "fees", "slashed"):
        table.add_column(head, justify="right", overflow="fold")
    table.add_column("why", overflow="fold")
    for name, judged in report.validators.items():
        table.add_row(
            name,
            f"{judged.trust:.2f}",
            _short(judged.earned, report.network),
            _short(judged.rewarded, report.network),
            format_amount(judged.fees, decimals=currency.decimals, places=currency.decimals),
            _short(judged.slashed, report.network),
            judged.why,
        )
    bounty = _short(report.case.bounty, report.network)
    table.add_row(CHALLENGER, "", "", bounty, "", "", "ran one item again, and told of it")
    console.print()
    console.print(table)


def _model(world: World, subnet: Subnet, measuring: Measuring, each: Candidate) -> ModelRow:
    judged = [one for epoch in measuring.judged for one in measuring.found(epoch, each.slug)]
    compared = [one.favour for one in judged if one.favour is not None]
    first, uid = subnet.epochs[0], each.uid
    columns = [epoch.posted.columns[uid] for epoch in subnet.epochs]
    sums = [epoch.posted.header.incentive for epoch in subnet.epochs]
    names = {world.account(name).address.lower(): name for name in VALIDATORS}
    return ModelRow(
        _mean([found["known"] for found in compared]),
        _mean([found["unknown"] for found in compared]),
        {names[who.lower()]: row[uid] / max(1, sum(row)) for who, row in first.rows.items()},
        tuple(column.consensus / ONE if column else 0.0 for column in columns),
        tuple(
            column.rank / total if column and total else 0.0
            for column, total in zip(columns, sums, strict=True)
        ),
        sum(epoch.models[each.asset] for epoch in subnet.epochs),
        judged[0].why,
    )


def _validator(
    epochs: list[Epoch], name: str, address: str, case: Case, rewards: Mapping[str, int]
) -> ValidatorRow:
    first, lazy = epochs[0], name == LAZY
    row = [who.lower() for who in first.rows].index(address.lower())
    counted = first.posted.rows[row]
    return ValidatorRow(
        (counted[1] >> 128) / ONE if counted else 0.0,
        sum(epoch.validators.get(address, 0) for epoch in epochs),
        rewards.get(name, 0),
        sum(epoch.fees.get(address, 0) for epoch in epochs),
        case.taken if lazy else 0,
        "approved courtier, outputs made up" if lazy else "asked by two keys",
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _short(amount: int, network: Currency) -> str:
    """Round raw TSR to four places, to the nearest; the report has them exactly."""
    if not amount:
        return "0"
    unit = 10 ** (network.decimals - _PLACES)
    whole, rest = divmod((amount + unit // 2) // unit, 10**_PLACES)
    return f"{whole:,}.{rest:0{_PLACES}d}"


def _table(title: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE, pad_edge=False
    )
    table.add_column("", overflow="fold")
    return table
