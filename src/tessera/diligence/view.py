"""What every measure looks at: the facts as of one block, who is asked about, and what is shared.

A view is lazy. What several measures need (balances, classes of addresses, payments that go in
circles) is worked out when the first of them asks and kept; two threads that ask at once wait for
one computation. What could not be worked out says so again to everyone who asks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar, cast

from tessera.diligence.results import Window
from tessera.diligence.subject import Subject
from tessera.diligence.token import Token, read_token
from tessera.errors import TesseraError, Unprocessable
from tessera.facts import Facts, Head, Transfers

__all__ = ["View"]

_T = TypeVar("_T")
_DAYS: Final = 30


class View:
    """One token as of one block.

    Parameters
    ----------
    facts
        As of the block that is asked about.
    subject
        The token, and what is said of it.
    repository
        A folder with its git history, or the URL of one.
    prices
        A file of prices by day.
    labels
        A file of labels that is asked before the one that comes with the program.
    days
        Length of the trailing window.
    """

    def __init__(
        self,
        facts: Facts,
        subject: Subject,
        *,
        repository: str | None = None,
        prices: Path | None = None,
        labels: Path | None = None,
        days: float = _DAYS,
    ) -> None:
        self.facts = facts
        self.subject = subject
        self.repository = repository
        self.prices_file = prices
        self.labels_file = labels
        self.head: Head = facts.head
        self.window = Window.last(days, facts.head.time + 1)
        self._kept: dict[str, object] = {}
        self._locks: dict[str, threading.RLock] = {}
        self._guard = threading.Lock()

    @property
    def transfers(self) -> Transfers:
        """All transfers of the token, from the first that is known.

        Raises
        ------
        NotFound
            Nobody looked at the token.
        """
        return self.kept("transfers", lambda: self.facts.transfers(self.subject.token))

    @property
    def token(self) -> Token:
        """What the token says of itself."""
        return self.kept("token", lambda: read_token(self.facts, self.subject))

    @property
    def currencies(self) -> Mapping[str, Transfers]:
        """Transfers of each currency that users pay in, by address, of those that were looked at.

        The revenue set's currencies that are missing here are unknown, not unused.
        """
        return self.kept("currencies", self._currencies)

    def refuse_no_token(self) -> None:
        """Refuse what is certainly no token.

        Raises
        ------
        Unprocessable
            There is no code at its address.
        NotFound
            Nobody looked at it.
        """
        token = self.subject.token
        if self.facts.code(token) == b"":
            raise Unprocessable(
                f"token {token}",
                found=f"no code as of block {self.head.block}",
                wanted="a contract",
                next_step="is it on another chain? tessera diligence --rpc URL",
            )
        self.facts.coverage(token)

    def kept(self, name: str, make: Callable[[], _T]) -> _T:
        """Return what `make` makes, which is called once.

        Raises
        ------
        TesseraError
            It could not be made; the same again whenever it is asked for.
        """
        with self._guard:
            lock = self._locks.setdefault(name, threading.RLock())
        with lock:
            if name not in self._kept:
                try:
                    self._kept[name] = make()
                except TesseraError as error:
                    self._kept[name] = _Failed(error)
            found = self._kept[name]
        if isinstance(found, _Failed):
            raise found.error
        return cast("_T", found)

    def _currencies(self) -> dict[str, Transfers]:
        seen = set(self.facts.tokens())
        paid = self.subject.payments.currencies
        return {
            each.address: self.facts.transfers(each.address)
            for each in paid
            if each.address in seen
        }


class _Failed:
    """Something that could not be worked out."""

    def __init__(self, error: TesseraError) -> None:
        self.error = error
