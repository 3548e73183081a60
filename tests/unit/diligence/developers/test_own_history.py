"""The project's own history, counted here and by git itself."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.unit.diligence.developers.repositories import run

from tessera.diligence.developers import Limits, measure_repository

ROOT = Path(__file__).parents[4]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_the_projects_own_history_is_counted_as_git_counts_it() -> None:
    if run("rev-parse", "--is-shallow-repository", cwd=ROOT).strip() == b"true":
        pytest.skip("a shallow checkout")
    now = int(time.time()) + 1
    limits = Limits(changes=20)
    found = {each.name: each for each in measure_repository(str(ROOT), now=now, limits=limits)}
    listed = [
        (int(line.split()[0]), line.split()[1])
        for line in run("log", "--no-merges", "--format=%ct %ae", cwd=ROOT).decode().splitlines()
    ]
    of_year = [one for one in listed if one[0] > now - 366 * 86_400]
    assert found["days_since_last"].value == (now - max(listed)[0]) // 86_400
    if len(of_year) == len(listed):
        assert found["doc_only_share"].parts["of"] == len(listed)
        assert found["absence_factor"].parts["people"] == len({mail for _, mail in listed})
    assert found["doc_only_repo"].value is False
    assert found["churn_quality"].parts["of"] == min(20, len(of_year))
