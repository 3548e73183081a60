"""Write the pages of `docs/reference` that the program itself knows: commands, settings, errors.

`python scripts/reference.py` writes them; `--check` ends with 1 where one is not up to date.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

import tessera
from tessera.cli.commands import app
from tessera.config import SETTINGS, Setting
from tessera.contracts import SOURCES
from tessera.errors import TesseraError
from tessera.presenting import EXIT_CODES, HTTP_STATUS

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "reference"
CLI_HEAD = """\
# Commands

Written by `scripts/reference.py` from the commands themselves; a test compares. Behind any of them
`--help` says the same.

A command acts with the key of its usual role (`publisher`, `holder`, `consumer`, `operator`), or
with the one that `--as` names. What it reports goes to stdout, everything else to stderr. Exit
codes are those of the [errors](errors.md); all settings are on [a page of their own](settings.md).
`TESSERA_DEBUG=1` shows tracebacks.

Every command takes these:

| option | is | default |
|---|---|---|"""
SETTINGS_HEAD = """\
# Settings

Written by `scripts/reference.py` from the table in `src/tessera/config.py`; a test compares.

A flag wins over the environment, that over `config.toml` in the data folder, that over the
default. In the file a setting is a key of its own name. Which command takes which setting as a
flag: [commands](cli.md). Addresses of contracts are no settings: they come from the deployments
file. What is marked live is followed by a running gateway after `tessera reload`; the rest counts
from the next start on.

| setting | variable | default | may be | is |
|---|---|---|---|---|"""
ERRORS_HEAD = """\
# Errors

Written by `scripts/reference.py` from the classes and from `src/tessera/presenting.py`; a test
compares.

Every refusal names the thing, the value found, what was wanted and the next step, under a stable
code. A command ends with the exit code; the gateway answers with the status. An exception that is
none of these ends a command with 70, and Ctrl-C with 130. *Again*: the very same request may
succeed later, without anybody mending anything.

## The tree
"""
REVERTS_HEAD = """
## What contracts say

Each is a class in `tessera.bindings.reverts`, below `TransactionReverted`.

| contract | says | what to do |
|---|---|---|"""
# Doors and the demo raise what the rooms define, and importing them starts slow libraries.
SKIPPED = (
    "tessera.demo",
    "tessera.cli",
    "tessera.storage.migrations",
    "tessera.storage.facts_migrations",
)


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them."""
    stale = []
    for name, text in pages().items():
        page = PAGES / name
        if "--check" in arguments:
            if not page.is_file() or page.read_text(encoding="utf-8") != text:
                stale.append(name)
        else:
            page.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"docs/reference/{name}: not up to date; run: python scripts/reference.py")
    return 1 if stale else 0


def pages() -> dict[str, str]:
    """The text of each page by its file's name."""
    return {"cli.md": cli_page(), "settings.md": settings_page(), "errors.md": errors_page()}


def cli_page() -> str:
    """Every command with its arguments and options; what all share stands at the top."""
    root: Any = typer.main.get_command(app)
    leaves = list(_commands(root, "tessera"))
    shared = set.intersection(*({_spelled(option) for option in _options(c)} for _, c in leaves))
    rows = [CLI_HEAD]
    some = leaves[0][1]
    rows += [_option_row(option) for option in _options(some) if _spelled(option) in shared]
    for path, found in leaves:
        arguments = [p for p in found.params if p.param_type_name == "argument"]
        rows += ["", f"## {path}", "", " ".join((found.help or "").split()), ""]
        usage = [_argument(argument) for argument in arguments]
        rows += ["```text", " ".join([path, *usage, "[options]"]), "```"]
        own = [option for option in _options(found) if _spelled(option) not in shared]
        if arguments or own:
            rows += ["", "| | is | default |", "|---|---|---|"]
            rows += [_row((f"`{_metavar(a)}`", a.help or "", _shown_default(a))) for a in arguments]
            rows += [_option_row(option) for option in own]
    return "\n".join(rows) + "\n"


def _commands(found: Any, path: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(found, "commands", None)
    if inner is None:
        yield path, found
        return
    for name, command in inner.items():
        yield from _commands(command, f"{path} {name}")


def _options(command: Any) -> list[Any]:
    return [option for option in command.params if option.param_type_name == "option"]


def _spelled(option: Any) -> str:
    return ", ".join([*option.opts, *option.secondary_opts])


def _metavar(argument: Any) -> str:
    return str(argument.metavar or argument.name).upper().replace("_", "-")


def _argument(argument: Any) -> str:
    name = _metavar(argument)
    return name if argument.required else f"[{name}]"


def _option_row(option: Any) -> str:
    flags = ", ".join(f"`{flag}`" for flag in [*option.opts, *option.secondary_opts])
    return _row((flags, option.help or "", _shown_default(option)))


def _shown_default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    default = parameter.default
    return "" if default in (None, False) or callable(default) else f"`{default}`"


def settings_page() -> str:
    """The table of settings."""
    rows = [SETTINGS_HEAD]
    for name, setting in SETTINGS.items():
        marks = [mark for mark in ("secret", "live") if getattr(setting, mark)]
        meaning = setting.help + (f" ({', '.join(marks)})" if marks else "")
        cells = (f"`{name}`", f"`{setting.variable}`", _default(setting), _may_be(setting), meaning)
        rows.append(_row(cells))
    return "\n".join(rows) + "\n"


def _default(setting: Setting) -> str:
    value = setting.default
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value in ("", ()):
        return "empty"
    return f"`{value}`"


def _may_be(setting: Setting) -> str:
    if setting.one_of:
        return ", ".join(f"`{choice}`" for choice in setting.one_of)
    kinds = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}
    kind = kinds.get(setting.kind, "path" if setting.kind is Path else "texts, by commas")
    if setting.low is None:
        return kind
    high = "" if setting.high is None else f" to {setting.high:,}"
    return f"{kind}, {setting.low:,}{high or ' or more'}"


def errors_page() -> str:
    """The tree, the classes of the rooms, and what contracts say with what to do about it."""
    kinds = error_kinds()
    tree = [kind for kind in kinds if kind.__module__ == "tessera.errors"]
    reverts = [kind for kind in kinds if kind.__module__ == "tessera.bindings.reverts"]
    rest = [kind for kind in kinds if kind not in tree and kind not in reverts]
    helps = tomllib.loads((SOURCES / "reverts_help.toml").read_text(encoding="utf-8"))
    rows = [ERRORS_HEAD, *_table(tree), "", "## Of the rooms", "", *_table(rest), REVERTS_HEAD]
    for said in sorted(inspect.cleandoc(kind.__doc__ or "") for kind in reverts):
        contract, _, reason = said.partition(": ")
        rows.append(_row((contract, reason, helps.get(said, ""))))
    return "\n".join(rows) + "\n"


def _table(kinds: list[type[TesseraError]]) -> list[str]:
    rows = [
        "| code | class | exit | status | again | means |",
        "|---|---|---:|---:|---|---|",
    ]
    for kind in kinds:
        exits = next(EXIT_CODES[base] for base in kind.__mro__ if base in EXIT_CODES)
        status = next(HTTP_STATUS[base] for base in kind.__mro__ if base in HTTP_STATUS)
        meaning = inspect.cleandoc(kind.__doc__ or "").split("\n\n", 1)[0].replace("\n", " ")
        name = f"`{kind.__module__}.{kind.__name__}`"
        again = "yes" if kind.retryable else ""
        rows.append(_row((f"`{kind.code}`", name, str(exits), str(status), again, meaning)))
    return rows


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def error_kinds() -> list[type[TesseraError]]:
    """Every public error class of the library, in order of definition below its parent."""
    for module in pkgutil.walk_packages(tessera.__path__, "tessera."):
        name = module.name
        if not name.startswith(SKIPPED) and not name.endswith("__main__"):
            importlib.import_module(name)
    found: list[type[TesseraError]] = []

    def walk(kind: type[TesseraError]) -> None:
        if not kind.__name__.startswith("_") and kind.__module__.startswith("tessera."):
            found.append(kind)
        below = kind.__subclasses__()
        if kind.__module__ != "tessera.errors":
            below = sorted(below, key=lambda child: child.__name__)
        own = [child for child in below if child.__module__ == "tessera.errors"]
        rest = sorted((c for c in below if c not in own), key=lambda c: (c.__module__, c.__name__))
        for child in own + rest:
            walk(child)

    walk(TesseraError)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
