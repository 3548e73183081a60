"""The gateway is what its OpenAPI document says: schemathesis asks, over a real socket.

It makes requests up from the document, good ones and bad ones, and compares every answer with the
schema of its route. A failure of ours (5xx), an answer that the document does not have, or a
request that is taken although the document forbids it, fails the test.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.integration.gateway.conftest import Shop

from tessera.chain.node import EmbeddedNode
from tessera.chain.predeploys import predeployed_code
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.chain.wallet import Account
from tessera.gateway.asgi import Gateway
from tessera.gateway.server import GatewayServer
from tessera.payments.x402.facilitator import Facilitator, FacilitatorRules
from tessera.serving.bodies import COMPLETIONS_PATH, PASSED

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
UNFOLLOWED = {*PASSED, "dimensions", "text", "reasoning", "previous_response_id", "background"}
UNFOLLOWED |= {"conversation", "prompt"}
BASE_SEPOLIA = 84_532
EXAMPLES = settings.default.max_examples // 4
PATHS = ("/v1/embeddings", "/v1/chat/completions", "/v1/responses", "/v1/moderations")
PATHS += ("/v1/classify", "/v1/predict", COMPLETIONS_PATH)


def explore(url: str, examples: int, only: Callable[[str], bool], *, paying: bool) -> set[int]:
    """Ask every operation; return which statuses came."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")

    @schema.hook  # type: ignore[untyped-decorator]
    def map_body(context: Any, body: Any) -> Any:
        # A name that nobody gave a model ends every call before it begins, and so does a field
        # that this model does not follow.
        if not isinstance(body, dict):
            return body
        kept = {name: value for name, value in body.items() if name not in UNFOLLOWED}
        if context.operation.path.endswith(COMPLETIONS_PATH):
            # A given text is all that is answered there, and how probable it is.
            kept = {name: body[name] for name in ("prompt", "logprobs") if body.get(name)}
            kept = {"logprobs": 0, **kept, "echo": True}
        if isinstance(kept.get("rows"), list):
            # That all rows are of one width is nothing that a schema can say.
            kept["rows"] = kept["rows"][:1]
        return {**kept, "model": "free-parrot"} if "paymentPayload" not in kept else kept

    @schema.hook  # type: ignore[untyped-decorator]
    def map_headers(context: Any, headers: Any) -> Any:
        return headers if paying else {}

    seen: set[int] = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        if not only(operation.path):
            continue
        # A page without a body has nothing that could be wrong but its name.
        bad = [GenerationMode.NEGATIVE] if operation.body else []
        for mode in (GenerationMode.POSITIVE, *bad):

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def ask(case: Any) -> None:
                answer = case.call(timeout=60)
                case.validate_response(answer, checks=CHECKS)
                seen.add(answer.status_code)

            ask()
    return seen


@pytest.mark.parametrize("path", PATHS)
async def test_a_free_call_answers_what_the_document_says(shop: Shop, path: str) -> None:
    seen = await asyncio.to_thread(explore, shop.url, EXAMPLES, path.__eq__, paying=False)
    assert 200 in seen
    assert seen & {400, 422}


async def test_calls_with_payments_out_of_the_air_are_refused_as_documented(shop: Shop) -> None:
    seen = await asyncio.to_thread(explore, shop.url, 3, lambda path: path in PATHS, paying=True)
    assert seen & {400, 401}


async def test_a_gateway_that_settles_answers_servers_as_the_document_says(
    shop: Shop, tmp_path: Path
) -> None:
    code = predeployed_code(BASE_SEPOLIA, decimals=6, faucet=1)
    async with (
        EmbeddedNode.start(tmp_path / "node", chain_id=BASE_SEPOLIA, prefund={}, code=code) as node,
        ChainReader(node.url, chain_id=BASE_SEPOLIA) as reader,
        Sender(reader, Account(b"\x24" * 32)) as sender,
    ):
        facilitator = Facilitator(reader, sender, FacilitatorRules(tokens=None), time.time)
        here = shop.server.gateway
        gateway = Gateway(here.catalogue, here.cashier, time.time, facilitator=facilitator)
        server = GatewayServer(gateway, drain_s=1)
        await server.start()
        try:
            seen = await asyncio.to_thread(
                explore, server.url, 8, lambda path: path.startswith("/facilitator"), paying=False
            )
        finally:
            await server.stop()
    assert seen == {200}, "a payment that is none is an answer, not a failure"


async def test_every_other_page_answers_what_the_document_says(shop: Shop) -> None:
    seen = await asyncio.to_thread(
        explore, shop.url, 4, lambda path: path not in PATHS, paying=True
    )
    assert {200, 404} <= seen
