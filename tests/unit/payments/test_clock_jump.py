"""The machine's clock is set, by somebody or by the network, in the middle of everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.unit.payments.conftest import (
    CONSUMER,
    DOMAIN,
    EVIDENCE,
    KEY,
    NOW,
    OPERATOR,
    Clock,
    WrittenChain,
    quote,
    request,
    sign,
)

from tessera.errors import Closed, NotAllowed
from tessera.payments.ledger import Ledger
from tessera.payments.settle import Settler
from tessera.payments.times import Times
from tessera.spec.channels import Grant
from tessera.spec.signatures import Signer, keccak

DAY = 86_400
Name = Callable[[], str]


class Shop:
    """A ledger with a wall clock that is set and a steady one that is not."""

    def __init__(self) -> None:
        self.chain = WrittenChain()
        self.wall, self.steady = Clock(), Clock(1_000.0)
        self.ledger: Ledger = None  # type: ignore[assignment]

    def pass_time(self, seconds: float) -> None:
        self.wall.now += seconds
        self.steady.now += seconds


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    made = Shop()
    made.ledger = await Ledger.open(
        tmp_path / "books.db",
        DOMAIN,
        OPERATOR,
        made.chain,
        made.wall,
        knows=lambda _key: True,
        steady=made.steady,
    )
    yield made
    await made.ledger.close()


@pytest.mark.parametrize("jump", [-DAY, -3_600, DAY])
async def test_a_withdrawal_is_seen_in_time_whatever_the_clock_says(
    shop: Shop, name: Name, jump: int
) -> None:
    """A consumer asks for its money back just when the machine's clock was set back. Were the age
    of what the chain said told by that clock, the operator would go on answering for an hour, and
    the consumer would have its deposit back before anything of it could be settled."""
    channel = shop.chain.open()
    voucher = sign(channel, (KEY, 100))
    shop.ledger.fail(await shop.ledger.accept(voucher, quote(10), request(channel, name())))
    shop.wall.now += jump
    shop.chain.model.request_withdrawal(CONSUMER.address, OPERATOR.address, channel, shop.chain.now)
    shop.pass_time(16)
    with pytest.raises(Closed):
        await shop.ledger.accept(voucher, quote(10), request(channel, name()))


async def test_a_clock_that_jumps_forward_does_not_make_every_call_read_the_chain(
    shop: Shop, name: Name
) -> None:
    channel = shop.chain.open()
    for jump in (0, DAY, DAY):
        shop.wall.now += jump
        call = await shop.ledger.accept(
            sign(channel, (KEY, 100)), quote(10), request(channel, name())
        )
        shop.ledger.fail(call)
    assert shop.chain.reads == 1


async def test_the_times_of_receipts_never_fall(shop: Shop, name: Name) -> None:
    channel = shop.chain.open()
    times = []
    for jump in (0, 10, -DAY, 5, DAY + 60):
        shop.wall.now += jump
        call = await shop.ledger.accept(
            sign(channel, (KEY, 100)), quote(10), request(channel, name())
        )
        times.append((await shop.ledger.finish(call, 10, EVIDENCE)).receipt.time - NOW)
    assert times == [0, 10, 10, 10, 75]


async def test_a_clock_set_back_does_not_lengthen_a_session_key(
    shop: Shop, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chain judges a grant by its own time. An operator whose clock is a day behind would
    answer on a key that nothing can be settled with any more."""
    session = Signer(keccak(b"session"))
    channel = shop.chain.open(signer=session, grants=[Grant(*KEY, cap=100, expires=NOW + 1_000)])
    read = shop.chain.read_channel

    async def with_time(*which: object) -> object:
        view = await read(*which)  # type: ignore[arg-type]
        object.__setattr__(view, "block_time", NOW + 500)
        return view

    monkeypatch.setattr(shop.chain, "read_channel", with_time)
    shop.wall.now -= DAY
    with pytest.raises(NotAllowed, match="expires"):
        await shop.ledger.accept(
            sign(channel, (KEY, 9), signer=session),
            quote(9),
            request(channel, name(), signer=session),
        )


async def test_settling_by_time_goes_on_when_the_clock_is_set_back(shop: Shop, name: Name) -> None:
    channel = shop.chain.open()
    rounds = 0
    settler: Settler

    async def sleep(_seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            # Due from here on, and then somebody sets the clock.
            call = await shop.ledger.accept(
                sign(channel, (KEY, 10)), quote(10), request(channel, name())
            )
            await shop.ledger.finish(call, 10, EVIDENCE)
            shop.wall.now -= DAY
        shop.pass_time(40)
        if rounds == 4:
            raise asyncio.CancelledError

    settler = Settler(
        shop.ledger, shop.chain, shop.steady, every_s=60, at_risk=10**9, watch_s=15, sleep=sleep
    )
    with pytest.raises(asyncio.CancelledError):
        await settler.run()
    assert await shop.ledger.claims() == []


def test_the_chains_time_goes_on_between_its_blocks() -> None:
    wall, steady = Clock(NOW), Clock(5.0)
    times = Times(wall, steady)
    times.saw_block(NOW + 100)
    assert times.now() == NOW + 100
    steady.now += 50
    assert times.now() == NOW + 150
    times.saw_block(NOW + 120)
    assert times.now() == NOW + 150, "an older block moved the time back"
    wall.now += 1_000
    assert times.now() == NOW + 1_000


def test_which_day_it_is_follows_no_jump_that_the_chain_does_not_confirm() -> None:
    wall, steady = Clock(NOW), Clock(5.0)
    times = Times(wall, steady)
    wall.now += 300
    assert times.calendar() == NOW + 300, "a clock that is set right by some minutes counts"
    wall.now += 40 * 86_400
    assert times.calendar() == NOW + 600
    wall.now = NOW - 86_400
    assert times.calendar() == NOW + 600, "time went back"
    steady.now += 86_400
    wall.now = NOW + 86_400 + 7
    assert times.calendar() == NOW + 86_400 + 7
    # A machine that began with a wrong clock hears from the chain what time it is.
    times.saw_block(NOW + 10 * 86_400)
    assert times.calendar() == NOW + 10 * 86_400
    wall.now = NOW + 10 * 86_400 + 30
    assert times.calendar() == wall.now
