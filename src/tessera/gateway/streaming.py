"""A chat that is answered piece by piece, paid for as far as it was sent.

The voucher is on the disk before the first piece leaves. A consumer who goes away pays for what
was sent to him; a model that breaks off is paid nothing, and the stream says so; one that still
writes when its time is over is cut off there, and paid for what was sent; so is one that writes
when the gateway itself ends. The receipt comes
behind `[DONE]`, where clients that do not know it have stopped reading.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from tessera.errors import BackendFailed, Closed, InvariantViolation, TesseraError
from tessera.gateway.answers import Events, event, events_of
from tessera.gateway.catalogue import Offer
from tessera.gateway.doors import Door
from tessera.gateway.draining import Drain
from tessera.gateway.messages import CLOSING, Headers, Limits
from tessera.gateway.paying import PaymentTerms
from tessera.payments.header import receipt_json
from tessera.payments.ledger import Call, Evidence
from tessera.payments.tender import Held, Outcome
from tessera.presenting import openai_error_body
from tessera.serving.bodies import Asked
from tessera.serving.choices import write_chat_stream
from tessera.serving.metering import fields_bytes
from tessera.serving.receipts import StreamHash, receipt_event
from tessera.serving.runner import (
    ChatDelta,
    ChatEnd,
    ChatPusher,
    ChatRequest,
    Finish,
    Pushing,
    Units,
)
from tessera.serving.turns import Turn

__all__ = ["STREAM_HEADERS", "stream_chat"]

logger = logging.getLogger(__name__)

STREAM_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


_FREE: Final = "the call is not charged"


_MUCH: Final = 1 << 20
"""Characters and bytes that a model may be ahead of its reader before it is made to wait."""

_TOGETHER: Final = 64
"""Pieces that are sent in one write, where so many wait."""

_OVERHEAD: Final = 256
"""What a piece takes beside its text, in characters, about."""


class _Drawn:
    """What the model wrote and nobody has taken; None: its time is over, or the gateway's.

    Attributes
    ----------
    straight
        Sends a piece at once, or tells that it could not; None as long as the stream has not begun.
    """

    __slots__ = ("_more", "_pieces", "pushing", "size", "straight")

    def __init__(self) -> None:
        self._pieces: deque[ChatDelta | ChatEnd | Exception | None] = deque()
        self._more: asyncio.Future[None] | None = None
        self.pushing: Pushing | None = None
        self.straight: Callable[[ChatDelta], bool] | None = None
        self.size = 0

    def put(self, piece: ChatDelta | ChatEnd | Exception | None) -> None:
        """Take what comes next."""
        if (
            self.straight is not None
            and self._awaited
            and not self._pieces
            and isinstance(piece, ChatDelta)
            and self.straight(piece)
        ):
            return
        self._pieces.append(piece)
        if isinstance(piece, ChatDelta):
            self.size += _size(piece)
            if self.size > _MUCH and self.pushing is not None:
                self.pushing.pause()
        self.wake()

    async def next(self, watch: asyncio.Future[None]) -> ChatDelta | ChatEnd | Exception | None:
        """Return what comes next; wakes for nothing else but `watch`, which is raised as _Gone."""
        while not self._pieces:
            if watch.done():
                raise _Gone
            self._more = asyncio.get_running_loop().create_future()
            await self._more
        return self._taken(self._pieces.popleft())

    def delta(self) -> ChatDelta | None:
        """Return what comes next if it is text that is there already."""
        if self._pieces and isinstance(piece := self._pieces[0], ChatDelta):
            self._pieces.popleft()
            self._taken(piece)
            return piece
        return None

    def _taken(
        self, piece: ChatDelta | ChatEnd | Exception | None
    ) -> ChatDelta | ChatEnd | Exception | None:
        if isinstance(piece, ChatDelta):
            self.size -= _size(piece)
            if self.size < _MUCH // 4 and self.pushing is not None:
                self.pushing.resume()
        return piece

    @property
    def _awaited(self) -> bool:
        # Only then is nothing on its way that this piece could overtake.
        return self._more is not None and not self._more.done()

    def wake(self, *_: object) -> None:
        """Look again."""
        if self._more is not None and not self._more.done():
            self._more.set_result(None)


def _size(piece: ChatDelta) -> int:
    size = len(piece.text) + _OVERHEAD
    if piece.more:
        size += fields_bytes(piece.more)
    return size if piece.logprobs is None else size + len(piece.logprobs)


class _Gone(Exception):
    """The consumer left, or stopped reading."""


async def stream_chat(
    held: Held,
    offer: Offer,
    asked: Asked,
    *,
    turn: Turn,
    terms: PaymentTerms,
    request_hash: bytes,
    door: Door,
    name: str,
    now: int,
    limits: Limits,
    drain: Drain,
) -> None:
    """Answer one streamed chat and charge it.

    Raises
    ------
    TesseraError
        Before anything was sent. Afterwards a failure is the stream's last event.
    """
    chunks = events_of(asked, model=f"{offer.slug}@{offer.version}", name=name, now=now)
    # What is held back until it is paid was not begun: all that goes wrong is a refusal.
    back = bool(held.call.held_back)
    more = () if back else held.headers(Outcome.BEGUN)
    sent = _Sent(door, limits.write_timeout_s, [*more, CLOSING] if drain.begun else more, back)
    if not isinstance(asked.request, ChatRequest):
        raise InvariantViolation("stream", found=asked.task, wanted="a chat")
    drawn = _Drawn()
    stop = _begin(asked.request, drawn, offer, limits, turn)
    watch = door.left()
    watch.add_done_callback(drawn.wake)
    drain.watch(drawn, lambda: drawn.put(None))
    try:
        async with asyncio.timeout(limits.answer_timeout_s + limits.write_timeout_s):
            ended = await _pump(drawn, held.call, chunks, sent, watch, asked.request.n, drain)
    except (_Gone, TimeoutError) as error:
        if sent.held_back:
            raise Closed(
                "the client went away, or the answer took too long", next_step=_FREE
            ) from error
        if not sent.begun and isinstance(error, TimeoutError):
            # Nobody is reading yet: it was this machine that stood still.
            slow = f"model {offer.slug!r} did not begin within {limits.answer_timeout_s:g} s"
            raise BackendFailed(slow, next_step=_FREE) from error
        # The model's own time is shorter, so whoever took longer is the reader.
        if sent.units is not None:
            await _finish(held, offer, sent, terms, request_hash)
        return
    except asyncio.CancelledError:
        # This gateway ends and nobody reads on; what he has, he pays for.
        if sent.units is not None:
            await _finish(held, offer, sent, terms, request_hash)
        raise
    except TesseraError as error:
        await _break_off(sent, error, name)
        return
    except Exception:
        logger.exception("streaming %s failed", offer.slug)
        ours = InvariantViolation("the gateway failed; its log says how", request=name)
        await _break_off(sent, ours, name)
        return
    finally:
        drain.forget(drawn)
        await _ended(watch)
        await stop()
    with suppress(_Gone):
        for index, finish in enumerate((ended.finish, *ended.others)):
            await sent.piece(chunks.last(finish, index))
        if asked.include_usage:
            await sent.piece(chunks.usage(ended.units))
    sent.units = ended.units
    # Charged before the consumer is told that it is over; the hash includes what is about to be
    # said, so that he can compute it.
    sent.hash.feed(chunks.DONE)
    try:
        receipt = await _finish(held, offer, sent, terms, request_hash)
    except TesseraError as error:
        await _break_off(sent, error, name)
        return
    with suppress(_Gone):
        await sent.end(chunks.DONE + receipt_event(receipt))


class _Sent:
    """What has left, and its hash."""

    def __init__(self, door: Door, timeout_s: float, more: Headers, held_back: bool) -> None:
        self.held_back = held_back
        self._door = door
        self._headers = [*STREAM_HEADERS, *more]
        self._timeout_s = timeout_s
        self.begun = False
        self.hash = StreamHash()
        self.units: Units | None = None

    async def begin(self) -> None:
        await self._within(self._door.begin(self._headers))
        self.begun = True

    async def piece(self, data: bytes) -> None:
        if self.push(data):
            return
        # The server waits for the reader first and writes then: what it gave up was not sent.
        await self._within(self._door.write(data))
        self.hash.feed(data)

    @property
    def ready(self) -> bool:
        return self._door.ready

    def push(self, data: bytes) -> bool:
        pushed = self._door.push(data)
        if pushed:
            self.hash.feed(data)
        return pushed

    async def end(self, data: bytes) -> None:
        await self._within(self._door.end(data))

    async def _within(self, step: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await step
        except (TimeoutError, OSError) as error:
            raise _Gone from error


def _begin(
    request: ChatRequest, drawn: _Drawn, offer: Offer, limits: Limits, turn: Turn
) -> Callable[[], Awaitable[None]]:
    """Let the model write; returns what ends it."""
    runner = offer.runner
    if isinstance(runner, ChatPusher):
        pushed = _Pushed(runner, request, drawn, offer, limits, turn)
        return pushed.stop
    pieces = write_chat_stream(runner, request)
    drawing = asyncio.create_task(_draw(pieces, drawn, offer, limits, turn))
    return lambda: _ended(drawing)


class _Pushed:
    """A model that tells of each piece by itself, within its time."""

    def __init__(
        self,
        runner: ChatPusher,
        request: ChatRequest,
        drawn: _Drawn,
        offer: Offer,
        limits: Limits,
        turn: Turn,
    ) -> None:
        self._drawn = drawn
        self._offer = offer
        self._limits = limits
        self._turn = turn
        self._loop = asyncio.get_running_loop()
        self._heard: float | None = None
        self._over = False
        self._timer = self._loop.call_later(limits.answer_timeout_s, self._late)
        self._pushing = runner.push_chat(request, self)
        drawn.pushing = None if self._over else self._pushing

    def on_piece(self, piece: ChatDelta | ChatEnd) -> None:
        """As `ChatSink.on_piece`."""
        self._heard = self._loop.time()
        self._turn.units = piece.units.total
        if isinstance(piece, ChatEnd):
            self._end()
        self._drawn.put(piece)

    def on_failure(self, error: Exception) -> None:
        """As `ChatSink.on_failure`."""
        self._end()
        self._drawn.put(error)

    async def stop(self) -> None:
        """End it, if it has not ended."""
        self._end()
        self._pushing.stop()

    def _late(self) -> None:
        waiting = self._drawn.size > _MUCH // 4
        self._pushing.stop()
        self._end()
        heard = None if self._heard is None else self._loop.time() - self._heard
        self._drawn.put(_too_late(self._offer, self._limits, 0.0 if waiting else heard))

    def _end(self) -> None:
        self._over = True
        self._timer.cancel()
        self._drawn.pushing = None
        # Whoever reads slowly keeps nobody from the model.
        self._turn.leave()


def _too_late(offer: Offer, limits: Limits, heard_s: float | None) -> BackendFailed | None:
    # A model that still writes is cut off; one that has fallen silent has failed.
    if heard_s is not None and heard_s < limits.silence_s:
        return None
    slow = f"model {offer.slug!r} did not end within {limits.answer_timeout_s:g} s"
    return BackendFailed(slow, next_step=_FREE)


async def _draw(
    pieces: AsyncIterator[ChatDelta | ChatEnd],
    drawn: _Drawn,
    offer: Offer,
    limits: Limits,
    turn: Turn,
) -> None:
    # At the model's own pace: a reader who dawdles must not make a model late that then is unpaid.
    loop = asyncio.get_running_loop()
    heard: float | None = None
    try:
        async with asyncio.timeout(limits.answer_timeout_s), _closing(pieces):
            async for piece in pieces:
                heard = loop.time()
                turn.units = piece.units.total
                drawn.put(piece)
                if isinstance(piece, ChatEnd):
                    return
        drawn.put(BackendFailed("the model's stream broke off", next_step=_FREE))
    except TimeoutError:
        drawn.put(_too_late(offer, limits, None if heard is None else loop.time() - heard))
    except Exception as error:  # noqa: BLE001 - raised again by whoever reads on
        drawn.put(error)
    finally:
        # Whoever reads slowly keeps nobody from the model.
        turn.leave()


async def _pump(
    drawn: _Drawn,
    call: Call,
    chunks: Events,
    sent: _Sent,
    watch: asyncio.Future[None],
    texts: int,
    drain: Drain,
) -> ChatEnd:
    while True:
        piece = await drawn.next(watch)
        if isinstance(piece, Exception):
            raise piece
        if piece is None:
            if not sent.begun:
                raise drain.refusal()
            cut: list[Finish] = ["length"] * (texts - 1)
            return ChatEnd("length", sent.units or Units(), tuple(cut))
        if not sent.begun:
            if call.durable is not None:
                await asyncio.shield(call.durable)
            await sent.begin()
            for index in range(texts):
                await sent.piece(chunks.first(index))
            drawn.straight = _straight(chunks, sent, watch)
        if isinstance(piece, ChatEnd):
            return piece
        if watch.done():
            raise _Gone
        written, units = [chunks.piece(piece)], piece.units
        while len(written) < _TOGETHER and (further := drawn.delta()) is not None:
            written.append(chunks.piece(further))
            units = further.units
        await sent.piece(written[0] if len(written) == 1 else b"".join(written))
        sent.units = units


def _straight(
    chunks: Events, sent: _Sent, watch: asyncio.Future[None]
) -> Callable[[ChatDelta], bool]:
    """Return what sends a piece in the step in which it came, to spare a task its waking."""

    def send(piece: ChatDelta) -> bool:
        # Asked first: what writes the events counts them, and must not be asked for one twice.
        if watch.done() or not sent.ready:
            return False
        try:
            data = chunks.piece(piece)
        except Exception:  # noqa: BLE001 - met again, and answered for, by whoever takes the piece
            return False
        sent.push(data)
        sent.units = piece.units
        return True

    return send


async def _ended(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def _finish(
    held: Held, offer: Offer, sent: _Sent, terms: PaymentTerms, request_hash: bytes
) -> bytes:
    units = sent.units or Units()
    cost = offer.price.cost_ceil(units.input, units.output)
    signed = await held.finish(cost, Evidence(request_hash, sent.hash.digest(), units.total))
    return receipt_json(signed, terms.domain, terms.operator)


async def _break_off(sent: _Sent, error: TesseraError, name: str) -> None:
    if not sent.begun or sent.held_back:
        raise error
    with suppress(_Gone):
        await sent.end(event(openai_error_body(error, name)))


@asynccontextmanager
async def _closing(pieces: AsyncIterator[ChatDelta | ChatEnd]) -> AsyncIterator[None]:
    # A generator that is left alone runs on until it is collected; other iterators have no close.
    try:
        yield
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()
