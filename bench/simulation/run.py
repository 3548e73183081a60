"""One simulation from the first faucet to the last claim."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.simulation import actors, closing, keepers
from bench.simulation.books import Books
from bench.simulation.closing import Remainder
from bench.simulation.market import Market

EVERY = 100
"""Steps between two comparisons of all accounts, and between two turns of the keepers' five."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run was, and what it left."""

    market: Market
    steps: int
    transactions: int
    seconds: float
    compared: int
    obligations: int
    remainders: list[Remainder]


class Simulation:
    """A market with its books, one step at a time."""

    def __init__(self, *, actors: int, steps: int, seed: int) -> None:
        self.steps = steps
        self.done = 0
        self.market = Market(actors, steps, seed)
        self.books = Books(self.market)
        self.books.check()

    def step(self) -> None:
        """Let one actor take a turn, keepers do what is due, and check every promise.

        Raises
        ------
        InvariantViolation
            A promise is broken.
        """
        market = self.market
        self.done += 1
        market.evm.pass_time(1 + int(market.rng.expovariate(1 / market.pace)))
        actors.act(market, market.rng.choice(market.people))
        if self.done % (EVERY // 5) == 0:
            keepers.keep(market)
        self.books.check()
        if self.done % EVERY == 0:
            market.ledger.check_all()

    def finish(self) -> list[Remainder]:
        """Let everybody leave, and name what is left.

        Raises
        ------
        InvariantViolation
            A promise is broken, or the books do not close.
        """
        closing.leave(self.market)
        self.books.check()
        self.market.ledger.check_all()
        return closing.remainders(self.market)


def simulate(*, actors: int, steps: int, seed: int, progress: Progress | None = None) -> Outcome:
    """Run a whole simulation.

    Raises
    ------
    InvariantViolation
        A promise is broken.
    """
    begun = time.perf_counter()
    simulation = Simulation(actors=actors, steps=steps, seed=seed)
    for number in range(steps):
        simulation.step()
        if progress is not None:
            progress(number)
    left = simulation.finish()
    market = simulation.market
    return Outcome(
        market=market,
        steps=steps,
        transactions=len(market.evm.transactions),
        seconds=time.perf_counter() - begun,
        compared=market.ledger.compared,
        obligations=simulation.books.checked,
        remainders=left,
    )
