"""A gateway on a real chain, behind whose name a test puts what model it likes."""

from __future__ import annotations

from tests.integration.client.conftest import stand, world

__all__ = ["stand", "world"]
