"""The consumer's side: a client that opens a channel once and pays each call by itself."""

from tessera.client.consumer import Client

__all__ = ["Client"]
