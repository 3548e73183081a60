"""Ordinary calls that are kept with their receipts: anybody can check and judge them later."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.client.conftest import Stand
from tests.integration.gateway.conftest import Parrot

from tessera.client.auditing import Copy, Plan, judge
from tessera.client.evidence import kept
from tessera.errors import InputError, SignatureRejected
from tessera.payments.onchain import channels_domain
from tessera.serving.equality.verdict import Finding
from tessera.serving.runner import Task
from tessera.spec.signatures import address_of

SAY: Any = [{"role": "user", "content": "polly wants a cracker"}]


class Chatty(Parrot):
    """One's own copy of the parrot, which only chats."""

    @property
    def tasks(self) -> frozenset[Task]:
        return frozenset({Task.CHAT})


async def test_whole_and_streamed_calls_are_kept_and_judged_by_somebody_else(
    stand: Stand, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    client = await stand.client(keep=folder)
    async with client.async_openai() as ai:
        stream = await ai.chat.completions.create(
            model="parrot", messages=SAY, stream=True, temperature=0
        )
        assert [chunk async for chunk in stream]
        await asyncio.gather(
            *(
                ai.chat.completions.create(model="parrot", messages=SAY, temperature=0)
                for _ in range(12)
            )
        )
    domain = channels_domain(stand.world.deployment)
    operator = address_of(stand.world.operator.address)
    calls = kept(folder, domain, lambda _signed: operator)
    assert len(calls) == 13
    assert sum(call.response.startswith(b"data:") for call in calls) == 1
    copy = Copy(slug="parrot", asset=stand.world.assets[0], version=1, runner=Chatty())
    verdict = await judge(copy, calls, Plan())
    # Twelve that were asked and answered alike are one.
    assert (verdict.finding, verdict.samples) == (Finding.SAME, 2)

    stranger = address_of(stand.world.publisher.address)
    with pytest.raises(SignatureRejected):
        kept(folder, domain, lambda _signed: stranger)
    request = next(folder.glob("*.request"))
    asked = json.loads(request.read_bytes())
    request.write_bytes(json.dumps({**asked, "temperature": 1}).encode())
    with pytest.raises(SignatureRejected, match="receipt: request"):
        kept(folder, domain, lambda _signed: operator)
    request.unlink()
    with pytest.raises(InputError, match="beside it"):
        kept(folder, domain, lambda _signed: operator)
