"""Real graphs in real sessions, among them graphs that nobody should serve."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper

from tessera.errors import BackendFailed, InputError, TooLarge, Unprocessable
from tessera.serving.runner import (
    ClassifyRequest,
    EmbeddingsRequest,
    Identity,
    PredictRequest,
    Runner,
    Task,
)
from tessera.serving.runners.onnx import LABELS_KEY, OnnxLimits, OnnxRunner

Make = Callable[..., Any]


def node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> Any:
    return helper.make_node(kind, list(inputs), [output], **attributes)


def value(name: str, kind: int = T.FLOAT, shape: Sequence[int | None] | None = (None, 2)) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name: str, array: Any) -> Any:
    return onnx.numpy_helper.from_array(np.asarray(array), name)


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[OnnxRunner] = []

    async def build(
        nodes: Sequence[Any],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        *,
        task: Task = Task.PREDICT,
        constants: Sequence[Any] = (),
        labels: Sequence[str] = (),
        **limits: Any,
    ) -> OnnxRunner:
        graph = helper.make_graph(nodes, "g", inputs, outputs, initializer=constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
        )
        model.ir_version = 8
        if labels:
            helper.set_model_props(model, {LABELS_KEY: json.dumps(labels)})
        path = tmp_path / f"{len(made)}.onnx"
        path.write_bytes(model.SerializeToString())
        runner = OnnxRunner("graph", path, frozenset({task}), limits=OnnxLimits(**limits))
        made.append(runner)
        await runner.load()
        return runner

    yield build
    for runner in made:
        await runner.close()


DOUBLE = [node("Add", ["x", "x"], "y")]


async def test_rows_become_outputs_by_name(make: Make) -> None:
    sums = helper.make_node("ReduceSum", ["x", "axis"], ["total"], keepdims=0)
    runner = await make(
        [*DOUBLE, sums],
        [value("x")],
        [value("y"), value("total", shape=[None])],
        constants=[constant("axis", np.array([1], dtype=np.int64))],
    )
    result = await runner.predict(PredictRequest(((1, 2.5), (True, 0))))
    assert result.outputs == [{"y": [2, 5], "total": 3.5}, {"y": [2, 0], "total": 1}]
    assert (result.units.input, result.units.output) == (2, 0)
    assert runner.identity is Identity.HASHED
    assert isinstance(runner, Runner)


async def test_a_table_of_named_columns_may_mix_texts_and_numbers(make: Make) -> None:
    runner = await make(
        [node("Identity", ["name"], "who"), node("Cast", ["age"], "years", to=T.INT64)],
        [value("name", T.STRING, [None, 1]), value("age", T.FLOAT, [None, 1])],
        [value("who", T.STRING, [None, 1]), value("years", T.INT64, [None, 1])],
    )
    result = await runner.predict(PredictRequest((("ada", 36.7), ("émile", 3))))
    assert result.outputs == [{"who": "ada", "years": 36}, {"who": "émile", "years": 3}]
    with pytest.raises(Unprocessable, match=r"row 0.*wanted numbers"):
        await runner.predict(PredictRequest((("ada", "36"),)))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (((1, 2, 3),), "row 0: found '3 columns', wanted 2"),
        (((1, 2), (1,)), "row 1: found '1 columns'"),
        (((1, "2"),), "wanted numbers"),
        (((1, 1e300),), "out of range"),
    ],
)
async def test_rows_that_do_not_fit_are_the_callers_to_mend(
    make: Make, rows: tuple[tuple[Any, ...], ...], said: str
) -> None:
    runner = await make(DOUBLE, [value("x")], [value("y")])
    with pytest.raises(Unprocessable, match=said):
        await runner.predict(PredictRequest(rows))


async def test_nan_and_infinity_are_a_failure(make: Make) -> None:
    runner = await make([node("Log", ["x"], "y")], [value("x")], [value("y")])
    assert (await runner.predict(PredictRequest(((1, 1),)))).outputs == [{"y": [0, 0]}]
    for bad in (-1.0, 0.0):
        with pytest.raises(BackendFailed, match="NaN or infinity in 'y'.*not charged"):
            await runner.predict(PredictRequest(((bad, 1),)))


async def test_an_answer_for_another_number_of_rows_is_a_failure(make: Make) -> None:
    runner = await make([node("Concat", ["x", "x"], "y", axis=0)], [value("x")], [value("y")])
    with pytest.raises(BackendFailed, match=r"shape \[2, 2\] as 'y' for 1 rows"):
        await runner.predict(PredictRequest(((1, 2),)))


async def test_a_graph_that_asks_for_gigabytes_is_refused_them(make: Make) -> None:
    runner = await make(
        [node("Expand", ["x", "size"], "y")],
        [value("x", shape=[None, 1])],
        [value("y", shape=None)],
        constants=[constant("size", np.array([1, 1 << 30], dtype=np.int64))],
    )
    with pytest.raises(BackendFailed, match="failed: "):
        await runner.predict(PredictRequest(((1,),)))


async def test_a_graph_that_returns_too_much_per_row_is_refused(make: Make) -> None:
    runner = await make(
        [node("Expand", ["x", "size"], "y")],
        [value("x", shape=[None, 1])],
        [value("y", shape=None)],
        constants=[constant("size", np.array([1, 1 << 17], dtype=np.int64))],
    )
    with pytest.raises(BackendFailed, match="131072 numbers"):
        await runner.predict(PredictRequest(((1,),)))


async def test_a_graph_that_does_not_end_is_told_to_stop(make: Make) -> None:
    body = helper.make_graph(
        [node("Identity", ["go"], "again"), node("Sin", ["state"], "next")],
        "body",
        [value("i", T.INT64, []), value("go", T.BOOL, []), value("state", shape=None)],
        [value("again", T.BOOL, []), value("next", shape=None)],
    )
    runner = await make(
        [helper.make_node("Loop", ["", "forever", "x"], ["y"], body=body)],
        [value("x")],
        [value("y")],
        constants=[constant("forever", np.array(True))],
        timeout_s=0.3,
        parallel=1,
    )
    with pytest.raises(BackendFailed, match=r"did not answer in 0\.3 s"):
        await runner.predict(PredictRequest(((1, 2),)))
    # Its only thread is free again: the second is computed (and stopped) too, not left waiting.
    with pytest.raises(BackendFailed):
        await asyncio.wait_for(runner.predict(PredictRequest(((1, 2),))), 30)


async def test_calls_at_once_all_get_their_own_answer(make: Make) -> None:
    runner = await make(DOUBLE, [value("x")], [value("y")])
    results = await asyncio.gather(
        *(runner.predict(PredictRequest(((n, n + 1),))) for n in range(50))
    )
    assert [r.outputs[0]["y"] for r in results] == [[2 * n, 2 * n + 2] for n in range(50)]


async def text_runner(make: Make, task: Task, **more: Any) -> OnnxRunner:
    encoder = helper.make_node(
        "LabelEncoder", ["t"], ["n"], domain="ai.onnx.ml",
        keys_strings=["one", "two"], values_floats=[1.0, 2.0], default_float=more.pop("other", 0.0),
    )  # fmt: skip
    runner: OnnxRunner = await make(
        [encoder, node("Concat", ["n", "n"], "y", axis=1)],
        [value("t", T.STRING, [None, 1])],
        [value("y", shape=[None, 2])],
        task=task,
        **more,
    )
    return runner


async def test_texts_become_vectors(make: Make) -> None:
    runner = await text_runner(make, Task.EMBEDDINGS)
    result = await runner.embed(EmbeddingsRequest(("one", "two", "sieben")))
    assert result.vectors == [[1, 1], [2, 2], [0, 0]]
    assert result.units.input == 1 + 1 + 2
    with pytest.raises(Unprocessable, match="wanted embeddings"):
        await runner.classify(ClassifyRequest(("one",)))


async def test_texts_get_scores_under_the_graphs_own_labels(make: Make) -> None:
    runner = await text_runner(make, Task.CLASSIFICATION, labels=["good", "bad"])
    assert (await runner.classify(ClassifyRequest(("two",)))).scores == [{"good": 2, "bad": 2}]


async def test_a_wrong_number_of_labels_is_a_failure(make: Make) -> None:
    runner = await text_runner(make, Task.CLASSIFICATION, labels=["good"])
    with pytest.raises(BackendFailed, match="2 scores for 1 labels"):
        await runner.classify(ClassifyRequest(("two",)))


async def test_a_vector_with_nan_is_a_failure(make: Make) -> None:
    runner = await text_runner(make, Task.EMBEDDINGS, other=float("nan"))
    with pytest.raises(BackendFailed, match="NaN"):
        await runner.embed(EmbeddingsRequest(("three",)))


async def test_calls_over_their_size_are_refused(make: Make) -> None:
    runner = await text_runner(make, Task.EMBEDDINGS, max_batch=2, max_text_bytes=10)
    with pytest.raises(TooLarge, match="1 to 2"):
        await runner.embed(EmbeddingsRequest(("a",) * 3))
    with pytest.raises(TooLarge, match="1 to 2"):
        await runner.embed(EmbeddingsRequest(()))
    with pytest.raises(TooLarge, match="11 bytes"):
        await runner.embed(EmbeddingsRequest(("x" * 11,)))


async def test_a_file_that_is_no_graph_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"not a graph")
    runner = OnnxRunner("bad", path, frozenset({Task.PREDICT}))
    with pytest.raises(InputError, match="a graph that ONNX Runtime loads"):
        await runner.load()
    with pytest.raises(BackendFailed, match="not loaded"):
        await runner.predict(PredictRequest(((1,),)))


async def test_a_graph_whose_weights_lie_outside_the_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(np.ones(2, dtype=np.float32).tobytes())
    outside = constant("w", np.ones(2, dtype=np.float32))
    outside.ClearField("raw_data")
    outside.data_location = T.EXTERNAL
    outside.external_data.add(key="location", value="../secret")
    graph = helper.make_graph(
        [node("Add", ["x", "w"], "y")], "g", [value("x")], [value("y")], initializer=[outside]
    )
    folder = tmp_path / "bundle"
    folder.mkdir()
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    runner = OnnxRunner("m", folder / "m.onnx", frozenset({Task.PREDICT}))
    with pytest.raises(InputError, match="loads"):
        await runner.load()


async def test_a_text_task_needs_a_graph_that_takes_texts(make: Make) -> None:
    with pytest.raises(InputError, match="one tensor of strings"):
        await make(DOUBLE, [value("x")], [value("y")], task=Task.EMBEDDINGS)
    with pytest.raises(InputError, match="rank 3"):
        await make(DOUBLE, [value("x", shape=[None, 2, 2])], [value("y", shape=None)])
