"""`tessera diligence --rpc`: a real node is observed, and only what was observed is judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.emitter import EMITTER, emitted
from tests.integration.chain_client.bare_node import CHAIN_ID, BareNode
from tests.unit.diligence.reports import text_answer

from tessera.cli.running import run

TOKEN, TALKER, EMPTY = "0x" + "77" * 20, "0x" + "79" * 20, "0x" + "7a" * 20
PAYER = "0x" + "aa" * 20
HOSTILE = "<b>ok</b>\x1b[2J\u202e"


def always(answer: bytes) -> str:
    """Code that answers every call with these bytes, of which there are fewer than 256."""
    size = len(answer)
    code = bytes([0x60, size, 0x60, 12, 0x60, 0, 0x39, 0x60, size, 0x60, 0, 0xF3]) + answer
    return f"0x{code.hex()}"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareNode]:
    node = BareNode.start(tmp_path_factory.mktemp("node"))
    try:
        node.rpc("anvil_setCode", TOKEN, f"0x{EMITTER.hex()}")
        node.rpc("anvil_setCode", TALKER, always(text_answer(HOSTILE)))
        node.fund(PAYER)
        node.rpc("anvil_impersonateAccount", PAYER)
        for count in (3, 5):
            data = {"from": PAYER, "to": TOKEN, "data": emitted(count), "gas": hex(2_000_000)}
            node.rpc("eth_sendTransaction", data)
        yield node
    finally:
        node.end()


def asked(
    node: BareNode, folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    capsys.readouterr()
    chain = ("--rpc", node.url, "--chain-id", str(CHAIN_ID), "--data-dir", str(folder))
    code = run(["diligence", *arguments, *chain])
    return code, *capsys.readouterr()


def test_a_chain_is_observed_and_then_judged_as_from_files(
    node: BareNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = asked(node, tmp_path, capsys, TOKEN, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert (told["chain_id"], told["transfers"]) == (CHAIN_ID, 8)
    assert told["coverage"]["complete"]
    kept = tmp_path / "facts" / f"{CHAIN_ID}.sqlite"
    code, out, _ = asked(node, tmp_path, capsys, TOKEN, "--json", "--facts", str(kept))
    again = json.loads(out)
    assert code == 0
    assert [again[part] for part in ("metrics", "flags")] == [
        told[part] for part in ("metrics", "flags")
    ]


def test_a_token_that_answers_everything_with_a_hostile_text_is_told_of_calmly(
    node: BareNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No ERC-20: its supply, its decimals and its name are one text, which clears the screen."""
    page = tmp_path / "page.html"
    code, out, err = asked(node, tmp_path, capsys, TALKER, "--html", str(page), "--evidence")
    assert code == 0, err
    assert r"<b>ok</b>\u001b[2J\u202e" in out
    for shown in (out, err, page.read_text()):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert "<b>" not in page.read_text()


def test_an_account_is_no_token(
    node: BareNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = asked(node, tmp_path, capsys, EMPTY)
    assert (code, out) == (2, "")
    assert "code" in err


def test_a_node_of_another_chain_is_refused(
    node: BareNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["diligence", TOKEN, "--rpc", node.url, "--chain-id", "1", "--data-dir",
                str(tmp_path)])  # fmt: skip
    assert code == 5
    assert "--chain-id" in capsys.readouterr().err
