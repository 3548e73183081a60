"""Run a market and close its books: `python -m bench.simulation --help`."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.simulation.chart import draw
from bench.simulation.market import DOLLAR
from bench.simulation.replay import gas_by_action
from bench.simulation.run import Outcome, simulate
from tessera.chain.anvil import find_anvil
from tessera.errors import TesseraError
from tessera.presenting import exit_code


def main() -> int:
    """Simulate: 0 if every promise held and the books closed, else the error's own code."""
    parser = argparse.ArgumentParser(prog="bench.simulation", description=__doc__)
    parser.add_argument("--actors", type=int, default=1_000, help="people (default 1,000)")
    parser.add_argument("--steps", type=int, default=10_000, help="turns (default 10,000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same market")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--chart", type=Path, help="write the price chart to this SVG file")
    parser.add_argument("--anvil", type=Path, help="the node's program, if not the installed one")
    parser.add_argument(
        "--no-gas", action="store_true", help="do not send everything to a node for its receipts"
    )
    arguments = parser.parse_args()
    console = Console()
    try:
        with _bar("simulating", arguments.steps) as tick:
            outcome = simulate(
                actors=arguments.actors,
                steps=arguments.steps,
                seed=arguments.seed,
                progress=tick,
            )
        gas: dict[str, list[int]] = {}
        if not arguments.no_gas:
            anvil = arguments.anvil or find_anvil()
            with _bar("reading receipts", outcome.transactions) as tick:
                gas = gas_by_action(anvil, outcome.market.evm.transactions, tick)
    except TesseraError as error:
        print(f"bench.simulation: {error}", file=sys.stderr)
        return exit_code(error)
    _show(console, outcome, gas)
    if arguments.json is not None:
        _write(arguments.json, json.dumps(_as_json(arguments, outcome, gas), indent=2) + "\n")
    if arguments.chart is not None:
        title = f"{arguments.actors:,} actors, {arguments.steps:,} steps, seed {arguments.seed}"
        _write(arguments.chart, draw(outcome.market.assets, title))
    return 0


@contextmanager
def _bar(what: str, total: int) -> Iterator[Any]:
    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=total)
        yield lambda number: bars.update(task, completed=number + 1)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _show(console: Console, outcome: Outcome, gas: dict[str, list[int]]) -> None:
    market = outcome.market
    console.print(
        f"{outcome.steps:,} steps, {outcome.transactions:,} transactions in "
        f"{outcome.seconds:.1f} s: {outcome.steps / outcome.seconds:,.0f} steps/s, "
        f"{outcome.transactions / outcome.seconds:,.0f} transactions/s, every check included"
    )
    console.print(
        f"conserved at each step: {outcome.compared:,} balances compared with the events; "
        f"solvent at each step: {outcome.obligations:,} obligations compared with what is held"
    )
    refused = sum(market.refusals.values())
    console.print(f"{refused:,} refusals: prices that moved, votes that were over\n")
    if gas:
        table = Table("action", "transactions", "gas in all", "least", "median", "most")
        for column in table.columns[1:]:
            column.justify = "right"
        for action, figures in sorted(gas.items(), key=lambda row: -sum(row[1])):
            median = round(statistics.median(figures))
            numbers = (len(figures), sum(figures), min(figures), median, max(figures))
            table.add_row(action, *(f"{number:,}" for number in numbers))
        console.print(table)
        total = sum(map(sum, gas.values()))
        console.print(f"total gas, of receipts: {total:,}\n")
    table = Table("left in the end", "what it is", "token", "raw units")
    table.columns[3].justify = "right"
    for row in outcome.remainders:
        table.add_row(row.contract, row.what, row.token, f"{row.amount:,}")
    console.print(table)
    minted = market.ledger.supply[market.system.currency.address]
    console.print(
        f"all {minted:,} base units of the currency are with people or in this table, to the unit"
    )


def _as_json(
    arguments: argparse.Namespace, outcome: Outcome, gas: dict[str, list[int]]
) -> dict[str, Any]:
    market = outcome.market
    return {
        "actors": arguments.actors,
        "steps": outcome.steps,
        "seed": arguments.seed,
        "transactions": outcome.transactions,
        "seconds": round(outcome.seconds, 3),
        "steps_per_second": round(outcome.steps / outcome.seconds, 1),
        "transactions_per_second": round(outcome.transactions / outcome.seconds, 1),
        "balances_compared": outcome.compared,
        "obligations_compared": outcome.obligations,
        "refusals": {
            f"{action}: {reason}": count for (action, reason), count in market.refusals.items()
        },
        "total_gas": sum(map(sum, gas.values())),
        "gas": {
            action: {
                "transactions": len(figures),
                "total": sum(figures),
                "least": min(figures),
                "median": round(statistics.median(figures)),
                "most": max(figures),
            }
            for action, figures in gas.items()
        },
        "assets": [
            {
                "sale": asset.name,
                "trades": len(asset.prices),
                "first_price": asset.prices[0][1] / DOLLAR,
                "last_price": asset.price / DOLLAR,
                "volume": _sum(asset.volume.values()),
                "revenue": _sum(asset.revenue.values()),
            }
            for asset in market.assets
        ],
        "remainders": [
            {name: getattr(row, name) for name in ("contract", "token", "what", "amount")}
            for row in outcome.remainders
        ],
    }


def _sum(amounts: Iterable[int]) -> float:
    return sum(amounts) / DOLLAR


if __name__ == "__main__":
    raise SystemExit(main())
