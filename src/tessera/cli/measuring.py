"""What the commands about benchmarks share: where questions go, and how a score is shown."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera.cli.amounts import counted
from tessera.cli.session import Session

if TYPE_CHECKING:
    from tessera.config import Config
    from tessera.validation.endpoints import Endpoint

__all__ = ["benchmarks_here", "endpoint_of", "round_id", "score_lines"]

_HASH_DIGITS = 64


def round_id(text: str) -> bytes:
    """Read the id of a round of approvals.

    Raises
    ------
    InputError
        It is none.
    """
    from tessera.errors import InputError

    digits = text.removeprefix("0x")
    try:
        if len(digits) == _HASH_DIGITS:
            return bytes.fromhex(digits)
    except ValueError:
        pass
    raise InputError("--round", found=text, wanted="64 hexadecimal digits")


def score_lines(report: dict[str, Any]) -> list[str]:
    """Return a report's model and score, with its interval, as lines for people."""
    from tessera.validation.claims import wilson

    core = report["core"]
    name = core["model"]["name"]
    version = core["model"]["version"]
    shown = f"{name}@{version}" if version is not None else name
    lines = [f"model      {shown}, on {core['task_name']}"]
    if core["score"] is None:
        return [*lines, "score      unsupported: this endpoint cannot be asked so"]
    between = ""
    if core["proportion"] and core["scored"]:
        found = wilson(core["score"], core["scored"])
        between = f", {found.low:.4f} to {found.high:.4f} at {found.confidence:.0%}"
    items = counted(core["scored"], "item")
    return [*lines, f"score      {core['score']:.4f} {core['metric']} on {items}{between}"]


async def benchmarks_here(session: Session, wanted: str = "") -> dict[str, Path]:
    """Return the benchmarks of the store where a chain runs; without one there are none.

    A folder that is `wanted` needs no chain.
    """
    from tessera.app import connect
    from tessera.app.benchmarking import benchmarks_of_chain
    from tessera.errors import ChainError, NotFound

    if await asyncio.to_thread(os.path.isdir, wanted):
        return {}
    try:
        async with connect(session.config()) as world:
            await world.directory.refresh()
            return await asyncio.to_thread(benchmarks_of_chain, world, wanted)
    except (ChainError, NotFound):
        return {}


@asynccontextmanager
async def endpoint_of(
    config: Config, url: str, own: Path | None, model: str, key_env: str
) -> AsyncIterator[tuple[Endpoint, Any]]:
    """Open one's own copy, or reach a server, for a context; and say which model it is.

    Raises
    ------
    InputError
        Both are named, or a server without its model or its key.
    """
    from tessera.app.benchmarking import open_own, open_server
    from tessera.errors import InputError
    from tessera.validation.report import ModelName

    if own is not None and url:
        raise InputError("--own and --url", found="both", wanted="one of them")
    if own is not None:
        async with open_own(own, config) as opened:
            yield opened
        return
    if not model:
        raise InputError("--model", found="nothing", wanted="what the server calls the model")
    key = os.environ.get(key_env, "") if key_env else ""
    if key_env and not key:
        raise InputError("--key-env", found=f"{key_env}, which is empty", wanted="one with a key")
    async with open_server(url, model, key) as endpoint:
        yield endpoint, ModelName(model)
