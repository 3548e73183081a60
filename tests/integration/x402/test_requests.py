"""The official client for requests, unmodified, pays for whole and for streamed chats."""

from __future__ import annotations

import requests
from tests.integration.x402.conftest import Gateway, told
from x402 import x402ClientSync
from x402.http.clients.requests import wrapRequestsWithPayment
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme
from x402.mechanisms.evm.exact import ExactEvmScheme


def test_whole_and_streamed_chats_are_paid_from_one_deposit(gateway: Gateway) -> None:
    made = x402ClientSync().register(gateway.network, BatchSettlementEvmScheme(gateway.payer()))
    if gateway.controls:
        made.set_spend_controls(gateway.controls)  # type: ignore[arg-type]
    url = f"{gateway.base_url}/chat/completions"
    with wrapRequestsWithPayment(requests.Session(), made) as session:
        whole = session.post(url, json=gateway.said(), timeout=30)
        assert whole.status_code == 200
        assert whole.json()["choices"][0]["message"]["content"] == "Hello there"
        streamed = session.post(url, json=gateway.said(stream=True), stream=True, timeout=30)
        assert b"data: [DONE]" in streamed.content
        again = session.post(url, json=gateway.said(), timeout=30)
        assert again.status_code == 200
    paid = [told(answer.headers) for answer in (whole, streamed, again)]
    assert [bool(response["transaction"]) for response in paid] == [True, False, False]


def test_the_plain_routes_take_it_too(gateway: Gateway) -> None:
    made = x402ClientSync().register(gateway.network, BatchSettlementEvmScheme(gateway.payer()))
    if gateway.controls:
        made.set_spend_controls(gateway.controls)  # type: ignore[arg-type]
    with wrapRequestsWithPayment(requests.Session(), made) as session:
        url = f"{gateway.url}/v1/chat/completions"
        whole = session.post(url, json=gateway.said(), timeout=30)
        streamed = session.post(url, json=gateway.said(stream=True), stream=True, timeout=30)
        failed = session.post(url, json=gateway.said("fail, please"), timeout=30)
        assert b"data: [DONE]" in streamed.content
    assert [answer.status_code for answer in (whole, streamed, failed)] == [200, 200, 502]
    assert [told(answer.headers)["success"] for answer in (whole, streamed, failed)] == [True] * 3


def test_another_model_than_the_urls_is_refused(gateway: Gateway) -> None:
    body = gateway.said() | {"model": "tiny@1"}
    url = f"{gateway.url}/x402/tiny/v1/chat/completions"
    assert requests.post(url, json=body, timeout=30).status_code == 402
    other = requests.post(url.replace("tiny", "huge"), json=body, timeout=30)
    assert (other.status_code, other.json()["error"]["code"]) == (400, "input_error")
    assert requests.get(f"{gateway.url}/x402/huge", timeout=30).status_code == 404
    assert requests.post(f"{gateway.url}/x402/tiny", timeout=30).status_code == 405


def test_an_exact_answer_that_was_lost_on_its_way_is_sent_again(gateway: Gateway) -> None:
    """The very same request gets the very same answer, and no other request gets any."""
    made = x402ClientSync().register(gateway.network, ExactEvmScheme(gateway.payer()))
    if gateway.controls:
        made.set_spend_controls(gateway.controls)  # type: ignore[arg-type]
    url = f"{gateway.url}/v1/chat/completions"
    for stream in (False, True):
        with wrapRequestsWithPayment(requests.Session(), made) as session:
            first = session.post(url, json=gateway.said(stream=stream), timeout=30)
        assert first.status_code == 200
        headers = {
            name: first.request.headers[name] for name in ("PAYMENT-SIGNATURE", "Content-Type")
        }
        again = requests.post(url, data=first.request.body, headers=headers, timeout=30)
        assert (again.status_code, again.content) == (200, first.content)
        assert told(again.headers) == told(first.headers)
        other = requests.post(
            url, json=gateway.said("ho", stream=stream), headers=headers, timeout=30
        )
        assert other.status_code == 402
        assert other.json()["error"]["details"]["x402"] == "invalid_exact_evm_nonce_already_used"
