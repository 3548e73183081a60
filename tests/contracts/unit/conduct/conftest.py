"""An operator with a bond of 1,000 TSR who enlisted Conduct, and a challenger with the deposit."""

from __future__ import annotations

import pytest
from rig.conduct import Court, open_court
from rig.people import Person


@pytest.fixture
def court() -> Court:
    return open_court()


@pytest.fixture
def challenger(court: Court) -> Person:
    return court.accuser()
