"""Hypothesis profiles for the whole suite, chosen by TESSERA_HYPOTHESIS_PROFILE; and collecting."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from pathlib import PurePosixPath

import pytest
from hypothesis import HealthCheck, Phase, settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling, Scheduling

pytest_plugins = ["tests.contracts.refusals"]

# Folders whose files share what takes seconds to start: all of one folder run in one worker.
_ONE_WORLD = frozenset({"tests/integration/x402"})

# A loaded machine is no finding: time is gated nowhere but in `make bench-*`.
_UNTIMED = (HealthCheck.too_slow, HealthCheck.data_too_large)

settings.register_profile(
    "quick",
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=_UNTIMED,
)
settings.register_profile(
    "ci",
    max_examples=64,
    stateful_step_count=32,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=_UNTIMED,
)
settings.register_profile(
    "deep",
    max_examples=1_000,
    stateful_step_count=60,
    deadline=None,
    derandomize=False,
    print_blob=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink),
    suppress_health_check=_UNTIMED,
)
settings.load_profile(os.environ.get("TESSERA_HYPOTHESIS_PROFILE", "quick"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without collecting garbage: all that is made here stays, in each worker."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


class _ByWorld(LoadFileScheduling):  # type: ignore[misc]
    """Whole files to a worker, and whole folders where their files share one world."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        folder = str(PurePosixPath(file).parent)
        return folder if folder in _ONE_WORLD else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    return _ByWorld(config, log) if config.getoption("dist") == "loadfile" else None
