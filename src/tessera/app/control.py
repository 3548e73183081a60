"""A socket in the data folder by which commands ask the supervisor for what only it can do.

One line of JSON there, one line back. Only the folder's owner can reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from tessera.errors import InvariantViolation, NotFound, TesseraError
from tessera.presenting import error_body, error_of

__all__ = ["Answer", "answer_commands", "ask_supervisor"]

logger = logging.getLogger(__name__)

_SOCKET: Final = "control.sock"
_MAX_LINE: Final = 1 << 20

Answer = Callable[[], Awaitable[dict[str, Any]]]


@asynccontextmanager
async def answer_commands(data_dir: Path, answers: Mapping[str, Answer]) -> AsyncIterator[None]:
    """Answer commands for the length of a context.

    Parameters
    ----------
    data_dir
        The supervisor's; it holds the folder's lock.
    answers
        What there is to ask for, by name.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            name = (await reader.readline()).decode("utf-8", "replace").strip()
            try:
                answer = answers.get(name)
                if answer is None:
                    raise NotFound.among("supervisor command", name, answers)
                reply: dict[str, Any] = {"ok": True, **await answer()}
            except TesseraError as error:
                reply = error_body(error)
            except Exception as error:
                # Without an answer the command would say that nobody is there.
                logger.exception("supervisor command %r", name)
                mistake = InvariantViolation(
                    f"supervisor command {name}", found=type(error).__name__, wanted="an answer"
                )
                reply = error_body(mistake)
            writer.write(msgspec.json.encode(reply) + b"\n")
            await writer.drain()
        except ConnectionError:
            # Whoever asked has gone; what was asked for is done all the same.
            pass
        finally:
            writer.close()

    with _reachable(data_dir) as path:
        _forget(path)
        server = await asyncio.start_unix_server(serve, path, limit=_MAX_LINE)
        os.chmod(path, 0o600)  # noqa: PTH101 - a path of /proc
        try:
            yield
        finally:
            server.close()
            _forget(path)


async def ask_supervisor(data_dir: Path, command: str) -> dict[str, Any]:
    """Ask the supervisor of a data folder.

    Raises
    ------
    NotFound
        None runs there.
    TesseraError
        What it refused with.
    """
    nobody = NotFound(
        f"data folder {data_dir}",
        found="no running supervisor",
        wanted="one that serves",
        next_step="start one: tessera up",
    )
    try:
        with _reachable(data_dir) as path:
            reader, writer = await asyncio.open_unix_connection(path, limit=_MAX_LINE)
    except (FileNotFoundError, ConnectionRefusedError):
        raise nobody from None
    try:
        writer.write(command.encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    if not line:
        raise nobody
    reply: dict[str, Any] = msgspec.json.decode(line)
    if not reply.pop("ok"):
        raise error_of(reply)
    return reply


def _forget(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - a path of /proc


@contextlib.contextmanager
def _reachable(data_dir: Path) -> Iterator[str]:
    # The path of a socket has at most 107 bytes; a data folder may be deeper than that.
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{_SOCKET}"
    finally:
        os.close(folder)
