"""A gateway on a real chain, and a real OpenAI-compatible server."""

from __future__ import annotations

from tests.integration.client.conftest import stand, world

__all__ = ["stand", "world"]
