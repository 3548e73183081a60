"""A manifest is read whole or refused with all that is wrong with it."""

from __future__ import annotations

import string
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.assets.manifest import (
    Evidence,
    Field,
    Kind,
    Licence,
    Limits,
    OnnxRunner,
    Package,
    Price,
    PythonRunner,
    Role,
    Task,
    UpstreamRunner,
)
from tessera.assets.reading import read_manifest
from tessera.assets.references import AssetUrn, SlugReference, is_address, parse_reference
from tessera.assets.refusals import BundleInvalid
from tessera.errors import InputError

HEAD = """\
name = "digits"
title = "Digits"
kind = "model"
version = "1.0.0"
licence = "apache-2.0"
"""
RUNNER = """\
[runner]
kind = "onnx"
task = "classification"
file = "model.onnx"
"""
PYTHON = """\
[runner]
kind = "python"
task = "chat"
file = "m.py"
callable = "f"
"""
PRICE = """\
[price]
per_call = "0.001"
"""
ACCOUNT = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


def problems(text: str) -> list[str]:
    with pytest.raises(BundleInvalid) as caught:
        read_manifest(text.encode())
    return [str(problem) for problem in caught.value.problems]


def only_problem(text: str) -> str:
    found = problems(text)
    assert len(found) == 1, found
    return found[0]


def test_a_full_manifest_becomes_typed_values() -> None:
    text = (
        HEAD.replace('"apache-2.0"', '{ spdx = "apache-2.0", file = "LICENSE.txt" }')
        + 'description = """\nTwo\nlines"""\nexclude = ["notes", "*.tmp"]\n'
        + RUNNER
        + """\
files = ["labels.txt"]
limits = { memory_mb = 256 }
options = { labels = ["zero", "one"], scale = 0.1, raw = true }
[price]
per_call = "0.001"
per_1k_input = "12"
[[inputs]]
name = "pixels"
type = "float32"
shape = [-1, 64]
unit = "grey level"
[[outputs]]
name = "label"
type = "string"
[[contributors]]
account = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
role = "data"
weight = 7500
evidence = { file = "data.csv" }
[[contributors]]
name = "lab"
role = "validation"
weight = 2500
[[parents]]
asset = "eip155:31337/erc721:0x00000000000000000000000000000000000000aa/7"
royalty_bps = 500
[[parents]]
asset = "base-model@2.0"
royalty_bps = 0
[benchmark]
name = "held-out"
metric = "accuracy"
value = 0.1
sha256 = "sha256:{first}"
[provenance]
training_log = "train.log"
note = "seeded"
[hashes]
"data.csv" = "{second}"
""".replace("{first}", "AB" * 32).replace("{second}", "cd" * 32)
    )
    manifest = read_manifest(text.encode())
    assert (manifest.name, manifest.kind, manifest.version) == ("digits", Kind.MODEL, "1.0.0")
    assert manifest.licence == Licence("Apache-2.0", "LICENSE.txt")
    assert manifest.runner == OnnxRunner(
        Task.CLASSIFICATION,
        "model.onnx",
        ("labels.txt",),
        Limits(256, 30),
        {"labels": ("zero", "one"), "scale": Decimal("0.1"), "raw": True},
    )
    assert manifest.price == Price(1_000, 12_000_000, 0)
    assert manifest.inputs == (Field("pixels", "float32", (-1, 64), "", "grey level"),)
    assert manifest.contributors[0].evidence == Evidence("data.csv")
    assert [person.role for person in manifest.contributors] == [Role.DATA, Role.VALIDATION]
    assert manifest.parents[0].asset == AssetUrn(31337, "0x" + "0" * 38 + "aa", 7)
    assert manifest.parents[1].asset == SlugReference("base-model", "2.0")
    assert manifest.benchmark is not None
    assert manifest.benchmark.value == Decimal("0.1")
    assert manifest.benchmark.data.sha256 == bytes.fromhex("ab" * 32)
    assert manifest.hashes == {"data.csv": bytes.fromhex("cd" * 32)}
    assert [key for key, _, _ in manifest.references()] == [
        "runner.file",
        "runner.files[0]",
        "licence.file",
        "contributors[0].evidence.file",
        "provenance.training_log",
        'hashes."data.csv"',
    ]


def test_each_kind_of_runner_is_read() -> None:
    python = (
        HEAD
        + PRICE
        + """\
[runner]
kind = "python"
task = "moderation"
file = "model.py"
callable = "predict"
[[runner.packages]]
name = "Vader_Sentiment"
version = "3.3.2"
sha256 = ["{zeros}"]
""".replace("{zeros}", "0" * 64)
    )
    assert read_manifest(python.encode()).runner == PythonRunner(
        Task.MODERATION,
        "model.py",
        "predict",
        (Package("vader-sentiment", "3.3.2", (bytes(32),)),),
    )
    upstream = (
        HEAD.replace('"model"', '"service"')
        + PRICE
        + """\
[runner]
kind = "upstream"
task = "chat"
url = "http://127.0.0.1:11434/v1"
model = "llama"
"""
    )
    assert read_manifest(upstream.encode()).runner == UpstreamRunner(
        Task.CHAT, "http://127.0.0.1:11434/v1", "llama"
    )


def test_all_problems_come_at_once() -> None:
    text = """\
nmae = "x"
title = 3
kind = "modle"
version = "1 0"
licence = "Apache 2"
[runner]
kind = "onxx"
task = "chat"
[price]
per_call = 0.1
per_1k_input = "-1"
per_1k_output = "0.0000001"
"""
    found = problems(text)
    wanted = [
        "tessera.toml: name: found nothing",
        "tessera.toml: title: found 3, wanted a text in quotes",
        "did you mean 'model'?",
        "tessera.toml: version: found '1 0'",
        "did you mean 'Apache-2.0'?",
        "did you mean 'onnx'?",
        "tessera.toml: price.per_call: found 0.1, wanted a decimal amount in quotes",
        "tessera.toml: price.per_1k_input: found '-1'",
        "at most 6 digits after the point",
        "did you mean 'name'?",
    ]
    for part in wanted:
        assert sum(part in line for line in found) == 1, (part, found)
    assert len(found) == len(wanted)


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ('[runner]\nkind="onnx"\ntask="chat"\nfile="../m.onnx"', "leaves the folder with '..'"),
        ('[runner]\nkind="onnx"\ntask="chat"\nfile="/m.onnx"', "is absolute"),
        ('[runner]\nkind="onnx"\ntask="chat"\nfile="m.onnx"\nurl="x"', "an unknown key"),
        ('[runner]\nkind="upstream"\ntask="chat"\nmodel="m"\nurl="ftp://x"', "http or https"),
        (
            '[runner]\nkind="upstream"\ntask="chat"\nmodel="m"\nurl="https://u:secret@x/v1"',
            "without a user name",
        ),
        (
            '[runner]\nkind="python"\ntask="chat"\nfile="m.py"\ncallable="os.system"',
            "the name of a function",
        ),
        (RUNNER + "[runner.limits]\nmemory_mb = 0", "a whole number from 16"),
        (RUNNER + "[runner.limits]\ntimeout_s = true", "found true"),
        (RUNNER + "[runner.options]\nnested = { a = 1 }", "found a table"),
        (
            PYTHON + f'[[runner.packages]]\nname="x"\nversion=">=1"\nsha256=["{"0" * 64}"]',
            "one exact version",
        ),
        (
            PYTHON + '[[runner.packages]]\nname="x"\nversion="1"\nsha256=[]',
            "a list of SHA-256",
        ),
    ],
)
def test_a_bad_runner_is_refused(more: str, wanted: str) -> None:
    assert wanted in only_problem(HEAD + PRICE + more)


def person(weight: int, who: str = f'account = "{ACCOUNT}"', role: str = "data") -> str:
    return f'[[contributors]]\n{who}\nrole = "{role}"\nweight = {weight}\n'


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        (person(9_900), "give out 100"),
        (person(9_000) + person(2_000, 'name = "lab"'), "take away 1000"),
        (
            person(5_000) + person(5_000, f'account = "{ACCOUNT.lower()}"'),
            "each contributor once per role",
        ),
        (person(10_000, ""), "neither account nor name"),
        (person(10_000, 'account = "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed"'), "checksum"),
        (person(10_000, role="boss"), "one of data, compute, code, validation"),
        (person(0), "a whole number from 1 to 10000"),
    ],
)
def test_bad_contributors_are_refused(more: str, wanted: str) -> None:
    assert wanted in only_problem(HEAD + RUNNER + PRICE + more)


def parent(royalty: int, asset: str = "other") -> str:
    return f'[[parents]]\nasset = "{asset}"\nroyalty_bps = {royalty}\n'


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        (parent(6_000) + parent(4_001, "third"), "take away 1"),
        (parent(1) + parent(1), "each parent once"),
        (parent(1, "digits@0.9"), "another asset"),
        (parent(-1), "0 to 10000"),
        (parent(1, "Not A Slug"), "slug@version"),
        (parent(1, f"eip155:1/erc721:0x{'a' * 40}/{2**240}"), "slug@version"),
        ("".join(parent(1, f"p-{number}") for number in range(9)), "at most 8"),
    ],
)
def test_bad_parents_are_refused(more: str, wanted: str) -> None:
    assert wanted in only_problem(HEAD + RUNNER + PRICE + more)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('name = "x', "line 1 (the end)"),
        ("name = x", "line 1, column 8"),
        ("tiny = 1e-99999999999999999999", "cannot be read"),
        ("a = 1\nb = = 2\n", "tessera.toml: line 2, column 5: found broken TOML"),
        ("x = [\n1,\n", "line 2 (the end)"),
        ("a = 1\na = 2\n", "broken TOML"),
        ("n = " + "9" * 5_000, "cannot be read"),
    ],
)
def test_broken_toml_names_line_and_column(text: str, wanted: str) -> None:
    assert wanted in only_problem(text)


def test_text_that_is_not_utf8_names_the_line() -> None:
    with pytest.raises(BundleInvalid, match="line 2: found bytes that are no UTF-8"):
        read_manifest(b'a = "x"\nb = "\xff"\n')


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "true", '"0.9"', "1e-99"])
def test_a_benchmark_is_a_finite_number(value: str) -> None:
    text = HEAD + RUNNER + PRICE + f'[benchmark]\nname="a"\nmetric="b"\nvalue={value}\n'
    assert "benchmark.value" in only_problem(text)


@pytest.mark.parametrize("text", ["1", "0.5", "1_000", "4722366482869645.213695", "0.000001", "0"])
def test_a_price_is_exact(text: str) -> None:
    manifest = read_manifest(f'{HEAD}{RUNNER}[price]\nper_call = "{text}"\n'.encode())
    assert Decimal(manifest.price.per_call) == Decimal(text.replace("_", "")) * 1_000_000


@pytest.mark.parametrize(
    "text", ["", "-1", "1e3", "0x1", "1,5", ".5", "nan", "79228162514264337593543.950336", "٣"]
)
def test_a_price_that_is_no_amount_is_refused(text: str) -> None:
    assert "price.per_call" in only_problem(f'{HEAD}{RUNNER}[price]\nper_call = "{text}"\n')


def test_a_price_that_the_registry_cannot_keep_is_refused_before_it_is_published() -> None:
    said = only_problem(f'{HEAD}{RUNNER}[price]\nper_call = "4722366482869645.213696"\n')
    assert "price.per_call" in said
    assert "4722366482869645.213695 or less" in said


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_read(text: bytes) -> None:
    with pytest.raises(BundleInvalid):
        read_manifest(text)


values = st.recursive(
    st.sampled_from(["1", "-5", "0.5", "true", '"x"', '""', "1979-05-27", "[]", '"../x"', "nan"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda each: f"[{', '.join(each)}]"),
        st.dictionaries(
            st.text(string.ascii_lowercase, min_size=1, max_size=3), inner, max_size=3
        ).map(
            lambda each: "{" + ", ".join(f"{key} = {value}" for key, value in each.items()) + "}"
        ),
    ),
    max_leaves=5,
)
KEYS = [
    *("name", "title", "kind", "version", "licence", "description", "runner", "inputs", "outputs"),
    *("price", "contributors", "parents", "benchmark", "provenance", "hashes", "exclude", "other"),
]


@given(st.dictionaries(st.sampled_from(KEYS), values))
def test_any_toml_is_refused_with_problems_and_never_a_crash(table: dict[str, str]) -> None:
    text = "\n".join(f"{key} = {value}" for key, value in table.items())
    with pytest.raises(BundleInvalid) as caught:
        read_manifest(text.encode())
    assert all(problem.where and problem.found for problem in caught.value.problems)


def test_references_are_read_and_written_alike() -> None:
    for text in ("digits", "digits@1.0.0", f"eip155:31337/erc721:{ACCOUNT}/{2**240 - 1}"):
        assert str(parse_reference(text)) == text
    for bad in ("", "@1", "a@", "a@-", "A", "eip155:01/erc721:0x00/1", "a" * 65):
        with pytest.raises(InputError, match="asset"):
            parse_reference(bad)


def test_an_address_in_mixed_case_needs_its_checksum() -> None:
    assert is_address(ACCOUNT)
    assert is_address(ACCOUNT.lower())
    assert is_address("0x" + ACCOUNT[2:].upper())
    assert not is_address(ACCOUNT.replace("5aA", "5aa"))
    assert not is_address(ACCOUNT[:-1])
