"""The command line: parse, call a room, present. No rule lives here."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run `tessera` with this process's arguments, and exit with the code of the outcome."""
    try:
        from tessera.cli.running import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        # Before anything was begun there is nothing to end.
        code = 130
    sys.exit(code)
