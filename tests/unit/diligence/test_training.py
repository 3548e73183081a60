"""The fourth red flag: claims of training, and what is forged to stand for one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.bindings.registry import VersionReleased
from tessera.diligence.results import Flag, Severity
from tessera.diligence.subject import Currency, Payments, People, Subject, TrainingClaim
from tessera.diligence.training import judge
from tessera.diligence.training.likeness import compare
from tessera.diligence.training.logs import read_log
from tessera.diligence.training.safetensors import read_safetensors
from tessera.diligence.training.tensors import read_weights
from tessera.diligence.view import View
from tessera.diligence.wrapper import Answer, Record, probe
from tessera.errors import DataError, InputError
from tessera.facts import Event, Facts, Head, Row, Transfers
from tessera.facts.memory import Memory

TOKEN, MONEY, TEAM, PROVIDER, HOLDER = ("0x" + digit * 40 for digit in "12abc")
KINDS = {"float32": "F32", "float16": "F16", "float64": "F64", "uint16": "BF16", "int8": "I8"}
RANDOM = np.random.default_rng(7)


def save(file: Path, tensors: dict[str, Any]) -> Path:
    header, place = {}, 0
    for name, values in tensors.items():
        end = place + values.nbytes
        kind = KINDS[str(values.dtype)]
        header[name] = {"dtype": kind, "shape": values.shape, "data_offsets": [place, end]}
        place = end
    raw = json.dumps(header).encode()
    data = b"".join(values.tobytes() for values in tensors.values())
    file.write_bytes(struct.pack("<Q", len(raw)) + raw + data)
    return file


def model(seed: int = 1) -> dict[str, Any]:
    """80,000 parameters in four layers and their biases."""
    random = np.random.default_rng(seed)
    layers = {f"layer.{n}.weight": random.normal(size=(100, 200)).astype("f4") for n in range(4)}
    return {**layers, **{f"layer.{n}.bias": np.zeros(200, "f4") for n in range(4)}}


def bf16(values: Any) -> Any:
    return (np.ascontiguousarray(values, "<f4").view("<u4") >> 16).astype("<u2")


def view_of(claim: TrainingClaim, folder: Path, *, rows: list[Row] | None = None) -> View:
    held = {MONEY: Transfers.of(MONEY, rows or [])}
    root = hashlib.sha256(b"data").digest()
    released = Event(
        block=3, time=1_500, tx=0, log=2, transaction="0x" + "9" * 64, address=HOLDER,
        event=VersionReleased(1, 1, root, 0, ""),
    )  # fmt: skip
    memory = Memory(chain_id=1, newest=Head(9, 2_000), held=held, emitted=(released,))
    subject = Subject(
        token=TOKEN,
        claims=(claim,),
        folder=str(folder),
        people=People(team=(TEAM,)),
        payments=Payments(currencies=(Currency(MONEY, 6),)),
    )
    return View(Facts(memory), subject)


def judged(folder: Path, *, rows: list[Row] | None = None, **named: Any) -> Flag:
    claim = TrainingClaim(text="we trained it", **named)
    return judge(view_of(claim, folder, rows=rows))


def why(flag: Flag) -> dict[str, str]:
    return dict(flag.metrics[0].parts["why"])  # type: ignore[call-overload]


def log_lines(count: int = 200) -> str:
    losses = 2 + 8 * np.exp(-np.arange(count) / 50) + RANDOM.normal(size=count) * 0.05
    return "".join(f'{{"step": {n}, "loss": {loss:.4f}}}\n' for n, loss in enumerate(losses))


def test_an_honest_claim_shows_all_four(tmp_path: Path) -> None:
    save(tmp_path / "model.safetensors", model())
    (tmp_path / "log.jsonl").write_text(log_lines() + '{"step": 201, "lo')
    (tmp_path / "a.txt").write_bytes(b"a")
    digest = hashlib.sha256(b"a").hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{digest}  a.txt\n{'0' * 64}  elsewhere.txt\n")
    flag = judged(
        tmp_path, rows=[Row(5, 1_000, 0, 0, TEAM, PROVIDER, 10**9)], parameters=80_000,
        weights="model.safetensors", logs=("log.jsonl",), compute=(PROVIDER,), dataset="SHA256SUMS",
    )  # fmt: skip
    assert (flag.name, flag.severity, flag.verdict) == ("RF4", Severity.CLEAR, "evidenced")
    assert flag.metrics[0].value == 4
    assert "1 of 2 listed files" in why(flag)["data"]


def test_nothing_to_show_is_severe_and_one_thing_is_a_flag(tmp_path: Path) -> None:
    assert judged(tmp_path).severity is Severity.SEVERE
    save(tmp_path / "m.safetensors", model())
    flag = judged(tmp_path, parameters=80_000, weights="m.safetensors")
    assert (flag.severity, flag.verdict) == (Severity.FLAG, "thin")
    assert flag.text == "1 of 4 kinds of evidence; no proof of logs, compute, data"


def test_no_claim_is_undecided_and_no_pass(tmp_path: Path) -> None:
    view = View(Facts(Memory(chain_id=1, newest=Head(9, 2_000), held={})), Subject(token=TOKEN))
    assert judge(view).severity is Severity.UNDECIDED


def test_one_model_in_several_kinds_of_files_is_one_model(tmp_path: Path) -> None:
    """A folder as hubs have it: the same weights as safetensors, and as a pickle beside."""
    file = save(tmp_path / "model.safetensors", model())
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK" + file.read_bytes()[2:])
    flag = judged(tmp_path, parameters=80_000, weights=".")
    assert flag.metrics[0].value == 1


def test_weights_of_another_size_show_nothing(tmp_path: Path) -> None:
    save(tmp_path / "m.safetensors", model())
    found = why(judged(tmp_path, parameters=7 * 10**9, weights="m.safetensors"))
    assert "0% of what these take" in found["weights"]


def test_weights_filled_up_to_the_size_show_nothing(tmp_path: Path) -> None:
    """Zeros, one tensor many times, and a file with a hole: right in size, and nothing in them."""
    small = model()
    save(tmp_path / "zeros.safetensors", {**small, "z": np.zeros((1000, 1000), "f4")})
    copies = {f"copy{n}": small["layer.0.weight"] for n in range(50)}
    save(tmp_path / "copies.safetensors", {**small, **copies})
    with (tmp_path / "hole.bin").open("wb") as file:
        file.truncate(2 * 1_080_000)
    for name in ("zeros.safetensors", "copies.safetensors", "hole.bin"):
        found = why(judged(tmp_path, parameters=1_080_000, weights=name))
        assert "filler" in found["weights"]


def header(fields: dict[str, Any], data: bytes = bytes(64)) -> bytes:
    raw = json.dumps(fields).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def entry(begin: int, end: int, shape: tuple[int, ...] = (4,), kind: str = "F32") -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 7,
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        header({"a": entry(0, 16), "b": entry(8, 24)}),
        header({"a": entry(0, 2**40, (2**38,))}),
        header({"a": entry(0, 16, (10**9,))}),
        header({"a": entry(16, 0)}),
        header({"a": entry(0, 16, (-4,))}),
        struct.pack("<Q", 200_000) + b"[" * 200_000,
    ],
)
def test_a_header_that_promises_what_is_not_there_is_refused(
    tmp_path: Path, content: bytes
) -> None:
    """Overlapping places are the cheapest forgery: one megabyte that is a thousand tensors."""
    file = tmp_path / "m.safetensors"
    file.write_bytes(content)
    with pytest.raises(DataError, match="weights m.safetensors"):
        read_safetensors(file)
    assert (
        "weights m.safetensors" in why(judged(tmp_path, parameters=1, weights=file.name))["weights"]
    )


@given(st.binary(max_size=300))
def test_any_bytes_are_weights_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for name in ("m.safetensors", "m.onnx", "m.bin"):
        (folder / name).write_bytes(data)
        with contextlib.suppress(DataError):
            read_weights(folder / name)


def test_weights_in_onnx_are_read_as_onnx_writes_them(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    values = RANDOM.normal(size=(30, 40)).astype("f4")
    tensors = [
        onnx.numpy_helper.from_array(values, "raw"),
        onnx.helper.make_tensor("typed", onnx.TensorProto.FLOAT, (30, 40), values.ravel()),
        onnx.numpy_helper.from_array(values.astype("f2"), "half"),
    ]
    graph = onnx.helper.make_graph([], "g", [], [], tensors)
    file = tmp_path / "m.onnx"
    file.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    found = read_weights(file)
    assert [(each.name, each.kind, each.shape) for each in found.tensors] == [
        ("raw", "F32", (30, 40)), ("typed", "F32", (30, 40)), ("half", "F16", (30, 40)),
    ]  # fmt: skip
    assert found.parameters == 3_600
    raw, typed, half = found.tensors
    assert compare([raw], [typed]).exact == 1_200
    assert compare([half], [raw]).rounded == 1_200


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "", "link", "missing"])
def test_weights_outside_of_the_models_folder_are_refused(tmp_path: Path, location: str) -> None:
    """An ONNX file may say that its data lies elsewhere; a stranger's says /etc."""
    onnx = pytest.importorskip("onnx")
    (tmp_path / "m").mkdir()
    (tmp_path / "secret").write_bytes(bytes(64))
    (tmp_path / "m" / "link").symlink_to(tmp_path / "secret")
    tensor = onnx.TensorProto(name="t", dims=[16], data_type=1, data_location=1)
    tensor.external_data.add(key="location", value=location)
    graph = onnx.helper.make_graph([], "g", [], [], [tensor])
    file = tmp_path / "m" / "m.onnx"
    file.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with pytest.raises(DataError, match="m.onnx"):
        read_weights(file)


class _Runs:
    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.canary,)


def test_weights_that_are_a_program_are_not_run(tmp_path: Path) -> None:
    """A pickle, as PyTorch's files are, runs what it likes when it is loaded."""
    canary = tmp_path / "canary"
    (tmp_path / "m.pt").write_bytes(pickle.dumps(_Runs(str(canary))))
    judged(tmp_path, parameters=100, weights="m.pt")
    assert not canary.exists()


def test_pipes_and_links_among_the_weights_are_passed_by(tmp_path: Path) -> None:
    save(tmp_path / "m.safetensors", model())
    os.mkfifo(tmp_path / "a.bin")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "b.bin").symlink_to("/dev/zero")
    assert len(read_weights(tmp_path).files) == 1


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda place: place.symlink_to(place)])
def test_what_is_named_and_is_no_file_shows_nothing(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "x")
    flag = judged(
        tmp_path, weights="x", logs=("x",), invoices=("x",), dataset="x", answers="x",
        public=("x",), parameters=1,
    )  # fmt: skip
    assert flag.metrics[0].value == 0
    assert {"weights", "logs", "compute", "data", "endpoint"} <= why(flag).keys()


def likeness(tmp_path: Path, own: dict[str, Any], public: dict[str, Any]) -> Flag:
    save(tmp_path / "own.safetensors", own)
    save(tmp_path / "public.safetensors", public)
    return judged(
        tmp_path, parameters=80_000, weights="own.safetensors", public=("public.safetensors",)
    )


def test_a_public_models_weights_contradict_the_claim_under_any_disguise(tmp_path: Path) -> None:
    """Renamed, padded with noise, with parts left out, shuffled, turned, and rounded to 16 bits."""
    public = model()
    renamed = {f"own.{n}": values for n, values in enumerate(reversed(public.values()))}
    padded = {**renamed, "noise": RANDOM.normal(size=(900, 900)).astype("f4")}
    part = {name: values for name, values in public.items() if "0" not in name}
    brain = {name: bf16(values) for name, values in public.items()}
    half = {name: values.astype("f2") for name, values in public.items()}
    order = RANDOM.permutation(100)
    shuffled = {
        name: values[order] if values.ndim == 2 else values for name, values in public.items()
    }
    turned = {name: np.ascontiguousarray(values.T) for name, values in public.items()}
    for own in (public, renamed, padded, part, shuffled, turned, brain, half):
        flag = likeness(tmp_path, own, public)
        assert (flag.severity, flag.verdict) == (Severity.SEVERE, "contradicted")


def test_a_light_retraining_is_said_to_be_one_and_another_model_is_not(tmp_path: Path) -> None:
    public = model()
    tuned = {
        name: (values + RANDOM.normal(size=values.shape) * 0.02).astype("f4")
        for name, values in public.items()
    }
    flag = likeness(tmp_path, tuned, public)
    assert (flag.severity, flag.verdict) == (Severity.FLAG, "derived")
    flag = likeness(tmp_path, model(seed=2), public)
    assert flag.verdict == "thin"
    assert "0% the same, 0% related" in why(flag)["public public.safetensors"]


def test_biases_of_zeros_are_everybodys(tmp_path: Path) -> None:
    own = {**model(seed=2), **{f"b{n}": np.zeros((300, 300), "f4") for n in range(9)}}
    public = {**model(), **{f"b{n}": np.zeros((300, 300), "f4") for n in range(9)}}
    assert likeness(tmp_path, own, public).verdict != "contradicted"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("step,loss\n" + "".join(f"{n},{9 - n / 30 + n % 3}\n" for n in range(90)), ""),
        ("Step\tTrain_Loss\n" + "".join(f"{n}\t{9 - n / 30 + n % 3}\n" for n in range(90)), ""),
        ("step,loss\n" + "".join(f"{n % 40},{9 - n / 30}\n" for n in range(90)), "go back"),
        ("step,loss\n" + "".join(f"{n},{n}\n" for n in range(30)), "come down"),
        ("step,loss\n" + "".join(f"{n},{9 - n}\n" for n in range(5)), "5 rows"),
        ("step,loss\n" + "".join(f"{n},{9 - n * 0.01}\n" for n in range(99)), "formula"),
        ("step,loss\n" + "".join(f"{n},{2 * 0.9**n}\n" for n in range(300)), "formula"),
        ("step,loss\n" + "".join(f"{n},nan\n{n}.5,{9 - n / 9 + n % 2}\n" for n in range(60)), ""),
    ],
)
def test_a_log_shows_a_training_or_says_why_not(tmp_path: Path, content: str, fault: str) -> None:
    file = tmp_path / "log.csv"
    file.write_text(content)
    found = read_log(file).fault
    assert fault in found
    assert bool(found) is bool(fault)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"a,b\n1,2\n", b"{" * 99_999, b'{"step":1e999}']
)
def test_what_is_no_log_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "log.csv").write_bytes(content)
    with pytest.raises((InputError, DataError), match=r"log\.csv"):
        read_log(tmp_path / "log.csv")


def test_compute_paid_to_oneself_or_paid_back_was_not_paid(tmp_path: Path) -> None:
    """The team names its own wallet as the provider; or the provider returns nine tenths."""
    out = Row(5, 1_000, 0, 0, TEAM, PROVIDER, 10**9)
    back = Row(6, 1_001, 0, 0, PROVIDER, TEAM, 9 * 10**8)
    paid = judged(tmp_path, rows=[out], compute=(PROVIDER,))
    assert f"{10**9} base units" in why(paid)["compute"]
    assert "came back" in why(judged(tmp_path, rows=[out, back], compute=(PROVIDER,)))["compute"]
    own = [Row(5, 1_000, 0, 0, TEAM, TEAM, 10**9)]
    assert "no payment" in why(judged(tmp_path, rows=own, compute=(TEAM,)))["compute"]
    other = [Row(5, 1_000, 0, 0, HOLDER, PROVIDER, 10**9)]
    assert "no payment" in why(judged(tmp_path, rows=other, compute=(PROVIDER,)))["compute"]


def test_an_empty_invoice_is_none_and_two_copies_are_one(tmp_path: Path) -> None:
    for name, content in (("a.pdf", b"%PDF"), ("b.pdf", b"%PDF"), ("c.pdf", b"")):
        (tmp_path / name).write_bytes(content)
    flag = judged(tmp_path, invoices=("a.pdf", "b.pdf", "c.pdf"))
    assert "1 invoice, which is paper" in why(flag)["compute"]
    assert flag.metrics[0].value == 1
    assert judged(tmp_path, invoices=("c.pdf",)).metrics[0].value == 0
    assert "nothing" in why(judged(tmp_path, invoices=("d.pdf",)))["compute"]


def test_hashes_of_data_prove_something_only_where_they_can_be_checked(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a")
    right = hashlib.sha256(b"a").hexdigest()
    passwd = hashlib.sha256(Path("/etc/passwd").read_bytes()).hexdigest()
    for listed, said, shown in (
        (f"{right} *a.txt\n", "1 of 1", 1),
        (f"{'0' * 64}  a.txt\n", "another hash", 0),
        (f"{right}\n", "none of the files", 0),
        (
            f"{passwd}  /etc/passwd\n{passwd}  ../../../../../../etc/passwd\n",
            "none of the files",
            0,
        ),
        ("hello\n", "no hash in it", 0),
    ):
        (tmp_path / "sums").write_text(listed)
        flag = judged(tmp_path, dataset="sums")
        assert said in why(flag)["data"]
        assert flag.metrics[0].value == shown
    released = "0x" + hashlib.sha256(b"data").hexdigest()
    flag = judged(tmp_path, dataset=released)
    assert "released on the chain" in why(flag)["data"]
    assert "no registry" in why(judged(tmp_path, dataset="0x" + "0" * 64))["data"]


def answers(tmp_path: Path, endpoint: str, *, easy: bool = False) -> Flag:
    lines = []
    for number in range(30):
        said = {name: f"{name} says about {number}: " + "word " * 20 for name in ("big", "small")}
        if easy:
            said = dict.fromkeys(said, "the same long answer, whoever is asked about it " * 2)
        said["endpoint"] = said.get(endpoint, f"{endpoint} {number} " + "own " * 20)
        lines.append(
            json.dumps({
                "prompt": f"p{number}",
                "answers": {name: {"text": text} for name, text in said.items()},
            })
        )  # fmt: skip
    (tmp_path / "answers.jsonl").write_text("\n".join(lines))
    return judged(tmp_path, answers="answers.jsonl")


def test_an_endpoint_that_answers_as_a_known_api_is_a_doubt_and_no_contradiction(
    tmp_path: Path,
) -> None:
    """An honest host of the same open weights answers alike, so this alone convicts nobody."""
    flag = answers(tmp_path, "big")
    assert (flag.severity, flag.verdict) == (Severity.SEVERE, "unproved")
    probe = flag.metrics[1]
    assert (probe.name, probe.value) == ("wrapper_probe", 1.0)
    save(tmp_path / "m.safetensors", model())
    (tmp_path / "log.jsonl").write_text(log_lines())
    named = {"parameters": 80_000, "weights": "m.safetensors", "logs": ("log.jsonl",)}
    flag = judged(tmp_path, answers="answers.jsonl", **named)
    assert (flag.severity, flag.verdict) == (Severity.FLAG, "wrapper")
    assert flag.text == "its endpoint answers as big does"
    answers(tmp_path, "own")
    assert judged(tmp_path, answers="answers.jsonl", **named).severity is Severity.CLEAR


def test_marks_token_counts_and_pace_are_evidence() -> None:
    records = [
        Record(
            f"p{n}",
            {
                "endpoint": Answer(
                    "e" * 50, n, 1 + n / 9, "see platform.openai.com" if n == 3 else ""
                ),
                "big": Answer("b" * 50, n, n / 10),
                "small": Answer("s" * 50, n + 1, (n * 7) % 30),
            },
        )
        for n in range(30)
    ]
    found = probe(records * 2)
    assert found.compared == {"big": 29, "small": 29}  # the one with an error is none
    assert found.tokens == {"big": 1.0, "small": 0.0}
    assert found.pace["big"] == pytest.approx(1.0)
    assert abs(found.pace["small"]) < 0.5
    assert found.signs == ("OpenAI",)
    assert found.behind is None


def test_prompts_that_all_answer_alike_tell_nothing(tmp_path: Path) -> None:
    flag = answers(tmp_path, "big", easy=True)
    assert flag.verdict == "unproved"
    assert "tell nothing" in flag.metrics[1].text
