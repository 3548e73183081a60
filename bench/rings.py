"""Circular payments over a grid of planted rings: `python -m bench.rings`.

Each cell is a market with rings of one kind among honest payments; every planted payment is known,
and nothing was fitted to a cell. Precision and recall are by value. Exits 1 where the whole grid is
below precision 0.95 or recall 0.8, or an honest market has more than 1 % of its volume called
circular. Real transfers (TESSERA_REFERENCE_DATA) are looked at where there are any.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console

from tessera.diligence.circular.composite import Parties, look
from tessera.diligence.circular.generator import HONEST, MarketPlan, RingPlan, market
from tessera.facts import Row, Transfers

SIZES = (2, 3, 4, 5, 6, 8, 10, 12)
SHARES = (0.01, 0.05, 0.2)
JITTERS = (0.0, 0.025, 0.05)
TRIPS = {"1 min": 60, "1 h": 3_600, "1 d": 86_400, "7 d": 7 * 86_400}
HUBS = (0.0, 0.1, 0.25)
PRECISION, RECALL, HONEST_SHARE = 0.95, 0.8, 0.01
MARKETS = {
    "subscriptions and use": HONEST,
    "subscriptions alone": replace(HONEST, subscribers=1.0, peers=0),
    "one service, few workers": replace(HONEST, services=1, workers=20),
    "a small one": replace(HONEST, payers=150, workers=10, services=3, peers=20, payments=4_000),
    "a year of it": replace(HONEST, days=365, payments=40_000),
    "60 peers who pay each other all day": replace(HONEST, peers=60, payments=60_000),
}
_MISSED = 1


@dataclass(frozen=True)
class Cell:
    """Rings of one kind in one market; values in base units."""

    plan: RingPlan
    planted: int
    found: int
    right: int
    seconds: float

    @property
    def recall(self) -> float:
        return self.right / self.planted

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 1.0


def measure(base: MarketPlan, ring: RingPlan, seed: int) -> Cell:
    """Plant, look, and compare."""
    made = market(base.with_rings(ring, seed=seed))
    transfers, parties = made.transfers(), made.parties()
    began = time.process_time()
    found = look(transfers, parties)
    took = time.process_time() - began
    planted = made.ring >= 0
    return Cell(
        ring,
        found.value(planted),
        found.value(found.rows),
        found.value(found.rows & planted),
        took,
    )


def grid(
    sizes: Sequence[int], trips: Iterable[int], hubs: Sequence[float], seeds: int
) -> list[Cell]:
    """Look at all cells."""
    kinds = itertools.product(sizes, SHARES, JITTERS, trips, hubs, range(1, seeds + 1))
    return [
        measure(HONEST, RingPlan(size, share, jitter, trip, hub), seed * 1_000 + size)
        for size, share, jitter, trip, hub, seed in kinds
    ]


def honest(seeds: int) -> dict[str, float]:
    """The largest share of volume called circular in markets where none is."""
    worst = {}
    for name, plan in MARKETS.items():
        shares = []
        for seed in range(1, seeds + 1):
            made = market(replace(plan, seed=seed))
            found = look(made.transfers(), made.parties())
            shares.append(found.share(found.rows))
        worst[name] = max(shares)
    return worst


def reference(folder: Path) -> tuple[int, float, float]:
    """Tokens, mean and largest share of volume called circular among real LP tokens."""
    import polars as pl

    table = pl.read_parquet(folder / "lp_token_transfers.parquet")
    names = ("block", "tx_index", "log_index", "from", "to", "value_raw")
    shares = []
    for (token,), rows in table.group_by("token"):
        moved = Transfers.of(
            str(token),
            [
                # Blocks came about every 13 s then; only differences of time matter.
                Row(
                    block,
                    1_600_000_000 + 13 * (block - 10_000_000),
                    tx,
                    log,
                    giver,
                    taker,
                    int(raw),
                )
                for block, tx, log, giver, taker, raw in rows.select(names).iter_rows()
            ],
        )
        found = look(moved, Parties.unknown(len(moved.addresses)))
        shares.append(found.share(found.rows))
    return len(shares), float(np.mean(shares)), max(shares)


def table(cells: list[Cell]) -> list[str]:
    """Recall of each cell: rows by ring and hub, columns by share, round trip and jitter."""
    trips = sorted({cell.plan.round_trip_s for cell in cells})
    names = {seconds: name for name, seconds in TRIPS.items()}
    columns = list(itertools.product(SHARES, trips))
    lines = [
        "| members | hops by hub | "
        + " | ".join(f"{s:.0%}, {names[t]}" for s, t in columns)
        + " |",
        "|---:|---:|" + "---:|" * len(columns),
    ]
    for size, hub in sorted({(cell.plan.size, cell.plan.hub_share) for cell in cells}):
        line = [f"{size}", f"{hub:.0%}"]
        for share, trip in columns:
            by_jitter = []
            for jitter in JITTERS:
                same = [
                    cell for cell in cells if cell.plan == RingPlan(size, share, jitter, trip, hub)
                ]
                part = sum(cell.right for cell in same) / sum(cell.planted for cell in same)
                by_jitter.append(f"{100 * part:.0f}")
            line.append(" ".join(by_jitter))
        lines.append("| " + " | ".join(line) + " |")
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Run it; print the tables, and write them between the marks of a page."""
    parser = argparse.ArgumentParser(prog="python -m bench.rings", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a part of the grid")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--figures", type=Path, help="page to write the tables into")
    chosen = parser.parse_args(arguments)
    sizes, hubs = (SIZES, HUBS) if not chosen.quick else ((3, 12), (0.0, 0.25))
    measure(HONEST, RingPlan(2, 0.05), 1)  # compiles
    cells = grid(sizes, TRIPS.values(), hubs, chosen.seeds)
    planted, found, right = (
        sum(getattr(cell, name) for cell in cells) for name in ("planted", "found", "right")
    )
    precision, recall = right / found, right / planted
    worst = honest(max(3, chosen.seeds))
    least = min(cells, key=lambda cell: cell.recall)
    wrong = min(cells, key=lambda cell: cell.precision)
    below = sum(cell.recall < RECALL or cell.precision < PRECISION for cell in cells)
    lines = [
        (
            f"Last run, {datetime.now(UTC):%Y-%m-%d}: {len(cells):,} markets of about 20,000 "
            f"honest payments over 90 days, on {platform.machine()}, {os.cpu_count()} cores."
        ),
        "",
        (
            f"- whole grid, by value: **precision {precision:.4f}, recall {recall:.4f}** "
            f"(wanted {PRECISION} at {RECALL})"
        ),
        (
            f"- cells below either: {below}; least recall {least.recall:.3f} "
            f"({_kind(least.plan)}), least precision {wrong.precision:.3f} ({_kind(wrong.plan)})"
        ),
        (
            f"- processor time of a market, all methods: median "
            f"{1_000 * float(np.median([cell.seconds for cell in cells])):.0f} ms"
        ),
        "",
        "Recall in per cent, by value; in each cell for jitters of "
        + ", ".join(f"{jitter:.1%}" for jitter in JITTERS)
        + ":",
        "",
        *table(cells),
        "",
        (
            f"Volume called circular in honest markets, the worst of {max(3, chosen.seeds)} seeds "
            f"(wanted {HONEST_SHARE:.0%} at most):"
        ),
        "",
        "| market | share |",
        "|---|---:|",
        *(f"| {name} | {share:.3%} |" for name, share in worst.items()),
    ]
    good = precision >= PRECISION and recall >= RECALL and max(worst.values()) <= HONEST_SHARE
    folder = os.environ.get("TESSERA_REFERENCE_DATA")
    if folder:
        tokens, mean, largest = reference(Path(folder))
        lines.append(f"| {tokens:,} real LP tokens, mean (largest {largest:.1%}) | {mean:.4%} |")
        good = good and mean <= HONEST_SHARE
    Console(highlight=False, width=200).print("\n".join(lines), markup=False)
    if chosen.figures:
        _write(chosen.figures, "\n".join(lines))
    return 0 if good else _MISSED


def _kind(plan: RingPlan) -> str:
    trip = next(name for name, seconds in TRIPS.items() if seconds == plan.round_trip_s)
    return (
        f"{plan.size} members, {plan.share:.0%} of volume, jitter {plan.jitter:.1%}, {trip}, "
        f"{plan.hub_share:.0%} of hops by hub"
    )


def _write(page: Path, text: str) -> None:
    head, begin, rest = page.read_text().partition("<!-- rings -->\n")
    _, end, tail = rest.partition("<!-- end rings -->")
    page.write_text(f"{head}{begin}\n{text}\n{end}{tail}")


if __name__ == "__main__":
    sys.exit(main())
