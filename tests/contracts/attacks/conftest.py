"""A market in which attacks happen: one tokenized model, its operator, and a paying consumer."""

from __future__ import annotations

import pytest
from rig.market import Market, open_market
from rig.system import World


@pytest.fixture
def market(world: World) -> Market:
    return open_market(world)
