"""Operators that lie to the consumers who pay them."""

from __future__ import annotations

import openai
import pytest
from tests.integration.client.conftest import Stand
from tests.integration.client.test_money import ONE, call

from tessera.errors import PaymentRequired


async def test_an_operator_cannot_talk_a_client_out_of_its_money(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator answers every call with "your deposit is too small, by a hundred thousand". A
    client that tops up by itself would carry the payer's whole purse into the channel, in steps as
    large as the operator names, and wait a withdrawal delay to see it again."""
    client = await stand.client(deposit=5 * ONE, max_call_cost=ONE, top_up=ONE)
    await call(client)

    async def claim(*_: object, **_how: object) -> None:
        raise PaymentRequired("deposit", found="too little", wanted="more", short=10**8)

    monkeypatch.setattr(stand.ledger, "accept", claim)
    for _ in range(2):
        with pytest.raises(openai.APIStatusError, match="too little"):
            await call(client)
    monkeypatch.undo()
    account = await stand.ledger.account(client.open())
    assert account is not None
    (seen,) = await stand.ledger.look_at_chain([account.number])
    assert seen.chain is not None
    assert seen.chain.balance == 5 * ONE
