"""Asking again what was too busy to answer, and no more often than that."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tessera.client.transport import MOST_BYTES
from tessera.errors import BackendFailed, ServingError, TesseraError
from tessera.presenting import error_of

__all__ = ["Reply", "post_patiently"]

_BUSY: Final = frozenset({429, 503})
_ATTEMPTS: Final = 5
_LONGEST_WAIT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    headers: httpx.Headers
    content: bytes

    def error(self, about: str) -> TesseraError:
        """Return the refusal that it tells of."""
        try:
            told: Any = json.loads(self.content)
        except (ValueError, RecursionError):
            told = None
        return error_of(told, self.status, about=about)


async def post_patiently(
    http: httpx.AsyncClient, path: str, body: bytes, *, most_bytes: int = MOST_BYTES
) -> Reply:
    """Post JSON; wait and repeat, five times in all, where the server says that it is busy.

    Raises
    ------
    BackendFailed
        It cannot be reached.
    ServingError
        It answers more than `most_bytes`.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            reply = await _post(http, path, body, most_bytes)
        except httpx.TransportError as error:
            raise BackendFailed(
                f"gateway {http.base_url}", found=str(error) or type(error).__name__,
                wanted="an answer",
            ) from error  # fmt: skip
        if reply.status not in _BUSY or attempt == _ATTEMPTS:
            return reply
        after = reply.headers.get("retry-after", "")
        # It may be a date, too; a second is as good as any guess then.
        wait_s = float(after[:9]) if after.isdecimal() else 1.0
        await asyncio.sleep(min(wait_s, _LONGEST_WAIT_S))
    raise AssertionError("the last attempt returns")


async def _post(http: httpx.AsyncClient, path: str, body: bytes, most_bytes: int) -> Reply:
    headers = {"content-type": "application/json"}
    async with http.stream("POST", path, content=body, headers=headers) as response:
        content = bytearray()
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > most_bytes:
                raise ServingError(
                    f"answer of {http.base_url}", found="more", wanted=f"{most_bytes} bytes"
                )
    return Reply(response.status_code, response.headers, bytes(content))
