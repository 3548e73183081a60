"""A child process that trains: ``python -m tessera.app.trainer PARENT PROGRAM CALLABLE``.

Reads one JSON line per coalition from stdin and answers each with one on what was its stdout:
``{"parts": [...], "seed": 7}`` with ``{"score": 0.93}`` or ``{"failure": "..."}``. What the
program itself prints goes to stderr. It ends with the process PARENT.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import sys
from pathlib import Path
from typing import Any


def _main(parent: str, program: str, callable_name: str) -> None:
    from tessera.serving.runners.cage import die_with_parent

    die_with_parent(int(parent))
    with os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8") as answers:
        os.dup2(2, 1)
        try:
            score = _loaded(Path(program), callable_name)
        except Exception as error:  # noqa: BLE001 - the publisher's program may raise anything
            print(json.dumps({"failure": _told(error)}), file=answers)
            return
        print(json.dumps({"ready": True}), file=answers)
        for line in sys.stdin:
            asked = json.loads(line)
            try:
                found = float(score(asked["parts"], asked["seed"]))
                answer: dict[str, object] = {"score": found}
                if not math.isfinite(found):
                    answer = {"failure": f"returned {found}, which is no score"}
            except Exception as error:  # noqa: BLE001 - the same
                answer = {"failure": _told(error)}
            print(json.dumps(answer), file=answers)


def _loaded(program: Path, callable_name: str) -> Any:
    sys.path.insert(0, str(program.parent))
    spec = importlib.util.spec_from_file_location(program.stem, program)
    if spec is None or spec.loader is None:
        raise ImportError(f"{program.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[program.stem] = module
    spec.loader.exec_module(module)
    return getattr(module, callable_name)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:400]


if __name__ == "__main__":
    _main(*sys.argv[1:])
