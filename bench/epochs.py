"""Gas of a posted epoch and of each way to prove it false, by size: `make bench-epochs`.

On a fresh anvil, from receipts, base cost and calldata included. For each size a first epoch is
settled, so that bonds are carried over; of the second, one false result after another is posted and
proved false. Weights are full (no zeros) and seeded. Scores are the contract tests' stand-in, which
keeps a row in four slots; everything else is what is deployed.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.gas.chain import Chain, Code, account, bytes_of
from bench.gas.node import fresh_chain
from bench.gas.ours.market import code
from tessera.chain.anvil import find_anvil
from tessera.spec.epochs import EpochInputs, Former, PostedEpoch, RevealedRow, build, find_fault
from tessera.spec.epochs.faults import COLUMNS, ROWS, STAKES
from tessera.spec.epochs.results import assembled
from tessera.spec.signatures import keccak
from tessera.spec.sum_trees import Node, SumTree

SIZES = ((16, 64), (64, 256), (256, 4_096))
DAY = 86_400
TERMS = (10**21, 5 * 10**18, DAY, 10 * 7_200, 3_600, 3_600)
SUBNET = 1
ROOT = Path(__file__).resolve().parent.parent
STAND_IN = ROOT / "tests" / "contracts" / "mocks" / "ScoresDouble.vy"
COLUMNS_OF_TABLE = (
    ("post", "post a result"),
    ("post again", "post after a void one"),
    ("finalize", "finalize"),
    ("challenge_stakes", "stakes: a row's word"),
    ("sums", "stakes: the sums"),
    ("challenge_node", "a node of a sum"),
    ("challenge_entry", "one weight"),
    ("challenge_column", "a column, with its old bonds"),
    ("challenge_dividends", "a row's dividends and trust"),
    ("ask", "ask for a part"),
    ("show_stakes", "show the stakes"),
    ("show_column", "show a column"),
    ("show_row", "show a row"),
    ("model_part", "(read) a model's part"),
    ("validator_part", "(read) a validator's part"),
)


class Stage:
    """Scores that say what they are told, Epochs, its court, and a token."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.founder, self.poster = account("founder"), account("poster")
        self.challenger = account("challenger")
        self.token = chain.deploy(self.founder, code("TestDollar"), 18, 10**24)
        commons = chain.next_contract(self.founder)
        self.scores = chain.deploy(self.founder, _stand_in())
        registry = chain.deploy(
            self.founder, code("Registry"), commons, commons, commons, commons, DAY * 7
        )
        self.court = chain.deploy(self.founder, code("EpochCourt"))
        self.epochs = chain.deploy(
            self.founder,
            code("Epochs"),
            self.token.address,
            registry.address,
            self.scores.address,
            self.court.address,
            TERMS,
        )
        for who in (self.poster, self.challenger):
            chain.transact(who, self.token, "faucet", 10**24)
            chain.transact(who, self.token, "approve", self.epochs.address, 2**256 - 1)

    def tell(self, subnet: int, epoch: int, inputs: EpochInputs) -> None:
        """Let Scores say an epoch's inputs."""
        for place, row in enumerate(inputs.rows):
            said = (row.validator, row.row.root, sum(row.weights), row.stake)
            self.chain.transact(self.founder, self.scores, "set_row", subnet, epoch, place, said)
        rules = inputs.rules
        self.chain.transact(
            self.founder, self.scores, "set_rules", subnet,
            (rules.kappa, rules.bonds_penalty, rules.bonds_moving_average, rules.yuma3),
        )  # fmt: skip
        self.chain.transact(
            self.founder, self.scores, "set_epoch", subnet, epoch,
            (len(inputs.rows), inputs.stake, inputs.columns, 0, inputs.digest),
        )  # fmt: skip

    def post(self, subnet: int, epoch: int, posted: PostedEpoch) -> int:
        """Post a result; the gas."""
        return self.chain.transact(
            self.poster, self.epochs, "post", subnet, epoch, posted.header.call
        ).gas

    def judge(
        self, subnet: int, epoch: int, posted: PostedEpoch, function: str, *arguments: Any
    ) -> int:
        """Send something to the court; the gas."""
        who = self.challenger if function.startswith("challenge") else self.poster
        return self.chain.transact(
            who, self.court, function, self.epochs.address, subnet, epoch,
            posted.header.call, *arguments,
        ).gas  # fmt: skip

    def finalize(self, subnet: int, epoch: int) -> int:
        """Wait for the end of the window; the gas of ending the epoch."""
        self.chain.pass_time(TERMS[3])
        return self.chain.transact(self.poster, self.epochs, "finalize", subnet, epoch).gas


def measure(stage: Stage, rows: int, columns: int) -> dict[str, int]:
    """Measure one size, on a subnet of its own."""
    subnet, seed = columns, random.Random(rows * columns)
    first = _inputs(seed, rows, columns, None)
    before = build(first)
    stage.tell(subnet, 0, first)
    stage.post(subnet, 0, before)
    stage.finalize(subnet, 0)
    former = Former(0, before, tuple(row.validator for row in first.rows), (True,) * columns)
    inputs = _inputs(seed, rows, columns, former)
    true = build(inputs)
    stage.tell(subnet, 1, inputs)
    gas: dict[str, int] = {}
    for name, false in _false(true).items():
        gas["post again" if "post" in gas else "post"] = stage.post(subnet, 1, false)
        challenge = find_fault(false, inputs)
        if challenge is None or name not in (challenge.function, "sums"):
            raise SystemExit(f"{name}: wanted a fault of that kind, found {challenge}")
        gas[name] = stage.judge(subnet, 1, false, challenge.function, *challenge.arguments)
    stage.post(subnet, 1, true)
    shown = {
        "show_stakes": (STAKES, (list(true.stakes or ()),)),
        "show_column": (COLUMNS + columns // 2, (columns // 2, true.column_call(columns // 2))),
        "show_row": (ROWS + 1, true.validator_proof(1)),
    }
    for name, (part, arguments) in shown.items():
        gas["ask"] = stage.chain.transact(
            stage.challenger, stage.epochs, "ask", subnet, 1, part
        ).gas
        gas[name] = stage.judge(subnet, 1, true, name, *arguments)
    gas["finalize"] = stage.finalize(subnet, 1)
    for name, proof in (
        ("model_part", true.model_proof(columns // 2)),
        ("validator_part", true.validator_proof(1)),
    ):
        gas[name] = stage.chain.transact(
            stage.poster, stage.epochs, name, subnet, 1, true.header.call, *proof
        ).gas
    return gas


def _inputs(seed: random.Random, rows: int, columns: int, former: Former | None) -> EpochInputs:
    revealed = tuple(
        RevealedRow(
            keccak(row.to_bytes(2, "big"))[12:],
            seed.randrange(10**21, 10**24),
            tuple(seed.randrange(1, 2**16) for _ in range(columns)),
        )
        for row in range(rows)
    )
    digest = keccak(bytes([former is None]) + columns.to_bytes(4, "big"))
    return EpochInputs(columns, revealed, digest=digest, former=former)


def _false(true: PostedEpoch) -> dict[str, PostedEpoch]:
    """One false result for each kind of challenge."""
    uid = len(true.columns) // 2
    column = true.columns[uid]
    stakes, rows = true.stakes, true.rows
    if column is None or stakes is None or rows[1] is None:
        raise SystemExit("a built result has all its parts")
    tree = SumTree([])
    tree.levels = [list(level) for level in true.column_tree.levels]
    top = tree.top
    tree.levels[-1] = [Node(top.digest, top.sum + 1)]
    word = int.from_bytes(column.words[:32], "big")
    return {
        "challenge_stakes": _with(true, stakes=(stakes[0] + 1, *stakes[1:])),
        "sums": true.restated(sums=true.header.sums + 1),
        "challenge_node": replace(
            true, column_tree=tree, header=replace(true.header, incentive=top.sum + 1)
        ),
        "challenge_entry": _with_column(true, uid, words=_word(word ^ 1) + column.words[32:]),
        "challenge_column": _with_column(
            true,
            uid,
            words=column.words[:-32] + _word(int.from_bytes(column.words[-32:], "big") + (1 << 96)),
        ),
        "challenge_dividends": _with(true, rows=(rows[0], (rows[1][0], rows[1][1] + 1), *rows[2:])),
    }


def _with_column(true: PostedEpoch, uid: int, **parts: Any) -> PostedEpoch:
    columns = list(true.columns)
    column = columns[uid]
    if column is None:
        raise SystemExit("a built result has all its parts")
    columns[uid] = column._replace(**parts)
    return _with(true, columns=tuple(columns))


def _with(true: PostedEpoch, **parts: Any) -> PostedEpoch:
    whole: dict[str, Any] = {"stakes": true.stakes, "columns": true.columns, "rows": true.rows}
    header = true.header
    return assembled(
        header.inputs, header.rules, header.previous, sums=header.sums, **(whole | parts)
    )


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _stand_in() -> Code:
    from vyper.compiler import compile_from_file_input
    from vyper.compiler.input_bundle import FilesystemInputBundle
    from vyper.compiler.settings import Settings

    bundle = FilesystemInputBundle([ROOT, STAND_IN.parent])
    outputs = compile_from_file_input(
        bundle.load_file(Path(STAND_IN.name)),
        input_bundle=bundle,
        output_formats=["abi", "bytecode"],
        settings=Settings(evm_version="cancun"),
    )
    return Code("ScoresDouble", outputs["abi"], bytes_of(outputs["bytecode"]))


def table(found: Sequence[dict[str, int]]) -> str:
    """Lay the figures out as Markdown."""
    head = " | ".join(f"{rows} x {columns:,}" for rows, columns in SIZES)
    lines = [f"| gas | {head} |", "|---|" + "---:|" * len(found)]
    for key, label in COLUMNS_OF_TABLE:
        figures = " | ".join(f"{each[key]:,}" for each in found)
        lines.append(f"| {label} | {figures} |")
    return "\n".join(lines) + "\n"


HEADING = """# Gas of an epoch, last figures

Written by `make bench-epochs`; validators x models. What the rows mean: `docs/explain/epochs.md`.

"""


def main() -> int:
    """Measure every size, print the table, and write it where it is told to."""
    parser = argparse.ArgumentParser(prog="bench.epochs", description=__doc__)
    parser.add_argument("--figures", type=Path, help="write them to this file as Markdown")
    options = parser.parse_args()
    with fresh_chain(find_anvil()) as chain:
        stage = Stage(chain)
        # Once before, so that no figure has the first slots of those who are owed something.
        measure(stage, 2, 4)
        found = [measure(stage, rows, columns) for rows, columns in SIZES]
    text = table(found)
    print(text)
    if options.figures:
        options.figures.write_text(HEADING + text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
