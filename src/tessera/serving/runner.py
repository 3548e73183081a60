"""What every runner answers, whoever made the model and wherever it runs.

Requests and results are plain values without any trace of HTTP. Each result says how many units
it is charged for (`tessera.serving.metering`), and each runner says whether it loaded bytes that
were hashed (`Identity.HASHED`) or repeats what a server elsewhere calls itself.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Sequence
from typing import Final, Literal, Protocol, runtime_checkable

import msgspec

from tessera.assets.manifest import Task
from tessera.errors import BackendFailed, TooLarge, Unprocessable

__all__ = [
    "ECHO",
    "Cell",
    "ChatDelta",
    "ChatEnd",
    "ChatPusher",
    "ChatRequest",
    "ChatResult",
    "ChatSink",
    "Choice",
    "ClassifyRequest",
    "ClassifyResult",
    "EmbeddingsRequest",
    "EmbeddingsResult",
    "Fields",
    "Finish",
    "Identity",
    "Message",
    "PredictRequest",
    "PredictResult",
    "Pushing",
    "Request",
    "Result",
    "Runner",
    "RunnerBase",
    "ScoreRequest",
    "ScoreResult",
    "Scorer",
    "Task",
    "Units",
    "cannot_score",
]

Cell = bool | int | float | str
"""One value of a table."""

Finish = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
"""Why a text ended: the model was done (or met a stop sequence), the limit was reached, it wants a
tool to be called, or its server left something out."""

Fields = dict[str, msgspec.Raw]
"""Parts of JSON that a runner hands on as they are, by name."""


class Identity(enum.IntEnum):
    """How well the operator knows what answered; the number stands in the receipt."""

    HASHED = 1
    """The runner loaded files that match the asset's content root."""

    DECLARED = 2
    """A server that cannot be hashed from here says that it is this model."""


class Units(msgspec.Struct, frozen=True):
    """What one call is charged for; `tessera.serving.metering` says what a unit is."""

    input: int = 0
    output: int = 0

    @property
    def total(self) -> int:
        """Input and output together."""
        return self.input + self.output


class EmbeddingsRequest(msgspec.Struct, frozen=True):
    """Texts of which each wants one vector."""

    texts: tuple[str, ...]


class EmbeddingsResult(msgspec.Struct, frozen=True):
    """One vector of finite numbers per text, all of one length, in the order of the texts."""

    vectors: list[list[float]]
    units: Units


class Message(msgspec.Struct, frozen=True):
    """One turn of a conversation.

    Attributes
    ----------
    role, content
        Who says what.
    more
        What the turn has beside that: the calls of a tool, or which call it answers.
    """

    role: str
    content: str
    more: Fields = {}


class ChatRequest(msgspec.Struct, frozen=True):
    """A conversation that wants its next turn.

    Attributes
    ----------
    messages
        Oldest first; never empty.
    max_tokens
        The most output units that the answer may have; never exceeded, so it bounds the price.
    temperature
        0 always takes the likeliest token; 1 samples the model's own distribution.
    top_p
        Sample only among the likeliest tokens whose probabilities reach this sum, in (0, 1].
    stop
        The text ends before the first of these, which is not part of it.
    seed
        Equal seeds give equal texts on an in-house runner; an upstream does what it likes.
    n
        How many texts are wanted.
    passed
        Further fields of the request as the consumer wrote them (tools, a format, log
        probabilities): each is among the runner's `follows`.
    """

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1
    passed: Fields = {}


class ChatDelta(msgspec.Struct, frozen=True):
    """The next piece of a streamed text, and what the call is charged if it ends here.

    Attributes
    ----------
    text, units
        The piece; the units of the whole call so far.
    index
        Of which text, where several are wanted.
    more
        What comes beside text: pieces of a tool's call.
    logprobs
        As the model's server wrote them.
    """

    text: str
    units: Units
    index: int = 0
    more: Fields = {}
    logprobs: msgspec.Raw | None = None


class ChatEnd(msgspec.Struct, frozen=True):
    """The last event of a stream that came to its end; a stream without it has failed.

    Attributes
    ----------
    finish
        Why the first text ended.
    units
        Of the whole call.
    others
        Why the further ones ended, where several were wanted.
    """

    finish: Finish
    units: Units
    others: tuple[Finish, ...] = ()


class Choice(msgspec.Struct, frozen=True):
    """One whole text.

    Attributes
    ----------
    text
        None where the model calls a tool and says nothing.
    finish
        Why it ended.
    more
        What the message has beside text: a tool's calls, a refusal.
    logprobs
        As the model's server wrote them.
    """

    text: str | None
    finish: Finish
    more: Fields = {}
    logprobs: msgspec.Raw | None = None


class ChatResult(msgspec.Struct, frozen=True):
    """As many texts as were wanted, and what they are charged for together."""

    choices: tuple[Choice, ...]
    units: Units

    @property
    def text(self) -> str:
        """The first text."""
        return self.choices[0].text or ""

    @property
    def finish(self) -> Finish:
        """Why it ended."""
        return self.choices[0].finish


class ClassifyRequest(msgspec.Struct, frozen=True):
    """Texts of which each wants a score per label."""

    texts: tuple[str, ...]


ECHO: Final = "echo"
"""Followed by a model that writes texts and can say how probable a given one is."""


def cannot_score(name: str) -> Unprocessable:
    """Build the refusal of a model that cannot say how probable a given text is."""
    return Unprocessable(
        f"model {name!r}",
        found="asked for logprobs of a given text",
        wanted="something else: this model does not say how probable a text is",
        param=ECHO,
    )


FLAGGED_FROM: Final = 0.5
"""A moderation label with this score or more is flagged."""


class ClassifyResult(msgspec.Struct, frozen=True):
    """Per text the finite score of each label; the likeliest is the one with the highest."""

    scores: list[dict[str, float]]
    units: Units


class PredictRequest(msgspec.Struct, frozen=True):
    """Rows of one table; every row has the same columns in the same order."""

    rows: tuple[tuple[Cell, ...], ...]


class PredictResult(msgspec.Struct, frozen=True):
    """Per row its outputs by name; an output of several numbers is a list."""

    outputs: list[dict[str, Cell | list[float]]]
    units: Units


class ScoreRequest(msgspec.Struct, frozen=True):
    """A text that is given, and wants to be told how probable each token of it is.

    Attributes
    ----------
    text
        As it stands: no turn of a conversation, and nothing is written behind it.
    likeliest
        How many of the likeliest tokens are wanted beside each, where the model says so.
    """

    text: str
    likeliest: int = 0


class ScoreResult(msgspec.Struct, frozen=True):
    """A text, token by token, as the model cuts it.

    Attributes
    ----------
    tokens, starts, logs
        Of each token: how it reads, the character it begins at, and the natural logarithm of its
        probability after those before it; None only where nothing is before it.
    units
        What the call is charged for.
    likeliest
        Of each token the likeliest in its place, with their logarithms; None where the model does
        not say.
    """

    tokens: tuple[str, ...]
    starts: tuple[int, ...]
    logs: tuple[float | None, ...]
    units: Units
    likeliest: tuple[dict[str, float] | None, ...] | None = None


Request = EmbeddingsRequest | ChatRequest | ClassifyRequest | PredictRequest | ScoreRequest
"""What a runner can be asked."""

Result = EmbeddingsResult | ChatResult | ClassifyResult | PredictResult | ScoreResult
"""What it answers, each to its request."""


@runtime_checkable
class Runner(Protocol):
    """Something that answers calls to one model.

    Every method but `load` and `close` may run many times at once. A method that the model's
    tasks leave out raises `Unprocessable`. Every failure of what runs the model is a
    `BackendFailed`: the call has no result and costs nothing.
    """

    @property
    def tasks(self) -> frozenset[Task]:
        """What this model can be asked."""

    @property
    def identity(self) -> Identity:
        """How well the operator knows what answers."""

    @property
    def follows(self) -> frozenset[str]:
        """Fields of a chat, beyond those that every model follows, that this one follows."""

    @property
    def note(self) -> str | None:
        """What a reader of every reply should know about this model, in one line."""

    @property
    def at_once(self) -> int:
        """Calls that it answers at the same time; more would only wait inside of it."""

    async def load(self) -> None:
        """Make it ready; the first call would otherwise wait for that. Twice is once."""

    async def close(self) -> None:
        """End what was started. Calls in flight fail. Twice is once."""

    async def embed(self, request: EmbeddingsRequest) -> EmbeddingsResult:
        """Turn texts into vectors."""

    async def chat(self, request: ChatRequest) -> ChatResult:
        """Answer a conversation with a whole text."""

    def chat_stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta | ChatEnd]:
        """Answer a conversation piece by piece; closing the iterator stops the model."""

    async def classify(self, request: ClassifyRequest) -> ClassifyResult:
        """Score each text under each label."""

    async def predict(self, request: PredictRequest) -> PredictResult:
        """Compute the outputs of each row."""

    async def score_text(self, request: ScoreRequest) -> ScoreResult:
        """Say how probable each token of a given text is; one that can follows `ECHO`."""


@runtime_checkable
class Scorer(Protocol):
    """A runner that can also say how probable it finds a text; an audit asks its own copy that."""

    async def log_probabilities(
        self, messages: Sequence[Message], text: str
    ) -> tuple[float, ...] | None:
        """Return natural logarithms, one per token; None where this model cannot say."""


class ChatSink(Protocol):
    """Who is told of a chat as it is written; neither method may raise."""

    def on_piece(self, piece: ChatDelta | ChatEnd) -> None:
        """Take the next piece; a `ChatEnd` is the last."""

    def on_failure(self, error: Exception) -> None:
        """There will be no more of it."""


class Pushing(Protocol):
    """A chat that is being written."""

    def stop(self) -> None:
        """Want no more; the sink hears nothing from then on. After the end it does nothing."""

    def pause(self) -> None:
        """Let the model wait."""

    def resume(self) -> None:
        """Let it go on."""


@runtime_checkable
class ChatPusher(Protocol):
    """A runner that tells of each piece by itself, which costs less than being waited for."""

    def push_chat(self, request: ChatRequest, sink: ChatSink) -> Pushing:
        """Answer a conversation piece by piece; the sink may be told before this returns."""


class RunnerBase:
    """Refuses every task; a runner overrides what its model can do.

    Parameters
    ----------
    name
        The model as its users know it; named in every refusal.
    tasks
        What this model can be asked.
    identity
        How well the operator knows what answers.
    note
        What a reader of every reply should know.
    at_once
        Calls that it answers at the same time.
    """

    def __init__(
        self,
        name: str,
        tasks: frozenset[Task],
        identity: Identity,
        note: str | None = None,
        *,
        at_once: int = 64,
    ) -> None:
        self.name = name
        self._tasks = tasks
        self._identity = identity
        self._note = note
        self._at_once = at_once

    @property
    def tasks(self) -> frozenset[Task]:
        """What this model can be asked."""
        return self._tasks

    @property
    def identity(self) -> Identity:
        """How well the operator knows what answers."""
        return self._identity

    @property
    def follows(self) -> frozenset[str]:
        """None, unless a runner says so."""
        return frozenset()

    @property
    def note(self) -> str | None:
        """What a reader of every reply should know about this model."""
        return self._note

    @property
    def at_once(self) -> int:
        """Calls that it answers at the same time."""
        return self._at_once

    async def embed(self, request: EmbeddingsRequest) -> EmbeddingsResult:
        """Refuse: this model makes no vectors."""
        raise self._not_served(Task.EMBEDDINGS)

    async def chat(self, request: ChatRequest) -> ChatResult:
        """Refuse: this model does not write text."""
        raise self._not_served(Task.CHAT)

    def chat_stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta | ChatEnd]:
        """Refuse: this model does not write text."""
        raise self._not_served(Task.CHAT)

    async def classify(self, request: ClassifyRequest) -> ClassifyResult:
        """Refuse: this model does not classify texts."""
        raise self._not_served(Task.CLASSIFICATION)

    async def predict(self, request: PredictRequest) -> PredictResult:
        """Refuse: this model takes no tables."""
        raise self._not_served(Task.PREDICT)

    async def score_text(self, request: ScoreRequest) -> ScoreResult:
        """Refuse: this model does not say how probable a given text is."""
        raise cannot_score(self.name)

    def require_at_most(self, most: int, count: int, what: str) -> None:
        """Refuse a call without any text or row, and one with more than the model takes.

        Raises
        ------
        TooLarge
            There are none, or too many.
        """
        if not 1 <= count <= most:
            raise TooLarge(
                f"model {self.name!r}: {what} of one call",
                found=count,
                wanted=f"1 to {most}",
                next_step="send them in several calls",
            )

    def require(self, *any_of: Task) -> None:
        """Refuse a call whose task the model does not serve.

        Raises
        ------
        Unprocessable
            None of `any_of` is among the model's tasks.
        """
        if not self._tasks.intersection(any_of):
            raise self._not_served(any_of[0])

    def failed(self, what: str) -> BackendFailed:
        """Build the error for a model that did not answer as promised; costs nothing."""
        return BackendFailed(f"model {self.name!r} {what}", next_step="the call is not charged")

    def _not_served(self, task: Task) -> Unprocessable:
        return Unprocessable(
            f"model {self.name!r}",
            found=str(task),
            wanted=" or ".join(sorted(self._tasks)) or "nothing: it is not loaded",
        )
