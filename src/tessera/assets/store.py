"""Bundles on this machine, each under the root of its content.

A bundle appears whole or not at all: it is written beside its place, forced to disk, and renamed.
What is found in the store is still not believed: whoever loads a bundle gets bytes that were hashed
for that load. There is no cache of earlier checks. Size and times of a file can be the same after a
write within one clock tick, after a bad sector, or after a set-back clock; hashing costs less than
loading a model.

::

    <store>/<root, 64 hex digits>/index.json    path, size and root of every file
    <store>/<root, 64 hex digits>/files/…       the files, read-only
    <store>/.adding-…  .removing-…              unfinished; gone at the next start
    <store>/.lock
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tessera.assets.bundle import MAX_BUNDLE_BYTES, prepare
from tessera.assets.content import (
    CHUNK_SIZE,
    Content,
    ContentRoot,
    FileEntry,
    Piece,
    Progress,
    Sink,
    measure,
    root_of_files,
)
from tessera.assets.folder import Folder
from tessera.assets.manifest import MANIFEST_NAME, Manifest
from tessera.assets.placing import Placement, remove_tree
from tessera.assets.reading import CURRENCY_DECIMALS, MAX_MANIFEST_BYTES, read_manifest
from tessera.assets.refusals import BundleChanged, BundleDamaged, storage_full
from tessera.errors import Conflict, InputError, NotFound
from tessera.storage.folders import sync_folder

__all__ = ["Store", "StoredBundle"]

_ROOT = re.compile(r"[0-9a-f]{64}")
_INDEX = "index.json"
_FILES = "files"
_MAX_INDEX_BYTES = 1 << 28
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _IndexFile(msgspec.Struct, array_like=True, frozen=True):
    path: str
    size: int
    chunks_root: bytes


class _Index(msgspec.Struct, frozen=True):
    version: int
    files: list[_IndexFile]


class StoredBundle:
    """A bundle in the store whose index matches its root; its files are checked as they are read.

    Attributes
    ----------
    content
        Root and files, as the root commits to them.
    path
        Folder of the files. Use it only after `verify`; better, `Store.open_verified`.
    """

    def __init__(self, path: Path, content: Content) -> None:
        self.path = path
        self.content = content

    @property
    def root(self) -> ContentRoot:
        """The content root."""
        return self.content.root

    def manifest(self, *, decimals: int = CURRENCY_DECIMALS) -> Manifest:
        """Read the manifest, checked against the root.

        Raises
        ------
        BundleDamaged
            Its bytes are not those that were added.
        """
        text = self.read(MANIFEST_NAME, limit=MAX_MANIFEST_BYTES)
        return read_manifest(text, bundle=f"bundle 0x{self.root.hex()}", decimals=decimals)

    def read(self, path: str, *, limit: int) -> bytes:
        """Read one file into memory and check exactly these bytes against the root.

        Nothing can change between check and use, unlike with a path.

        Raises
        ------
        NotFound
            The bundle has no such file.
        InputError
            It is larger than `limit` bytes.
        BundleDamaged
            Its bytes are not those that were added.
        """
        entry = self.content.file(path)
        if entry is None:
            raise NotFound.among("file", path, (file.path for file in self.content.files))
        if entry.size > limit:
            raise InputError(path, found=f"{entry.size} bytes", wanted=f"at most {limit}")
        try:
            with Folder(self.path) as folder:
                data = folder.read(path, limit=entry.size)
        except (NotFound, BundleChanged, OSError) as error:
            raise BundleDamaged(self.root, f"{path} that cannot be read ({error})") from error
        view = memoryview(data)
        chunks = (view[at : at + CHUNK_SIZE] for at in range(0, len(data), CHUNK_SIZE))
        found = measure([Piece(path, len(data), iter(chunks))]).files[0]
        if (found.size, found.chunks_root) != (entry.size, entry.chunks_root):
            raise BundleDamaged(self.root, f"other bytes in {path}")
        return data

    def verify(self, *, progress: Progress | None = None) -> None:
        """Hash everything that lies in the folder again.

        Nothing is left out: a file that the root does not commit to, such as a planted
        `__pycache__`, fails the check like a changed one.

        Raises
        ------
        BundleDamaged
            Something is missing, added or different.
        """
        self.pass_on(progress=progress)

    def pass_on(self, *, sink: Sink | None = None, progress: Progress | None = None) -> None:
        """Verify, and hand the same bytes to `sink`. What it got is only good if this returns.

        Raises
        ------
        BundleDamaged
            Something is missing, added or different.
        """
        try:
            with Folder(self.path) as folder:
                listing = folder.list()
                if listing.problems:
                    raise BundleDamaged(self.root, str(listing.problems[0]))
                self._compare_names(tuple(file.on_disk for file in listing.files))
                found = measure(
                    folder.pieces(listing.files),
                    total=listing.size,
                    sink=sink,
                    progress=progress,
                )
        except (NotFound, BundleChanged) as error:
            raise BundleDamaged(self.root, f"files that cannot be read ({error})") from error
        if found.root != self.root:
            different = next(
                one.path
                for one, other in zip(found.files, self.content.files, strict=True)
                if one != other
            )
            raise BundleDamaged(self.root, f"other bytes in {different}")

    def _compare_names(self, found: tuple[str, ...]) -> None:
        wanted = {file.path for file in self.content.files}
        if extra := sorted(set(found) - wanted):
            raise BundleDamaged(self.root, f"the file {extra[0]!r}, which does not belong to it")
        if missing := sorted(wanted - set(found)):
            raise BundleDamaged(self.root, f"no file {missing[0]!r}")


class Store:
    """The store below one folder; any number of processes and threads may use it at once.

    Parameters
    ----------
    root_dir
        Created if need be. What earlier crashes left unfinished is deleted.

    Raises
    ------
    InputError
        The folder cannot be made or written to.
    """

    def __init__(self, root_dir: Path) -> None:
        self._dir = root_dir
        try:
            root_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.sweep()
        except OSError as error:
            raise storage_full(error, str(root_dir)) or InputError(
                f"bundle store {root_dir}", found=error.strerror, wanted="a folder we may write to"
            ) from error

    def add(
        self,
        folder: Path,
        *,
        expected: ContentRoot | None = None,
        decimals: int = CURRENCY_DECIMALS,
        progress: Progress | None = None,
        max_bytes: int = MAX_BUNDLE_BYTES,
    ) -> StoredBundle:
        """Validate a folder and copy it into the store, reading each file once.

        Parameters
        ----------
        folder
            With a `tessera.toml` at its top.
        expected
            Root from an earlier `validate`: a folder that changed since is refused, and nothing is
            copied when the store has these bytes already.
        decimals
            Of the currency that prices are in.
        progress
            Called with bytes copied and bytes in all.
        max_bytes
            Refuse more than this.

        Raises
        ------
        BundleInvalid, BundleChanged, NotFound
            As `validate`.
        StorageFull
            The disk has no room; nothing is kept.
        """
        if expected is not None and (present := self._intact(expected)) is not None:
            return present
        with Folder(folder) as opened, self.adding() as (placement, temporary):
            name = folder.name or str(folder)
            prepared = prepare(opened, name, decimals=decimals, max_bytes=max_bytes)
            content = measure(
                opened.pieces(prepared.files),
                total=prepared.size,
                sink=placement,
                progress=progress,
                sha256_of=prepared.hashed_paths,
            )
            prepared.finish(content)
            if expected is not None and content.root != expected:
                raise BundleChanged(
                    str(folder), f"the content root 0x{content.root.hex()}, not as validated"
                )
            return self.admit(temporary, placement, content)

    def open(
        self, root: ContentRoot, *, verify: bool = False, progress: Progress | None = None
    ) -> StoredBundle:
        """Find a bundle.

        Parameters
        ----------
        root
            The content root.
        verify
            Hash all files now. Otherwise only the index is checked against the root, and each file
            when it is read through `StoredBundle.read`.
        progress
            For `verify`.

        Raises
        ------
        NotFound
            The store has no such bundle.
        BundleDamaged
            It has, but with other bytes.
        """
        place = self._place(root)
        try:
            with Folder(place) as folder:
                encoded = folder.read(_INDEX, limit=_MAX_INDEX_BYTES)
        except NotFound as error:
            raise NotFound(
                f"bundle 0x{root.hex()}",
                found="nothing in the store",
                wanted="a bundle that was added here",
                next_step="add its folder or archive: tessera assets add PATH",
            ) from error
        except (BundleChanged, OSError) as error:
            raise BundleDamaged(root, f"an index that cannot be read ({error})") from error
        bundle = StoredBundle(place / _FILES, _decode_index(root, encoded))
        if verify:
            bundle.verify(progress=progress)
        return bundle

    def open_verified(self, root: ContentRoot, *, progress: Progress | None = None) -> Path:
        """Hash a bundle now and return the folder of its files: the way for a runner.

        Raises
        ------
        NotFound, BundleDamaged
            As `open`.
        """
        return self.open(root, verify=True, progress=progress).path

    def materialise(
        self, root: ContentRoot, destination: Path, *, progress: Progress | None = None
    ) -> None:
        """Copy a bundle out into a new folder that may be changed freely, checking every byte.

        Raises
        ------
        Conflict
            The destination exists.
        NotFound, BundleDamaged, StorageFull
            Nothing is left at the destination.
        """
        bundle = self.open(root)
        if os.path.lexists(destination):
            raise _exists(destination)
        parent = destination.absolute().parent
        try:
            temporary = Path(tempfile.mkdtemp(prefix=f".{destination.name[:64]}-", dir=parent))
        except OSError as error:
            raise storage_full(error, str(parent)) or InputError(
                f"folder {parent}", found=error.strerror, wanted="a folder we may write to"
            ) from error
        with _cleared(temporary):
            placement = Placement(temporary, file_mode=0o644, directory_mode=0o755)
            bundle.pass_on(sink=placement, progress=progress)
            placement.seal()
            try:
                temporary.rename(destination)
            except OSError as error:
                if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                    raise _exists(destination) from error
                raise
            sync_folder(parent)

    def list(self) -> tuple[ContentRoot, ...]:
        """Return the roots of all bundles, in their byte order."""
        names = (entry.name for entry in self._dir.iterdir())
        return tuple(
            ContentRoot(bytes.fromhex(name)) for name in sorted(names) if _ROOT.fullmatch(name)
        )

    def remove(self, root: ContentRoot) -> None:
        """Delete a bundle. Whoever has its files open keeps them.

        Raises
        ------
        NotFound
            The store has no such bundle.
        """
        with self._locked():
            try:
                doomed = self._retire(self._place(root))
            except FileNotFoundError as error:
                raise NotFound.among(
                    "bundle", root.hex(), (known.hex() for known in self.list())
                ) from error
            remove_tree(doomed)

    def sweep(self) -> None:
        """Delete what nobody is working on any more: leftovers of crashes.

        Who works on a temporary folder holds a lock on it that ends with the process.
        """
        with self._locked():
            leftovers = [
                entry
                for entry in self._dir.iterdir()
                if entry.name.startswith((".adding-", ".removing-"))
            ]
            for leftover in leftovers:
                try:
                    fd = os.open(leftover, _OPEN_DIRECTORY)
                except FileNotFoundError:
                    continue  # its owner has just finished with it
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                else:
                    # Between opening and locking it, its owner may have put it in its place.
                    if leftover.exists():
                        remove_tree(leftover)
                finally:
                    os.close(fd)

    @contextmanager
    def adding(self) -> Iterator[tuple[Placement, Path]]:
        """Open a temporary folder for one new bundle, gone again unless `admit` is reached.

        Yields
        ------
        tuple
            Where to send the files, and the folder to hand to `admit`.

        Raises
        ------
        StorageFull
            Something inside ran out of room.
        """
        with self._locked():
            try:
                temporary = Path(tempfile.mkdtemp(prefix=".adding-", dir=self._dir))
                (temporary / _FILES).mkdir(0o700)
            except OSError as error:
                full = storage_full(error, str(self._dir))
                if full is not None:
                    raise full from error
                raise
            fd = os.open(temporary, _OPEN_DIRECTORY)
            fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            with _cleared(temporary):
                yield (
                    Placement(temporary / _FILES, file_mode=0o444, directory_mode=0o555),
                    temporary,
                )
        finally:
            os.close(fd)

    def admit(self, temporary: Path, placement: Placement, content: Content) -> StoredBundle:
        """Make a finished bundle visible. If another one was faster, its copy stays if it is good.

        Parameters
        ----------
        temporary, placement
            From `adding`.
        content
            What was placed.
        """
        index = temporary / _INDEX
        index.write_bytes(_encode_index(content))
        with index.open("rb") as file:
            os.fsync(file.fileno())
        index.chmod(0o444)
        placement.seal()
        sync_folder(temporary)
        place = self._place(content.root)
        if not _renamed(temporary, place):
            present = self._intact(content.root)
            if present is not None:
                return present
            with self._locked():
                doomed = self._retire(place) if place.exists() else None
                temporary.rename(place)
                if doomed is not None:
                    remove_tree(doomed)
        sync_folder(self._dir)
        return StoredBundle(place / _FILES, content)

    def _place(self, root: bytes) -> Path:
        if len(root) != 32:
            raise InputError("content root", found=root, wanted="32 bytes")
        return self._dir / root.hex()

    def _intact(self, root: ContentRoot) -> StoredBundle | None:
        try:
            return self.open(root, verify=True)
        except (NotFound, BundleDamaged):
            return None

    def _retire(self, place: Path) -> Path:
        """Rename a bundle out of sight; `mkdtemp` finds a free name."""
        doomed = Path(tempfile.mkdtemp(prefix=".removing-", dir=self._dir))
        try:
            place.rename(doomed)
        except BaseException:
            doomed.rmdir()
            raise
        return doomed

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fd = os.open(self._dir / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


@contextmanager
def _cleared(temporary: Path) -> Iterator[None]:
    """Delete the folder unless it was renamed away; tell a full disk from other errors."""
    try:
        yield
    except OSError as error:
        full = storage_full(error, str(temporary.parent))
        if full is not None:
            raise full from error
        raise
    finally:
        if temporary.exists():
            remove_tree(temporary)


def _renamed(source: Path, target: Path) -> bool:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return False
        raise
    return True


def _exists(destination: Path) -> Conflict:
    return Conflict(
        str(destination),
        found="something that is there already",
        wanted="a path that does not exist yet",
        next_step="choose another one or move it away",
    )


def _encode_index(content: Content) -> bytes:
    files = [_IndexFile(file.path, file.size, file.chunks_root) for file in content.files]
    return msgspec.json.encode(_Index(version=1, files=files))


def _decode_index(root: ContentRoot, encoded: bytes) -> Content:
    try:
        index = msgspec.json.decode(encoded, type=_Index)
        files = tuple(FileEntry(file.path, file.size, file.chunks_root) for file in index.files)
        found = root_of_files(files)
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        raise BundleDamaged(root, f"an index that makes no sense ({error})") from error
    if found != root:
        raise BundleDamaged(root, "an index of other files")
    return Content(root=found, files=files, size=sum(file.size for file in files))
