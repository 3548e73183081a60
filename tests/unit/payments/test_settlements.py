"""Settlements from plan to finality: reorganised chains, killed processes, and prices of gas."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests.unit.payments.conftest import (
    CONSUMER,
    DELAY,
    EVIDENCE,
    KEY,
    OPERATOR,
    Books,
    WrittenChain,
    quote,
    sign,
)

from tessera.errors import NotFinal, RiskReached, RpcUnavailable, TransactionReverted
from tessera.payments.ports import ChannelView, SettleResult
from tessera.payments.risk import Exposures, GasPrice, RiskRules
from tessera.payments.settle import Follow, Settler
from tessera.payments.settling import Settlements, State
from tessera.spec.vouchers import TillKey
from tessera.storage import schema

Name = Callable[[], str]
GWEI = 10**9
COIN = 3_000_000_000
RULES = RiskRules(
    channel_units=20_000_000,
    payer_units=50_000_000,
    at_risk_units=10**9,
    every_s=10**9,
    fee_bps=500,
    delay_s=DELAY,
)


@dataclass
class Sent:
    """A transaction of the scripted chain."""

    nonce: int
    tills: Sequence[TillKey]
    words: Sequence[int]
    ceiling: int | None
    failure: Exception | None = None

    @property
    def hashes(self) -> tuple[str, ...]:
        return (f"0x{self.nonce:064x}",)

    def raise_ceiling(self, fee_ceiling: int | None) -> None:
        if self.ceiling is not None:
            self.ceiling = None if fee_ceiling is None else max(self.ceiling, fee_ceiling)


@dataclass
class Reorganising:
    """The twin of Channels, whose blocks can be taken back and whose gas has a price."""

    inner: WrittenChain
    gas: int = GWEI
    pool: list[Sent] = field(default_factory=list)
    blocks: list[list[tuple[Sent, SettleResult]]] = field(default_factory=list)
    before: list[object] = field(default_factory=list)
    away: bool = False
    automine: bool = True
    fork: int = 0
    nonces: int = 0

    async def gas_price(self) -> int:
        return self.gas

    async def read_channel(self, channel: int, keys: Sequence[TillKey]) -> ChannelView | None:
        return await self.inner.read_channel(channel, keys)

    async def settle(self, tills: Sequence[TillKey], words: Sequence[int]) -> SettleResult:
        raise AssertionError("nothing is sent that is not followed")

    async def flush(self, asset: int) -> str:
        return await self.inner.flush(asset)

    async def submit(
        self, tills: Sequence[TillKey], words: Sequence[int], fee_ceiling: int | None
    ) -> Sent:
        if self.away:
            raise RpcUnavailable("node")
        if self.inner.settle_fails:
            raise self.inner.settle_fails.pop(0)
        sent = Sent(self.nonces, tills, words, fee_ceiling)
        self.nonces += 1
        self.pool.append(sent)
        if self.automine:
            self.mine()
        return sent

    async def find(self, hashes: Sequence[str]) -> tuple[SettleResult, int] | None:
        if self.away:
            raise RpcUnavailable("node")
        for height, block in enumerate(self.blocks):
            for sent, result in block:
                if set(sent.hashes) & set(hashes):
                    return result, len(self.blocks) - 1 - height
        return None

    def mine(self) -> None:
        """Put all that pays for it into a block, in the order of nonces."""
        model = self.inner.model
        self.before.append(
            (
                {at: replace(state) for at, state in model.channels.items()},
                {at: replace(line) for at, line in model.lines.items()},
            )
        )
        block: list[tuple[Sent, SettleResult]] = []
        while self.pool and (self.pool[0].ceiling is None or self.pool[0].ceiling >= self.gas):
            sent = self.pool.pop(0)
            done = model.settle(OPERATOR.address, sent.tills, sent.words, self.inner.now)
            result = SettleResult(
                sent.hashes[0],
                len(self.blocks),
                done.total,
                tuple(done.skipped),
                taken=tuple(done.settled),
                block_hash=f"0x{self.fork:032x}{len(self.blocks):032x}",
            )
            block.append((sent, result))
        self.blocks.append(block)

    def take_back(self, *, forget: bool = False) -> None:
        """Replace the last block; what was in it waits again, or is forgotten."""
        block, before = self.blocks.pop(), self.before.pop()
        self.inner.model.channels, self.inner.model.lines = before  # type: ignore[misc, assignment]
        self.fork += 1
        if not forget:
            self.pool = [sent for sent, _ in block] + self.pool


@dataclass
class Stand:
    books: Books
    chain: Reorganising
    settlements: Settlements
    settler: Settler

    def charged(self, channel: int) -> int:
        return self.books.chain.model.line_of(OPERATOR.address, channel, *KEY).charged

    async def states(self) -> list[State]:
        rows = await self.books.ledger.look_up(
            lambda connection: connection.execute(
                select(schema.claims.c.state).order_by(schema.claims.c.n)
            ).all()
        )
        return [State(row.state) for row in rows]


def stand(
    books: Books,
    chain: Reorganising,
    *,
    confirmations: int = 2,
    coin: int = 0,
    rules: RiskRules = RULES,
) -> Stand:
    async def sleep(seconds: float) -> None:
        books.clock.now += seconds

    settlements = Settlements(
        books.ledger, chain, confirmations=confirmations, patience_s=5, sleep=sleep
    )

    async def price() -> GasPrice:
        return GasPrice(chain.gas, coin)

    settler = Settler(
        books.ledger,
        chain,
        books.clock,
        every_s=rules.every_s,
        at_risk=rules.at_risk_units,
        flush=False,
        follow=Follow(settlements, rules, price, books.ledger.times.now),
    )
    return Stand(books, chain, settlements, settler)


async def spend(books: Books, name: Name, channel: int, amount: int, total: int) -> None:
    call = await books.accept(sign(channel, (KEY, total)), quote(amount), name())
    await books.ledger.finish(call, amount, EVIDENCE)


@pytest.fixture
async def shop(books: Books) -> Stand:
    # The ledger's ages and the chain's deadlines go by one clock here.
    books.ledger.times.steady = books.clock
    return stand(books, Reorganising(books.chain))


async def test_what_is_settled_stays_at_stake_until_it_is_final(shop: Stand, name: Name) -> None:
    channel = shop.books.chain.open()
    await spend(shop.books, name, channel, 60, 100)
    assert shop.books.ledger.exposures.total == 60
    assert (await shop.settler.settle()).total == 60
    assert await shop.states() == [State.MINED]
    assert await shop.books.ledger.claims() == []
    assert shop.books.ledger.exposures.total == 60
    for depth in range(2):
        assert await shop.states() == [State.MINED], depth
        shop.chain.mine()
        await shop.settler.look()
    assert await shop.states() == [State.FINAL]
    assert shop.books.ledger.exposures.total == 0
    assert shop.settlements.open == ()


async def test_a_settlement_whose_block_is_replaced_is_followed_into_the_next(
    shop: Stand, name: Name
) -> None:
    channel = shop.books.chain.open()
    await spend(shop.books, name, channel, 60, 100)
    await shop.settler.settle()
    shop.chain.take_back()
    await shop.settler.look()
    assert await shop.states() == [State.SENT]
    # Due again, at stake once, and not sent twice while it is on its way.
    assert [claim.due for claim in await shop.books.ledger.claims()] == [60]
    assert shop.books.ledger.exposures.total == 60
    await shop.settler.look()
    assert shop.chain.nonces == 1
    # The channel is used all the while.
    await spend(shop.books, name, channel, 30, 100)
    for _ in range(3):
        shop.chain.mine()
    await shop.settler.look()
    assert await shop.states() == [State.FINAL]
    assert shop.charged(channel) == 60
    assert [claim.due for claim in await shop.books.ledger.claims()] == [30]


async def test_a_settlement_that_nobody_knows_any_more_is_made_anew(
    shop: Stand, name: Name
) -> None:
    """The chain is reorganised, the node forgets the transaction, and somebody took its nonce."""
    channel = shop.books.chain.open()
    await spend(shop.books, name, channel, 60, 100)
    await shop.settler.settle()
    sent = shop.chain.blocks[0][0][0]
    shop.chain.take_back(forget=True)
    sent.failure = RuntimeError("another transaction has this nonce")
    await shop.settler.look()
    assert await shop.states() == [State.GIVEN_UP]
    assert (await shop.settler.settle()).total == 60
    assert shop.charged(channel) == 60


async def test_a_batch_that_the_contract_refuses_is_halved_and_written_down(
    shop: Stand, name: Name
) -> None:
    for salt in range(2):
        await spend(shop.books, name, shop.books.chain.open(salt=salt), 10, 10)
    refusal = TransactionReverted("Registry", "registry: no such terms")
    shop.books.chain.settle_fails = [refusal, refusal]
    report = await shop.settler.settle()
    assert report.total == 10
    assert len(report.refused) == 1
    assert await shop.states() == [State.REFUSED, State.REFUSED, State.MINED]


@pytest.mark.parametrize("state", [State.PLANNED, State.SENT, State.MINED])
@pytest.mark.parametrize("mined", [False, True])
async def test_no_process_that_dies_leaves_a_channel_locked(
    shop: Stand, name: Name, state: State, mined: bool
) -> None:
    """SingularityNET's daemon locks a channel while it claims, in a store that outlives it; one
    that died in between left channels that nobody could use or claim until somebody edited the
    store. Here a process dies at each step, before and after the transaction reached a block."""
    channel = shop.books.chain.open()
    await spend(shop.books, name, channel, 60, 100)
    if mined or state is State.MINED:
        await shop.settler.settle()
    else:
        shop.chain.automine = False
        with pytest.raises(NotFinal):
            await shop.settler.settle()
        if state is State.PLANNED:
            shop.chain.pool.clear()
    row = {"n": 1, "state": int(state)}
    if state is State.PLANNED:
        row |= {"tx": "", "nonce": None}
    kept = await shop.books.ledger.look_up(
        lambda connection: dict(connection.execute(select(schema.claims)).one()._mapping)
    )
    await shop.books.ledger.keep((schema.claims, {**kept, **row}))
    await shop.books.reopen()
    shop.books.ledger.times.steady = shop.books.clock
    shop.chain.automine = True
    again = stand(shop.books, shop.chain)
    await again.settlements.recover()
    # Served on at once, and settled to the unit.
    await spend(shop.books, name, channel, 40, 100)
    assert (await again.settler.settle()).total in {40, 100}
    shop.chain.mine()
    shop.chain.mine()
    shop.books.clock.now += 700
    await again.settler.look()
    assert again.charged(channel) == 100
    assert again.settlements.open == ()
    assert shop.books.ledger.exposures.total == 0


async def test_in_a_gas_spike_calm_settlements_wait_and_a_withdrawal_is_a_race_that_is_won(
    books: Books, name: Name
) -> None:
    """A payer runs up a bill, waits for gas to be dear, and asks for his deposit: he hopes that the
    operator waits for cheaper gas until the money is out."""
    books.ledger.times.steady = books.clock
    rules = replace(RULES, every_s=60)
    shop = stand(books, Reorganising(books.chain, gas=100 * GWEI), coin=COIN, rules=rules)
    chain = books.chain
    channel = chain.open(10**8)
    await spend(books, name, channel, 60_000_000, 60_000_000)
    books.clock.now += 61
    await shop.settler.look()
    assert shop.settler.too_dear == (channel,)
    assert shop.chain.nonces == 0
    chain.model.request_withdrawal(CONSUMER.address, OPERATOR.address, channel, int(books.clock()))
    leaves_at = int(books.clock()) + DELAY
    while not shop.charged(channel):
        books.clock.now += 60
        chain.now = int(books.clock())
        assert books.clock() < leaves_at - rules.margin_s + 61
        await shop.settler.look()
    chain.now = leaves_at
    assert chain.model.withdraw(OPERATOR.address, channel, leaves_at) == 40_000_000


async def test_a_settlement_that_waits_below_the_price_is_raised_by_one_in_haste(
    books: Books, name: Name
) -> None:
    """A calm one was sent, then gas went up above what it offers. What is sent in haste has a later
    nonce, so it would wait behind it until gas is cheap again."""
    books.ledger.times.steady = books.clock
    rules = replace(RULES, every_s=60)
    shop = stand(books, Reorganising(books.chain, automine=False), coin=COIN, rules=rules)
    calm, leaving = (books.chain.open(10**8, salt=salt) for salt in range(2))
    await spend(books, name, calm, 10_000_000, 10_000_000)
    books.clock.now += 61
    with pytest.raises(NotFinal):
        await shop.settler.look()
    shop.chain.gas = 50 * GWEI
    shop.chain.mine()
    assert shop.chain.pool
    books.chain.model.request_withdrawal(
        CONSUMER.address, OPERATOR.address, leaving, int(books.clock()) - DELAY
    )
    call = books.chain.model.channels[OPERATOR.address, leaving]
    call.available_at = 0
    await spend(books, name, leaving, 60_000_000, 60_000_000)
    call.available_at = int(books.clock()) + 30
    shop.chain.automine = True
    await shop.settler.look()
    await shop.settler.look()
    assert shop.charged(leaving) == 60_000_000
    assert shop.charged(calm) == 10_000_000


async def test_a_payer_is_served_no_further_than_is_risked_and_on_once_it_is_final(
    books: Books, name: Name
) -> None:
    exposures = Exposures(replace(RULES, channel_units=100, payer_units=150), retry_after_s=7)
    books.ledger.exposures = exposures
    books.ledger.times.steady = books.clock
    shop = stand(books, Reorganising(books.chain))
    one, two = (books.chain.open(salt=salt) for salt in range(2))
    await spend(books, name, one, 60, 60)
    with pytest.raises(RiskReached) as refused:
        await books.accept(sign(one, (KEY, 101)), quote(41), name())
    assert refused.value.operands["retry_after_s"] == 7
    held = await books.accept(sign(two, (KEY, 90)), quote(90), name())
    with pytest.raises(RiskReached):
        await books.accept(sign(one, (KEY, 61)), quote(1), name())
    books.ledger.fail(held)
    await spend(books, name, one, 40, 100)
    await shop.settler.settle()
    # In a block, but a block can be replaced.
    with pytest.raises(RiskReached):
        await books.accept(sign(one, (KEY, 101)), quote(1), name())
    shop.chain.mine()
    shop.chain.mine()
    await shop.settler.look()
    await spend(books, name, one, 100, 200)
    # And who owes is known before his first call to the next process.
    await books.reopen()
    books.ledger.exposures.rules = exposures.rules
    assert books.ledger.exposures.of_payer(CONSUMER.address) == 100
    with pytest.raises(RiskReached):
        await books.accept(sign(two, (KEY, 51)), quote(51), name())


async def test_a_chain_that_does_not_answer_takes_nothing_back(shop: Stand, name: Name) -> None:
    channel = shop.books.chain.open()
    await spend(shop.books, name, channel, 60, 100)
    shop.chain.away = True
    with pytest.raises(RpcUnavailable):
        await shop.settler.settle()
    shop.chain.away = False
    assert await shop.states() == [State.GIVEN_UP]
    assert (await shop.settler.settle()).total == 60


steps = st.lists(
    st.sampled_from(["call", "settle", "look", "mine", "reorg", "forget", "restart"]), max_size=14
)


@given(steps)
@settings(max_examples=10, deadline=None)
def test_whatever_the_chain_does_everything_is_settled_once(walk: list[str]) -> None:
    """Calls, rounds, replaced blocks, forgotten transactions and restarts in any order: what the
    chain has is never more than was charged, what is at stake is what is not final, and in the end
    all is settled."""

    async def run(folder: str) -> None:
        books = Books(Path(folder) / "books.db", WrittenChain())
        await books.reopen()
        books.ledger.times.steady = books.clock
        chain = Reorganising(books.chain)
        shop = stand(books, chain)
        channel = books.chain.open(10**6)
        charged, count = 0, 0
        for step in [*walk, "call", "settle", "mine", "mine", "look", "settle", "mine", "mine"]:
            books.clock.now += 20
            books.chain.now = int(books.clock())
            match step:
                case "call":
                    charged, count = charged + 10, count + 1
                    call = await books.accept(
                        sign(channel, (KEY, charged)), quote(10), f"{count:032x}"
                    )
                    await books.ledger.finish(call, 10, EVIDENCE)
                case "settle":
                    await shop.settler.settle()
                case "look":
                    await shop.settler.look()
                case "mine":
                    chain.mine()
                case "reorg" if chain.blocks:
                    chain.take_back()
                case "forget" if chain.blocks:
                    lost = [sent for sent, _ in chain.blocks[-1]]
                    chain.take_back(forget=True)
                    for sent in lost:
                        sent.failure = RuntimeError("the nonce is gone")
                case "restart":
                    await books.reopen()
                    books.ledger.times.steady = books.clock
                    shop = stand(books, chain)
                    await shop.settlements.recover()
            assert shop.charged(channel) <= charged
            assert books.ledger.exposures.total <= 2 * charged
        books.clock.now += 700
        await shop.settler.look()
        await shop.settler.settle()
        chain.mine()
        chain.mine()
        await shop.settler.look()
        assert shop.charged(channel) == charged
        assert shop.settlements.open == ()
        assert books.ledger.exposures.total == 0
        await books.ledger.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(folder))


def test_the_books_number_their_states_for_good() -> None:
    assert [state.value for state in State] == [0, 1, 2, 3, 4, 5]


async def test_attack_a_settlement_that_was_refused_once_is_not_lost(
    books: Books, name: Name
) -> None:
    """A block is full, and a batch reverts. Whoever was in it makes no further call and withdraws:
    what he owed was not tried again."""
    books.ledger.times.steady = books.clock
    shop = stand(books, Reorganising(books.chain), rules=replace(RULES, every_s=3_600))
    for salt, leaves in ((0, False), (1, True)):
        channel = books.chain.open(salt=salt)
        await spend(books, name, channel, 60, 100)
        books.clock.now += 3_601
        books.chain.settle_fails.append(TransactionReverted("Channels", "out of gas"))
        assert (await shop.settler.look()).refused == [(channel, "out of gas")]
        # Not at once, which would be in vain again.
        assert (await shop.settler.look()).total == 0
        if leaves:
            books.chain.model.request_withdrawal(
                CONSUMER.address, OPERATOR.address, channel, int(books.clock.now)
            )
        else:
            books.clock.now += 3_601
        assert (await shop.settler.look()).total == 60
