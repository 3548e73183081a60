"""Orders in an operator's books: counted once, durably, never beyond what was bought."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.payments.conftest import (
    CONSUMER,
    DOMAIN,
    EVIDENCE,
    KEY,
    NOW,
    OPERATOR,
    STRANGER,
    Clock,
    WrittenChain,
)
from tests.unit.payments.written_orders import ACCESS, DAY, WrittenOrders, signed_use

from tessera.errors import (
    Conflict,
    NotAllowed,
    NotFound,
    RpcUnavailable,
    SignatureRejected,
    TransactionReverted,
)
from tessera.payments.ledger import Call, Ledger, Quote
from tessera.payments.ports import RightView
from tessera.payments.proving import OrderProver
from tessera.payments.rights import (
    HONOUR_ALL,
    OrderNotHonoured,
    OrderRented,
    OrderRules,
    OrderTooLate,
    OrderUsedUp,
)
from tessera.spec.access import Kind
from tessera.spec.signatures import Address

QUOTE = Quote(KEY, 3, 1, 999)


class Desk:
    """A ledger with orders; `reopen` is what a restart does."""

    def __init__(self, path: Path, **terms: object) -> None:
        self.path, self.clock = path, Clock()
        self.orders = WrittenOrders(self.clock, **terms)  # type: ignore[arg-type]
        self.ledger: Ledger | None = None

    async def reopen(self, *, orders: bool = True, rules: OrderRules = HONOUR_ALL) -> Ledger:
        if self.ledger is not None:
            await self.ledger.close()
        self.ledger = await Ledger.open(
            self.path,
            DOMAIN,
            OPERATOR,
            WrittenChain(),
            self.clock,
            knows=lambda _key: True,
            steady=self.clock,
            orders=self.orders if orders else None,
            order_rules=rules,
        )
        return self.ledger

    async def begin(self, order: int, number: int, *, stream: bool = False) -> Call:
        assert self.ledger is not None
        use = signed_use(order, f"{number:032x}", deadline=int(self.clock()) + 300)
        return await self.ledger.accept_order(use, QUOTE, stream=stream)

    async def use(self, order: int, number: int) -> None:
        assert self.ledger is not None
        await self.ledger.finish(await self.begin(order, number), 77, EVIDENCE)

    async def used(self, order: int) -> object:
        assert self.ledger is not None
        assert self.ledger.rights is not None
        return (await self.ledger.rights.shown(ACCESS, order))["used"]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path / "books.db", per_unit=3)
    await made.reopen()
    yield made
    assert made.ledger is not None
    await made.ledger.close()


async def test_what_is_used_stays_used_after_a_restart(desk: Desk) -> None:
    order = desk.orders.order()
    await desk.use(order, 1)
    await desk.use(order, 2)
    await desk.reopen()
    assert await desk.used(order) == "2"
    await desk.use(order, 3)
    with pytest.raises(OrderUsedUp):
        await desk.begin(order, 4)
    await desk.reopen()
    with pytest.raises(OrderUsedUp):
        await desk.begin(order, 5)


async def test_a_receipt_of_an_order_charges_nothing(desk: Desk) -> None:
    call = await desk.begin(desk.orders.order(), 1)
    assert desk.ledger is not None
    signed = await desk.ledger.finish(call, 77, EVIDENCE)
    assert (signed.cost, signed.receipt.charged, signed.receipt.channel) == (0, 0, 0)
    assert call.payer == CONSUMER.address


async def test_a_stream_that_dies_with_the_process_counts(desk: Desk) -> None:
    """Pieces may have left, so it is on the disk before the first of them."""
    order = desk.orders.order()
    call = await desk.begin(order, 1, stream=True)
    assert call.durable is not None
    await call.durable
    # A plain call that dies has given nobody anything.
    await desk.begin(order, 2)
    await desk.reopen()
    assert await desk.used(order) == "1"


async def test_a_failed_stream_gives_its_use_back(desk: Desk) -> None:
    order = desk.orders.order()
    assert desk.ledger is not None
    desk.ledger.fail(await desk.begin(order, 1, stream=True))
    assert await desk.used(order) == "0"
    await desk.reopen()
    assert await desk.used(order) == "0"
    with pytest.raises(Conflict, match="asked before"):
        await desk.begin(order, 1)


async def test_many_at_once_share_what_is_left(desk: Desk) -> None:
    order = desk.orders.order(2)
    found = await asyncio.gather(
        *(desk.begin(order, number) for number in range(10)), return_exceptions=True
    )
    assert sum(isinstance(call, Call) for call in found) == 6
    assert sum(isinstance(error, OrderUsedUp) for error in found) == 4


async def test_two_copies_that_come_together_are_one(desk: Desk) -> None:
    order = desk.orders.order()
    found = await asyncio.gather(desk.begin(order, 1), desk.begin(order, 1), return_exceptions=True)
    assert [type(one) for one in found].count(Conflict) == 1


async def test_a_copy_after_a_restart_is_refused_while_it_could_be_served(desk: Desk) -> None:
    order = desk.orders.order()
    await desk.use(order, 1)
    await desk.reopen()
    with pytest.raises(Conflict):
        await desk.begin(order, 1)
    # Later it is refused by its deadline.
    desk.clock.now += 301
    assert desk.ledger is not None
    with pytest.raises(SignatureRejected, match="deadline"):
        await desk.ledger.accept_order(signed_use(order, f"{1:032x}"), QUOTE, stream=False)


async def test_a_copy_whose_deadline_passes_while_the_chain_is_read_is_not_served(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is remembered until its deadline; a copy must not slip in when it is just over."""
    order = desk.orders.order()
    await desk.use(order, 1)
    use = signed_use(order, f"{1:032x}")
    desk.clock.now += 299
    read = desk.orders.read_order

    async def slowly(access: Address, number: int) -> RightView | None:
        desk.clock.now += 2
        return await read(access, number)

    monkeypatch.setattr(desk.orders, "read_order", slowly)
    assert desk.ledger is not None
    with pytest.raises(SignatureRejected, match="deadline"):
        await desk.ledger.accept_order(use, QUOTE, stream=False)


async def test_names_are_kept_until_their_deadline_and_no_longer(tmp_path: Path) -> None:
    """An order in steady use: every name counts while it could be served, and memory ends."""
    desk = Desk(tmp_path / "books.db", kind=Kind.PERIOD, per_unit=DAY)
    ledger = await desk.reopen()
    order = desk.orders.order()
    await desk.use(order, 0)

    async def ask(numbers: range) -> None:
        for number in numbers:
            ledger.fail(await desk.begin(order, number))

    await ask(range(1, 1_100))
    with pytest.raises(Conflict):
        await desk.begin(order, 1)
    desk.clock.now += 301
    await ask(range(1_100, 2_200))
    with pytest.raises(Conflict):
        await desk.begin(order, 1_100)
    assert ledger.rights is not None
    (right,) = ledger.rights._rights.values()
    assert len(right.names) == 1_100
    await ledger.close()


async def test_many_at_once_after_a_restart_find_the_order_used_up(desk: Desk) -> None:
    """A consumer whose order is used up waits for a restart and asks ten times at once.

    The first call reads the books; the others must not be judged before it has read them, neither
    by what is left nor by their names.
    """
    order = desk.orders.order()
    for number in (1, 2, 3):
        await desk.use(order, number)
    await desk.reopen()
    found = await asyncio.gather(
        *(desk.begin(order, number) for number in range(10)), return_exceptions=True
    )
    assert [type(error) for error in found] == [OrderUsedUp] * 10


async def test_books_that_cannot_be_read_count_nothing_as_unused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails at the first look after a restart; the next call looks again."""
    from tessera.errors import DataError
    from tessera.payments import books

    order = desk.orders.order()
    for number in (1, 2, 3):
        await desk.use(order, number)
    await desk.reopen()

    def torn(*_: object) -> None:
        raise DataError("books", found="no answer", wanted="a row")

    with monkeypatch.context() as broken:
        broken.setattr(books, "load_order", torn)
        with pytest.raises(DataError):
            await desk.begin(order, 4)
    with pytest.raises(OrderUsedUp):
        await desk.begin(order, 5)


async def test_a_call_that_ends_while_the_books_are_read_counts(desk: Desk) -> None:
    """A write failed, so everything is read anew; a call of the consumer ends in between."""
    order = desk.orders.order()
    assert desk.ledger is not None
    assert desk.ledger.rights is not None
    call = await desk.begin(order, 1)
    desk.ledger.rights.distrust()
    reading = asyncio.create_task(desk.used(order))
    await asyncio.sleep(0)
    await asyncio.gather(desk.ledger.finish(call, 0, EVIDENCE), reading)
    assert await desk.used(order) == "1"


async def test_a_write_that_fails_counts_what_is_on_the_disk(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tessera.errors import StorageFull

    order = desk.orders.order()
    call = await desk.begin(order, 1)
    assert desk.ledger is not None

    def full(*_: object) -> None:
        raise StorageFull("books", found="no room", wanted="some")

    with monkeypatch.context() as disk:
        disk.setattr("tessera.storage.batches._insert", full)
        with pytest.raises(StorageFull):
            await desk.ledger.finish(call, 0, EVIDENCE)
    assert await desk.used(order) == "0"
    await desk.use(order, 2)
    assert await desk.used(order) == "1"


async def test_signatures_of_others_and_for_others_are_refused(desk: Desk) -> None:
    order, other = desk.orders.order(), desk.orders.order()
    assert desk.ledger is not None
    name = "ab" * 16
    by_stranger = signed_use(order, name, signer=STRANGER)
    with pytest.raises(SignatureRejected):
        await desk.ledger.accept_order(by_stranger, QUOTE, stream=False)
    good = signed_use(order, name)
    for field, value in (("order", other), ("name", "cd" * 16), ("deadline", NOW + 299)):
        import dataclasses

        bent = dataclasses.replace(good, **{field: value})
        with pytest.raises(SignatureRejected):
            await desk.ledger.accept_order(bent, QUOTE, stream=False)
    with pytest.raises(NotFound):
        await desk.begin(99, 1)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (OrderRules(least_window_s=DAY), None),
        (OrderRules(least_window_s=DAY + 1), "a serve window of 86400 s"),
        (OrderRules(least_price=5), None),
        (OrderRules(least_price=6), "5 base units for a call"),
        (OrderRules(least_price=6, own=lambda asset: asset == 7), None),
        (OrderRules(assets=lambda asset: asset == 7), None),
        (OrderRules(assets=lambda _: False), "an asset whose orders"),
        (OrderRules(assets=lambda _: False, own=lambda _: True), None),
        (OrderRules(least_window_s=DAY + 1, own=lambda _: True), "a serve window"),
    ],
)
async def test_an_operator_says_which_orders_it_honours(
    tmp_path: Path, rules: OrderRules, said: str | None
) -> None:
    """Whoever controls an asset names any operator in its products, and asks nobody."""
    desk = Desk(tmp_path / "books.db", per_unit=3)
    ledger = await desk.reopen(rules=rules)
    order = desk.orders.order()
    if said is None:
        await desk.use(order, 1)
    else:
        with pytest.raises(OrderNotHonoured, match=said):
            await desk.begin(order, 1)
        assert await desk.used(order) == "0"
    await ledger.close()


async def test_without_the_port_no_order_is_honoured(desk: Desk) -> None:
    ledger = await desk.reopen(orders=False)
    with pytest.raises(NotAllowed, match="no orders are honoured"):
        await ledger.accept_order(signed_use(1, "ab" * 16), QUOTE, stream=False)


async def test_numbers_that_do_not_exist_fill_no_memory(desk: Desk) -> None:
    assert desk.ledger is not None
    assert desk.ledger.rights is not None
    for number in range(50):
        with pytest.raises(NotFound):
            await desk.begin(1_000 + number, number)
    assert not desk.ledger.rights._rights


async def test_orders_that_exist_fill_no_memory_and_are_counted_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders are cheap on some chains; a gateway that served each once must not keep them all."""
    monkeypatch.setattr("tessera.payments.rights._MOST_KNOWN", 20)
    first, running = desk.orders.order(), desk.orders.order()
    await desk.use(first, 1)
    call = await desk.begin(running, 1)
    for _ in range(60):
        await desk.use(desk.orders.order(), 1)
    assert desk.ledger is not None
    assert desk.ledger.rights is not None
    assert len(desk.ledger.rights._rights) <= 21
    # What was forgotten is read back, its names too; what is in flight was not forgotten.
    with pytest.raises(Conflict):
        await desk.begin(first, 1)
    await desk.use(first, 2)
    await desk.use(first, 3)
    with pytest.raises(OrderUsedUp):
        await desk.begin(first, 4)
    await desk.begin(running, 2)
    await desk.begin(running, 3)
    with pytest.raises(OrderUsedUp):
        await desk.begin(running, 4)
    await desk.ledger.finish(call, 77, EVIDENCE)


async def test_a_chain_that_does_not_answer_uses_nothing(desk: Desk) -> None:
    order = desk.orders.order()
    desk.orders.fails.append(RpcUnavailable("chain", found="nothing", wanted="an answer"))
    with pytest.raises(RpcUnavailable):
        await desk.begin(order, 1)
    await desk.use(order, 1)


async def test_a_rent_is_seen_after_the_refresh_and_at_once_by_the_renter(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "books.db", kind=Kind.PERPETUAL, per_unit=0)
    ledger = await desk.reopen()
    model, order = desk.orders.model, desk.orders.order()
    await desk.use(order, 1)
    model.orders[order].proved = True
    model.offer_rent(CONSUMER.address, order, 1, 1_000)
    model.rent(order, 1_000, 10, STRANGER.address, int(desk.clock()))
    desk.clock.now += 1
    name = "ee" * 16
    await ledger.accept_order(signed_use(order, name, signer=STRANGER), QUOTE, stream=False)
    with pytest.raises(OrderRented, match="the rent ends at"):
        await desk.begin(order, 2)
    # It ends by itself: nothing is written and nothing read for it.
    desk.clock.now += 1_000
    await desk.use(order, 3)
    await ledger.close()


async def test_a_renter_is_known_at_once_and_forged_signatures_read_no_more_for_it(
    tmp_path: Path,
) -> None:
    """A newcomer who rented right after a call of the owner's was told that he may not use it."""
    desk = Desk(tmp_path / "books.db", kind=Kind.PERPETUAL, per_unit=0)
    ledger = await desk.reopen()
    model, order = desk.orders.model, desk.orders.order()
    model.orders[order].proved = True
    await desk.use(order, 1)
    # What was read for the owner's call is as good as new.
    desk.clock.now += 0.1
    model.offer_rent(CONSUMER.address, order, 1, 1_000)
    model.rent(order, 1_000, 10, STRANGER.address, int(desk.clock()))
    desk.clock.now += 0.1
    use = signed_use(order, "ee" * 16, signer=STRANGER)
    await ledger.accept_order(use, QUOTE, stream=False)
    reads = desk.orders.reads
    for number in range(20):
        forged = signed_use(order, f"{number:032x}", signer=OPERATOR)
        with pytest.raises(SignatureRejected, match="who may use it"):
            await ledger.accept_order(forged, QUOTE, stream=False)
    assert desk.orders.reads == reads
    await ledger.close()


# --- Proofs ---------------------------------------------------------------------------------------


def prover(desk: Desk, **more: float) -> OrderProver:
    assert desk.ledger is not None
    return OrderProver(desk.ledger, desk.orders, desk.clock, every_s=3_600, late_s=660, **more)


async def test_each_served_order_is_proved_once_also_after_a_restart(desk: Desk) -> None:
    orders = [desk.orders.order() for _ in range(3)]
    for order in orders[:2]:
        await desk.use(order, 1)
        await desk.use(order, 2)
    await desk.reopen()
    report = await prover(desk).prove()
    assert [order for _, order in report.proved] == orders[:2]
    assert report.paid == 10
    assert (await prover(desk).prove()).transactions == []
    assert len(desk.orders.proofs) == 1


async def test_a_batch_that_reverts_is_halved(desk: Desk) -> None:
    orders = [desk.orders.order() for _ in range(4)]
    for order in orders:
        await desk.use(order, 1)
    desk.orders.fails.append(TransactionReverted("Access", "out of gas"))
    report = await prover(desk).prove()
    assert sorted(order for _, order in report.proved) == orders
    assert len(desk.orders.proofs) == 2


async def test_what_was_given_up_meanwhile_is_refused_and_not_tried_again(desk: Desk) -> None:
    order = desk.orders.order()
    await desk.use(order, 1)
    desk.orders.model.decline(OPERATOR.address, order)
    report = await prover(desk).prove()
    assert [number for _, number in report.refused] == [order]
    assert (await prover(desk).prove()).refused == []


async def test_an_order_is_not_begun_when_it_could_not_be_proved(desk: Desk) -> None:
    order = desk.orders.order()
    desk.clock.now += DAY - 600 + 1
    with pytest.raises(OrderTooLate):
        await desk.begin(order, 1)
    late = desk.orders.order()
    await desk.use(late, 1)
    # Once its first use is kept it is served to its end.
    desk.clock.now += DAY
    await desk.use(late, 2)


async def test_what_was_not_proved_in_time_is_served_no_more(desk: Desk) -> None:
    """An attacker takes his money back at the end of all calls, since no proof came through.

    The operator's proofs fail, say for want of gas, until the window is over. From then on the
    order's owner may have its price back whenever he likes.
    """
    order = desk.orders.order()
    await desk.use(order, 1)
    desk.clock.now += DAY + 1
    with pytest.raises(OrderTooLate, match="paid for"):
        await desk.begin(order, 2)
    assert desk.orders.model.refund(None, order, int(desk.clock())) == 5


async def test_a_proof_of_the_last_moment_is_seen(desk: Desk) -> None:
    """The consumer asks right after the window, and what was read of the chain is older."""
    order = desk.orders.order()
    await desk.use(order, 1)
    desk.clock.now += DAY - 10
    await desk.use(order, 2)
    assert desk.ledger is not None
    await desk.orders.prove(ACCESS, await desk.ledger.proofs())
    desk.clock.now += 11
    await desk.use(order, 3)
    assert await desk.used(order) == "3"


async def test_a_node_that_forgets_an_order_for_a_moment_costs_no_proof(desk: Desk) -> None:
    """The consumer asks again while his first call is answered, and the node lags behind."""
    order = desk.orders.order()
    assert desk.ledger is not None
    call = await desk.begin(order, 1)
    desk.clock.now += 20
    row = desk.orders.model.orders.pop(order)
    with pytest.raises(NotFound):
        await desk.begin(order, 2)
    desk.orders.model.orders[order] = row
    await desk.ledger.finish(call, 0, EVIDENCE)
    assert len(await desk.ledger.proofs()) == 1


async def test_the_loop_proves_what_is_urgent_and_leaves_the_rest(desk: Desk) -> None:
    await desk.use(desk.orders.order(), 1)
    assert desk.ledger is not None
    assert desk.ledger.rights is not None
    waiting = prover(desk, watch_s=0.01)
    desk.ledger.rights.on_proof(waiting.hurry)
    running = asyncio.create_task(waiting.run())
    try:
        await asyncio.sleep(0.2)
        assert desk.orders.proofs == []
        desk.clock.now += DAY - 600
        for _ in range(100):
            if desk.orders.proofs:
                break
            await asyncio.sleep(0.02)
        assert len(desk.orders.proofs) == 1
    finally:
        running.cancel()
