"""Inputs for an audit that nobody could have prepared for: made up, by a seed that is kept secret.

Whoever has inputs of their own should audit with these: an operator that serves the right model to
auditors only has to tell them from everybody else, and made-up texts are easier to tell.
"""

from __future__ import annotations

import random as randomness
from typing import Final

from tessera.assets.manifest import Field
from tessera.errors import InputError
from tessera.serving.runner import Cell

__all__ = ["made_prompts", "made_rows", "made_texts"]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_NOUNS: Final = _words(
    "file letter market bridge number teacher garden engine winter table memory signal river "
    "contract window answer village method storm price machine report child forest error "
    "value kitchen doctor network island function ticket season battery harbour question "
    "string road"
)
_VERBS: Final = _words(
    "open return explain compare read describe convert build remove count follow measure "
    "paint write close find repeat check move collect divide sell repair search sort save "
    "watch"
)
_QUALITIES: Final = _words(
    "small quiet broken early useful green empty honest common wooden rapid cheap strange "
    "warm public simple heavy correct recent local bright late narrow open"
)
_SHAPES: Final = (
    "{Verb} the {noun} of a {quality} {noun2}",
    "The {quality} {noun} was {quality2}, and nobody could {verb} it.",
    "How do I {verb} a {noun} without a {noun2}?",
    "If the {noun} is {quality}, {verb} the {noun2}",
    "I love this {quality} {noun}, but the {noun2} is {quality2}!",
    "{Verb} a {quality} {noun}",
    "This {noun} is used to {verb} one {noun2} after another.",
)
_WHOLE: Final = ("int", "uint")
_SCALES: Final = (1.0, 16.0, 100.0)
_MOST_COLUMNS: Final = 10_000


def made_texts(count: int, random: randomness.Random) -> list[str]:
    """Make texts of a few words, no two alike as far as chance goes."""
    return [" ".join(_sentence(random) for _ in range(random.randint(1, 3))) for _ in range(count)]


def made_prompts(count: int, random: randomness.Random) -> list[str]:
    """Make beginnings for a text generator to go on from."""
    made: dict[str, None] = {}
    while len(made) < count:
        made[_sentence(random).rstrip(".?!")] = None
    return list(made)


def made_rows(inputs: tuple[Field, ...], count: int, random: randomness.Random) -> list[list[Cell]]:
    """Make rows of a table from what a manifest says about its columns.

    Numbers are drawn at several scales, since nothing says which is usual.

    Raises
    ------
    InputError
        The manifest does not say what a row is.
    """
    if not inputs:
        raise InputError(
            "rows", found="a bundle that does not say what its inputs are", wanted="rows to ask",
            next_step="give some, one JSON list a line: --inputs FILE",
        )  # fmt: skip
    rows: list[list[Cell]] = []
    for _ in range(count):
        scale = random.choice(_SCALES)
        rows.append([cell for field in inputs for cell in _cells(field, scale, random)])
    return rows


def _cells(field: Field, scale: float, random: randomness.Random) -> list[Cell]:
    columns = 1
    for size in field.shape:
        columns *= max(1, size)
    if columns > _MOST_COLUMNS:
        raise InputError(
            f"input {field.name}", found=f"{columns} columns", wanted=f"at most {_MOST_COLUMNS}",
            next_step="give rows, one JSON list a line: --inputs FILE",
        )  # fmt: skip
    return [_cell(field.type, scale, random) for _ in range(columns)]


def _cell(kind: str, scale: float, random: randomness.Random) -> Cell:
    if kind == "string":
        return random.choice(_NOUNS)
    if kind.startswith("bool"):
        return random.random() < 0.5
    if kind.startswith(_WHOLE):
        return random.randint(0, int(scale))
    # Whole numbers as often as others: a picture's grey values are such.
    return float(random.randint(0, int(scale))) if scale > 1 else random.gauss(0.0, 1.0)


def _sentence(random: randomness.Random) -> str:
    noun, noun2 = random.sample(_NOUNS, 2)
    quality, quality2 = random.sample(_QUALITIES, 2)
    verb = random.choice(_VERBS)
    return random.choice(_SHAPES).format(
        noun=noun, noun2=noun2, quality=quality, quality2=quality2, verb=verb,
        Verb=verb.capitalize(),
    )  # fmt: skip
