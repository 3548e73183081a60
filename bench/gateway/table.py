"""The figures side by side, and which goals they meet: for people, and for `bench/README.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rich.console import Console
from rich.table import Table

from bench.gateway.rounds import Figures

_PER_S = 1e6


class Who(StrEnum):
    """Whose figures these are."""

    PAID = "Tessera, every call paid, logged with fsync, receipted"
    UNPAID = "Tessera, the same without payment"
    NGINX = "nginx, bare reverse proxy"
    PORTKEY = "Portkey 1.15.2, unpaid"
    X402 = "x402's official FastAPI middleware 2.25.0, vouchers"
    LITELLM = "LiteLLM proxy 1.106.2, unpaid"
    STREAM_PAID = "Tessera, 100 chunks streamed, paid"
    STREAM_NGINX = "nginx, 100 chunks streamed"


@dataclass(frozen=True, slots=True)
class Goal:
    """How our paid calls have to stand beside a peer.

    Parameters
    ----------
    peer
        Beside whom.
    least
        Our rate as a multiple of the peer's, at least. A goal is met by the core that each call
        takes, or by the rates where the peer's core was busy: one that waits for the load, or for
        its turn on a machine that others use, could have answered more.
    """

    peer: Who
    least: float


GOALS = (
    Goal(Who.LITELLM, 60),
    Goal(Who.X402, 40),
    Goal(Who.PORTKEY, 8),
    Goal(Who.NGINX, 1 / 8),
)
BUSY = 0.8
"""Part of its core that a server must have used for its rate to be its own, and not the load's."""

STREAM_MOST = 2.0
"""A stream takes at most so much of a core as nginx's."""

AIM = "aim: 8,000 paid calls/s, p99 10 ms, 70 us a call over our own unpaid (printed, not gated)"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one goal is met.

    Parameters
    ----------
    text
        What was compared, found and wanted.
    met
        Whether it is.
    """

    text: str
    met: bool


def verdicts(figures: Mapping[Who, Figures], *, rates: bool) -> list[Verdict]:
    """Judge what can be judged: a peer that is not here is no goal met and none missed."""
    found = []
    ours = figures.get(Who.PAID)
    for goal in GOALS:
        peer = figures.get(goal.peer)
        if ours is None or peer is None:
            continue
        by_rate, by_core = ours.per_s / peer.per_s, peer.cpu_us / ours.cpu_us
        counts = rates and _busy(peer) >= BUSY
        met = (counts and by_rate >= goal.least) or by_core >= goal.least
        waited = "" if counts else f" (not counted: its core was {_busy(peer):.0%} busy)"
        found.append(
            Verdict(
                f"{goal.peer.partition(',')[0]}: {by_core:.3g}x by core, {by_rate:.3g}x by rate"
                f"{waited}, wanted {goal.least:.3g}x",
                met,
            )
        )
    streamed, passed = figures.get(Who.STREAM_PAID), figures.get(Who.STREAM_NGINX)
    if streamed is not None and passed is not None:
        ratio = streamed.cpu_us / passed.cpu_us
        found.append(
            Verdict(
                f"a stream's core beside nginx's: {ratio:.2f}x, wanted {STREAM_MOST:g}x at most",
                ratio <= STREAM_MOST,
            )
        )
    return found


def notes(figures: Mapping[Who, Figures]) -> list[str]:
    """Say what is printed and not gated."""
    paid, unpaid = figures.get(Who.PAID), figures.get(Who.UNPAID)
    if paid is None or unpaid is None:
        return []
    over = paid.cpu_us - unpaid.cpu_us
    return [
        f"{AIM}; found {paid.per_s:,.0f}/s, p99 {paid.p99_ms:.1f} ms, {over:.0f} us",
    ]


def _busy(figures: Figures) -> float:
    return figures.per_s * figures.cpu_us / _PER_S


def _cells(figures: Figures) -> tuple[str, ...]:
    return (
        f"{figures.per_s:,.0f}",
        f"{figures.p50_ms:.1f}",
        f"{figures.p99_ms:.1f}",
        f"{figures.cpu_us:,.0f}",
        f"{_busy(figures):.0%}",
    )


_HEADS = ("calls/s", "p50 ms", "p99 ms", "CPU us", "of a core")


def show(
    console: Console,
    figures: Mapping[Who, Figures],
    found: Sequence[Verdict],
    told: Sequence[str],
) -> None:
    """Print the table, the verdicts and the notes."""
    table = Table(title="Calls through one core", title_justify="left")
    table.add_column("who")
    for head in _HEADS:
        table.add_column(head, justify="right")
    for who in Who:
        if who in figures:
            table.add_row(who, *_cells(figures[who]))
    console.print(table)
    for verdict in found:
        word, colour = ("met", "green") if verdict.met else ("missed", "red")
        console.print(f"[{colour}]{word}[/] ", end="")
        console.print(verdict.text, markup=False)
    for note in told:
        console.print(note, markup=False, soft_wrap=True)


def as_markdown(
    figures: Mapping[Who, Figures], found: Sequence[Verdict], told: Sequence[str]
) -> str:
    """Write the same for a page."""
    lines = ["| who | " + " | ".join(_HEADS) + " |", "|---|" + "---:|" * len(_HEADS)]
    lines += [
        f"| {who} | " + " | ".join(_cells(figures[who])) + " |" for who in Who if who in figures
    ]
    lines.append("")
    lines += [f"- {'met' if verdict.met else '**missed**'}: {verdict.text}" for verdict in found]
    lines += [f"- {note}" for note in told]
    return "\n".join(lines) + "\n"
