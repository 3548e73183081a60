"""A payer's side of the chain: one connection, one sender and one budget for all its channels."""

from __future__ import annotations

import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from tessera.chain.deployments import Deployment
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.chain.wallet import Account
from tessera.client.background import BackgroundLoop
from tessera.errors import PaymentRequired
from tessera.payments.onchain import ConsumerOnChain
from tessera.spec.signatures import Address

__all__ = ["Budget", "PayingSide"]

T = TypeVar("T")


class Budget:
    """Bounds what goes into channels, however many are opened at once.

    Parameters
    ----------
    most
        Base units of the currency; None for no bound.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._spent = 0
        self._lock = threading.Lock()

    @property
    def spent(self) -> int:
        """What went into channels since the start, base units."""
        return self._spent

    def take(self, amount: int) -> None:
        """Set an amount aside.

        Raises
        ------
        PaymentRequired
            There is not so much left.
        """
        with self._lock:
            if self._most is not None and self._spent + amount > self._most:
                raise PaymentRequired(
                    "budget for channels",
                    found=f"{self._most - self._spent} base units left",
                    wanted=f"{amount}",
                    next_step="allow more: --budget; or less per channel: --deposit",
                )
            self._spent += amount

    def give_back(self, amount: int) -> None:
        """Take back what was set aside and not used."""
        with self._lock:
            self._spent -= amount


class PayingSide:
    """What several clients of one payer share, so that its transactions keep their order.

    Parameters
    ----------
    account
        The payer.
    deployment
        Where the contracts are.
    rpc_url
        JSON-RPC of the chain.
    budget
        For all channels together.
    """

    def __init__(
        self, account: Account, deployment: Deployment, rpc_url: str, budget: Budget | None = None
    ) -> None:
        self.account = account
        self.deployment = deployment
        self.budget = budget or Budget()
        self._rpc_url = rpc_url
        self._loop = BackgroundLoop()
        self._lock = threading.Lock()
        self._chain: tuple[ChainReader, Sender] | None = None

    @property
    def reader(self) -> ChainReader:
        """The connection; only to be used by what `submit` runs."""
        return self._opened()[0]

    def toward(self, operator: Address) -> ConsumerOnChain:
        """Return the payer's side of its channels toward one operator."""
        reader, sender = self._opened()
        return ConsumerOnChain(reader, sender, self.deployment, operator)

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start what uses the chain; its result can be waited for from any thread or loop."""
        return self._loop.submit(work)

    def close(self) -> None:
        """Close the connection. Twice is once."""
        with self._lock:
            chain, self._chain = self._chain, None
        if chain is not None:
            reader, sender = chain
            self._loop.submit(sender.close()).result()
            self._loop.submit(reader.close()).result()
        self._loop.close()

    def _opened(self) -> tuple[ChainReader, Sender]:
        with self._lock:
            if self._chain is None:
                reader = ChainReader(self._rpc_url, chain_id=self.deployment.chain_id)
                faucet = f"tessera account faucet {self.account.address}"
                self._chain = (
                    reader,
                    Sender(reader, self.account, how_to_fund=faucet)
                    if self.deployment.has_faucet
                    else Sender(reader, self.account),
                )
            return self._chain
