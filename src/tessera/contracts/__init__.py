"""What the chain enforces: the Vyper sources, and what the compiler made of them.

The artifacts are checked in, so nothing but `tessera.contracts.build` needs the compiler.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tessera.errors import DataError, InvariantViolation, NotFound

__all__ = ["ARTIFACTS", "SOURCES", "Artifact", "artifact_names", "load_artifact"]

SOURCES: Final = Path(__file__).parent
ARTIFACTS: Final = SOURCES / "artifacts"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract.

    Parameters
    ----------
    name
        As its file is called: `Registry`.
    hash
        SHA-256 of the artifact file's content, hex: one name for code, interface and settings.
    bytecode
        Creation code; the ABI-encoded constructor arguments are appended to it.
    runtime_size
        Bytes of the code that is stored at an address, without the immutables behind it.
    runtime_sha256
        Of these bytes, hex.
    immutables
        Name, offset and length (bytes) of each immutable behind the runtime code, by offset.
    content
        The whole file: abi, method ids, storage layout, userdoc, devdoc, compiler and settings.
    """

    name: str
    hash: str
    bytecode: bytes
    runtime_size: int
    runtime_sha256: str
    immutables: tuple[tuple[str, int, int], ...]
    content: dict[str, Any]

    @property
    def abi(self) -> list[dict[str, Any]]:
        """The ABI, with `internalType` where a struct or a flag has a name."""
        abi: list[dict[str, Any]] = self.content["abi"]
        return abi

    @property
    def immutables_size(self) -> int:
        """Bytes of the immutables behind the runtime code."""
        return max((at + length for _, at, length in self.immutables), default=0)

    def is_code(self, code: bytes) -> bool:
        """Tell whether code on a chain is this contract's, whatever its immutables are."""
        body, behind = code[: self.runtime_size], code[self.runtime_size :]
        same = hashlib.sha256(body).hexdigest() == self.runtime_sha256
        return same and len(behind) == self.immutables_size

    def code(self, immutables: Mapping[str, int]) -> bytes:
        """Return what a chain stores at an address of this contract.

        Parameters
        ----------
        immutables
            Value of each, by its name.

        Raises
        ------
        InvariantViolation
            These are not the contract's immutables.
        """
        if immutables.keys() != {name for name, _, _ in self.immutables}:
            raise InvariantViolation(
                f"immutables of {self.name}", found=sorted(immutables), wanted="those that it has"
            )
        behind = bytearray(self.immutables_size)
        for name, at, length in self.immutables:
            behind[at : at + length] = immutables[name].to_bytes(length, "big")
        return self._runtime() + bytes(behind)

    def _runtime(self) -> bytes:
        """Find the runtime code in the creation code, which begins with what puts it in place."""
        for at in range(len(self.bytecode) - self.runtime_size + 1):
            body = self.bytecode[at : at + self.runtime_size]
            if hashlib.sha256(body).hexdigest() == self.runtime_sha256:
                return body
        raise InvariantViolation(f"artifact {self.name}: no runtime code in its creation code")


def artifact_names() -> list[str]:
    """Return the names of all contracts that can be deployed, sorted."""
    return sorted(file.stem for file in ARTIFACTS.glob("*.json"))


@functools.cache
def load_artifact(name: str) -> Artifact:
    """Read one artifact.

    Raises
    ------
    NotFound
        No contract has that name.
    DataError
        The file is not what `tessera.contracts.build` writes.
    """
    file = ARTIFACTS / f"{name}.json"
    if name not in artifact_names():
        raise NotFound.among("contract", name, artifact_names())
    raw = file.read_bytes()
    try:
        content: dict[str, Any] = json.loads(raw)
        layout = content["layout"].get("code_layout", {})
        return Artifact(
            name=name,
            hash=hashlib.sha256(raw).hexdigest(),
            bytecode=bytes.fromhex(content["bytecode"].removeprefix("0x")),
            runtime_size=content["runtime"]["size"],
            runtime_sha256=content["runtime"]["sha256"],
            immutables=_immutables(layout),
            content=content,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"artifact {name}.json",
            found=f"{type(error).__name__}: {error}",
            wanted="a file written by tessera.contracts.build",
            next_step="run `make contracts`",
        ) from error


def _immutables(layout: dict[str, Any], prefix: str = "") -> tuple[tuple[str, int, int], ...]:
    found: list[tuple[str, int, int]] = []
    for name, row in layout.items():
        # A module's immutables are nested under the module's name.
        if isinstance(row.get("offset"), int):
            found.append((prefix + name, row["offset"], row["length"]))
        else:
            found += _immutables(row, f"{prefix}{name}.")
    return tuple(sorted(found, key=lambda item: item[1]))
