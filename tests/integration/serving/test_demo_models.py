"""The demo's models, built as the demo builds them, and served from the store by their runners."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tessera.assets import Store, validate
from tessera.demo.models import BUILDERS, Built
from tessera.demo.models.bundled import pydoc_lm
from tessera.serving.opening import ServingPolicy, open_runner
from tessera.serving.runner import (
    ChatDelta,
    ChatEnd,
    ChatRequest,
    ClassifyRequest,
    EmbeddingsRequest,
    Identity,
    Message,
    PredictRequest,
    Runner,
    Scorer,
    ScoreRequest,
    Units,
)

PEOPLE = """
[[contributors]]
name = "publisher"
role = "code"
weight = 10000
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    folder = tmp_path_factory.mktemp("models")
    # As the demo's processes train, which end with their model.
    gc.disable()
    try:
        return {slug: build(folder / slug, appended=PEOPLE) for slug, build in BUILDERS.items()}
    finally:
        gc.enable()


@pytest.fixture(scope="module")
def store(built: dict[str, Built], tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("store"))
    for model in built.values():
        store.add(model.folder)
    return store


@pytest.fixture
async def runner(
    request: pytest.FixtureRequest, built: dict[str, Built], store: Store
) -> AsyncIterator[Runner]:
    bundle = validate(built[request.param].folder)
    opened = open_runner(
        bundle.manifest,
        store.open_verified(bundle.root),
        ServingPolicy(allow_python_runners=True),
    )
    await opened.load()
    yield opened
    await opened.close()


def serving(slug: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("runner", [slug], indirect=True)


@pytest.mark.parametrize(
    ("slug", "low", "high"),
    [
        ("digits", 0.96, 1.0),
        ("sentiment", 0.75, 1.0),
        ("lsa-embed", 0.55, 1.0),
        ("pydoc-lm", 1.4, 1.9),
    ],
)
def test_the_bundle_is_valid_and_its_benchmark_is_what_was_measured(
    built: dict[str, Built], slug: str, low: float, high: float
) -> None:
    manifest = validate(built[slug].folder).manifest
    assert manifest.name == slug
    assert manifest.benchmark is not None
    assert f"{manifest.benchmark.value}" == built[slug].value
    assert low <= float(built[slug].value) <= high
    assert manifest.provenance is not None
    assert manifest.provenance.data.sha256 is not None
    log = msgspec.json.decode((built[slug].folder / "training.json").read_bytes())
    assert log["data_sha256"] == manifest.provenance.data.sha256.hex()


@pytest.mark.parametrize("slug", ["digits", "sentiment"])
def test_building_again_gives_the_same_bundle(
    built: dict[str, Built], slug: str, tmp_path: Path
) -> None:
    BUILDERS[slug](tmp_path / slug, appended=PEOPLE)
    assert validate(tmp_path / slug).root == validate(built[slug].folder).root


@serving("digits")
async def test_digits_are_recognised(runner: Runner, built: dict[str, Built]) -> None:
    rows = tuple(tuple(row) for row in built["digits"].examples)  # type: ignore[arg-type]
    result = await runner.predict(PredictRequest(rows))
    assert len(result.outputs) == result.units.input == len(rows)
    for row in result.outputs:
        probabilities = row["probabilities"]
        assert isinstance(probabilities, list)
        assert math.isclose(sum(probabilities), 1, abs_tol=1e-3)
        assert row["digit"] == int(np.argmax(probabilities))
    assert runner.identity is Identity.HASHED


@serving("sentiment")
async def test_sentiment_tells_praise_from_complaint(runner: Runner) -> None:
    praise, complaint, nothing = (
        await runner.classify(ClassifyRequest(("I love it!", "I hate it!", "...")))
    ).scores
    assert praise["positive"] > praise["negative"]
    assert complaint["negative"] > complaint["positive"]
    assert nothing == {"positive": 0, "negative": 0, "neutral": 1}


@serving("lsa-embed")
async def test_like_texts_have_like_vectors_of_length_one(runner: Runner) -> None:
    result = await runner.embed(
        EmbeddingsRequest(
            ("Open a file and return it", "Opens the named file", "the sine of an angle", "żółć")
        )
    )
    opening, opened, sine, unknown = np.array(result.vectors)
    assert np.allclose([opening @ opening, sine @ sine], 1, atol=1e-5)
    assert opening @ opened > opening @ sine + 0.2
    assert not unknown.any(), "a text of unknown words is zeros, not NaN"


ASK = ChatRequest((Message("user", "Return the number of"),), max_tokens=60, seed=5)


@serving("pydoc-lm")
async def test_text_streams_and_obeys_seed_temperature_stop_and_limit(runner: Runner) -> None:
    assert runner.note is not None
    assert "toy language model" in runner.note
    events = [event async for event in runner.chat_stream(ASK)]
    end = events.pop()
    assert isinstance(end, ChatEnd)
    text = "".join(event.text for event in events if isinstance(event, ChatDelta))
    whole = await runner.chat(ASK)
    assert (whole.text, whole.units, whole.finish) == (text, end.units, end.finish)
    assert 0 < whole.units.output <= 60
    assert whole.units.input == 4

    other = await runner.chat(msgspec.structs.replace(ASK, seed=6))
    assert other.text != text
    greedy = msgspec.structs.replace(ASK, temperature=0.0, max_tokens=12)
    assert (await runner.chat(greedy)).text == (
        await runner.chat(msgspec.structs.replace(greedy, seed=99))
    ).text
    stop = text.split()[3]
    cut = await runner.chat(msgspec.structs.replace(ASK, stop=(stop,)))
    assert cut.text == text[: text.index(stop)]
    assert cut.finish == "stop"
    short = await runner.chat(msgspec.structs.replace(ASK, max_tokens=3))
    assert (short.units.output, short.finish) == (3, "length")
    narrow = msgspec.structs.replace(ASK, top_p=0.01)
    assert (await runner.chat(narrow)).text == (
        await runner.chat(msgspec.structs.replace(narrow, seed=1))
    ).text


@serving("pydoc-lm")
async def test_a_given_text_is_cut_into_tokens_of_which_each_is_as_probable_as_it_says(
    runner: Runner,
) -> None:
    text = "Return the número of items ☃."
    found = await runner.score_text(ScoreRequest(text))
    assert isinstance(runner, Scorer)
    alone = await runner.log_probabilities((Message("user", ""),), text)
    assert found.logs == alone
    assert found.units == Units(input=len(found.tokens))
    whole = [token for token in found.tokens if not token.startswith("bytes:")]
    assert set("".join(whole)) <= set(text)
    assert len(whole) < len(found.tokens), "no token of it is a whole snowman"


@serving("pydoc-lm")
async def test_text_streams_faster_than_anybody_reads(runner: Runner) -> None:
    tokens, before = 0, time.process_time()
    begun = time.monotonic()
    for seed in range(8):
        tokens += (await runner.chat(msgspec.structs.replace(ASK, seed=seed))).units.output
    rate = tokens / (time.monotonic() - begun)
    print(f"{rate:.0f} tokens/s, of this process {time.process_time() - before:.2f} s")
    assert rate > 100, "a bound for a busy machine; an idle one reaches thousands"


def test_the_models_probabilities_add_up_and_agree(built: dict[str, Built]) -> None:
    model = pydoc_lm.load(built["pydoc-lm"].folder / "model.npz")
    for text in ("", "Return the", "zebra \u2603 crossing"):
        history = [pydoc_lm.END, *model.tokenizer.encode(text)][-3:]
        values = model.distribution(history)
        assert math.isclose(sum(values), 1, rel_tol=1e-9)
        assert min(values) > 0
        for token in (0, 65, 300, pydoc_lm.END):
            assert math.isclose(values[token], model.probability(history, token), rel_tol=1e-9)


def test_tokens_spell_the_text_they_came_from(built: dict[str, Built]) -> None:
    model = pydoc_lm.load(built["pydoc-lm"].folder / "model.npz")
    for text in ("Return  the\n\n  number ☃ of 1234 items.", "", " \t\r\n", "ёж" * 50):
        spelled = b"".join(model.tokenizer.bytes_of[t] for t in model.tokenizer.encode(text))
        assert spelled.decode() == text
    assert len(model.tokenizer.encode("Return the number of items")) < 10
