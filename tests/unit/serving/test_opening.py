from __future__ import annotations

from pathlib import Path

import pytest

from tessera.assets.manifest import Manifest
from tessera.assets.reading import read_manifest
from tessera.errors import InputError, NotAllowed, Unprocessable
from tessera.serving.opening import ServingPolicy, open_runner
from tessera.serving.runner import Identity, Runner, Task

HERE = Path()


def manifest(runner: str, kind: str = "model") -> Manifest:
    head = f'name="m"\ntitle="M"\nkind="{kind}"\nversion="1"\nlicence="MIT"\n'
    return read_manifest(f'{head}[price]\nper_call="0.1"\n{runner}'.encode())


ONNX = '[runner]\nkind="onnx"\ntask="predict"\nfile="m.onnx"\n'
PYTHON = '[runner]\nkind="python"\ntask="chat"\nfile="m.py"\ncallable="run"\n'
UPSTREAM = '[runner]\nkind="upstream"\ntask="chat"\nurl="http://127.0.0.1:9/v1/"\nmodel="x"\n'


def test_a_graph_is_opened_with_its_note() -> None:
    runner = open_runner(
        manifest(ONNX + 'options={note="small", labels=["a","b"]}'), HERE, ServingPolicy()
    )
    assert isinstance(runner, Runner)
    assert (runner.tasks, runner.note, runner.identity) == ({Task.PREDICT}, "small", 1)


def test_python_code_needs_leave() -> None:
    with pytest.raises(NotAllowed, match="--allow-python-runners"):
        open_runner(manifest(PYTHON), HERE, ServingPolicy())
    assert open_runner(manifest(PYTHON), HERE, ServingPolicy(allow_python_runners=True)).tasks


def test_a_publisher_cannot_choose_where_the_operators_key_goes() -> None:
    policy = ServingPolicy(upstreams=("http://127.0.0.1:11434",), upstream_key="sk-secret")
    with pytest.raises(NotAllowed, match="one that you named: http://127.0.0.1:11434/v1"):
        open_runner(manifest(UPSTREAM), HERE, policy)
    named = ServingPolicy(upstreams=("http://127.0.0.1:9",), upstream_key="sk-secret")
    assert open_runner(manifest(UPSTREAM), HERE, named).identity is Identity.DECLARED
    assert "sk-secret" not in repr(named)


def test_a_dataset_cannot_be_run_and_a_wrong_option_is_named() -> None:
    with pytest.raises(Unprocessable, match="a dataset without a runner"):
        open_runner(manifest("", "dataset"), HERE, ServingPolicy())
    with pytest.raises(InputError, match=r"options\.labels"):
        open_runner(manifest(ONNX + "options={labels=3}"), HERE, ServingPolicy())


def test_a_graph_does_not_chat() -> None:
    with pytest.raises(InputError, match="runner onnx"):
        open_runner(manifest(ONNX.replace("predict", "chat")), HERE, ServingPolicy())
