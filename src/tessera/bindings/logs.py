"""From a raw log to the event that it is, whichever of our contracts wrote it."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from typing import Final

from tessera.bindings import CONTRACTS
from tessera.bindings.calls import Contract, Event
from tessera.errors import DataError

__all__ = ["decode_event", "event_topics"]

_ERC20: Final = frozenset(
    bytes.fromhex(topic)
    for topic in (
        "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",  # Transfer
        "8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925",  # Approval
    )
)


def decode_event(
    topics: Sequence[bytes], data: bytes, *, contract: str | None = None
) -> Event | None:
    """Decode a log of any of our contracts.

    Parameters
    ----------
    topics, data
        As the chain has them.
    contract
        Name of the contract at the log's address, where that is known. Two contracts may have
        events with the same signature (Transfer); without this the first by name is taken.

    Returns
    -------
    Event or None
        None where no contract of ours has such an event, or its data is not what it should be.
    """
    if not topics:
        return None
    kinds = _kinds().get((topics[0], len(topics)), ())
    for kind in sorted(kinds, key=lambda kind: contract != kind.CONTRACT):
        try:
            return kind.decode(topics, data)
        except DataError:
            # A stranger's contract may use our topic with other data; its log is none of ours.
            continue
    return None


@functools.cache
def _kinds() -> dict[tuple[bytes, int], list[type[Event]]]:
    found: dict[tuple[bytes, int], list[type[Event]]] = {}
    for name, module in sorted(CONTRACTS.items()):
        contract: type[Contract] = getattr(importlib.import_module(module), name)
        for event in contract.EVENTS:
            found.setdefault((event.TOPIC, len(event.INDEXED) + 1), []).append(event)
    return found


def event_topics() -> frozenset[bytes]:
    """Return the first topic of every event that only our contracts have: all but an ERC-20's."""
    return frozenset(topic for topic, _ in _kinds()) - _ERC20
