"""Measure, print and judge: `python -m bench.gas [--json PATH] [--figures PATH] [--anvil PATH]`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import track

from bench.gas import dollar as dollars
from bench.gas import goals
from bench.gas.chain import Chain
from bench.gas.dollar import Dollar
from bench.gas.node import fresh_chain
from bench.gas.ours import (
    access,
    approvals,
    bonds,
    emission,
    governance,
    launch,
    market,
    payments,
    registration,
    shares,
    subnets,
    trading,
    workflows,
)
from bench.gas.peers import ocean, openzeppelin, singularitynet, uniswap
from bench.gas.rows import Row
from bench.gas.table import Comparison, as_json, as_markdown, compare, missed_lines, show
from tessera.chain.anvil import find_anvil
from tessera.errors import TesseraError
from tessera.presenting import exit_code

_MISSED = 1
_HEADING = """# Gas, last figures

Written by `python -m bench.gas --figures bench/figures.md`; what they mean is in `README.md`.

"""


def main() -> int:
    """Run the bench: 0 if every goal is met, 1 if one is missed, else the error's own code."""
    parser = argparse.ArgumentParser(prog="bench.gas", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--anvil", type=Path, help="the node's program, if not the installed one")
    parser.add_argument("--figures", type=Path, help="write them to this file as Markdown")
    options = parser.parse_args()
    errors = Console(stderr=True)
    try:
        comparisons = _measure(options.anvil or find_anvil(), errors)
    except TesseraError as failure:
        errors.print(f"bench.gas: {failure}", style="red", markup=False, soft_wrap=True)
        return exit_code(failure)
    show(Console(width=None if sys.stdout.isatty() else 160), comparisons)
    if options.json:
        _write(options.json, json.dumps(as_json(comparisons), indent=1, ensure_ascii=False) + "\n")
    if options.figures:
        _write(options.figures, _HEADING + as_markdown(comparisons))
    missed = missed_lines(comparisons)
    for line in missed:
        errors.print(line, style="red", markup=False, soft_wrap=True)
    return _MISSED if missed else 0


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _measure(anvil: Path, errors: Console) -> list[Comparison]:
    peers: list[Row] = []
    ours: list[Row] = []
    with fresh_chain(anvil) as chain:
        dollar = dollars.mint(chain, market.code("TestDollar"))
        network = market.deploy(chain, dollar)
        theirs: list[Callable[[Chain, Dollar], list[Row]]] = [
            openzeppelin.measure,
            singularitynet.measure,
            ocean.measure,
            uniswap.measure,
        ]
        for measure in track(theirs, "peers", console=errors, transient=True):
            peers += measure(chain, dollar)
        own = [
            registration.measure,
            shares.measure,
            payments.measure,
            launch.measure,
            access.measure,
            trading.measure,
            governance.measure,
            workflows.measure,
            bonds.measure,
            subnets.measure,
            approvals.measure,
            emission.measure,
        ]
        for part in track(own, "ours", console=errors, transient=True):
            ours += part(network)
    return compare(ours, peers, goals.QUOTED, goals.GOALS)


if __name__ == "__main__":
    sys.exit(main())
