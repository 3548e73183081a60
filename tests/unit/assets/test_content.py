"""The content root agrees with a second implementation, and commits to every byte and name."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

import pytest
import reference_root
from hypothesis import given
from hypothesis import strategies as st

from tessera.assets.content import (
    CHUNK_SIZE,
    Content,
    FileEntry,
    Piece,
    measure,
    prove_chunk,
    prove_file,
    root_of_files,
    verify_chunk,
    verify_file,
)
from tessera.assets.merkle import path_of, root_from_path, root_of
from tessera.assets.paths import canonical, collisions, fault_of, sort_key
from tessera.assets.refusals import BundleChanged

VECTORS = Path(__file__).parents[2] / "vectors" / "content_root.json"


def chunks_of(data: bytes) -> list[bytes]:
    return [data[at : at + CHUNK_SIZE] for at in range(0, len(data), CHUNK_SIZE)]


def pieces(files: dict[str, bytes]) -> Iterable[Piece]:
    for path in sorted(files, key=sort_key):
        data = files[path]
        yield Piece(path, len(data), iter([memoryview(chunk) for chunk in chunks_of(data)]))


def measured(files: dict[str, bytes]) -> Content:
    return measure(pieces({canonical(path): data for path, data in files.items()}))


letters = st.characters(
    codec="utf-8",
    exclude_categories=("Cc", "Cn", "Cs", "Zl", "Zp"),
    exclude_characters="/\\\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
)
names = (
    st.text(letters, min_size=1, max_size=8)
    .map(canonical)
    .filter(lambda name: fault_of(name) is None)
)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
bundles = st.dictionaries(paths, st.binary(max_size=40), min_size=1, max_size=9)


def test_vectors_are_what_the_reference_writes() -> None:
    assert json.loads(VECTORS.read_text()) == reference_root.vectors()


@pytest.mark.parametrize(
    "case", json.loads(VECTORS.read_text())["cases"], ids=lambda case: case["name"]
)
def test_root_matches_the_vector(case: dict[str, object]) -> None:
    files = {
        file["path"]: {key: value for key, value in file.items() if key != "path"}
        for file in case["files"]
    }
    content = measured(reference_root.case_files(list(files.items())))
    assert content.root.hex() == case["root"]
    leaves = {canonical(path): leaf for path, leaf in case["file_leaves"].items()}
    assert {entry.path: entry.leaf().hex() for entry in content.files} == leaves


@given(bundles)
def test_root_matches_the_reference(files: dict[str, bytes]) -> None:
    assert measured(files).root == reference_root.content_root(files)


@given(bundles, st.data())
def test_root_changes_with_any_byte_path_or_file(
    files: dict[str, bytes], data: st.DataObject
) -> None:
    root = measured(files).root
    path = data.draw(st.sampled_from(sorted(files)))
    other_bytes = data.draw(st.binary(max_size=40).filter(lambda each: each != files[path]))
    assert measured({**files, path: other_bytes}).root != root
    other_path = data.draw(paths.filter(lambda each: each not in files))
    renamed = {(other_path if each == path else each): value for each, value in files.items()}
    assert measured(renamed).root != root
    assert measured({**files, other_path: b""}).root != root
    if len(files) > 1:
        assert measured({each: v for each, v in files.items() if each != path}).root != root


@given(bundles)
def test_every_file_has_a_proof_that_fits_it_alone(files: dict[str, bytes]) -> None:
    content = measured(files)
    for entry in content.files:
        proof = prove_file(content, entry.path)
        assert verify_file(content.root, proof)
        for forged in (
            dataclasses.replace(entry, path=entry.path + "x"),
            dataclasses.replace(entry, size=entry.size + 1),
            dataclasses.replace(entry, chunks_root=bytes(32)),
        ):
            assert not verify_file(content.root, dataclasses.replace(proof, file=forged))
        assert not verify_file(content.root, dataclasses.replace(proof, index=proof.index + 1))
        assert not verify_file(content.root, dataclasses.replace(proof, count=proof.count + 1))
        assert not verify_file(content.root, dataclasses.replace(proof, size=proof.size + 1))
        assert not verify_file(content.root, dataclasses.replace(proof, path=(*proof.path, b"x")))
        assert not verify_file(bytes(32), proof)


@pytest.mark.parametrize("size", [1, CHUNK_SIZE, CHUNK_SIZE + 1, 5 * CHUNK_SIZE + 3])
def test_every_chunk_has_a_proof_that_fits_it_alone(size: int) -> None:
    data = reference_root.pattern(9, size)
    content = measured({"a": b"1", "big": data, "z": b""})
    chunks = chunks_of(data)
    for index, chunk in enumerate(chunks):
        proof = prove_chunk(content, "big", index, chunks)
        assert verify_chunk(content.root, proof, chunk)
        assert not verify_chunk(content.root, proof, chunk[:-1])
        assert not verify_chunk(content.root, proof, chunk[:-1] + bytes([chunk[-1] ^ 1]))
        wrong_place = dataclasses.replace(proof, index=(index + 1) % (len(chunks) + 1))
        assert not verify_chunk(content.root, wrong_place, chunk)


def test_an_empty_file_has_no_chunk_to_prove() -> None:
    content = measured({"empty": b""})
    with pytest.raises(IndexError):
        prove_chunk(content, "empty", 0, [])
    with pytest.raises(KeyError):
        prove_file(content, "absent")


def test_chunks_of_other_bytes_prove_nothing() -> None:
    content = measured({"a": b"right"})
    with pytest.raises(BundleChanged):
        prove_chunk(content, "a", 0, [b"wrong"])


def test_attack_inner_node_cannot_be_passed_off_as_a_chunk() -> None:
    """Second preimage: an attacker publishes a file whose bytes are an inner node.

    Two chunks hash to leaves L and R. Without domains, a one-chunk file with the 64 bytes L || R
    would have the root of the two-chunk file, and one content root would stand for two models. Tags
    and the byte that tells leaf from node keep them apart, and the proof's shape follows from size.
    """
    honest = reference_root.pattern(5, 2 * CHUNK_SIZE)
    leaves = [
        reference_root.tagged("tessera.chunk.v1", b"\x00" + chunk) for chunk in chunks_of(honest)
    ]
    target = measured({"model": honest}).files[0].chunks_root
    for crafted in (b"".join(leaves), b"\x01" + b"".join(leaves)):
        assert measured({"model": crafted}).files[0].chunks_root != target


def test_attack_file_tree_node_cannot_be_passed_off_as_a_file() -> None:
    """Second preimage one level up: a bundle of one "file" whose leaf is the node of two files.

    The count of files is in the root, so even a found collision of shapes would need another count.
    """
    content = measured({"a": b"1", "b": b"2"})
    proof = prove_file(content, "a")
    as_one = dataclasses.replace(proof, index=0, count=1, path=())
    assert not verify_file(content.root, as_one)
    longer = dataclasses.replace(proof, count=3, path=(*proof.path, bytes(32)))
    assert not verify_file(content.root, longer)


@given(st.integers(1, 70), st.data())
def test_paths_in_a_tree_of_any_size_lead_to_its_root(count: int, data: st.DataObject) -> None:
    def join(left: bytes, right: bytes) -> bytes:
        return b"(" + left + b"," + right + b")"

    leaves = [b"%d" % number for number in range(count)]
    index = data.draw(st.integers(0, count - 1))
    path = path_of(leaves, index, join)
    assert root_from_path(leaves[index], index, count, path, join) == root_of(leaves, join)
    assert root_from_path(leaves[index], index, count, (*path, b"x"), join) is None
    assert root_from_path(leaves[index], count, count, path, join) is None


def test_measure_refuses_what_is_out_of_order_repeated_or_illegal() -> None:
    def one(path: str) -> Piece:
        return Piece(path, 0, iter(()))

    for bad in (["b", "a"], ["a", "a"], ["../a"], ["/a"], ["cafe\u0301"], ["a//b"], [""]):
        with pytest.raises(ValueError, match="the path"):
            measure([one(path) for path in bad])
    with pytest.raises(ValueError, match="no root"):
        root_of_files([])
    with pytest.raises(ValueError, match="out of order"):
        root_of_files([FileEntry("b", 0, bytes(32)), FileEntry("a", 0, bytes(32))])


def test_measure_refuses_a_stream_of_another_length() -> None:
    with pytest.raises(BundleChanged):
        measure([Piece("a", 3, iter([memoryview(b"ab")]))])


def test_progress_ends_at_the_total() -> None:
    seen: list[tuple[int, int]] = []
    data = bytes(CHUNK_SIZE + 5)
    measure(
        pieces({"a": data}), total=len(data), progress=lambda done, all_: seen.append((done, all_))
    )
    assert seen[0] == (CHUNK_SIZE, len(data))
    assert seen[-1] == (len(data), len(data))


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/etc/passwd", "absolute"),
        ("a/../../b", r"\.\."),
        ("a//b", "empty name"),
        ("./a", "'.'"),
        ("a\\b", "backslash"),
        ("a\nb", "U+000A"),
        ("a\0b", "U+0000"),
        ("txt\u202eexe.py", "direction"),
        ("\udcff", "not valid UTF-8"),
        ("x" * 256, "256 bytes"),
        ("/".join("ab" * 60 for _ in range(10)), "bytes long"),
        ("/".join("a" * 33), "33 names deep"),
    ],
)
def test_a_dangerous_path_has_a_named_fault(path: str, fault: str) -> None:
    found = fault_of(path)
    assert found is not None
    assert fault.replace("\\", "") in found


def test_names_that_a_file_system_may_merge_collide() -> None:
    assert collisions(["a", "b/c", "b/d"]) == []
    assert collisions(["Model.onnx", "model.onnx"]) == [("Model.onnx", "model.onnx")]
    assert collisions(["caf\u00e9", "cafe\u0301"]) == [("caf\u00e9", "cafe\u0301")]
    assert collisions(["Data/a", "data/b"]) == [("Data", "data")]
