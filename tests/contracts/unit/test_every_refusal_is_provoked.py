"""Each reason that a contract reverts with is one that a test of this tree waits for.

What is looked for is the reason as a whole text of the code, as `refused` takes it: one that only
stands in a docstring or a comment is provoked by nobody.
"""

from __future__ import annotations

import ast
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
def waited_for() -> set[str]:
    """Give every text in the code of the tests, but for what stands there by itself."""
    found: set[str] = set()
    for path in sorted(TESTS.rglob("test_*.py")):
        tree = ast.parse(path.read_text())
        told = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
        found |= {
            each.value
            for each in ast.walk(tree)
            if isinstance(each, ast.Constant)
            and isinstance(each.value, str)
            and id(each) not in told
        }
    return found


def test_the_contracts_have_reasons() -> None:
    assert len(REASONS) > 50


@pytest.mark.parametrize("reason", REASONS)
def test_it_is_waited_for(reason: str, waited_for: set[str]) -> None:
    assert reason in waited_for
