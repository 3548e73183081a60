"""The supervisor answers every question, also one that it fails at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tessera.app.control import answer_commands, ask_supervisor
from tessera.errors import Conflict, InvariantViolation, NotFound


async def test_a_mistake_of_ours_is_an_answer_and_not_silence(tmp_path: Path) -> None:
    async def fail() -> dict[str, Any]:
        raise ZeroDivisionError

    async with answer_commands(tmp_path, {"settle": fail}):
        with pytest.raises(InvariantViolation, match="ZeroDivisionError"):
            await ask_supervisor(tmp_path, "settle")


async def test_a_refusal_keeps_its_kind(tmp_path: Path) -> None:
    async def refuse() -> dict[str, Any]:
        raise Conflict("settlement", found="one running", wanted="none")

    async with answer_commands(tmp_path, {"settle": refuse}):
        with pytest.raises(Conflict, match="one running"):
            await ask_supervisor(tmp_path, "settle")
        with pytest.raises(NotFound, match="did you mean 'settle'"):
            await ask_supervisor(tmp_path, "setle")


async def test_nobody_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="tessera up"):
        await ask_supervisor(tmp_path, "settle")
