"""`tessera audit` against a real `tessera up`."""

from __future__ import annotations

from pathlib import Path

from tests.integration.cli.conftest import MANIFEST, Program, wait_served, write_bundle

UNREPEATABLE = """
import os

OFFSET = os.getpid()


def predict(rows):
    return [sum(row) + OFFSET for row in rows]
"""
ROWS = "[1, 2, 3]\n[0.5, 0.25, 4]\n[7, 8, 9]\n"


def test_an_honest_endpoint_is_called_the_same_and_what_it_signed_can_be_audited_again(
    world: Program, tmp_path: Path
) -> None:
    world.ok("publish", write_bundle(tmp_path / "mean", "audited-mean"))
    wait_served(world, "audited-mean")
    rows = tmp_path / "rows.txt"
    rows.write_text(ROWS)
    given = ("--model", "audited-mean", "--allow-python-runners")
    kept = tmp_path / "kept"
    audit = (
        "audit", *given, "--inputs", rows, "--samples", "12", "--keep", kept, "--own",
        tmp_path / "mean", "--as", "auditor",
    )  # fmt: skip
    payer = world.ok("account", "create", "auditor")["address"]
    dry = world.ok(*audit, "--dry-run")
    assert (dry["calls"], dry["cost_at_most"], dry["channel"]) == (12, "120000", None)
    paid = dry["effects"][0]
    assert (paid["account"], paid["change"]) == (payer, "-1000000")
    unasked = world(*audit)
    assert (unasked.code, "add --yes" in unasked.err) == (2, True)
    assert not kept.exists()
    assert world.ok("portfolio", "auditor")["money"] == str(1_000 * 10**6)
    told = world.ok(*audit)
    assert world.ok("portfolio", "auditor")["money"] == str(999 * 10**6)
    # From then on a channel is there: nothing more is set aside.
    assert world.ok(*audit, "--dry-run")["effects"] == []
    assert (told["finding"], told["differs"], told["p_value"]) == ("same", False, 1.0)
    # Three rows, each asked four times and answered alike.
    assert (told["identical"], told["receipts"], told["cost"]) == (3, 12, "120000")
    again = world.ok("audit", *given, "--receipts", kept)
    assert (again["finding"], again["samples"]) == ("same", 3)

    # Whoever changes what was answered contradicts the operator's signature.
    answer = next(kept.glob("*.response"))
    answer.write_bytes(answer.read_bytes().replace(b"2.0", b"2.5") + b" ")
    refused = world("audit", *given, "--receipts", kept, "--json")
    assert (refused.code, refused.json["code"]) == (3, "signature_rejected")


def test_an_endpoint_that_answers_otherwise_ends_with_its_own_exit_code(
    world: Program, tmp_path: Path
) -> None:
    folder = tmp_path / "moody"
    folder.mkdir()
    (folder / "tessera.toml").write_text(MANIFEST.format(name="moody"))
    (folder / "model.py").write_text(UNREPEATABLE)
    world.ok("publish", folder)
    wait_served(world, "moody")
    rows = tmp_path / "rows.txt"
    rows.write_text(ROWS)
    outcome = world(
        "audit", "--model", "moody", "--inputs", rows, "--samples", "6",
        "--allow-python-runners", "--json",
    )  # fmt: skip
    assert outcome.code == 7, outcome.err
    assert outcome.json["code"] == "model_differs"
    details = outcome.json["details"]
    assert (details["finding"], details["different"]) == ("different", 3)
    assert details["p_value"] < 1e-10


def test_what_an_audit_needs_and_does_not_have_is_said(world: Program, tmp_path: Path) -> None:
    world.ok("publish", write_bundle(tmp_path / "mean", "needy"))
    wait_served(world, "needy")
    given = ("audit", "--model", "needy", "--json")
    no_leave = world(*given)
    assert (no_leave.code, no_leave.json["code"]) == (3, "not_allowed")
    no_rows = world(*given, "--allow-python-runners")
    assert (no_rows.code, no_rows.json["code"]) == (2, "input_error")
    assert "--inputs FILE" in no_rows.json["message"]
    rows = tmp_path / "rows.txt"
    rows.write_text(ROWS)
    dear = world(*given, "--allow-python-runners", "--inputs", rows, "--deposit", "0.1")
    assert (dear.code, dear.json["code"]) == (2, "input_error")
    assert "--deposit AMOUNT" in dear.json["message"]
    (tmp_path / "mean" / "model.py").write_text(UNREPEATABLE)
    other = world(*given, "--own", tmp_path / "mean")
    assert (other.code, other.json["code"]) == (4, "conflict")
    assert "which is no version" in other.json["message"]
