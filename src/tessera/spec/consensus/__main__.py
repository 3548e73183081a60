"""`python -m tessera.spec.consensus --vectors DIR`: hold the consensus against reference vectors.

Prints a line for each file that failed, then how many passed and failed; exits 1 where one failed
and 2 where there was nothing to run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tessera.errors import TesseraError
from tessera.spec.consensus.vectors import judge_folder


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments
        Those after the program's name; None for the process's own.

    Returns
    -------
    int
        Exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tessera.spec.consensus",
        description="Hold the consensus against reference vectors.",
    )
    parser.add_argument("--vectors", type=Path, required=True, help="folder with vectors (.json)")
    passed = failed = 0
    try:
        for verdict in judge_folder(parser.parse_args(arguments).vectors):
            if verdict.passed:
                passed += 1
            else:
                failed += 1
                print(f"FAILED {verdict.name}: {verdict.reason}")  # noqa: T201
    except TesseraError as refusal:
        print(refusal.message, file=sys.stderr)  # noqa: T201
        return 2
    print(f"{passed} passed, {failed} failed")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
