"""The content root: one SHA-256 that commits to every path, size and byte of a bundle.

Three levels, each with a domain of its own: chunks of 1 MiB, files, the bundle. The exact encoding
is in `docs/spec/content-root.md` and fixed by `tests/vectors/content_root.json`. Everything here
works on a stream of chunks, so memory does not depend on the size of a file, and a consumer of the
same stream (the store, an archive) keeps exactly the bytes that were hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NewType

from tessera.assets.merkle import TreeHasher, path_of, root_from_path, root_of
from tessera.assets.paths import canonical, fault_of, sort_key
from tessera.assets.refusals import BundleChanged

__all__ = [
    "CHUNK_SIZE",
    "ChunkProof",
    "Content",
    "ContentRoot",
    "FileEntry",
    "FileProof",
    "Piece",
    "chunk_count",
    "measure",
    "prove_chunk",
    "prove_file",
    "root_of_files",
    "verify_chunk",
    "verify_file",
]

CHUNK_SIZE = 1 << 20
"""Bytes in every chunk of a file but its last."""

ContentRoot = NewType("ContentRoot", bytes)
"""32 bytes: the hash of a whole bundle."""

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""

_LEAF, _NODE, _EMPTY = b"\x00", b"\x01", b"\x02"


def _domain(tag: str) -> hashlib._Hash:
    # The doubled tag hash fills one block of SHA-256, so a copy of this state costs nothing.
    digest = hashlib.sha256(tag.encode("ascii")).digest()
    return hashlib.sha256(digest + digest)


_CHUNK = _domain("tessera.chunk.v1")
_FILE = _domain("tessera.file.v1")
_BUNDLE = _domain("tessera.bundle.v1")


def _hash(domain: hashlib._Hash, *parts: bytes | memoryview) -> bytes:
    state = domain.copy()
    for part in parts:
        state.update(part)
    return state.digest()


def _join_chunks(left: bytes, right: bytes) -> bytes:
    return _hash(_CHUNK, _NODE, left, right)


def _join_files(left: bytes, right: bytes) -> bytes:
    return _hash(_FILE, _NODE, left, right)


def _chunk_leaf(chunk: bytes | memoryview) -> bytes:
    return _hash(_CHUNK, _LEAF, chunk)


_NO_CHUNKS = _hash(_CHUNK, _EMPTY)


def chunk_count(size: int) -> int:
    """Chunks of a file of `size` bytes; an empty file has none."""
    return -(-size // CHUNK_SIZE)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file as the content root sees it.

    Attributes
    ----------
    path
        Relative POSIX path in NFC.
    size
        Bytes.
    chunks_root
        Root over the file's chunks.
    sha256
        Plain SHA-256 of the file where it was asked for; not part of the content root.
    """

    path: str
    size: int
    chunks_root: bytes
    sha256: bytes | None = None

    def leaf(self) -> bytes:
        """Return the hash that stands for this file in the bundle's tree."""
        path = sort_key(self.path)
        return _hash(
            _FILE,
            _LEAF,
            len(path).to_bytes(4, "big"),
            path,
            self.size.to_bytes(8, "big"),
            self.chunks_root,
        )


@dataclass(frozen=True, slots=True)
class Content:
    """A bundle's root together with the files it commits to.

    Attributes
    ----------
    root
        The content root.
    files
        In the order of their paths' bytes.
    size
        Bytes of all files.
    """

    root: ContentRoot
    files: tuple[FileEntry, ...]
    size: int

    def file(self, path: str) -> FileEntry | None:
        """Return the entry of one file, or None."""
        return next((entry for entry in self.files if entry.path == path), None)


@dataclass(frozen=True, slots=True)
class Piece:
    """One file on its way through the hasher.

    Attributes
    ----------
    path
        Relative POSIX path in NFC.
    size
        Bytes that `chunks` will yield.
    chunks
        Views of `CHUNK_SIZE` bytes, the last one shorter; each is only valid until the next.
    """

    path: str
    size: int
    chunks: Iterator[memoryview]


Sink = Callable[[Piece], AbstractContextManager[Callable[[memoryview], object]]]
"""Opens a place for one file and gives the function that takes its chunks."""


def measure(
    pieces: Iterable[Piece],
    *,
    total: int = 0,
    sink: Sink | None = None,
    progress: Progress | None = None,
    sha256_of: frozenset[str] = frozenset(),
) -> Content:
    """Hash a stream of files, and hand the same bytes on.

    Parameters
    ----------
    pieces
        Files in the order of their paths' bytes, each path once.
    total
        Bytes in all, for `progress` only.
    sink
        Takes each chunk after it was hashed.
    progress
        Called after each chunk, and once at the end.
    sha256_of
        Paths for which the plain SHA-256 is wanted too.

    Returns
    -------
    Content
        The root and one entry per file.

    Raises
    ------
    ValueError
        Paths are illegal, not in NFC, out of order or repeated; the caller should have seen to it.
    BundleChanged
        A file yields more or fewer bytes than its size.
    """
    entries: list[FileEntry] = []
    done = 0
    previous = b""
    for piece in pieces:
        key = _checked_key(piece.path, previous)
        previous = key
        tree = TreeHasher(_join_chunks)
        plain = hashlib.sha256() if piece.path in sha256_of else None
        size = 0
        with (sink or _discard)(piece) as take:
            for chunk in piece.chunks:
                tree.push(_chunk_leaf(chunk))
                if plain is not None:
                    plain.update(chunk)
                take(chunk)
                size += len(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
        if size != piece.size or tree.count != chunk_count(size):
            raise BundleChanged(piece.path, f"{size} bytes where {piece.size} were announced")
        entries.append(
            FileEntry(
                path=piece.path,
                size=size,
                chunks_root=tree.root() if tree.count else _NO_CHUNKS,
                sha256=plain.digest() if plain is not None else None,
            )
        )
    if progress is not None:
        progress(done, total)
    return Content(root=root_of_files(entries), files=tuple(entries), size=done)


def root_of_files(entries: Iterable[FileEntry]) -> ContentRoot:
    """Return the content root over files in the order of their paths' bytes.

    Raises
    ------
    ValueError
        There is no file, or paths are illegal, not in NFC, out of order or repeated.
    """
    tree = TreeHasher(_join_files)
    size = 0
    previous = b""
    for entry in entries:
        previous = _checked_key(entry.path, previous)
        tree.push(entry.leaf())
        size += entry.size
    return _bundle_root(tree.count, size, tree.root())


@dataclass(frozen=True, slots=True)
class FileProof:
    """Evidence that a file is in a bundle.

    Attributes
    ----------
    file
        The file; its `sha256` plays no part.
    index, count
        Its place among the bundle's files, and how many there are.
    size
        Bytes of the whole bundle.
    path
        Sibling hashes, lowest first.
    """

    file: FileEntry
    index: int
    count: int
    size: int
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ChunkProof:
    """Evidence that certain bytes are one chunk of a file of a bundle.

    Attributes
    ----------
    file
        Proof of the file; its size fixes how many chunks there are and how long each is.
    index
        Number of the chunk, from 0.
    path
        Sibling hashes in the file's tree, lowest first.
    """

    file: FileProof
    index: int
    path: tuple[bytes, ...]


def prove_file(content: Content, path: str) -> FileProof:
    """Prove that a file belongs to a bundle.

    Raises
    ------
    KeyError
        The bundle has no such file.
    """
    for index, entry in enumerate(content.files):
        if entry.path == path:
            leaves = [each.leaf() for each in content.files]
            return FileProof(
                file=entry,
                index=index,
                count=len(leaves),
                size=content.size,
                path=path_of(leaves, index, _join_files),
            )
    raise KeyError(path)


def verify_file(root: bytes, proof: FileProof) -> bool:
    """Whether the root commits to this file: its path, its size and its chunks."""
    if not (0 <= proof.file.size <= proof.size < 1 << 64 and proof.count < 1 << 64):
        return False
    if fault_of(proof.file.path) or canonical(proof.file.path) != proof.file.path:
        return False
    files_root = root_from_path(
        proof.file.leaf(), proof.index, proof.count, proof.path, _join_files
    )
    return files_root is not None and _bundle_root(proof.count, proof.size, files_root) == root


def prove_chunk(
    content: Content, path: str, index: int, chunks: Iterable[bytes | memoryview]
) -> ChunkProof:
    """Prove that one chunk belongs to a file of a bundle.

    Parameters
    ----------
    content
        The bundle.
    path
        The file.
    index
        Number of the chunk, from 0.
    chunks
        All chunks of that file, in order; they are hashed again (32 bytes kept for each).

    Raises
    ------
    KeyError
        The bundle has no such file.
    IndexError
        The file has no such chunk.
    BundleChanged
        The chunks are not those that the root commits to.
    """
    file = prove_file(content, path)
    leaves = [_chunk_leaf(chunk) for chunk in chunks]
    if not 0 <= index < chunk_count(file.file.size):
        raise IndexError(f"chunk {index} of {chunk_count(file.file.size)}")
    if not leaves or root_of(leaves, _join_chunks) != file.file.chunks_root:
        raise BundleChanged(path, "other bytes than the content root commits to")
    return ChunkProof(file=file, index=index, path=path_of(leaves, index, _join_chunks))


def verify_chunk(root: bytes, proof: ChunkProof, chunk: bytes) -> bool:
    """Whether the root commits to `chunk` at this place of this file."""
    file = proof.file.file
    count = chunk_count(file.size)
    if not 0 <= proof.index < count:
        return False
    if len(chunk) != min(CHUNK_SIZE, file.size - proof.index * CHUNK_SIZE):
        return False
    chunks_root = root_from_path(_chunk_leaf(chunk), proof.index, count, proof.path, _join_chunks)
    return chunks_root == file.chunks_root and verify_file(root, proof.file)


def _bundle_root(count: int, size: int, files_root: bytes) -> ContentRoot:
    return ContentRoot(
        _hash(_BUNDLE, count.to_bytes(8, "big"), size.to_bytes(8, "big"), files_root)
    )


def _checked_key(path: str, previous: bytes) -> bytes:
    fault = fault_of(path)
    if fault is not None:
        raise ValueError(f"the path {path!r} {fault}")
    if canonical(path) != path:
        raise ValueError(f"the path {path!r} is not in NFC")
    key = sort_key(path)
    if key <= previous:
        raise ValueError(f"the path {path!r} is repeated or out of order")
    return key


class _discard(AbstractContextManager[Callable[[memoryview], object]]):  # noqa: N801
    """A sink that keeps nothing."""

    def __init__(self, piece: Piece) -> None:
        self._piece = piece

    def __enter__(self) -> Callable[[memoryview], object]:
        return len

    def __exit__(self, *_: object) -> None:
        return None
