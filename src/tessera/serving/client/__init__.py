"""An HTTP/1.1 client for upstreams: pooled, bounded, and without a task per request.

General clients cost about a millisecond of CPU per request, ten times what a whole paid call may
(`docs/adr/0058-fast-door-and-own-client.md`). This one speaks to one server that is named by the
operator and trusted with nothing: heads, bodies, wrapping and time are bounded, no redirect is
followed, no compressed answer is taken, and a byte out of turn ends the connection.
"""

from __future__ import annotations

from tessera.serving.client.connection import Receiver
from tessera.serving.client.exchange import Exchange
from tessera.serving.client.pool import HttpClient

__all__ = ["Exchange", "HttpClient", "Receiver"]
