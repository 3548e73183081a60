"""A council of three holders with 500, 300 and 200 of 1,000 shares, all locked a day ago."""

from __future__ import annotations

import pytest
from rig.governing import Council, open_council


@pytest.fixture
def council() -> Council:
    return open_council()
