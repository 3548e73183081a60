"""From arguments to an exit code: every refusal is one line, and a traceback only on request."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import msgspec

from tessera.errors import InputError, TesseraError
from tessera.presenting import EXIT_INTERRUPTED, EXIT_UNEXPECTED, error_body, exit_code

__all__ = ["DEBUG", "run"]

DEBUG = "TESSERA_DEBUG"
"""Set to anything, this environment variable shows tracebacks."""

_UNKNOWN: Final = re.compile(r"No such command '([^']+)'")
_OF_ASSET: Final = "who holds it and what it earned: tessera disclosure ASSET"
_MEANT: Final = {
    "balance": "what a key has: tessera portfolio NAME",
    "gas": "each command that sends says what it spent; what each action costs: README.md",
    "holders": _OF_ASSET,
    "owners": _OF_ASSET,
    "revenue": f"what you earned: tessera portfolio; {_OF_ASSET}",
    "sell": "at a first sale: tessera offer; by signed orders: tessera orders sell; "
    "to a pool: tessera market swap",
    "send": "money: tessera account send; shares: tessera transfer",
    "trade": "tessera market swap; by signed orders: tessera orders",
}
"""What newcomers try, and what they mean by it."""

_LISTS: Final = {"tessera govern": "tessera govern list ASSET"}
"""Where the numbers of a group's things are listed."""


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Returns
    -------
    int
        0, or as `tessera.presenting` maps what went wrong; 130 after Ctrl-C.
    """
    as_json = "--json" in arguments
    try:
        return _dispatched(list(arguments))
    except TesseraError as error:
        _trace()
        _refuse(error, as_json=as_json)
        return exit_code(error)
    except KeyboardInterrupt:
        _trace()
        sys.stderr.write("tessera: interrupted\n")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; a second failure at exit would only be noise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_UNEXPECTED
    except Exception as error:  # noqa: BLE001 - the last resort: one line instead of a traceback
        _trace()
        ours = TesseraError(
            f"this is a mistake of ours: {type(error).__name__}: {error}",
            next_step=f"please report it with the output under {DEBUG}=1",
        )
        _refuse(ours, as_json=as_json)
        return EXIT_UNEXPECTED


@cache
def _program() -> Any:
    """Build all commands, which takes longer than most of them run: once for each process."""
    import typer

    from tessera.cli.commands import app

    return typer.main.get_command(app)


def _dispatched(arguments: list[str]) -> int:
    # Typer carries its own copy of click, whose exceptions are only known by their shape.
    try:
        code: Any = _program()(args=arguments, prog_name="tessera", standalone_mode=False)
    except TesseraError:
        raise
    except Exception as error:
        shown = getattr(error, "format_message", None)
        if type(error).__name__ == "Abort":
            raise KeyboardInterrupt from error
        if shown is None:
            raise
        context = getattr(error, "ctx", None)
        if type(error).__name__ == "NoArgsIsHelpError":
            # Asked for nothing, it is the help that is meant.
            sys.stdout.write(f"{str(shown()).rstrip()}\n")
            return 0
        path = context.command_path if context is not None else "tessera"
        option = str(getattr(error, "option_name", ""))
        if option[:1] == "-" and option[1:2].isdigit():
            # Somebody means a number; no option of ours begins with a digit.
            raise InputError(
                "number", found=option, wanted="0 or more", next_step=f"see: {path} --help"
            ) from error
        unknown = _UNKNOWN.search(str(shown()))
        if unknown is not None and unknown[1] in _MEANT:
            raise InputError(
                f"command {unknown[1]!r}", wanted="one that exists", next_step=_MEANT[unknown[1]]
            ) from error
        said = str(shown()).strip().rstrip(".") or "a command is missing"
        group = path.rpartition(" ")[0]
        if said.startswith("Missing argument") and "number" in said.lower() and group in _LISTS:
            raise InputError(said, next_step=f"see: {_LISTS[group]}") from error
        raise InputError(said, next_step=f"see: {path} --help") from error
    return code if isinstance(code, int) else 0


def _refuse(error: TesseraError, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(error_body(error)).decode() + "\n")
    sys.stderr.write(f"tessera: {error.message}\n")


def _trace() -> None:
    if os.environ.get(DEBUG):
        traceback.print_exc()
