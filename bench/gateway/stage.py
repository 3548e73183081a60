"""The folder, the cores and the models that every round needs, and one round on them."""

from __future__ import annotations

import asyncio
import contextlib
import math
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.gateway import servers, upstream
from bench.gateway.calls import CONNECTIONS, Signed
from bench.gateway.load import exchange
from bench.gateway.machine import Cores
from bench.gateway.rounds import Round, run
from bench.gateway.servers import Server, free_port, running
from bench.gateway.table import Who

# Calls a second that nobody answers more of: so many are signed for a warm-up, and for a measured
# run twice what the warm-up needed, but not much fewer.
_FASTEST = {Who.PAID: 16_000, Who.X402: 800, Who.STREAM_PAID: 200}
_SPARE, _SLOWER = 2, 4


@dataclass
class Stage:
    """Where everything runs.

    Parameters
    ----------
    folder
        Books, payments, configurations and what the programs said.
    cores
        Who runs where.
    seconds
        Of each round.
    rounds
        How many are to come.
    warm_s
        Seconds before each that nobody measures.
    plain
        Whether to do with what is in this repository: no nginx, no wrk.
    """

    folder: Path
    cores: Cores
    seconds: float
    rounds: int
    warm_s: float = 2.0
    plain: bool = False
    whole: int = 0
    stream: int = 0
    signed: dict[Who, Signed] = field(default_factory=dict)
    answered: dict[Who, int] = field(default_factory=dict)
    runs: dict[Who, int] = field(default_factory=dict)
    costs: dict[Who, int] = field(default_factory=dict)

    @contextlib.contextmanager
    def upstreams(self) -> Iterator[None]:
        """Run the two models: at once, and piece by piece."""
        self.whole, self.stream = free_port(), free_port()
        streaming = servers.python("bench.gateway.upstream", str(self.stream))
        with self.start("streaming upstream", streaming, self.stream, server=False):
            if self.plain:
                self.whole = self.stream
                yield
                return
            instant = servers.nginx_command(upstream.instant_conf(self.folder, self.whole))
            with self.start("upstream", instant, self.whole, server=False):
                yield

    def start(
        self,
        name: str,
        command: list[str],
        port: int,
        environment: dict[str, str] | None = None,
        *,
        server: bool = True,
    ) -> contextlib.AbstractContextManager[Server]:
        """Run a program on the core of servers, or on the others."""
        cores = [self.cores.server] if server else list(self.cores.others)
        log = self.folder / f"{name.replace(' ', '-')}.log"
        return running(name, command, port, log, cores=cores, environment=environment)

    def load(
        self, server: Server, who: Who, request: bytes, *, connections: int = CONNECTIONS
    ) -> Round:
        """Warm a server up, then measure it."""
        if who not in _FASTEST:
            # The first answer of some takes longer than the whole warm-up.
            asyncio.run(exchange(server.port, [request]))
        rate: float = _FASTEST.get(who, 0)
        for seconds in (self.warm_s, self.seconds):
            files = self.payments(who, math.ceil(rate * seconds / connections) + 10)
            measured = run(
                server,
                request,
                files,
                connections=connections,
                seconds=seconds,
                cores=self.cores,
                folder=self.folder,
                plain=self.plain,
            )
            self.answered[who] = self.answered.get(who, 0) + measured.answered
            self.runs[who] = self.runs.get(who, 0) + 1
            rate = max(rate / _SLOWER, _SPARE * measured.answered / measured.seconds)
        return measured

    def payments(self, who: Who, calls: int) -> str:
        """Sign so many for each connection; nothing where nothing is paid."""
        if who not in _FASTEST:
            return ""
        if who is Who.X402:
            pattern = str(self.folder / "x402-%d.tsv")
            number = self.runs.get(who, 0)
            signing = servers.x402_command("sign", str(number), str(calls), pattern)
            subprocess.run(signing, check=True, stdin=subprocess.DEVNULL, capture_output=True)
            return pattern
        return self.signed[who].next_files(who.name.lower(), calls)
