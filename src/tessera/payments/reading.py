"""An operator's books, read beside the process that writes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self, TypeVar

from sqlalchemy import Connection, Engine

from tessera.errors import NotFound
from tessera.payments import books
from tessera.payments.account import Account
from tessera.payments.header import SignedReceipt
from tessera.payments.ledger import Claim
from tessera.payments.ports import OrderProof
from tessera.spec.signatures import Address, Domain
from tessera.storage.engine import open_database, storage_errors

__all__ = ["BooksReader"]

T = TypeVar("T")

_FOLDED_AT_ONCE: Final = 4_096


class BooksReader:
    """What a command needs while a gateway runs, or none does; writes nothing.

    A `Settler` takes it in a ledger's place: what it settles, the ledger sees on the chain.

    Parameters
    ----------
    engine
        The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    async def open(cls, path: Path, domain: Domain, operator: Address) -> Self:
        """Open books that are there.

        Raises
        ------
        NotFound
            There are none.
        WrongChain
            They are another operator's, or of another chain or contract.
        """
        if not await asyncio.to_thread(path.exists):
            raise NotFound(
                f"books {path}",
                found="no such file",
                wanted="the books of a gateway",
                next_step="start the gateway once, or name its data folder",
            )
        engine = await asyncio.to_thread(open_database, path)
        with storage_errors("books"), engine.begin() as connection:
            books.claim_domain(connection, domain, operator)
        return cls(engine)

    async def claims(self) -> list[Claim]:
        """Return all that is charged and not settled, in ascending order of channels."""
        found = await self._read(books.load_unsettled)
        return [Claim(voucher, charged, due) for voucher, charged, due in found]

    async def receipt(self, name: str) -> SignedReceipt | None:
        """Return a receipt by its id."""
        return await self._read(lambda connection: books.load_receipt(connection, name))

    async def account(self, channel: int) -> Account:
        """Return a channel as the books have it; empty where they do not know it."""
        return await self._read(lambda connection: books.load_account(connection, channel))

    async def look_at_chain(self, channels: Sequence[int]) -> list[Account]:
        """Return the channels as the books have them: only the ledger reads the chain."""
        return [await self.account(channel) for channel in channels]

    async def proofs(self) -> list[OrderProof]:
        """Return what would prove the orders that were served, the most urgent first."""
        return await self._read(books.load_proofs)

    async def look_up(self, query: Callable[[Connection], T]) -> T:
        """Read rows that are no calls."""
        return await self._read(query)

    async def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    async def _read(self, query: Callable[[Connection], T]) -> T:
        def work() -> T:
            with storage_errors("books"), self._engine.connect() as connection:
                # Seen by the query, and taken back with its transaction.
                while books.fold(connection, _FOLDED_AT_ONCE):
                    pass
                return query(connection)

        return await asyncio.to_thread(work)
