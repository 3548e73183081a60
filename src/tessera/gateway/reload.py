"""Taking over new settings and models while calls are answered.

Prices, versions and terms come from the chain and are followed anyway; this is for what the
settings say, and for whoever does not want to wait. What a call began with, it ends with: an offer
and a runner are looked up once per call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from tessera.app import Operator
from tessera.config import SETTINGS, Config
from tessera.errors import TesseraError
from tessera.gateway.logs import FIELDS, log_as
from tessera.gateway.opening import queue_rules
from tessera.gateway.server import GatewayServer

__all__ = ["Reload"]

logger = logging.getLogger(__name__)

_OPENED_UNDER: Final = frozenset(
    {"allow_python_runners", "upstreams", "upstream_key", "upstream_calls_count"}
)
"""Settings that a runner is opened with."""


class Reload:
    """Reads the settings anew and lets the parts of a running gateway follow them.

    Parameters
    ----------
    operator, server
        What runs.
    read
        Reads the settings as the start did: flags and environment as they were, the file anew.
    """

    def __init__(
        self, operator: Operator, server: GatewayServer, read: Callable[[], Config]
    ) -> None:
        self._operator = operator
        self._server = server
        self._read = read
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def now(self) -> dict[str, Any]:
        """Follow the settings as they are now, and look at the chain and the store.

        Returns
        -------
        dict
            `changed` (name and shown value of each setting that counts from now on),
            `needs_restart` (names of those that count from the next start on), `models`, `refused`.

        Raises
        ------
        InputError, NotFound
            The settings cannot be read; everything stays as it is.
        ChainError
            The chain does not answer; the settings count, the models are as they were.
        """
        async with self._one_at_a_time:
            world = self._operator.world
            before, wanted = world.config, self._read()
            differs = [n for n in SETTINGS if getattr(before, n) != getattr(wanted, n)]
            changed = {n: getattr(wanted, n) for n in differs if SETTINGS[n].live}
            world.config = replace(before, **changed)
            self._follow(world.config)
            await self._operator.look_again(reopen=bool(_OPENED_UNDER & changed.keys()))
        shown = {row.name: row.value for row in wanted.shown()}
        return {
            "changed": {name: shown[name] for name in changed},
            "needs_restart": [name for name in differs if name not in changed],
            "models": sorted(self._operator.models),
            "refused": dict(sorted(self._operator.refused.items())),
        }

    def soon(self) -> None:
        """Do so in the background and log what came of it; for a signal."""
        task = asyncio.get_running_loop().create_task(self._told())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _told(self) -> None:
        try:
            told = await self.now()
        except TesseraError as error:
            logger.error("not reloaded: %s", error.message)  # noqa: TRY400 - it says what is wrong
        else:
            logger.info("reloaded", extra={FIELDS: told})

    def _follow(self, config: Config) -> None:
        log_as(config)
        gateway = self._server.gateway
        gateway.operations.admission.limit = config.gateway_calls_count
        gateway.paid_calls.turns.follow(queue_rules(config))
        self._server.drain_s = config.drain_s
