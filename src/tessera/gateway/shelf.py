"""A shelf: the files of one folder, for everybody who knows their names.

A validator serves its rows and a poster the parts of its results so. There is no list, nothing
below the folder or beside it, and nothing but reading.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from tessera.gateway.listening import serving

__all__ = ["PREFIX", "open_shelf"]

PREFIX: Final = "/served/"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}\.(?:json|epoch)")
_LAST_S: Final = 2
_PIECE: Final = 1 << 16
_Message = MutableMapping[str, Any]


@asynccontextmanager
async def open_shelf(folder: Path, host: str, port: int) -> AsyncIterator[str]:
    """Serve a folder's `.json` and `.epoch` files for a context.

    Parameters
    ----------
    folder
        Need not exist yet.
    host, port
        Where; port 0 takes one that is free.

    Yields
    ------
    str
        The URL that a file's name is appended to.

    Raises
    ------
    Busy, InputError
        The address is taken, or none that can be listened on.
    """
    async with serving(_Shelf(folder), host, port, last_s=_LAST_S) as url:
        yield url + PREFIX


class _Shelf:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        file = None
        if scope["method"] in {"GET", "HEAD"}:
            file = await asyncio.to_thread(self._opened, scope["path"])
        kind = (
            b"application/json" if scope["path"].endswith(".json") else b"application/octet-stream"
        )
        length = 0 if file is None else os.fstat(file.fileno()).st_size
        headers = [(b"content-length", str(length).encode()), (b"content-type", kind)]
        status = 404 if file is None else 200
        try:
            await send({"type": "http.response.start", "status": status, "headers": headers})
            # In pieces: a reader that is slow holds one of them, not a whole result.
            while file is not None and scope["method"] == "GET":
                piece = await asyncio.to_thread(file.read, _PIECE)
                if not piece:
                    break
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            if file is not None:
                file.close()

    def _opened(self, path: str) -> BinaryIO | None:
        name = path.removeprefix(PREFIX)
        if path == name or not _NAME.fullmatch(name):
            return None
        try:
            # A link could lead out of the folder, and a pipe would never end.
            handle = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            return None
        return os.fdopen(handle, "rb")
