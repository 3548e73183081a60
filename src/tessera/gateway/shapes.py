"""The shapes of what the gateway answers, for its OpenAPI document.

What a route really writes is elsewhere (`answers`, `responses`, `asgi`); a test compares the two
over the wire, in both directions that a schema can be wrong.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from tessera.payments.x402.facilitator import Verdict
from tessera.payments.x402.wire import Response as Response402

__all__ = [
    "ANSWERS",
    "FACILITATOR_PAGES",
    "FACILITATOR_WORK",
    "PAGES",
    "OpenaiRefusal",
    "Refusal",
    "Settling",
]

Amount = Annotated[str, msgspec.Meta(pattern=r"^[0-9]+$", description="Base units, in decimal.")]
Hash = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-f]{64}$")]
Address = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-fA-F]{40}$")]


class Usage(msgspec.Struct):
    """What a call was charged for, in units."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Embedding(msgspec.Struct):
    """One text's vector; a text in base64 where that was asked for."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Embeddings(msgspec.Struct):
    """Vectors, in the order of the texts."""

    object: Literal["list"]
    model: str
    data: list[Embedding]
    usage: Usage


class Said(msgspec.Struct):
    """The assistant's turn."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    tool_calls: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET
    function_call: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET


class ChatChoice(msgspec.Struct):
    """One of the texts that were asked for."""

    index: int
    message: Said
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class Chat(msgspec.Struct):
    """A whole chat; a stream has the same in pieces."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage


class Probabilities(msgspec.Struct):
    """A text token by token: how probable each is after those before it, as natural logarithms."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None
    text_offset: list[int]


class GivenText(msgspec.Struct):
    """The text that was given."""

    index: int
    text: str
    logprobs: Probabilities
    finish_reason: Literal["length"]


class Completion(msgspec.Struct):
    """How probable a given text is."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[GivenText]
    usage: Usage


class ResponseUsage(msgspec.Struct):
    """The same as `Usage`, in the words of responses."""

    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


class Response(msgspec.Struct):
    """A whole response; nothing of it is stored."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed", "incomplete"]
    error: None
    incomplete_details: dict[str, str] | None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    output: list[dict[str, Any]]
    parallel_tool_calls: bool
    previous_response_id: None
    reasoning: dict[str, str | None]
    store: bool
    temperature: float
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_p: float
    truncation: Literal["disabled"]
    usage: ResponseUsage


class Judged(msgspec.Struct):
    """One text's labels; flagged from a score of 0.5."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]


class Moderation(msgspec.Struct):
    """Labels as OpenAI's moderations."""

    id: str
    model: str
    results: list[Judged]
    usage: Usage


class Label(msgspec.Struct):
    """One text's likeliest label, and the score of each."""

    object: Literal["classification"]
    index: int
    label: str
    scores: dict[str, float]


class Classification(msgspec.Struct):
    """Labels, in the order of the texts."""

    object: Literal["list"]
    model: str
    data: list[Label]
    usage: Usage


class Prediction(msgspec.Struct):
    """Outputs by name, in the order of the rows."""

    object: Literal["prediction"]
    model: str
    outputs: list[dict[str, bool | float | str | list[float]]]
    usage: Usage


class Prices(msgspec.Struct):
    """Base units per call and per thousand units."""

    per_call: Amount
    per_1k_in: Amount
    per_1k_out: Amount


class CardDiscount(msgspec.Struct):
    """What holders pay."""

    bps: int
    terms: int
    min_locked: Amount
    price: Prices


class CardDetails(msgspec.Struct):
    """What a model's card says beside OpenAI's fields."""

    asset: str
    urn: str
    version: int
    terms: int
    price: Prices
    discount: CardDiscount | None
    tasks: list[str]
    identity: int
    note: str | None
    limits: dict[str, int]


class Card(msgspec.Struct):
    """A model that is served."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    tessera: CardDetails


class HowToPay(msgspec.Struct):
    """Where vouchers are good."""

    chain_id: int
    channels: Address
    operator: Address
    operator_key: str
    currency: Address
    decimals: int
    symbol: str
    withdraw_delay_s: int


class Cards(msgspec.Struct):
    """All models that are served."""

    object: Literal["list"]
    data: list[Card]
    tessera: HowToPay


class ChannelLine(msgspec.Struct):
    """What one asset's terms have earned of a channel."""

    asset: str
    terms: int
    charged: Amount
    settled: Amount
    in_flight: Amount


class Channel(msgspec.Struct):
    """A channel as the operator sees it."""

    channel: str
    operator: Address
    payer: Address
    signer: Address
    balance: Amount
    available_at: int
    lines: list[ChannelLine]


class Receipt(msgspec.Struct):
    """A signed receipt, with all that verifying it takes."""

    id: str
    operator: Address
    chain_id: int
    contract: Address
    channel: str
    asset: str
    version: int
    terms: int
    charged: Amount
    request: Hash
    response: Hash
    units: str
    time: int
    identity: int
    signature: str
    cost: Amount
    call: str


class Receipts(msgspec.Struct):
    """Each line's latest receipt, and the voucher that it is settled on."""

    object: Literal["list"]
    data: list[Receipt]
    voucher: str | None


class CallState(msgspec.Struct):
    """What became of a call; `unknown` cost nothing."""

    call: str
    state: Literal["answering", "answered", "unknown"]
    receipt: Receipt | None


class Order(msgspec.Struct):
    """An order of Access as the operator sees it."""

    access: Address
    order: str
    asset: str
    owner: Address
    user: Address
    valid_until: int
    calls: str | None
    used: str
    in_flight: int
    served: bool
    proved: bool


class Health(msgspec.Struct):
    """That the process answers."""

    ok: bool
    in_flight: int
    waiting: int


class Ready(msgspec.Struct):
    """Whether it should be sent calls, and if not, why."""

    ok: bool
    reasons: list[dict[str, str]]


class ModelBudget(msgspec.Struct):
    """What a key may spend on one model in a period, and has; None for what the chain allows."""

    budget: Amount | None
    spent: Amount


class KeyState(msgspec.Struct):
    """How an API key stands; what is in flight counts as spent."""

    id: str
    channel: str
    sequence: int
    revoked: bool
    budget: Amount | None
    period: Literal["total", "day", "month"]
    resets_at: int | None
    spent: Amount
    models: dict[str, ModelBudget] | None
    calls_per_minute: int | None


class OpenaiError(msgspec.Struct):
    """Why it was refused; `details` has the values, for programs."""

    message: str
    type: str
    param: str | None
    code: str
    details: dict[str, Any]
    request_id: str | msgspec.UnsetType = msgspec.UNSET


class OpenaiRefusal(msgspec.Struct):
    """A refusal under `/v1`."""

    error: OpenaiError


class Refusal(msgspec.Struct):
    """A refusal elsewhere."""

    ok: bool
    code: str
    message: str
    details: dict[str, Any]
    retryable: bool
    request_id: str | msgspec.UnsetType = msgspec.UNSET


ANSWERS = {
    "/v1/embeddings": Embeddings,
    "/v1/chat/completions": Chat,
    "/v1/responses": Response,
    "/v1/completions": Completion,
    "/v1/moderations": Moderation,
    "/v1/classify": Classification,
    "/v1/predict": Prediction,
}
"""What each paid route answers."""


class Page(msgspec.Struct):
    """Which part of a list this is."""

    limit: int
    offset: int
    total: int


class Resources(msgspec.Struct):
    """Paid resources, as x402 lists them."""

    x402Version: int  # noqa: N815 - its standard's name
    items: list[dict[str, Any]]
    pagination: Page


class Refunded(msgspec.Struct):
    """What was given back of an x402 channel, and by which transaction."""

    refunded: Amount
    transaction: Hash


class Settling(msgspec.Struct):
    """What a server asks a facilitator: a payment of its client, or an action that it signed."""

    paymentPayload: dict[str, Any]  # noqa: N815 - its standard's names
    paymentRequirements: dict[str, Any]  # noqa: N815
    x402Version: Literal[2]  # noqa: N815


class Supported(msgspec.Struct):
    """What a facilitator settles, and who sends it."""

    kinds: list[dict[str, Any]]
    extensions: list[str]
    signers: dict[str, list[str]]


class GasLeft(msgspec.Struct):
    """That a facilitator answers, and what is left of its hour."""

    ok: bool
    gas_left: int


PAGES: dict[str, tuple[str, Any]] = {
    "/v1/models": ("Models, their prices, and how to pay.", Cards),
    "/v1/models/{model}": ("One model.", Card),
    "/v1/channels/{channel}": ("A payment channel as the operator sees it.", Channel),
    "/v1/channels/{channel}/receipts": ("The latest receipt of each line of a channel.", Receipts),
    "/v1/channels/{channel}/calls/{call}": ("What became of one call.", CallState),
    "/v1/orders/{access}/{order}": ("An order of Access as the operator sees it.", Order),
    "/receipts/{receipt}": ("A signed receipt.", Receipt),
    "/discovery/resources": ("What is paid by x402 here, and how it is called.", Resources),
    "/x402/{model}": ("How a model is paid by x402; with a refund, money back.", Refunded),
    "/healthz": ("Whether the gateway answers.", Health),
    "/readyz": ("Whether it should be sent calls, and if not, why.", Ready),
}
"""What each other route answers."""

FACILITATOR_PAGES: dict[str, tuple[str, Any]] = {
    "/facilitator/supported": ("What its facilitator settles.", Supported),
    "/facilitator/discovery/resources": ("The same as without /facilitator.", Resources),
    "/facilitator/healthz": ("Whether its facilitator answers.", GasLeft),
}
FACILITATOR_WORK: dict[str, tuple[str, Any]] = {
    "/facilitator/verify": ("Whether an x402 payment is good; nothing is sent.", Verdict),
    "/facilitator/settle": ("Settles an x402 payment, once.", Response402),
}
"""What a gateway answers that settles x402 payments: by GET, and by POST of a `Settling`."""
