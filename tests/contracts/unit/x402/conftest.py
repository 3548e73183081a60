"""The standard's contracts with a token that anybody mints, and with the test dollar."""

from __future__ import annotations

import pytest
from rig.compiling import compiled
from rig.x402 import PAYER, Standard, deploy_standard


@pytest.fixture
def standard() -> Standard:
    return deploy_standard()


@pytest.fixture
def dollars() -> Standard:
    """With a token that takes authorizations; the payer has 1,000."""
    standard = deploy_standard(compiled("TestDollar"), 6, 10**12)
    standard.token("faucet", 1_000, by=PAYER.address)
    return standard
