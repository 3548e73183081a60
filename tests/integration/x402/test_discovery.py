"""What official discovery clients find at a gateway, and its facilitator for what it serves."""

from __future__ import annotations

import httpx
from tests.integration.x402.conftest import Gateway
from x402.extensions.bazaar.facilitator import (
    extract_discovery_info_from_extension,
    validate_discovery_extension,
    validate_discovery_extension_spec,
)
from x402.extensions.bazaar.facilitator_client import ListDiscoveryResourcesParams, with_bazaar
from x402.extensions.bazaar.types import parse_discovery_extension
from x402.http import FacilitatorConfig, HTTPFacilitatorClientSync
from x402.http.utils import decode_payment_required_header
from x402.mechanisms.evm.exact import ExactEvmScheme
from x402.schemas import PaymentPayload, PaymentRequirements


def _facilitator(gateway: Gateway) -> HTTPFacilitatorClientSync:
    return HTTPFacilitatorClientSync(FacilitatorConfig(url=f"{gateway.url}/facilitator"))


def test_the_official_client_lists_the_models_and_how_they_are_called(
    gateway: Gateway,
) -> None:
    client = _facilitator(gateway)
    found = with_bazaar(client).extensions.bazaar.list_resources(
        ListDiscoveryResourcesParams(network=gateway.network)
    )
    client.close()
    urls = [item.resource for item in found.items]
    assert f"{gateway.base_url}/chat/completions" in urls
    for item in found.items:
        assert item.x402_version == 2
        assert item.accepts is not None
        assert {accept["scheme"] for accept in item.accepts} == {"batch-settlement", "exact"}
        assert item.extensions is not None
        # What is said to be how it is called, is: the answer asks to be paid for that model.
        bazaar = item.extensions["bazaar"]
        asked = httpx.post(item.resource, json=bazaar["info"]["input"]["body"])
        assert asked.status_code == 402
        assert "payment-required" in asked.headers


def test_who_looks_at_a_model_is_told_how_to_call_it(gateway: Gateway) -> None:
    answer = httpx.get(f"{gateway.url}/x402/tiny")
    assert answer.status_code == 402
    required = decode_payment_required_header(answer.headers["payment-required"])
    assert required.extensions is not None
    extension = required.extensions["bazaar"]
    assert validate_discovery_extension_spec(extension).valid
    parsed = parse_discovery_extension(extension)
    checked = validate_discovery_extension(parsed)
    assert checked.valid, checked.errors
    assert extract_discovery_info_from_extension(parsed).input.method == "POST"
    # A paid call's answer is not made longer by it.
    unpaid = httpx.post(f"{gateway.base_url}/chat/completions", json=gateway.said())
    short = decode_payment_required_header(unpaid.headers["payment-required"])
    assert not short.extensions


def test_the_gateway_lists_them_itself_too(gateway: Gateway) -> None:
    page = httpx.get(f"{gateway.url}/discovery/resources?scheme=exact&limit=1").json()
    assert page["pagination"]["limit"] == 1
    assert page["items"][0]["resource"].startswith(gateway.url)
    assert httpx.get(f"{gateway.url}/discovery/resources?scheme=upto").json()["items"] == []


def test_its_facilitator_settles_what_is_paid_to_its_own_tills(gateway: Gateway) -> None:
    """To others it says no: their gas is not its business."""
    payer = gateway.payer()
    offer = next(
        each
        for each in httpx.get(f"{gateway.url}/x402/tiny").json()["details"]["accepts"]
        if each["scheme"] == "exact"
    )
    client = _facilitator(gateway)
    wanted = PaymentRequirements(
        **{
            **{key: offer[key] for key in ("scheme", "network", "asset", "amount", "extra")},
            "pay_to": offer["payTo"],
            "max_timeout_seconds": offer["maxTimeoutSeconds"],
        }
    )
    payment = PaymentPayload(
        payload=ExactEvmScheme(payer).create_payment_payload(wanted), accepted=wanted
    )
    assert (client.verify(payment, wanted)).is_valid
    settled = client.settle(payment, wanted)
    assert settled.success, settled.error_message
    assert settled.amount == wanted.amount
    theirs = wanted.model_copy(update={"pay_to": payer.address})
    payment = PaymentPayload(
        payload=ExactEvmScheme(payer).create_payment_payload(theirs), accepted=theirs
    )
    refused = client.settle(payment, theirs)
    assert not refused.success
    assert refused.error_reason == "invalid_batch_settlement_evm_receiver_mismatch"
    client.close()
    assert httpx.get(f"{gateway.url}/facilitator/nothing").status_code == 404
