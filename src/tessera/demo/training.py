"""Trains the demo's models, each in a process of its own: two cores are used, and Ctrl-C works.

``python -m tessera.demo.training PARENT SLUG FOLDER`` writes one bundle and says as JSON what it
is; it ends with the process PARENT.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from tessera.assets.manifest import Task
from tessera.demo.models.summary import Built
from tessera.errors import BackendFailed

__all__ = ["train"]

_AT_ONCE = 2
_SHOWN = 400


async def train(folders: Mapping[str, Path], appended: Mapping[str, str]) -> AsyncIterator[Built]:
    """Train models, two at a time, and yield each when it is done.

    Parameters
    ----------
    folders
        Where each goes, by slug.
    appended
        TOML to end its manifest with, by slug.

    Raises
    ------
    BackendFailed
        A training ended without a model; says what it said last.
    """
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(slug: str, folder: Path) -> Built:
        async with slots:
            return await _trained(slug, folder, appended.get(slug, ""))

    tasks = [asyncio.create_task(one(slug, folder)) for slug, folder in folders.items()]
    try:
        for task in asyncio.as_completed(tasks):
            yield await task
    finally:
        for started in tasks:
            started.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _trained(slug: str, folder: Path, appended: str) -> Built:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tessera.demo.training", str(os.getpid()), slug, str(folder)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # Ctrl-C in a terminal reaches the whole group; we end it ourselves, without its traceback.
        start_new_session=True,
        # Its numbers must not depend on what the person who starts it has set.
        env={**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
    )
    try:
        out, err = await process.communicate(appended.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise BackendFailed(
            f"training of {slug}",
            found=err.decode(errors="replace").strip()[-_SHOWN:] or f"exit {process.returncode}",
            wanted="a bundle",
        )
    found = json.loads(out)
    return Built(**{**found, "folder": Path(found["folder"]), "task": Task(found["task"])})


def _main(parent: str, slug: str, folder: str) -> None:
    from tessera.serving.runners.cage import die_with_parent

    # Before anything is loaded, which takes a second.
    die_with_parent(int(parent))
    # This process ends with its model; to look for garbage in it takes a quarter of its time.
    gc.disable()
    from tessera.demo.models import BUILDERS, FAMILIES, RELEASES

    built = (BUILDERS | RELEASES | FAMILIES)[slug](Path(folder), appended=sys.stdin.read())
    fields = {name: getattr(built, name) for name in Built.__dataclass_fields__}
    json.dump({**fields, "folder": str(built.folder), "task": str(built.task)}, sys.stdout)


if __name__ == "__main__":
    _main(*sys.argv[1:])
