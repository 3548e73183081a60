"""Transactions that wait to be mined: by sender and nonce, first come first served."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tessera.chain.transactions import SignedTransaction, TransactionRefused
from tessera.errors import QuotaExceeded

__all__ = ["TransactionPool"]

_MOST_WAITING: Final = 20_000
_MOST_WAITING_BYTES: Final = 64 << 20
_MOST_PER_SENDER: Final = 4_096
# What other nodes ask for before they replace a transaction.
_REPLACEMENT_RAISE_PERCENT: Final = 10


@dataclass(slots=True)
class _Account:
    waiting: dict[int, SignedTransaction] = field(default_factory=dict)
    arrivals: dict[int, int] = field(default_factory=dict)


class TransactionPool:
    """Waiting transactions; no I/O, no clock."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self._by_hash: dict[str, SignedTransaction] = {}
        self._being_mined: set[str] = set()
        self._arrived = 0
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._by_hash)

    def __iter__(self) -> Iterator[SignedTransaction]:
        return iter(tuple(self._by_hash.values()))

    def get(self, tx_hash: str) -> SignedTransaction | None:
        """Return the waiting transaction with that hash, or None."""
        return self._by_hash.get(tx_hash)

    def add(self, transaction: SignedTransaction) -> SignedTransaction | None:
        """Let a transaction wait, perhaps in place of another.

        Returns
        -------
        SignedTransaction or None
            The one with the same sender and nonce that it replaced.

        Raises
        ------
        TransactionRefused
            Another with the same nonce waits and this one does not pay 10 % more, or the other is
            being mined at this moment.
        QuotaExceeded
            Too many wait.
        """
        account = self._accounts.setdefault(transaction.sender, _Account())
        former = account.waiting.get(transaction.nonce)
        if former is not None:
            self._check_replacement(former, transaction)
            del self._by_hash[former.hash]
            self._bytes -= len(former.raw)
        elif (
            len(self._by_hash) >= _MOST_WAITING
            or self._bytes + len(transaction.raw) > _MOST_WAITING_BYTES
            or len(account.waiting) >= _MOST_PER_SENDER
        ):
            if not account.waiting:
                del self._accounts[transaction.sender]
            raise QuotaExceeded(
                "txpool is full: waiting transactions",
                found=f"{len(self._by_hash)}, {len(account.waiting)} of them by this sender",
                wanted=f"at most {_MOST_WAITING}, {_MOST_PER_SENDER} by one sender",
                next_step="send it again when others are mined; fill gaps in the nonces",
            )
        else:
            # A replacement keeps its place in the queue.
            self._arrived += 1
            account.arrivals[transaction.nonce] = self._arrived
        account.waiting[transaction.nonce] = transaction
        self._by_hash[transaction.hash] = transaction
        self._bytes += len(transaction.raw)
        return former

    def remove(self, transaction: SignedTransaction) -> None:
        """Forget a transaction, mined or refused; without effect where it does not wait."""
        if self._by_hash.pop(transaction.hash, None) is None:
            return
        self._bytes -= len(transaction.raw)
        self._being_mined.discard(transaction.hash)
        account = self._accounts[transaction.sender]
        del account.waiting[transaction.nonce], account.arrivals[transaction.nonce]
        if not account.waiting:
            del self._accounts[transaction.sender]

    def next_nonce(self, sender: str, mined: int) -> int:
        """Return the first nonce from `mined` on with which nothing of `sender` waits."""
        account = self._accounts.get(sender)
        while account is not None and mined in account.waiting:
            mined += 1
        return mined

    def executable(
        self, mined: Callable[[str], int], *, gas_limit: int, at_most: int
    ) -> list[SignedTransaction]:
        """Return what the next block can hold, in order.

        Parameters
        ----------
        mined
            Number of transactions of a sender in the chain, which is its next nonce.
        gas_limit
            Of a block; the sum of the transactions' limits stays below it.
        at_most
            How many.

        Returns
        -------
        list
            Ordered by arrival, except that a sender's nonces ascend.
        """
        heads = []
        for sender, account in self._accounts.items():
            nonce = mined(sender)
            if nonce in account.waiting:
                heads.append((account.arrivals[nonce], nonce, sender))
        heapq.heapify(heads)
        chosen: list[SignedTransaction] = []
        gas = 0
        while heads and len(chosen) < at_most:
            _, nonce, sender = heapq.heappop(heads)
            account = self._accounts[sender]
            transaction = account.waiting[nonce]
            gas += transaction.gas
            if gas > gas_limit:
                break
            chosen.append(transaction)
            if nonce + 1 in account.waiting:
                heapq.heappush(heads, (account.arrivals[nonce + 1], nonce + 1, sender))
        return chosen

    def mark_being_mined(self, transactions: list[SignedTransaction]) -> None:
        """Allow no replacement of these; an empty list allows all replacements again."""
        self._being_mined = {transaction.hash for transaction in transactions}

    def _check_replacement(self, former: SignedTransaction, latter: SignedTransaction) -> None:
        if former.hash in self._being_mined:
            raise TransactionRefused(
                "replacement transaction refused: nonce",
                found=latter.nonce,
                wanted="one that is not being mined",
            )
        fee, tip = (
            -(-value * (100 + _REPLACEMENT_RAISE_PERCENT) // 100)
            for value in (former.max_fee, former.max_priority_fee)
        )
        if latter.max_fee < fee or latter.max_priority_fee < tip:
            raise TransactionRefused(
                "replacement transaction underpriced: fee and priority fee",
                found=f"{latter.max_fee} and {latter.max_priority_fee} wei",
                wanted=f"at least {fee} and {tip} wei",
                next_step=f"raise both, or wait for {former.hash}",
            )
