"""Bonded approvals beside the figures of the specification: `python -m bench.approvals`.

Verdicts are binomial, so they are computed and not drawn; what depends on many models is simulated
with a fixed seed. Each row is held against the specification within
what it states; exits 1 where one is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import scipy
from rich.console import Console
from rich.table import Table

from tessera.spec.approvals import penalty_bps
from tessera.spec.bad_counts import WHOLE, bad_count

TAU = 800_000
GUARD = 20_000
ITEMS = 1_000
ASSIGNED = 200
DRAWS = 400_000
EARLY = 0.2
WHISTLE_BLOWER = 0.2
MODELS = 30
_MISSED = 1


@dataclass(frozen=True)
class Row:
    """A figure, what the specification says of it, and whether ours is that."""

    what: str
    specified: str
    ours: str
    holds: bool


def verdicts() -> list[Row]:
    """Compute how often a count calls a model bad, by its true accuracy."""
    largest = bad_count(ITEMS, TAU - GUARD)

    def called_bad(accuracy: float, items: int = ITEMS) -> float:
        return float(scipy.stats.binom.cdf(bad_count(items, TAU - GUARD), items, accuracy))

    at_tau, at_guard = called_bad(0.80), called_bad(0.78)
    return [
        Row("largest bad count of 1,000", "738", f"{largest}", largest == 738),
        Row("wrong verdict at tau", "< 1e-5", f"{at_tau:.1e}", at_tau < 1e-5),
        Row("verdict at tau - 2 pp", "0.1 %", f"{at_guard:.3%}", 0.0005 < at_guard < 0.001),
        *(
            Row(
                f"90 % are found so far below tau, {items:,} items",
                f"{pp} pp",
                f"{_found_from(items):.1f} pp",
                round(_found_from(items)) == pp,
            )
            for items, pp in ((ITEMS, 8), (2 * ITEMS, 6))
        ),
    ]


def _found_from(items: int) -> float:
    """Return how many points below tau a model is that is called bad in nine of ten rounds."""
    largest = bad_count(items, TAU - GUARD)
    low, high = 0.5, 0.8
    for _ in range(40):
        middle = (low + high) / 2
        if scipy.stats.binom.cdf(largest, items, middle) > 0.9:
            low = middle
        else:
            high = middle
    return (0.8 - low) * 100


def honest_validators(rng: np.random.Generator) -> list[Row]:
    """Compute how often somebody honest approves a model that turns out bad, and is punished.

    The advice is to approve with 2 pp to spare. The specification's own simulation asked for more
    than 82 % (0.80 + 0.02 is a hair above 0.82 in floats), that is for 165 of 200; who is content
    with 164 is caught nearly twice as often.
    """
    largest = bad_count(ITEMS, TAU - GUARD)
    spare = (TAU + GUARD) * ASSIGNED // WHOLE

    def caught(least: int, accuracy: float) -> float:
        approves = scipy.stats.binom.sf(least - 1, ASSIGNED, accuracy)
        return float(approves * scipy.stats.binom.cdf(largest, ITEMS, accuracy))

    def worst(least: int) -> tuple[float, float]:
        return max((caught(least, at), at) for at in np.arange(0.70, 0.80, 0.001))

    exact = caught(spare + 1, 0.74)
    approved = rng.binomial(ASSIGNED, 0.74, DRAWS) > spare
    drawn = float(np.mean(approved & (rng.binomial(ITEMS, 0.74, DRAWS) <= largest)))
    lost = exact * penalty_bps(1, 1) / 10_000
    error = 4 * (exact / DRAWS) ** 0.5
    tight, at = worst(spare + 1)
    loose, loose_at = worst(spare)
    return [
        Row("honest (above 82 %) and punished at 0.74", "0.13 %", f"{exact:.3%}", exact < 0.00135),
        Row("the same, 400,000 drawn", "0.13 %", f"{drawn:.3%}", abs(drawn - exact) < error),
        Row("expected loss of such a bond", "0.04 %", f"{lost:.3%}", lost < 0.00045),
        Row(f"the same at its worst, {at:.3f}", "-", f"{tight:.3%}", tight < 0.0016),
        Row(f"honest from 82 % on, worst {loose_at:.3f}", "-", f"{loose:.3%}", loose < 0.0026),
    ]


def fabricated_reports(rng: np.random.Generator) -> list[Row]:
    """Simulate the five drawn places over reports that are partly made up."""
    rows = []
    for part, specified in ((0.5, 0.97), (0.25, 0.76)):
        made_up = int(ASSIGNED * part)
        found = float(np.mean(rng.hypergeometric(made_up, ASSIGNED - made_up, 5, DRAWS) > 0))
        what = f"found with {part:.0%} of a report made up"
        rows.append(Row(what, f"{specified:.0%}", f"{found:.1%}", abs(found - specified) < 0.01))
    return rows


def colluders() -> list[Row]:
    """Compute what approving a bad model brings per unit of bond, at the listing's 30 %."""
    # They tell on themselves, so a fifth of what they lose comes back.
    rows = []
    for found, specified in ((0.5, -0.02), (0.9, -0.20)):
        slash = penalty_bps(1, 1) / 10_000
        lost = slash * (1 - WHISTLE_BLOWER)
        value = (1 - found) * EARLY - found * lost
        rows.append(
            Row(
                f"colluders' value at {found:.0%} detection", f"{specified:+.2f}", f"{value:+.3f}",
                abs(value - specified) < 0.01,
            )
        )  # fmt: skip
    return rows


def copying(rng: np.random.Generator) -> list[Row]:
    """Simulate the gain over the public's guess: honest, a copy of it, and a copy with noise.

    The specification names no amount of noise: 1.92 pp are what makes its -3.7, so that row shows
    the sign and not the size.
    """
    truth = np.clip(rng.normal(0.80, 0.05, DRAWS), 0.0, 1.0)
    prior = truth + rng.normal(0.0, 0.05, DRAWS)
    guess = (prior - truth) ** 2
    honest = guess - (rng.binomial(ASSIGNED, truth) / ASSIGNED - truth) ** 2
    noisy = guess - (prior + rng.normal(0.0, 0.0192, DRAWS) - truth) ** 2
    rows = []
    for who, gains, specified in (
        ("honest", honest, 17.0), ("copier", np.zeros(DRAWS), 0.0), ("noisy copier", noisy, -3.7)
    ):  # fmt: skip
        mean = float(np.mean(gains)) * 1e4
        rows.append(
            Row(
                f"gain of a {who} x 10^4" if who != "honest" else "gain of an honest one x 10^4",
                f"{specified:+.1f}", f"{mean:+.1f}", abs(mean - specified) < 0.35,
            )
        )  # fmt: skip
    # What is paid is the mean of thirty, and nothing below 0.
    paid = np.maximum(0.0, honest[: DRAWS // MODELS * MODELS].reshape(-1, MODELS).mean(axis=1))
    chance = np.maximum(0.0, noisy[: DRAWS // MODELS * MODELS].reshape(-1, MODELS).mean(axis=1))
    share = float(chance.mean() / paid.mean())
    rows.append(Row("pay of a noisy copier, of an honest one's", "-", f"{share:.1%}", share < 0.05))
    return rows


def rows_of(seed: int) -> list[Row]:
    """Return every figure."""
    rng = np.random.default_rng(seed)
    return [
        *verdicts(),
        *honest_validators(rng),
        *fabricated_reports(rng),
        *colluders(),
        *copying(rng),
    ]


def main() -> int:
    """Print the table: 0 if each row holds, 1 if one is missed."""
    parser = argparse.ArgumentParser(prog="bench.approvals", description=__doc__)
    parser.add_argument("--seed", type=int, default=5, help="of what is drawn")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--figures", type=Path, help="write them into this page")
    options = parser.parse_args()
    rows = rows_of(options.seed)
    table = Table(title="Bonded approvals")
    for heading in ("", "specified", "ours", ""):
        table.add_column(heading, justify="left" if not heading else "right")
    for row in rows:
        table.add_row(row.what, row.specified, row.ours, "holds" if row.holds else "MISSED")
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if options.figures:
        _write(options.figures, rows)
    return 0 if all(row.holds for row in rows) else _MISSED


def _write(page: Path, rows: list[Row]) -> None:
    begin, end = "<!-- approvals -->\n", "<!-- end approvals -->"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(begin)
    lines = [f"| {row.what} | {row.specified} | {row.ours} |\n" for row in rows]
    table = "".join(["\n| | specified | ours |\n|---|---:|---:|\n", *lines, "\n"])
    page.write_text(before + begin + table + end + rest.partition(end)[2], encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
