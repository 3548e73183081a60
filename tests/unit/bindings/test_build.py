"""Artifacts are the sources, and a contract that must not be deployed is not built."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tessera.contracts import ARTIFACTS, SOURCES, artifact_names, load_artifact
from tessera.contracts.build import build, compile_contract, deployables, render
from tessera.errors import InputError, NotFound

HEADER = '''# pragma version 0.4.3
"""
@title Small
@notice A contract for a test.
@custom:security None.
@custom:pause None.
"""
'''


def test_every_deployable_has_an_artifact() -> None:
    assert artifact_names() == [file.stem for file in deployables()]


def test_another_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    shutil.copytree(SOURCES, tmp_path / "elsewhere")
    built = render(compile_contract(tmp_path / "elsewhere" / "Till.vy"))
    assert built == render(compile_contract(SOURCES / "Till.vy"))
    assert str(tmp_path) not in built
    assert built == (ARTIFACTS / "Till.json").read_text()


def test_a_check_names_what_differs_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "Small.vy").write_text(HEADER)
    artifacts = tmp_path / "artifacts"
    assert build(tmp_path, artifacts) == ["Small.json"]
    assert build(tmp_path, artifacts, check=True) == []
    (tmp_path / "Small.vy").write_text(HEADER + "\nx: public(uint256)\n")
    (artifacts / "Gone.json").write_text("{}")
    before = (artifacts / "Small.json").read_bytes()
    assert build(tmp_path, artifacts, check=True) == ["Gone.json", "Small.json"]
    assert (artifacts / "Small.json").read_bytes() == before
    assert build(tmp_path, artifacts) == ["Gone.json", "Small.json"]
    assert not (artifacts / "Gone.json").exists()


def test_what_was_compiled_is_kept_until_something_that_goes_in_changes(tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    source, module = tmp_path / "Small.vy", tmp_path / "modules" / "parts.vy"
    source.write_text(HEADER)
    module.write_text("PART: constant(uint256) = 1\n")
    artifacts, kept = tmp_path / "artifacts", tmp_path / "kept"

    def names() -> list[str]:
        build(tmp_path, artifacts, kept=kept)
        return sorted(file.name for file in kept.iterdir())

    (first,) = names()
    (kept / first).write_text("{}")
    assert names() == [first]
    assert (artifacts / "Small.json").read_text() == "{}"
    for part in (source, module):
        part.write_text(part.read_text() + "# changed\n")
        (second,) = names()
        assert second != first
        first = second
        assert (artifacts / "Small.json").read_text() == render(compile_contract(source))


@pytest.mark.parametrize("duty", ["title", "notice", "custom:security", "custom:pause"])
def test_a_contract_without_a_documented_duty_is_refused(tmp_path: Path, duty: str) -> None:
    source = tmp_path / "Small.vy"
    source.write_text(
        "".join(line for line in HEADER.splitlines(keepends=True) if f"@{duty} " not in line)
    )
    with pytest.raises(InputError, match=rf"found 'no @{duty}'"):
        compile_contract(source)


@pytest.mark.parametrize(("texts", "words"), [(26, 1), (19, 256)])
def test_a_contract_that_no_chain_takes_is_refused(tmp_path: Path, texts: int, words: int) -> None:
    """Code that is too long, or becomes so by the immutables that a deployment puts behind it."""
    source = tmp_path / "Large.vy"
    functions = "\n\n".join(
        f'@external\n@pure\ndef f{n}() -> String[900]:\n    return "{chr(97 + n) * 900}"'
        for n in range(texts)
    )
    kept = f"KEPT: immutable(uint256[{words}])\n\n\n@deploy\ndef __init__():\n    KEPT = empty("
    source.write_text(f"{HEADER}{kept}uint256[{words}])\n\n\n{functions}\n")
    with pytest.raises(InputError, match=r"Large\.vy: runtime code.*24576"):
        compile_contract(source)


def test_a_source_that_does_not_compile_says_where(tmp_path: Path) -> None:
    source = tmp_path / "Wrong.vy"
    source.write_text(HEADER + "x: uint257\n")
    with pytest.raises(InputError, match=r"Wrong\.vy does not compile"):
        compile_contract(source)


def test_no_runtime_code_is_near_the_limit_unnoticed() -> None:
    sizes = {name: load_artifact(name).runtime_size for name in artifact_names()}
    assert all(0 < size <= 24_576 for size in sizes.values()), sizes


def test_an_unknown_contract_says_what_exists() -> None:
    with pytest.raises(NotFound, match="did you mean 'Registry'"):
        load_artifact("Registri")
