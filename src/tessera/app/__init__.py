"""Where everything is built and joined: a chain with our contracts, keys, bundles, an operator.

`open_world` is what `tessera up` and the demo stand on; `connect` is for whoever comes to a world
that runs already. Nothing else builds these parts.
"""

from tessera.app.control import ask_supervisor
from tessera.app.operator import Operator, ServedModel, operate
from tessera.app.running import Running, find_running
from tessera.app.world import Currency, World, connect, open_world

__all__ = [
    "Currency",
    "Operator",
    "Running",
    "ServedModel",
    "World",
    "ask_supervisor",
    "connect",
    "find_running",
    "open_world",
    "operate",
]
