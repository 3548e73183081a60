"""What dishonesty earns in a subnet, beside honesty: `python -m bench.adversaries --help`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.adversaries.bonds import approvals
from bench.adversaries.demand import washers
from bench.adversaries.epochs import World
from bench.adversaries.models import sybils, two_faced
from bench.adversaries.rows import Row
from bench.adversaries.validators import boosted, cabals, validators

_START, _END = "<!-- adversaries -->\n", "<!-- end adversaries -->\n"


def main() -> int:
    """Play every strategy, and print what each earns."""
    parser = argparse.ArgumentParser(prog="bench.adversaries", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same table")
    parser.add_argument("--runs", type=int, default=20, help="runs per strategy (default 20)")
    parser.add_argument(
        "--cost", type=float, default=0.1, help="of measuring, in a validator's rewards"
    )
    parser.add_argument(
        "--burn", type=float, default=0.2, help="of a registration, in a good model's rewards"
    )
    parser.add_argument("--figures", type=Path, help="write the tables into this page too")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    world, seeds = World(), range(arguments.seed, arguments.seed + arguments.runs)
    parts = {
        "Validators, per stake and epoch": lambda: [
            *validators(world, seeds, arguments.cost),
            *cabals(world, seeds, arguments.cost),
            *boosted(world, seeds, arguments.cost),
        ],
        "Models, in a good model's rewards": lambda: [
            *two_faced(seeds),
            *sybils(world, seeds, arguments.burn),
        ],
        "Approvals, per unit of bond": approvals,
        "Emission, per unit put in": washers,
    }
    tables: dict[str, list[Row]] = {}
    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("playing", total=len(parts))
        for title, play in parts.items():
            tables[title] = play()
            bars.advance(task)
    for title, rows in tables.items():
        Console().print(_table(title, rows))
    if arguments.figures is not None:
        page = arguments.figures.read_text(encoding="utf-8")
        before, _, rest = page.partition(_START)
        _, _, after = rest.partition(_END)
        whole = f"{before}{_START}\n{_markdown(tables)}\n{_END}{after}"
        arguments.figures.write_text(whole, encoding="utf-8")
    if arguments.json is not None:
        plain = {title: [asdict(row) for row in rows] for title, rows in tables.items()}
        arguments.json.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    return 0


def _table(title: str, rows: list[Row]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("who", ratio=3)
    table.add_column("honest", justify="right")
    table.add_column("it earns", justify="right")
    table.add_column("pays")
    table.add_column("why", ratio=4)
    for row in rows:
        error = f" ± {row.error:.3f}" if row.error else ""
        pays = "[red]yes[/]" if row.pays else "no"
        table.add_row(row.strategy, f"{row.honest:.3f}", f"{row.earns:.3f}{error}", pays, row.why)
    return table


def _markdown(tables: dict[str, list[Row]]) -> str:
    lines = []
    for title, rows in tables.items():
        lines += [f"| {title} | honest | it earns | pays |", "|---|---:|---:|---|"]
        for row in rows:
            error = f" ± {row.error:.3f}" if row.error else ""
            pays = "**yes**" if row.pays else "no"
            lines.append(f"| {row.strategy} | {row.honest:.3f} | {row.earns:.3f}{error} | {pays} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
