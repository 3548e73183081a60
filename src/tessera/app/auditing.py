"""One's own copy of a version, from the store, a folder or a server, ready to be asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from tessera.app.copies import version_of
from tessera.app.world import World
from tessera.assets.bundle import validate
from tessera.assets.content import ContentRoot
from tessera.assets.directory import AssetRecord, ReleaseRecord
from tessera.assets.manifest import Manifest, UpstreamRunner
from tessera.client.auditing import Copy
from tessera.errors import Conflict, Unprocessable
from tessera.serving.bodies import TokenLimits
from tessera.serving.opening import ServingPolicy, open_runner

__all__ = ["open_copy"]


@asynccontextmanager
async def open_copy(
    world: World,
    record: AssetRecord,
    version: int,
    *,
    folder: Path | None = None,
    upstream: str = "",
    limits: TokenLimits | None = None,
) -> AsyncIterator[Copy]:
    """Hash one's own copy, compare it with the chain, and load it for a context.

    Parameters
    ----------
    world
        Whose chain says what the version is, and whose store is looked in.
    record, version
        The asset, and which version of it.
    folder
        Of the bundle, where it is not in the store.
    upstream
        Base URL of a server of one's own that runs the model, for a bundle that only names one.
    limits
        How long answers of the audited endpoint may be.

    Raises
    ------
    NotFound
        There is no such version, or the store does not have it.
    Conflict
        The folder holds something else than the chain says.
    Unprocessable
        The bundle only names a server, and none of one's own was given.
    """
    release = version_of(record, str(version))
    manifest, files = await asyncio.to_thread(_opened, world, record, release, folder)
    upstreams: tuple[str, ...] = ()
    if isinstance(manifest.runner, UpstreamRunner):
        if not upstream:
            raise Unprocessable(
                f"{record.slug}@{version}",
                found="a bundle that only names a server",
                wanted="a server of your own that runs the same model",
                next_step="name it: --upstream URL",
            )
        manifest = replace(manifest, runner=replace(manifest.runner, url=upstream))
        upstreams = (upstream,)
    config = world.config
    runner = open_runner(
        manifest,
        files,
        ServingPolicy(
            allow_python_runners=config.allow_python_runners,
            most_timeout_s=config.request_timeout_s,
            upstreams=upstreams,
            upstream_key=config.upstream_key if upstream in config.upstreams else "",
        ),
    )
    try:
        await runner.load()
        yield Copy(
            slug=record.slug,
            asset=record.asset,
            version=version,
            runner=runner,
            limits=limits or TokenLimits(),
            inputs=manifest.inputs,
        )
    finally:
        await runner.close()


def _opened(
    world: World, record: AssetRecord, release: ReleaseRecord, folder: Path | None
) -> tuple[Manifest, Path]:
    decimals = world.currency.decimals
    if folder is None:
        root = ContentRoot(release.root)
        files = world.store.open_verified(root)
        return world.store.open(root).manifest(decimals=decimals), files
    bundle = validate(folder, decimals=decimals)
    if bundle.root != release.root:
        known = record.version_of(bundle.root)
        raise Conflict(
            f"own copy {folder}",
            found=f"content root 0x{bundle.root.hex()}"
            + (f", which is version {known.version}" if known else ", which is no version"),
            wanted=f"0x{release.root.hex()}, which is version {release.version} of {record.slug}",
            next_step="get the bundle of that version, or audit the version that you have",
        )
    return bundle.manifest, folder
