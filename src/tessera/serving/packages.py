"""Packages that a publisher's code was made with, pinned to the bytes that are installed.

A version number says what somebody called a package; the hash here is over the digests of its
installed files. Pins are made on the publisher's machine and compared on the operator's, so the
files that installers write for themselves (compiled bytecode, scripts with an interpreter's path,
notes about the installation) are left out. A package with compiled parts has another hash on
another platform, so a bundle may pin several; pure Python ones agree everywhere.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib import metadata
from pathlib import PurePosixPath

from tessera.assets.manifest import Package
from tessera.errors import NotAllowed

__all__ = ["check_packages", "pin_package"]

_INSTALLERS_OWN = frozenset(
    {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json"}
)


def pin_package(name: str) -> Package:
    """Hash an installed distribution, reading every file.

    Returns
    -------
    Package
        Its version, and SHA-256 over the sorted paths and digests of its files.

    Raises
    ------
    NotAllowed
        It is not installed, keeps no record of its files, or a file differs from that record.
    """
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError as error:
        raise NotAllowed(
            f"package {name}",
            found="not installed",
            wanted="the version that the bundle pins",
            next_step=f"install it beside tessera: {name}",
        ) from error
    lines = []
    for file in distribution.files or ():
        if not _is_the_packages(file):
            continue
        digest = hashlib.sha256(file.read_binary()).digest()
        written = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if file.hash is not None and file.hash.mode == "sha256" and file.hash.value != written:
            raise NotAllowed(
                f"package {name}: {file}",
                found="changed since it was installed",
                wanted="the file as released",
                next_step=f"reinstall {name}",
            )
        lines.append(f"{PurePosixPath(file)}\0{written}\n")
    if not lines:
        raise NotAllowed(
            f"package {name}",
            found="no record of its files",
            wanted="a package installed from a wheel",
            next_step=f"reinstall {name}",
        )
    digest = hashlib.sha256("".join(sorted(lines)).encode()).digest()
    return Package(name, distribution.version, (digest,))


def check_packages(pins: Iterable[Package]) -> None:
    """Refuse to go on unless each package is installed as one of its pins says.

    Raises
    ------
    NotAllowed
        One is missing, has another version or other bytes.
    """
    for pin in pins:
        installed = pin_package(pin.name)
        if installed.version != pin.version:
            raise NotAllowed(
                f"package {pin.name}",
                found=installed.version,
                wanted=f"{pin.version}, which the bundle pins",
                next_step=f"install {pin.name}=={pin.version}, or ask the publisher for a version",
            )
        if installed.sha256[0] not in pin.sha256:
            raise NotAllowed(
                f"package {pin.name} {pin.version}",
                found=f"sha256 {installed.sha256[0].hex()}",
                wanted=f"{' or '.join(d.hex() for d in pin.sha256)}, which the bundle pins",
                next_step="compare the publisher's platform with this one, then reinstall",
            )


def _is_the_packages(file: metadata.PackagePath) -> bool:
    path = PurePosixPath(file)
    if path.suffix == ".pyc" or ".." in path.parts:
        return False
    return not (path.parts[0].endswith(".dist-info") and path.name in _INSTALLERS_OWN)
