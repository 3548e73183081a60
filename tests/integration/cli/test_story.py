"""Publish, sell, call, settle, claim: through the program alone, and the official client."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Program, running_world, wait_served, write_bundle

PRICE = 10_000
PORTION = 890


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, model_server: str) -> Iterator[Program]:
    """A world of its own: the sums of this story are of everything that was ever paid."""
    with running_world(tmp_path_factory.mktemp("story") / "data", model_server) as program:
        yield program


def test_a_fee_reaches_the_holders_of_a_model(world: Program, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "mean")
    dry = world.ok("publish", folder, "--dry-run")
    assert dry["dry_run"] is True
    assert "mean" not in [asset["slug"] for asset in world.ok("assets", "list")["assets"]]

    published = world.ok("publish", folder, "--cut", "10")
    assert published["root"] == dry["root"]
    again = world.ok("publish", folder)
    assert again["already_published"] is True
    assert again["transactions"] == []

    world.ok("tokenize", "mean", "--supply", "1000", "--period", "1s", "--floor", "60")
    world.ok("offer", "mean", "--shares", "400", "--price", "0.5")
    preview = world.ok("buy", "mean", "100", "--dry-run")
    too_many = world("buy", "mean", "100000000")
    assert too_many.code == 2
    assert "found '100,000,000', wanted more than 0 and at most 400, which" in too_many.err
    unasked = world("buy", "mean", "100")
    assert unasked.code == 2
    assert "add --yes" in unasked.err
    bought = world.ok("buy", "mean", "100")
    assert preview["cost"] == bought["cost"] == str(50 * 10**6)

    world.ok("account", "create", "poor", "--no-fund")
    gasless = world("channel", "open", "0", "--as", "poor", "--yes")
    assert gasless.code == 2, gasless.err
    assert "tessera account faucet poor" in gasless.err
    told = world("buy", "mean", "100", "--yes", "--as", "poor")
    assert "account poor: found '0.00 TUSD', wanted 50.00 TUSD; tessera account faucet poor" in (
        told.err
    )
    minus = world("buy", "mean", "-5", "--yes")
    assert (minus.code, "found '-5', wanted 0 or more" in minus.err) == (2, True)
    world.ok("buy", "mean", "300", "--yes", "--as", "consumer")
    told = world("buy", "mean", "1")
    assert "found 'one that is sold out'" in told.err
    assert "tessera offer mean --shares N --price P" in told.err

    poor = world("transfer", "mean", "publisher", "101")
    assert poor.code == 2, poor.err
    assert "found '100', wanted the 101 to pass on" in poor.err

    wait_served(world, "mean")
    dry = world("call", "mean", "[[1, 2, 3]]", "--dry-run")
    assert dry.out == "would call mean, for at most 0.01 TUSD\n", dry.err
    assert world.ok("status")["channels_due"] == 0
    answer = world.ok("call", "mean", "[[1, 2, 3]]")
    assert answer["outputs"] == [{"output": 2.0}]
    assert answer["cost"] == str(PRICE)

    receipt = world.ok("receipt", "verify", answer["receipt"])
    assert receipt["verified"] is True
    assert receipt["identity"] == "hashed"
    assert world.ok("receipt", "show", answer["receipt"])["cost"] == str(PRICE)
    forged = dict(receipt_file(world, answer["receipt"]), charged=str(PRICE - 1))
    (tmp_path / "forged.json").write_text(json.dumps(forged))
    refused = world("receipt", "verify", tmp_path / "forged.json")
    assert refused.code == 3, refused.err

    settled = world.ok("settle")
    assert settled["total"] == str(PRICE)
    assert world.ok("receipt", "verify", answer["receipt"])["settled"] == str(PRICE)
    assert world.ok("assets", "show", "mean")["settled"] == str(PRICE)

    # 1 % fee, 10 % cut, 89 % to the holders: a tenth of that to the holder of 100 of 1,000.
    deadline = time.monotonic() + 30
    while int(world.ok("portfolio")["claimable"]) < PORTION:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    claimed = world.ok("claim", "--all")
    assert int(claimed["total"]) == PORTION
    assert world.ok("claim", "--all", "--as", "operator")["total"] == str(PRICE // 10)

    shown = world.ok("channel", "show")
    assert shown["balance"] == str(10**6 - PRICE)
    assert world.ok("channel", "top-up", "1")["balance"] == str(2 * 10**6 - PRICE)
    back = world.ok("channel", "withdraw", "--wait")
    assert back["withdrawn"] == str(2 * 10**6 - PRICE)
    assert len(world.ok("channel", "list")["channels"]) == 1
    assert world.ok("channel", "open", "3")["balance"] == str(3 * 10**6)
    assert len(world.ok("channel", "list")["channels"]) == 2

    world.ok("account", "create", "contributor")
    assert "contributor" in world.ok("account", "list")["accounts"]
    world.ok("transfer", "mean", "contributor", "40")
    world.ok("vesting", "grant", "mean", "contributor", "25", "--cliff", "1d", "--duration", "10d")
    owned = world.ok("portfolio", "contributor")
    assert owned["shares"][0]["amount"] == str(40 * 10**18)
    assert owned["vestings"][0]["amount"] == str(25 * 10**18)
    refused = world("transfer", "mean", "contributor", "1000")
    assert refused.code in (2, 5), refused.err


def receipt_file(world: Program, name: str) -> dict[str, object]:
    import httpx

    url = world.ok("status")["gateway_url"]
    found: dict[str, object] = httpx.get(f"{url}/receipts/{name}", trust_env=False).json()
    return found


def test_unknown_names_get_the_nearest_one(world: Program, tmp_path: Path) -> None:
    assert "did you mean 'holder'" in world("claim", "--all", "--as", "holdr").err
    assert world("assets", "show", "nothing-near").code == 2
    refused = world("assets", "show", "nothing-near", "--json")
    assert refused.json["ok"] is False
    assert refused.json["code"] == "not_found"


def test_a_second_supervisor_of_a_folder_is_refused(world: Program) -> None:
    outcome = world("up", "--node-port", "0", "--gateway-port", "0")
    assert outcome.code == 4
    assert "a tessera up that runs there (process" in outcome.err
    assert "use it: http://127.0.0.1:" in outcome.err


def test_an_account_is_made_with_money_on_a_development_chain(world: Program) -> None:
    made = world.ok("account", "create", "holder-1")
    assert made["funded"] is True
    assert world.ok("portfolio", "holder-1")["money"] == str(1_000 * 10**6)
    assert world("account", "create", "holder-1").code == 2


def test_a_wrong_chain_id_is_refused(world: Program) -> None:
    outcome = world("assets", "list", "--chain-id", "5")
    assert outcome.code == 5
    assert "wanted 5" in outcome.err
