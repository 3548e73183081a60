"""What a benchmark's commands stand on: finding benchmarks, opening models, and joining both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tessera import __version__
from tessera.app.copies import version_of
from tessera.app.world import World
from tessera.assets.bundle import validate
from tessera.assets.content import ContentRoot
from tessera.assets.directory import AssetRecord
from tessera.bindings.registry import Kind
from tessera.config import Config
from tessera.errors import InputError, NotFound, WrongVersionServed
from tessera.serving.opening import ServingPolicy, open_runner
from tessera.validation.draw import Draw
from tessera.validation.endpoints import CopyEndpoint, HttpEndpoint, Served
from tessera.validation.report import ModelName, build_report
from tessera.validation.running import Finished
from tessera.validation.task import TASK_FILE, Benchmark, find_benchmarks, open_benchmark

__all__ = [
    "benchmarks_of_chain",
    "find_task",
    "folder_of",
    "model_served",
    "open_own",
    "open_server",
    "open_task",
    "report_of",
]

_TIMEOUT_S = 130.0


def folder_of(name: str, known: dict[str, Path] | None = None) -> Path:
    """Return a benchmark's folder: the one that is named, or that of an installed or kept one.

    Parameters
    ----------
    known
        Further ones by name, as `benchmarks_of_chain` finds them.

    Raises
    ------
    NotFound
        There is none.
    """
    folder = Path(name)
    if (folder / TASK_FILE).is_file():
        return folder
    others = {**(known or {}), **find_benchmarks()}
    if name in others:
        return others[name]
    if folder.is_dir() or len(folder.parts) > 1:
        raise NotFound(f"benchmark {name}", found="nothing", wanted=f"a folder with {TASK_FILE}")
    raise NotFound.among("benchmark", name, others, next_step="tessera benchmark list")


def benchmarks_of_chain(world: World, wanted: str = "") -> dict[str, Path]:
    """Return the published datasets of the store that are benchmarks, by slug, latest version.

    Parameters
    ----------
    wanted
        Only this one is hashed, as others may be large; where it is empty, every benchmark is.
    """
    found: dict[str, Path] = {}
    for record in world.directory:
        root = ContentRoot(record.latest.root)
        if record.kind is not Kind.DATASET:
            continue
        try:
            bundle = world.store.open(root)
        except NotFound:
            continue
        if bundle.content.file(TASK_FILE) is None:
            continue
        hashed = wanted in {"", record.slug}
        found[record.slug] = world.store.open_verified(root) if hashed else bundle.path
    return found


def find_task(world: World, wanted: bytes, uri: str = "") -> Path:
    """Return the folder of the benchmark with this id, among those installed and in the store.

    Raises
    ------
    NotFound
        There is none here.
    """
    known = {**benchmarks_of_chain(world), **find_benchmarks()}
    for folder in known.values():
        if open_benchmark(folder).id == wanted:
            return folder
    raise NotFound(
        f"benchmark 0x{wanted.hex()}",
        found="none of those that are installed or in the store",
        wanted="what the subnet's owner names",
        next_step=f"get it{f' from {uri}' if uri else ''}, and name its folder: --benchmark FOLDER",
    )


def open_task(folder: Path, config: Config) -> Benchmark:
    """Open a benchmark; a publisher's scorer may run where the settings allow publishers' code."""
    task = open_benchmark(folder)
    return task.allowing_code() if config.allow_python_runners else task


@asynccontextmanager
async def open_own(folder: Path, config: Config) -> AsyncIterator[tuple[CopyEndpoint, ModelName]]:
    """Load one's own copy of a bundle for a context, and say what it is.

    Raises
    ------
    NotAllowed
        It is Python code, and nobody allowed it to run.
    BundleInvalid, Unprocessable
        It is no bundle, or none that can be run.
    """
    bundle = await asyncio.to_thread(validate, folder)
    runner = open_runner(
        bundle.manifest,
        folder,
        ServingPolicy(
            allow_python_runners=config.allow_python_runners,
            most_timeout_s=config.request_timeout_s,
            upstreams=config.upstreams,
            upstream_key=config.upstream_key,
        ),
    )
    try:
        await runner.load()
        name = ModelName(
            bundle.manifest.name,
            content_root="0x" + bundle.root.hex(),
            identity=runner.identity.name.lower(),
        )
        yield CopyEndpoint(runner), name
    finally:
        await runner.close()


@asynccontextmanager
async def open_server(
    url: str, model: str, key: str = "", timeout_s: float = _TIMEOUT_S
) -> AsyncIterator[HttpEndpoint]:
    """Reach any server with OpenAI's routes for a context.

    Raises
    ------
    InputError
        That is no URL of one.
    """
    base = httpx.URL(url.rstrip("/").removesuffix("/v1"))
    if base.scheme not in {"http", "https"} or not base.host or base.userinfo:
        raise InputError(
            "--url", found=url, wanted="http://HOST/v1 or https://HOST/v1, without a key in it"
        )
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(
        base_url=base, headers=headers, timeout=timeout_s, trust_env=False
    ) as http:
        yield HttpEndpoint(http, model)


def model_served(record: AssetRecord, version: int, served: Served | None) -> ModelName:
    """Say which model a gateway's receipts are about, and which bytes that version has.

    Parameters
    ----------
    record, version
        The asset, and the version that the gateway listed.
    served
        What the operator signed; None where the calls cost nothing, so that nothing was signed, and
        the content root is that of the version that was listed.

    Raises
    ------
    WrongVersionServed
        It is another one than was listed.
    """
    root = "0x" + version_of(record, str(version)).root.hex()
    if served is None:
        return ModelName(record.slug, content_root=root)
    if (served.asset, served.version) != (record.asset, version):
        raise WrongVersionServed(
            f"receipts of {record.slug}",
            found=f"version {served.version} of asset {served.asset}",
            wanted=f"version {version} of asset {record.asset}, as was listed",
        )
    return ModelName(
        record.slug,
        asset=str(record.asset),
        version=version,
        content_root=root,
        identity=served.identity.name.lower(),
    )


async def report_of(
    task: Benchmark,
    model: ModelName,
    finished: Finished,
    *,
    draw: Draw | None,
    **made: object,
) -> dict[str, Any]:
    """Score a finished run and write its report; `made` is how it came about."""
    return await build_report(
        task,
        model,
        finished.measured,
        draw=draw,
        run={
            "tessera": __version__,
            "time": int(time.time()),
            "cost": str(finished.cost),
            "why": finished.why,
            **made,
        },
    )
