"""The game that a publisher declares beside his bundle, in `attribution.toml`.

::

    [game]
    program = "training.py"     # of this folder
    callable = "score"          # score(parts: list[str], seed: int) -> float
    metric = "accuracy"         # what it returns, for people
    weight = 10000              # what the players share; the rest stays with others in tessera.toml

    [[players]]
    name = "clinic"             # or account = "0x...", or both, as in tessera.toml
    role = "data"
    part = "data/clinic.csv"    # handed to the program as it stands
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tessera.assets.fields import Table
from tessera.assets.manifest import Role
from tessera.assets.references import is_address
from tessera.assets.refusals import BundleInvalid, Problem
from tessera.errors import NotFound
from tessera.units import BPS, Bps

__all__ = ["GAME_NAME", "DeclaredGame", "Player", "read_game"]

GAME_NAME: Final = "attribution.toml"

_MOST_PLAYERS: Final = 256
_LARGEST: Final = 256 * 1024
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Player:
    """A contributor whose worth is in question, and his part as the program knows it."""

    name: str | None
    account: str | None
    role: Role
    part: str

    @property
    def shown(self) -> str:
        """How to call him."""
        return self.name or self.account or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredGame:
    """How to train on a part of the contributions, and how to score what comes out.

    Attributes
    ----------
    folder
        Of the bundle.
    program, callable
        A Python file of the folder, and the function in it.
    metric
        What the function returns; more of it is better.
    weight
        What the players share, of 10,000.
    timeout_s
        Longest that one training may take, seconds.
    players
        One or more.
    """

    folder: Path
    program: str
    callable: str
    metric: str
    weight: Bps
    timeout_s: int
    players: tuple[Player, ...]

    def parts(self, mask: int) -> list[str]:
        """Return the parts of a coalition, in the order of the players."""
        return [player.part for i, player in enumerate(self.players) if mask >> i & 1]


def read_game(folder: Path) -> DeclaredGame:
    """Read the declaration of a folder.

    Raises
    ------
    NotFound
        There is none.
    BundleInvalid
        With all that is wrong with it.
    """
    file = folder / GAME_NAME
    try:
        text = file.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(
            str(file),
            found="nothing",
            wanted="a declared game: how to train on a part of the contributions",
            next_step="see one: tessera attribution example FOLDER",
        ) from error
    problems: list[Problem] = []
    game = _game(folder, text, problems)
    if game is None or problems:
        raise BundleInvalid(folder.name or str(folder), problems)
    return game


def _game(folder: Path, text: bytes, problems: list[Problem]) -> DeclaredGame | None:
    if len(text) > _LARGEST:
        problems.append(Problem(GAME_NAME, f"{len(text)} bytes", f"at most {_LARGEST}"))
        return None
    try:
        values = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        problems.append(Problem(GAME_NAME, f"broken TOML ({error})", "valid TOML"))
        return None
    top = Table(values, GAME_NAME, problems)
    table = top.table("game", required=True)
    players = tuple(_player(each) for each in top.tables("players", most=_MOST_PLAYERS))
    if not players:
        top.note("players", "nobody", "one or more", "write each as [[players]]")
    whom = [((player.account or player.name or "").lower(), player.role) for player in players]
    for number, who in enumerate(whom):
        if who in whom[:number]:
            top.note(
                f"players[{number}]",
                f"{who[0]} a second time as {who[1].name.lower()}",
                "each contributor once per role",
                "give the program one part that stands for both",
            )
    top.finish()
    if table is None:
        return None
    program = table.path("program", required=True) or ""
    if program and not (folder / program).is_file():
        table.note("program", f"no file {program}", "a Python file of the folder")
    game = DeclaredGame(
        folder=folder,
        program=program,
        callable=table.text("callable", fault=_callable_fault) or "score",
        metric=table.text("metric") or "score",
        weight=Bps(table.integer("weight", low=1, high=BPS, default=BPS)),
        timeout_s=table.integer("timeout_s", low=1, high=86_400, default=600, unit="seconds"),
        players=players,
    )
    table.finish()
    return game


def _player(table: Table) -> Player:
    account = table.text("account", fault=_account_fault) or None
    name = table.text("name", longest=120) or None
    if not table.has("account") and not table.has("name"):
        table.note("", "neither account nor name", "an account, a name, or both")
    player = Player(
        name,
        account,
        table.choice("role", Role, Role.DATA) if table.has("role") else Role.DATA,
        table.text("part", required=True, longest=4_096),
    )
    table.finish()
    return player


def _callable_fault(text: str) -> str | None:
    return None if _IDENTIFIER.fullmatch(text) else "the name of a function in the program"


def _account_fault(text: str) -> str | None:
    return None if is_address(text) else "an address: 0x and 40 hex digits with a right checksum"
