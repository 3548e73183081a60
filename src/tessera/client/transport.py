"""httpx transports that pay: whatever takes an httpx client can call a Tessera gateway.

One generator decides what is sent; the two classes drive it alike, one waiting and one awaiting,
which cannot be shared.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import httpx

from tessera.client.exchange import Fetch, Payer, Wait, is_stream
from tessera.client.scanner import ReceiptScanner
from tessera.errors import ServingError
from tessera.payments.purse import Ticket

__all__ = ["AsyncPayingTransport", "PayingTransport"]

MOST_BYTES: Final = 256 << 20
"""Of an answer in one piece; 2,048 vectors of 3,072 numbers as JSON take half of it."""


class PayingTransport(httpx.BaseTransport):
    """Pays for calls and passes everything else through.

    Parameters
    ----------
    exchange
        Knows what to pay.
    inner
        How requests travel.
    """

    def __init__(self, exchange: Payer, inner: httpx.BaseTransport) -> None:
        self._exchange = exchange
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, with its payment if it needs one."""
        request.read()
        flow = self._exchange.run(request)
        try:
            step = next(flow)
            while True:
                try:
                    result = self._do(step)
                except BaseException as error:  # noqa: BLE001 - the flow decides what it means
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as stop:
            answer = stop.value
        if answer.ticket is not None:
            stream = _PaidStream(answer.response, answer.ticket, self._exchange)
            return _with_stream(answer.response, stream)
        response: httpx.Response = answer.response
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()

    def _do(self, step: Fetch | Wait) -> Any:
        if isinstance(step, Wait):
            return step.future.result()
        response = self._inner.handle_request(step.request)
        if is_stream(response) and response.is_success:
            return response
        try:
            bounded = _Bounded(response)
            content = b"".join([bounded.take(piece) for piece in _sync(response)])
        finally:
            response.close()
        return _whole(response, step.request, content)


class AsyncPayingTransport(httpx.AsyncBaseTransport):
    """As `PayingTransport`, for asynchronous callers."""

    def __init__(self, exchange: Payer, inner: httpx.AsyncBaseTransport) -> None:
        self._exchange = exchange
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, with its payment if it needs one."""
        await request.aread()
        flow = self._exchange.run(request)
        try:
            step = next(flow)
            while True:
                try:
                    result = await self._do(step)
                except BaseException as error:  # noqa: BLE001 - the flow decides what it means
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as stop:
            answer = stop.value
        if answer.ticket is not None:
            stream = _AsyncPaidStream(answer.response, answer.ticket, self._exchange)
            return _with_stream(answer.response, stream)
        response: httpx.Response = answer.response
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()

    async def _do(self, step: Fetch | Wait) -> Any:
        if isinstance(step, Wait):
            return await asyncio.shield(asyncio.wrap_future(step.future))
        response = await self._inner.handle_async_request(step.request)
        if is_stream(response) and response.is_success:
            return response
        try:
            bounded = _Bounded(response)
            content = b"".join([bounded.take(piece) async for piece in _async(response)])
        finally:
            await response.aclose()
        return _whole(response, step.request, content)


class _PaidStream(httpx.SyncByteStream):
    def __init__(self, response: httpx.Response, ticket: Ticket, exchange: Payer) -> None:
        self._response = response
        self._ticket = ticket
        self._exchange = exchange
        self._scanner = ReceiptScanner(keep=exchange.keeps)
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        try:
            for data in _sync(self._response):
                ready = self._scanner.feed(data)
                if self._scanner.receipt is not None:
                    self._end()
                if ready:
                    yield ready
            if rest := self._scanner.finish():
                yield rest
        except httpx.TransportError:
            self._scanner.finish()
            raise
        finally:
            self._end()

    def close(self) -> None:
        try:
            self._end()
        finally:
            self._response.close()

    def _end(self) -> None:
        if self._open:
            self._open = False
            self._exchange.finish_stream(self._ticket, self._scanner)


class _AsyncPaidStream(httpx.AsyncByteStream):
    def __init__(self, response: httpx.Response, ticket: Ticket, exchange: Payer) -> None:
        self._response = response
        self._ticket = ticket
        self._exchange = exchange
        self._scanner = ReceiptScanner(keep=exchange.keeps)
        self._open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for data in _async(self._response):
                ready = self._scanner.feed(data)
                if self._scanner.receipt is not None:
                    self._end()
                if ready:
                    yield ready
            if rest := self._scanner.finish():
                yield rest
        except httpx.TransportError:
            self._scanner.finish()
            raise
        finally:
            self._end()

    async def aclose(self) -> None:
        try:
            self._end()
        finally:
            await self._response.aclose()

    def _end(self) -> None:
        if self._open:
            self._open = False
            self._exchange.finish_stream(self._ticket, self._scanner)


class _Bounded:
    """Refuses an answer without end, and one that unpacks to more than was sent."""

    def __init__(self, response: httpx.Response) -> None:
        packed = response.headers.get("content-encoding", "identity")
        if packed != "identity":
            raise ServingError("answer of the gateway", found=packed, wanted="identity")
        self._room = MOST_BYTES

    def take(self, piece: bytes) -> bytes:
        self._room -= len(piece)
        if self._room < 0:
            raise ServingError(
                "answer of the gateway", found="more", wanted=f"{MOST_BYTES} bytes or fewer"
            )
        return piece


def _sync(response: httpx.Response) -> Iterator[bytes]:
    if not isinstance(response.stream, httpx.SyncByteStream):
        raise TypeError("a synchronous transport gave an asynchronous stream")
    return iter(response.stream)


def _async(response: httpx.Response) -> AsyncIterator[bytes]:
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("an asynchronous transport gave a synchronous stream")
    return aiter(response.stream)


def _whole(response: httpx.Response, request: httpx.Request, content: bytes) -> httpx.Response:
    headers = [
        (name, value)
        for name, value in response.headers.raw
        if name.lower() not in {b"transfer-encoding", b"content-length"}
    ]
    return httpx.Response(
        response.status_code,
        headers=headers,
        content=content,
        request=request,
        extensions=response.extensions,
    )


def _with_stream(
    response: httpx.Response, stream: httpx.SyncByteStream | httpx.AsyncByteStream
) -> httpx.Response:
    return httpx.Response(
        response.status_code,
        headers=response.headers.raw,
        stream=stream,
        extensions=response.extensions,
    )
