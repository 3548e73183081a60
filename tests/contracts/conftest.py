"""The contract tests' world and roles. Importing this costs no compiler and no EVM."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Test files are imported on their own (importlib mode), so the rig needs a place on the path.
sys.path.insert(0, str(Path(__file__).parent))

from rig.people import Person, person
from rig.system import World, deploy_world


@pytest.fixture
def world() -> World:
    """Everything deployed on a fresh engine, with a plain currency of 6 decimals."""
    return deploy_world()


@pytest.fixture
def publisher() -> Person:
    return person("publisher")


@pytest.fixture
def holder() -> Person:
    return person("holder")


@pytest.fixture
def buyer() -> Person:
    return person("buyer")


@pytest.fixture
def consumer() -> Person:
    return person("consumer")


@pytest.fixture
def operator() -> Person:
    return person("operator")


@pytest.fixture
def keeper() -> Person:
    return person("keeper")


@pytest.fixture
def attacker() -> Person:
    return person("attacker")


@pytest.fixture
def session_key() -> Person:
    return person("session key")
