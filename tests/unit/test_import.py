"""`import tessera` stays cheap, and its lazy names are real."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tessera


def test_importing_tessera_loads_none_of_its_parts() -> None:
    program = (
        "import sys; before = set(sys.modules); import tessera;"
        "print(sorted(name for name in set(sys.modules) - before if name.startswith('tessera.')"
        " or name in ('web3', 'numpy', 'onnxruntime', 'openai', 'sqlalchemy', 'typer')))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "[]"


def test_a_gateway_runs_without_what_only_postgresql_needs() -> None:
    program = "import sys; sys.modules.update(greenlet=None, asyncpg=None); import tessera.app"
    program += ", tessera.app.operator, tessera.gateway.server"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_exported_name_exists() -> None:
    for name in tessera.__all__:
        assert getattr(tessera, name) is not None
        assert name in dir(tessera)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tessera.nothing  # noqa: B018
