"""One round: some seconds of load on one server, and what it used of its core meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.gateway import machine, programs
from bench.gateway.machine import Cores
from bench.gateway.servers import Server

_SLACK_S = 30.0


class Failed(Exception):
    """A round did not measure what it was to measure: no figure comes of it."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round measured.

    Parameters
    ----------
    answered
        Calls with status 200.
    seconds
        How long it lasted.
    cpu_s
        Processor seconds of the server and its children.
    p50_ms, p99_ms
        Of the time from sending a request to the end of its answer.
    """

    answered: int
    seconds: float
    cpu_s: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The medians of several rounds.

    Parameters
    ----------
    per_s
        Calls, or streams, a second.
    cpu_us
        Of the server, for each of them, microseconds.
    p50_ms, p99_ms
        Milliseconds.
    """

    per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, rounds: Sequence[Round]) -> Figures:
        return cls(
            median(each.answered / each.seconds for each in rounds),
            median(each.cpu_s / each.answered * 1e6 for each in rounds),
            median(each.p50_ms for each in rounds),
            median(each.p99_ms for each in rounds),
        )


def run(
    server: Server,
    template: bytes,
    files: str,
    *,
    connections: int,
    seconds: float,
    cores: Cores,
    folder: Path,
    plain: bool = False,
) -> Round:
    """Load one server from the other cores; `plain` with our own load tool, whatever is here.

    Raises
    ------
    Failed
        A call was refused, a connection broke, or the payments did not last.
    """
    request = folder / "request.bin"
    request.write_bytes(template)
    found = None if plain else programs.wrk()
    if found is None:
        command = [sys.executable, "-m", "bench.gateway.load", "--port", str(server.port)]
        command += ["--template", str(request), "--files", files]
        command += ["--connections", str(connections), "--seconds", str(seconds)]
        environment = {}
    else:
        wrk, environment = found
        # A connection for each thread: each has a channel of its own.
        command = [str(wrk), f"-t{connections}", f"-c{connections}", f"-d{seconds:.0f}s"]
        command += ["--timeout", "20s", "-s", str(programs.HERE / "paid.lua")]
        command += [f"http://127.0.0.1:{server.port}/", "--", str(request), files]
    machine.wait_until_idle(server.pid)
    before = machine.cpu_s(server.pid)
    with machine.on(cores.others):
        ended = subprocess.run(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + _SLACK_S,
        )
    used = machine.cpu_s(server.pid) - before
    try:
        outcome = json.loads(ended.stderr.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise Failed(f"load: found {ended.stderr[-300:]!r}, wanted its outcome") from None
    for what in ("refused", "broken", "short"):
        if outcome[what]:
            raise Failed(f"load: found {outcome[what]} calls {what} of {outcome['answered']}")
    if not outcome["answered"]:
        raise Failed("load: found no answer at all")
    return Round(
        outcome["answered"], outcome["seconds"], used, outcome["p50_ms"], outcome["p99_ms"]
    )
