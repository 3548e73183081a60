"""`tessera assets add` and `export`: the bundle of a version, from one operator to the next."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from tessera.cli.amounts import counted
from tessera.cli.session import Session, command

__all__ = ["register"]


def register(assets: typer.Typer) -> None:
    """Add the commands to the group `assets`."""

    @command(assets, "add")
    async def add(
        session: Session,
        path: Annotated[Path, typer.Argument(help="Folder of the bundle, or its archive.")],
    ) -> None:
        """Keep a copy of a published version here, to serve it or to audit who does."""
        from tessera.app.copies import add_copy

        async with session.world() as world:
            await world.directory.refresh()
            with session.progress(f"storing {path.name}") as progress:
                copy = await asyncio.to_thread(add_copy, world, path, progress=progress)
            name = f"{copy.record.slug}@{copy.release.version}"
            content = copy.bundle.content
            session.say(
                {
                    "asset": str(copy.record.asset),
                    "slug": copy.record.slug,
                    "version": copy.release.version,
                    "root": f"0x{copy.release.root.hex()}",
                    "files": len(content.files),
                    "bytes": content.size,
                },
                f"added {name}: {counted(len(content.files), 'file')}, {content.size:,} bytes",
                f"root      0x{copy.release.root.hex()}, which the chain names",
            )

    @command(assets, "export")
    async def export(
        session: Session,
        asset: Annotated[str, typer.Argument(help="Slug, slug@version, URN or id.")],
        file: Annotated[Path, typer.Argument(help="New archive, a plain tar.")],
    ) -> None:
        """Write a version that is kept here to one file, for another operator or auditor."""
        from tessera.app.copies import export_copy, version_of

        async with session.world() as world:
            record = await session.asset(world, asset)
            release = version_of(record, asset.partition("@")[2])
            with session.progress(f"writing {file.name}") as progress:
                await asyncio.to_thread(export_copy, world, release, file, progress=progress)
            session.say(
                {
                    "asset": str(record.asset),
                    "slug": record.slug,
                    "version": release.version,
                    "root": f"0x{release.root.hex()}",
                    "file": str(file),
                },
                f"wrote {record.slug}@{release.version} to {file}",
                f"whoever gets it: tessera assets add {file.name}",
            )
