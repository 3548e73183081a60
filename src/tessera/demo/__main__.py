"""``python -m tessera.demo``: the demo without the rest of the command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tessera.demo import REPORT, run
from tessera.errors import TesseraError
from tessera.presenting import EXIT_INTERRUPTED, exit_code


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tessera.demo", description=__doc__)
    parser.add_argument("--data", type=Path, help="keep everything in this folder")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the report goes")
    parser.add_argument("--calls", type=int, default=2_000, help="paid calls in all")
    given = parser.parse_args()
    try:
        return run(data=given.data, keep=given.keep, report=given.report, calls=given.calls)
    except TesseraError as error:
        sys.stderr.write(f"error: {error}\n")
        return exit_code(error)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
