"""API keys over HTTP: what a key may spend, whoever asks, however many at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from tests.integration.gateway.conftest import (
    FREE,
    PARROT,
    PRICE,
    TERMS,
    Parrot,
    offer,
)
from tests.unit.payments.conftest import (
    CONSUMER,
    DOMAIN,
    NOW,
    OPERATOR,
    STRANGER,
    Books,
    WrittenChain,
)
from tests.unit.payments.conftest import Clock as WrittenClock

from tessera.gateway.asgi import Gateway
from tessera.gateway.catalogue import ListedModels
from tessera.gateway.messages import Limits
from tessera.gateway.paying import Cashier
from tessera.gateway.server import GatewayServer
from tessera.payments.api_key import ApiKey
from tessera.payments.callmac import call_key, call_mac
from tessera.payments.header import payment_header
from tessera.payments.key_rules import rules_digest
from tessera.payments.key_tender import ApiKeys
from tessera.serving.metering import text_units
from tessera.spec.channels import Grant
from tessera.spec.prices import Price
from tessera.spec.signatures import Signer, keccak
from tessera.spec.vouchers import Line, SignedVoucher, TillKey, Voucher, voucher_digest

FAR = NOW + 90 * 24 * 3_600
DAY = 24 * 3_600
TEN = Price(per_call=10)
CAP = 10**6


@dataclass
class Team:
    """A gateway whose consumers hold keys."""

    server: GatewayServer
    books: Books
    http: httpx.AsyncClient
    sequence: int = 0

    def make(
        self,
        *,
        deposit: int = 10**6,
        grants: Sequence[Grant] = (Grant(*PARROT, CAP, FAR), Grant(8, 1, CAP, FAR)),
    ) -> ApiKey:
        drawn = ApiKey.draw()
        channel = self.books.chain.open(
            deposit, signer=drawn.signer(), salt=len(self.books.chain.model.channels), grants=grants
        )
        return ApiKey(channel, drawn.secret)

    async def rule(self, key: ApiKey, signer: Signer = CONSUMER, **rules: Any) -> httpx.Response:
        self.sequence += 1
        body = json.dumps({"sequence": self.sequence, **rules}).encode()
        signature = signer.sign(rules_digest(DOMAIN, key.channel, body))
        headers = {"tessera-key-signature": "0x" + signature.hex()}
        return await self.http.post(f"/v1/keys/{key.id}", content=body, headers=headers)

    async def call(self, key: ApiKey | str, model: str = "ten", **body: Any) -> httpx.Response:
        text = key if isinstance(key, str) else key.text
        asked = {"model": model, "input": ["one"], **body}
        headers = {"authorization": f"Bearer {text}"}
        return await self.http.post("/v1/embeddings", json=asked, headers=headers)

    async def calls(self, key: ApiKey, count: int, model: str = "ten") -> list[int]:
        """The statuses of calls that are made at the same time."""
        answers = await asyncio.gather(*(self.call(key, model) for _ in range(count)))
        return sorted(answer.status_code for answer in answers)

    async def spent(self, key: ApiKey) -> int:
        headers = {"authorization": f"Bearer {key.text}"}
        return int((await self.http.get(f"/v1/keys/{key.id}", headers=headers)).json()["spent"])


def key_gateway(books: Books) -> Gateway:
    books.known |= {PARROT, FREE, TillKey(8, 1)}  # type: ignore[arg-type]
    models = [offer("parrot", 7, Parrot()), offer("ten", 8, Parrot("ten"), TEN)]
    tender = ApiKeys(books.ledger, OPERATOR.public_key, books.margin_s)
    cashier = Cashier(books.ledger, TERMS, tenders=[tender])
    return Gateway(ListedModels(models), cashier, books.clock, Limits())


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    books = Books(tmp_path / "books.db", WrittenChain(), WrittenClock())
    await books.reopen()
    server = GatewayServer(key_gateway(books), drain_s=1)
    await server.start()
    limits = httpx.Limits(max_connections=80)
    async with httpx.AsyncClient(base_url=server.url, timeout=30, limits=limits) as http:
        made = Team(server, books, http)
        yield made
    await made.server.stop()
    await books.ledger.close()


async def test_the_official_client_with_a_key_and_nothing_else_works(team: Team) -> None:
    key = team.make()
    client = openai.AsyncOpenAI(base_url=f"{team.server.url}/v1", api_key=key.text, max_retries=0)
    said = [{"role": "user", "content": "one two"}]
    async with client:
        whole = await client.chat.completions.create(model="parrot", messages=said)  # type: ignore[arg-type]
        assert whole.choices[0].message.content == "one two "
        stream = await client.chat.completions.create(model="parrot", messages=said, stream=True)  # type: ignore[arg-type]
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
        assert "".join(pieces) == "one two "
        assert (await client.embeddings.create(model="ten", input=["a"])).data[0].embedding
    account = await team.books.ledger.account(key.channel)
    assert account is not None
    both = 2 * PRICE.cost_ceil(text_units("one two"), 2)
    assert account.lines[TillKey(*PARROT)].charged == both
    assert account.lines[TillKey(8, 1)].charged == 10


async def test_what_keys_paid_for_is_settled_like_anything_else(team: Team) -> None:
    key = team.make()
    assert await team.calls(key, 5) == [200] * 5
    (claim,) = await team.books.ledger.claims()
    assert claim.due == 50
    assert claim.signed.voucher.maximum((8, 1)) <= CAP
    digest = voucher_digest(DOMAIN, key.channel, claim.signed.voucher.lines)
    assert key.signer().sign(digest) == claim.signed.signature


async def test_attack_a_budget_is_passed_by_asking_many_times_at_once(team: Team) -> None:
    """BerriAI/litellm#26672: spend was counted after the answer, so whatever was asked meanwhile
    was let through. Here 64 calls come together at a budget for ten."""
    key = team.make()
    assert (await team.rule(key, budget="100")).status_code == 200
    assert await team.calls(key, 64) == [200] * 10 + [429] * 54
    assert await team.spent(key) == 100
    refusal = (await team.call(key)).json()["error"]
    assert refusal["code"] == "insufficient_quota"
    assert refusal["details"]["spent"] == "100"


async def test_attack_the_chain_s_cap_holds_where_there_is_no_budget(team: Team) -> None:
    """The gateway's rules are lost with its disk; what the chain allows is not."""
    key = team.make(grants=[Grant(8, 1, 100, FAR)])
    assert await team.calls(key, 64) == [200] * 10 + [429] * 54
    assert (await team.call(key)).json()["error"]["code"] == "insufficient_quota"


async def test_attack_the_deposit_holds_where_the_cap_is_higher(team: Team) -> None:
    """A key may be granted more than there is."""
    key = team.make(deposit=100)
    assert await team.calls(key, 64) == [200] * 10 + [429] * 54


async def test_attack_the_key_s_holder_signs_vouchers_himself(team: Team) -> None:
    """Who has the secret has the session key, and might pay by voucher to escape the budget."""
    key = team.make()
    await team.rule(key, budget="100")
    assert await team.calls(key, 4) == [200] * 4
    signer = key.signer()
    lines = (Line(8, 1, 5_000),)
    signed = SignedVoucher(
        Voucher(key.channel, lines), signer.sign(voucher_digest(DOMAIN, key.channel, lines))
    )
    shared = call_key(
        DOMAIN, signer, OPERATOR.public_key, signer=signer.address, operator=OPERATOR.address
    )
    body = b'{"model":"ten","input":["one"]}'

    async def pay(number: int) -> int:
        call = f"{number:032x}"
        headers = {
            "tessera-payment": payment_header(signed),
            "tessera-call": call,
            "tessera-call-mac": call_mac(shared, key.channel, call, keccak(body)).hex(),
        }
        return (await team.http.post("/v1/embeddings", content=body, headers=headers)).status_code

    statuses = await asyncio.gather(*(pay(number) for number in range(32)))
    assert sorted(statuses) == [200] * 6 + [429] * 26
    assert await team.spent(key) == 100


async def test_attack_a_budget_per_model_is_not_looked_at(team: Team) -> None:
    """BerriAI/litellm PR#25549: budgets per model could be set and were never enforced."""
    key = team.make()
    await team.rule(key, budget="100000", models={"8": "30", "7": None})
    assert await team.calls(key, 16) == [200] * 3 + [429] * 13
    assert (await team.call(key, "parrot")).status_code == 200
    assert (await team.call(key)).json()["error"]["details"]["budget"] == "30"


async def test_a_key_calls_only_the_models_that_it_is_for(team: Team) -> None:
    key = team.make()
    await team.rule(key, models={"8": None})
    assert (await team.call(key)).status_code == 200
    refused = await team.call(key, "parrot")
    assert refused.status_code == 403
    assert refused.json()["error"]["param"] == "model"


async def test_attack_a_failed_call_or_an_old_count_blocks_a_key(team: Team) -> None:
    """BerriAI/litellm#27735: spend that was counted and never corrected blocked keys for good.

    Here there is no second count: what is spent is what the channel was charged, so a failed call
    gives its reservation back, and a restart finds the very same number."""
    key = team.make()
    await team.rule(key, budget="100")
    for _ in range(8):
        assert (await team.call(key, input=["[fail]"])).status_code == 502
    assert await team.spent(key) == 0
    assert await team.calls(key, 4) == [200] * 4
    await restart(team)
    assert await team.spent(key) == 40
    assert await team.calls(key, 32) == [200] * 6 + [429] * 26


async def test_attack_a_budget_per_day_is_not_given_back_when_the_day_is_over(team: Team) -> None:
    """BerriAI/litellm#15223 and PR#38111: resets that did not happen, or happened twice."""
    key = team.make()
    await team.rule(key, budget="30", period="day")
    assert await team.calls(key, 8) == [200] * 3 + [429] * 5
    refused = await team.call(key)
    midnight = NOW - NOW % DAY + DAY
    assert int(refused.headers["retry-after"]) == midnight - NOW
    assert refused.headers["x-should-retry"] == "false"
    team.books.clock.now = midnight - 1
    assert (await team.call(key)).status_code == 429
    team.books.clock.now = midnight
    assert await team.calls(key, 8) == [200] * 3 + [429] * 5
    # Neither a restart nor a clock that is set back gives it once more.
    await restart(team)
    assert (await team.call(key)).status_code == 429
    team.books.clock.now = NOW
    assert (await team.call(key)).status_code == 429


async def test_a_new_ruling_in_the_same_period_does_not_begin_it_anew(team: Team) -> None:
    key = team.make()
    await team.rule(key, budget="30", period="day")
    assert await team.calls(key, 3) == [200] * 3
    await team.rule(key, budget="50", period="day")
    assert await team.calls(key, 8) == [200] * 2 + [429] * 6


async def test_a_revoked_key_pays_for_nothing_any_more_also_after_a_restart(team: Team) -> None:
    key = team.make()
    assert (await team.call(key)).status_code == 200
    assert (await team.rule(key, revoked=True)).json()["revoked"]
    for _ in range(2):
        refused = await team.call(key)
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "key_revoked"
        await restart(team)


async def test_a_key_whose_channel_is_being_emptied_is_revoked(team: Team) -> None:
    key = team.make()
    chain = team.books.chain
    chain.model.request_withdrawal(CONSUMER.address, OPERATOR.address, key.channel, NOW)
    assert (await team.call(key)).status_code == 401


async def test_a_grant_that_ends_before_it_could_be_settled_pays_for_nothing(team: Team) -> None:
    key = team.make(grants=[Grant(8, 1, CAP, NOW + 500)])
    refused = await team.call(key)
    assert refused.status_code == 401
    assert "grant" in refused.json()["error"]["message"]
    elsewhere = await team.call(team.make(grants=[Grant(*PARROT, CAP, FAR)]))
    assert elsewhere.status_code == 403
    assert elsewhere.json()["error"]["param"] == "model"


@pytest.mark.parametrize("change", ["secret", "channel", "short", "long", "other letters"])
async def test_attack_a_key_is_guessed(team: Team, change: str) -> None:
    """The number of a key is public: it is its channel's."""
    key, other = team.make(), team.make()
    guess = {
        "secret": ApiKey(key.channel, other.secret).text,
        "channel": ApiKey(key.channel + 1, key.secret).text,
        "short": key.text[:-1],
        "long": key.text + "A",
        "other letters": key.text[:-3] + "é",
    }[change]
    header = b"Bearer " + guess.encode("utf-8")
    answer = await team.http.post(
        "/v1/embeddings",
        json={"model": "ten", "input": ["a"]},
        headers=[(b"authorization", header)],
    )
    assert answer.status_code == 401
    assert key.text[30:] not in answer.text


async def test_attack_somebody_else_rules_over_a_key(team: Team) -> None:
    """Its holder raises his own budget, a stranger revokes it, an old ruling comes back."""
    key = team.make()
    assert (await team.rule(key, budget="10")).status_code == 200
    assert (await team.rule(key, key.signer(), budget="1000")).status_code == 401
    assert (await team.rule(key, STRANGER, revoked=True)).status_code == 401
    team.sequence = 0
    assert (await team.rule(key, budget="1000")).status_code == 409
    other = team.make()
    body = b'{"sequence":9}'
    signature = CONSUMER.sign(rules_digest(DOMAIN, other.channel, body))
    headers = {"tessera-key-signature": "0x" + signature.hex()}
    answer = await team.http.post(f"/v1/keys/{key.id}", content=body, headers=headers)
    assert answer.status_code == 401
    assert await team.calls(key, 4) == [200] + [429] * 3


async def test_a_key_s_state_is_shown_to_who_has_it_alone(team: Team) -> None:
    key, other = team.make(), team.make()
    await team.rule(key, budget="100", period="day", models={"8": "50"}, calls_per_minute=5)
    await team.call(key)
    path = f"/v1/keys/{key.id}"
    shown = (await team.http.get(path, headers={"authorization": f"Bearer {key.text}"})).json()
    assert (shown["budget"], shown["spent"], shown["period"]) == ("100", "10", "day")
    assert shown["models"] == {"8": {"budget": "50", "spent": "10"}}
    for bearer in ("tsk_", "sk-other", other.text):
        answer = await team.http.get(path, headers={"authorization": f"Bearer {bearer}"})
        assert answer.status_code == 401


async def test_calls_a_minute_are_counted_and_the_refusal_says_when_to_come_back(
    team: Team,
) -> None:
    key = team.make()
    await team.rule(key, calls_per_minute=5)
    assert await team.calls(key, 9) == [200] * 5 + [429] * 4
    refused = await team.call(key)
    assert 1 <= int(refused.headers["retry-after"]) <= 61


async def test_a_key_and_a_voucher_at_once_are_refused(team: Team) -> None:
    key = team.make()
    headers = {"authorization": f"Bearer {key.text}", "tessera-payment": "AAAA"}
    body = {"model": "ten", "input": ["one"]}
    answer = await team.http.post("/v1/embeddings", json=body, headers=headers)
    assert answer.status_code == 400
    assert "key and voucher" in answer.text or "voucher and key" in answer.text


async def test_other_people_s_tokens_mean_nothing(team: Team) -> None:
    answer = await team.call("sk-proj-somebody-elses-token")
    assert answer.status_code == 402


@pytest.mark.parametrize(
    "rules",
    [
        {"budget": 5},
        {"budget": "-1"},
        {"period": "week"},
        {"models": {str(n): None for n in range(17)}},
        {"models": {"digits": None}},
        {"calls_per_minute": 0},
        {"surprise": 1},
    ],
)
async def test_rules_that_are_none_are_refused(team: Team, rules: dict[str, Any]) -> None:
    key = team.make()
    assert (await team.rule(key, **rules)).status_code == 400
    assert (await team.call(key)).status_code == 200


async def restart(team: Team) -> None:
    """Stop the gateway and its books, and begin again from the disk, at the same address."""
    port = team.server.port
    await team.server.stop()
    await team.books.reopen()
    team.server = GatewayServer(key_gateway(team.books), port=port, drain_s=1)
    await team.server.start()


async def test_attack_the_operator_has_more_signed_than_the_budget(team: Team) -> None:
    """Vouchers are signed for calls ahead, line by line; an operator could settle all of them."""
    key = team.make()
    await team.rule(key, budget="1000")
    for model in ("ten", "parrot", "ten", "parrot"):
        assert (await team.call(key, model)).status_code == 200
        account = await team.books.ledger.account(key.channel)
        assert account is not None
        assert account.voucher is not None
        assert sum(line.maximum for line in account.voucher.voucher.lines) <= 1_000
