"""A model server nearby is found, offered, paid for, and used by the official client."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.integration.cli.conftest import STARTS_WITHIN_S, Program, wait_served

from tessera.chain.deployments import Deployment
from tessera.chain.wallet import Wallet
from tessera.client import Client
from tessera.errors import NotFound


def test_a_named_server_is_listed_and_one_that_is_silent_says_why(
    program: Program, model_server: str
) -> None:
    nobody = "http://127.0.0.1:9/v1"
    found = program.ok("upstreams", model_server, nobody)["upstreams"]
    assert found[0] == {
        "url": model_server,
        "models": ["tiny:latest", "tiny-embed"],
        "failure": None,
    }
    assert found[1]["failure"]
    shown = program("upstreams", TESSERA_UPSTREAMS=model_server)
    assert "tiny-embed" in shown.out


def test_a_bundle_for_a_server_names_a_model_that_it_has(
    program: Program, model_server: str, tmp_path: Path
) -> None:
    refused = program("init", tmp_path / "a", "--upstream", model_server, "--model", "tine")
    assert refused.code == 2
    assert "did you mean 'tiny" in refused.err
    assert not (tmp_path / "a").exists()
    made = program.ok("init", tmp_path / "a", "--upstream", model_server, "--model", "tiny-embed")
    assert (made["slug"], made["task"]) == ("tiny-embed", "embeddings")
    again = program("init", tmp_path / "a", "--upstream", model_server, "--model", "tiny")
    assert again.code == 4
    wrong = program(
        "init", tmp_path / "b", "--upstream", model_server, "--model", "tiny", "--task", "predict"
    )
    assert wrong.code == 2
    assert not (tmp_path / "b").exists()


def test_the_official_client_talks_to_its_models_through_a_gateway_and_pays(
    world: Program, model_server: str, tmp_path: Path
) -> None:
    for model in ("tiny", "tiny-embed"):
        world.ok("init", tmp_path / model, "--upstream", model_server, "--model", model)
        world.ok("publish", tmp_path / model)
    wait_served(world, "tiny")
    wait_served(world, "tiny-embed")
    status = world.ok("status")
    # Others of this world pay on the consumer's channel.
    world.ok("account", "create", "listener")
    world.ok("account", "faucet", "listener")
    with Client(
        status["gateway_url"],
        account=Wallet(world.data / "keys").load("listener"),
        deployment=Deployment.load(world.data / "deployments" / "31337.json"),
        rpc_url=status["rpc_url"],
        deposit=10**6,
        state_dir=tmp_path / "purses",
    ) as client:
        with client.openai() as openai:
            stream = openai.chat.completions.create(
                model="tiny", messages=[{"role": "user", "content": "Say hello"}], stream=True
            )
            said = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
            made = openai.embeddings.create(model="tiny-embed", input=["four", "words"])
        assert "".join(said) == "Hello there"
        assert [row.embedding for row in made.data] == [[4, 0.5], [5, 0.5]]
        assert len(client.receipts) == 2
        assert client.spent == sum(receipt.cost for receipt in client.receipts) > 0
        assert {receipt.receipt.identity for receipt in client.receipts} == {2}, "declared"


def test_a_server_that_the_operator_did_not_name_is_not_served(
    world: Program, tmp_path: Path
) -> None:
    folder = tmp_path / "elsewhere"
    made = world.ok("init", folder, "--upstream", "http://127.0.0.1:9", "--model", "elsewhere")
    assert made["answered"] is False
    world.ok("publish", folder)
    deadline = time.monotonic() + STARTS_WITHIN_S
    while (refused := world.ok("status")["refused"].get("elsewhere")) is None:
        assert time.monotonic() < deadline, "the operator looks at the chain twice a second"
        time.sleep(0.1)
    assert "one that you named" in refused


async def test_the_key_goes_to_named_servers_only(model_server: str) -> None:
    from tessera.app.upstreams import allowed_upstreams, choose_model
    from tessera.assets.manifest import Task, UpstreamRunner
    from tessera.config import load_config
    from tessera.serving.discover import FoundServer

    runner = UpstreamRunner(task=Task.CHAT, url=model_server, model="tiny")
    environment = {"TESSERA_UPSTREAM_KEY": "sk-secret"}
    config = load_config({"upstreams": (model_server,)}, environment)
    assert await allowed_upstreams(config, runner) == ((model_server,), "sk-secret")
    found = load_config({}, environment)
    assert await allowed_upstreams(found, runner, local=[model_server]) == ((model_server,), "")
    assert await allowed_upstreams(found, runner, local=()) == ((), "")
    with pytest.raises(NotFound, match="say which"):
        choose_model(FoundServer(model_server, ("tiny", "other")), None)
