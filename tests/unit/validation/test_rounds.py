"""A row is sealed before anything is sent, once per epoch, and anybody can check what is served."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tessera.errors import Conflict, DataError, InputError, NotFound
from tessera.spec.scores import commitment_of
from tessera.spec.signatures import address_of
from tessera.validation.rounds import Place, kept, read_row, seal, write_row

PLACE = Place(31_337, "0x" + "22" * 20, 3, 5, "0x" + "11" * 20)
WEIGHTS = [(0, 65_535), (70, 7), (2, 100), (5, 0)]


def test_a_row_is_kept_before_it_is_committed_and_only_for_its_owner(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    sealed = seal(folder, PLACE, WEIGHTS, 71)
    assert kept(folder, PLACE) == sealed
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o077 == 0
    assert sealed.weights == ((0, 65_535), (2, 100), (70, 7))
    assert sealed.commitment == commitment_of(
        sealed.row, sealed.salt, address_of(PLACE.validator), 3, 5, 31_337, address_of(PLACE.scores)
    )


def test_the_row_is_that_of_the_specification(tmp_path: Path) -> None:
    """The example of docs/spec/scores.md, with its salt."""
    sealed = replace(seal(tmp_path, PLACE, WEIGHTS, 71), salt=b"\1" * 32)
    assert (
        sealed.commitment.hex()
        == "5377696348bed76d014a800dd9a8418dfb11fb0451cf4b03aa1a6e8417570653"
    )


def test_who_starts_again_goes_on_with_the_same_row(tmp_path: Path) -> None:
    """A validator is killed between sealing and committing, or does not know whether it has."""
    first = seal(tmp_path, PLACE, WEIGHTS, 71)
    assert seal(tmp_path, PLACE, WEIGHTS, 71) == first
    with pytest.raises(Conflict, match="reveal that one"):
        seal(tmp_path, PLACE, [(0, 1)], 71)
    other = seal(tmp_path, replace(PLACE, epoch=6), [(0, 1)], 71)
    assert other.salt != first.salt


def test_rows_of_other_chains_contracts_and_validators_are_others(tmp_path: Path) -> None:
    seal(tmp_path, PLACE, WEIGHTS, 71)
    for other in (
        replace(PLACE, chain_id=1),
        replace(PLACE, scores="0x" + "33" * 20),
        replace(PLACE, subnet=4),
        replace(PLACE, validator="0x" + "44" * 20),
    ):
        with pytest.raises(NotFound, match="data folder"):
            kept(tmp_path, other)


@pytest.mark.parametrize("text", ["", "{}", "null", '{"salt": 1}'])
def test_a_damaged_file_is_said_and_never_written_over(tmp_path: Path, text: str) -> None:
    seal(tmp_path, PLACE, WEIGHTS, 71)
    (file,) = tmp_path.iterdir()
    file.write_text(text)
    with pytest.raises(DataError):
        kept(tmp_path, PLACE)
    with pytest.raises(DataError):
        seal(tmp_path, PLACE, WEIGHTS, 71)
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("weights", "columns"),
    [([(71, 1)], 71), ([(-1, 1)], 71), ([(0, 65_536)], 71), ([(0, 1)], 0), ([(0, 1)], 5_000)],
)
def test_what_is_no_row_is_not_sealed(
    tmp_path: Path, weights: list[tuple[int, int]], columns: int
) -> None:
    with pytest.raises(InputError):
        seal(tmp_path, PLACE, weights, columns)
    assert not list(tmp_path.iterdir())


def test_a_row_of_zeros_is_a_row(tmp_path: Path) -> None:
    sealed = seal(tmp_path, PLACE, [(0, 0)], 71)
    assert sealed.row.sum == 0


def test_what_is_served_has_no_salt_and_gives_the_row(tmp_path: Path) -> None:
    sealed = seal(tmp_path, PLACE, WEIGHTS, 71)
    data = write_row(sealed)
    assert sealed.salt.hex() not in data.decode()
    assert read_row(data, 71, sealed.row.root, sealed.row.sum).leaves == sealed.row.leaves


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"format": "tessera.row.v2", "weights": []}',
        b'{"format": "tessera.row.v1", "weights": [[0, 65536]]}',
        b'{"format": "tessera.row.v1", "weights": [[0, -1]]}',
        b'{"format": "tessera.row.v1", "weights": [[0, NaN]]}',
        b'{"format": "tessera.row.v1", "weights": [[0, 0.5]]}',
        b'{"format": "tessera.row.v1", "weights": [[71, 1]]}',
        b'{"format": "tessera.row.v1", "weights": [[0, 1], [0, 1]]}',
        b'{"format": "tessera.row.v1", "weights": [[0, 65535], [2, 100]]}',
        b'{"format": "tessera.row.v1", "weights": [[0, 65535], [2, 100], [70, 8]]}',
    ],
)
def test_what_is_served_and_is_not_what_was_revealed_is_refused(
    tmp_path: Path, data: bytes
) -> None:
    sealed = seal(tmp_path, PLACE, WEIGHTS, 71)
    with pytest.raises(DataError):
        read_row(data, 71, sealed.row.root, sealed.row.sum)


def test_a_row_with_the_right_weights_and_another_sum_is_refused(tmp_path: Path) -> None:
    sealed = seal(tmp_path, PLACE, WEIGHTS, 71)
    told: dict[str, Any] = json.loads(write_row(sealed))
    with pytest.raises(DataError, match="as was revealed"):
        read_row(json.dumps(told).encode(), 71, sealed.row.root, sealed.row.sum + 1)
