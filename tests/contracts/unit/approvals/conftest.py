"""Rounds at every point of their life; what a test does to one is undone after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rig.approving import Approving, stage


@pytest.fixture
def fresh() -> Iterator[Approving]:
    """A test set is committed to, and nine jurors are enlisted."""
    with stage("fresh") as approving:
        yield approving


@pytest.fixture
def begun() -> Iterator[Approving]:
    """Five validators of equal bonds have their items."""
    with stage("begun") as approving:
        yield approving


@pytest.fixture
def judged() -> Iterator[Approving]:
    """All five approved, with 850,000, after executing their items; the round is listed."""
    with stage("judged") as approving:
        yield approving


@pytest.fixture
def told() -> Iterator[Approving]:
    """The truth is out, and the seed of the checks is drawn."""
    with stage("told") as approving:
        yield approving


@pytest.fixture
def good() -> Iterator[Approving]:
    """Three re-executors found 85 of 100."""
    with stage("good") as approving:
        yield approving


@pytest.fixture
def bad() -> Iterator[Approving]:
    """Three re-executors found 60 of 100."""
    with stage("bad") as approving:
        yield approving
