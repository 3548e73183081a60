"""Vyper sources compiled once: as the checked-in artifacts, or kept by the hash of what went in."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[3]
CONTRACTS = REPOSITORY / "src" / "tessera" / "contracts"
ARTIFACTS = CONTRACTS / "artifacts"
MOCKS = REPOSITORY / "tests" / "contracts" / "mocks"
_KEPT = REPOSITORY / ".cache" / "contract-tests"


@dataclass(frozen=True)
class Compiled:
    """One contract: its name, ABI, creation code and storage slots by variable."""

    name: str
    abi: list[dict[str, Any]]
    creation_code: bytes
    slots: dict[str, int]


@cache
def compiled(name: str) -> Compiled:
    """Take one of our contracts by its name: its artifact, while that is of this very source.

    `make check` compiles them all and refuses an artifact that another source or compiler made.
    """
    source = CONTRACTS / f"{name}.vy"
    artifact = ARTIFACTS / f"{name}.json"
    if artifact.exists():
        outputs = json.loads(artifact.read_text())
        if outputs["integrity"] == _known_integrity(source):
            return _read(name, outputs)
    return compiled_file(source)


@cache
def mock(name: str) -> Compiled:
    """Compile one of the tests' own contracts by its name."""
    return compiled_file(MOCKS / f"{name}.vy")


@cache
def compiled_file(source: Path) -> Compiled:
    """Compile a file; modules are looked for beside it and in site-packages (snekmate)."""
    key = _hashed(source, *sorted(source.parent.glob("modules/*.vy*")))
    return _read(source.stem, _kept(f"{source.stem}-{key}.json", lambda: _compile(source)))


def _known_integrity(source: Path) -> str:
    """Hash a source and all that it imports, once for all processes that find it so."""
    key = _hashed(source, *_contracts())
    found: str = _kept(f"{source.stem}-{key}.integrity", lambda: _integrity(source))
    return found


@cache
def _contracts() -> tuple[Path, ...]:
    return tuple(sorted(CONTRACTS.rglob("*.vy*")))


def _hashed(*parts: Path) -> str:
    """Hash what is read by a compiler of this version; the compiler itself need not be loaded."""
    key = hashlib.sha256(version("vyper").encode())
    for part in parts:
        key.update(part.read_bytes())
    return key.hexdigest()[:32]


def _kept(name: str, make: Callable[[], Any]) -> Any:
    """Return what was kept under this name; otherwise one process makes it, and others wait."""
    kept = _KEPT / name
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with (kept.parent / f"{kept.stem}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                unfinished = kept.with_suffix(".part")
                unfinished.write_text(json.dumps(make()))
                unfinished.replace(kept)
    return json.loads(kept.read_text())


def _read(name: str, outputs: dict[str, Any]) -> Compiled:
    layout = outputs["layout"].get("storage_layout", {})
    return Compiled(
        name=name,
        abi=outputs["abi"],
        creation_code=bytes.fromhex(outputs["bytecode"].removeprefix("0x")),
        slots=dict(_flattened(layout)),
    )


def _integrity(source: Path) -> str:
    """Hash a source and all that it imports as the compiler does."""
    from vyper.compiler.input_bundle import FilesystemInputBundle
    from vyper.compiler.phases import CompilerData

    bundle = FilesystemInputBundle([source.parent])
    return str(CompilerData(bundle.load_file(Path(source.name)), bundle).integrity_sum)


def _compile(source: Path) -> dict[str, Any]:
    import snekmate
    from vyper.compiler import compile_from_file_input
    from vyper.compiler.input_bundle import FileInput, FilesystemInputBundle
    from vyper.compiler.settings import Settings

    site_packages = Path(next(iter(snekmate.__path__))).parent
    contents = FileInput(
        contents=source.read_text(), source_id=-1, path=source, resolved_path=source.resolve()
    )
    return compile_from_file_input(
        contents,
        input_bundle=FilesystemInputBundle([site_packages, REPOSITORY, source.parent]),
        output_formats=["abi", "bytecode", "layout"],
        settings=Settings(evm_version="cancun"),
    )


def _flattened(layout: dict[str, Any]) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for name, entry in layout.items():
        if "slot" in entry:
            found.append((name, entry["slot"]))
        else:
            found.extend((f"{name}.{inner}", slot) for inner, slot in _flattened(entry))
    return found
