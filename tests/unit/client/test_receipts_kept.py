"""How many receipts a client keeps."""

from __future__ import annotations

from tessera.client import consumer
from tessera.demo import playing


def test_a_client_keeps_as_many_receipts_as_the_demo_can_make() -> None:
    """The demo's accountant holds all receipts against the chain; a dropped one is a difference."""
    assert playing._MOST_CALLS <= consumer.MOST_RECEIPTS
