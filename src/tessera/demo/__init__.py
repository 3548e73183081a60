"""The whole thread on one machine: models, owners, paid calls, revenue, and books that balance.

`run` is `make demo`; `populate` fills a world that keeps running, for `tessera up --demo`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tessera.demo.playing import REPORT, populate, run
    from tessera.demo.stage import demo_settings

__all__ = ["REPORT", "demo_settings", "populate", "run"]

_HOMES: Final = {
    "REPORT": "tessera.demo.playing",
    "demo_settings": "tessera.demo.stage",
    "populate": "tessera.demo.playing",
    "run": "tessera.demo.playing",
}


def __getattr__(name: str) -> Any:
    # A process that only trains one model does not need the chain, the gateway and the clients.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
