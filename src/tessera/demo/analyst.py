"""An analyst who was not there: indexes the chain, and asks each Share what any token is asked.

Nobody tells the analyst anything: which assets there are, who pays and who holds comes from blocks.
What is found is held against the accountant's books, to the last unit.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from tessera.app import World
from tessera.app.indexing import Wanted, live_facts, open_indexing
from tessera.bindings.channels import ChannelOpened
from tessera.demo.accountant import Audit
from tessera.demo.accountant import Facts as Books
from tessera.demo.accountant.checks import Checks, Difference
from tessera.demo.telling import Narrator
from tessera.diligence import money
from tessera.diligence.ledger import ledger_of
from tessera.diligence.money.takings import books_of
from tessera.diligence.own import slugs_of, subject_of_asset
from tessera.diligence.results import Metric, Status
from tessera.diligence.view import View
from tessera.facts import Facts

__all__ = ["Analysis", "analyse"]

_FILE: Final = "analyst.sqlite"
_SHOWN: Final = (
    "gross_fees", "holders_revenue", "payout_coverage", "months_since_distribution", "payer_count",
    "payer_top10", "price_to_fees",
)  # fmt: skip

_PARTS: Final = (
    "settled", "till_income", "commons", "validators", "operator", "royalties", "holders",
    "left_over", "from_children", "streamed", "claimed",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the analyst found.

    Attributes
    ----------
    rows
        Transfers, calls and events that were indexed.
    metrics
        By slug: every answer of step 1.
    checks
        Comparisons with the accountant's books, by rule.
    differences
        Those that failed.
    """

    rows: int
    metrics: Mapping[str, Sequence[Metric]]
    checks: Counter[str]
    differences: tuple[Difference, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "indexed": self.rows,
            "comparisons": dict(self.checks),
            "differences": [str(each) for each in self.differences],
            "metrics": {
                slug: {
                    each.name: {
                        "status": str(each.status),
                        "value": _plain(each),
                        "text": each.text,
                    }
                    for each in metrics
                }
                for slug, metrics in self.metrics.items()
            },
        }

    def show(self, console: Console) -> None:
        """Print what the analyst found: a column for each model."""
        table = Table(
            title="What an analyst finds, from the chain alone", title_justify="left",
            title_style="bold", box=box.SIMPLE, pad_edge=False,
        )  # fmt: skip
        table.add_column("", overflow="fold")
        for slug in self.metrics:
            table.add_column(slug, justify="right", overflow="fold")
        for name in _SHOWN:
            found = [
                next(each for each in metrics if each.name == name)
                for metrics in self.metrics.values()
            ]
            unit = next((each.unit for each in found if each.unit), "")
            table.add_row(f"{name}, {unit}" if unit else name, *map(_shown, found))
        console.print()
        console.print(table)


async def analyse(world: World, narrator: Narrator, audit: Audit, books: Books) -> Analysis:
    """Index the chain, ask about every Share, and compare.

    Raises
    ------
    TesseraError
        The chain cannot be read, or its facts do not fit together.
    """
    assert world.node is not None
    config = replace(world.config, rpc_url=world.node.url)
    file = world.config.data_dir / _FILE
    with narrator.step("an analyst indexes the chain") as step:
        async with open_indexing(config, Wanted(), named=file) as indexing:
            outcome = await indexing.catch_up()
        step.note = f"{outcome.rows:,} transfers, calls and events in {outcome.blocks:,} blocks"
    with narrator.step("the analyst asks about each Share, and the accountant compares") as step:
        with live_facts(config, file) as facts:
            # Facts come from a database, which waits; the node shares this thread.
            metrics, checks = await asyncio.to_thread(_asked, facts, audit, books)
        count = sum(checks.made.values())
        step.note = f"{count:,} comparisons, {len(checks.differences)} differences"
    return Analysis(outcome.rows, metrics, checks.made, tuple(checks.differences))


def _asked(facts: Facts, audit: Audit, books: Books) -> tuple[dict[str, list[Metric]], Checks]:
    checks = Checks()
    found: dict[str, list[Metric]] = {}
    for slug, asset in sorted(slugs_of(facts).items()):
        view = View(facts, subject_of_asset(facts, asset))
        found[slug] = money.measure(view)
        _compare(slug, asset, view, found[slug], audit, books, checks)
    checks.same("the analyst finds every Share", "all", len(found), len(audit.earnings))
    return found, checks


def _compare(
    slug: str,
    asset: int,
    view: View,
    metrics: Sequence[Metric],
    audit: Audit,
    books: Books,
    checks: Checks,
) -> None:
    by_name = {each.name: each for each in metrics}
    division, earnings = audit.divisions[asset], audit.earnings[asset]
    own = books_of(view, asset)[asset]
    for rule, name, wanted in (
        ("fees that an analyst finds are the gross", "gross_fees", division.gross),
        ("what an analyst finds reached the holders is what streamed", "holders_revenue",
         earnings.distributed - sum(each.amount for each in own.emission_sold)),
    ):  # fmt: skip
        value = by_name[name].value
        checks.same(rule, slug, value if isinstance(value, int) else -1, wanted)
    checks.same_all(
        "an analyst divides fees as the accountant does",
        {name: by_name["holders_revenue"].parts.get(name, -1) for name in _PARTS},  # type: ignore[misc]
        {
            "settled": division.settled,
            "till_income": division.income,
            "commons": division.commons,
            "validators": division.validators,
            "operator": division.operator,
            "royalties": sum(division.royalties.values()),
            "holders": division.holders,
            "left_over": division.remainder,
            "from_children": division.received,
            "streamed": earnings.distributed,
            "claimed": sum(earnings.claimed.values()),
        },
        lambda name: f"{name} of {slug}",
    )
    took = Counter[str]()
    for claim in own.claims:
        took[claim.holder] += claim.at.amount
    claimed = {who.lower(): amount for who, amount in earnings.claimed.items()}
    checks.same_all("claims that an analyst finds are the holders'", took, claimed, books.name)
    ledger = ledger_of(view)
    held = {
        view.transfers.addresses[at]: amount for at, amount in enumerate(ledger.balances) if amount
    }
    shares = {who.lower(): amount for who, amount in earnings.balances.items() if amount}
    checks.same_all("shares that an analyst counts are the holders'", held, shares, books.name)
    paid = Counter[str]()
    for each in own.paid:
        if not each.by_till:
            paid[each.payer or "nobody"] += each.at.amount
    rule = "who paid by voucher is who has the receipts"
    checks.same_all(rule, paid, _receipts(asset, books), books.name)


def _receipts(asset: int, books: Books) -> Counter[str]:
    """Return what receipts of an asset cost, by the payer of their channel."""
    payers = {
        (said.operator, said.channel): said.payer.lower()
        for said in (entry.event for entry in books.entries)
        if isinstance(said, ChannelOpened)
    }
    paid = Counter[str]()
    for call in books.calls:
        if call.line.asset == asset:
            paid[payers[call.line.operator, call.line.channel]] += call.cost
    return paid


def _shown(metric: Metric) -> str:
    if metric.status is not Status.OK:
        return str(metric.status).replace("_", " ")
    value = metric.value
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _plain(metric: Metric) -> dict[str, object]:
    # Base units may be beyond what a JSON number holds.
    value = str(metric.value) if isinstance(metric.value, int) else metric.value
    return {"status": str(metric.status), "value": value, "text": metric.text}
