"""One child process of the Python runner: started when needed, killed when it misbehaves.

A worker answers one call at a time. Whatever it sends is checked before it is believed; a frame
over the limit, a frame out of turn, silence past the deadline or its death all end it, with its
whole process group, and the next call starts another. One that keeps failing is started less and
less often.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import site
import sys
import sysconfig
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import msgspec

from tessera.errors import BackendFailed
from tessera.serving.runners.wire import (
    HEADER,
    Begun,
    Call,
    Cancel,
    Done,
    Failed,
    FromChild,
    Hello,
    Part,
    Ready,
    ToChild,
    framed,
)

__all__ = ["PythonLimits", "Worker"]

_log = logging.getLogger(__name__)
_SOURCE = Path(__file__).parents[3]
_BOOT = (
    "import sys; sys.path.append(sys.argv[1]);"
    "from tessera.serving.runners.child import main; main()"
)
# Nothing of the operator's environment: keys and tokens live there. One thread per library.
_ENVIRONMENT = {
    "PATH": os.defpath,
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_SYSTEM_FILES = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache",
)  # fmt: skip
_STDERR_KEPT = 8192
_CANCEL_S = 1.0
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 30.0
_decoder: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)


class PythonLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a publisher's code may use.

    Attributes
    ----------
    memory_bytes
        Address space of a process, libraries included.
    file_bytes
        Size of any file it writes, where it can write at all.
    cpu_s
        CPU seconds of a process's whole life; it is then started anew.
    timeout_s
        Seconds from a call's arrival to its whole answer, waiting for a free process included.
    load_s
        Seconds for importing the publisher's code.
    frame_bytes
        Size of one answer, or of one piece of a streamed one.
    max_batch
        Texts or rows of one call.
    processes
        Processes of one model, each answering one call at a time.
    require_cage
        Refuse to run where the kernel has no seccomp or no Landlock, instead of running with
        resource limits only.
    """

    memory_bytes: int = 1 << 30
    file_bytes: int = 0
    cpu_s: int = 3600
    timeout_s: float = 30.0
    load_s: float = 30.0
    frame_bytes: int = 4 << 20
    max_batch: int = 256
    processes: int = 1
    require_cage: bool = False


class _Broken(Exception):
    """The child did not keep to the protocol; `args[0]` says how."""


class Worker:
    """A child process that runs one callable of one bundle.

    Parameters
    ----------
    name
        The model as its users know it.
    folder
        The bundle, its files already compared with the content root.
    file, callable_name
        Module file inside the bundle, and what to call in it.
    limits
        What it may use.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        file: str,
        callable_name: str,
        limits: PythonLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._folder = folder.resolve()
        self._file = file
        self._callable = callable_name
        self._limits = limits
        self._clock = clock
        self._process: Process | None = None
        self._listener: asyncio.Task[None] | None = None
        self._stderr = bytearray()
        self._number = 0
        self._failures = 0
        self._not_before = 0.0
        self._closed = False
        self.ready: Ready | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id while there is one."""
        return self._process.pid if self._process is not None else None

    @property
    def stderr_tail(self) -> str:
        """The last lines that the publisher's code printed, for the operator only."""
        return self._stderr.decode(errors="replace")

    async def start(self) -> Ready:
        """Start the child and let it import the publisher's code, unless that is done.

        Raises
        ------
        BackendFailed
            The code raised, hung or died while it was imported; or it failed too often lately.
        """
        if self._process is not None and self._process.returncode is None and self.ready:
            return self.ready
        if self._closed:
            raise BackendFailed(f"model {self._name!r} is closed")
        await self._kill()
        pause = self._not_before - self._clock()
        if pause > 0:
            raise BackendFailed(
                f"model {self._name!r} failed {self._failures} times in a row",
                next_step=f"it is tried again in {pause:.1f} s; the call is not charged",
            )
        try:
            async with asyncio.timeout(self._limits.load_s):
                return await self._start()
        except TimeoutError as error:
            raise await self._give_up(f"did not load in {self._limits.load_s:g} s") from error
        except (_Broken, OSError) as error:
            raise await self._give_up(str(error)) from error
        except asyncio.CancelledError:
            await self._kill()
            raise

    async def call(
        self, task: str, arguments: list[Any], deadline: float
    ) -> AsyncGenerator[Begun | Part | msgspec.Raw]:
        """Make one call; the caller closes the iterator, which stops a text.

        Parameters
        ----------
        task, arguments
            What is asked.
        deadline
            The event loop's time at which the child is killed unless it is done.

        Yields
        ------
        Begun, Part or msgspec.Raw
            Pieces of a text as they come, and at the end the call's value.

        Raises
        ------
        BackendFailed
            The code raised or was late, or the child died or broke the protocol.
        """
        await self.start()
        self._number += 1
        number, finished = self._number, False
        try:
            await self._write(Call(number, task, arguments))
            while not finished:
                async with asyncio.timeout_at(deadline):
                    message = await self._read()
                if isinstance(message, Ready) or message.number != number:
                    raise _Broken(f"sent {type(message).__name__} out of turn")
                if isinstance(message, Done | Failed):
                    # It answered, or raised and lives: the process is sound.
                    finished, self._failures = True, 0
                if isinstance(message, Failed):
                    raise self._raised(message)
                yield message.value if isinstance(message, Done) else message
        except TimeoutError as error:
            finished = True
            raise await self._give_up(f"did not answer in {self._limits.timeout_s:g} s") from error
        except (_Broken, OSError) as error:
            finished = True
            raise await self._give_up(str(error)) from error
        finally:
            if not finished:
                await self._cancel(number)

    async def close(self) -> None:
        """End the child; there will be no other."""
        self._closed = True
        await self._kill()

    async def _start(self) -> Ready:
        self._stderr.clear()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-B", "-X", "utf8", "-c", _BOOT, str(_SOURCE),
            stdin=PIPE, stdout=PIPE, stderr=PIPE,
            cwd=self._folder, env=_ENVIRONMENT, start_new_session=True,
        )  # fmt: skip
        self._listener = asyncio.create_task(self._listen(self._process))
        limits = self._limits
        await self._write(
            Hello(
                folder=str(self._folder),
                file=self._file,
                callable=self._callable,
                parent=os.getpid(),
                memory_bytes=limits.memory_bytes,
                file_bytes=limits.file_bytes,
                cpu_s=limits.cpu_s,
                frame_bytes=limits.frame_bytes,
                readable=_readable(self._folder),
            )
        )
        match await self._read():
            case Ready() as ready:
                if limits.require_cage and not (ready.filtered and ready.landlocked):
                    raise _Broken("cannot be caged: this kernel lacks seccomp or Landlock")
                self.ready = ready
                return ready
            case Failed(kind=kind, line=line):
                raise _Broken(f"raised while loading: {kind}: {line}")
            case other:
                raise _Broken(f"sent {type(other).__name__} before it was ready")

    async def _write(self, message: ToChild) -> None:
        frame = framed(message, self._limits.frame_bytes)
        if frame is None:
            raise _Broken(f"was asked for over {self._limits.frame_bytes} bytes")
        if self._process is None or self._process.stdin is None:
            raise _Broken("was closed")
        self._process.stdin.write(frame)
        await self._process.stdin.drain()

    async def _read(self) -> FromChild:
        process = self._process
        if process is None or process.stdout is None:
            raise _Broken("was closed")
        try:
            (length,) = HEADER.unpack(await process.stdout.readexactly(HEADER.size))
            if length > self._limits.frame_bytes:
                raise _Broken(
                    f"sent {length} bytes at once, over the limit of {self._limits.frame_bytes}"
                )
            return _decoder.decode(await process.stdout.readexactly(length))
        except asyncio.IncompleteReadError as error:
            raise _Broken(await _how_it_ended(process)) from error
        except msgspec.MsgspecError as error:
            raise _Broken(f"sent what is no answer: {error}") from error

    async def _cancel(self, number: int) -> None:
        """Stop a stream nobody reads any more; a child that does not listen is killed."""
        try:
            async with asyncio.timeout(_CANCEL_S):
                await self._write(Cancel(number))
                while not isinstance(await self._read(), Done | Failed):
                    pass
        except (TimeoutError, _Broken, OSError):
            await self._kill()
        except asyncio.CancelledError:
            await self._kill()
            raise

    async def _give_up(self, why: str) -> BackendFailed:
        await self._kill()
        self._failures += 1
        # One failure is forgiven: the next call starts at once. From the second on it waits.
        if self._failures > 1:
            pause = min(_FIRST_PAUSE_S * 2.0 ** (self._failures - 2), _LONGEST_PAUSE_S)
            self._not_before = self._clock() + pause
        _log.warning("model %r %s; it printed: %r", self._name, why, self.stderr_tail or "nothing")
        return BackendFailed(f"model {self._name!r} {why}", next_step="the call is not charged")

    def _raised(self, failed: Failed) -> BackendFailed:
        said = f"{failed.kind}: {failed.line}" if failed.line else failed.kind
        return BackendFailed(
            f"model {self._name!r} raised {said}", next_step="the call is not charged"
        )

    async def _kill(self) -> None:
        process, self._process, self.ready = self._process, None, None
        listener, self._listener = self._listener, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(self._bury(process, listener))

    async def _bury(self, process: Process, listener: asyncio.Task[None] | None) -> None:
        if process.stdin is not None:
            process.stdin.close()
        # A grandchild that escaped may hold the pipes open; nothing waits for it.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CANCEL_S):
                await process.wait()
                if listener is not None:
                    await listener

    async def _listen(self, process: Process) -> None:
        """Keep the tail of what the child prints, so that a full pipe never stops it."""
        assert process.stderr is not None
        while part := await process.stderr.read(_STDERR_KEPT):
            self._stderr += part
            del self._stderr[:-_STDERR_KEPT]


async def _how_it_ended(process: Process) -> str:
    try:
        async with asyncio.timeout(_CANCEL_S):
            code = await process.wait()
    except TimeoutError:
        return "closed its output"
    if code >= 0:
        return f"ended with status {code}"
    return f"was ended by {signal.Signals(-code).name}"


def _readable(folder: Path) -> list[str]:
    """What a caged child may read: the bundle, Python, its packages, system libraries."""
    python = {sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), *site.getsitepackages()}
    return [str(folder), str(_SOURCE / "tessera"), *sorted(python), *_SYSTEM_FILES]
