"""Writes `docs/reference/cli.md` from the commands: `python -m tessera.cli.reference`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer

from tessera.presenting import EXIT_CODES, EXIT_INTERRUPTED

__all__ = ["reference"]

_FILE: Final = Path("docs/reference/cli.md")
_COMMON: Final = frozenset({
    "data_dir", "rpc_url", "chain_id", "deployment", "gateway", "acting_as", "as_json",
})  # fmt: skip
_HEAD: Final = """\
# Commands

Written by `python -m tessera.cli.reference`; a test compares it with the program.

The outcome is on stdout, everything else on stderr. A refusal is one line:
`thing: found ..., wanted ...; next step`. `TESSERA_DEBUG=1` adds a traceback.
"""


def reference() -> str:
    """Return the page."""
    from tessera.cli.commands import app

    root: Any = typer.main.get_command(app)
    leaves = list(_leaves(root, "tessera"))
    parts = [_HEAD, "## Exit codes\n", "| code | meaning |", "|---|---|", "| 0 | done |"]
    parts += [f"| {code} | {kind.__name__} |" for kind, code in EXIT_CODES.items()]
    parts += [f"| {EXIT_INTERRUPTED} | Ctrl-C |", "", "## Everywhere\n"]
    parts += ["| option | meaning |", "|---|---|"]
    parts += [_row(each) for each in leaves[0][1].params if each.name in _COMMON]
    for path, command in leaves:
        arguments = " ".join(_argument(each) for each in _of_kind(command, "argument"))
        parts += ["", f"## `{path}{' ' + arguments if arguments else ''}`\n", command.help.strip()]
        own = [each for each in command.params if each.name not in _COMMON]
        if own:
            parts += ["", "| argument or option | meaning |", "|---|---|", *map(_row, own)]
    return "\n".join(parts) + "\n"


def _leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, each in inner.items():
        yield from _leaves(each, f"{path} {name}")


def _of_kind(command: Any, kind: str) -> list[Any]:
    return [each for each in command.params if each.param_type_name == kind]


def _argument(each: Any) -> str:
    name = str(each.metavar or each.name).upper()
    return name if each.required else f"[{name}]"


def _row(each: Any) -> str:
    if each.param_type_name == "argument":
        name = f"`{_argument(each)}`"
    else:
        names = [*each.opts, *each.secondary_opts]
        name = ", ".join(f"`{option}`" for option in names)
    default = each.default
    shown = "" if default in (None, False, True, "") or callable(default) else f" ({default})"
    required = " (required)" if each.required and each.param_type_name == "option" else ""
    return f"| {name} | {(each.help or '').strip()}{required}{shown} |"


if __name__ == "__main__":
    _FILE.write_text(reference(), encoding="utf-8")
    sys.stderr.write(f"wrote {_FILE}\n")
