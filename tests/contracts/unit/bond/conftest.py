"""A bond with two slashers, and a validator with 1,000 TSR who enlisted both."""

from __future__ import annotations

import pytest
from rig.bonding import TSR, Bonding, open_bonding
from rig.people import Person, person


@pytest.fixture
def bonding() -> Bonding:
    return open_bonding()


@pytest.fixture
def validator(bonding: Bonding) -> Person:
    return bonding.validator("validator", 1_000 * TSR)


@pytest.fixture
def delegator() -> Person:
    return person("delegator")
