"""Each kind of bad input gets one clear line and the right exit code, and nothing is half done."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Program, wait_served, write_bundle

ENDS_WITHIN_S = 60


def missing_file(folder: Path) -> str:
    (folder / "model.py").unlink()
    return "model.py"


def wrong_hash(folder: Path) -> str:
    with (folder / "tessera.toml").open("a") as manifest:
        manifest.write(f'[hashes]\n"model.py" = "{"00" * 32}"\n')
    return "SHA-256"


def outside(folder: Path) -> str:
    manifest = folder / "tessera.toml"
    manifest.write_text(manifest.read_text().replace('"model.py"', '"../model.py"'))
    return "../model.py"


def symlink(folder: Path) -> str:
    (folder / "secret").symlink_to("/etc/hostname")
    return "secret"


def broken_toml(folder: Path) -> str:
    (folder / "tessera.toml").write_text("name = = 3")
    return "tessera.toml"


@pytest.mark.parametrize("spoil", [missing_file, wrong_hash, outside, symlink, broken_toml])
def test_a_spoiled_bundle_is_refused_before_anything_is_sent(
    world: Program, tmp_path: Path, spoil: object
) -> None:
    folder = write_bundle(tmp_path / "spoiled", name="spoiled")
    assert callable(spoil)
    named = spoil(folder)
    outcome = world("publish", folder)
    assert outcome.code == 2, outcome.err
    assert named in outcome.err
    assert "Traceback" not in outcome.err
    slugs = [asset["slug"] for asset in world.ok("assets", "list")["assets"]]
    assert "spoiled" not in slugs


def test_all_that_is_wrong_is_said_at_once(world: Program, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "spoiled", name="spoiled")
    missing_file(folder)
    symlink(folder)
    refused = world("publish", folder, "--json")
    assert refused.code == 2
    assert len(refused.json["details"]["problems"]) == 2


def test_without_a_chain_a_command_says_how_to_start_one(program: Program) -> None:
    outcome = program("assets", "list")
    assert outcome.code == 5
    assert "tessera up" in outcome.err


def test_a_chain_that_does_not_answer_is_named(program: Program) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    outcome = program("assets", "list", "--rpc-url", f"http://127.0.0.1:{port}")
    assert outcome.code == 5
    assert str(port) in outcome.err


def test_a_busy_port_is_one_clear_line(program: Program) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        outcome = program("up", "--node-port", str(port), "--gateway-port", "0")
    assert outcome.code == 4
    assert str(port) in outcome.err
    assert "Traceback" not in outcome.err


def test_a_mistyped_command_gets_the_nearest_one(program: Program) -> None:
    outcome = program("pubish")
    assert outcome.code == 2
    assert "publish" in outcome.err


def test_a_mistyped_setting_gets_the_nearest_one(program: Program) -> None:
    outcome = program("config", "node_prt", "--json")
    assert outcome.code == 2
    assert outcome.json["code"] == "not_found"
    assert "node_port" in outcome.err


def test_ctrl_c_at_any_moment_of_the_start_is_clean(program: Program) -> None:
    ports = ("--node-port", "0", "--gateway-port", "0")
    for after_s in (0.4, 1.5, 3.0):
        # Each start but the first meets what an interrupted one left.
        up = program.start("up", *ports, "--json")
        try:
            time.sleep(after_s)
            up.send_signal(signal.SIGINT)
            _, err = up.communicate(timeout=ENDS_WITHIN_S)
        finally:
            if up.poll() is None:
                up.kill()
                up.communicate()
        assert up.returncode in (130, -signal.SIGINT), err
        if after_s > 1:
            assert up.returncode == 130, err
            assert "Traceback" not in err
    # Nothing is lost and nothing stands in the way: it starts again.
    again = program.start("up", *ports, "--json")
    try:
        assert again.stdout is not None
        assert json.loads(again.stdout.readline())["ok"] is True
        again.terminate()
        _, err = again.communicate(timeout=ENDS_WITHIN_S)
        assert again.returncode == 0, err
    finally:
        if again.poll() is None:
            again.kill()
            again.communicate()
    # A chain that exists takes no other delay.
    refused = program("up", *ports, "--withdraw-delay-s", "5")
    assert refused.code == 2
    assert "withdraw_delay_s (from flag): found 5, wanted 86400" in refused.err


def test_help_needs_no_room(program: Program) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from tessera.cli.running import run; run(['--help']);"
        "heavy = {'web3', 'openai', 'onnxruntime', 'sqlalchemy', 'tessera.app', 'uvicorn'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_a_gateway_that_does_not_answer_is_named(world: Program) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    outcome = world("call", "mean", "hi", "--gateway", f"http://127.0.0.1:{port}/v1", "--json")
    assert outcome.code == 7
    assert outcome.json["code"] == "backend_failed"
    assert f"gateway http://127.0.0.1:{port}: found" in outcome.err
    assert "tessera up" in outcome.err


def test_what_the_gateway_refuses_keeps_its_code_and_names_the_model(
    world: Program, tmp_path: Path
) -> None:
    world.ok("publish", write_bundle(tmp_path / "bundle", "refuser"))
    wait_served(world, "refuser")
    outcome = world("call", "refuser", "[]", "--json")
    assert outcome.code == 2
    assert outcome.json["code"] in ("input_error", "unprocessable")
    assert "model refuser: " in outcome.err
    unpaid = world("call", "refuser", "[[1, 2]]", "--max-cost", "0.001", "--json")
    assert unpaid.code == 3
    assert unpaid.json["code"] == "payment_required"


def test_a_busy_port_of_the_gateway_is_found_before_a_chain_is_made(program: Program) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        outcome = program("up", "--node-port", "0", "--gateway-port", str(port))
    assert outcome.code == 4
    assert "--gateway-port" in outcome.err
    assert not (program.data / "chain").exists()


def test_a_folder_without_a_manifest_is_told_the_command_that_makes_one(
    world: Program, tmp_path: Path
) -> None:
    refused = world("publish", tmp_path)
    assert refused.code == 2
    assert "tessera init FOLDER" in refused.err


def test_a_second_start_is_told_where_the_first_one_runs(world: Program) -> None:
    there = world.ok("status")["gateway_url"]
    again = world("up")
    assert again.code == 4
    assert f"use it: {there}/v1" in again.err
    assert "kill" not in again.err


def test_who_deposits_more_than_there_is_reads_how_much_that_is(world: Program) -> None:
    refused = world("channel", "open", "5000000")
    assert refused.code == 2, refused.err
    assert "wanted 5,000,000.00 TUSD" in refused.err
    assert "tessera account faucet consumer" in refused.err
