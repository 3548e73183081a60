"""Each string that a contract reverts with is named by a test of this tree."""

from __future__ import annotations

import re

import pytest
from rig.compiling import CONTRACTS

TESTS = CONTRACTS.parents[2] / "tests" / "contracts"
REASON = re.compile(r'"([a-z_0-9]+: [^"]+)"')
REASONS = sorted(
    {
        reason
        for source in sorted(CONTRACTS.rglob("*.vy"))
        for reason in REASON.findall(source.read_text())
    }
)


@pytest.fixture(scope="module")
def told() -> str:
    tests = (path for path in sorted(TESTS.rglob("test_*.py")))
    return "\n".join(path.read_text() for path in tests)


def test_the_contracts_have_reasons() -> None:
    assert len(REASONS) > 50


@pytest.mark.parametrize("reason", REASONS)
def test_it_is_named(reason: str, told: str) -> None:
    assert f'"{reason}"' in told
