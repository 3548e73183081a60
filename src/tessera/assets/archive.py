"""A bundle as one file, to carry it elsewhere: a plain tar that any tool can unpack.

The same bundle always gives the same bytes: files in the order of their paths, no times, no owners.
The reader accepts exactly what the writer makes, header byte for header byte, so there is no room
for links, devices, absolute paths, sizes that lie, or anything that two tar programs might
understand differently.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from io import BufferedReader, FileIO
from pathlib import Path

from tessera.assets.bundle import MAX_BUNDLE_BYTES, validate
from tessera.assets.content import CHUNK_SIZE, ContentRoot, Piece, Progress, measure
from tessera.assets.folder import MAX_FILES
from tessera.assets.paths import canonical, fault_of, sort_key
from tessera.assets.reading import CURRENCY_DECIMALS
from tessera.assets.refusals import ArchiveInvalid, BundleChanged, storage_full
from tessera.assets.store import Store, StoredBundle
from tessera.errors import Conflict, InputError, NotFound
from tessera.storage.folders import sync_folder

__all__ = ["export_bundle", "import_bundle"]

_BLOCK = 512
_END = bytes(2 * _BLOCK)
_MAX_OCTAL_SIZE = 8**11 - 1
_MAX_PAX_BYTES = 4096
_ROOTS_SHOWN = 2
_PAX_NAME = b"pax-header"
# What a tar reader without pax support would call a file whose path does not fit.
_LONG_NAME = b"long-path"
_RECORD = re.compile(rb"([1-9][0-9]{0,4}) (path|size)=")


def export_bundle(
    store: Store, root: ContentRoot, destination: Path, *, progress: Progress | None = None
) -> None:
    """Write a bundle of the store to a tar file, checking every byte on the way.

    Parameters
    ----------
    destination
        Must not exist; appears only when complete.
    progress
        Called with bytes done and bytes in all.

    Raises
    ------
    NotFound, BundleDamaged
        The store does not have it, or has other bytes.
    Conflict
        The destination exists.
    StorageFull
        The disk has no room; nothing is left at the destination.
    """
    bundle = store.open(root)
    parent = destination.absolute().parent
    try:
        fd, name = tempfile.mkstemp(prefix=f".{destination.name[:64]}-", dir=parent)
    except OSError as error:
        raise storage_full(error, str(parent)) or InputError(
            f"folder {parent}", found=error.strerror, wanted="a folder we may write to"
        ) from error
    temporary = Path(name)
    try:
        os.close(fd)
        with temporary.open("wb", buffering=0) as raw:
            bundle.pass_on(sink=_Writer(raw), progress=progress)
            _write_all(raw, _END)
            os.fsync(raw.fileno())
        # A hard link refuses to replace, which a rename would not.
        os.link(temporary, destination)
        sync_folder(parent)
    except FileExistsError as error:
        raise Conflict(
            str(destination), found="a file", wanted="a path that does not exist yet"
        ) from error
    except OSError as error:
        full = storage_full(error, str(parent))
        if full is not None:
            raise full from error
        raise
    finally:
        temporary.unlink()


def import_bundle(
    store: Store,
    archive: Path,
    *,
    known: Collection[ContentRoot] | None = None,
    decimals: int = CURRENCY_DECIMALS,
    progress: Progress | None = None,
    max_bytes: int = MAX_BUNDLE_BYTES,
) -> StoredBundle:
    """Read a tar file of `export_bundle` into the store.

    Parameters
    ----------
    archive
        The file; not trusted.
    known
        Roots of which it should have one, from the chain; anything else is refused.
    decimals
        Of the currency that prices are in.
    progress
        Called with bytes done and bytes in all.
    max_bytes
        Refuse bundles larger than this.

    Raises
    ------
    NotFound
        There is no such file.
    ArchiveInvalid
        It is not what `export_bundle` writes, is too large, or has another root.
    BundleInvalid
        Its manifest or its names are not those of a bundle.
    StorageFull
        The disk has no room. In all cases nothing is kept.
    """
    try:
        stream = archive.open("rb")
    except OSError as error:
        raise NotFound(
            f"archive {archive}", found=error.strerror, wanted="a file that can be read"
        ) from error
    with stream, store.adding() as (placement, temporary):
        total = os.fstat(stream.fileno()).st_size
        try:
            content = measure(
                _pieces(stream, max_bytes), total=total, sink=placement, progress=progress
            )
        except (FileExistsError, NotADirectoryError) as error:
            raise ArchiveInvalid(
                "a path that is both file and folder", "one or the other"
            ) from error
        except BundleChanged as error:
            raise ArchiveInvalid(str(error), "complete files") from error
        if known is not None and content.root not in known:
            raise ArchiveInvalid(
                f"the content root 0x{content.root.hex()}",
                " or ".join(f"0x{root.hex()}" for root in known)
                if 0 < len(known) <= _ROOTS_SHOWN
                else f"one of the {len(known)} versions that are published",
            )
        # Rules for names and manifest are those of a folder, and are kept in one place.
        checked = validate(
            temporary / "files", name=str(archive), decimals=decimals, max_bytes=max_bytes
        )
        if checked.root != content.root:
            raise ArchiveInvalid(
                "files that never enter a bundle", "files that the manifest does not exclude"
            )
        return store.admit(temporary, placement, content)


class _Writer:
    """A sink for `measure` that writes tar entries."""

    def __init__(self, raw: FileIO) -> None:
        self._raw = raw

    @contextmanager
    def __call__(self, piece: Piece) -> Iterator[Callable[[memoryview], object]]:
        _write_all(self._raw, _headers(piece.path, piece.size))
        yield lambda chunk: _write_all(self._raw, chunk)
        _write_all(self._raw, bytes(-piece.size % _BLOCK))


def _write_all(raw: FileIO, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[raw.write(view) :]


def _headers(path: str, size: int) -> bytes:
    """Encode what precedes a file: a pax entry where the plain header cannot hold path or size."""
    encoded = sort_key(path)
    records = b""
    if len(encoded) > 100 or not encoded.isascii():
        records += _record(b"path", encoded)
    if size > _MAX_OCTAL_SIZE:
        records += _record(b"size", b"%d" % size)
    if not records:
        return _header(encoded, size, b"0")
    padding = bytes(-len(records) % _BLOCK)
    name = _LONG_NAME if b" path=" in records[:12] else encoded
    return (
        _header(_PAX_NAME, len(records), b"x")
        + records
        + padding
        + _header(name, size if size <= _MAX_OCTAL_SIZE else 0, b"0")
    )


def _header(name: bytes, size: int, kind: bytes) -> bytes:
    fields = (
        name.ljust(100, b"\0")
        + b"0000644\0"
        + b"0000000\0" * 2
        + b"%011o\0" % size
        + b"%011o\0" % 0
        + b" " * 8
        + kind
        + bytes(100)
        + b"ustar\x0000"
        + bytes(64)
        + b"0000000\0" * 2
    ).ljust(_BLOCK, b"\0")
    return fields[:148] + b"%06o\0 " % sum(fields) + fields[156:]


def _record(key: bytes, value: bytes) -> bytes:
    # A record begins with its own length, digits included.
    rest = b" %b=%b\n" % (key, value)
    length = len(rest) + 1
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return b"%d" % length + rest


def _pieces(stream: BufferedReader, max_bytes: int) -> Iterator[Piece]:
    buffer = memoryview(bytearray(CHUNK_SIZE))
    previous = b""
    total = count = 0
    while (entry := _next_entry(stream)) is not None:
        path, size = entry
        fault = fault_of(path)
        if fault is not None:
            raise ArchiveInvalid(f"a path {ascii(path)[:200]} that {fault}", "paths of a bundle")
        key = sort_key(path)
        if key <= previous or canonical(path) != path:
            raise ArchiveInvalid(
                f"{path!r} out of order, repeated or not in NFC", "each path once, in order"
            )
        previous = key
        total += size
        count += 1
        if total > max_bytes or count > MAX_FILES:
            raise ArchiveInvalid(
                f"{count} files of {total} bytes or more",
                f"at most {MAX_FILES} files of {max_bytes} bytes in all",
            )
        yield Piece(path, size, _chunks(stream, size, buffer))
        if any(_exactly(stream, -size % _BLOCK)):
            raise ArchiveInvalid("bytes between two files", "zeros")


def _next_entry(stream: BufferedReader) -> tuple[str, int] | None:
    block = _exactly(stream, _BLOCK)
    if not any(block):
        if any(_exactly(stream, _BLOCK)) or stream.read(1):
            raise ArchiveInvalid("bytes after the end", "nothing")
        return None
    name, size, given = block[:100].rstrip(b"\0"), _octal(block[124:136]), block
    if block[156:157] == b"x":
        if size > _MAX_PAX_BYTES:
            raise ArchiveInvalid(f"an extended header of {size} bytes", f"at most {_MAX_PAX_BYTES}")
        records = _exactly(stream, size)
        given += records + _exactly(stream, -size % _BLOCK)
        block = _exactly(stream, _BLOCK)
        given += block
        name, size = block[:100].rstrip(b"\0"), _octal(block[124:136])
        values = _values(records)
        name = values.get(b"path", name)
        if b"size" in values:
            size = int(values[b"size"])
    try:
        path = name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArchiveInvalid("a path that is not UTF-8", "UTF-8") from error
    if _headers(path, size) != given:
        raise ArchiveInvalid(
            f"a header for {ascii(path)[:200]} that is no plain file's",
            "regular files as this program writes them: no links, devices, owners or times",
        )
    return path, size


def _octal(field: bytes) -> int:
    digits = field.rstrip(b"\0")
    if not re.fullmatch(rb"[0-7]{11}", digits):
        raise ArchiveInvalid("a header without a size", "a tar file")
    return int(digits, 8)


def _values(records: bytes) -> dict[bytes, bytes]:
    values: dict[bytes, bytes] = {}
    at = 0
    while at < len(records):
        match = _RECORD.match(records, at)
        end = at + int(match[1]) if match else 0
        if match is None or not match.end() < end <= len(records) or records[end - 1] != 0x0A:
            raise ArchiveInvalid("a broken extended header", "records of path and size")
        value = records[match.end() : end - 1]
        if match[2] == b"size" and not re.fullmatch(rb"[1-9][0-9]{0,18}", value):
            raise ArchiveInvalid("a size that is no number", "bytes in decimal")
        values[match[2]] = value
        at = end
    return values


def _chunks(stream: BufferedReader, size: int, buffer: memoryview) -> Iterator[memoryview]:
    left = size
    while left:
        part = buffer[: min(left, len(buffer))]
        filled = 0
        while filled < len(part):
            count = stream.readinto(part[filled:])
            if not count:
                raise ArchiveInvalid("an end in the middle of a file", "a complete archive")
            filled += count
        yield part
        left -= len(part)


def _exactly(stream: BufferedReader, count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise ArchiveInvalid("an end too early", "a complete archive")
    return data
