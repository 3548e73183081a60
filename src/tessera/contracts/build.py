"""Compile the contracts: `python -m tessera.contracts.build [--check]`.

Each deployable `CamelCase.vy` becomes `artifacts/<Name>.json`. The same sources give the same
bytes on every machine: keys are sorted, and neither paths nor times are in them. With `--check`
nothing is written; what differs is named, and the exit code is 1.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tessera.contracts import ARTIFACTS, SOURCES
from tessera.contracts.command import write_or_check
from tessera.errors import InputError, NotFound, TesseraError

__all__ = ["build", "compile_contract", "deployables", "main", "render"]

COMPILER: Final = "0.4.3"
EVM_VERSION: Final = "cancun"
MAX_RUNTIME_BYTES: Final = 24_576
"""EIP-170; a longer contract cannot be deployed, and the compiler does not say so."""

_KEPT: Final = SOURCES.parents[2] / ".cache" / "contracts"
_DEPLOYABLE: Final = re.compile(r"[A-Z][A-Za-z0-9]*")
_DUTIES: Final = ("title", "notice", "custom:security", "custom:pause")
_OUTPUTS: Final = (
    "abi", "bytecode", "bytecode_runtime", "method_identifiers", "layout", "userdoc", "devdoc",
    "integrity",
)  # fmt: skip


def deployables(sources: Path = SOURCES) -> list[Path]:
    """Return the sources that can be deployed: those named in CamelCase, sorted."""
    return sorted(file for file in sources.glob("*.vy") if _DEPLOYABLE.fullmatch(file.stem))


def compile_contract(source: Path) -> dict[str, Any]:
    """Compile one contract.

    Parameters
    ----------
    source
        A `CamelCase.vy`; its imports are looked up from its folder.

    Returns
    -------
    dict
        What goes into the artifact, as plain JSON values.

    Raises
    ------
    NotFound
        The compiler is not installed, or is another version.
    InputError
        The source does not compile, is too large, or its documentation lacks a duty.
    """
    compiler = _compiler()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            outputs = compiler(source)
        except TesseraError:
            raise
        except Exception as error:
            raise InputError(
                f"{source.name} does not compile: {error}", next_step="mend the source"
            ) from error
    runtime = bytes.fromhex(outputs.pop("bytecode_runtime").removeprefix("0x"))
    deployed = len(runtime) + _immutables(outputs["layout"])
    if deployed > MAX_RUNTIME_BYTES:
        raise InputError(
            f"{source.name}: runtime code and immutables",
            found=f"{deployed} bytes",
            wanted=f"at most {MAX_RUNTIME_BYTES} (EIP-170)",
            next_step="move something to another contract",
        )
    documented = {**outputs["userdoc"], **outputs["devdoc"]}
    missing = [duty for duty in _DUTIES if not documented.get(duty)]
    if missing:
        raise InputError(
            f"{source.name}: documentation in its header",
            found=f"no @{', no @'.join(missing)}",
            wanted=f"@{', @'.join(_DUTIES)}",
        )
    return {
        "name": source.stem,
        **outputs,
        "runtime": {"size": len(runtime), "sha256": hashlib.sha256(runtime).hexdigest()},
        "compiler": {"name": "vyper", "version": COMPILER},
        "settings": {"evm_version": EVM_VERSION, "optimize": "gas"},
    }


def render(artifact: Mapping[str, Any]) -> str:
    """Write an artifact as the text of its file."""
    return json.dumps(artifact, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def build(
    sources: Path = SOURCES,
    artifacts: Path = ARTIFACTS,
    *,
    check: bool = False,
    kept: Path | None = None,
) -> list[str]:
    """Compile everything and write it, or say what differs.

    Parameters
    ----------
    kept
        A folder for what was compiled, by the hash of all that goes in: a minute is saved where
        nothing changed.

    Returns
    -------
    list of str
        The file names that were written (or would be), those of removed contracts included.

    Raises
    ------
    InputError
        A contract cannot be built; nothing has been written then.
    """
    shared = _shared(sources)
    wanted = {f"{file.stem}.json": _rendered(file, shared, kept) for file in deployables(sources)}
    present = {file.name: file.read_text(encoding="utf-8") for file in artifacts.glob("*.json")}
    changed = sorted(name for name in {*wanted, *present} if wanted.get(name) != present.get(name))
    if not check:
        artifacts.mkdir(exist_ok=True)
        for name in changed:
            if name in wanted:
                (artifacts / name).write_text(wanted[name], encoding="utf-8")
            else:
                (artifacts / name).unlink()
    return changed


def _shared(sources: Path) -> bytes:
    """Hash what goes into every artifact: the compiler, this file, and all modules."""
    said = hashlib.sha256(f"{COMPILER} {EVM_VERSION}".encode())
    for part in (Path(__file__), *sorted(sources.glob("modules/*.vy"))):
        said.update(hashlib.sha256(part.read_bytes()).digest())
    return said.digest()


def _rendered(source: Path, shared: bytes, kept: Path | None) -> str:
    if kept is None:
        return render(compile_contract(source))
    key = hashlib.sha256(shared + source.read_bytes()).hexdigest()[:32]
    file = kept / f"{source.stem}.{key}.json"
    if file.exists():
        return file.read_text(encoding="utf-8")
    text = render(compile_contract(source))
    kept.mkdir(parents=True, exist_ok=True)
    for older in kept.glob(f"{source.stem}.*.json"):
        older.unlink(missing_ok=True)
    unfinished = kept / f"{source.stem}.{os.getpid()}.part"
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(file)
    return text


def _immutables(layout: Mapping[str, Any]) -> int:
    """Say how many bytes of immutables a deployment puts behind the runtime code."""
    return max(_ends(layout.get("code_layout", {})), default=0)


def _ends(layout: Mapping[str, Any]) -> Iterator[int]:
    # A module's are in a mapping of their own, under its name.
    for entry in layout.values():
        if {"offset", "length"} <= entry.keys():
            yield entry["offset"] + entry["length"]
        else:
            yield from _ends(entry)


def _compiler() -> Any:
    try:
        import vyper
        from vyper.compiler import OUTPUT_FORMATS
        from vyper.compiler.input_bundle import FilesystemInputBundle
        from vyper.compiler.phases import CompilerData
        from vyper.compiler.settings import OptimizationLevel, Settings, anchor_settings
    except ImportError as error:
        raise NotFound(
            "the Vyper compiler",
            found="not installed",
            wanted=f"vyper {COMPILER}",
            next_step="run `make setup`; the checked-in artifacts need no compiler",
        ) from error
    if vyper.__version__.split("+")[0] != COMPILER:
        raise NotFound(
            "the Vyper compiler", found=vyper.__version__, wanted=COMPILER, next_step="make setup"
        )

    def run(source: Path) -> dict[str, Any]:
        bundle = FilesystemInputBundle([source.parent])
        settings = Settings(optimize=OptimizationLevel.GAS, evm_version=EVM_VERSION)
        data = CompilerData(bundle.load_file(Path(source.name)), bundle, settings=settings)
        with anchor_settings(data.settings):
            outputs = {name: OUTPUT_FORMATS[name](data) for name in _OUTPUTS}
            module = data.annotated_vyper_module._metadata["type"]  # noqa: SLF001
            outputs["abi"] = list(_named(outputs["abi"], module))
            outputs["flags"] = _flags(module)
            said = {*_reverts(data, source.parent.resolve()), *_errors(data)}
            outputs["reverts"] = sorted(said)
        plain: dict[str, Any] = json.loads(json.dumps(outputs))
        return plain

    return run


def _named(abi: Sequence[dict[str, Any]], module: Any) -> Iterator[dict[str, Any]]:
    """Add solc's `internalType` to an ABI: Vyper's own forgets the names of structs and flags."""
    for entry in abi:
        types: list[Any]
        outputs: list[Any] = []
        if entry["type"] == "event":
            types = list(module.interface.events[entry["name"]].arguments.values())
        elif entry["type"] in ("function", "constructor"):
            if entry["type"] == "constructor":
                function = module.init_function
            else:
                function = module.interface.functions[entry["name"]]
            types = [argument.typ for argument in function.arguments]
            returned = function.return_type
            if len(entry.get("outputs", ())) > 1:
                outputs = list(returned.member_types)
            elif returned is not None:
                outputs = [returned]
        else:
            yield entry
            continue
        for parameter, kind in zip(entry["inputs"], types, strict=False):
            _name(parameter, kind)
        for parameter, kind in zip(entry.get("outputs", ()), outputs, strict=True):
            _name(parameter, kind)
        yield entry


def _name(parameter: dict[str, Any], kind: Any) -> None:
    suffix = ""
    while type(kind).__name__ in ("DArrayT", "SArrayT"):
        length = "" if type(kind).__name__ == "DArrayT" else str(kind.count)
        suffix, kind = f"[{length}]" + suffix, kind.value_type
    if type(kind).__name__ == "StructT":
        parameter["internalType"] = f"struct {kind.name}{suffix}"
        for member, (_, member_kind) in zip(
            parameter["components"], kind.members.items(), strict=True
        ):
            _name(member, member_kind)
    elif type(kind).__name__ == "FlagT":
        parameter["internalType"] = f"flag {kind.name}{suffix}"


def _flags(module: Any) -> dict[str, list[str]]:
    return {
        node.name: list(node._metadata["flag_type"]._flag_members)  # noqa: SLF001
        for node in module.flag_defs
    }


def _reverts(data: Any, folder: Path) -> Iterator[str]:
    from vyper import ast as vy_ast

    modules = [data.annotated_vyper_module]
    modules += [imported.module_node for imported in _imported(data.annotated_vyper_module)]
    for module in modules:
        # The standard interfaces that come with the compiler live elsewhere and refuse nothing.
        if not Path(module.resolved_path).is_relative_to(folder):
            continue
        for node in module.get_descendants((vy_ast.Assert, vy_ast.Raise)):
            said = node.msg if isinstance(node, vy_ast.Assert) else node.exc
            if isinstance(said, vy_ast.Str):
                yield said.value


def _errors(data: Any) -> Iterator[str]:
    """Yield the custom errors of a foreign standard: `raw_revert(method_id("EmptyBatch()"))`."""
    from vyper import ast as vy_ast

    for call in data.annotated_vyper_module.get_descendants(vy_ast.Call):
        if getattr(call.func, "id", "") == "raw_revert":
            yield from (text.value for text in call.get_descendants(vy_ast.Str))


def _imported(module: Any) -> Iterator[Any]:
    yield from module._metadata["type"].imported_modules.values()  # noqa: SLF001
    for imported in module._metadata["type"].imported_modules.values():  # noqa: SLF001
        yield from _imported(imported.module_node)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build or check; return the exit code."""
    return write_or_check(
        "tessera.contracts.build",
        "artifacts",
        "the sources compile to",
        lambda check: build(check=check, kept=_KEPT),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
