"""From arguments to an exit code: every refusal is one line, and a traceback only on request."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from tessera.errors import InputError, TesseraError
from tessera.presenting import EXIT_INTERRUPTED, EXIT_UNEXPECTED, error_body, exit_code

__all__ = ["DEBUG", "run"]

DEBUG = "TESSERA_DEBUG"
"""Set to anything, this environment variable shows tracebacks."""


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
        said = str(shown()).strip().rstrip(".") or "a command is missing"
        raise InputError(said, next_step=f"see: {path} --help") from error
    return code if isinstance(code, int) else 0


def _refuse(error: TesseraError, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(error_body(error)).decode() + "\n")
    sys.stderr.write(f"tessera: {error.message}\n")


def _trace() -> None:
    if os.environ.get(DEBUG):
        traceback.print_exc()
