"""The end of the story: a table per model, and the same as JSON."""

from __future__ import annotations

import json
import platform
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

import tessera
from tessera.app import Currency, World
from tessera.contracts import load_artifact
from tessera.demo.accountant import Audit, Division, Earnings
from tessera.demo.market import Listed
from tessera.demo.models.summary import Built
from tessera.demo.traffic import Traffic
from tessera.errors import DataError
from tessera.units import SHARE_DECIMALS, format_amount

__all__ = ["Report", "show_claims", "show_models", "write_report"]

_FORMAT: Final = 1


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


def show_models(report: Report, console: Console) -> None:
    """Print who got what of each model's income."""
    audit, currency = report.audit, report.world.currency
    table = Table(title=f"What each model earned ({currency.symbol})", title_justify="left")
    table.add_column("model")
    for heading in (
        "calls", "gross", "commons", "validators", "operator", "royalties", "holders",
        "from children", "left over",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    total = Counter[str]()
    for slug, listed in report.market.items():
        row = _figures(audit, listed)
        total.update(row)
        table.add_row(slug, *_shown(row, currency))
    table.add_section()
    table.add_row("all", *_shown(total, currency))
    _print(console, table)


def show_claims(report: Report, console: Console) -> None:
    """Print what everybody claimed, model by model."""
    currency = report.world.currency
    table = Table(title=f"What each holder claimed ({currency.symbol})", title_justify="left")
    table.add_column("model")
    table.add_column("who")
    table.add_column("shares at the end", justify="right")
    table.add_column("claimed", justify="right")
    names = {report.world.account(name).address: name for name in report.world.wallet.names()}
    for slug, listed in report.market.items():
        earnings = report.audit.earnings[listed.asset]
        held = _holdings(listed, earnings, names)
        for who, amount in report.claims[listed.asset].items():
            shares = format_amount(
                held.get(who, 0), decimals=SHARE_DECIMALS, grouped=True
            ).partition(".")[0]
            table.add_row(slug, who, shares, _exact(amount, currency))
        table.add_row("", "left, less than a unit each", "", _exact(earnings.dust, currency))
        table.add_section()
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
        division = audit.divisions[listed.asset]
        models[slug] = {
            "asset": str(listed.asset),
            "share": listed.share.address,
            "offering": listed.offering.address,
            "vesting": listed.vesting.address,
            "benchmark": {"metric": built.metric, "value": built.value},
            "training_seconds": round(built.seconds, 3),
            "bytes": built.size,
            "calls": calls,
            "settled": money(division.settled),
            "till_income": money(division.income),
            **all_money(figures),
            "streamed": money(earnings.distributed),
            "claims": all_money(report.claims[listed.asset]),
            "dust": money(earnings.dust),
            "sale": {"failed": listed.plan.fails, "paid": all_money(listed.bought)},
        }
    paid = audit.paid
    return {
        "format": _FORMAT,
        "balanced": audit.balanced,
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
        "settlements": {"transactions": paid.settlements, "vouchers": paid.vouchers,
                        "settled": money(paid.settled)},
        "credits": all_money(report.paid_out),
        "refunds": all_money(report.refunds),
        "models": models,
        "timings_s": dict(report.timings),
    }  # fmt: skip


def _figures(audit: Audit, listed: Listed) -> dict[str, int]:
    division: Division = audit.divisions[listed.asset]
    return {
        "calls": audit.calls[listed.asset],
        "gross": division.gross,
        "commons": division.commons,
        "validators": division.validators,
        "operator": division.operator,
        "royalties": sum(division.royalties.values()),
        "holders": division.holders,
        "from_children": division.received,
        "left_over": division.remainder,
    }


def _holdings(listed: Listed, earnings: Earnings, names: Mapping[str, str]) -> dict[str, int]:
    held = {names[a]: n for a, n in earnings.balances.items() if a in names}
    held[f"{listed.plan.contributor} (vesting)"] = earnings.balances[listed.vesting.address]
    held[f"{listed.plan.publisher} (unsold)"] = earnings.balances[listed.offering.address]
    return held


def _shown(row: Mapping[str, int], currency: Currency) -> list[str]:
    return [
        f"{amount:,}" if name == "calls" else _exact(amount, currency)
        for name, amount in row.items()
    ]


def _exact(amount: int, currency: Currency) -> str:
    return format_amount(amount, decimals=currency.decimals, places=currency.decimals)


def _print(console: Console, table: Table) -> None:
    console.print()
    # Lines that are cut off would hide digits; a narrow console wraps them instead.
    console.print(table, soft_wrap=not console.is_terminal)
