"""Whose products an operator honours at any price."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tessera.app.operator import order_rules
from tessera.config import Config

OURS, THEIRS = "0x" + "11" * 20, "0x" + "22" * 20


@pytest.mark.parametrize(
    ("creator", "owner", "is_own"),
    [(OURS, OURS, True), (THEIRS, OURS, False), (OURS, THEIRS, False), (THEIRS, THEIRS, False)],
)
def test_an_asset_that_was_given_to_an_operator_is_not_its_own(
    creator: str, owner: str, is_own: bool
) -> None:
    """An operator's work for nothing and for good, for the gas of a gift.

    An owner made a free licence for good, kept the revenue by tokenizing, and sent the operator the
    asset's ERC-721, which nobody can refuse: the product of an asset of his own was honoured at any
    price. And what was his own and is sold is its new owner's to make products of.
    """
    record = SimpleNamespace(creator=creator, owner=owner)
    world: Any = SimpleNamespace(config=Config(), directory={7: record})
    rules = order_rules(world, {OURS})
    assert rules.own(7) is is_own
    assert not rules.own(8)


def test_a_call_with_an_order_waits_for_no_file() -> None:
    """Whether an asset is of our own people was asked of the key folder at every call.

    The folder was listed on the event loop then, and a new key was opened on it, for which an
    encrypted one takes a second. This world has no folder to ask; a key that is found counts.
    """
    record = SimpleNamespace(creator=OURS, owner=OURS)
    world: Any = SimpleNamespace(config=Config(), directory={7: record})
    people: set[str] = set()
    rules = order_rules(world, people)
    assert not rules.own(7)
    people.add(OURS)
    assert rules.own(7)
