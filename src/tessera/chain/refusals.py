"""What a node means when it does not take a transaction: each says it in its own words."""

from __future__ import annotations

import enum
import re
from typing import Final

from tessera.chain.jsonrpc import RpcRefused

__all__ = ["Refusal", "refusal_kind"]


class Refusal(enum.Enum):
    """Why a transaction was not taken."""

    KNOWN = "the node has this very transaction"
    NONCE_TOO_LOW = "a transaction with that nonce is mined"
    UNDERPRICED = "another transaction with that nonce waits and offers as much"
    UNFUNDED = "the account cannot pay"
    OTHER = "something else"


# geth, anvil (reth), erigon, nethermind and besu differ.
_WORDS: Final = {
    Refusal.KNOWN: "already known|already imported|known transaction|already exists|alreadyknown",
    Refusal.NONCE_TOO_LOW: "nonce too low|nonce is too low|oldnonce|nonce below",
    Refusal.UNDERPRICED: "replacement.*underpriced|could not replace|underpriced.*replace|"
    "not enough to replace|too low to replace",
    Refusal.UNFUNDED: "insufficient funds|insufficient balance|insufficientfunds|upfront cost",
}


def refusal_kind(refused: RpcRefused) -> Refusal:
    """Return what the node meant."""
    said = refused.said.lower()
    return next((kind for kind, words in _WORDS.items() if re.search(words, said)), Refusal.OTHER)
