"""An epoch as people look at it: how far it is, who asks what, and whether its result is true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tessera.spec.epochs import Challenge

__all__ = ["EpochStatus", "OpenQuestion", "Stage", "Verdict"]

Stage = Literal["running", "waiting", "empty", "postable", "late", "posted", "final", "skipped"]
"""Inputs not closed; an epoch before it not settled; nothing to compute; to be posted; to be posted
or skipped; on trial; final; skipped."""


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A part of a live result that somebody asked for, and until when it must be shown."""

    part: int
    requester: str
    due: int


@dataclass(frozen=True, slots=True)
class EpochStatus:
    """How far an epoch of a subnet is.

    Attributes
    ----------
    rows, columns
        Validators that revealed a row, and models.
    closes_at
        From when on its inputs are fixed, Unix seconds.
    late_at
        From when on anybody may skip it, if nobody posted; 0 where that depends on epochs before.
    poster
        Of the live or final result; empty for none.
    ends_at
        When a live result can be final; 0 for none.
    digest
        Of the live or final result.
    questions
        Open ones.
    voided
        How many results of it were proved false, or kept back.
    """

    subnet: int
    epoch: int
    stage: Stage
    now: int
    rows: int
    columns: int
    closes_at: int
    late_at: int = 0
    poster: str = ""
    ends_at: int = 0
    digest: bytes = b""
    questions: tuple[OpenQuestion, ...] = ()
    voided: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of a live result came to.

    Attributes
    ----------
    true
        It is what its inputs lead to.
    fault
        What proves it false; None where that is not known yet, or it is true.
    questions
        What to ask for, to find out where it is false.
    """

    true: bool
    fault: Challenge | None = None
    questions: tuple[Challenge, ...] = ()
