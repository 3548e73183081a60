"""A run of all contract tests fails if a contract can refuse for a reason that no test provoked.

A string that stands somewhere in a test proves nothing: `rig.contract.refused` notes each reason
that really came back from the EVM, in every process that tests run in, and the last word is said
here, when all of them have ended.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

CONTRACTS = Path(__file__).parents[2] / "src" / "tessera" / "contracts"
REASON = re.compile(r'"([a-z_0-9]+: [^"]+)"|raw_revert\(method_id\("([^"]+)"\)\)')
FOLDERS = ("tests", "tests/contracts")

_provoked: set[str] = set()


def reasons() -> set[str]:
    """Every reason that stands in the contracts."""
    sources = CONTRACTS.rglob("*.vy")
    found = (said for source in sources for said in REASON.findall(source.read_text()))
    return {text or error for text, error in found}


def _here() -> set[str]:
    # The rig is imported by name from its own place on the path, and only if contracts ran.
    contract = sys.modules.get("rig.contract")
    return set() if contract is None else set(contract.PROVOKED)


def _ran_all(config: pytest.Config) -> bool:
    whole = {argument.rstrip("/") for argument in config.args} & set(FOLDERS)
    left_out = config.option.keyword, config.option.ignore, config.option.deselect
    return bool(whole) and not any(left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object, error: object) -> None:
    """Take over what a worker's tests provoked."""
    _provoked.update(getattr(node, "workeroutput", {}).get("provoked", ()))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Hand over what was provoked here, or fail for what nobody provoked."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["provoked"] = sorted(_here())
        return
    _provoked.update(_here())
    if exitstatus == pytest.ExitCode.OK and _ran_all(session.config) and reasons() - _provoked:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Name what nobody provoked."""
    if exitstatus == pytest.ExitCode.OK and _ran_all(config):
        for reason in sorted(reasons() - _provoked):
            terminalreporter.write_line(f"no test provokes the refusal: {reason}", red=True)
