"""An Exchange with one open pool: 100,000 shares at 2.00 each, fee 0.3 %."""

from __future__ import annotations

import pytest
from rig.people import Person, person
from rig.pools import Floor, open_floor
from rig.system import World


@pytest.fixture
def floor(world: World) -> Floor:
    return open_floor(world)


@pytest.fixture
def empty_floor(world: World) -> Floor:
    return open_floor(world, pool=False)


@pytest.fixture
def provider() -> Person:
    return person("provider")


@pytest.fixture
def trader() -> Person:
    return person("trader")
