"""Calls over a real socket: what is answered, what it costs, and what a refusal says."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import struct
from typing import Any

import httpx
import pytest
from tests.integration.gateway.conftest import PARROT, PRICE, Shop
from tests.unit.payments.conftest import CONSUMER, DOMAIN, OPERATOR

from tessera.errors import SignatureRejected
from tessera.payments.header import parse_proof, parse_receipt
from tessera.serving.receipts import check_receipt
from tessera.spec.signatures import keccak

TEXTS = {"model": "parrot", "input": ["four", "words"]}
TALK = {"model": "parrot", "messages": [{"role": "user", "content": "say this again"}]}


async def test_an_unpaid_call_hears_all_that_it_takes_to_pay(shop: Shop) -> None:
    answer = await shop.post("/v1/embeddings", TEXTS, {})
    assert answer.status_code == 402
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("payment_required", "payment_required")
    details = error["details"]
    assert details["maximum"] == str(PRICE.cost_ceil(3, 0))
    assert details["payment"]["chain_id"] == 31_337
    assert details["payment"]["operator"].lower() == "0x" + OPERATOR.address.hex()
    assert details["model"]["tessera"]["price"]["per_1k_in"] == "1000"
    assert details["model"]["tessera"]["terms"] == 1
    assert answer.headers["x-should-retry"] == "false"


async def test_a_paid_call_is_answered_with_a_receipt_over_its_exact_bytes(shop: Shop) -> None:
    channel = shop.books.chain.open()
    answer = await shop.post("/v1/embeddings", TEXTS, shop.pay(channel, (PARROT, 200)))
    assert answer.status_code == 200
    assert [row["embedding"] for row in answer.json()["data"]] == [[4, 0.5, -1], [5, 0.5, -1]]
    assert answer.json()["model"] == "parrot@3"
    cost = PRICE.cost_ceil(3, 0)
    assert answer.headers["tessera-charged"] == answer.headers["tessera-cost"] == str(cost)
    fetched = await shop.http.get(f"/receipts/{answer.headers['tessera-receipt']}")
    checked = check_receipt(
        fetched.content,
        DOMAIN,
        OPERATOR.address,
        request=answer.request.content,
        response=answer.content,
    )
    assert checked.signed == parse_proof(answer.headers["tessera-proof"])
    receipt = checked.signed.receipt
    assert (receipt.channel, receipt.asset, receipt.version) == (channel, 7, 3)
    assert (receipt.charged, receipt.units, receipt.identity) == (cost, 3, 1)


async def test_a_forged_receipt_is_known_by_its_signature(shop: Shop) -> None:
    """Somebody shows a receipt that says less, or one that the operator never signed: only the
    operator's signature over exactly these numbers counts."""
    channel = shop.books.chain.open()
    answer = await shop.post("/v1/embeddings", TEXTS, shop.pay(channel, (PARROT, 200)))
    name = answer.headers["tessera-receipt"]
    genuine = (await shop.http.get(f"/receipts/{name}")).content
    charged = parse_receipt(genuine).receipt.charged
    cheaper = genuine.replace(b'"charged":"%d"' % charged, b'"charged":"1"')
    assert cheaper != genuine
    with pytest.raises(SignatureRejected, match="signed by"):
        check_receipt(cheaper, DOMAIN, OPERATOR.address)
    with pytest.raises(SignatureRejected, match="signed by"):
        check_receipt(genuine, DOMAIN, CONSUMER.address)
    with pytest.raises(SignatureRejected, match="request"):
        check_receipt(genuine, DOMAIN, OPERATOR.address, request=b"another")


async def test_embeddings_come_as_base64_where_that_is_asked(shop: Shop) -> None:
    channel = shop.books.chain.open()
    body = {**TEXTS, "encoding_format": "base64"}
    answer = await shop.post("/v1/embeddings", body, shop.pay(channel, (PARROT, 200)))
    packed = base64.b64decode(answer.json()["data"][0]["embedding"])
    assert struct.unpack("<3f", packed) == (4.0, 0.5, -1.0)


async def test_every_task_has_its_route(shop: Shop) -> None:
    channel = shop.books.chain.open(10**6)
    asked = {
        "/v1/chat/completions": TALK,
        "/v1/moderations": {"model": "parrot", "input": "LOUD"},
        "/v1/classify": {"model": "parrot", "input": ["LOUD", "low"]},
        "/v1/predict": {"model": "parrot", "rows": [[1, 2.5, True, "x"]]},
    }
    answers = {}
    for number, (path, body) in enumerate(asked.items(), 1):
        paid = shop.pay(channel, (PARROT, number * 10_000))
        answers[path] = (await shop.post(path, body, paid)).json()
    chat = answers["/v1/chat/completions"]
    assert chat["choices"][0]["message"]["content"] == "say this again "
    assert chat["usage"] == {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}
    (moderated,) = answers["/v1/moderations"]["results"]
    assert moderated["flagged"] is True
    assert moderated["categories"] == {"loud": True, "quiet": False}
    labels = [row["label"] for row in answers["/v1/classify"]["data"]]
    assert labels == ["loud", "quiet"]
    assert answers["/v1/predict"]["outputs"] == [{"cells": 4}]


async def test_a_given_text_is_told_how_probable_it_is_for_its_tokens(shop: Shop) -> None:
    """As OpenAI's older route has it; nothing is written, so only input is paid."""
    channel = shop.books.chain.open(10**6)
    asked = {"model": "parrot", "prompt": "so it is", "echo": True, "logprobs": 1, "max_tokens": 1}
    answer = await shop.post("/v1/completions", asked, shop.pay(channel, (PARROT, 10_000)))
    (choice,) = answer.json()["choices"]
    assert choice["text"] == "so it is"
    assert choice["logprobs"] == {
        "tokens": ["so", " it", " is"],
        "text_offset": [0, 2, 5],
        "token_logprobs": [None, -3.0, -3.0],
        "top_logprobs": None,
    }
    assert answer.json()["usage"] == {
        "prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3,
    }  # fmt: skip
    assert await shop.charged(channel) == {PARROT: 103}


@pytest.mark.parametrize(
    ("change", "status", "why"),
    [
        ({"echo": None}, 422, "/v1/chat/completions"),
        ({"logprobs": None}, 422, "/v1/chat/completions"),
        ({"logprobs": 6}, 400, "<= 5"),
        ({"max_tokens": 2}, 422, "nothing is written"),
        ({"stream": True}, 422, "one piece"),
        ({"n": 2}, 422, "the text is given"),
        ({"prompt": ""}, 400, "length >= 1"),
        ({"prompt": [""]}, 400, "not empty"),
        ({"prompt": ["a", "b"]}, 413, "one text"),
        ({"prompt": [[1, 2]]}, 422, "token numbers"),
        ({"prompt": "\ud800"}, 400, "strict JSON"),
    ],
    ids=str,
)
async def test_what_cannot_be_told_of_a_text_costs_nothing(
    shop: Shop, change: dict[str, Any], status: int, why: str
) -> None:
    channel = shop.books.chain.open(10**6)
    body = {"model": "parrot", "prompt": "x", "echo": True, "logprobs": 0, **change}
    paid = shop.pay(channel, (PARROT, 10_000))
    answer = await shop.http.post(
        "/v1/completions", content=json.dumps(body).encode(), headers=paid
    )
    assert (answer.status_code, why in answer.text) == (status, True), answer.text
    assert not any((await shop.charged(channel)).values())


async def test_a_failed_call_costs_nothing_and_says_so(shop: Shop) -> None:
    channel = shop.books.chain.open()
    paid = shop.pay(channel, (PARROT, 200))
    for order, status in (("[fail]", 502), ("[bug]", 500), ("[hang]", 502)):
        paid["tessera-call"] = secrets.token_hex(16)
        answer = await shop.post("/v1/embeddings", {"model": "parrot", "input": order}, paid)
        assert answer.status_code == status
        if status == 502:
            assert "not charged" in answer.json()["error"]["message"]
    assert await shop.charged(channel) == {PARROT: 0}
    paid["tessera-call"] = secrets.token_hex(16)
    assert (await shop.post("/v1/embeddings", TEXTS, paid)).status_code == 200


async def test_a_free_model_is_answered_without_a_channel_and_leaves_a_receipt(
    shop: Shop,
) -> None:
    answer = await shop.post("/v1/embeddings", {**TEXTS, "model": "free-parrot"}, {})
    assert answer.status_code == 200
    receipt = parse_proof(answer.headers["tessera-proof"])
    receipt.verify(DOMAIN, OPERATOR.address)
    assert (receipt.receipt.channel, receipt.receipt.charged) == (0, 0)


async def test_an_unknown_model_hears_what_is_near(shop: Shop) -> None:
    answer = await shop.post("/v1/embeddings", {**TEXTS, "model": "parot"}, {})
    assert answer.status_code == 404
    assert "did you mean 'parrot'?" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "content", "status", "said"),
    [
        ("/v1/embeddings", b"{", 400, "strict JSON"),
        ("/v1/predict", b'{"model":"parrot","rows":[[NaN]]}', 400, "strict JSON"),
        ("/v1/predict", b'{"model":"parrot","rows":[[1e999]]}', 400, "rows[0][0]"),
        ("/v1/predict", b'{"model":"parrot","rows":[[1],[1,2]]}', 400, "rows[1]"),
        ("/v1/embeddings", b'{"model":"parrot"}', 400, "input"),
        ("/v1/embeddings", b'{"model":"parrot","input":[[1,2]]}', 422, "token numbers"),
        ("/v1/embeddings", b'{"model":"parrot","input":"a","dimensions":3}', 422, "dimensions"),
        ("/v1/chat/completions", b'{"model":"parrot","messages":[]}', 400, "messages"),
        (
            "/v1/chat/completions",
            b'{"model":"parrot","messages":[{"role":"user","content":"x"}],"n":17}',
            400,
            "<= 16",
        ),
        (
            "/v1/chat/completions",
            b'{"model":"parrot","messages":[{"role":"user","content":"x"}],"tools":[{}]}',
            422,
            "does not follow it",
        ),
        (
            "/v1/chat/completions",
            b'{"model":"parrot","messages":[{"role":"tool","content":"x"}]}',
            400,
            "missing required field `tool_call_id`",
        ),
        ("/v1/embeddings", b" " * 20_001, 413, "20000 bytes or fewer"),
    ],
)
async def test_bad_input_gets_one_clear_line_before_any_payment(
    shop: Shop, path: str, content: bytes, status: int, said: str
) -> None:
    answer = await shop.http.post(path, content=content)
    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize("payment", ["", "e30", "****", "x" * 9_000, "eyJjaGFubmVsIjoiLTEifQ"])
async def test_a_garbled_payment_is_refused(shop: Shop, payment: str) -> None:
    answer = await shop.post("/v1/embeddings", TEXTS, {"tessera-payment": payment})
    assert answer.status_code == 401


async def test_two_payment_headers_are_refused(shop: Shop) -> None:
    """A proxy that reads the first and a gateway that reads the last would disagree about who
    pays."""
    channel = shop.books.chain.open()
    paid = shop.pay(channel, (PARROT, 200))["tessera-payment"]
    answer = await shop.http.post(
        "/v1/embeddings",
        json=TEXTS,
        headers=[("tessera-payment", paid), ("tessera-payment", paid)],
    )
    assert answer.status_code == 400


async def test_concurrent_calls_share_one_channel_exactly(shop: Shop) -> None:
    channel = shop.books.chain.open(10**6)
    cost = PRICE.cost_ceil(3, 0)
    paid = shop.pay(channel, (PARROT, 32 * cost))
    calls = [paid | {"tessera-call": f"{n:032x}"} for n in range(33)]
    answers = await asyncio.gather(*(shop.post("/v1/embeddings", TEXTS, call) for call in calls))
    assert sorted(answer.status_code for answer in answers) == [200] * 32 + [402]
    charges = sorted(int(a.headers["tessera-charged"]) for a in answers if a.is_success)
    assert charges == [cost * n for n in range(1, 33)]


async def test_pages_tell_models_channels_receipts_and_calls(shop: Shop) -> None:
    channel = shop.books.chain.open()
    paid = shop.pay(channel, (PARROT, 200))
    await shop.post("/v1/embeddings", TEXTS, paid)
    models = (await shop.http.get("/v1/models")).json()
    assert [model["id"] for model in models["data"]] == ["free-parrot", "parrot"]
    assert (await shop.http.get("/v1/models/parrot@3")).json()["id"] == "parrot"
    seen = (await shop.http.get(f"/v1/channels/{channel}")).json()
    assert seen["lines"] == [
        {"asset": "7", "terms": 1, "charged": "103", "settled": "0", "in_flight": "0"}
    ]
    latest = (await shop.http.get(f"/v1/channels/{channel}/receipts")).json()
    assert latest["data"][0]["charged"] == "103"
    assert latest["voucher"] == paid["tessera-payment"]
    call = await shop.http.get(f"/v1/channels/{channel}/calls/{paid['tessera-call']}")
    assert (call.json()["state"], call.json()["receipt"]["charged"]) == ("answered", "103")
    unknown = await shop.http.get(f"/v1/channels/{channel}/calls/{'0' * 32}")
    assert unknown.json()["state"] == "unknown"
    document = (await shop.http.get("/openapi.json")).json()
    assert "/v1/chat/completions" in document["paths"]
    assert (await shop.http.get("/healthz")).json() == {
        "ok": True,
        "in_flight": 0,
        "waiting": 0,
    }


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/embeddings", 405),
        ("POST", "/v1/models", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/v1/nowhere", 404),
        ("GET", "/receipts/zz", 400),
        ("GET", "/receipts/" + "0" * 64, 404),
        ("GET", "/v1/channels/x", 400),
        ("GET", "/v1/channels/5", 404),
        ("GET", "/v1/channels/5/calls/x", 401),
        ("GET", "/v1/channels/5/6", 404),
        ("GET", f"/v1/channels/{2**64}", 400),
        ("POST", "/healthz", 405),
        ("OPTIONS", "/v1/embeddings", 405),
        ("GET", "/v1/models/%2e%2e%2f%0a", 404),
    ],
)
async def test_every_route_refuses_in_its_shape(
    shop: Shop, method: str, path: str, status: int
) -> None:
    answer = await shop.http.request(method, path)
    assert answer.status_code == status
    told = answer.json()
    message = told["error"]["message"] if "error" in told else told["message"]
    assert message
    assert ("error" in told) is path.startswith("/v1/")
    assert path.startswith("/v1/") or not told["ok"]
    assert answer.headers["x-should-retry"] == "false"


async def test_the_receipt_names_the_request_by_the_hash_of_its_bytes(shop: Shop) -> None:
    channel = shop.books.chain.open()
    content = b'{ "input":"four", "model" : "parrot"}'
    answer = await shop.http.post(
        "/v1/embeddings", content=content, headers=shop.pay(channel, (PARROT, 200))
    )
    receipt = parse_proof(answer.headers["tessera-proof"]).receipt
    assert (receipt.request, receipt.response) == (keccak(content), keccak(answer.content))


async def test_head_is_get_without_its_body(shop: Shop) -> None:
    answer: httpx.Response = await shop.http.head("/healthz")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_whoever_leaves_before_his_whole_answer_was_made_pays_nothing(shop: Shop) -> None:
    channel = shop.books.chain.open(10**6)
    paid = shop.pay(channel, (PARROT, 50_000))
    body = {"model": "parrot", "input": ["[slow]"] * 8}
    asking = asyncio.create_task(shop.post("/v1/embeddings", body, paid))
    while not shop.books.ledger.in_flight:  # noqa: ASYNC110 - the ledger tells nobody
        await asyncio.sleep(0.005)
    asking.cancel()
    await asyncio.wait([asking])
    await shop.idle()
    assert await shop.charged(channel) == {PARROT: 0}
    told = await shop.http.get(f"/v1/channels/{channel}/calls/{paid['tessera-call']}")
    assert told.json()["state"] == "unknown"
    stayed = await shop.post("/v1/embeddings", body, shop.pay(channel, (PARROT, 50_000)))
    assert await shop.charged(channel) == {PARROT: int(stayed.headers["tessera-cost"])}


async def test_a_wrong_method_is_named_as_it_came(shop: Shop) -> None:
    answer = await shop.http.request("DELETE", "/v1/embeddings")
    assert answer.status_code == 405
    assert "found 'DELETE', wanted POST" in answer.json()["error"]["message"]
