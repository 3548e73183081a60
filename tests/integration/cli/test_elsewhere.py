"""An operator on a chain that somebody else runs, whose gateway ends before he has settled."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.cli.conftest import Program, wait_served, write_bundle


def test_on_another_chain_an_operator_deploys_serves_and_settles_without_his_gateway(
    world: Program, tmp_path: Path
) -> None:
    rpc = world.ok("status")["rpc_url"]
    there = Program(tmp_path / "data")
    for number, name in enumerate(("deployer", "consumer"), start=1):
        key = tmp_path / f"{name}.key"
        key.write_text(f"0x{number:02x}" + "5a" * 31)
        made = there.ok("account", "import", name, "--file", key)
        # The same key under another name, on the chain that can give it coins.
        again = world.ok("account", "import", f"there-{name}", "--file", key)
        assert again["address"] == made["address"]
        assert int(world.ok("account", "faucet", f"there-{name}", "5")["minted"]) == 5 * 10**6
    bad = tmp_path / "bad.key"
    bad.write_text("no key at all")
    refused = there("account", "import", "other", "--file", bad)
    assert refused.code == 2
    assert "no key at all" not in refused.err + refused.out

    unreachable = there("up", "--rpc", rpc, "--gateway-port", "0")
    assert unreachable.code == 2, unreachable.err
    assert "name it: --deployment FILE; or put new ones there: --deploy" in unreachable.err
    up = there.start(
        "up", "--rpc", rpc, "--deploy", "--gateway-port", "0", "--operator", "deployer",
        "--allow-python-runners", "--json",
    )  # fmt: skip
    try:
        assert up.stdout is not None
        ready = up.stdout.readline()
        assert ready, up.communicate()[1]
        assert json.loads(ready)["chain"]["embedded"] is False
        there.ok("publish", write_bundle(tmp_path / "mean"), "--as", "deployer")
        there.ok("account", "faucet", "consumer", "5")
        wait_served(there, "mean")
        answer = there.ok("call", "mean", "[[1, 2, 3]]")
        product = there.ok(
            "access", "create", "mean", "--kind", "calls", "--calls", "9", "--price", "1",
            "--units", "9", "--operator", "deployer", "--as", "deployer",
        )  # fmt: skip
        order = there.ok("access", "buy", "mean", "1", "--redeem")["order"]
        there.ok("call", "mean", "[[1, 2, 3]]", "--order", f"{product['access']}/{order}")
        up.terminate()
        _, err = up.communicate(timeout=30)
        assert up.returncode == 0, err
        assert "coin_value_units is 0" in err
    finally:
        if up.poll() is None:
            up.kill()
            up.communicate()

    ended = there("settle")
    assert ended.code == 5, ended.err
    chain = ("--rpc", rpc)
    stranded = there("status", *chain)
    assert f"due: tessera settle --rpc {rpc}" in stranded.out, stranded.err
    stranger = there("settle", *chain)
    assert stranger.code != 0, "the books are not those of the key `operator`"
    settled = there.ok("settle", *chain, TESSERA_OPERATOR="deployer")
    assert settled["total"] == answer["cost"]
    assert len(settled["transactions"]) == 1
    assert settled["orders_proved"] == [[product["access"], order]]
    assert settled["orders_paid"] == str(10**6)
    once_more = there.ok("settle", *chain, TESSERA_OPERATOR="deployer")
    assert once_more["transactions"] == once_more["orders_proved"] == []
