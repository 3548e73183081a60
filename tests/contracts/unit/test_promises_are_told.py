"""A promise has one name: in a contract, in the docs, and in a test that checks it."""

from __future__ import annotations

import re

import pytest
from rig.compiling import CONTRACTS, REPOSITORY

INVARIANTS = re.compile(r"@custom:invariant ([a-z_, ]+)")
PROMISES = sorted(
    {
        name
        for source in CONTRACTS.glob("*.vy")
        for listed in INVARIANTS.findall(source.read_text())
        for name in re.split(r",\s*", listed.strip())
    }
)
TESTS = REPOSITORY / "tests" / "contracts"


def test_the_contracts_promise_something() -> None:
    assert len(PROMISES) >= 10


@pytest.mark.parametrize("name", PROMISES)
def test_the_docs_tell_it(name: str) -> None:
    page = (REPOSITORY / "docs" / "spec" / "invariants.md").read_text()
    assert f"### {name}\n" in page


@pytest.mark.parametrize("name", PROMISES)
def test_a_machine_or_a_fuzzer_checks_it(name: str) -> None:
    machines = "".join(path.read_text() for path in (TESTS / "stateful").glob("*.py"))
    fuzzers = "".join(path.read_text() for path in (TESTS / "fuzz").glob("*.py"))
    as_invariant = f"@invariant()\n    def {name}(self)" in machines
    assert as_invariant or (name == "never_early" and name in fuzzers)
