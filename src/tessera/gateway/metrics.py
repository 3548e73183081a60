"""What a gateway counts, and the page on which Prometheus reads it.

Counters are integers and histograms have fixed bounds, so that a call costs well under a
microsecond here; everything that somebody else keeps anyway (calls in flight, calls that wait) is
looked at when the page is read. Labels are bounded: models are those served, never what a stranger
asked for.

The format is Prometheus' text exposition, version 0.0.4; tests read the page with the parser of
`prometheus-client`.
"""

from __future__ import annotations

import math
import os
import resource
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

__all__ = [
    "CONTENT_TYPE",
    "Counter",
    "Family",
    "Gauge",
    "GatewayMetrics",
    "Histogram",
    "MetricsPage",
    "process_families",
]

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)
"""Bounds of times, from an answer out of memory to a long text."""

SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Bounds of counts."""

Labels = tuple[str, ...]
_Counts = tuple[list[int], list[float], list[int], list[int]]
_Sample = tuple[str, tuple[tuple[str, str], ...], float]

NO_MODEL: Final = ""
"""The label of a call that was refused before it was known what it was for."""


class Family(Protocol):
    """Some samples of one name."""

    name: str
    kind: str
    help: str

    def samples(self) -> Iterable[_Sample]:
        """Return (name, labels, value) of each, now."""


class Counter:
    """A number per combination of labels, which only grows.

    Parameters
    ----------
    name, meaning
        As the page shows them; the name ends with `_total`.
    labels
        Their names, in the order in which `add` takes their values.
    """

    kind = "counter"
    __slots__ = ("_cells", "_labels", "help", "name")

    def __init__(self, name: str, meaning: str, *labels: str) -> None:
        self.name = name
        self.help = meaning
        self._labels = labels
        self._cells: dict[Labels, list[int]] = {} if labels else {(): [0]}

    def add(self, labels: Labels = (), amount: int = 1) -> None:
        """Count; `amount` is 0 or more."""
        self.cell(labels)[0] += amount

    def cell(self, labels: Labels = ()) -> list[int]:
        """Return the number itself, in a list, for whoever counts often."""
        cell = self._cells.get(labels)
        if cell is None:
            cell = self._cells[labels] = [0]
        return cell

    def value(self, *labels: str) -> int:
        """Return what was counted under these labels."""
        return self._cells.get(labels, [0])[0]

    def by_labels(self) -> dict[Labels, int]:
        """Return all values as they are now."""
        return {labels: cell[0] for labels, cell in self._cells.items()}

    def samples(self) -> Iterator[_Sample]:
        """Return each value."""
        for labels, value in sorted(self.by_labels().items()):
            yield self.name, tuple(zip(self._labels, labels, strict=True)), value


class Gauge:
    """Numbers that are looked up when the page is read.

    Parameters
    ----------
    name, meaning
        As the page shows them.
    read
        Returns the number, or one per value of the only label.
    label
        The label's name, where there are several.
    kind
        `gauge`, or `counter` for a number that somebody else counts.
    """

    __slots__ = ("_label", "_read", "help", "kind", "name")

    def __init__(
        self,
        name: str,
        meaning: str,
        read: Callable[[], float | Mapping[str, float]],
        *,
        label: str = "",
        kind: str = "gauge",
    ) -> None:
        self.name = name
        self.help = meaning
        self.kind = kind
        self._read = read
        self._label = label

    def samples(self) -> Iterator[_Sample]:
        """Return what there is now."""
        found = self._read()
        if isinstance(found, Mapping):
            for value, number in sorted(found.items()):
                yield self.name, ((self._label, value),), number
        else:
            yield self.name, (), found


class Histogram:
    """How many observations fell below each of some bounds.

    Parameters
    ----------
    name, meaning
        As the page shows them.
    bounds
        Ascending; a last one of infinity is added.
    labels
        Their names, in the order in which `observe` takes their values.
    """

    kind = "histogram"
    __slots__ = ("_bounds", "_labels", "_rows", "help", "name")

    def __init__(self, name: str, meaning: str, bounds: Sequence[float], *labels: str) -> None:
        self.name = name
        self.help = meaning
        self._bounds = tuple(bounds)
        self._labels = labels
        # Of each row the last number is the sum of what was observed.
        self._rows: dict[Labels, list[float]] = {}
        if not labels:
            self._rows[()] = self._row()

    def observe(self, value: float, labels: Labels = ()) -> None:
        """Count one observation."""
        row = self.row(labels)
        row[bisect_left(self._bounds, value)] += 1
        row[-1] += value

    def row(self, labels: Labels = ()) -> list[float]:
        """Return the counts themselves and behind them the sum, for whoever observes often."""
        row = self._rows.get(labels)
        if row is None:
            row = self._rows[labels] = self._row()
        return row

    def count(self, *labels: str) -> int:
        """Return how many were observed under these labels."""
        return int(sum(self._rows.get(labels, self._row())[:-1]))

    def mean(self, *labels: str) -> float | None:
        """Return the mean of what was observed under these labels; None where nothing was."""
        count = self.count(*labels)
        return self._rows[labels][-1] / count if count else None

    def samples(self) -> Iterator[_Sample]:
        """Return the counts below each bound, their sum and how many there are."""
        for labels, row in sorted(self._rows.items()):
            named = tuple(zip(self._labels, labels, strict=True))
            below = 0.0
            for bound, count in zip((*self._bounds, math.inf), row[:-1], strict=True):
                below += count
                yield f"{self.name}_bucket", (*named, ("le", _number(bound))), below
            yield f"{self.name}_sum", named, row[-1]
            yield f"{self.name}_count", named, below

    def _row(self) -> list[float]:
        return [0] * (len(self._bounds) + 1) + [0.0]


class MetricsPage:
    """All families of one process, in the order in which they were added."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}

    def add(self, *families: Family) -> None:
        """Show these too; of two of one name the later one."""
        for family in families:
            self._families[family.name] = family

    def text(self) -> bytes:
        """Write the page."""
        lines: list[str] = []
        for family in self._families.values():
            lines.append(f"# HELP {family.name} {_escaped(family.help, quotes=False)}")
            lines.append(f"# TYPE {family.name} {family.kind}")
            for name, labels, value in family.samples():
                shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
                lines.append(
                    f"{name}{{{shown}}} {_number(value)}" if shown else f"{name} {_number(value)}"
                )
        lines.append("")
        return "\n".join(lines).encode()


class GatewayMetrics:
    """What one gateway counts of its calls.

    Attributes
    ----------
    page
        Where it is read; others add what they keep.
    calls
        By model, way of paying, and the status that the call ended with: an HTTP status, or
        `broken` for a stream that failed after it had begun. One whose reader left was answered.
    call_seconds
        From a request's head to the end of its answer, by model.
    units, charged
        Metered and charged, base units, by model.
    refused
        By the refusal's stable code.
    """

    def __init__(self) -> None:
        self.page = MetricsPage()
        self.calls = Counter(
            "tessera_calls_total",
            "Calls that ended, by what they ended with.",
            "model",
            "tender",
            "status",
        )
        self.call_seconds = Histogram(
            "tessera_call_seconds", "From a request to the end of its answer.", SECONDS, "model"
        )
        self.model_seconds = Histogram(
            "tessera_model_seconds",
            "What the model or its upstream took of that, where the answer was whole.",
            SECONDS,
            "model",
        )
        self.batch_entries = Histogram(
            "tessera_batch_entries", "Entries that were written to the disk at once.", SIZES
        )
        self.batch_seconds = Histogram(
            "tessera_batch_seconds", "Writing them took, the disk's sync included.", SECONDS
        )
        self.units = Counter("tessera_units_total", "Units metered and answered.", "model")
        self.charged = Counter(
            "tessera_charged_base_units_total", "Base units of the currency charged.", "model"
        )
        self.refused = Counter("tessera_refused_total", "Refusals by their code.", "code")
        self._counts: dict[Labels, _Counts] = {}
        self.page.add(
            self.calls,
            self.call_seconds,
            self.model_seconds,
            self.units,
            self.charged,
            self.refused,
            self.batch_entries,
            self.batch_seconds,
            *process_families(),
        )

    def answered(
        self, model: str, tender: str, status: str, seconds: float, units: int, cost: int
    ) -> None:
        """Count a call that was answered and charged.

        Parameters
        ----------
        model
            The slug of an offer, never what a stranger called it.
        tender
            The way of paying.
        status
            As `calls` counts it.
        seconds
            It took.
        units, cost
            Metered, and charged in base units.
        """
        counts = self._counts.get((model, tender, status))
        if counts is None:
            counts = self._counts[model, tender, status] = self._counts_of(model, tender, status)
        calls, times, metered, charged = counts
        calls[0] += 1
        times[bisect_left(SECONDS, seconds)] += 1
        times[-1] += seconds
        metered[0] += units
        charged[0] += cost

    def _counts_of(self, model: str, tender: str, status: str) -> _Counts:
        labels = (model,)
        return (
            self.calls.cell((model, tender, status)),
            self.call_seconds.row(labels),
            self.units.cell(labels),
            self.charged.cell(labels),
        )

    def batch(self, entries: int, seconds: float) -> None:
        """Count a batch of the log that is on the disk."""
        self.batch_entries.observe(entries)
        self.batch_seconds.observe(seconds)

    def refusal(self, code: str, status: int, model: str = NO_MODEL, tender: str = "none") -> None:
        """Count a call that was refused or failed, and cost nothing."""
        self.calls.add((model, tender, str(status)))
        self.refused.add((code,))


def process_families() -> list[Family]:
    """Return what Prometheus' own libraries tell of a process, under the same names."""
    return [
        Gauge(
            "process_cpu_seconds_total", "CPU used, user and system.", _cpu_seconds, kind="counter"
        ),
        Gauge("process_resident_memory_bytes", "Memory in RAM.", _resident_bytes),
        Gauge("process_open_fds", "Open files and sockets.", _open_files),
        Gauge(
            "process_max_fds",
            "How many may be open.",
            lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        ),
    ]


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident_bytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _open_files() -> float:
    # One of them is the folder that is being listed.
    return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 - names only


def _number(value: float) -> str:
    if value == math.inf:
        return "+Inf"
    if isinstance(value, int) or value.is_integer():
        return str(int(value))
    return repr(value)


def _escaped(text: str, *, quotes: bool = True) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quotes else text
