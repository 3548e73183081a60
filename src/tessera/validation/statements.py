"""What those who judge keep sealed until it is time to open it; see `tessera.validation.sealed`."""

from __future__ import annotations

import secrets
from typing import Any, Final

import msgspec

from tessera.spec.court import Answer, AnswerTree, outputs_tree
from tessera.spec.places import NumberedTree

__all__ = ["Secret", "SealedCount", "SealedSet", "Statement", "Vote", "fresh"]

_BYTES: Final = 32


def fresh() -> bytes:
    """Draw a salt, or a secret."""
    return secrets.token_bytes(_BYTES)


class SealedSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A committer's hidden items, and the secret of their salts."""

    secret: bytes
    until: int
    pool: bytes
    items: list[dict[str, Any]]


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A validator's word in a round.

    Attributes
    ----------
    outputs
        Place, hash of its item, hash of its output.
    """

    approve: bool
    score: int
    salt: bytes
    outputs: list[tuple[int, bytes, bytes]]

    @property
    def tree(self) -> NumberedTree:
        """Of the outputs by place."""
        return outputs_tree({place: (item, output) for place, item, output in self.outputs})

    def shown(self, place: int) -> tuple[bytes, bytes, list[bytes]]:
        """Return item, output and proof of a place that the statement has."""
        item, output = next((item, output) for at, item, output in self.outputs if at == place)
        return item, output, self.tree.proof(place)


class Vote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A juror's choice."""

    choice: bytes
    salt: bytes


class SealedCount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A re-executor's answers to all hidden items."""

    salt: bytes
    answers: list[tuple[bytes, bool]]

    @property
    def tree(self) -> AnswerTree:
        """Whose root and sum are reported."""
        return AnswerTree(self.found)

    @property
    def found(self) -> tuple[Answer, ...]:
        """The answers, in order."""
        return tuple(Answer(output, correct) for output, correct in self.answers)


class Secret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a random number."""

    secret: bytes
