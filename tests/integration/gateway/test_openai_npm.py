"""The official `openai` package for JavaScript, unmodified, on every route it knows."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import openai

FOLDER = Path(__file__).parents[2] / "typescript"


async def ask_everything(url: str) -> dict[str, Any]:
    node = shutil.which("node", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert node, "make setup fetches one where there is none"
    process = await asyncio.create_subprocess_exec(
        node,
        "compat.mjs",
        url,
        cwd=FOLDER,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        told, failed = await process.communicate()
    assert process.returncode == 0, failed.decode()
    said: dict[str, Any] = json.loads(told)
    return said


async def test_the_official_javascript_client_understands_every_answer(
    client: openai.AsyncOpenAI,
) -> None:
    said = await ask_everything(str(client.base_url).removesuffix("/v1/"))
    assert said["models"] == ["parrot", "tiny"]
    assert said["model"] == "parrot"
    assert (said["chat"], said["units"]) == (["one two ", "one two "], 4)
    assert (said["tool"], said["streamedTool"]) == ("weather", '{"place": "Bonn"}')
    assert (said["streamed"], said["streamedUnits"]) == ("one two ", 2)
    assert said["response"] == "a b "
    assert said["events"] == ["response.created", "response.completed"]
    assert said["packed"] == said["floats"] == [[4, 0.5, -1], [5, 0.5, -1]]
    assert said["flagged"] is True
    assert said["refusals"] == {
        "missing": ["NotFoundError", 404, "not_found", None],
        "broken": ["BadRequestError", 400, "input_error", "messages"],
        "unfollowed": ["UnprocessableEntityError", 422, "unprocessable", "tools"],
    }
