"""The tutorials, run for real: each command, each file, and each line that they show."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Program

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = ROOT / "docs" / "tutorials"
FIRST_MODEL = TUTORIALS / "first-model.md"
MARKET = TUTORIALS / "market.md"
LAUNCH = TUTORIALS / "launch.md"
GOVERN = TUTORIALS / "govern.md"
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^>]*?) -->\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LONGEST_S = 60
NOTE = re.compile(r"(?P<name>[A-Z]+)=(?P<start>\w*)…")
"""A line in which the reader keeps a word of what was just said."""


@dataclass
class Step:
    command: str
    shown: list[str]
    background: bool = False
    again: bool = False
    """Whether the reader repeats it until it says what is shown."""
    refused: bool = False
    """Whether it is there to show what is not allowed."""


@dataclass
class File:
    name: str
    text: str


def steps(page: Path) -> Iterator[Step | File]:
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
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
                marks = (mark == "background", mark == "again", mark == "refused")
                step = Step(line[2:], [], *marks)
            elif line.startswith("> "):
                assert step, line
                step.command = step.command.removesuffix("\\") + line[2:]
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


Runner = Callable[[str], tuple[int, str]]
"""Runs one command: its exit code, and all that it said."""


def shell(environment: dict[str, str]) -> Runner:
    def run(command: str) -> tuple[int, str]:
        ended = subprocess.run(
            ["/bin/sh", "-c", command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_S,
        )
        return ended.returncode, ended.stdout + ended.stderr

    return run


def here(program: Program, environment: dict[str, str]) -> Runner:
    """Run `tessera` in this process: fifty commands would each need seconds to start in one."""
    elsewhere = shell(environment)

    def run(command: str) -> tuple[int, str]:
        name, *arguments = shlex.split(command)
        if name != "tessera":
            return elsewhere(command)
        outcome = program(*arguments, COLUMNS=environment["COLUMNS"])
        return outcome.code, outcome.out + outcome.err

    return run


def test_the_first_model_is_published_sold_called_and_claimed(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    play(FIRST_MODEL, shell(environment), tmp_path, environment, monkeypatch)


@pytest.mark.parametrize("page", [MARKET, LAUNCH, GOVERN], ids=lambda page: page.stem)
def test_each_command_of_a_page_says_what_it_shows(
    page: Path, tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = here(Program(tmp_path / "data"), environment)
    play(page, runner, tmp_path, environment, monkeypatch)


def play(
    page: Path,
    runner: Runner,
    tmp_path: Path,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    server: subprocess.Popen[bytes] | None = None
    log = tmp_path / "up.txt"
    said = ""
    variables: dict[str, str] = {}
    try:
        for step in steps(page):
            if isinstance(step, File):
                (folder / step.name).write_text(step.text, encoding="utf-8")
            elif step.background:
                assert server is None
                with log.open("wb") as out:
                    server = subprocess.Popen(
                        shlex.split(step.command),
                        env=environment,
                        stdout=out,
                        stderr=subprocess.STDOUT,
                    )
                wait_for(step, server, log)
            elif noted := NOTE.fullmatch(step.command):
                variables[noted["name"]] = note(noted["start"], said)
            else:
                for name, value in variables.items():
                    step.command = step.command.replace("$" + name, value)
                said = run(step, runner, log)
        assert server is not None
        server.send_signal(signal.SIGINT)
        assert server.wait(LONGEST_S) == 130, log.read_text()
    finally:
        if server is not None and server.poll() is None:
            # Killed only where the story failed; the node's process ends with its parent.
            server.kill()
            server.wait(LONGEST_S)


def note(start: str, said: str) -> str:
    """Give what the reader pastes: the first word of what was said that begins so."""
    found = re.search(rf"\b{re.escape(start)}\w+", said)
    assert found, (start, said)
    return found.group()


def wait_for(step: Step, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + LONGEST_S
    while missing(step, log.read_text()):
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < until, (missing(step, log.read_text()), log.read_text())
        time.sleep(0.1)


def run(step: Step, runner: Runner, log: Path) -> str:
    until = time.monotonic() + LONGEST_S
    while True:
        code, said = runner(step.command)
        assert (code != 0) == step.refused, f"$ {step.command}\n{said}\n{log.read_text()}"
        if not missing(step, said):
            return said
        assert step.again, f"$ {step.command}\n{said}"
        assert time.monotonic() < until, f"$ {step.command}\n{said}"
        time.sleep(0.5)


@pytest.mark.parametrize(
    ("page", "promised"),
    [
        (FIRST_MODEL, "up, publish, tokenize, offer, buy, call, settle, claim"),
        (
            MARKET,
            (
                "access create, tokenize, offer, buy, sales close, market swap, market add, "
                "disclosure, access redeem, call, settle, access rent-out, access rent, "
                "access resell, orders fill, govern lock, govern propose endpoint, govern vote, "
                "govern execute, claim"
            ),
        ),
        (
            LAUNCH,
            (
                "attribution run, tokenize, offer, buy, attribution claim, sales list, claim, "
                "sales close, bid, sell, vesting list, disclosure"
            ),
        ),
        (
            GOVERN,
            (
                "access create, govern deposit, govern lock, govern propose discount, "
                "govern propose pay, govern vote, access refund, market twap, market swap, "
                "govern execute, govern treasury, call, settle, claim"
            ),
        ),
    ],
    ids=["first-model", "market", "launch", "govern"],
)
def test_a_tutorial_shows_what_it_promises(page: Path, promised: str) -> None:
    commands = [step.command + " " for step in steps(page) if isinstance(step, Step)]
    for wanted in promised.split(", "):
        assert any(f"tessera {wanted} " in command for command in commands), wanted
