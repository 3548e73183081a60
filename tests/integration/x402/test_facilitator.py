"""The facilitator, asked by the official facilitator client for what official clients signed."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account import Account as EthAccount
from eth_account.signers.local import LocalAccount
from tests.integration.cli.conftest import Program
from x402.http import FacilitatorConfig, HTTPFacilitatorClient
from x402.mechanisms.evm.batch_settlement.authorizer_signer import (
    LocalAuthorizerSigner,
    sign_claim_batch,
    sign_refund,
)
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme
from x402.mechanisms.evm.batch_settlement.types import ChannelConfig, VoucherClaim
from x402.mechanisms.evm.exact import ExactEvmScheme
from x402.schemas import PaymentPayload, PaymentRequirements

from tessera.bindings import TestDollar, X402Channels
from tessera.chain.node import EmbeddedNode
from tessera.chain.predeploys import BASE_SEPOLIA_DOLLAR, PLACES, predeployed_code
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.chain.wallet import Account
from tessera.gateway.facilitating import FacilitatorDoor
from tessera.gateway.listening import serving
from tessera.payments.x402.facilitator import Facilitator, FacilitatorRules
from tessera.spec.signatures import address_of

CHAIN = 84_532
NETWORK = f"eip155:{CHAIN}"
PAYER, SERVER = EthAccount.from_key(b"\x21" * 32), EthAccount.from_key(b"\x22" * 32)
RECEIVER = EthAccount.from_key(b"\x23" * 32).address
RELAYER = Account(b"\x24" * 32)
DOLLAR = address_of(BASE_SEPOLIA_DOLLAR)
ETHER = 10**18


@dataclass
class Desk:
    """A facilitator on a chain, its official client, and the money that moves."""

    reader: ChainReader
    facilitator: Facilitator
    url: str
    client: HTTPFacilitatorClient
    dollar: TestDollar

    async def money(self, who: str) -> int:
        return await self.reader.read(self.dollar.balanceOf(who))

    async def state(self, channel: str) -> tuple[int, int]:
        channels = X402Channels(PLACES["X402Channels"])
        found = await self.reader.read(channels.channels(bytes.fromhex(channel[2:])))
        return found.balance, found.totalClaimed


async def _desk(folder: Path, rules: FacilitatorRules) -> AsyncIterator[Desk]:
    code = predeployed_code(CHAIN, decimals=6, faucet=10**12)
    prefund = {RELAYER.address: 10**6 * ETHER, PAYER.address: ETHER}
    async with (
        EmbeddedNode.start(folder, chain_id=CHAIN, prefund=prefund, code=code) as node,
        ChainReader(node.url, chain_id=CHAIN) as reader,
        Sender(reader, RELAYER, longest_poll_s=0.05) as sender,
        Sender(reader, Account(bytes(PAYER.key)), longest_poll_s=0.05) as payer,
    ):
        dollar = TestDollar(BASE_SEPOLIA_DOLLAR)
        await payer.send(dollar.faucet(100_000_000))
        facilitator = Facilitator(reader, sender, rules, time.time)
        async with serving(FacilitatorDoor(facilitator), "127.0.0.1", 0) as url:
            client = HTTPFacilitatorClient(FacilitatorConfig(url=url))
            yield Desk(reader, facilitator, url, client, dollar)
            await client.aclose()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async for found in _desk(tmp_path, FacilitatorRules(tokens=frozenset({DOLLAR}))):
        yield found


def wanted(scheme: str, amount: int = 5_000, **changes: Any) -> PaymentRequirements:
    extra: dict[str, Any] = {"name": "Test Dollar", "version": "1"}
    if scheme == "batch-settlement":
        extra |= {
            "receiverAuthorizer": SERVER.address,
            "withdrawDelay": 86_400,
            "minDeposit": "1000000",
        }
    terms: dict[str, Any] = {
        "scheme": scheme,
        "network": NETWORK,
        "asset": BASE_SEPOLIA_DOLLAR,
        "amount": str(amount),
        "pay_to": RECEIVER,
        "max_timeout_seconds": 60,
        "extra": extra,
    }
    return PaymentRequirements(**{**terms, **changes})


def paid(
    requirements: PaymentRequirements, scheme: Any = None, *, by: LocalAccount = PAYER
) -> PaymentPayload:
    """Let the official client sign."""
    if scheme is None:
        kinds = {"exact": ExactEvmScheme, "batch-settlement": BatchSettlementEvmScheme}
        scheme = kinds[requirements.scheme](by)
    payload = scheme.create_payment_payload(requirements)
    return PaymentPayload(payload=payload, accepted=requirements)


async def test_it_says_what_it_settles(desk: Desk) -> None:
    supported = await asyncio.to_thread(desk.client.get_supported)
    assert {(kind.scheme, kind.network) for kind in supported.kinds} == {
        ("exact", NETWORK),
        ("batch-settlement", NETWORK),
    }
    assert supported.signers == {"eip155:*": [RELAYER.address]}
    # It signs for no server, so it offers nobody a key to name as authorizer.
    assert all(not kind.extra for kind in supported.kinds)


async def test_an_exact_payment_is_verified_and_settled_once(desk: Desk) -> None:
    requirements = wanted("exact")
    payment = paid(requirements)
    verified = await desk.client.verify(payment, requirements)
    assert (verified.is_valid, verified.payer) == (True, PAYER.address)
    settled = await desk.client.settle(payment, requirements)
    assert settled.success, settled.error_message
    assert (settled.payer, settled.amount, settled.network) == (PAYER.address, "5000", NETWORK)
    assert await desk.money(RECEIVER) == 5_000
    receipt = await desk.reader.receipt(settled.transaction)
    assert receipt is not None
    assert receipt.sender == RELAYER.address
    # A second time it is refused, and whoever lost the first answer finds the transaction.
    again = await desk.client.settle(payment, requirements)
    assert not again.success
    assert again.error_reason == "invalid_exact_evm_nonce_already_used"
    assert again.transaction == settled.transaction
    refused = await desk.client.verify(payment, requirements)
    assert refused.invalid_reason == "invalid_exact_evm_nonce_already_used"
    assert await desk.money(RECEIVER) == 5_000


async def test_many_copies_at_once_are_one_payment(desk: Desk) -> None:
    """A client shows a server one payment eight times at the same moment: one is served."""
    requirements = wanted("exact")
    payment = paid(requirements)
    answers = await asyncio.gather(*(desk.client.settle(payment, requirements) for _ in range(8)))
    assert [answer.success for answer in answers].count(True) == 1
    assert len({answer.transaction for answer in answers}) == 1
    assert await desk.money(RECEIVER) == 5_000


async def test_a_payment_that_was_mined_and_not_told_is_told_after_a_restart(desk: Desk) -> None:
    """The process died between the transaction and its answer; the server asks again."""
    requirements = wanted("exact")
    payment = paid(requirements)
    lost = await desk.client.settle(payment, requirements)
    async with Sender(desk.reader, RELAYER, longest_poll_s=0.05) as sender:
        anew = Facilitator(desk.reader, sender, desk.facilitator.rules, time.time)
        async with serving(FacilitatorDoor(anew), "127.0.0.1", 0) as url:
            client = HTTPFacilitatorClient(FacilitatorConfig(url=url))
            told = await client.settle(payment, requirements)
            assert (told.success, told.transaction) == (True, lost.transaction)
            again = await client.settle(payment, requirements)
            assert not again.success
            await client.aclose()
    assert await desk.money(RECEIVER) == 5_000


async def test_attack_payments_of_long_ago_are_not_shown_again_after_a_restart(desk: Desk) -> None:
    """A client keeps its authorizations valid for years and pays with each once. Whenever the
    facilitator begins anew it shows them all again, to servers that serve whatever settles.
    """
    requirements = wanted("exact", max_timeout_seconds=10**6)
    payment = paid(requirements)
    settled = await desk.client.settle(payment, requirements)
    assert settled.success
    async with Sender(desk.reader, RELAYER, longest_poll_s=0.05) as sender:
        rules, later = desk.facilitator.rules, lambda: time.time() + 310
        anew = Facilitator(desk.reader, sender, rules, later)
        async with serving(FacilitatorDoor(anew), "127.0.0.1", 0) as url:
            client = HTTPFacilitatorClient(FacilitatorConfig(url=url))
            again = await client.settle(payment, requirements)
            assert (again.success, again.transaction) == (False, settled.transaction)
            assert again.error_reason == "invalid_exact_evm_nonce_already_used"
            await client.aclose()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pay_to": SERVER.address}, "invalid_exact_evm_payload_recipient_mismatch"),
        ({"amount": "5001"}, "invalid_exact_evm_payload_authorization_value_mismatch"),
        ({"network": "eip155:8453"}, "network_mismatch"),
        ({"extra": {}}, "missing_eip712_domain"),
        (
            {"extra": {"name": "USDC", "version": "2"}},
            "invalid_exact_evm_payload_signature",
        ),
        (
            {"asset": PLACES["Multicall"]},
            "invalid_batch_settlement_evm_token_mismatch",
        ),
    ],
)
async def test_what_a_server_did_not_ask_for_is_refused(
    desk: Desk, changes: dict[str, Any], reason: str
) -> None:
    payment = paid(wanted("exact"))
    if "network" in changes:
        payment.accepted.network = changes["network"]
    requirements = wanted("exact", **changes)
    verified = await desk.client.verify(payment, requirements)
    assert (verified.is_valid, verified.invalid_reason) == (False, reason)
    settled = await desk.client.settle(payment, requirements)
    assert (settled.success, settled.error_reason) == (False, reason)
    assert await desk.money(RECEIVER) == 0


async def test_money_that_is_not_there_and_times_that_are_over_are_refused(desk: Desk) -> None:
    poor = paid(wanted("exact"), by=SERVER)
    verified = await desk.client.verify(poor, wanted("exact"))
    assert verified.invalid_reason == "invalid_exact_evm_insufficient_balance"
    late = wanted("exact", max_timeout_seconds=3)
    verified = await desk.client.verify(paid(late), late)
    assert verified.invalid_reason == "invalid_exact_evm_payload_authorization_valid_before"


async def test_a_channel_lives_and_ends_through_the_facilitator(desk: Desk) -> None:
    """Deposit, voucher, claim, settlement and refund, as an official server asks for them."""
    requirements = wanted("batch-settlement")
    scheme = BatchSettlementEvmScheme(PAYER)
    first = paid(requirements, scheme)
    assert first.payload["type"] == "deposit"
    verified = await desk.client.verify(first, requirements)
    assert verified.is_valid, verified.invalid_reason
    settled = await desk.client.settle(first, requirements)
    assert settled.success, settled.error_message
    assert settled.extra is not None
    state = settled.extra["channelState"]
    deposited = int(first.payload["deposit"]["amount"])
    assert (state["balance"], state["totalClaimed"]) == (str(deposited), "0")
    channel = state["channelId"]
    assert await desk.state(channel) == (deposited, 0)
    # A deposit says how the channel stands, so it is a success as often as it is asked for.
    again = await desk.client.settle(first, requirements)
    assert (again.success, again.transaction) == (True, settled.transaction)
    assert await desk.state(channel) == (deposited, 0)

    voucher = PaymentPayload(
        payload={**first.payload, "type": "voucher", "deposit": None}, accepted=requirements
    )
    verified = await desk.client.verify(voucher, requirements)
    assert verified.is_valid, verified.invalid_reason
    assert verified.extra is not None
    assert verified.extra["balance"] == str(deposited)

    config = ChannelConfig.from_dict(first.payload["channelConfig"])
    signed = first.payload["voucher"]
    row = VoucherClaim(config, signed["maxClaimableAmount"], signed["signature"], "4000")
    signer = LocalAuthorizerSigner(SERVER)
    claim = {
        "type": "claim",
        "claims": [row.to_dict()],
        "claimAuthorizerSignature": sign_claim_batch(signer, [row], NETWORK),
    }
    for place in range(2):
        done = await desk.client.settle(
            PaymentPayload(payload=claim, accepted=requirements), requirements
        )
        assert done.success, done.error_message
        assert await desk.state(channel) == (deposited, 4_000), place
    sweep = {"type": "settle", "receiver": RECEIVER, "token": BASE_SEPOLIA_DOLLAR}
    swept = PaymentPayload(payload=sweep, accepted=requirements)
    done = await desk.client.settle(swept, requirements)
    assert (done.success, done.amount) == (True, "4000")
    assert await desk.money(RECEIVER) == 4_000
    done = await desk.client.settle(swept, requirements)
    assert done.error_reason == "invalid_batch_settlement_evm_nothing_to_settle"

    rest = VoucherClaim(config, signed["maxClaimableAmount"], signed["signature"], "5000")
    back = {
        "type": "refund",
        "channelConfig": config.to_dict(),
        "voucher": signed,
        "amount": str(deposited),
        "refundNonce": "0",
        "claims": [rest.to_dict()],
        "refundAuthorizerSignature": sign_refund(signer, channel, deposited, 0, NETWORK),
        "claimAuthorizerSignature": sign_claim_batch(signer, [rest], NETWORK),
    }
    before = await desk.money(PAYER.address)
    refund = PaymentPayload(payload=back, accepted=requirements)
    done = await desk.client.settle(refund, requirements)
    assert done.success, done.error_message
    assert done.amount == str(deposited - 5_000)
    assert await desk.state(channel) == (5_000, 5_000)
    assert await desk.money(PAYER.address) == before + deposited - 5_000
    again = await desk.client.settle(refund, requirements)
    assert (again.success, again.transaction) == (True, done.transaction)
    assert await desk.money(PAYER.address) == before + deposited - 5_000


async def test_it_signs_for_nobody(desk: Desk) -> None:
    """Whoever may ask for a signature could have a channel refunded before its claim."""
    requirements = wanted("batch-settlement")
    first = paid(requirements)
    await desk.client.settle(first, requirements)
    for payload in (
        {"type": "claim", "claims": [_row(first).to_dict()]},
        {
            "type": "refund",
            "channelConfig": first.payload["channelConfig"],
            "voucher": first.payload["voucher"],
            "amount": "5",
            "refundNonce": "0",
            "claims": [],
        },
    ):
        done = await desk.client.settle(
            PaymentPayload(payload=payload, accepted=requirements), requirements
        )
        assert done.error_reason == "invalid_batch_settlement_evm_authorizer_not_configured", (
            payload
        )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"receiverAuthorizer": RECEIVER}, "receiver_authorizer_mismatch"),
        ({"withdrawDelay": 900}, "withdraw_delay_mismatch"),
        ({"pay_to": SERVER.address}, "receiver_mismatch"),
    ],
)
async def test_a_channel_of_other_terms_is_refused(
    desk: Desk, change: dict[str, Any], reason: str
) -> None:
    payment = paid(wanted("batch-settlement"))
    requirements = wanted("batch-settlement")
    if "pay_to" in change:
        requirements.pay_to = change["pay_to"]
    else:
        requirements.extra |= change
    for answer in (
        (await desk.client.verify(payment, requirements)).invalid_reason,
        (await desk.client.settle(payment, requirements)).error_reason,
    ):
        assert answer == f"invalid_batch_settlement_evm_{reason}"


async def test_one_party_asks_only_so_often_and_gas_has_an_end(tmp_path: Path) -> None:
    """Somebody pays itself in circles at the facilitator's expense."""
    rules = FacilitatorRules(tokens=None, per_minute=2, gas_per_hour=10_000_000)
    async for desk in _desk(tmp_path, rules):
        requirements = wanted("exact", 1)
        for _ in range(2):
            assert (await desk.client.settle(paid(requirements), requirements)).success
        with pytest.raises(ValueError, match="429"):
            await desk.client.settle(paid(requirements), requirements)
        answer = await _posted(desk, paid(requirements), requirements)
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 60
        assert await desk.money(RECEIVER) == 2
        left = (await _get(desk, "/healthz")).json()["gas_left"]
        assert 0 < left < 10_000_000
        poor = FacilitatorRules(tokens=None, gas_per_hour=50_000)
        async with Sender(desk.reader, RELAYER, longest_poll_s=0.05) as sender:
            anew = Facilitator(desk.reader, sender, poor, time.time)
            async with serving(FacilitatorDoor(anew), "127.0.0.1", 0) as url:
                client = HTTPFacilitatorClient(FacilitatorConfig(url=url))
                with pytest.raises(ValueError, match="gas in an hour"):
                    await client.settle(paid(requirements), requirements)
                await client.aclose()


async def test_attack_strangers_leave_a_servers_claims_their_gas(tmp_path: Path) -> None:
    """Accounts are free, so a rate for each stops nobody: strangers pay themselves in circles until
    the hour's gas is gone, and a server whose payer withdraws cannot claim. Or they ask for claims
    in the server's name, with no signature of his, until his rate is used up."""
    rules = FacilitatorRules(
        tokens=frozenset({DOLLAR}), per_minute=2, gas_per_hour=800_000, least_units=1_000
    )
    async for desk in _desk(tmp_path, rules):
        requirements = wanted("batch-settlement")
        first = paid(requirements)
        settled = await desk.client.settle(first, requirements)
        assert settled.success, settled.error_message
        assert settled.extra is not None
        channel = settled.extra["channelState"]["channelId"]

        # For less than it is worth nothing is sent.
        dust = wanted("exact", 999)
        done = await desk.client.settle(paid(dust), dust)
        assert (done.success, "1000 or more" in (done.error_message or "")) == (False, True)

        strangers = [EthAccount.from_key(bytes([n]) * 32) for n in range(0x31, 0x38)]
        circle = wanted("exact", 1_000)
        refused = 0
        async with Sender(desk.reader, Account(bytes(PAYER.key)), longest_poll_s=0.05) as rich:
            for stranger in strangers:
                await rich.send(desk.dollar.transfer(stranger.address, 1_000))
        for stranger in strangers:
            answer = await _posted(desk, paid(circle, by=stranger), circle)
            refused += answer.status_code == 429
        assert refused > 0
        assert "half of which is for claims" in answer.text

        row = _row(first, "5000")
        signer = LocalAuthorizerSigner(SERVER)
        forged = {
            "type": "claim",
            "claims": [row.to_dict()],
            "claimAuthorizerSignature": "0x" + "11" * 64 + "1b",
        }
        for _ in range(5):
            done = await desk.client.settle(
                PaymentPayload(payload=forged, accepted=requirements), requirements
            )
            assert done.error_reason == "invalid_batch_settlement_evm_claim_simulation_failed"
        good = {**forged, "claimAuthorizerSignature": sign_claim_batch(signer, [row], NETWORK)}
        done = await desk.client.settle(
            PaymentPayload(payload=good, accepted=requirements), requirements
        )
        assert done.success, done.error_message
        assert (await desk.state(channel))[1] == 5_000
        sweep = {"type": "settle", "receiver": RECEIVER, "token": BASE_SEPOLIA_DOLLAR}
        done = await desk.client.settle(
            PaymentPayload(payload=sweep, accepted=requirements), requirements
        )
        assert done.success, done.error_message


async def test_the_command_settles_on_a_chain_that_has_nothing_else_of_ours(
    tmp_path: Path,
) -> None:
    """Any chain with an EIP-3009 token will do: no deployment, no books, a key with coins."""
    there = Program(tmp_path / "there")
    relayer = (await asyncio.to_thread(there.ok, "account", "create", "relayer"))["address"]
    code = predeployed_code(CHAIN, decimals=6, faucet=10**12)
    prefund = {relayer: ETHER, PAYER.address: ETHER}
    async with (
        EmbeddedNode.start(tmp_path / "node", chain_id=CHAIN, prefund=prefund, code=code) as node,
        ChainReader(node.url, chain_id=CHAIN) as reader,
        Sender(reader, Account(bytes(PAYER.key)), longest_poll_s=0.05) as payer,
    ):
        await payer.send(TestDollar(BASE_SEPOLIA_DOLLAR).faucet(100_000_000))
        running = there.start(
            "facilitator", "--rpc", node.url, "--chain-id", str(CHAIN), "--as", "relayer",
            "--token", BASE_SEPOLIA_DOLLAR, "--port", "0", "--json",
        )  # fmt: skip
        try:
            assert running.stdout is not None
            ready = await asyncio.to_thread(running.stdout.readline)
            assert ready, running.communicate()[1]
            client = HTTPFacilitatorClient(FacilitatorConfig(url=json.loads(ready)["url"]))
            requirements = wanted("exact")
            settled = await client.settle(paid(requirements), requirements)
            await client.aclose()
            assert settled.success, settled.error_message
            receipt = await reader.receipt(settled.transaction)
            assert receipt is not None
            assert receipt.sender == relayer
            money = TestDollar(BASE_SEPOLIA_DOLLAR).balanceOf(RECEIVER)
            assert await reader.read(money) == 5_000
        finally:
            running.send_signal(signal.SIGTERM)
            await asyncio.to_thread(running.communicate, None, 30)
        assert running.returncode == 0


async def test_garbage_is_answered_as_garbage(desk: Desk) -> None:
    async with httpx.AsyncClient(base_url=desk.url) as client:
        for body in (b"", b"{", b"[]", b'{"x402Version": 2}', b"\xff" * 100, b"[" * 10_000):
            verified = await client.post("/verify", content=body)
            assert verified.status_code == 200
            assert verified.json()["isValid"] is False
            settled = await client.post("/settle", content=body)
            assert settled.json()["success"] is False
        assert (await client.get("/verify")).status_code == 405
        assert (await client.post("/supported")).status_code == 405
        assert (await client.get("/nothing")).status_code == 404
        assert (await client.post("/settle", content=b" " * 300_000)).status_code == 413
        assert (await client.get("/discovery/resources?limit=x")).status_code == 400
        page = (await client.get("/discovery/resources")).json()
        assert page["items"] == []


def _row(payment: PaymentPayload, charged: str = "1") -> VoucherClaim:
    signed = payment.payload["voucher"]
    config = ChannelConfig.from_dict(payment.payload["channelConfig"])
    return VoucherClaim(config, signed["maxClaimableAmount"], signed["signature"], charged)


async def _posted(
    desk: Desk, payment: PaymentPayload, requirements: PaymentRequirements
) -> httpx.Response:
    body = {
        "x402Version": 2,
        "paymentPayload": payment.model_dump(by_alias=True, exclude_none=True),
        "paymentRequirements": requirements.model_dump(by_alias=True, exclude_none=True),
    }
    async with httpx.AsyncClient(base_url=desk.url) as client:
        return await client.post("/settle", json=body)


async def _get(desk: Desk, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=desk.url) as client:
        return await client.get(path)
