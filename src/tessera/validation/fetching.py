"""Data from addresses that strangers wrote: one request, no redirects, bounded in size and time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import httpx

from tessera.errors import DataError

__all__ = ["FETCH_ERRORS", "fetched", "few_at_once"]

FETCH_ERRORS: Final = (DataError, httpx.HTTPError, httpx.InvalidURL, TimeoutError)
"""What `fetched` raises, whatever the address and whoever answers there."""

T = TypeVar("T")

_OK: Final = 200
_AT_ONCE: Final = 8


async def fetched(http: httpx.AsyncClient, uri: str, *, most_bytes: int, within_s: float) -> bytes:
    """Read what is served somewhere.

    Parameters
    ----------
    most_bytes, within_s
        More, or later, is refused. Nothing is unpacked: a few packed bytes could become any number.

    Raises
    ------
    DataError, HTTPError, InvalidURL, TimeoutError
        It is no address, or there is nothing of this kind.
    """
    if not uri.startswith(("http://", "https://")):
        raise DataError("address", found=uri[:80], wanted="http:// or https://")
    try:
        async with asyncio.timeout(within_s):
            return await _read(http, uri, most_bytes)
    except (ValueError, OverflowError, ExceptionGroup) as error:
        # A port of six digits, or a name that no name can be: found by whoever connects, which
        # tries several addresses at once.
        raise DataError("address", found=ascii(uri[:80]), wanted="one that can be asked") from error


async def _read(http: httpx.AsyncClient, uri: str, most_bytes: int) -> bytes:
    data = bytearray()
    plain = {"accept-encoding": "identity"}
    async with http.stream("GET", uri, headers=plain, follow_redirects=False) as response:
        if response.status_code != _OK:
            raise DataError(uri[:80], found=f"status {response.status_code}", wanted="the data")
        async for piece in response.aiter_raw():
            data += piece
            if len(data) > most_bytes:
                raise DataError(uri[:80], found="more", wanted=f"{most_bytes} bytes or fewer")
    return bytes(data)


async def few_at_once(work: Callable[[int], Awaitable[T]], count: int) -> list[T]:
    """Do it for all numbers below `count`, in their order; the first error ends the rest.

    Addresses that drip would take an hour one after the other, and all at once all memory.
    """
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int) -> T:
        async with room:
            return await work(number)

    tasks = [asyncio.create_task(one(number)) for number in range(count)]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
