"""From scikit-learn to ONNX: chosen outputs, named, with the classes in the metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["write_graph"]

# One operator set that every ONNX Runtime since 2022 knows, so a bundle outlives its maker.
_OPSETS = {"": 17, "ai.onnx.ml": 3}
_LABELS_KEY = "tessera.labels"


def write_graph(
    fitted: Any,
    path: Path,
    *,
    inputs: Sequence[tuple[str, Any]],
    outputs: Mapping[str, str],
    labels: Sequence[str] = (),
    options: Mapping[int, Mapping[str, Any]] | None = None,
) -> None:
    """Convert a fitted estimator, keep some of its outputs, and write it.

    Parameters
    ----------
    inputs
        Names and skl2onnx types.
    outputs
        Which of the converter's outputs to keep, and what each is to be called.
    labels
        Names of the classes in the order of the scores.
    """
    import onnx
    from onnx.utils import Extractor
    from skl2onnx import to_onnx

    graph = to_onnx(fitted, initial_types=list(inputs), options=options, target_opset=_OPSETS)
    graph = Extractor(graph).extract_model([name for name, _ in inputs], list(outputs))
    for old, new in outputs.items():
        _rename(graph, old, new)
    _any_locale(graph)
    graph.producer_name, graph.producer_version, graph.doc_string = "tessera", "", ""
    if labels:
        onnx.helper.set_model_props(graph, {_LABELS_KEY: json.dumps(list(labels))})
    onnx.checker.check_model(graph)
    path.write_bytes(graph.SerializeToString(deterministic=True))


def _rename(graph: Any, old: str, new: str) -> None:
    for node in graph.graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
        node.input[:] = [new if name == old else name for name in node.input]
    for value in graph.graph.output:
        value.name = new if value.name == old else value.name


def _any_locale(graph: Any) -> None:
    """Lower the case of ASCII only: the locale that converters name is not on every machine."""
    import onnx

    for node in graph.graph.node:
        if node.op_type == "StringNormalizer":
            kept = [attribute for attribute in node.attribute if attribute.name != "locale"]
            del node.attribute[:]
            node.attribute.extend([*kept, onnx.helper.make_attribute("locale", "C")])
