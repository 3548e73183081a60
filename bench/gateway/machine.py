"""The machine: which core does what, how much of one a process used, and what the disk can do."""

from __future__ import annotations

import contextlib
import os
import platform
import sysconfig
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_SYNC_S = 0.5
_IDLE_S, _IDLE_MOST_S = 0.2, 15.0


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where.

    Parameters
    ----------
    server
        The one core of what is measured.
    others
        Those of the load and of the upstream; the same one where the machine has no other.
    """

    server: int
    others: tuple[int, ...]

    @classmethod
    def of_this_machine(cls) -> Cores:
        first, *rest = sorted(os.sched_getaffinity(0))
        return cls(first, tuple(rest) or (first,))

    @property
    def shared(self) -> bool:
        """Whether load and server fight for one core: rates mean nothing then."""
        return self.others == (self.server,)


@contextlib.contextmanager
def on(cores: Sequence[int]) -> Iterator[None]:
    """Start programs on these cores: a child inherits where its parent may run."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_s(pid: int) -> float:
    """Processor seconds that a process and its children ever used, in user and kernel mode."""
    family = {pid}
    used = 0
    rows = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            rows[int(entry.name)] = (int(fields[1]), int(fields[11]) + int(fields[12]))
    grew = True
    while grew:
        found = {child for child, (parent, _) in rows.items() if parent in family}
        grew = not found <= family
        family |= found
    for member in family & rows.keys():
        used += rows[member][1]
    return used * _TICK_S


def wait_until_idle(pid: int) -> None:
    """Let a server end what an earlier run began and nobody waits for any more."""
    until = time.monotonic() + _IDLE_MOST_S
    while time.monotonic() < until:
        before = cpu_s(pid)
        time.sleep(_IDLE_S)
        if cpu_s(pid) - before <= _IDLE_S / 10:
            return


def syncs_per_s(folder: Path) -> float:
    """Count how often a second a file here can be appended to and synced to the disk."""
    done = 0
    with (folder / "sync.probe").open("wb", buffering=0) as file:
        begun = time.perf_counter()
        while time.perf_counter() - begun < _SYNC_S:
            file.write(b"x" * 512)
            os.fsync(file.fileno())
            done += 1
        return done / (time.perf_counter() - begun)


def described() -> str:
    """Name the machine as a reader of the figures wants to know it."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    # A tenth of all that Python does.
    guided = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    built = "with" if guided else "without"
    return (
        f"{model}, {cores} cores, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()} built {built} profile-guided "
        f"optimization; load average {load:.1f} before it began"
    )
