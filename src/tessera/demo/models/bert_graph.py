"""Writes a BERT encoder with mean pooling as an ONNX graph, from its weights alone.

The graph says what the published architecture says, operator by operator; no framework is needed
to write it, as nothing is traced.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Shape", "read_weights", "write_encoder"]

_OPSET = 17  # the first with LayerNormalization; every ONNX Runtime since 2022 knows it
_IR_VERSION = 8
_Array = npt.NDArray[Any]
_ELEMENTS: Mapping[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8")}


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of an encoder.

    Attributes
    ----------
    longest
        Most tokens of a text; position vectors beyond it are left out.
    epsilon
        What layer normalization adds to the variance.
    """

    layers: int
    heads: int
    size: int
    longest: int
    epsilon: float


def read_weights(path: Path) -> dict[str, _Array]:
    """Read a safetensors file: a header in JSON, then the numbers as they are.

    Returns
    -------
    dict
        Read-only arrays by name, over one copy of the file.
    """
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8:start])
    weights = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = (start + offset for offset in entry["data_offsets"])
            flat = np.frombuffer(data[begin:end], _ELEMENTS[entry["dtype"]])
            weights[name] = flat.reshape(entry["shape"])
    return weights


def write_encoder(weights: Mapping[str, _Array], shape: Shape, path: Path) -> None:
    """Write the graph: `tokens` and `mask`, both `[texts, length]`, to `embedding` of length 1."""
    import onnx
    from onnx import TensorProto, helper

    writer = _Writer(weights, shape)
    writer.encode()
    table = ["texts", "length"]
    graph = helper.make_graph(
        writer.nodes,
        "encoder",
        [
            helper.make_tensor_value_info("tokens", TensorProto.INT64, table),
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, table),
        ],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["texts", shape.size])],
        writer.constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
    )
    model.producer_name = "tessera"
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


class _Writer:
    """Appends operators; each method returns the name of what it computes."""

    def __init__(self, weights: Mapping[str, _Array], shape: Shape) -> None:
        self._weights, self._shape = weights, shape
        self._names = self._fresh()
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def encode(self) -> None:
        head = self._shape.size // self._shape.heads
        bias = self._op("Sub", ["mask", self._constant(np.float32(1))])
        bias = self._op("Mul", [bias, self._constant(np.float32(1e9))])
        bias = self._op("Unsqueeze", [bias, self._constant(np.array([1, 2]))])
        hidden = self._embeddings()
        for layer in range(self._shape.layers):
            place = f"encoder.layer.{layer}"
            attended = self._attention(hidden, f"{place}.attention.self", bias, head)
            projected = self._dense(attended, f"{place}.attention.output.dense")
            hidden = self._normal(hidden, projected, f"{place}.attention.output.LayerNorm")
            wide = self._gelu(self._dense(hidden, f"{place}.intermediate.dense"))
            narrow = self._dense(wide, f"{place}.output.dense")
            hidden = self._normal(hidden, narrow, f"{place}.output.LayerNorm")
        self._pool(hidden)

    def _embeddings(self) -> str:
        words = self._constant(self._weights["embeddings.word_embeddings.weight"])
        gathered = self._op("Gather", [words, "tokens"])
        # Every token is of the first of two types, so its vector moves into the positions'.
        positions = self._weights["embeddings.position_embeddings.weight"][: self._shape.longest]
        kind = self._weights["embeddings.token_type_embeddings.weight"][0]
        length = self._op("Shape", ["tokens"], start=1, end=2)
        begin = self._constant(np.array([0]))
        placed = self._op("Slice", [self._constant(positions + kind), begin, length, begin])
        return self._normal(gathered, placed, "embeddings.LayerNorm")

    def _attention(self, hidden: str, place: str, bias: str, head: int) -> str:
        split = self._constant(np.array([0, 0, self._shape.heads, head]))

        def projected(which: str, order: Sequence[int]) -> str:
            parts = self._op("Reshape", [self._dense(hidden, f"{place}.{which}"), split])
            return self._op("Transpose", [parts], perm=order)

        query, key = projected("query", [0, 2, 1, 3]), projected("key", [0, 2, 3, 1])
        scores = self._op("MatMul", [query, key])
        scores = self._op("Mul", [scores, self._constant(np.float32(1 / math.sqrt(head)))])
        chosen = self._op("Softmax", [self._op("Add", [scores, bias])], axis=-1)
        mixed = self._op("MatMul", [chosen, projected("value", [0, 2, 1, 3])])
        joined = self._op("Transpose", [mixed], perm=[0, 2, 1, 3])
        return self._op("Reshape", [joined, self._constant(np.array([0, 0, self._shape.size]))])

    def _dense(self, value: str, place: str) -> str:
        weight = np.ascontiguousarray(self._weights[f"{place}.weight"].T)
        product = self._op("MatMul", [value, self._constant(weight)])
        return self._op("Add", [product, self._constant(self._weights[f"{place}.bias"])])

    def _normal(self, left: str, right: str, place: str) -> str:
        total = self._op("Add", [left, right])
        scale, offset = (
            self._constant(self._weights[f"{place}.{part}"]) for part in ("weight", "bias")
        )
        return self._op(
            "LayerNormalization", [total, scale, offset], axis=-1, epsilon=self._shape.epsilon
        )

    def _gelu(self, value: str) -> str:
        risen = self._op("Div", [value, self._constant(np.float32(math.sqrt(2)))])
        risen = self._op("Add", [self._op("Erf", [risen]), self._constant(np.float32(1))])
        doubled = self._op("Mul", [value, risen])
        return self._op("Mul", [doubled, self._constant(np.float32(0.5))])

    def _pool(self, hidden: str) -> None:
        weight = self._op("Unsqueeze", ["mask", self._constant(np.array([2]))])
        axis = self._constant(np.array([1]))
        total = self._op("ReduceSum", [self._op("Mul", [hidden, weight]), axis], keepdims=0)
        count = self._op("ReduceSum", [weight, axis], keepdims=0)
        mean = self._op("Div", [total, count])
        self._op("LpNormalization", [mean], name="embedding", axis=-1, p=2)

    def _op(self, kind: str, inputs: Sequence[str], *, name: str = "", **attributes: Any) -> str:
        from onnx import helper

        output = name or next(self._names)
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def _constant(self, value: Any) -> str:
        from onnx import numpy_helper

        name = next(self._names)
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _fresh(self) -> Iterator[str]:
        yield from (f"v{number}" for number in range(1 << 20))
