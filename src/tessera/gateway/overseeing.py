"""An operator's gateway as those see it who run it: what is looked at, and where that is known."""

from __future__ import annotations

import logging
import time
from typing import Final

from tessera.app import Operator
from tessera.errors import DataError
from tessera.gateway.admission import Admission
from tessera.gateway.health import (
    books_are_written,
    chain_answers,
    clock_agrees,
    disk_has_room,
    no_other_gateway,
)
from tessera.gateway.metrics import Gauge
from tessera.gateway.operations import Operations
from tessera.serving.turns import Turns

__all__ = ["oversee"]

logger = logging.getLogger(__name__)

_DUES_S: Final = 30.0


def oversee(operator: Operator, turns: Turns) -> Operations:
    """Return what those who run an operator's gateway look at.

    Parameters
    ----------
    operator
        Whose gateway.
    turns
        The queues before its models.
    """
    config = operator.world.config
    operations = Operations(
        admission=Admission(config.gateway_calls_count), show_metrics=config.metrics
    )
    operations.readiness.add(
        disk_has_room(config.data_dir),
        books_are_written(lambda: operator.ledger.failure),
        no_other_gateway(lambda: operator.ledger.others),
        chain_answers(lambda: operator.chain_seen_at, config.settle_every_s / 2),
        clock_agrees(lambda: operator.chain_ahead_s),
    )
    operator.ledger.on_batch(operations.metrics.batch)
    dues = _Dues(operator)
    operations.look_up = dues.look
    operations.metrics.page.add(
        Gauge(
            "tessera_calls_in_flight",
            "Calls reserved and not ended.",
            lambda: operator.ledger.in_flight,
        ),
        Gauge("tessera_queue_waiting", "Calls that wait for a model.", lambda: turns.waiting),
        Gauge(
            "tessera_keys_refused_total",
            "Calls that an API key was not allowed to make.",
            lambda: operator.ledger.keys.refused,
            kind="counter",
        ),
        Gauge(
            "tessera_due_base_units",
            "Base units charged and not settled, half a minute ago at most.",
            lambda: dues.units,
        ),
        Gauge(
            "tessera_due_channels",
            "Channels with something due, half a minute ago at most.",
            lambda: dues.channels,
        ),
        Gauge(
            "tessera_at_stake_base_units",
            "Base units served, or in flight, and not final on the chain.",
            lambda: operator.ledger.exposures.total,
        ),
        Gauge(
            "tessera_x402_due_base_units",
            "Base units charged on x402 channels and not claimed, half a minute ago at most.",
            lambda: dues.x402,
        ),
        Gauge("tessera_models", "Models served.", lambda: len(operator.models)),
        Gauge("tessera_models_refused", "Models not served.", lambda: len(operator.refused)),
    )
    return operations


class _Dues:
    """What is due, as the books have it; read again where it is older than half a minute."""

    def __init__(self, operator: Operator) -> None:
        self.units = self.channels = self.x402 = 0
        self._operator = operator
        self._read_at = -_DUES_S

    async def look(self) -> None:
        """Read the books if it is time."""
        now = time.monotonic()
        if now - self._read_at < _DUES_S:
            return
        self._read_at = now
        try:
            claims = await self._operator.ledger.claims()
            self.x402 = await self._operator.x402_due()
        except DataError as error:
            # The other counters say that the books are in trouble; they must be readable now.
            logger.warning("what is due cannot be read: %s", error.message)
            return
        self.units, self.channels = sum(claim.due for claim in claims), len(claims)
