"""One paid call from its body to its receipt, whichever door it came through.

Nothing is answered that was not reserved, and nothing charged that was not answered: whatever
fails, times out or leaves before the receipt is on the disk costs nothing. Nobody but this calls
a tender.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from tessera.errors import BackendFailed, Closed, InvariantViolation, TesseraError, Unprocessable
from tessera.gateway.answers import whole_answer
from tessera.gateway.catalogue import Catalogue, Offer
from tessera.gateway.doors import Door, HeldBack
from tessera.gateway.logs import FIELDS
from tessera.gateway.messages import JSON, Headers, Limits, Reply
from tessera.gateway.operations import Operations
from tessera.gateway.patience import Patience
from tessera.gateway.paying import Cashier
from tessera.gateway.refusals import refused
from tessera.gateway.repeats import Repeats
from tessera.gateway.streaming import STREAM_HEADERS, stream_chat
from tessera.payments.header import (
    CHARGED_HEADER,
    COST_HEADER,
    PROOF_HEADER,
    RECEIPT_HEADER,
    SignedReceipt,
    proof_header,
    receipt_json,
)
from tessera.payments.ledger import Call, Evidence
from tessera.payments.ports import Clock
from tessera.payments.tender import Head, Held, Outcome, PaymentSpent
from tessera.serving.asking import ask
from tessera.serving.bodies import Asked, model_of, read_body
from tessera.serving.runner import ECHO, ChatRequest, ScoreRequest, Task, cannot_score
from tessera.serving.turns import Turn, Turns
from tessera.spec.signatures import keccak

__all__ = ["PaidCalls"]

logger = logging.getLogger(__name__)

# A label is what both kinds of text classifiers make; each route serves both.
_ALSO: Final = {Task.MODERATION: Task.CLASSIFICATION, Task.CLASSIFICATION: Task.MODERATION}

_RECEIPT: Final = RECEIPT_HEADER.encode()
_CHARGED: Final = CHARGED_HEADER.encode()
_COST: Final = COST_HEADER.encode()
_PROOF: Final = PROOF_HEADER.encode()


class PaidCalls:
    """Answers calls that are paid one by one.

    Parameters
    ----------
    catalogue
        What is offered.
    cashier
        Who pays for it.
    clock
        Unix seconds, for `created` fields.
    limits
        What one request may take.
    turns
        Who is answered first where more is asked than a model can answer.
    operations
        Counts what is answered, and says when the gateway ends.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        cashier: Cashier,
        clock: Clock,
        limits: Limits,
        turns: Turns,
        operations: Operations,
    ) -> None:
        self.limits = limits
        self._catalogue = catalogue
        self._cashier = cashier
        self._clock = clock
        self.turns = turns
        self._drain = operations.drain
        self._patience = Patience(limits.answer_timeout_s, operations.drain)
        self._metrics = operations.metrics
        self._repeats = Repeats()

    async def answer(
        self, path: str, head: Head, body: bytes, name: str, door: Door
    ) -> Reply | None:
        """Answer one call.

        Parameters
        ----------
        path
            A key of `PAID_PATHS`.
        head, body
            Of the request.
        name
            Of the answer, 32 hexadecimal digits.
        door
            Where a stream goes.

        Returns
        -------
        Reply or None
            The answer, or a refusal; None where a stream was sent through the door.
        """
        held: Held | None = None
        offer: Offer | None = None
        begun = time.perf_counter()
        try:
            offer = self._cashier.offer_under(head, self._catalogue.find(model_of(body)))
            asked = read_body(path, body, offer.limits)
            _check_task(offer, asked)
            request = keccak(body)
            most = asked.most
            held = await self._cashier.accept(head, offer, asked, most, name, request)
            await self._cashier.check_stake(held.call, offer)
            turn = await self._turn(held.call, offer, most.total, door)
            try:
                if not asked.stream:
                    answer = await self._whole(held, offer, asked, turn, request, name, door)
                    self._count(offer, held, begun)
                    return self._kept(held, request, answer)
                out = HeldBack(door) if held.call.held_back else door
                await stream_chat(
                    held,
                    offer,
                    asked,
                    turn=turn,
                    terms=self._cashier.terms,
                    request_hash=request,
                    door=out,
                    name=name,
                    now=int(self._clock()),
                    limits=self.limits,
                    drain=self._drain,
                )
                self._count(offer, held, begun)
                if isinstance(out, HeldBack):
                    made = (*STREAM_HEADERS, *held.headers(Outcome.EARNED))
                    return self._kept(held, request, Reply(200, out.body, made))
                return None
            finally:
                turn.leave()
        except Exception as error:  # noqa: BLE001 - every failure is answered
            if isinstance(error, PaymentSpent):
                again = self._repeats.find(error.payment, keccak(body))
                if again is not None:
                    return again
            more: Headers = ()
            if held is not None:
                held.fail()
                more = held.headers(Outcome.FAILED)
            reply = refused(error, "POST", path, name, more)
            self._metrics.refusal(
                error.code if isinstance(error, TesseraError) else InvariantViolation.code,
                reply.status,
                offer.slug if offer else "",
                held.tender.name if held else "none",
            )
            return reply
        finally:
            if held is not None:
                held.fail()

    def _kept(self, held: Held, request: bytes, reply: Reply) -> Reply:
        if held.call.held_back:
            self._repeats.keep(held.call.held_back, request, reply)
        return reply

    def _count(self, offer: Offer, held: Held, begun: float) -> None:
        signed = held.signed
        status, units, cost = "broken", 0, 0
        if signed is not None:
            status, units, cost = "200", signed.receipt.units, signed.cost
        seconds = time.perf_counter() - begun
        self._metrics.answered(offer.slug, held.tender.name, status, seconds, units, cost)
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "call ended",
                extra={
                    FIELDS: {
                        "call": held.call.id,
                        "channel": str(held.call.channel),
                        "model": offer.slug,
                        "tender": held.tender.name,
                        "status": status,
                        "seconds": round(seconds, 6),
                        "units": units,
                        "cost": cost,
                    }
                },
            )

    async def _turn(self, call: Call, offer: Offer, most: int, door: Door) -> Turn:
        line = self.turns.line(offer.asset, offer.version, offer.slug, offer.runner.at_once)
        # Whoever pays, with whichever of his channels; all who do not pay are one.
        payer = call.payer
        return line.at_once(payer, most) or await line.wait(payer, most, door.left())

    async def _whole(
        self,
        held: Held,
        offer: Offer,
        asked: Asked,
        turn: Turn,
        request: bytes,
        name: str,
        door: Door,
    ) -> Reply:
        begun = time.perf_counter()
        try:
            result = await self._patience.wait(ask(offer.runner, asked.request))
            self._metrics.model_seconds.observe(time.perf_counter() - begun, (offer.slug,))
            turn.units = result.units.total
        except TimeoutError as error:
            raise BackendFailed(
                f"model {offer.slug!r} did not answer within {self.limits.answer_timeout_s:g} s",
                next_step="the call is not charged",
            ) from error
        finally:
            # What is left to do is ours; the model may go on.
            turn.leave()
        answer = whole_answer(
            asked,
            result,
            model=f"{offer.slug}@{offer.version}",
            name=name,
            now=int(self._clock()),
        )
        cost = offer.price.cost_ceil(result.units.input, result.units.output)
        if await door.has_left():
            # Nobody gets this answer, so nobody pays for it. The model was not stopped: for some
            # that is a restart, which leaving must not bring about for nothing.
            raise Closed(
                "the client went away before its answer was made",
                next_step="the call is not charged",
            )
        evidence = Evidence(request, keccak(answer), result.units.total)
        signed = await held.finish(cost, evidence)
        more = held.headers(Outcome.EARNED, signed.cost)
        return Reply(200, answer, (JSON, *self._receipt_headers(signed), *more))

    def _receipt_headers(self, signed: SignedReceipt) -> tuple[tuple[bytes, bytes], ...]:
        terms = self._cashier.terms
        name = signed.id(terms.domain)
        shown = receipt_json(signed, terms.domain, terms.operator, name)
        return (
            (_RECEIPT, name.encode()),
            (_CHARGED, b"%d" % signed.receipt.charged),
            (_COST, b"%d" % signed.cost),
            (_PROOF, proof_header(shown).encode()),
        )


def _check_task(offer: Offer, asked: Asked) -> None:
    tasks = offer.runner.tasks
    if asked.task not in tasks and _ALSO.get(asked.task) not in tasks:
        raise Unprocessable(
            f"model {offer.slug!r}",
            found=str(asked.task),
            wanted=" or ".join(sorted(tasks)),
            param="model",
        )
    if isinstance(asked.request, ScoreRequest) and ECHO not in offer.runner.follows:
        raise cannot_score(offer.slug)
    if isinstance(asked.request, ChatRequest):
        _check_fields(offer, asked.request)


def _check_fields(offer: Offer, request: ChatRequest) -> None:
    follows = offer.runner.follows
    wanted = list(request.passed)
    for message in request.messages:
        if message.more:
            wanted.append("tools")
            break
    for name in wanted:
        if name not in follows:
            raise Unprocessable(
                name,
                found=f"given to model {offer.slug!r}",
                wanted="a request without it: this model does not follow it",
                param=name,
            )
