"""Builds `lsa-embed`: sentence embeddings by latent semantic analysis, as one ONNX graph."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tessera.assets.manifest import Task
from tessera.demo.models import corpus
from tessera.demo.models.graphs import write_graph
from tessera.demo.models.retrieval import BENCHMARK, METRIC, hit_rates, pairs_of
from tessera.demo.models.summary import Built, Description, write_bundle

__all__ = ["build"]

_SEED = 7
_WORDS = 8000
_DIMENSIONS = 256

DESCRIPTION = Description(
    slug="lsa-embed",
    title="Sentence embeddings of technical English",
    text=(
        "256 numbers of length 1 for a text: word counts weighted by rarity, reduced by latent "
        "semantic analysis. Trained on the docstrings of Python's standard library, so it knows "
        "the words of programmers and few others; a text of unknown words becomes zeros."
    ),
    licence="Apache-2.0 AND PSF-2.0",
    task=Task.EMBEDDINGS,
    runner="""
kind = "onnx"
file = "embed.onnx"
limits = { memory_mb = 256, timeout_s = 5 }
""",
    prices={"per_call": "0.0001", "per_1k_input": "0.002"},
    benchmark=BENCHMARK,
    metric=METRIC,
    note="Trained on this machine on docstrings that came with Python.",
    inputs=[{"name": "text", "type": "string"}],
    outputs=[{"name": "embedding", "type": "float32", "shape": [_DIMENSIONS]}],
)


def build(folder: Path, *, appended: str = "") -> Built:
    """Train the model and write its bundle.

    Parameters
    ----------
    folder
        Empty or new.
    appended
        TOML to end the manifest with.

    Returns
    -------
    Built
        `value` is the part of held-out first sentences whose own docstring is among the ten
        nearest of all held-out ones, by the ONNX graph.
    """
    from skl2onnx.common.data_types import StringTensorType
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    begun = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    documents = corpus.docstrings()
    training, held_out = corpus.split(documents)
    model = make_pipeline(
        TfidfVectorizer(
            # ASCII words only: the graph cuts texts by this very expression.
            token_pattern="[a-zA-Z0-9_]+",  # noqa: S106 - an expression, no password
            max_features=_WORDS,
            min_df=2,
            sublinear_tf=True,
            dtype=np.float32,
        ),
        TruncatedSVD(_DIMENSIONS, n_iter=1, random_state=_SEED),
        Normalizer(),
    )
    # On a busy machine waiting for a second thread takes longer than it computes.
    with threadpool_limits(1):
        model.fit([document.text for document in training])
    graph = folder / "embed.onnx"
    write_graph(
        model,
        graph,
        inputs=[("text", StringTensorType([None, 1]))],
        outputs={"variable": "embedding"},
    )
    pairs = pairs_of(held_out)
    rate, first = hit_rates(_embedding_by(graph), pairs)
    return write_bundle(
        folder,
        DESCRIPTION,
        value=rate,
        data_sha256=corpus.digest_of(documents),
        training={
            "seed": _SEED,
            "documents": len(training),
            "held_out_pairs": len(pairs),
            "words": len(model[0].vocabulary_),
            "explained_variance": round(float(model[1].explained_variance_ratio_.sum()), 3),
            "hit_rate_at_1": round(first, 4),
        },
        seconds=time.monotonic() - begun,
        examples=[query for query, _ in pairs[:50]],
        appended=appended,
    )


def _embedding_by(graph: Path) -> Callable[[list[str]], npt.NDArray[Any]]:
    import onnxruntime as ort

    session = ort.InferenceSession(str(graph), providers=["CPUExecutionProvider"])

    def embedded(texts: list[str]) -> npt.NDArray[Any]:
        column = np.array(texts, dtype=object).reshape(-1, 1)
        vectors: npt.NDArray[Any] = session.run(["embedding"], {"text": column})[0]
        return vectors

    return embedded
