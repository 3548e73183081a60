"""What was observed on a chain: append-only, with known-at, and read as of a block."""

from __future__ import annotations

from tessera.facts.addresses import ABSENT, ZERO, ZERO_ID, Addresses
from tessera.facts.amounts import Amounts
from tessera.facts.facts import Facts, Source
from tessera.facts.observations import (
    Blocks,
    Calls,
    Coverage,
    Event,
    Head,
    Kind,
    Moment,
    Origin,
    Read,
    Seen,
)
from tessera.facts.transfers import Row, Span, Transfers

__all__ = [
    "ABSENT",
    "ZERO",
    "ZERO_ID",
    "Addresses",
    "Amounts",
    "Blocks",
    "Calls",
    "Coverage",
    "Event",
    "Facts",
    "Head",
    "Kind",
    "Moment",
    "Origin",
    "Read",
    "Row",
    "Seen",
    "Source",
    "Span",
    "Transfers",
]
