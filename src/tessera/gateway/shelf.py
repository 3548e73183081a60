"""A shelf: the files of one folder, for everybody who knows their names.

A validator serves its rows and a poster the parts of its results so. There is no list, nothing
below the folder or beside it, and nothing but reading.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tessera.gateway.listening import serving

__all__ = ["PREFIX", "open_shelf"]

PREFIX: Final = "/served/"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}\.(?:json|epoch)")
_LAST_S: Final = 2
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
        data = None
        if scope["method"] in {"GET", "HEAD"}:
            data = await asyncio.to_thread(self._read, scope["path"])
        kind = (
            b"application/json" if scope["path"].endswith(".json") else b"application/octet-stream"
        )
        body = data or b""
        headers = [(b"content-length", str(len(body)).encode()), (b"content-type", kind)]
        status = 404 if data is None else 200
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body}
        )

    def _read(self, path: str) -> bytes | None:
        name = path.removeprefix(PREFIX)
        if path == name or not _NAME.fullmatch(name):
            return None
        file = self._folder / name
        try:
            # A link could lead out of the folder.
            return None if file.is_symlink() else file.read_bytes()
        except OSError:
            return None
