"""Tessera: publish a model, own it in shares, pay per call, and let the chain pay every owner.

Names are loaded when first used, so `import tessera` costs next to nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tessera.client import Client, Router
    from tessera.config import Config, load_config
    from tessera.errors import TesseraError

__all__ = ["Client", "Config", "Router", "TesseraError", "__version__", "load_config"]

__version__ = "0.1.0"

# ONNX Runtime reports to its makers unless it is told not to before it is imported; nobody who runs
# a model here agreed to that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {
    "Client": "tessera.client",
    "Config": "tessera.config",
    "Router": "tessera.client",
    "TesseraError": "tessera.errors",
    "load_config": "tessera.config",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tessera' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
