"""Copies of published versions: brought into this data folder's store, and carried out of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tessera.app.world import World
from tessera.assets.archive import export_bundle, import_bundle
from tessera.assets.bundle import validate
from tessera.assets.content import ContentRoot, Progress
from tessera.assets.directory import AssetRecord, ReleaseRecord
from tessera.assets.store import StoredBundle
from tessera.errors import InputError, NotFound

__all__ = ["Copy", "add_copy", "export_copy", "version_of"]


@dataclass(frozen=True, slots=True)
class Copy:
    """A version that the store has.

    Attributes
    ----------
    record, release
        Which version of which asset it is.
    bundle
        Its files.
    """

    record: AssetRecord
    release: ReleaseRecord
    bundle: StoredBundle


def version_of(record: AssetRecord, number: str) -> ReleaseRecord:
    """Return a version of an asset; without a number the latest.

    Raises
    ------
    NotFound
        There is no such version.
    """
    if not number:
        return record.latest
    for release in record.versions:
        if str(release.version) == number:
            return release
    raise NotFound.among(
        f"{record.slug}: version", number, (str(release.version) for release in record.versions)
    )


def add_copy(world: World, source: Path, *, progress: Progress | None = None) -> Copy:
    """Keep a copy of a version in the store, if the chain names exactly these bytes.

    Parameters
    ----------
    world
        Whose `directory` was refreshed.
    source
        A bundle's folder, or an archive of `export_copy`; not trusted.
    progress
        Called with bytes done and bytes in all.

    Raises
    ------
    InputError
        The chain names no version with these bytes. Nothing is kept.
    NotFound, BundleInvalid, BundleChanged, ArchiveInvalid, StorageFull
        As `Store.add` and `import_bundle`.
    """
    published = {
        ContentRoot(release.root): (record, release)
        for record in world.directory
        for release in record.versions
    }
    decimals = world.currency.decimals
    if not source.is_dir():
        bundle = import_bundle(
            world.store, source, known=published.keys(), decimals=decimals, progress=progress
        )
        return Copy(*published[bundle.root], bundle)
    found = validate(source, decimals=decimals, progress=progress)
    if found.root not in published:
        record = world.directory.by_slug(found.manifest.name)
        roots = [f"0x{release.root.hex()}" for release in record.versions] if record else []
        raise InputError(
            f"folder {source}",
            found=f"content root 0x{found.root.hex()}",
            wanted=f"that of a version of {record.slug}: {' or '.join(roots)}"
            if record
            else "that of a version that is published",
            next_step="get its files as they were published; what is yours: tessera publish FOLDER",
        )
    bundle = world.store.add(source, expected=found.root, decimals=decimals, progress=progress)
    return Copy(*published[found.root], bundle)


def export_copy(
    world: World, release: ReleaseRecord, file: Path, *, progress: Progress | None = None
) -> None:
    """Write a version of the store to an archive, for `add_copy` elsewhere.

    Raises
    ------
    NotFound, BundleDamaged, Conflict, StorageFull
        As `export_bundle`.
    """
    export_bundle(world.store, ContentRoot(release.root), file, progress=progress)
