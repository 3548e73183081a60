"""The consumer's side: a client that opens a channel once and pays each call by itself."""

from tessera.client.consumer import Client
from tessera.client.router import Router

__all__ = ["Client", "Router"]
