"""What each kind asks and how it scores: right answers, wrong ones, and what is no answer."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.validation.folders import Written, as_json, benchmark

from tessera.errors import NotAllowed
from tessera.validation.answers import Ask
from tessera.validation.report import ModelName, build_report, check_report
from tessera.validation.running import items_to_ask, run
from tessera.validation.task import Benchmark

NO_ANSWERS = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"NaN",
    b'{"data": []}',
    b'{"data": [{"embedding": []}]}',
    b'{"data": [{"embedding": [NaN, 1]}]}',
    b'{"data": [{"embedding": [1e999, 1]}]}',
    b'{"data": [{"embedding": ["1"]}]}',
    b'{"data": [{"label": "positive", "scores": {}}]}',
    b'{"data": [{"label": "positive", "scores": {"positive": Infinity}}]}',
    b'{"data": [{"label": "a", "scores": {"a": 1}}, {"label": "a", "scores": {"a": 1}}]}',
    b'{"outputs": [{}]}',
    b'{"outputs": [{"digit": NaN}]}',
    b'{"outputs": {"digit": 1}}',
    b'{"choices": []}',
    b'{"choices": [{"message": null, "text": null}]}',
    b'{"choices": [{"text": "x", "logprobs": {"tokens": ["x"], "token_logprobs": [1, 2]}}]}',
    b'{"choices": [{"text": "x", "logprobs": {"tokens": ["xyz"], "token_logprobs": [0.5]}}]}',
    b"\xff\xfe",
    b"[" * 100_000,
]
MOODS = [{"input": "good", "label": "positive"}, {"input": "bad", "label": "negative"}]
ROWS = [{"input": [1.0, 2.0], "label": 3}, {"input": [4.0, 5.0], "label": 9}]
DOCUMENTS = [
    {"id": "d1", "document": "red"},
    {"id": "d2", "document": "green"},
    {"id": "q1", "query": "crimson", "relevant": {"d1": 1}},
]
TEXTS = [{"text": "hello", "prompt": "say "}]
NDCG = 0.5196622346113683
QUIZ = [
    {"question": "2 + 2?", "choices": ["3", "4", "5"], "answer": 1},
    {"question": "Sky?", "choices": ["green", "red", "blue"], "answer": 2},
]


async def measured(task: Benchmark, answer: Callable[[Ask], bytes | Exception]) -> dict[str, Any]:
    endpoint = Written(answer)
    finished = await run(task, items_to_ask(task, None), endpoint, about="")
    report = await build_report(task, ModelName("m"), finished.measured)
    check_report(report)
    return report


def scores(report: dict[str, Any]) -> list[float | None]:
    return [item["score"] for item in report["items"]]


@pytest.mark.parametrize("answer", NO_ANSWERS, ids=lambda body: body[:30].decode("latin-1"))
@pytest.mark.parametrize(
    ("kind", "items", "more"),
    [
        ("classification", MOODS, ""),
        ("classification", ROWS, ""),
        ("retrieval", DOCUMENTS, ""),
        ("perplexity", TEXTS, ""),
        ("choice", QUIZ, ""),
        ("choice", QUIZ, '[scorer]\nby = "logprobs"'),
        ("choice", QUIZ, '[scorer]\nby = "likelihood"'),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_what_is_no_answer_scores_0(
    tmp_path: Path, kind: str, items: list[dict[str, Any]], more: str, answer: bytes
) -> None:
    report = await measured(benchmark(tmp_path, kind, items, more), lambda _ask: answer)
    core = report["core"]
    assert core["score"] == 0.0, report
    assert set(core["outcomes"]) == {"malformed"}


async def test_a_label_is_right_or_wrong(tmp_path: Path) -> None:
    def sunny(ask: Ask) -> bytes:
        assert (ask.path, list(ask.fields)) == ("/v1/classify", ["input"])
        scored = {"positive": 0.5, "negative": 0.25, "neutral": 0.75}
        return as_json({"data": [{"label": "neutral", "scores": scored}]})

    report = await measured(benchmark(tmp_path / "a", "classification", MOODS), sunny)
    assert scores(report) == [0.0, 0.0]
    labels = '[scorer]\nlabels = ["positive", "negative"]'
    report = await measured(benchmark(tmp_path / "b", "classification", MOODS, labels), sunny)
    assert scores(report) == [1.0, 0.0]
    assert report["core"]["score"] == 0.5


async def test_equal_scores_decide_nothing(tmp_path: Path) -> None:
    even = as_json({"data": [{"label": "positive", "scores": {"positive": 0.5, "negative": 0.5}}]})
    labels = '[scorer]\nlabels = ["positive", "negative"]'
    task = benchmark(tmp_path, "classification", MOODS, labels)
    assert scores(await measured(task, lambda _ask: even)) == [0.0, 0.0]


async def test_a_rows_output_is_compared_as_a_number_or_as_a_text(tmp_path: Path) -> None:
    def answer(ask: Ask) -> bytes:
        value: Any = 3 if ask.fields["rows"] == [[1.0, 2.0]] else "9"
        return as_json({"outputs": [{"digit": value, "sure": [0.5, 0.5]}]})

    assert scores(await measured(benchmark(tmp_path / "a", "classification", ROWS), answer)) == [
        1.0,
        1.0,
    ]
    other = benchmark(tmp_path / "b", "classification", ROWS, '[scorer]\noutput = "sure"')
    assert scores(await measured(other, answer)) == [0.0, 0.0]


# --- Retrieval ------------------------------------------------------------------------------


async def test_ndcg_is_that_of_scikit_learn(tmp_path: Path) -> None:
    """30 documents and 12 queries with random vectors and gains; what `ndcg_score` gives for
    them, since importing it takes longer than all of this file."""
    random = np.random.default_rng(3)
    documents, queries = random.normal(size=(30, 8)), random.normal(size=(12, 8))
    gains = random.integers(0, 4, size=(12, 30))
    vectors = {f"document {n}": v for n, v in enumerate(documents)} | {
        f"query {n}": v for n, v in enumerate(queries)
    }
    items: list[dict[str, Any]] = [
        {"id": f"d{n}", "document": f"document {n}"} for n in range(30)
    ] + [
        {
            "id": f"q{n}",
            "query": f"query {n}",
            "relevant": {f"d{at}": int(gain) for at, gain in enumerate(row) if gain},
        }
        for n, row in enumerate(gains)
    ]
    task = benchmark(tmp_path, "retrieval", items)
    report = await measured(
        task,
        lambda ask: as_json({"data": [{"embedding": vectors[ask.fields["input"][0]].tolist()}]}),
    )
    near = (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ (
        documents / np.linalg.norm(documents, axis=1, keepdims=True)
    ).T
    assert report["core"]["score"] == pytest.approx(NDCG, abs=1e-12)
    assert report["core"]["scored"] == 12
    assert report["core"]["details"]["ndcg@10"] == report["core"]["score"]
    top = np.argsort(-near, axis=1)[:, :10]
    recall = np.mean([(gains[q, top[q]] > 0).sum() / (gains[q] > 0).sum() for q in range(12)])
    assert report["core"]["details"]["recall@10"] == pytest.approx(recall)


@pytest.mark.parametrize(
    "broken", [[0.0, 0.0], [1.0, 0.0, 0.0], [1e308, 1e308], [-1e-320, 0.0]], ids=str
)
async def test_a_vector_without_direction_is_near_to_nothing(
    tmp_path: Path, broken: list[float]
) -> None:
    """The query's own document comes first, unless it is the broken one."""
    vectors = {"red": [1.0, 0.1], "green": broken, "crimson": [1.0, 0.2]}
    task = benchmark(tmp_path, "retrieval", DOCUMENTS, "[scorer]\ndepth = 1")
    report = await measured(
        task, lambda ask: as_json({"data": [{"embedding": vectors[ask.fields["input"][0]]}]})
    )
    assert report["core"]["score"] == 1.0
    swapped = {"red": broken, "green": vectors["red"], "crimson": vectors["crimson"]}
    report = await measured(
        task, lambda ask: as_json({"data": [{"embedding": swapped[ask.fields["input"][0]]}]})
    )
    assert report["core"]["score"] == 0.0


async def test_a_model_of_one_vector_for_everything_gains_nothing_by_it(tmp_path: Path) -> None:
    """Equally near documents come in the order of the list: nobody's choice but the task's."""
    items = [*DOCUMENTS, {"id": "q2", "query": "lime", "relevant": {"d2": 1}}]
    task = benchmark(tmp_path, "retrieval", items, '[scorer]\nmetric = "recall"\ndepth = 1')
    report = await measured(task, lambda _ask: as_json({"data": [{"embedding": [1.0, 1.0]}]}))
    assert scores(report) == [None, None, 1.0, 0.0]


# --- Perplexity -----------------------------------------------------------------------------


def echoing(*, offsets: bool = True) -> Callable[[Ask], bytes]:
    """A server whose tokens are characters, each as probable as its place says."""

    def answer(ask: Ask) -> bytes:
        given = ask.fields["prompt"]
        logs = [None, *(-float(at) for at in range(1, len(given)))]
        found: dict[str, Any] = {"tokens": [*given, "!"], "token_logprobs": [*logs, -0.5]}
        if offsets:
            found["text_offset"] = list(range(len(given) + 1))
        return as_json({"choices": [{"text": given + "!", "logprobs": found}]})

    return answer


@pytest.mark.parametrize("offsets", [True, False])
async def test_only_the_tokens_of_the_text_count(tmp_path: Path, offsets: bool) -> None:
    task = benchmark(tmp_path, "perplexity", TEXTS)
    report = await measured(task, echoing(offsets=offsets))
    (item,) = report["items"]
    assert item["asks"][0]["output"] == {"logs": [-4.0, -5.0, -6.0, -7.0, -8.0], "bytes": 5}
    assert item["score"] == pytest.approx(math.exp(-6))
    assert report["core"]["details"]["bits_per_byte"] == pytest.approx(6 / math.log(2))
    assert report["core"]["details"]["perplexity"] == pytest.approx(math.exp(6))


async def test_a_first_token_has_no_probability_and_does_not_count(tmp_path: Path) -> None:
    task = benchmark(tmp_path, "perplexity", [{"text": "été"}])
    (item,) = (await measured(task, echoing()))["items"]
    assert item["asks"][0]["output"] == {"logs": [-1.0, -2.0], "bytes": 3}


async def test_an_endpoint_without_probabilities_is_unsupported_and_has_no_score(
    tmp_path: Path,
) -> None:
    task = benchmark(tmp_path, "perplexity", [{"text": f"text {n}"} for n in range(50)])
    endpoint = Written(lambda _ask: as_json({"choices": [{"text": "x"}]}))
    finished = await run(task, items_to_ask(task, None), endpoint, about="")
    core = (await build_report(task, ModelName("m"), finished.measured))["core"]
    assert (core["status"], core["score"]) == ("unsupported", None)
    # It was not asked fifty times.
    assert len(endpoint.asked) <= 4
    assert finished.why == "no log probabilities of a given text"


async def test_who_leaves_out_what_is_hard_scores_0_there(tmp_path: Path) -> None:
    task = benchmark(tmp_path, "perplexity", [{"text": f"text {n}"} for n in range(4)])
    quiet = as_json({"choices": [{"text": "x"}]})
    report = await measured(
        task, lambda ask: quiet if "3" in ask.fields["prompt"] else echoing()(ask)
    )
    assert report["core"]["status"] == "measured"
    assert scores(report)[3] == 0.0


async def test_one_answer_without_probabilities_ends_nothing_though_it_is_the_first(
    tmp_path: Path,
) -> None:
    task = benchmark(tmp_path, "perplexity", [{"text": f"text {n}"} for n in range(4)])
    quiet = as_json({"choices": [{"text": "x"}]})
    asked: list[Ask] = []

    def reply(ask: Ask) -> bytes:
        asked.append(ask)
        return quiet if len(asked) == 1 else echoing()(ask)

    report = await measured(task, reply)
    assert len(asked) == 4
    assert report["core"]["status"] == "measured"


# --- Multiple choice ------------------------------------------------------------------------


def chat(text: str, top: dict[str, float] | None = None) -> bytes:
    choice: dict[str, Any] = {"message": {"content": text}, "finish_reason": "stop"}
    if top is not None:
        first = [{"token": token, "logprob": log} for token, log in top.items()]
        choice["logprobs"] = {"content": [{"token": "B", "logprob": -0.1, "top_logprobs": first}]}
    return as_json({"id": "x", "created": 1, "choices": [choice]})


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("B", True),
        (" B.", True),
        ("(B) 4", True),
        ("The answer is B, not C", True),
        ("b", False),
        ("4", False),
        ("BC", False),
        ("D", False),
        ("C, or B", False),
        ("", False),
    ],
)
async def test_the_first_letter_that_stands_alone_counts(
    tmp_path: Path, text: str, right: bool
) -> None:
    task = benchmark(tmp_path, "choice", QUIZ[:1], "[decoding]\nseed = 4\nmax_tokens = 6")
    asked: list[Ask] = []

    def answer(ask: Ask) -> bytes:
        asked.append(ask)
        return chat(text)

    assert scores(await measured(task, answer)) == [float(right)]
    (ask,) = asked
    assert ask.fields == {
        "messages": [
            {
                "role": "user",
                "content": "2 + 2?\nA. 3\nB. 4\nC. 5\nAnswer with the letter only.",
            }
        ],
        "max_tokens": 6,
        "temperature": 0.0,
        "seed": 4,
    }


async def test_the_likeliest_letter_counts_whatever_is_before_it(tmp_path: Path) -> None:
    task = benchmark(tmp_path, "choice", QUIZ[:1], '[scorer]\nby = "logprobs"')
    top = {"A": -2.0, " B": -0.5, "B": -3.0, "Z": -0.1}
    assert scores(await measured(task, lambda _ask: chat("Z", top))) == [1.0]
    assert scores(await measured(task, lambda _ask: chat("Z", {"A": -1.0, "B": -1.0}))) == [0.0]
    core = (await measured(task, lambda _ask: chat("B")))["core"]
    assert core["status"] == "unsupported"


async def test_the_likeliest_choice_per_byte_counts(tmp_path: Path) -> None:
    """As harnesses do it: each choice behind the question, with its length taken out."""
    task = benchmark(tmp_path, "choice", QUIZ[1:], '[scorer]\nby = "likelihood"')
    logs = {"green": -5.0, "red": -6.0, "blue": -2.0}

    def answer(ask: Ask) -> bytes:
        before, _, choice = ask.fields["prompt"].rpartition(" ")
        found = {
            "tokens": [before + " ", choice],
            "token_logprobs": [None, logs[choice]],
            "text_offset": [0, len(before) + 1],
        }
        return as_json({"choices": [{"text": "", "logprobs": found}]})

    report = await measured(task, answer)
    assert scores(report) == [1.0]
    assert len(report["items"][0]["asks"]) == 3


# --- A publisher's own ----------------------------------------------------------------------

SCORER = """
import json


def score(rows):
    given = []
    for item, output in rows:
        text = json.loads(output)[0]["text"]
        if text == "crash":
            raise RuntimeError("the scorer has a bug")
        if text == "nan":
            given.append(float("nan"))
        elif text == "far":
            given.append(7.0)
        else:
            given.append(1.0 if text == json.loads(item)["wanted"] else 0.25)
    return given
"""


def own(folder: Path, wanted: list[str]) -> Benchmark:
    folder.mkdir(exist_ok=True)
    (folder / "scorer.py").write_text(SCORER)
    return benchmark(
        folder,
        "python",
        [
            {
                "path": "/v1/chat/completions",
                "request": {"messages": [{"role": "user", "content": word}], "max_tokens": 4},
                "wanted": word,
            }
            for word in wanted
        ],
    )


async def test_a_publishers_scorer_runs_in_a_child_and_only_with_leave(tmp_path: Path) -> None:
    task = own(tmp_path, ["a", "b", "crash", "nan", "far"])

    def parrot(ask: Ask) -> bytes:
        word = ask.fields["messages"][0]["content"]
        return chat("x" if word == "b" else word)

    with pytest.raises(NotAllowed, match="--allow-python-runners"):
        await measured(task, parrot)
    report = await measured(task.allowing_code(), parrot)
    assert scores(report) == [1.0, 0.25, 0.0, 0.0, 0.0]
    assert report["core"]["details"] == {"not_scored": 3}


def test_another_scorer_is_another_task(tmp_path: Path) -> None:
    task = own(tmp_path, ["a"])
    (tmp_path / "scorer.py").write_text(SCORER.replace("0.25", "0.75"))
    from tessera.validation.task import open_benchmark

    assert open_benchmark(tmp_path).id != task.id


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"path": "/admin", "request": {}}, "/admin"),
        ({"path": "/v1/predict", "request": {"model": "other"}}, "names a model"),
        ({"path": "/v1/predict"}, "no request"),
    ],
)
def test_a_publishers_items_ask_models_only(
    tmp_path: Path, item: dict[str, Any], said: str
) -> None:
    (tmp_path / "scorer.py").write_text(SCORER)
    from tessera.validation.refusals import TaskInvalid

    with pytest.raises(TaskInvalid) as refused:
        benchmark(tmp_path, "python", [item])
    assert said in json.dumps(str(refused.value))
