"""The end of the story: a table per model, and the same as JSON."""

from __future__ import annotations

import json
import platform
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

import tessera
from tessera.app import Currency, World
from tessera.contracts import load_artifact
from tessera.demo.accountant import Audit, Earnings, Facts
from tessera.demo.market import Listed
from tessera.demo.models.summary import Built
from tessera.demo.subnet.table import SubnetReport, show_subnet
from tessera.demo.traffic import Traffic
from tessera.errors import DataError
from tessera.presenting import EXIT_UNEXPECTED
from tessera.units import SHARE_DECIMALS, format_amount

if TYPE_CHECKING:
    from tessera.demo.analyst import Analysis

__all__ = [
    "Report",
    "conclude",
    "show_holdings",
    "show_models",
    "show_remainders",
    "show_tokens",
    "write_report",
]

_FORMAT: Final = 1
_HEADINGS: Final = {
    "calls": "paid calls",
    "settled": "settled by vouchers",
    "till_income": "income at the Till",
    "gross": "gross",
    "commons": "network fee: commons",
    "validators": "network fee: validators",
    "operator": "operator's cut",
    "royalties": "royalties to parents",
    "holders": "holders",
    "left_over": "left over",
    "from_children": "royalties from children",
    "streamed": "streamed to holders",
}
_ENDS: Final = frozenset({"gross", "left_over", "streamed"})
"""Rows that a line is drawn below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that is told at the end.

    Attributes
    ----------
    world
        Where it happened.
    models
        What was trained.
    market, audit
        By slug what was sold, and what the accountant found.
    claims
        By asset: base units by who was paid, with the way they held.
    withdrawn, refunds, paid_out
        Base units by name: unspent deposits, refunds of the failed sale, cuts and fee halves.
    traffic
        What came of the calls.
    timings
        Seconds by step.
    facts
        What the accountant was given.
    subnet
        What came of the chapter about validation.
    analysis
        What an analyst found from the chain alone.
    """

    world: World
    models: Sequence[Built]
    market: Mapping[str, Listed]
    audit: Audit
    claims: Mapping[int, Mapping[str, int]]
    withdrawn: Mapping[str, int]
    refunds: Mapping[str, int]
    paid_out: Mapping[str, int]
    traffic: Traffic
    timings: Mapping[str, float]
    facts: Facts
    subnet: SubnetReport
    analysis: Analysis

    @property
    def balanced(self) -> bool:
        """Whether nothing contradicts anything."""
        return self.audit.balanced and not self.analysis.differences


def show_models(report: Report, console: Console) -> None:
    """Print who got what of each model's income: a column per model, exact to the last unit."""
    currency = report.world.currency
    table = _table(f"What each model earned, in {currency.symbol}", report)
    columns = [_figures(report.audit, listed) for listed in report.market.values()]
    for name, heading in _HEADINGS.items():
        amounts = [column[name] for column in columns]
        shown = [*amounts, sum(amounts)]
        table.add_row(
            heading,
            *(f"{amount:,}" if name == "calls" else _shown(amount, currency) for amount in shown),
            end_section=name in _ENDS,
        )
    table.add_row("claimed by")
    for who, amounts in _by_person(report, report.claims).items():
        shown = [*amounts, sum(amounts)]
        table.add_row(who, *(_shown(amount, currency) if amount else "" for amount in shown))
    dust = [report.audit.earnings[listed.asset].dust for listed in report.market.values()]
    table.add_row("dust that stays", *(_shown(amount, currency) for amount in [*dust, sum(dust)]))
    _print(console, table)


def show_holdings(report: Report, console: Console) -> None:
    """Print who holds how many shares at the end, whole shares rounded down."""
    table = _table("Whole shares at the end, rounded down", report, total=False)
    holdings: dict[int, Mapping[str, int]] = {
        listed.asset: _holdings(listed, report.audit.earnings[listed.asset], report.facts.names)
        for listed in report.market.values()
    }
    for who, amounts in _by_person(report, holdings).items():
        shown = (f"{amount // 10**SHARE_DECIMALS:,}" if amount else "" for amount in amounts)
        table.add_row(who, *shown)
    _print(console, table)


def show_remainders(report: Report, console: Console) -> None:
    """Print what lies in contracts at the end, and as what; the rest is with people."""
    currency = report.world.currency
    title = f"What lies in contracts at the end, in {currency.symbol}"
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE, pad_edge=False
    )
    table.add_column("")
    table.add_column("amount", justify="right")
    rows = report.audit.remainders
    for name, amount in rows.items():
        table.add_row(name, _shown(amount, currency))
    table.add_section()
    supply = report.facts.supply
    table.add_row("with people", _shown(supply - sum(rows.values()), currency))
    table.add_row("given by the faucet", _shown(supply, currency))
    _print(console, table)


def show_tokens(report: Report, console: Console) -> None:
    """Print where all TSR is at the end, to the last raw unit."""
    network, rows = report.world.network, report.audit.tokens
    table = Table(
        title=f"Where all {network.symbol} is at the end", title_justify="left",
        title_style="bold", box=box.SIMPLE, pad_edge=False,
    )  # fmt: skip
    table.add_column("")
    table.add_column("amount", justify="right", overflow="fold")
    for name, amount in rows.items():
        table.add_row(name, _shown(amount, network))
    table.add_section()
    table.add_row("at the beginning, and minted", _shown(sum(rows.values()), network))
    _print(console, table)


def write_report(report: Report, file: Path) -> None:
    """Write everything as JSON, whole or not at all.

    Raises
    ------
    DataError
        It cannot be written there.
    """
    text = json.dumps(_document(report), indent=2) + "\n"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=file.parent, prefix=f".{file.name}.", delete=False, encoding="utf-8"
        ) as opened:
            written = Path(opened.name)
            try:
                opened.write(text)
                opened.flush()
                written.chmod(0o644)
                written.replace(file)
            except BaseException:
                written.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise DataError(
            f"report {file}",
            found=error.strerror or str(error),
            wanted="a place that can be written",
            next_step="choose another one: --report",
        ) from error


def conclude(told: Report, file: Path, console: Console) -> int:
    """Write the report, print the tables and the accountant's verdict, and return the exit code.

    Returns
    -------
    int
        0 if the books balance, 70 if they do not.
    """
    write_report(told, file)
    show_holdings(told, console)
    show_models(told, console)
    show_remainders(told, console)
    show_subnet(told.subnet, console, told.world.currency)
    show_tokens(told, console)
    told.analysis.show(console)
    _show_verdict(told, console)
    took = told.timings["all of it"]
    console.print(
        f"All of it took {took:.1f} s. The report is {file}.", markup=False, highlight=False
    )
    return 0 if told.balanced else EXIT_UNEXPECTED


def _show_verdict(told: Report, console: Console) -> None:
    audit, currency = told.audit, told.world.currency
    console.print()
    if told.balanced:
        paid = audit.paid
        text = (
            f"The books balance: {currency.shown(paid.deposited)} deposited = "
            f"{currency.shown(paid.charged)} charged + {currency.shown(paid.withdrawn)} withdrawn; "
            f"{sum((audit.checks + told.analysis.checks).values()):,} comparisons, no difference."
        )
        console.print(text, style="bold green", markup=False, highlight=False, soft_wrap=True)
        return
    console.print("The books do not balance:", style="bold red")
    for difference in (*audit.differences, *told.analysis.differences):
        console.print(f"  {difference}", markup=False, highlight=False, soft_wrap=True)


def _document(report: Report) -> dict[str, Any]:
    world, audit = report.world, report.audit
    currency = world.currency

    def money(amount: int) -> dict[str, Any]:
        return {"units": amount, "amount": _exact(amount, currency)}

    def all_money(amounts: Mapping[str, int]) -> dict[str, Any]:
        return {name: money(amount) for name, amount in amounts.items()}

    benchmarks = {built.slug: built for built in report.models}
    models: dict[str, Any] = {}
    for slug, listed in report.market.items():
        built, earnings = benchmarks[slug], audit.earnings[listed.asset]
        figures = _figures(audit, listed)
        calls = figures.pop("calls")
        holdings = _holdings(listed, earnings, report.facts.names)
        models[slug] = {
            "asset": str(listed.asset),
            "share": listed.share.address,
            "offering": listed.offering.address,
            "vesting": listed.vesting.address,
            "benchmark": {"metric": built.metric, "value": built.value},
            "training_seconds": round(built.seconds, 3),
            "bytes": built.size,
            "calls": calls,
            **all_money(figures),
            "claims": all_money(report.claims[listed.asset]),
            "dust": money(earnings.dust),
            "raw_shares": {who: str(amount) for who, amount in holdings.items()},
            "sale": {"failed": listed.plan.fails, "paid": all_money(listed.bought)},
        }
    paid = audit.paid
    return {
        "format": _FORMAT,
        "balanced": report.balanced,
        "differences": [str(difference) for difference in audit.differences],
        "comparisons": dict(audit.checks),
        "currency": {"address": currency.address, "symbol": currency.symbol,
                     "decimals": currency.decimals},
        "chain": {
            "id": world.reader.chain_id,
            "addresses": {name: row.address for name, row in world.deployment.contracts.items()},
            "artifacts": {name: row.artifact for name, row in world.deployment.contracts.items()},
        },
        "versions": {
            "tessera": tessera.__version__,
            "python": platform.python_version(),
            "compiler": load_artifact("Channels").content["compiler"],
        },
        "calls": {
            "paid": sum(audit.calls.values()),
            "by_model": dict(report.traffic.answered),
            "failed_and_free": dict(report.traffic.refused),
            "pieces_streamed": report.traffic.streamed,
        },
        "consumers": {
            "deposited": money(paid.deposited),
            "charged": money(paid.charged),
            "withdrawn": all_money(report.withdrawn),
            "left": money(paid.left),
        },
        "remainders": all_money(audit.remainders),
        "settlements": {"transactions": paid.settlements, "vouchers": paid.vouchers,
                        "settled": money(paid.settled)},
        "credits": all_money(report.paid_out),
        "subnet": {**report.subnet.as_json(), "cost": money(report.subnet.cost),
                   "unspent": money(report.subnet.unspent)},
        "tokens": {name: str(amount) for name, amount in audit.tokens.items()},
        "analysis": report.analysis.as_json(),
        "refunds": all_money(report.refunds),
        "models": models,
        "timings_s": dict(report.timings),
    }  # fmt: skip


def _figures(audit: Audit, listed: Listed) -> dict[str, int]:
    division = audit.divisions[listed.asset]
    return {
        "calls": audit.calls[listed.asset],
        "settled": division.settled,
        "till_income": division.income,
        "gross": division.gross,
        "commons": division.commons,
        "validators": division.validators,
        "operator": division.operator,
        "royalties": sum(division.royalties.values()),
        "holders": division.holders,
        "from_children": division.received,
        "left_over": division.remainder,
        "streamed": audit.earnings[listed.asset].distributed,
    }


def _holdings(listed: Listed, earnings: Earnings, names: Mapping[str, str]) -> dict[str, int]:
    owners = listed.behind()
    held: Counter[str] = Counter()
    for address, amount in earnings.balances.items():
        if amount:
            held[owners.get(address) or names.get(address, address)] += amount
    return dict(sorted(held.items()))


def _by_person(report: Report, amounts: Mapping[int, Mapping[str, int]]) -> dict[str, list[int]]:
    people = sorted({who for of_asset in amounts.values() for who in of_asset})
    assets = [listed.asset for listed in report.market.values()]
    return {who: [amounts[asset].get(who, 0) for asset in assets] for who in people}


def _table(title: str, report: Report, *, total: bool = True) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE, pad_edge=False
    )
    table.add_column("", overflow="fold")
    for slug in (*report.market, *(("all",) if total else ())):
        # A digit that is cut off would be a lie; a narrow console folds it.
        table.add_column(slug, justify="right", overflow="fold")
    return table


def _exact(amount: int, currency: Currency) -> str:
    return format_amount(amount, decimals=currency.decimals, places=currency.decimals)


def _shown(amount: int, currency: Currency) -> str:
    return format_amount(amount, decimals=currency.decimals, places=currency.decimals, grouped=True)


def _print(console: Console, table: Table) -> None:
    console.print()
    console.print(table)
