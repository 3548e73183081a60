"""What an operator answers on, what it charges, and what a restart remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.payments.conftest import (
    CONSUMER,
    DOMAIN,
    EVIDENCE,
    KEY,
    NOW,
    OPERATOR,
    OTHER,
    STRANGER,
    Books,
    WrittenChain,
    quote,
    sign,
)

from tessera.errors import (
    Busy,
    Closed,
    InputError,
    MeterMismatch,
    NotAllowed,
    PaymentRequired,
    SignatureRejected,
    WrongChain,
)
from tessera.payments.ledger import Ledger
from tessera.payments.reading import BooksReader
from tessera.spec.channels import Grant
from tessera.spec.signatures import Domain, Signer, keccak
from tessera.spec.vouchers import SignedVoucher, TillKey, encode_batch, receipt_id

Name = Callable[[], str]


async def test_a_call_is_charged_its_cost_and_leaves_a_signed_receipt(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    channel = chain.open()
    call = await books.accept(sign(channel, (KEY, 100)), quote(100), name())
    signed = await books.ledger.finish(call, 60, EVIDENCE)
    signed.verify(DOMAIN, OPERATOR.address)
    assert (signed.receipt.charged, signed.cost) == (60, 60)
    assert await books.ledger.receipt(receipt_id(DOMAIN, signed.receipt)) == signed
    assert await books.ledger.receipt_of_call(channel, call.id) == signed


async def test_charges_are_cumulative_over_calls(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    channel = chain.open()
    for number in range(1, 4):
        voucher = sign(channel, (KEY, 10 * (number - 1) + 25))
        call = await books.accept(voucher, quote(25), name())
        signed = await books.ledger.finish(call, 10, EVIDENCE)
        assert signed.receipt.charged == 10 * number


async def test_a_failed_call_costs_nothing(books: Books, chain: WrittenChain, name: Name) -> None:
    channel = chain.open()
    voucher = sign(channel, (KEY, 100))
    for _ in range(3):
        books.ledger.fail(await books.accept(voucher, quote(100), name()))
    call = await books.accept(voucher, quote(100), name())
    assert (await books.ledger.finish(call, 100, EVIDENCE)).receipt.charged == 100


async def test_two_vouchers_at_once_are_held_against_the_sum_of_both_calls(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    """A consumer sends the same voucher with two calls at the same time, hoping that each is
    looked at alone: the second must not be answered on what the first may use up."""
    channel = chain.open()
    voucher = sign(channel, (KEY, 100))
    results = await asyncio.gather(
        books.accept(voucher, quote(100), name()),
        books.accept(voucher, quote(100), name()),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["Call", "PaymentRequired"]
    both = await books.accept(sign(channel, (KEY, 200)), quote(100), name())
    assert both.account is not None
    assert both.account.lines[KEY].in_flight == 200


async def test_a_lower_voucher_after_a_higher_is_answered_on_the_higher(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    """Vouchers of concurrent calls overtake each other. The lower one proves who calls; the
    higher one stays, and is what the operator settles with."""
    channel = chain.open()
    higher, lower = sign(channel, (KEY, 200)), sign(channel, (KEY, 100))
    first = await books.accept(higher, quote(100), name())
    second = await books.accept(lower, quote(100), name())
    await books.ledger.finish(first, 100, EVIDENCE)
    await books.ledger.finish(second, 100, EVIDENCE)
    (claim,) = await books.ledger.claims()
    assert (claim.signed, claim.charged) == (higher, {KEY: 200})
    with pytest.raises(PaymentRequired):
        await books.accept(lower, quote(1), name())


async def test_a_voucher_may_be_lower_on_a_line_that_turned_out_cheaper(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    channel = chain.open()
    call = await books.accept(sign(channel, (KEY, 100)), quote(100), name())
    await books.ledger.finish(call, 10, EVIDENCE)
    later = sign(channel, (KEY, 10), (OTHER, 50))
    call = await books.accept(later, quote(50, OTHER), name())
    await books.ledger.finish(call, 50, EVIDENCE)
    (claim,) = await books.ledger.claims()
    assert (claim.signed, claim.charged) == (later, {KEY: 10, OTHER: 50})


async def test_a_voucher_that_forgets_an_unsettled_line_is_not_enough(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    """The operator keeps one voucher per channel. One that leaves out a line with unsettled
    charges would wipe them out, so it must not replace the one that covers them."""
    channel = chain.open()
    call = await books.accept(sign(channel, (KEY, 100)), quote(100), name())
    await books.ledger.finish(call, 100, EVIDENCE)
    with pytest.raises(PaymentRequired):
        await books.accept(sign(channel, (OTHER, 50)), quote(50, OTHER), name())


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(lambda c: sign(c, (KEY, 9), signer=STRANGER), id="somebody else's key"),
        pytest.param(
            lambda c: sign(c, (KEY, 9), domain=Domain(1, DOMAIN.contract)), id="another chain"
        ),
        pytest.param(
            lambda c: sign(c, (KEY, 9), domain=Domain(31_337, STRANGER.address)),
            id="another contract",
        ),
        pytest.param(
            lambda c: SignedVoucher(sign(c, (KEY, 9)).voucher, sign(c + 1, (KEY, 9)).signature),
            id="another channel",
        ),
        pytest.param(
            lambda c: SignedVoucher(sign(c, (KEY, 10)).voucher, sign(c, (KEY, 9)).signature),
            id="a higher maximum",
        ),
        pytest.param(lambda c: SignedVoucher(sign(c, (KEY, 9)).voucher, bytes(65)), id="zero"),
    ],
)
async def test_a_voucher_counts_on_one_chain_one_contract_one_channel(
    books: Books, chain: WrittenChain, name: Name, forged: Callable[[int], SignedVoucher]
) -> None:
    """An attacker takes a voucher that is good somewhere and presents it here: on another chain
    id, for another contract, for another channel, or with its numbers changed."""
    channel = chain.open()
    with pytest.raises(SignatureRejected):
        await books.accept(forged(channel), quote(5), name())


async def test_no_channel_no_answer(books: Books, name: Name) -> None:
    with pytest.raises(PaymentRequired, match="no such channel"):
        await books.accept(sign(123, (KEY, 9)), quote(5), name())


async def test_invented_channel_numbers_do_not_fill_the_memory(books: Books, name: Name) -> None:
    for number in range(50):
        with pytest.raises(PaymentRequired):
            await books.accept(sign(number + 1, (KEY, 9)), quote(5), name())
    assert not books.ledger._accounts


async def test_a_deposit_covers_all_lines_together(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    channel = chain.open(100)
    await books.accept(sign(channel, (KEY, 60)), quote(60), name())
    with pytest.raises(PaymentRequired, match="20 base units too little"):
        await books.accept(sign(channel, (KEY, 60), (OTHER, 60)), quote(60, OTHER), name())


async def test_a_deposit_that_just_arrived_is_looked_for_before_a_refusal(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    channel = chain.open(50)
    await books.ledger.account(channel)
    chain.model.top_up(OPERATOR.address, channel, 50)
    books.clock.now += 1
    await books.accept(sign(channel, (KEY, 100)), quote(100), name())


async def test_a_consumer_who_withdraws_is_answered_no_more_but_pays_what_is_in_flight(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    """A consumer asks for its money back while a call is being answered, hoping that the answer
    comes free. The delay is the operator's: the call in flight is charged and can be settled;
    new calls are refused as soon as the request is seen."""
    channel = chain.open()
    call = await books.accept(sign(channel, (KEY, 100)), quote(100), name())
    chain.model.request_withdrawal(CONSUMER.address, OPERATOR.address, channel, chain.now)
    books.clock.now += 60
    with pytest.raises(Closed, match="withdrawal"):
        await books.accept(sign(channel, (KEY, 200)), quote(100), name())
    await books.ledger.finish(call, 100, EVIDENCE)
    (claim,) = await books.ledger.claims()
    assert claim.due == 100


async def test_a_session_key_is_held_to_its_cap_and_its_expiry(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    session = Signer(keccak(b"session"))
    channel = chain.open(signer=session, grants=[Grant(*KEY, cap=100, expires=NOW + 1_000)])
    books.ledger.fail(
        await books.accept(
            sign(channel, (KEY, 100), signer=session), quote(100), name(), signer=session
        )
    )
    with pytest.raises(NotAllowed, match="cap of 100"):
        await books.accept(
            sign(channel, (KEY, 101), signer=session), quote(101), name(), signer=session
        )
    with pytest.raises(NotAllowed, match="cap of 0"):
        await books.accept(
            sign(channel, (OTHER, 5), signer=session), quote(5, OTHER), name(), signer=session
        )
    books.clock.now += 500  # Good for now, yet not long enough to settle.
    with pytest.raises(NotAllowed, match="expires"):
        await books.accept(
            sign(channel, (KEY, 100), signer=session), quote(100), name(), signer=session
        )


async def test_a_line_that_was_never_served_is_refused(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    """Every line of a voucher is calldata that the operator pays for; an attacker would add
    fifteen that cost him nothing."""
    channel = chain.open()
    with pytest.raises(InputError, match="only lines for what this operator serves"):
        await books.accept(sign(channel, (KEY, 5), (TillKey(99, 0), 0)), quote(5), name())


async def test_a_cost_above_the_maximum_charges_nobody(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    channel = chain.open()
    call = await books.accept(sign(channel, (KEY, 10)), quote(10), name())
    with pytest.raises(MeterMismatch):
        await books.ledger.finish(call, 11, EVIDENCE)
    call = await books.accept(sign(channel, (KEY, 10)), quote(10), name())
    assert (await books.ledger.finish(call, 10, EVIDENCE)).receipt.charged == 10


async def test_a_free_call_leaves_a_receipt(books: Books, name: Name) -> None:
    call = books.ledger.accept_free(quote(0), name())
    signed = await books.ledger.finish(call, 0, EVIDENCE)
    signed.verify(DOMAIN, OPERATOR.address)
    assert await books.ledger.receipt(signed.id(DOMAIN)) == signed


async def test_a_restart_remembers_charges_vouchers_and_receipts(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    channel = chain.open()
    voucher = sign(channel, (KEY, 100))
    call = await books.accept(voucher, quote(100), name())
    signed = await books.ledger.finish(call, 70, EVIDENCE)
    ledger = await books.reopen()
    assert await ledger.receipt(signed.id(DOMAIN)) == signed
    assert await ledger.latest_receipts(channel) == [signed]
    (claim,) = await ledger.claims()
    assert (claim.signed, claim.charged) == (voucher, {KEY: 70})
    with pytest.raises(PaymentRequired):
        await books.accept(voucher, quote(31), name())
    await books.accept(voucher, quote(30), name())


async def test_a_voucher_is_on_the_disk_before_the_answer_begins(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    channel = chain.open()
    voucher = sign(channel, (KEY, 100))
    call = await books.accept(voucher, quote(100), name())
    assert call.durable is not None
    await call.durable
    reader = await BooksReader.open(books.path, DOMAIN, OPERATOR.address)
    assert (await reader.account(channel)).voucher == voucher
    await reader.close()


async def test_two_gateways_never_write_the_same_books(books: Books, chain: WrittenChain) -> None:
    """Two processes would each answer on the same deposit, and each overwrite what the other
    charged."""
    with pytest.raises(Busy, match="in use by process"):
        await Ledger.open(books.path, DOMAIN, OPERATOR, chain, books.clock, knows=lambda _key: True)


async def test_what_the_chain_has_settled_was_charged_even_if_the_books_are_older(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    """An operator restores yesterday's copy of its books. Charging again from yesterday's total
    would issue receipts below what is settled already, and give the difference away."""
    channel = chain.open()
    signed = sign(channel, (KEY, 80))
    chain.model.lines[OPERATOR.address, channel, KEY] = type(
        chain.model.line_of(OPERATOR.address, channel, *KEY)
    )(charged=80)
    with pytest.raises(PaymentRequired):
        await books.accept(signed, quote(1), name())
    call = await books.accept(sign(channel, (KEY, 90)), quote(10), name())
    assert (await books.ledger.finish(call, 10, EVIDENCE)).receipt.charged == 90


async def test_a_second_gateway_with_books_of_its_own_is_seen_when_it_settles(
    books: Books, chain: WrittenChain, name: Name, tmp_path: Path
) -> None:
    """Two machines answer with one key, each on the whole deposit. Neither knows of the other's
    books, but the chain shows that more was settled than was charged here."""
    elsewhere = Books(tmp_path / "elsewhere.db", chain, books.clock)
    await elsewhere.reopen()
    channel = chain.open()
    for gateway, cost in ((books, 10), (elsewhere, 25)):
        call = await gateway.accept(sign(channel, (KEY, 100)), quote(50), name())
        await gateway.ledger.finish(call, cost, EVIDENCE)
    (claim,) = await elsewhere.ledger.claims()
    tills, words = encode_batch([(claim.signed, claim.charged)])
    await chain.settle(tills, words)
    for gateway in (books, elsewhere):
        await gateway.ledger.look_at_chain([channel])
    assert books.ledger.others == {channel}
    assert elsewhere.ledger.others == set()
    await elsewhere.ledger.close()


async def test_books_of_another_chain_are_refused(books: Books, chain: WrittenChain) -> None:
    await books.ledger.close()
    with pytest.raises(WrongChain):
        await Ledger.open(
            books.path,
            Domain(1, DOMAIN.contract),
            OPERATOR,
            chain,
            books.clock,
            knows=lambda _key: True,
        )


async def test_one_read_of_the_chain_serves_all_calls_that_wait_for_it(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    channel = chain.open()
    voucher = sign(channel, (KEY, 1_000))
    calls = await asyncio.gather(*(books.accept(voucher, quote(10), name()) for _ in range(32)))
    assert len(calls) == 32
    assert chain.reads == 1
