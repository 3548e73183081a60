"""From retraining to the root on the chain: the one that was printed is the one that is there."""

from __future__ import annotations

from pathlib import Path

from tests.integration.cli.conftest import Program, write_bundle

from tessera.assets.contributions import Contribution, verify_contribution
from tessera.assets.manifest import Role
from tessera.units import Bps

GAME = """\
[game]
program = "training.py"
metric = "rows"
[[players]]
name = "archive"
part = "500"
[[players]]
name = "school"
part = "250"
[[players]]
name = "vandal"
part = "-100"
"""
PROGRAM = "def score(parts, seed):\n    return float(sum(map(int, parts)))\n"


def test_the_printed_root_is_on_the_chain(world: Program, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "weighed", "weighed")
    (folder / "attribution.toml").write_text(GAME)
    (folder / "training.py").write_text(PROGRAM)
    dry = world.ok("attribution", "run", folder, "--dry-run")
    assert (dry["root"], "contributors" in (folder / "tessera.toml").read_text()) == (None, False)

    rootless = world("attribution", "run", folder, "--permutations", "9")
    assert rootless.code == 0, rootless.err
    assert "below 0, counted as 0: vandal" in rootless.out
    assert "no root yet" in rootless.err
    for name in ("archive", "school"):
        world.ok("account", "create", name, "--no-fund")
    done = world.ok("attribution", "run", folder, "--resume")
    assert [player["weight"] for player in done["players"]] == [6_667, 3_333, 0]
    assert [player["value"] for player in done["players"]] == [500, 250, -100]
    assert abs(done["gap"]) <= done["gap_allowed"]
    leaves = world.ok("attribution", "leaves", folder)
    assert leaves["root"] == done["root"]
    assert leaves["leaves"] == done["leaves"]

    published = world.ok("publish", folder)
    shown = world.ok("assets", "show", "weighed")
    assert shown["asset"] == published["asset"]
    assert shown["contributions"] == done["root"]
    for leaf in leaves["leaves"]:
        contribution = Contribution(
            leaf["account"],
            Role(leaf["role_number"]),
            Bps(leaf["weight"]),
            bytes.fromhex(leaf["evidence"][2:]),
        )
        proof = [bytes.fromhex(sibling[2:]) for sibling in leaf["proof"]]
        assert verify_contribution(bytes.fromhex(done["root"][2:]), contribution, proof)
