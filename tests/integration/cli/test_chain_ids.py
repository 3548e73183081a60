"""`tessera up` on the chain id of Base Sepolia: x402's clients need no configuration there."""

from __future__ import annotations

import json
import signal

from tests.integration.cli.conftest import Program

from tessera.chain.deployments import Deployment
from tessera.chain.predeploys import BASE_SEPOLIA_DOLLAR, PLACES

CHAIN = "84532"


def test_a_chain_with_the_id_of_base_sepolia_pays_in_its_dollar(program: Program) -> None:
    up = program.start(
        "up", "--chain-id", CHAIN, "--node-port", "0", "--gateway-port", "0", "--json"
    )
    try:
        assert up.stdout is not None
        ready = up.stdout.readline()
        assert ready, up.communicate()[1]
        assert json.loads(ready)["chain"]["id"] == int(CHAIN)
        # Nobody has to say the chain's id again where it runs.
        got = program.ok("account", "faucet", "consumer", "5")
        assert int(got["held"]) == 1_005 * 10**6
        made = Deployment.load(program.data / "deployments" / f"{CHAIN}.json")
        assert made.currency.address == BASE_SEPOLIA_DOLLAR
        assert {name: row.address for name, row in made.predeployed.items()} == {
            **PLACES,
            "TestDollar": BASE_SEPOLIA_DOLLAR,
        }
        up.send_signal(signal.SIGTERM)
        _, err = up.communicate(timeout=30)
        assert up.returncode == 0, err
        assert "for tests, with keys to throw away" in err
    finally:
        if up.poll() is None:
            up.kill()
            up.communicate()


def test_such_a_chain_is_not_offered_to_others(program: Program) -> None:
    """A voucher signed on it could be shown on Base Sepolia, where its channel has the same id."""
    shown = program(
        "up", "--chain-id", CHAIN, "--gateway-host", "0.0.0.0", "--node-port", "0",
        "--gateway-port", "0",
    )  # fmt: skip
    assert shown.code == 2
    assert "Base Sepolia" in shown.err
    assert "leave --chain-id out" in shown.err
