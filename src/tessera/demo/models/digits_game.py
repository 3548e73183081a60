"""The game of the demo's classifier: contributors gave parts of its training pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tessera.assets.attribution.declared import GAME_NAME
from tessera.assets.manifest import MANIFEST_NAME
from tessera.demo.models import digits
from tessera.errors import Conflict

__all__ = ["PARTS", "write_example"]

PARTS: Final[Mapping[str, str]] = {
    "archive": "0:600",
    "school": "600:900",
    "museum": "900:1100",
    "library": "1100:1250",
    "clerk": "1250:1347",
    "prankster": "0:150 mislabelled",
}
"""Who gave which training pictures. The last one gives pictures of the first again, under wrong
names: the values show it."""

_PROGRAM: Final = "training.py"
_SOURCE: Final = '''\
"""How the classifier is trained on some of the contributions, and what it scores then."""

from tessera.demo.models.digits import score_parts


def score(parts: list[str], seed: int) -> float:
    """Return the accuracy on pictures that nobody contributed."""
    return score_parts(parts, seed)
'''


def write_example(folder: Path, parts: Mapping[str, str] = PARTS) -> None:
    """Write the demo's classifier as a bundle, with its game declared beside it.

    Parameters
    ----------
    folder
        New or empty.
    parts
        Training pictures by the name of who gave them.

    Raises
    ------
    Conflict
        There is a manifest in the folder.
    """
    if (folder / MANIFEST_NAME).exists():
        raise Conflict(
            str(folder),
            found="a bundle that is there already",
            wanted="a new folder",
            next_step="name another one",
        )
    digits.build(folder)
    (folder / _PROGRAM).write_text(_SOURCE, encoding="utf-8")
    game = [
        "[game]",
        f'program = "{_PROGRAM}"',
        'callable = "score"',
        'metric = "accuracy"',
        "",
    ]
    for name, part in parts.items():
        quoted = json.dumps(name, ensure_ascii=False)
        game += ["[[players]]", f"name = {quoted}", 'role = "data"', f'part = "{part}"', ""]
    (folder / GAME_NAME).write_text("\n".join(game), encoding="utf-8")
