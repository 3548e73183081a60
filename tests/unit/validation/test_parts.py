"""The file of a result's parts: whatever somebody serves, only what was posted is taken from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import DataError, InputError
from tessera.spec.epochs import EpochInputs, PostedEpoch, RevealedRow, Rules, build
from tessera.validation.parts import (
    PARTS_NAME,
    has_all,
    name_of,
    read_parts,
    size_of,
    write_parts,
)

ROWS, COLUMNS = 3, 5
WEIGHTS = ((1, 2, 3, 0, 9), (0, 0, 65_535, 1, 1), (7, 7, 7, 7, 7))


@pytest.fixture(scope="module")
def posted() -> PostedEpoch:
    rows = tuple(
        RevealedRow(bytes([who]) * 20, who * 10**18, weights)
        for who, weights in enumerate(WEIGHTS, 1)
    )
    return build(EpochInputs(COLUMNS, rows, Rules(yuma3=True), bytes(31) + b"\1"))


def test_what_is_written_is_read(posted: PostedEpoch) -> None:
    data = write_parts(posted)
    assert len(data) == size_of(ROWS, COLUMNS)
    read = read_parts(data, posted.header, ROWS, COLUMNS)
    assert has_all(read)
    assert write_parts(read) == data
    assert read.model_proof(4) == posted.model_proof(4)
    assert read.validator_proof(2) == posted.validator_proof(2)
    assert PARTS_NAME.fullmatch(name_of(posted.header.digest))


def test_what_is_missing_is_not_written(posted: PostedEpoch) -> None:
    unseen = PostedEpoch.unseen(posted.header, ROWS, COLUMNS)
    column = posted.columns[0]
    assert column is not None
    short = column._replace(words=column.words[32:])
    for part in (
        unseen,
        replace(posted, stakes=None),
        replace(posted, columns=(None, *posted.columns[1:])),
        replace(posted, columns=(short, *posted.columns[1:])),
    ):
        with pytest.raises(InputError, match="missing, or too short"):
            write_parts(part)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_byte_that_is_not_as_posted_is_of_no_part(
    posted: PostedEpoch, data: st.DataObject
) -> None:
    """A server changes one byte anywhere: the parts with it are left out, all others are right."""
    written = bytearray(write_parts(posted))
    at = data.draw(st.integers(0, len(written) - 1))
    written[at] ^= data.draw(st.integers(1, 255))
    try:
        read = read_parts(bytes(written), posted.header, ROWS, COLUMNS)
    except DataError:
        assert at < 16 + 32 * 11
        return
    assert not has_all(read)
    assert read.stakes in (None, posted.stakes)
    for found, true in ((read.columns, posted.columns), (read.rows, posted.rows)):
        assert found in ((None,) * len(true), true)


@pytest.mark.parametrize("change", ["empty", "short", "long", "other counts", "noise", "other"])
def test_what_is_no_file_of_it_is_refused(posted: PostedEpoch, change: str) -> None:
    data, header, rows, columns = write_parts(posted), posted.header, ROWS, COLUMNS
    if change == "empty":
        data = b""
    elif change == "short":
        data = data[:-1]
    elif change == "long":
        data += bytes(32)
    elif change == "other counts":
        rows, columns = COLUMNS, ROWS
    elif change == "noise":
        data = bytes(len(data))
    else:
        header = replace(header, sums=header.sums + 1)
    with pytest.raises(DataError):
        read_parts(data, header, rows, columns)


def test_sums_that_wrap_are_no_tree(posted: PostedEpoch) -> None:
    """Ranks so large that no tree can hold them: not an error of ours, and no parts."""
    written = bytearray(write_parts(posted))
    at = 16 + 32 * (11 + ROWS)
    for column in range(COLUMNS):
        rank = at + 32 * (column * (2 + ROWS) + 1)
        written[rank : rank + 32] = b"\xff" * 32
    read = read_parts(bytes(written), posted.header, ROWS, COLUMNS)
    assert (read.columns, read.rows) == ((None,) * COLUMNS, posted.rows)
