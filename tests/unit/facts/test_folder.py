"""A folder of facts comes back as what was written, and says when it is not."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pl = pytest.importorskip("polars")

from tessera.bindings.share import RevenueDistributed, Transfer  # noqa: E402
from tessera.errors import DataError, InputError, NotFound  # noqa: E402
from tessera.facts import (  # noqa: E402
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
    Origin,
    Read,
    Row,
    Transfers,
    writing,
)
from tessera.facts import folder as folders  # noqa: E402
from tessera.facts.folder import open_folder  # noqa: E402
from tessera.facts.manifest import sha256_of  # noqa: E402
from tessera.facts.memory import Memory  # noqa: E402
from tessera.facts.opening import open_facts  # noqa: E402
from tessera.facts.writing import write_folder  # noqa: E402
from tessera.units import MAX_UINT256  # noqa: E402

TOKEN, OTHER, QUIET = ("0x" + two * 20 for two in ("70", "71", "72"))
HOLDER, PAYER, CONTRACT = (f"0x{n:040x}" for n in (0xA1, 0xB2, 0xC3))


def everything():
    table = Addresses.of([HOLDER, PAYER, CONTRACT])
    made = Calls(
        table,
        np.array([10, 12], np.int64), np.array([100, 120], np.int64), np.array([0, 4], np.int32),
        np.arange(64, dtype=np.uint8).reshape(2, 32), table.ids_of([PAYER, HOLDER]),
        np.array([table.id_of(CONTRACT), ABSENT], np.int32), Amounts.of([2**90, 0]),
        np.array([0xA9059CBB, 0], np.uint32), np.array([True, False]),
        np.array([b"\xa9\x05\x9c\xbb\0", b""], np.object_),
    )  # fmt: skip
    paid = RevenueDistributed("0x" + "B2" * 20, 2**200, 4)
    moved = Transfer("0x" + "B2" * 20, "0x" + "A1" * 20, 1)
    return Memory(
        chain_id=31337,
        newest=Head(20, 200),
        held={
            TOKEN: Transfers.of(TOKEN, [
                Row(10, 100, 0, 0, ZERO, HOLDER, MAX_UINT256),
                Row(12, 120, 0, 1, HOLDER, PAYER, 4 * 10**26),
            ], table),
            # A table of addresses of its own, in another order.
            OTHER: Transfers.of(OTHER, [Row(15, 150, 1, 3, PAYER, HOLDER, 1)]),
        },
        covered={
            TOKEN: Coverage(3, 20, ((5, 8),)), OTHER: Coverage(0, 20, (), complete=True),
            QUIET: Coverage(1, 20),
        },
        known_at=777,
        made=made,
        emitted=(
            Event(12, 120, 0, 2, "0x" + "ab" * 32, CONTRACT, paid),
            Event(13, 130, 0, 0, "0x" + "ac" * 32, CONTRACT, moved),
        ),
        codes={CONTRACT: ((11, b""), (14, b"\x60"))},
        slots={(CONTRACT, 2**255): ((11, 5), (14, MAX_UINT256))},
        answers={(CONTRACT, b"\x18\x16"): (Read(11, True, b"\1"), Read(18, False, b""))},
        headers=Blocks(np.arange(21), np.arange(21) * 10),
        origin=(Origin("a.csv", "ab" * 32, "times are estimated"),),
    )  # fmt: skip


def same(one, other):
    assert (one.chain_id, one.head, one.known_at) == (other.chain_id, other.head, other.known_at)
    assert (one.kinds, one.origin, one.tokens()) == (other.kinds, other.origin, other.tokens())
    for token in one.tokens():
        assert one.transfers(token).digest() == other.transfers(token).digest()
        assert one.coverage(token) == other.coverage(token)
    for name in ("block", "time", "index", "hash", "value", "selector", "ok", "data"):
        mine, others = getattr(one.calls(), name), getattr(other.calls(), name)
        assert mine == others if name == "value" else np.array_equal(mine, others)
    for name in ("sender", "to"):
        texts = [f.calls().addresses.texts(getattr(f.calls(), name)) for f in (one, other)]
        assert texts[0] == texts[1]
    assert one.events() == other.events()
    assert one.seen() == other.seen()
    assert one.blocks.number.tolist() == other.blocks.number.tolist()
    assert one.blocks.time.tolist() == other.blocks.time.tolist()


def test_what_was_written_comes_back(tmp_path):
    facts = Facts(everything())
    seen = []
    write_folder(facts, tmp_path / "facts", progress=seen.append)
    read = open_facts(tmp_path / "facts")
    same(read, facts)
    assert seen[-1] == 3
    assert read.kinds == frozenset(Kind)
    assert read.transfers(TOKEN).addresses is read.transfers(OTHER).addresses
    assert len(read.transfers(QUIET)) == 0
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("block", [10, 12, 17])
def test_as_of_a_block_is_the_same_written_or_not(tmp_path, block):
    facts = Facts(everything())
    write_folder(facts, tmp_path / "all")
    same(open_folder(tmp_path / "all").as_of(block), facts.as_of(block))
    write_folder(facts.as_of(block), tmp_path / "part")
    same(open_folder(tmp_path / "part"), facts.as_of(block))


def test_a_token_may_lie_in_several_files_and_a_file_hold_several_tokens(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_ROWS_A_FILE", 7)
    held = {
        f"0x{token:040x}": Transfers.of(
            f"0x{token:040x}",
            [Row(at, at, 0, 0, ZERO, HOLDER, 2 ** (7 * token)) for at in range(size)],
        )
        for token, size in ((1, 3), (2, 30), (3, 2), (9, 4))
    }
    facts = Facts(Memory(1, Head(99, 99), held))
    write_folder(facts, tmp_path / "facts")
    assert len(list((tmp_path / "facts").glob("transfers-*"))) == 7
    read = open_folder(tmp_path / "facts")
    for token, rows in held.items():
        assert read.transfers(token).digest() == rows.digest()
        assert read.transfers(token).amount.width == rows.amount.width


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@given(rows=st.lists(st.tuples(st.integers(0, 5), st.integers(0, MAX_UINT256)), max_size=20))
def test_any_amounts_come_back_exactly(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("facts") / "it"
    moves = [
        Row(at, at, 0, 0, ZERO, f"0x{to:040x}", amount) for at, (to, amount) in enumerate(rows)
    ]
    held = Transfers.of(TOKEN, moves)
    write_folder(Facts(Memory(1, Head(99, 99), {TOKEN: held})), path)
    read = open_folder(path).transfers(TOKEN)
    assert read.amount.tolist() == [amount for _, amount in rows]
    assert read.digest() == held.digest()


def test_a_folder_is_written_once_and_whole(tmp_path):
    facts = Facts(everything())
    write_folder(facts, tmp_path / "facts")
    with pytest.raises(InputError, match="exists"):
        write_folder(facts, tmp_path / "facts")

    def full(rows):
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="No space left"):
        write_folder(facts, tmp_path / "second", progress=full)
    assert [each.name for each in tmp_path.iterdir()] == ["facts"]


def test_a_file_that_was_cut_or_changed_is_not_read(tmp_path):
    """An attacker swaps a row of history; a copy of the folder broke off. Neither makes numbers."""
    write_folder(Facts(everything()), tmp_path / "facts")
    file = tmp_path / "facts" / "transfers-0.parquet"
    whole = file.read_bytes()
    for wrong in (whole[:-40], whole[:200] + bytes([whole[200] ^ 1]) + whole[201:], b""):
        file.write_bytes(wrong)
        facts = open_folder(tmp_path / "facts")
        with pytest.raises(DataError, match=r"transfers-0.parquet is damaged"):
            facts.transfers(TOKEN)
    file.unlink()
    with pytest.raises(DataError, match="no such file"):
        open_folder(tmp_path / "facts").transfers(TOKEN)


def test_a_folder_that_is_none_of_facts_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"facts.json"):
        open_facts(tmp_path)
    (tmp_path / "facts.json").write_text("{}")
    with pytest.raises(DataError, match="damaged"):
        open_facts(tmp_path)
    write_folder(Facts(everything()), tmp_path / "facts")
    manifest = tmp_path / "facts" / "facts.json"
    manifest.write_text(manifest.read_text().replace("tessera facts 1", "tessera facts 9"))
    with pytest.raises(DataError, match="wanted 'tessera facts 1'|wanted tessera facts 1"):
        open_facts(tmp_path / "facts")


def test_an_event_of_another_version_is_said_not_skipped(tmp_path, monkeypatch):
    write_folder(Facts(everything()), tmp_path / "facts")
    monkeypatch.setattr(folders, "_event_kinds", lambda contract: {})
    with pytest.raises(DataError, match=r"event Share.RevenueDistributed: unknown here"):
        open_folder(tmp_path / "facts")


def test_a_token_that_nobody_looked_at_is_unknown_in_a_folder_too(tmp_path):
    write_folder(Facts(everything()), tmp_path / "facts")
    with pytest.raises(NotFound, match="token: found"):
        open_folder(tmp_path / "facts").transfers(HOLDER)


def forged(folder, name, change):
    """A stranger's folder: one file is another, and the manifest has its hash."""
    path = folder / f"{name}.parquet"
    manifest = folder / "facts.json"
    before = sha256_of(path)
    change(pl.read_parquet(path)).write_parquet(path)
    manifest.write_text(manifest.read_text().replace(before, sha256_of(path)))


def setting(name, *values):
    return lambda frame: frame.with_columns(pl.Series(name, values).cast(frame[name].dtype))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("transfers-0", setting("source", 0, 4000, 1), "a source that is no address"),
        ("transfers-0", setting("target", -7, 1, 1), "a target that is no address"),
        ("transfers-0", setting("block", 12, 10, 15), "row 1 cannot follow"),
        ("transfers-0", setting("time", 120, 100, 150), "row 1 cannot follow"),
        ("transfers-0", lambda f: f.rename({"amount_0": "amount_9"}), "cannot be read"),
        ("transfers-0", lambda f: f.rename({"tx": "t"}), "cannot be read"),
        ("transfers-0", lambda f: f.with_columns(pl.col("log").cast(pl.String)), "whole numbers"),
        ("transfers-0", setting("amount_0", 1, None, 3), "whole numbers in all rows"),
        ("transfers-0", lambda f: f.with_columns(amount_4=f["amount_0"]), "found '5 limbs'"),
        ("transfers-0", lambda f: f.head(1), "wanted 2 rows"),
        ("addresses", lambda f: pl.concat([f, f.tail(1)]), "or there twice"),
        ("addresses", lambda f: f.reverse(), "not the zero address"),
        ("addresses", setting("address", *[b"\0"] * 4), "addresses are none"),
        ("calls", setting("sender", 1, 9999), "a call that cannot be"),
        ("calls", setting("to", -2, 1), "a call that cannot be"),
        ("calls", setting("block", 12, 10), "a call that cannot be"),
    ],
)
def test_a_strangers_folder_cannot_lead_a_kernel_astray(tmp_path, name, change, said):
    """Facts travel; ids beyond the table would read and write memory that is not theirs."""
    write_folder(Facts(everything()), tmp_path / "facts")
    forged(tmp_path / "facts", name, change)
    with pytest.raises(DataError, match=said):
        open_folder(tmp_path / "facts").transfers(TOKEN)


def test_a_strangers_folder_names_no_file_outside_of_it(tmp_path):
    write_folder(Facts(everything()), tmp_path / "facts")
    (tmp_path / "facts" / "transfers-0.parquet").rename(tmp_path / "outside.parquet")
    manifest = tmp_path / "facts" / "facts.json"
    manifest.write_text(manifest.read_text().replace("transfers-0", "../outside"))
    with pytest.raises(DataError, match="not what was written"):
        open_folder(tmp_path / "facts").transfers(TOKEN)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"chain_id": ', '"chain_id": -'),
        ('"time": ', '"time": 9000000000'),
        ('"time": ', '"time": -'),
        ('"block": ', '"block": -'),
        ('"first": ', '"first": 9'),
    ],
)
def test_a_strangers_folder_says_no_time_that_no_calendar_has(tmp_path, old, new):
    """The attack: a head before its own rows, or in no year at all, ended `tessera facts info`."""
    write_folder(Facts(everything()), tmp_path / "facts")
    manifest = tmp_path / "facts" / "facts.json"
    text = manifest.read_text()
    spaced = old if old in text else old.replace(": ", ":")
    assert spaced in text
    manifest.write_text(text.replace(spaced, new, 1))
    with pytest.raises(DataError, match="wanted"):
        open_folder(tmp_path / "facts")
