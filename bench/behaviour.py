"""RF2 decided by behaviour, against labels set by hand from source; exits 1 where a promise fails.

    make bench-behaviour                      the table, each miss, and the traps
    python -m bench.behaviour --figures FILE  writes them into FILE between its markers

Reads ``contract_bytecode.parquet`` in the folder that ``TESSERA_REFERENCE_DATA`` names. A row is
runtime code alone, without one slot of storage, so all state is assumed: the hardest case.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tessera.diligence.behaviour.examining import examine
from tessera.diligence.behaviour.ground import Given

FILE = "contract_bytecode.parquet"
ADDRESS = "0x" + "51" * 20
BEGIN, END = "<!-- behaviour -->", "<!-- end behaviour -->"
# What the verdict ought to be, by the label that was set from source.
WANTED = {
    "pull_pro_rata": "coded_prorata",
    "pull_pro_rata_no_snapshot_owner_clawback": "coded_prorata",
    "epoch_fee_distributor": "coded_prorata",
    "staking_rewards": "coded_prorata",
    "operator_allocated_rewards": "coded_discretionary",
    "vesting": "none",
    "name_match_only": "none",
    "none": "none",
}
VERDICTS = ("coded_prorata", "coded_discretionary", "none", "unknown")


@dataclass(frozen=True, slots=True)
class Row:
    """One contract: its label, and what was found."""

    name: str
    label: str
    verdict: str
    kind: str
    reason: str
    caveats: tuple[str, ...]
    seconds: float


def _examine(work: tuple[str, str, str]) -> Row:
    name, label, code = work
    started = time.process_time()
    ground = Given({ADDRESS: bytes.fromhex(code.removeprefix("0x"))})
    decision = examine(ground, ADDRESS).decision
    return Row(
        name,
        label,
        str(decision.verdict),
        str(decision.kind),
        decision.reason,
        tuple(map(str, decision.caveats)),
        time.process_time() - started,
    )


def measure(folder: Path, workers: int) -> list[Row]:
    """Examine every labelled contract of the file."""
    import polars as pl

    table = pl.read_parquet(folder / FILE)
    work = [
        (row["name"] or "?", row["dist_label"], row["runtime_bytecode"])
        for row in table.iter_rows(named=True)
        if row["dist_label"] is not None
    ]
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(_examine, work))


def render(rows: list[Row]) -> str:
    """The confusion table and each miss, as Markdown."""
    cells = Counter((row.label, row.verdict) for row in rows)
    lines = [
        "| label, from source | contracts | " + " | ".join(VERDICTS) + " |",
        "|---|---|" + "---|" * len(VERDICTS),
    ]
    for label in sorted({row.label for row in rows}):
        counts = [cells[label, verdict] for verdict in VERDICTS]
        shown = " | ".join(
            f"**{count}**" if WANTED.get(label) == verdict and count else str(count)
            for count, verdict in zip(counts, VERDICTS, strict=True)
        )
        lines.append(f"| {label} | {sum(counts)} | {shown} |")
    right = sum(WANTED.get(row.label) == row.verdict for row in rows)
    false = [r for r in rows if r.verdict.startswith("coded") and WANTED.get(r.label) != r.verdict]
    busy = sum(row.seconds for row in rows)
    lines += [
        "",
        (
            f"Right: {right} of {len(rows)}; said to pay and does not: {len(false)}; "
            f"{busy:.0f} s of one core, {busy / len(rows):.1f} s a contract."
        ),
        "",
        "| not as labelled | label | verdict | why |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {row.name} | {row.label} | {row.verdict} | {row.reason} |"
        for row in rows
        if WANTED.get(row.label) != row.verdict
    ]
    lines += ["", "| pays | how | and a holder should know |", "|---|---|---|"]
    lines += [
        f"| {row.name} | {row.kind}: {row.reason} | {'; '.join(row.caveats)} |"
        for row in rows
        if row.verdict.startswith("coded")
    ]
    return "\n".join(lines)


def promises_kept(rows: list[Row]) -> list[str]:
    """What the specification asks and was not met."""
    failed = []
    wrong = [
        r.name for r in rows if r.verdict.startswith("coded") and WANTED.get(r.label) == "none"
    ]
    if wrong:
        failed.append(f"said to pay, and do not: {', '.join(wrong)}")
    missed = [
        row.name
        for row in rows
        if WANTED.get(row.label, "none") != "none" and WANTED[row.label] != row.verdict
    ]
    if missed:
        failed.append(f"pay, and were not seen to: {', '.join(missed)}")
    return failed


def main() -> int:
    """Run, print, write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    folder = os.environ.get("TESSERA_REFERENCE_DATA")
    if not folder:
        print("TESSERA_REFERENCE_DATA names no folder: nothing to measure against", file=sys.stderr)
        return 2
    rows = measure(Path(folder), options.workers)
    text = render(rows)
    print(text)
    if options.figures:
        page = options.figures.read_text()
        head, rest = page.split(BEGIN, 1)
        _, tail = rest.split(END, 1)
        options.figures.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}")
    failed = promises_kept(rows)
    for line in failed:
        print(line, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
