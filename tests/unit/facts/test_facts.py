"""Facts as of a block never show what came later, whatever their source returns."""

import numpy as np
import pytest

from tessera.bindings.share import RevenueDistributed
from tessera.errors import DataError, InputError, NotFound
from tessera.facts import (
    ABSENT,
    ZERO,
    Addresses,
    Amounts,
    Blocks,
    Calls,
    Coverage,
    Event,
    Facts,
    Head,
    Kind,
    Read,
    Row,
    Seen,
    Transfers,
)
from tessera.facts.memory import Memory

PAID = RevenueDistributed("0x" + "B2" * 20, 3, 4)
TOKEN, OTHER = "0x" + "70" * 20, "0x" + "71" * 20
HOLDER, PAYER, CONTRACT = (f"0x{n:040x}" for n in (0xA1, 0xB2, 0xC3))


@pytest.fixture
def memory():
    table = Addresses.of([HOLDER, PAYER, CONTRACT])
    made = Calls(
        table,
        np.array([10, 12], np.int64), np.array([100, 120], np.int64), np.array([0, 4], np.int32),
        np.arange(64, dtype=np.uint8).reshape(2, 32), table.ids_of([PAYER, HOLDER]),
        np.array([table.id_of(CONTRACT), ABSENT], np.int32), Amounts.of([7, 0]),
        np.array([0xA9059CBB, 0], np.uint32), np.array([True, False]),
    )  # fmt: skip
    return Memory(
        chain_id=31337,
        newest=Head(20, 200),
        held={
            TOKEN: Transfers.of(
                TOKEN,
                [
                    Row(10, 100, 0, 0, ZERO, HOLDER, 10**27),
                    Row(12, 120, 0, 1, HOLDER, PAYER, 4 * 10**26),
                    Row(15, 150, 1, 3, PAYER, ZERO, 1),
                ],
                table,
            )
        },
        covered={OTHER: Coverage(3, 20, ((5, 8),))},
        made=made,
        emitted=(Event(12, 120, 0, 2, "0x" + "ab" * 32, CONTRACT, PAID),),
        codes={CONTRACT: ((11, b""), (14, b"\x60"))},
        slots={(CONTRACT, 3): ((11, 5), (14, 6))},
        answers={(CONTRACT, b"\x18\x16\x0d\xdd"): (Read(11, True, b"\1"), Read(18, False, b""))},
    )


def test_all_is_seen_as_of_the_head(memory):
    facts = Facts(memory)
    assert (facts.chain_id, facts.head, facts.known_at) == (31337, Head(20, 200), 200)
    assert facts.tokens() == (TOKEN, OTHER)
    assert facts.transfers(TOKEN.upper().replace("X", "x")).amount.total() == 14 * 10**26 + 1
    assert facts.coverage(TOKEN) == Coverage(10, 20)
    assert len(facts.calls()) == 2
    assert facts.calls(to=CONTRACT).value.tolist() == [7]
    assert facts.calls(sender=HOLDER).ok.tolist() == [False]
    assert facts.calls(sender=HOLDER).data.tolist() == [b""]
    assert len(facts.calls(sender=ZERO)) == 0
    (paid,) = facts.events(contract="Share", name="RevenueDistributed", address=CONTRACT)
    assert paid.event == PAID
    assert facts.events(name="RevenueClaimed") == facts.events(address=HOLDER) == ()
    assert facts.code(CONTRACT) == b"\x60"
    assert facts.slot(CONTRACT, 3) == 6
    assert len(facts.reads(CONTRACT, b"\x18\x16\x0d\xdd")) == 2


def test_as_of_a_block_nothing_later_is_seen(memory):
    facts = Facts(memory).as_of(11)
    assert facts.head == Head(11, 100)
    assert len(facts.transfers(TOKEN)) == len(facts.calls()) == 1
    assert facts.events() == ()
    assert facts.code(CONTRACT) == b""
    assert facts.slot(CONTRACT, 3) == 5
    assert facts.reads(CONTRACT, b"\x18\x16\x0d\xdd") == (Read(11, True, b"\1"),)
    assert facts.blocks.number.tolist() == [10]
    assert facts.seen().codes == {CONTRACT: ((11, b""),)}
    assert facts.seen().slots == {(CONTRACT, 3): ((11, 5),)}
    assert facts.as_of(10).seen() == Seen({}, {}, {})
    assert facts.coverage(OTHER) == Coverage(3, 11, ((5, 8),))
    with pytest.raises(InputError, match="wanted 0 to 11"):
        facts.as_of(12)


def test_what_was_never_looked_at_is_not_empty_but_unknown(memory):
    facts = Facts(memory)
    assert facts.kinds == frozenset(Kind) - {Kind.HEADERS}
    assert len(facts.transfers(OTHER)) == 0
    assert facts.code(HOLDER) is None
    assert facts.slot(CONTRACT, 4) is None
    with pytest.raises(NotFound, match="token: found"):
        facts.transfers(HOLDER)
    with pytest.raises(NotFound, match="there is none yet"):
        Facts(Memory(1, Head(1, 1), {})).coverage(CONTRACT)


def test_a_source_that_shows_the_future_is_cut(memory):
    """An attacker's source, or a bug, ignores the moment; facts cut once more."""

    class Careless(Memory):
        def transfers(self, token, moment):
            return self.held[token]

        def calls(self, to, sender, moment):
            return self.made

        def events(self, contract, name, address, moment):
            return self.emitted

        def blocks(self, moment):
            return Blocks(np.array([10, 19]), np.array([100, 190]))

        def reads(self, contract, calldata, moment):
            return next(iter(self.answers.values()))

    careless = Careless(**{name: getattr(memory, name) for name in Memory.__dataclass_fields__})
    facts = Facts(careless).as_of(11)
    assert facts.transfers(TOKEN).block.tolist() == [10]
    assert len(facts.calls()) == 1
    assert facts.events() == ()
    assert facts.blocks.number.tolist() == [10]
    assert len(facts.reads(CONTRACT, b"")) == 1


def test_before_anything_was_known_nothing_can_be_said(memory):
    facts = Facts(memory)
    assert facts.as_of(11, 200).known_at == 200
    with pytest.raises(DataError, match="when all was learnt"):
        facts.as_of(11, 199)
    with pytest.raises(InputError, match="wanted 200 or earlier"):
        facts.as_of(11, 201)
    with pytest.raises(DataError, match="ask as of block 10 or later"):
        facts.as_of(9)


def test_the_time_of_a_block_is_known_or_none(memory):
    blocks = Facts(memory).blocks
    assert blocks.number.tolist() == [10, 12, 15, 20]
    assert blocks.time_of(12) == 120
    assert blocks.time_of(13) is None


@pytest.mark.parametrize(
    ("block", "seen"),
    [
        (2, None),
        (4, Coverage(3, 4)),
        (5, Coverage(3, 4)),
        (8, Coverage(3, 4)),
        (9, Coverage(3, 9, ((5, 8),))),
        (30, Coverage(3, 20, ((5, 8),))),
    ],
)
def test_coverage_ends_where_it_was_looked_last(block, seen):
    assert Coverage(3, 20, ((5, 8),)).up_to(block) == seen
