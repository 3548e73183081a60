"""What `python -m tessera.contracts.build` and `.generate` share: write, or `--check` and say."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from tessera.errors import TesseraError

__all__ = ["write_or_check"]


def write_or_check(
    module: str,
    folder: str,
    should_be: str,
    work: Callable[[bool], Sequence[str]],
    arguments: Sequence[str] | None,
) -> int:
    """Run one of the two; return the exit code.

    Parameters
    ----------
    module, folder, should_be
        For messages: the program, where its files are, and what these should say.
    work
        Told whether only to check; returns the names of files that differ or differed.
    arguments
        Of the command line; the process's own where None.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given not in ([], ["--check"]):
        print(f"usage: python -m {module} [--check]", file=sys.stderr)  # noqa: T201
        return 2
    try:
        changed = work(bool(given))
    except TesseraError as error:
        print(error.message, file=sys.stderr)  # noqa: T201
        return 1
    for name in changed:
        if given:
            print(f"{folder}/{name}: not what {should_be}; run `make contracts`", file=sys.stderr)  # noqa: T201
        else:
            print(f"{folder}/{name}: written")  # noqa: T201
    return 1 if given and changed else 0
