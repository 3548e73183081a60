"""What a publisher declares: read whole, or refused with everything that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tessera.assets.attribution.declared import read_game
from tessera.assets.manifest import Role
from tessera.assets.refusals import BundleInvalid
from tessera.errors import NotFound

GOOD = """\
[game]
program = "training.py"
weight = 6000
[[players]]
name = "archive"
part = "data/a.csv"
[[players]]
account = "0x000000000000000000000000000000000000dEaD"
role = "validation"
part = "b"
"""


def declared(folder: Path, text: str) -> Path:
    (folder / "attribution.toml").write_text(text)
    (folder / "training.py").write_text("def score(parts, seed): return 0\n")
    return folder


def test_a_declaration_is_read(tmp_path: Path) -> None:
    game = read_game(declared(tmp_path, GOOD))
    assert (game.callable, game.metric, game.weight) == ("score", "score", 6_000)
    assert [player.role for player in game.players] == [Role.DATA, Role.VALIDATION]
    assert game.parts(0b10) == ["b"]
    assert game.parts(0b11) == ["data/a.csv", "b"]


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    bad = """\
[game]
program = "missing.py"
weight = 0
[[players]]
name = "archive"
part = "a"
[[players]]
name = "Archive"
part = "b"
[[players]]
part = "c"
colour = "red"
"""
    with pytest.raises(BundleInvalid) as caught:
        read_game(declared(tmp_path, bad))
    told = str(caught.value)
    for fault in ("missing.py", "weight", "a second time", "neither account nor name", "colour"):
        assert fault in told


def test_a_folder_without_a_declaration_says_where_to_see_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="tessera attribution example"):
        read_game(tmp_path)
