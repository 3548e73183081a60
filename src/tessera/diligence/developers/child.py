"""One git command as a child process that a stranger's repository cannot turn against us.

Git runs what a repository's configuration names: hooks, a file system monitor, pagers, filters,
text converters, aliases, helpers that fetch what is missing. So it is never shown that
configuration: it works in a folder of ours (`repository`) and gets the whole environment from here.
What is left is data, and data is bounded: by time, by bytes of output and by memory.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final

from tessera.diligence.wording import legible
from tessera.errors import DataError, InputError, TooLarge

__all__ = ["Limits", "git", "git_piped", "printed"]

_CHUNK: Final = 1 << 20
_COMPLAINT_BYTES: Final = 1 << 16
_COMPLAINT_SHOWN: Final = 300
_MOST_AT_ONCE: Final = 256 << 20

# What a company's network needs to reach the outside. Nothing else of the analyst's environment:
# GIT_* variables and keys live there.
_OF_THE_NETWORK: Final = (
    "ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "all_proxy", "https_proxy", "http_proxy",
    "no_proxy", "SSL_CERT_DIR", "SSL_CERT_FILE", "GIT_SSL_CAINFO",
)  # fmt: skip

_SETTINGS: Final = {
    # Files beside the objects that only speed git up, and that it believes: dates and parents of a
    # forged commit-graph would be taken for the commits'.
    "core.commitGraph": "false",
    "core.multiPackIndex": "false",
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.attributesFile": os.devnull,
    "core.quotePath": "false",
    # Larger files are compared by name alone, not read: a gigabyte of zeros packs into a megabyte.
    "core.bigFileThreshold": "4m",
    "core.packedGitWindowSize": "16m",
    "core.packedGitLimit": "512m",
    "core.deltaBaseCacheLimit": "64m",
    "credential.helper": "",
    "diff.renames": "false",
    "diff.submodule": "short",
    "gc.auto": "0",
    "http.followRedirects": "initial",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "i18n.logOutputEncoding": "UTF-8",
    "log.showSignature": "false",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "submodule.recurse": "false",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one repository may cost.

    Attributes
    ----------
    seconds
        Longest time of one git command.
    output_bytes
        Most that one command may print.
    memory_bytes
        Address space of git.
    clone_bytes
        Largest copy that is fetched from a URL.
    commits
        Most commits of a history, merges included.
    changes
        Most commits, newest first, whose changed lines are counted.
    tags
        Most tags.
    """

    seconds: float = 300.0
    output_bytes: int = 2 << 30
    memory_bytes: int = 2 << 30
    clone_bytes: int = 4 << 30
    commits: int = 500_000
    changes: int = 20_000
    tags: int = 20_000


def git(
    folder: Path,
    arguments: Sequence[str],
    limits: Limits,
    *,
    feed: bytes = b"",
    settings: Mapping[str, str] | None = None,
    protocols: str = "none",
    writes: bool = False,
    watch: Path | None = None,
) -> Iterator[bytes]:
    """Run git and yield what it prints, in pieces; nothing is left running behind.

    Parameters
    ----------
    folder
        Git directory of ours, or the folder that a clone goes to.
    arguments
        The command and what it is given.
    feed
        Its standard input.
    settings
        Further settings, over those of every command.
    protocols
        By which ways it may reach others, colon-separated; `none` is no way.
    writes
        Whether it may write files.
    watch
        Folder whose size must stay within `limits.clone_bytes`.

    Raises
    ------
    DataError
        It failed, or took too long; what it complained of is in the message.
    TooLarge
        It printed, or fetched, more than allowed.
    InputError
        There is no git on this machine.
    """
    with _complaints() as complaints:
        process = _started(folder, arguments, limits, complaints, settings, protocols, writes)
        yield from _drained(process, arguments, limits, complaints, feed, watch)


def printed(folder: Path, arguments: Sequence[str], limits: Limits, *, feed: bytes = b"") -> bytes:
    """Run git and return all that it prints, 256 MiB at most; raises as `git` does."""
    within = replace(limits, output_bytes=min(limits.output_bytes, _MOST_AT_ONCE))
    return b"".join(git(folder, arguments, within, feed=feed))


def git_piped(
    folder: Path, first: Sequence[str], second: Sequence[str], limits: Limits, *, feed: bytes
) -> Iterator[bytes]:
    """Run two git commands, the first one's output into the second; yield what comes out.

    Raises
    ------
    DataError, TooLarge, InputError
        As `git`, for either of both.
    """
    with _complaints() as early, _complaints() as late:
        producer = _started(folder, first, limits, early, None, "none", writes=False)
        consumer = _started(
            folder, second, limits, late, None, "none", writes=False, source=producer.stdout
        )
        assert producer.stdout is not None
        producer.stdout.close()  # the consumer's now: it must see the end
        feeder = threading.Thread(target=_feed, args=(producer, feed), daemon=True)
        feeder.start()
        try:
            yield from _drained(consumer, second, limits, late, None, None)
            _finished(producer, first, limits, early)
        finally:
            _end(producer)
            feeder.join()


def _started(
    folder: Path,
    arguments: Sequence[str],
    limits: Limits,
    complaints: IO[bytes],
    settings: Mapping[str, str] | None,
    protocols: str,
    writes: bool,
    source: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    program = shutil.which("git")
    if program is None:
        raise InputError(
            "git", found="not on PATH", wanted="git 2.30 or later", next_step="install git"
        )
    chosen = {**_SETTINGS, **(settings or {})}
    options = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
    process = subprocess.Popen(
        [program, "--no-pager", "--no-replace-objects", *options, *arguments],
        stdin=source if source is not None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        cwd=folder,
        env=_environment(folder, protocols, writes),
        start_new_session=True,
    )
    with contextlib.suppress(ProcessLookupError):  # it ended already
        resource.prlimit(process.pid, resource.RLIMIT_AS, (limits.memory_bytes,) * 2)
        resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
        if not writes:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (_COMPLAINT_BYTES,) * 2)
    return process


def _environment(folder: Path, protocols: str, writes: bool) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _OF_THE_NETWORK if name in os.environ}
    own = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "TZ": "UTC",
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "false",
        "SSH_ASKPASS": "false",
        "GIT_SSH_COMMAND": "false",
        # Stronger than every setting: also a helper that a repository names cannot be reached.
        "GIT_ALLOW_PROTOCOL": protocols,
    }
    if not writes:
        own["GIT_DIR"] = str(folder)
    return {**kept, **own}


def _drained(
    process: subprocess.Popen[bytes],
    arguments: Sequence[str],
    limits: Limits,
    complaints: IO[bytes],
    feed: bytes | None,
    watch: Path | None,
) -> Iterator[bytes]:
    assert process.stdout is not None
    late, swollen = threading.Event(), threading.Event()
    over = threading.Event()

    def guard() -> None:
        waited, step = 0.0, 0.5 if watch is not None else limits.seconds
        while not over.wait(min(step, limits.seconds - waited)):
            waited += step
            if watch is not None and _size_of(watch) > limits.clone_bytes:
                swollen.set()
            if waited >= limits.seconds:
                late.set()
            if swollen.is_set() or late.is_set():
                _kill(process)
                return

    threads = [threading.Thread(target=guard, daemon=True)]
    if feed is not None:
        threads.append(threading.Thread(target=_feed, args=(process, feed), daemon=True))
    for thread in threads:
        thread.start()
    printed = 0
    try:
        while piece := process.stdout.read1(_CHUNK):  # type: ignore[attr-defined]
            printed += len(piece)
            if printed > limits.output_bytes:
                raise TooLarge(
                    f"git {arguments[0]}",
                    found=f"more than {limits.output_bytes} bytes printed",
                    wanted="a history within the limit",
                )
            yield piece
        process.wait()
        if swollen.is_set():
            raise TooLarge(
                "the repository",
                found=f"more than {limits.clone_bytes} bytes fetched",
                wanted="one within the limit",
                next_step="clone it yourself and give the folder",
            )
        if late.is_set():
            raise DataError(
                f"git {arguments[0]}",
                found=f"not done after {limits.seconds:g} s",
                wanted="a repository that can be read in time",
            )
        _finished(process, arguments, limits, complaints)
    finally:
        over.set()
        _end(process)
        for thread in threads:
            thread.join()


def _finished(
    process: subprocess.Popen[bytes],
    arguments: Sequence[str],
    limits: Limits,
    complaints: IO[bytes],
) -> None:
    """Insist that the child ended well: git prints what it has and dies silently otherwise."""
    try:
        status = process.wait(limits.seconds)
    except subprocess.TimeoutExpired:
        _kill(process)
        status = process.wait()
    if status == 0:
        return
    complaints.seek(0)
    lines = complaints.read(_COMPLAINT_BYTES).decode("utf-8", "replace").strip().splitlines()
    said = legible(lines[-1])[:_COMPLAINT_SHOWN] if lines else f"exit status {status}, no reason"
    raise DataError(
        f"git {arguments[0]} failed: {said}",
        next_step="look at the repository with git fsck; fetch what is missing",
        status=status,
    )


def _feed(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    # It ended before it had read everything; its exit status says whether that was right.
    with contextlib.suppress(BrokenPipeError, OSError):
        process.stdin.write(data)
    with contextlib.suppress(BrokenPipeError, OSError):
        process.stdin.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    _kill(process)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    # Once it is waited for, its number may be somebody else's.
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _size_of(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # git renames its temporary files
                total += (Path(place) / name).lstat().st_size
    return total


@contextlib.contextmanager
def _complaints() -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        yield file
