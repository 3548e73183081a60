"""The program of the guide for those who use the library, as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.integration.cli.conftest import Program, write_bundle

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "library.md"
SHARE = 10**18


def test_the_guides_program_trades_and_buys_a_right(world: Program, tmp_path: Path) -> None:
    world.ok("publish", write_bundle(tmp_path / "shelf", "shelf"))
    made = world.ok(
        "access", "create", "shelf", "--kind", "calls", "--calls", "10", "--price", "2",
        "--units", "5",
    )  # fmt: skip
    world.ok("tokenize", "shelf", "--supply", "1000", "--period", "1s")
    world.ok("market", "open", "shelf", "--tokens", "100", "--money", "100", "--as", "publisher")
    (program,) = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    file = tmp_path / "trader.py"
    file.write_text(program)
    ended = subprocess.run(
        [sys.executable, file, "shelf", "consumer"],
        env={**os.environ, "TESSERA_DATA_DIR": str(world.data)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    # 100 x 9.97 / 109.97 shares, after the fee of 0.3 %.
    (shares,) = re.findall(r"^shares (\d+)$", ended.stdout, re.MULTILINE)
    assert int(shares) == 100 * SHARE * 997 // 10_997
    assert ended.stdout.rstrip().endswith(f"order {made['access']}/1")
