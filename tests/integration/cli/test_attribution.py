"""From retraining to the root on the chain: the one that was printed is the one that is there."""

from __future__ import annotations

import json
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

    # Accounts stand in the manifest, so that each contributor can compute his proof from it.
    text = (folder / "tessera.toml").read_text()
    assert all(leaf["account"] in text for leaf in leaves["leaves"])
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

    world.ok("tokenize", "weighed", "--supply", "1000", "--floor", "60")
    dry = world.ok("attribution", "grant", "weighed", "300", "--dry-run")
    assert (dry["dry_run"], dry["root"]) == (True, done["root"])
    assert [effect["change"] for effect in dry["effects"]] == [str(-300 * 10**18)]
    unasked = world("attribution", "grant", "weighed", "300")
    assert (unasked.code, "add --yes" in unasked.err) == (2, True)
    none = world("attribution", "claim", "weighed", folder, "archive")
    assert "none set aside" in none.err
    world.ok("attribution", "grant", "weighed", "300", "--duration", "1s", "--yes")
    # A contributor needs no bundle: the file of leaves is enough, and anyone may send it.
    file = tmp_path / "leaves.json"
    file.write_text(json.dumps(leaves))
    asked = ("attribution", "claim", "weighed", file, "archive", "--as", "publisher")
    shown = world.ok(*asked, "--dry-run")
    assert shown["claims"][0]["shares"] == str(300 * 10**18 * 6_667 // 10_000)
    assert "vesting" not in shown["claims"][0]
    arguments = (*asked, "--yes")
    claimed = world.ok(*arguments)
    assert claimed["claims"][0]["vesting"].startswith("0x")
    again = world(*arguments)
    assert again.code == 4
    assert "claimed already" in again.err
    world.ok("attribution", "claim", "weighed", folder, "school", "--as", "publisher", "--yes")
    # A sale, a vesting and the contributors' part in one transaction, shown before.
    terms = ("--shares", "100", "--price", "1", "--vesting", "consumer:7:0s:1d")
    terms += ("--contributors", "30:0s:1s")
    dry = world.ok("offer", "weighed", *terms, "--dry-run")
    assert [effect["change"] for effect in dry["effects"]] == [
        str(-whole * 10**18) for whole in (100, 7, 30)
    ]
    made = world.ok("offer", "weighed", *terms)
    assert len(made["vestings"]) == 1
    claimed = world.ok(*arguments)["claims"]
    assert [(claim["allocation"], claim["shares"]) for claim in claimed] == [
        (made["allocation"], str(30 * 10**18 * 6_667 // 10_000))
    ]
    malformed = world("offer", "weighed", "--shares", "1", "--price", "1", "--contributors", "30")
    assert (malformed.code, "SHARES:CLIFF:DURATION" in malformed.err) == (2, True)
    stranger = world("attribution", "claim", "weighed", folder, "consumer")
    assert "2 leaves of others" in stranger.err
    leaves["leaves"][0]["weight"] += 1
    file.write_text(json.dumps(leaves))
    forged = world("attribution", "claim", "weighed", file, "archive")
    assert (forged.code, "another root" in forged.err) == (2, True)


def test_who_contributed_in_two_ways_gets_both_parts(world: Program, tmp_path: Path) -> None:
    """Two leaves of one account and one weight, of which somebody else has claimed the first.

    They were told apart by their weight, so that the second part looked claimed for good.
    """
    folder = write_bundle(tmp_path / "twice", "twice")
    address = world.ok("account", "create", "twofold", "--no-fund")["address"]
    with (folder / "tessera.toml").open("a") as manifest:
        for role in ("data", "code"):
            manifest.write(
                f'[[contributors]]\naccount = "{address}"\nrole = "{role}"\nweight = 5000\n'
            )
    world.ok("publish", folder)
    world.ok("tokenize", "twice", "--supply", "1000", "--floor", "60")
    world.ok("attribution", "grant", "twice", "300", "--duration", "1s", "--yes")
    leaves = world.ok("attribution", "leaves", folder)
    only = tmp_path / "one.json"
    only.write_text(json.dumps({**leaves, "leaves": leaves["leaves"][:1]}))
    arguments = ("twofold", "--as", "publisher", "--yes")
    first = world.ok("attribution", "claim", "twice", only, *arguments)
    second = world.ok("attribution", "claim", "twice", folder, *arguments)
    claims = first["claims"] + second["claims"]
    assert [row["shares"] for row in claims] == [str(150 * 10**18)] * 2
    again = world("attribution", "claim", "twice", folder, *arguments)
    assert (again.code, "claimed already" in again.err) == (4, True)
