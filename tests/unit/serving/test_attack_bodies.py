"""Bodies that were to bring the gateway down before anybody paid."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tessera.errors import InputError
from tessera.serving.bodies import PAID_PATHS, TokenLimits, model_of, read_body

DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.fixture(autouse=True)
def _pythons_own_recursion_limit() -> Iterator[None]:
    # Test tools raise it so far that the C stack ends first; no gateway and no client does.
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.parametrize("field", [b"anything", b"tools", b"input", b"rows", b"model"])
@pytest.mark.parametrize("path", PAID_PATHS)
def test_brackets_beyond_the_stack_are_bad_input(path: str, field: bytes) -> None:
    """Two hundred kilobytes of brackets: an error 500 and a traceback in the log, per request."""
    body = b'{"messages": [], "' + field + b'": ' + DEEP + b"}"
    with pytest.raises(InputError):
        model_of(body)
    with pytest.raises(InputError):
        read_body(path, body, TokenLimits())
