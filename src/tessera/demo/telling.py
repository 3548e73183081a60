"""What the audience sees: one line per step with the time it took, and a bar while it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.rule import Rule

from tessera.units import SHARE_DECIMALS

__all__ = ["Narrator", "Step", "whole"]

_SHORTEST_SHOWN_S = 0.05
_PLAIN_REPORTS = 4


def whole(amount: int) -> str:
    """Tell raw shares as whole ones, to the nearest: the tables at the end are exact."""
    return f"{(amount + 10**SHARE_DECIMALS // 2) // 10**SHARE_DECIMALS:,}"


class Step:
    """One step while it is taken.

    Attributes
    ----------
    note
        Said behind the title once it is done.
    """

    def __init__(self, advance: Callable[[int], None], announce: Callable[[str], None]) -> None:
        self.note = ""
        self._advance = advance
        self._announce = announce

    def advance(self, count: int = 1) -> None:
        """Say that so much more of the total is done."""
        self._advance(count)

    def announce(self, text: str) -> None:
        """Say what is being done now."""
        self._announce(text)


class Narrator:
    """Tells the story on a console.

    Parameters
    ----------
    console
        Where to. One that is no terminal gets plain lines.
    clock
        Monotonic seconds.

    Attributes
    ----------
    timings
        Seconds by title of step, in order.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self.timings: dict[str, float] = {}
        self._clock = clock

    def chapter(self, title: str) -> None:
        """Begin a new part of the story."""
        if self.console.is_terminal:
            self.console.print()
            self.console.print(Rule(title, align="left", style="dim"))
        else:
            self.console.print(f"\n== {title}", markup=False, highlight=False)

    def say(self, text: str) -> None:
        """Say a sentence."""
        self.console.print(f"           {text}", markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Step]:
        """Show that something takes time, and how long it took.

        Parameters
        ----------
        title
            What is done; unique in one story.
        total
            Of how many parts, if that is known.
        """
        begun = self._clock()
        shown = self._bar if self.console.is_terminal else self._plain
        with shown(title, total) as step:
            yield step
        took = self._clock() - begun
        self.timings[title] = round(took, 3)
        time_shown = f"{took:7.1f} s" if took >= _SHORTEST_SHOWN_S else "      ·  "
        note = f": {step.note}" if step.note else ""
        self.console.print(
            f"{time_shown}  {title}{note}", markup=False, highlight=False, soft_wrap=True
        )

    @contextmanager
    def _bar(self, title: str, total: int | None) -> Iterator[Step]:
        columns = [SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()]
        if total is not None:
            columns[2:2] = [BarColumn(), MofNCompleteColumn()]
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(title, total=total)

            def announce(text: str) -> None:
                progress.update(task, description=f"{title}: {text}")

            yield Step(lambda count: progress.advance(task, count), announce)

    @contextmanager
    def _plain(self, title: str, total: int | None) -> Iterator[Step]:
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            before, done = done, done + count
            if total is None or total < _PLAIN_REPORTS:
                return
            part = total / _PLAIN_REPORTS
            if done < total and before // part != done // part:
                self.say(f"... {title}: {done} of {total}")

        yield Step(advance, lambda _: None)
