"""One subnet, three validators, three models, and people with tokens."""

from __future__ import annotations

import pytest
from rig.epochs import EpochWorld, Told
from rig.people import Person, person


@pytest.fixture
def poster() -> Person:
    return person("poster")


@pytest.fixture
def challenger() -> Person:
    return person("challenger")


@pytest.fixture
def place(poster: Person, challenger: Person) -> EpochWorld:
    world = EpochWorld()
    world.fund(poster)
    world.fund(challenger)
    return world


@pytest.fixture
def told(place: EpochWorld) -> Told:
    return place.tell(0, place.inputs([[10, 20, 0], [30, 0, 50], [0, 70, 70]]))
