"""Real child processes that raise, hang, die, lie, print and try to break out."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from tessera.assets.manifest import Package
from tessera.errors import BackendFailed, NotAllowed, TooLarge, Unprocessable
from tessera.serving.packages import check_packages, pin_package
from tessera.serving.runner import (
    ECHO,
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
    Task,
    Units,
)
from tessera.serving.runners.python import PythonLimits, PythonRunner

Make = Callable[..., PythonRunner]
ONE = ClassifyRequest(("a text",))


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[PythonRunner] = []

    def build(source: str, task: Task = Task.CLASSIFICATION, **limits: object) -> PythonRunner:
        folder = tmp_path / f"bundle{len(made)}"
        folder.mkdir()
        (folder / "model.py").write_text(textwrap.dedent(source))
        runner = PythonRunner(
            "toy",
            folder,
            "model.py",
            "run",
            frozenset({task}),
            limits=PythonLimits(**{"timeout_s": 10.0, **limits}),  # type: ignore[arg-type]
        )
        made.append(runner)
        return runner

    yield build
    for runner in made:
        await runner.close()


async def failure(runner: PythonRunner, request: ClassifyRequest = ONE) -> str:
    with pytest.raises(BackendFailed) as caught:
        await runner.classify(request)
    return str(caught.value)


async def test_scores_come_back_with_units_and_a_hashed_identity(make: Make) -> None:
    runner = make("def run(texts): return [{'long': len(t) / 10, 'short': 0} for t in texts]")
    await runner.load()
    result = await runner.classify(ClassifyRequest(("12345", "")))
    assert result.scores == [{"long": 0.5, "short": 0.0}, {"long": 0.0, "short": 0.0}]
    assert result.units.input == 2
    assert result.units.output == 0
    assert runner.identity is Identity.HASHED
    assert isinstance(runner, Runner)


async def test_numpy_results_are_plain_values_to_the_caller(make: Make) -> None:
    runner = make(
        """
        import numpy
        def run(texts): return numpy.ones((len(texts), 3), dtype=numpy.float32)
        """,
        Task.EMBEDDINGS,
        memory_bytes=2 << 30,
    )
    result = await runner.embed(EmbeddingsRequest(("a", "b")))
    assert result.vectors == [[1.0, 1.0, 1.0]] * 2


async def test_rows_are_predicted(make: Make) -> None:
    runner = make("def run(rows): return [{'sum': sum(r)} for r in rows]", Task.PREDICT)
    result = await runner.predict(PredictRequest(((1, 2.5), (3, 4))))
    assert result.outputs == [{"sum": 3.5}, {"sum": 7}]
    assert result.units.input == 2


async def test_an_only_output_needs_no_name(make: Make) -> None:
    runner = make("def run(rows): return [sum(r) for r in rows]", Task.PREDICT)
    assert (await runner.predict(PredictRequest(((1, 2),)))).outputs == [{"output": 3}]


async def test_a_raise_tells_type_and_last_line_but_no_paths(make: Make) -> None:
    runner = make(
        """
        def run(texts):
            if texts[0] == 'path':
                raise ValueError('first line\\ncannot read /home/operator/keys/secret.json')
            return [{'x': 1.0} for _ in texts]
        """
    )
    await runner.load()
    pids = runner.pids
    said = await failure(runner, ClassifyRequest(("path",)))
    assert "ValueError: cannot read secret.json" in said
    assert "/home" not in said
    assert "not charged" in said
    await runner.classify(ONE)
    assert runner.pids == pids, "a raise does not cost a process"


async def test_a_hang_is_killed_at_its_time_and_the_next_call_is_answered(make: Make) -> None:
    runner = make(
        """
        import time
        def run(texts):
            while texts[0] == 'hang':
                time.sleep(1)
            return [{'x': 1.0} for _ in texts]
        """,
        timeout_s=0.6,
    )
    await runner.load()
    (pid,) = runner.pids
    assert "did not answer in 0.6 s" in await failure(runner, ClassifyRequest(("hang",)))
    assert _state(pid) is None
    assert (await runner.classify(ONE)).scores == [{"x": 1.0}]


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("[{'x': float('nan')} for _ in texts]", "NaN or infinity"),
        ("[{'x': 1.0}] * 7", "7 scores for 1 texts"),
        ("[{}]", "without any label"),
        ("'words'", "something else than scores by label"),
        ("[{'x': 'high'}]", "something else than scores by label"),
        ("[{'x': object()}]", "TypeError"),
        ("None", "something else than scores by label"),
    ],
)
async def test_nonsense_is_a_failure(make: Make, returned: str, said: str) -> None:
    assert said in await failure(make(f"def run(texts): return {returned}"))


async def test_vectors_of_unequal_length_are_a_failure(make: Make) -> None:
    runner = make("def run(texts): return [[1.0], [1.0, 2.0]]", Task.EMBEDDINGS)
    with pytest.raises(BackendFailed, match="lengths"):
        await runner.embed(EmbeddingsRequest(("a", "b")))


async def test_a_gigabyte_is_refused_by_the_memory_limit(make: Make) -> None:
    said = await failure(make("def run(texts): return [{'x' * (1 << 30): 1.0}]"))
    assert "MemoryError" in said


async def test_a_large_answer_is_refused_by_the_frame_limit(make: Make) -> None:
    runner = make("def run(texts): return [{'x' * (20 << 20): 1.0}]", frame_bytes=1 << 20)
    assert f"over {1 << 20} bytes" in await failure(runner)


async def test_a_forged_frame_of_a_gigabyte_is_not_read(make: Make) -> None:
    runner = make(
        """
        import os
        def run(texts):
            for fd in range(3, 40):
                try:
                    os.write(fd, b'\\x40\\x00\\x00\\x00' + b'x' * 1000)
                except OSError:
                    pass
            return [{'x': 1.0}]
        """
    )
    assert "sent 1073741824 bytes at once" in await failure(runner)


async def test_prints_do_not_reach_the_answers(make: Make) -> None:
    runner = make(
        """
        import os, sys
        def run(texts):
            print('hello from the model' * 10_000)
            os.write(1, b'raw bytes')
            sys.stdout.flush()
            assert sys.stdin.read() == ''
            return [{'x': 1.0}]
        """
    )
    assert (await runner.classify(ONE)).scores == [{"x": 1.0}]
    await asyncio.sleep(0.05)
    assert "raw bytes" in runner.stderr_tail


async def test_a_death_is_told_and_a_crash_loop_is_slowed_down(make: Make) -> None:
    runner = make("import os\ndef run(texts): os._exit(3)")
    assert "ended with status 3" in await failure(runner)
    assert "ended with status 3" in await failure(runner)
    assert "failed 2 times in a row" in await failure(runner), "no process was started"
    await asyncio.sleep(0.3)
    assert "ended with status 3" in await failure(runner)


async def test_code_that_does_not_load_says_why(make: Make) -> None:
    with pytest.raises(BackendFailed, match="raised while loading: ModuleNotFoundError"):
        await make("import no_such_module_anywhere").load()
    with pytest.raises(BackendFailed, match="run in model.py is no callable"):
        await make("run = 3").load()
    with pytest.raises(BackendFailed, match="did not load in 0.5 s"):
        await make("import time\ntime.sleep(60)", load_s=0.5).load()


async def test_code_that_can_says_how_probable_a_text_is(make: Make) -> None:
    said = (Message("user", "ab"),)
    runner = make(
        """
        def run(messages, options): return "x"
        def log_probabilities(messages, text):
            return [-len(messages[0]["content"])] * len(text) if text != "never" else [-1e999]
        """,
        Task.CHAT,
    )
    await runner.load()
    assert isinstance(runner, Scorer)
    assert await runner.log_probabilities(said, "xyz") == (-2.0, -2.0, -2.0)
    with pytest.raises(BackendFailed, match="a probability of 0"):
        await runner.log_probabilities(said, "never")
    silent = make("def run(messages, options): return 'x'", Task.CHAT)
    await silent.load()
    assert await silent.log_probabilities(said, "xyz") is None


async def test_code_that_can_cuts_a_text_and_says_how_probable_its_tokens_are(make: Make) -> None:
    runner = make(
        """
        def run(messages, options): return "x"
        def score_text(text):
            size = len(text.encode())
            return {
                "too few": [(1, -1.0)],
                "certain": [(7, 0.5)],
                "impossible": [(10, -1e999)],
                "nothing": [(3, -1.0), (4, None)],
            }.get(text, [(2, None), (size - 2, -2)])
        """,
        Task.CHAT,
    )
    assert runner.follows == frozenset(), "nobody knows before it is loaded"
    await runner.load()
    assert runner.follows == {ECHO}
    found = await runner.score_text(ScoreRequest("a é"))
    assert (found.tokens, found.starts, found.logs) == (("a ", "é"), (0, 2), (None, -2.0))
    assert found.units == Units(input=2)
    for text in ("too few", "certain", "impossible", "nothing"):
        with pytest.raises(BackendFailed, match="returned"):
            await runner.score_text(ScoreRequest(text))
    with pytest.raises(TooLarge, match="bytes of text"):
        await runner.score_text(ScoreRequest("x" * (1 << 20)))
    silent = make("def run(messages, options): return 'x'", Task.CHAT)
    await silent.load()
    assert silent.follows == frozenset()
    with pytest.raises(Unprocessable, match="how probable"):
        await silent.score_text(ScoreRequest("x"))


async def test_a_file_may_be_called_like_a_standard_module(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("def run(texts): return [{'own': 1.0}]")
    runner = PythonRunner("j", tmp_path, "json.py", "run", frozenset({Task.CLASSIFICATION}))
    assert (await runner.classify(ONE)).scores == [{"own": 1.0}]
    await runner.close()


ESCAPES = {
    "fork": "os.fork()",
    "a program": "__import__('subprocess').run(['true'])",
    "the network": "__import__('socket').create_connection(('127.0.0.1', 9))",
    "a socket of the operator's": "__import__('socket').socket(__import__('socket').AF_UNIX)",
    "a signal to the parent": "os.kill(os.getppid(), 15)",
    "another's files": "open(os.environ.get('X') or '/etc/passwd').read()",
    "the parent's memory": "open(f'/proc/{os.getppid()}/environ').read()",
    "writing into the bundle": "open('model.py', 'a').write('x')",
    "writing elsewhere": "open('/tmp/tessera-escape', 'w').write('x')",
    "limits of the parent": "__import__('resource').prlimit(os.getppid(), 7, (5, 5))",
}


@pytest.mark.parametrize("attempt", ESCAPES)
async def test_the_cage_holds_against(make: Make, attempt: str) -> None:
    runner = make(f"import os\ndef run(texts):\n    {ESCAPES[attempt]}\n    return [{{'x': 1.0}}]")
    await runner.load()
    if not runner.caged:
        pytest.skip("this kernel has no seccomp or no Landlock")
    assert "PermissionError" in await failure(runner)


async def test_threads_and_bundle_files_work_inside_the_cage(make: Make) -> None:
    runner = make(
        """
        import threading, tempfile, pathlib
        def run(texts):
            seen = []
            thread = threading.Thread(target=lambda: seen.append(open('model.py').read(6)))
            thread.start(); thread.join()
            return [{seen[0].strip(): float(pathlib.Path('model.py').stat().st_size > 0)}]
        """
    )
    assert (await runner.classify(ONE)).scores == [{"impor": 1.0}]


async def test_the_operators_environment_is_not_passed_on(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESSERA_UPSTREAM_KEY", "secret")
    runner = make("import os\ndef run(texts): return [{k: 1.0 for k in os.environ}]")
    (names,) = (await runner.classify(ONE)).scores
    assert not any("TESSERA" in name or name == "HOME" for name in names)


async def test_closing_ends_the_children_and_later_calls_fail(make: Make) -> None:
    runner = make("def run(texts): return [{'x': 1.0}]", processes=2)
    await runner.load()
    pids = runner.pids
    assert len(pids) == 2
    await runner.close()
    await runner.close()
    assert [_state(pid) for pid in pids] == [None, None]
    assert "closed" in await failure(runner)


async def test_the_child_dies_with_its_parent(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "orphan"
    folder.mkdir()
    (folder / "model.py").write_text("def run(texts): return [{'x': 1.0}]")
    script = f"""
import asyncio, os
from pathlib import Path
from tessera.assets.manifest import Task
from tessera.serving.runners.python import PythonRunner
async def main():
    folder, tasks = Path({str(folder)!r}), frozenset({{Task.PREDICT}})
    runner = PythonRunner("o", folder, "model.py", "run", tasks)
    await runner.load()
    print(runner.pids[0], flush=True)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    child = int(out)
    for _ in range(100):
        state = _state(child)
        if state in {None, "Z"}:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"child {child} still lives: {state}")


def _state(pid: int) -> str | None:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return None


async def test_a_batch_over_the_limit_and_a_foreign_task_are_refused(make: Make) -> None:
    runner = make("def run(texts): return []", max_batch=2)
    with pytest.raises(TooLarge, match="1 to 2"):
        await runner.classify(ClassifyRequest(("a",) * 3))
    with pytest.raises(Unprocessable, match="wanted classification"):
        await runner.embed(EmbeddingsRequest(("a",)))
    with pytest.raises(Unprocessable):
        await anext(runner.chat_stream(ASK))


ASK = ChatRequest((Message("user", "say it"),), max_tokens=100)
SPEAKER = """
def count_tokens(text): return len(text.split())
def run(messages, options):
    for number in range(1_000_000):
        if number == options['seed']:
            return 'stop'
        yield f'w{number} ', 1
"""


def asking(**changes: object) -> ChatRequest:
    return msgspec.structs.replace(ASK, **changes)


async def test_a_text_streams_with_its_running_units(make: Make) -> None:
    runner = make(SPEAKER, Task.CHAT)
    events = [event async for event in runner.chat_stream(asking(seed=3))]
    assert [e.text for e in events if isinstance(e, ChatDelta)] == ["w0 ", "w1 ", "w2 "]
    assert [(e.units.input, e.units.output) for e in events] == [(2, 1), (2, 2), (2, 3), (2, 3)]
    end = events[-1]
    assert isinstance(end, ChatEnd)
    assert end.finish == "stop"
    whole = await runner.chat(asking(seed=3))
    assert (whole.text, whole.finish, whole.units) == ("w0 w1 w2 ", "stop", end.units)


async def test_max_tokens_holds_even_if_the_model_ignores_it(make: Make) -> None:
    runner = make(SPEAKER, Task.CHAT)
    whole = await runner.chat(asking(max_tokens=5))
    assert (whole.finish, whole.units.output) == ("length", 5)
    assert whole.text == "w0 w1 w2 w3 w4 "
    assert (await runner.chat(asking(seed=1))).text == "w0 ", "the same child goes on answering"


async def test_a_stop_sequence_across_pieces_is_cut_out(make: Make) -> None:
    runner = make(SPEAKER, Task.CHAT)
    whole = await runner.chat(asking(stop=("2 w3",)))
    assert (whole.text, whole.finish) == ("w0 w1 w", "stop")


async def test_an_abandoned_stream_stops_the_model_and_frees_it(make: Make) -> None:
    runner = make(SPEAKER, Task.CHAT)
    stream = runner.chat_stream(asking(max_tokens=10**9))
    async for _ in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]
    pids = runner.pids
    assert (await runner.chat(asking(seed=1))).text == "w0 "
    assert runner.pids == pids, "it was asked to stop, not killed"


async def test_a_stream_that_fails_midway_raises_after_what_came(make: Make) -> None:
    runner = make(
        """
        def run(messages, options):
            yield 'so far '
            raise RuntimeError('lost the thread')
        """,
        Task.CHAT,
    )
    stream = runner.chat_stream(ASK)
    first = await anext(stream)
    assert isinstance(first, ChatDelta)
    assert first.text == "so far "
    with pytest.raises(BackendFailed, match="RuntimeError: lost the thread"):
        await anext(stream)


async def test_tokens_are_never_more_than_bytes_received(make: Make) -> None:
    runner = make("def run(messages, options): yield 'abc', 90", Task.CHAT)
    assert (await runner.chat(ASK)).units.output == 3


async def test_without_a_tokenizer_a_unit_is_four_bytes(make: Make) -> None:
    runner = make("def run(messages, options): return 'x' * 1000", Task.CHAT)
    whole = await runner.chat(asking(max_tokens=10))
    assert whole.text == "x" * 40
    assert (whole.units.input, whole.units.output, whole.finish) == (2, 10, "length")


async def test_a_long_answer_is_whole(make: Make) -> None:
    runner = make(SPEAKER, Task.CHAT)
    whole = await runner.chat(asking(max_tokens=2000))
    assert whole.units.output == 2000


def test_pins_hold_the_version_and_the_bytes() -> None:
    pin = pin_package("msgspec")
    check_packages([pin])
    with pytest.raises(NotAllowed, match=r"0\.0\.1, which the bundle pins"):
        check_packages([Package("msgspec", "0.0.1", pin.sha256)])
    with pytest.raises(NotAllowed, match="sha256"):
        check_packages([Package("msgspec", pin.version, (bytes(32),))])
    with pytest.raises(NotAllowed, match="not installed"):
        check_packages([Package("no-such-package-anywhere", "1", (bytes(32),))])


async def test_a_pin_that_does_not_match_keeps_the_code_from_running(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("raise SystemExit('ran')")
    runner = PythonRunner(
        "pinned",
        tmp_path,
        "model.py",
        "run",
        frozenset({Task.CLASSIFICATION}),
        packages=[Package("msgspec", "0.0.1", (bytes(32),))],
    )
    with pytest.raises(NotAllowed):
        await runner.load()
    assert runner.pids == []
