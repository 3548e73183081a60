"""The program of the guide for those who use the library, as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.integration.cli.conftest import Program, wait_served, write_bundle

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "library.md"
SHARE = 10**18


def test_the_guides_programs_trade_buy_a_right_use_it_and_vote(
    world: Program, tmp_path: Path
) -> None:
    world.ok("publish", write_bundle(tmp_path / "shelf", "shelf"))
    made = world.ok(
        "access", "create", "shelf", "--kind", "calls", "--calls", "10", "--price", "2",
        "--units", "5",
    )  # fmt: skip
    world.ok("tokenize", "shelf", "--supply", "1000", "--period", "1s")
    world.ok("market", "open", "shelf", "--tokens", "100", "--money", "100", "--as", "publisher")
    trade, decide = re.findall(
        r"^```python\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL
    )

    def run(program: str, *arguments: str) -> str:
        file = tmp_path / "program.py"
        file.write_text(program)
        ended = subprocess.run(
            [sys.executable, file, "shelf", "consumer", *arguments],
            env={**os.environ, "TESSERA_DATA_DIR": str(world.data)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    said = run(trade)
    # 100 x 9.97 / 109.97 shares, after the fee of 0.3 %.
    shares = 100 * SHARE * 997 // 10_997
    assert f"shares {shares}\n" in said
    order = f"{made['access']}/1"
    assert said.rstrip().endswith(f"order {order}")

    # Those are not a hundredth of the supply.
    world.ok("transfer", "shelf", "consumer", "90", "--as", "publisher")
    wait_served(world, "shelf")
    said = run(decide, order)
    assert "answer [{'output': 2.0}]\n" in said
    assert "price per call: 10000 -> 20000\n" in said
    assert said.rstrip().endswith(f"yes with {90 * SHARE + shares}")
    assert world.ok("access", "order", order)["calls"] == 10
    (proposal,) = world.ok("govern", "list", "shelf")["proposals"]
    assert proposal["title"] == "twice the price"
