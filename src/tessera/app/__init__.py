"""Where everything is built and joined: a chain with our contracts, keys, bundles, an operator.

`open_world` is what `tessera up` and the demo stand on; `connect` is for whoever comes to a world
that runs already. Nothing else builds these parts.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tessera.app.control import ask_supervisor
    from tessera.app.operator import Operator, ServedModel, operate
    from tessera.app.running import Running, find_running
    from tessera.app.settling import (
        claims_json,
        due_from_books,
        income_json,
        proofs_json,
        prove_from_books,
        report_json,
        send_income_on,
        settle_from_books,
        waiting_income,
    )
    from tessera.app.upstreams import choose_model, find_upstreams, write_upstream_bundle
    from tessera.app.world import Currency, World, connect, open_world
    from tessera.app.x402 import claim_from_books, x402_due_from_books

__all__ = [
    "Currency",
    "Operator",
    "Running",
    "ServedModel",
    "World",
    "ask_supervisor",
    "choose_model",
    "claim_from_books",
    "claims_json",
    "connect",
    "due_from_books",
    "find_running",
    "find_upstreams",
    "income_json",
    "open_world",
    "operate",
    "proofs_json",
    "prove_from_books",
    "report_json",
    "send_income_on",
    "settle_from_books",
    "waiting_income",
    "write_upstream_bundle",
    "x402_due_from_books",
]

_HOMES: Final = {
    "Currency": "tessera.app.world",
    "Operator": "tessera.app.operator",
    "Running": "tessera.app.running",
    "ServedModel": "tessera.app.operator",
    "World": "tessera.app.world",
    "ask_supervisor": "tessera.app.control",
    "choose_model": "tessera.app.upstreams",
    "connect": "tessera.app.world",
    "due_from_books": "tessera.app.settling",
    "find_running": "tessera.app.running",
    "find_upstreams": "tessera.app.upstreams",
    "claim_from_books": "tessera.app.x402",
    "x402_due_from_books": "tessera.app.x402",
    "claims_json": "tessera.app.settling",
    "income_json": "tessera.app.settling",
    "open_world": "tessera.app.world",
    "operate": "tessera.app.operator",
    "proofs_json": "tessera.app.settling",
    "prove_from_books": "tessera.app.settling",
    "report_json": "tessera.app.settling",
    "send_income_on": "tessera.app.settling",
    "settle_from_books": "tessera.app.settling",
    "waiting_income": "tessera.app.settling",
    "write_upstream_bundle": "tessera.app.upstreams",
}


def __getattr__(name: str) -> Any:
    # A command that only reads the chain needs no runner, no database and no node.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
