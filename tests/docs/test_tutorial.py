"""The tutorial, run for real: each command, each file, and each line that it shows."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tutorials" / "first-model.md"
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^>]*?) -->\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LONGEST_S = 60


@dataclass
class Step:
    command: str
    shown: list[str]
    background: bool = False


@dataclass
class File:
    name: str
    text: str


def steps() -> Iterator[Step | File]:
    for block in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        mark, body = block["mark"] or "", block["body"]
        if mark == "not run":
            continue
        if mark.startswith("file: "):
            yield File(mark.removeprefix("file: "), body)
            continue
        assert block["kind"] == "console", body
        step: Step | None = None
        for line in body.splitlines():
            if line.startswith("$ "):
                if step:
                    yield step
                step = Step(line[2:], [], background=mark == "background")
            else:
                assert step, line
                step.shown.append(line)
        if step:
            yield step


def pattern(shown: str) -> str:
    return "^" + ".*".join(re.escape(part) for part in shown.split("…")) + r"\s*$"


def missing(step: Step, said: str) -> list[str]:
    return [line for line in step.shown if not re.search(pattern(line), said, re.MULTILINE)]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    # Twenty processes import the same modules; without their bytecode each compiles all of them.
    foreign = {"PYTHONDONTWRITEBYTECODE"}
    ours = {name for name in os.environ if name.startswith("TESSERA_")} - {"TESSERA_ANVIL"}
    inherited = {k: v for k, v in os.environ.items() if k not in foreign | ours}
    return {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TESSERA_DATA_DIR": str(tmp_path / "data"),
        # Ports that are free; a reader has those of the settings page.
        "TESSERA_NODE_PORT": "0",
        "TESSERA_GATEWAY_PORT": "0",
        "COLUMNS": "120",
    }


def test_the_first_model_is_published_sold_called_and_claimed(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    server: subprocess.Popen[bytes] | None = None
    log = tmp_path / "up.txt"
    try:
        for step in steps():
            if isinstance(step, File):
                (folder / step.name).write_text(step.text, encoding="utf-8")
            elif step.background:
                assert server is None
                with log.open("wb") as out:
                    server = subprocess.Popen(
                        step.command.split(),
                        cwd=folder,
                        env=environment,
                        stdout=out,
                        stderr=subprocess.STDOUT,
                    )
                wait_for(step, server, log)
            else:
                run(step, folder, environment, log)
        assert server is not None
        server.send_signal(signal.SIGINT)
        assert server.wait(LONGEST_S) == 130, log.read_text()
    finally:
        if server is not None and server.poll() is None:
            # Killed only where the story failed; the node's process ends with its parent.
            server.kill()
            server.wait(LONGEST_S)


def wait_for(step: Step, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + LONGEST_S
    while missing(step, log.read_text()):
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < until, (missing(step, log.read_text()), log.read_text())
        time.sleep(0.1)


def run(step: Step, folder: Path, environment: dict[str, str], log: Path) -> None:
    ended = subprocess.run(
        ["/bin/sh", "-c", step.command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_S,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, f"$ {step.command}\n{said}\n{log.read_text()}"
    assert not missing(step, said), f"$ {step.command}\n{said}"


def test_the_tutorial_shows_what_it_promises() -> None:
    commands = [step.command for step in steps() if isinstance(step, Step)]
    for wanted in ("up", "publish", "tokenize", "offer", "buy", "call", "settle", "claim"):
        assert any(command.startswith(f"tessera {wanted} ") for command in commands) or (
            f"tessera {wanted}" in commands
        )
