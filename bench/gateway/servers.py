"""Starting what is measured and what it needs, each on its core, and ending it."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.gateway import machine, programs
from bench.gateway.programs import Missing

_START_S = 120.0
_END_S = 10.0
_KEY = "sk-bench"


@dataclass(frozen=True, slots=True)
class Server:
    """A running program on loopback.

    Parameters
    ----------
    pid
        Of the process that was started; its children count as it.
    port
        Where it listens.
    """

    pid: int
    port: int


def free_port() -> int:
    """Ask the system for a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str],
    port: int,
    log: Path,
    *,
    cores: Sequence[int],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[Server]:
    """Run a program on some cores until the block ends; it is killed then, not asked.

    Raises
    ------
    Missing
        It ended, or nothing listens on its port in time; with the end of what it printed.
    """
    with log.open("wb") as output, machine.on(cores):
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(name, process, port, log)
        yield Server(process.pid, port)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_END_S)


def _wait(name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        asked = contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5))
        with contextlib.suppress(OSError, http.client.HTTPException), asked as connection:
            connection.request("GET", "/")
            with connection.getresponse() as answer:
                answer.read()
            return
        time.sleep(0.1)
    end = log.read_text(errors="replace").strip()[-600:]
    raise Missing(f"{name}: found no answer on its port, wanted a server; it said: {end}")


def python(module: str, *arguments: str) -> list[str]:
    """Write the command of a module of ours."""
    return [sys.executable, "-m", module, *arguments]


def nginx_command(configuration: Path) -> list[str]:
    """Write the command of an nginx with a configuration."""
    folder = str(configuration.parent)
    return [
        str(programs.nginx().program),
        *("-p", folder, "-c", str(configuration), "-e", "stderr"),
    ]


def litellm_command(folder: Path, port: int, upstream: int) -> tuple[list[str], dict[str, str]]:
    """Configure LiteLLM's proxy: one worker, a master key, no database, nothing written."""
    file = folder / "litellm.yaml"
    file.write_text(
        "model_list:\n"
        "  - model_name: paid\n"
        "    litellm_params:\n"
        "      model: openai/instant\n"
        f"      api_base: http://127.0.0.1:{upstream}/v1\n"
        "      api_key: none\n"
        f"general_settings:\n  master_key: {_KEY}\n",
        encoding="utf-8",
    )
    command = [str(programs.litellm()), "--config", str(file), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", "1", "--telemetry", "False"]
    return command, {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}


LITELLM_HEADERS = {"authorization": f"Bearer {_KEY}"}


def portkey_command(port: int) -> tuple[list[str], dict[str, str]]:
    """Configure Portkey: its own start script, kept to loopback."""
    node, script = programs.portkey()
    shim = programs.HERE / "portkey" / "loopback.cjs"
    command = [str(node), "--require", str(shim), str(script), f"--port={port}", "--headless"]
    return command, {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1", "NODE_ENV": "production"}


def portkey_headers(upstream: int) -> dict[str, str]:
    """Tell Portkey where to go; it is told with each call."""
    return {
        "authorization": "Bearer none",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
    }


def x402_command(*arguments: str) -> list[str]:
    """Write the command of the official middleware, or of its vouchers' writer."""
    return [str(programs.x402()), str(programs.HERE / "x402_peer.py"), *arguments]
