"""Where questions go: a gateway that is paid, any OpenAI-compatible server, or one's own copy.

A question goes out as any consumer's would: the same client, the same headers, the model by its
plain name. Whoever answers cannot tell from it that a score depends on the answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import httpx

from tessera.client.gateway import ModelCard
from tessera.client.patience import Reply, post_patiently
from tessera.errors import (
    BackendFailed,
    InputError,
    PaymentRequired,
    ServingError,
    TesseraError,
)
from tessera.payments.header import PROOF_HEADER, SignedReceipt, parse_proof
from tessera.serving.asking import ask as answer_of
from tessera.serving.bodies import PAID_PATHS, TokenLimits, read_body
from tessera.serving.runner import ChatRequest, Identity, Runner
from tessera.spec.signatures import Domain
from tessera.validation.answers import (
    COMPLETIONS,
    Answer,
    Ask,
    Malformed,
    Outcome,
    Unsupported,
    output_of_result,
    read_output,
)

__all__ = ["CopyEndpoint", "Endpoint", "HttpEndpoint", "PaidEndpoint", "Said", "Served"]

_OK: Final = 200
_FIRST_FAILURE: Final = 500
_BUSY: Final = frozenset({429, 503})
_NO_ROUTE: Final = frozenset({404, 405, 501})
_ABOUT_THE_REQUEST: Final = frozenset({400, 413, 422})
_AGAIN: Final = 2
_MOST_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Served:
    """What an operator signed that it served."""

    asset: int
    version: int
    identity: Identity


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, and what is known about who gave it.

    Attributes
    ----------
    served
        None without a receipt.
    why
        For people, where it is no answer.
    """

    answer: Answer
    served: Served | None = None
    why: str = ""


class Endpoint(Protocol):
    """Something that can be asked."""

    def most(self, ask: Ask) -> int:
        """Return what a question can cost, base units."""

    async def ask(self, ask: Ask) -> Said:
        """Ask once.

        Raises
        ------
        TesseraError
            It cannot be reached, is full, or wants to be paid otherwise: nothing about the model.
        """


def body_of(model: str, ask: Ask) -> bytes:
    """Write a body as clients do: the model first, no spaces."""
    fields = {"model": model, **ask.fields}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


class HttpEndpoint:
    """Any server with OpenAI's routes.

    Parameters
    ----------
    http
        Its base URL is the server's, without `/v1`.
    model
        What the server calls it.
    """

    def __init__(self, http: httpx.AsyncClient, model: str) -> None:
        self._http = http
        self._model = model

    def most(self, ask: Ask) -> int:
        """Return 0: what another's server costs is between it and its key's owner."""
        return 0

    async def ask(self, ask: Ask) -> Said:
        """Ask once; a failure of the server once more."""
        reply = await self._reply(ask)
        return _said(ask, reply, f"model {self._model}")

    async def _reply(self, ask: Ask) -> Reply:
        body = body_of(self._model, ask)
        for _ in range(_AGAIN):
            reply = await post_patiently(self._http, ask.path, body, most_bytes=_MOST_BYTES)
            if reply.status < _FIRST_FAILURE or reply.status in _BUSY | _NO_ROUTE:
                break
        return reply


class PaidEndpoint(HttpEndpoint):
    """A gateway, paid per call by whatever `http` pays with.

    Parameters
    ----------
    http
        From `tessera.Client.async_http`, whose transport has checked each receipt that it passes.
    card
        The model as the gateway lists it.
    domain
        Chain and contract that receipts are signed for.
    receipt
        Told of each receipt.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        card: ModelCard,
        domain: Domain,
        receipt: Callable[[SignedReceipt], None] = lambda _receipt: None,
    ) -> None:
        super().__init__(http, card.id)
        self._card = card
        self._domain = domain
        self._receipt = receipt

    def most(self, ask: Ask) -> int:
        """Return the most that a question can cost at the listed price."""
        if ask.path not in PAID_PATHS:
            return 0
        try:
            units = read_body(ask.path, body_of(self._card.id, ask), self._card.limits).most
        except InputError:
            # The gateway refuses it, which costs nothing.
            return 0
        return self._card.price.cost_ceil(units.input, units.output)

    async def ask(self, ask: Ask) -> Said:
        """Ask once and pay."""
        task = PAID_PATHS.get(ask.path)
        if task is None or task not in self._card.tasks:
            answers = ", ".join(self._card.tasks)
            return Said(
                Answer(Outcome.UNSUPPORTED),
                why=f"{self._card.id} answers {answers}; not {ask.path}",
            )
        reply = await self._reply(ask)
        try:
            said = _said(ask, reply, f"model {self._card.id}")
        except (ServingError, PaymentRequired):
            raise
        except TesseraError as refusal:
            # Its own words: by no name that it chooses is it trouble of ours.
            raise ServingError(refusal.message) from refusal
        proof = reply.headers.get(PROOF_HEADER)
        if proof is None:
            return said
        signed = parse_proof(proof)
        self._receipt(signed)
        answer = Answer(
            said.answer.outcome, said.answer.output, signed.id(self._domain), signed.cost
        )
        receipt = signed.receipt
        served = Served(receipt.asset, receipt.version, Identity(receipt.identity))
        return Said(answer, served, said.why)


class CopyEndpoint:
    """One's own copy of a model, in this process.

    Parameters
    ----------
    runner
        Loaded.
    limits
        How long its texts may be.
    """

    def __init__(self, runner: Runner, limits: TokenLimits | None = None) -> None:
        self._runner = runner
        self._limits = limits or TokenLimits()

    def most(self, ask: Ask) -> int:
        """Return 0."""
        return 0

    async def ask(self, ask: Ask) -> Said:
        """Ask once."""
        try:
            asked = read_body(ask.path, body_of("copy", ask), self._limits)
            if asked.task not in self._runner.tasks:
                raise Unsupported(f"it answers {', '.join(self._runner.tasks)}")
            if isinstance(asked.request, ChatRequest) and ask.fields.get("logprobs"):
                raise Unsupported("no log probabilities of what it writes")
            output = output_of_result(ask, await answer_of(self._runner, asked.request))
            return Said(Answer(Outcome.ANSWERED, output))
        except Malformed as error:
            return Said(Answer(Outcome.MALFORMED), why=str(error))
        except Unsupported as error:
            return Said(Answer(Outcome.UNSUPPORTED), why=str(error))
        except InputError as error:
            outcome = Outcome.UNSUPPORTED if _no_logs(ask, str(error)) else Outcome.REFUSED
            return Said(Answer(outcome), why=str(error))
        except BackendFailed as error:
            return Said(Answer(Outcome.FAILED), why=str(error))


def _said(ask: Ask, reply: Reply, about: str) -> Said:
    if reply.status == _OK:
        try:
            return Said(Answer(Outcome.ANSWERED, read_output(ask, reply.content)))
        except Malformed as error:
            return Said(Answer(Outcome.MALFORMED), why=str(error))
        except Unsupported as error:
            return Said(Answer(Outcome.UNSUPPORTED), why=str(error))
    refusal = reply.error(about)
    if reply.status in _NO_ROUTE:
        return Said(Answer(Outcome.UNSUPPORTED), why=refusal.message)
    if reply.status in _ABOUT_THE_REQUEST:
        outcome = Outcome.UNSUPPORTED if _no_logs(ask, refusal.message) else Outcome.REFUSED
        return Said(Answer(outcome), why=refusal.message)
    if reply.status >= _FIRST_FAILURE and reply.status not in _BUSY:
        return Said(Answer(Outcome.FAILED), why=refusal.message)
    raise refusal


def _no_logs(ask: Ask, refusal: str) -> bool:
    """Tell whether somebody cannot say what a question of probabilities is about."""
    asks = ask.path == COMPLETIONS or bool(ask.fields.get("logprobs"))
    return asks and "logprobs" in refusal
