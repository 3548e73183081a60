"""Ours, the peers and the goals, side by side: as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.gas.rows import Action, Goal, Quoted, Row


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that is known of one action.

    Parameters
    ----------
    action
        What is compared.
    ours, peers
        Measured in this run; of several ways of ours, the first is held to the goal.
    quoted
        Peers' figures from elsewhere.
    goal
        The most warm gas that the first of ours may take; None where nothing was promised.
    """

    action: Action
    ours: tuple[Row, ...]
    peers: tuple[Row, ...]
    quoted: tuple[Quoted, ...]
    goal: int | None

    @property
    def missed(self) -> bool:
        """Whether a promised figure is exceeded, or is not there at all."""
        if self.goal is None:
            return False
        return not self.ours or self.ours[0].warm > self.goal


def compare(
    ours: Sequence[Row], peers: Sequence[Row], quoted: Sequence[Quoted], goals: Sequence[Goal]
) -> list[Comparison]:
    """Put figures of the same action together, in the order of `Action`."""
    limits = {goal.action: goal.limit for goal in goals}
    return [
        Comparison(
            action,
            tuple(row for row in ours if row.action is action),
            tuple(row for row in peers if row.action is action),
            tuple(row for row in quoted if row.action is action),
            limits.get(action),
        )
        for action in Action
    ]


def missed_lines(comparisons: Sequence[Comparison]) -> list[str]:
    """Name each goal that was missed, with what was found and what was wanted."""
    lines = []
    for comparison in comparisons:
        if comparison.missed and comparison.goal is not None:
            found = f"{comparison.ours[0].warm:,}" if comparison.ours else "nothing measured"
            lines.append(
                f"goal missed: {comparison.action}: "
                f"found {found}, wanted at most {comparison.goal:,}"
            )
    return lines


def show(console: Console, comparisons: Sequence[Comparison]) -> None:
    """Print one table with a line per figure and a verdict per action."""
    table = Table(title="Gas by receipt (base cost and calldata included)", title_justify="left")
    table.add_column("action / whose")
    table.add_column("warm", justify="right")
    table.add_column("first", justify="right")
    table.add_column("goal", justify="right")
    table.add_column("what the figures include")
    for comparison in comparisons:
        if not (comparison.ours or comparison.peers):
            continue
        goal = "" if comparison.goal is None else f"{comparison.goal:,}"
        table.add_row(f"[bold]{comparison.action}[/]", "", "", goal, _verdict(comparison))
        for row in (*comparison.ours, *comparison.peers):
            first = "" if row.first is None else f"{row.first:,}"
            style = "cyan" if row in comparison.ours else ""
            table.add_row(
                f"  {row.who}",
                f"{row.warm:,}",
                first,
                "",
                f"{row.call}: {row.includes}",
                style=style,
            )
        for quote in comparison.quoted:
            table.add_row(
                f"  {quote.who}",
                f"{quote.warm:,}",
                "",
                "",
                f"{quote.call}: quoted, not in this run ({quote.source})",
                style="dim",
            )
        table.add_section()
    console.print(table)


def _verdict(comparison: Comparison) -> str:
    if comparison.goal is None:
        return ""
    if not comparison.ours:
        return "[red]not measured[/]"
    return "[red]missed[/]" if comparison.missed else "[green]met[/]"


def as_markdown(comparisons: Sequence[Comparison]) -> str:
    """Write the same lines as a table that a repository can keep."""
    lines = [
        "| action | whose, and what it includes | warm | first | goal |",
        "|---|---|---:|---:|---:|",
    ]
    for comparison in comparisons:
        for row in (*comparison.ours, *comparison.peers):
            held = comparison.goal is not None and row in comparison.ours[:1]
            first = "" if row.first is None else f"{row.first:,}"
            goal = f"{comparison.goal:,}" if held else ""
            what = f"{row.who} `{row.call}`: {row.includes}"
            lines.append(f"| {comparison.action} | {what} | {row.warm:,} | {first} | {goal} |")
        for quote in comparison.quoted:
            what = f"{quote.who} `{quote.call}`: *quoted, not in this run* ({quote.source})"
            lines.append(f"| {comparison.action} | {what} | {quote.warm:,} | | |")
    return "\n".join(lines) + "\n"


def as_json(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Give everything the table shows, and nothing that differs from machine to machine."""
    return {
        "unit": "gas, receipt total",
        "actions": [
            {
                "action": str(comparison.action),
                "goal": comparison.goal,
                "met": None if comparison.goal is None else not comparison.missed,
                "ours": [_plain(row) for row in comparison.ours],
                "peers": [_plain(row) for row in comparison.peers],
                "quoted": [_plain(quote) for quote in comparison.quoted],
            }
            for comparison in comparisons
            if comparison.ours or comparison.peers
        ],
    }


def _plain(figure: Row | Quoted) -> dict[str, Any]:
    return {name: value for name, value in asdict(figure).items() if name != "action"}
