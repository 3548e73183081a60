"""Paid calls beside what others answer unpaid: `make bench-gateway`.

`python -m bench.gateway [--seconds 10] [--rounds 3] [--only NAME ...] [--figures bench/README.md]`

Every gateway runs on one core, one at a time, in rounds that take turns; load and model run on the
others. Exits 1 where a goal is missed, or could not be judged because a peer is not installed.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.gateway import machine, programs
from bench.gateway.contenders import BOOKS, CONTENDERS, checked
from bench.gateway.machine import Cores
from bench.gateway.programs import Missing
from bench.gateway.rounds import Failed, Figures, Round
from bench.gateway.stage import Stage
from bench.gateway.table import Who, as_markdown, notes, show, verdicts

_MISSED, _BROKEN = 1, 70
_START, _END = "<!-- gateway -->\n", "<!-- end gateway -->\n"


def measure(stage: Stage, names: list[Who], errors: Console, told: list[str]) -> dict[Who, Figures]:
    """Take turns; a contender that is not here is told once and left out."""
    taken: dict[Who, list[Round]] = {who: [] for who in names}
    for number in range(stage.rounds):
        for who in list(taken):
            begun = time.monotonic()
            try:
                taken[who].append(CONTENDERS[who](stage))
            except Missing as missing:
                errors.print(f"left out: {missing}", style="yellow", markup=False, soft_wrap=True)
                told.append(f"left out, so compared with nothing: {who}")
                del taken[who]
                continue
            last = taken[who][-1]
            each = last.cpu_s / last.answered * 1e6
            errors.print(
                f"round {number + 1} of {stage.rounds}: {who}: "
                f"{last.answered / last.seconds:,.0f}/s, {each:,.0f} us "
                f"({time.monotonic() - begun:.0f} s)",
                markup=False,
                soft_wrap=True,
            )
    return {who: Figures.of(each) for who, each in taken.items()}


def _end(number: int, _frame: object) -> None:
    # As an exception: what was started is ended on the way out.
    raise SystemExit(128 + number)


def main() -> int:
    """Run the bench: 0 if every goal is met, 1 if one is missed or unjudged, 70 if it broke."""
    parser = argparse.ArgumentParser(prog="bench.gateway", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", nargs="+", choices=[who.name.lower() for who in Who], help="leave the others out"
    )
    parser.add_argument("--figures", type=Path, help="write the table into this page too")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    errors = Console(stderr=True)
    names = [who for who in CONTENDERS if not options.only or who.name.lower() in options.only]
    cores = Cores.of_this_machine()
    where = machine.described()
    if cores.shared:
        errors.print("one core for everything: goals are judged by CPU alone", style="yellow")
    if programs.wrk() is None:
        errors.print(
            "no wrk here: our own load tool is slower, so nginx's rate is the load's",
            style="yellow",
        )
    # Not in /tmp, which is memory on many machines: a sync would cost nothing there.
    disk = programs.ROOT / ".cache"
    disk.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=disk) as temporary:
        stage = Stage(Path(temporary), cores, options.seconds, options.rounds)
        try:
            told = [f"fsync: {machine.syncs_per_s(stage.folder):,.0f}/s on this disk"]
            if programs.nginx().slow:
                told.append("nginx is the portable build: about twice the CPU of Debian's")
            with stage.upstreams():
                figures = measure(stage, names, errors, told)
            told += [checked(stage, who) for who in BOOKS if who in figures]
        except (Failed, Missing, ValueError, ConnectionError) as failure:
            errors.print(f"bench.gateway: {failure}", style="red", markup=False, soft_wrap=True)
            return _BROKEN
    found = verdicts(figures, rates=not cores.shared)
    told = [*notes(figures), *told]
    show(Console(width=None if sys.stdout.isatty() else 140), figures, found, told)
    if options.figures and options.only:
        errors.print("figures are not written: --only leaves contenders out", style="yellow")
    elif options.figures:
        _write(options.figures, where, as_markdown(figures, found, told))
    here = len(figures) == len(names)
    return 0 if here and all(verdict.met for verdict in found) else _MISSED


def _write(page: Path, where: str, table: str) -> None:
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(_START)
    _, _, after = rest.partition(_END)
    day = datetime.now(UTC).date()
    page.write_text(
        f"{before}{_START}\nLast run, {day}, on {where}:\n\n{table}{_END}{after}", encoding="utf-8"
    )


if __name__ == "__main__":
    sys.exit(main())
