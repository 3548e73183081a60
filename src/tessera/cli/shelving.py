"""`--listen`: serve rows and results of epochs beside what a command does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AsyncExitStack
    from pathlib import Path

__all__ = ["shelf_at"]


async def shelf_at(stack: AsyncExitStack, folder: Path, listen: str) -> str:
    """Serve a folder at HOST:PORT until the stack is closed; return its address.

    Raises
    ------
    InputError
        `listen` is no such place.
    Busy
        It is taken.
    """
    from tessera.errors import InputError
    from tessera.gateway.shelf import open_shelf

    host, _, port = listen.rpartition(":")
    if not (host and port.isdecimal() and int(port) < 1 << 16):
        raise InputError("--listen", found=listen, wanted="HOST:PORT")
    return await stack.enter_async_context(open_shelf(folder, host.strip("[]"), int(port)))
