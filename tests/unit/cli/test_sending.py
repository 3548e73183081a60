"""Every command that sends a transaction shows its effects first, and asks.

Which commands send is read from their own source: whoever signs has a `sender`, mints or funds,
pays for calls, or has the supervisor settle. So nobody has to remember to list a new one here.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import typer

from tessera.cli.commands import app

SIGNS = {"sender", "mint", "fund"}
# What opens channels by itself.
PAYS = {"Client", "Router"}
WANTED = {"--json", "--yes", "--dry-run"}
# Those that do not ask, though they send, or look as if they did; with the reason.
EXCEPTIONS = {
    "up": "deploys on a chain of its own, and serves until it is ended",
    "demo": "plays on a chain of its own, with money of its own",
    "call": "a call is signed off the chain; --deposit and --max-cost bound what it may cost",
    "route": "serves until it is ended; says at its start what goes into channels at most",
    "channel show": "looks through what also pays; it sends nothing",
    "account create": "test money of a development chain, for a key that nobody had before",
    "account import": "shares how it ends with create; it sends nothing",
    "account faucet": "test money of a development chain, which costs nobody anything",
}


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, each in getattr(group, "commands", {}).items():
        yield from commands(each, (*path, name))
    if not hasattr(group, "commands"):
        yield " ".join(path), group


@cache
def trees(file: str) -> dict[tuple[str, int], ast.AST]:
    """Return a file's functions, by name and by the line on which Python says that each begins."""
    found = {}
    for node in ast.walk(ast.parse(Path(file).read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.decorator_list[0].lineno if node.decorator_list else node.lineno
            found[node.name, first] = node
    return found


def tree_of(function: FunctionType) -> ast.AST:
    code = inspect.unwrap(function).__code__
    return trees(code.co_filename)[code.co_name, code.co_firstlineno]


def signs(function: FunctionType, seen: set[FunctionType]) -> bool:
    """Return whether a function, or one of the command line that it calls, signs anything."""
    if function in seen:
        return False
    seen.add(function)
    tree = tree_of(function)
    known = dict(function.__globals__)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tessera.cli"):
            room = import_module(node.module or "")
            known |= {each.asname or each.name: getattr(room, each.name) for each in node.names}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr in SIGNS:
            return True
        if isinstance(node.func, ast.Name) and node.func.id in PAYS:
            return True
        named = known.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if (
            isinstance(named, FunctionType)
            and named.__module__.startswith("tessera.cli")
            and signs(named, seen)
        ):
            return True
    return False


TREE = dict(commands(typer.main.get_command(app)))
SENDING = {name for name, each in TREE.items() if signs(each.callback.function, set())}


@pytest.mark.parametrize("name", sorted(SENDING - EXCEPTIONS.keys()))
def test_it_shows_and_asks(name: str) -> None:
    missing = WANTED - {flag for option in TREE[name].params for flag in option.opts}
    assert not missing, f"tessera {name} sends, and has no {', '.join(sorted(missing))}"


def test_those_that_send_are_found() -> None:
    """What reads the source would pass everything if it found nothing."""
    assert {"buy", "transfer", "claim", "settle", "channel open", "orders bid", "audit"} <= SENDING
    assert {"assets list", "status", "portfolio", "market quote"}.isdisjoint(SENDING)
    assert len(SENDING) > 40


def test_exceptions_are_commands() -> None:
    assert EXCEPTIONS.keys() <= TREE.keys()


@pytest.mark.parametrize("name", sorted(TREE))
def test_every_command_speaks_json(name: str) -> None:
    assert "--json" in {flag for option in TREE[name].params for flag in option.opts}
