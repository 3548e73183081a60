"""What those who run a gateway need of it, in one place: counters, health, admission, the end."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import resource
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from tessera.gateway.admission import Admission
from tessera.gateway.draining import Drain
from tessera.gateway.health import Readiness
from tessera.gateway.logs import FIELDS
from tessera.gateway.messages import Scope
from tessera.gateway.metrics import GatewayMetrics, Gauge

__all__ = ["Operations", "from_this_machine"]

logger = logging.getLogger(__name__)

_TICK_S: Final = 0.5
_LAGS_KEPT: Final = 30
_SUMMARY_TICKS: Final = 120
_OTHER_FILES: Final = 512
_FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"})


def _room_for_connections() -> int:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(files // 2, files - _OTHER_FILES)


@dataclass(slots=True)
class Operations:
    """The gateway as its operator sees it.

    Attributes
    ----------
    metrics
        What it counts.
    readiness
        Whether it should be sent calls.
    admission
        How many it has in hand.
    drain
        Whether it ends.
    show_metrics
        Whether `/metrics` answers, to this machine.
    most_connections
        Open at the same time; further ones are told to come back. Beyond what the system allows,
        neither books nor chain could be reached any more.
    look_up
        What must be looked up before the counters are shown, because nobody has it at hand.
    lag_s
        The longest that the event loop was late in the last quarter of a minute.
    """

    metrics: GatewayMetrics = field(default_factory=GatewayMetrics)
    readiness: Readiness = field(default_factory=Readiness)
    admission: Admission = field(default_factory=lambda: Admission(512))
    drain: Drain = field(default_factory=Drain)
    show_metrics: bool = True
    most_connections: int = field(default_factory=_room_for_connections)
    look_up: Callable[[], Awaitable[None]] | None = None
    _lags: deque[float] = field(default_factory=lambda: deque(maxlen=_LAGS_KEPT))
    _told: dict[tuple[str, ...], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.readiness.add(self.drain.obstacle)
        self.metrics.page.add(
            Gauge(
                "tessera_calls_in_hand",
                "Calls let in and not ended.",
                lambda: self.admission.in_hand,
            ),
            Gauge(
                "tessera_calls_in_hand_limit",
                "Beyond so many, calls are refused with 429.",
                lambda: self.admission.limit,
            ),
            Gauge(
                "tessera_admission_refused_total",
                "Calls refused for that, before being read.",
                lambda: self.admission.refused,
                kind="counter",
            ),
            Gauge(
                "tessera_loop_lag_seconds",
                "How late the event loop was, at most, lately.",
                lambda: self.lag_s,
            ),
            Gauge(
                "tessera_ready",
                "Whether /readyz says yes.",
                lambda: 0 if self.readiness.obstacles() else 1,
            ),
        )

    async def page(self) -> bytes:
        """Return what Prometheus reads."""
        if self.look_up is not None:
            await self.look_up()
        return self.metrics.page.text()

    @property
    def lag_s(self) -> float:
        """The longest that the event loop was late in the last quarter of a minute."""
        return max(self._lags, default=0.0)

    async def watch(self) -> None:
        """Measure the loop's lag, and sum up refusals in the log, until cancelled."""
        ticks = 0
        while True:
            begun = time.monotonic()
            await asyncio.sleep(_TICK_S)
            self._lags.append(max(0.0, time.monotonic() - begun - _TICK_S))
            ticks += 1
            if ticks % _SUMMARY_TICKS == 0:
                self.tell()

    def tell(self) -> None:
        """Log how many calls were refused since this was last told, by code."""
        now = self.metrics.refused.by_labels()
        now[("too_busy",)] = now.get(("too_busy",), 0) + self.admission.refused
        news = {
            code: count - self._told.get((code,), 0)
            for (code,), count in sorted(now.items())
            if count > self._told.get((code,), 0)
        }
        self._told = now
        if news:
            logger.info("calls refused in the last minute", extra={FIELDS: news})


def from_this_machine(scope: Scope) -> bool:
    """Tell whether a request comes from a process of this machine, and is nobody else's.

    A proxy on this machine passes on what strangers send, and says so in a header.
    """
    client = scope.get("client")
    if not client:
        return False
    try:
        near = ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False
    return near and not any(name in _FORWARDED for name, _ in scope["headers"])
