"""A folder as a bundle: everything checked at once, and the content root of what passed."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

from tessera.assets.content import Content, ContentRoot, FileEntry, Progress, measure
from tessera.assets.folder import DEFAULT_IGNORE, Folder, FoundFile, Ignore, Listing
from tessera.assets.manifest import MANIFEST_NAME, Evidence, Manifest
from tessera.assets.reading import CURRENCY_DECIMALS, MAX_MANIFEST_BYTES, parse_manifest
from tessera.assets.refusals import BundleChanged, BundleInvalid, Problem
from tessera.errors import did_you_mean

__all__ = ["MAX_BUNDLE_BYTES", "ValidatedBundle", "validate"]

MAX_BUNDLE_BYTES = 1 << 42
"""Largest bundle, 4 TiB: a bound against sparse files of absurd size, not a product limit."""


@dataclass(frozen=True, slots=True)
class ValidatedBundle:
    """A folder in which nothing is wrong, as it was when it was read.

    Attributes
    ----------
    folder
        Where it was read from; it may change later, the rest of this value does not.
    manifest
        With the SHA-256 of every evidence file filled in.
    content
        Root and files.
    """

    folder: Path
    manifest: Manifest
    content: Content

    @property
    def root(self) -> ContentRoot:
        """The content root."""
        return self.content.root

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """The files, in the order of their paths' bytes."""
        return self.content.files

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return self.content.size


def validate(
    folder: Path,
    *,
    name: str | None = None,
    decimals: int = CURRENCY_DECIMALS,
    progress: Progress | None = None,
    max_bytes: int = MAX_BUNDLE_BYTES,
) -> ValidatedBundle:
    """Check a folder and compute its content root.

    Each file is read once. Names in `DEFAULT_IGNORE` and in the manifest's `exclude` stay out.

    Parameters
    ----------
    folder
        With a `tessera.toml` at its top.
    name
        What to call it in messages; by default the folder's name.
    decimals
        Of the currency that prices are in.
    progress
        Called with bytes hashed and bytes in all.
    max_bytes
        Refuse more than this.

    Raises
    ------
    NotFound
        There is no such folder.
    BundleInvalid
        With everything that is wrong. Hashes are compared only when nothing else is.
    BundleChanged
        Something wrote to the folder meanwhile.
    """
    name = name or folder.name or str(folder)
    with Folder(folder) as opened:
        prepared = prepare(opened, name, decimals=decimals, max_bytes=max_bytes)
        content = measure(
            opened.pieces(prepared.files),
            total=prepared.size,
            progress=progress,
            sha256_of=prepared.hashed_paths,
        )
    return ValidatedBundle(folder, prepared.finish(content), content)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A folder that is fine so far; what is left to check are hashes.

    Attributes
    ----------
    files
        What to hash, in order.
    hashed_paths
        Files whose plain SHA-256 `finish` needs.
    """

    name: str
    manifest: Manifest
    manifest_text: bytes
    files: tuple[FoundFile, ...]
    hashed_paths: frozenset[str]

    @property
    def size(self) -> int:
        """Bytes to hash."""
        return sum(file.size for file in self.files)

    def finish(self, content: Content) -> Manifest:
        """Compare hashes and return the manifest with evidence filled in.

        Raises
        ------
        BundleInvalid
            A file has another hash than the manifest says.
        BundleChanged
            The manifest was replaced after it was read.
        """
        digests = {entry.path: entry.sha256 for entry in content.files}
        if digests[MANIFEST_NAME] != hashlib.sha256(self.manifest_text).digest():
            raise BundleChanged(MANIFEST_NAME, "other contents than a moment ago")
        problems = [
            Problem(
                f"{MANIFEST_NAME}: {key}",
                f"{path} with SHA-256 {_hex(digests[path])}",
                f"the SHA-256 {_hex(wanted)}",
                "restore the file, or correct the hash",
            )
            for key, path, wanted in self.manifest.references()
            if wanted is not None and digests[path] != wanted
        ]
        if problems:
            raise BundleInvalid(self.name, problems)
        return _with_evidence(self.manifest, digests)


def prepare(opened: Folder, name: str, *, decimals: int, max_bytes: int) -> Prepared:
    """Read the manifest and list the folder, noting all problems of both.

    Raises
    ------
    BundleInvalid
        With everything that is wrong.
    """
    problems: list[Problem] = []
    text = _manifest_text(opened, problems)
    manifest = None if text is None else parse_manifest(text, problems, decimals=decimals)
    exclude = manifest.exclude if manifest is not None else ()
    listing = opened.list(Ignore(DEFAULT_IGNORE + exclude))
    if any(problem.where == MANIFEST_NAME for problem in listing.problems):
        # The listing says better why the manifest could not be read.
        problems.clear()
    problems.extend(listing.problems)
    if listing.size > max_bytes:
        problems.append(
            Problem(name, f"{listing.size} bytes", f"at most {max_bytes}", "exclude some files")
        )
    if manifest is not None:
        _check_files(manifest, listing, problems)
    if problems or manifest is None or text is None:
        raise BundleInvalid(name, problems)
    return Prepared(
        name=name,
        manifest=manifest,
        manifest_text=text,
        files=listing.files,
        hashed_paths=frozenset({MANIFEST_NAME, *(path for _, path, _ in manifest.references())}),
    )


def _manifest_text(opened: Folder, problems: list[Problem]) -> bytes | None:
    try:
        return opened.read(MANIFEST_NAME, limit=MAX_MANIFEST_BYTES)
    except FileNotFoundError:
        problems.append(
            Problem(
                MANIFEST_NAME,
                "nothing",
                "a manifest at the top of the folder",
                "write one; this makes a first: tessera init FOLDER",
            )
        )
    except (BundleChanged, OSError) as error:
        found = str(error.found) if isinstance(error, BundleChanged) else error.strerror
        problems.append(
            Problem(
                MANIFEST_NAME,
                found or "an error",
                f"a regular file of at most {MAX_MANIFEST_BYTES} bytes",
            )
        )
    return None


def _check_files(manifest: Manifest, listing: Listing, problems: list[Problem]) -> None:
    present = {file.path for file in listing.files}
    refused = {problem.where for problem in listing.problems}
    if MANIFEST_NAME not in present and MANIFEST_NAME not in refused:
        problems.append(
            Problem(
                f"{MANIFEST_NAME}: exclude",
                f"a pattern that leaves out {MANIFEST_NAME} itself",
                "patterns that keep it",
                "narrow the pattern",
            )
        )
    ignore = Ignore(DEFAULT_IGNORE + manifest.exclude)
    for key, path, _ in manifest.references():
        if not path or path in present or path in refused:
            continue
        parts = path.split("/")
        left_out = any(ignore.matches("/".join(parts[:end])) for end in range(1, len(parts) + 1))
        problems.append(
            Problem(
                f"{MANIFEST_NAME}: {key}",
                f"{path}, which " + ("is left out of the bundle" if left_out else "is not there"),
                "a file of the bundle",
                "rename it or narrow exclude"
                if left_out
                else did_you_mean(path, present) or "add the file or correct the path",
            )
        )


def _with_evidence(manifest: Manifest, digests: dict[str, bytes | None]) -> Manifest:
    def filled(evidence: Evidence) -> Evidence:
        if evidence.file is None:
            return evidence
        return dataclasses.replace(evidence, sha256=digests[evidence.file])

    benchmark, provenance = manifest.benchmark, manifest.provenance
    return dataclasses.replace(
        manifest,
        contributors=tuple(
            dataclasses.replace(each, evidence=filled(each.evidence))
            for each in manifest.contributors
        ),
        benchmark=benchmark and dataclasses.replace(benchmark, data=filled(benchmark.data)),
        provenance=provenance and dataclasses.replace(provenance, data=filled(provenance.data)),
    )


def _hex(digest: bytes | None) -> str:
    return "unknown" if digest is None else digest.hex()
