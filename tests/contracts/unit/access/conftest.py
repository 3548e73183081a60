"""A product of 100 calls for 5.00, 1,000 units, served within a day or refunded."""

from __future__ import annotations

import pytest
from rig.shop import Shop, open_shop
from rig.system import World


@pytest.fixture
def shop(world: World) -> Shop:
    return open_shop(world)
