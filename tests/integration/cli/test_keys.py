"""`tessera keys`: a key is made, used by the official client, bounded, and revoked."""

from __future__ import annotations

import re
import time

import httpx
import openai
import pytest
from tests.integration.cli.conftest import Program, wait_served, write_bundle


@pytest.fixture(scope="module")
def served(world: Program, tmp_path_factory: pytest.TempPathFactory) -> Program:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("keyed", "other"):
        world.ok("publish", write_bundle(folder / name, name))
    for name in ("keyed", "other"):
        wait_served(world, name)
    world.ok("account", "create", "team")
    world.ok("account", "faucet", "team")
    return world


def ask(world: Program, key: str, model: str = "keyed") -> httpx.Response:
    url = world.ok("status")["gateway_url"]
    return httpx.post(
        f"{url}/v1/predict",
        json={"model": model, "rows": [[1, 3]]},
        headers={"authorization": f"Bearer {key}"},
        timeout=30,
    )


def test_a_key_is_made_used_bounded_and_revoked(served: Program) -> None:
    made = served.ok(
        "keys", "create", "research", "2", "--model", "keyed", "--budget", "0.02", "--per", "day",
        "--as", "team",
    )  # fmt: skip
    key = made["key"]
    assert key.startswith(made["id"])
    assert key not in "".join(file.read_text() for file in (served.data / "api-keys").iterdir())
    with openai.OpenAI(
        base_url=served.ok("status")["gateway_url"] + "/v1", api_key=key, max_retries=0
    ) as client:
        raw = client.post(
            "/predict", body={"model": "keyed", "rows": [[1, 3]]}, cast_to=httpx.Response
        )
        assert raw.json()["outputs"] == [{"output": 2.0}]
    forbidden = ask(served, key, "other")
    assert forbidden.status_code == 403
    assert "found 'no grant for other under its terms 1'" in forbidden.json()["error"]["message"]
    assert ask(served, key).status_code == 200
    spent = ask(served, key).json()["error"]
    assert spent["code"] == "insufficient_quota"
    assert "found '0.02 TUSD of 0.02 TUSD spent or in flight'" in spent["message"]
    assert "wanted 0.01 TUSD more for this call" in spent["message"]
    assert served.ok("keys", "budget", "research", "--budget", "0.03")["spent"] == "20000"
    assert ask(served, key).status_code == 200
    listed = [k for k in served.ok("keys", "list")["keys"] if k["id"] == made["id"]]
    told = [(k["name"], k["state"], k["spent"], k["settled"], k["left"]) for k in listed]
    # The gateway counts at once, the chain from the next settlement on.
    assert told == [("research", "good", "30000", "0", "2000000")]
    assert "0.03 TUSD a day" in served("keys", "list").out
    record = served.data / "api-keys" / f"{made['id']}.json"
    kept = record.read_text()
    record.write_text(re.sub(r'"gateway": "[^"]*"', '"gateway": "http://127.0.0.1:1"', kept))
    away = served("keys", "list", "--json")
    assert [k["spent"] for k in away.json["keys"] if k["id"] == made["id"]] == [None]
    assert f"what {made['id']} has spent is not known: gateway http://127.0.0.1:1" in away.err
    record.write_text(kept)
    revoked = served.ok("keys", "revoke", "research", "--withdraw")
    assert revoked["available_at"]
    assert ask(served, key).status_code == 401
    assert served("keys", "revoke", "reserch").code == 2
    # Who does it twice learns how it goes on, and sends nothing.
    again = served("keys", "revoke", "research", "--withdraw", "--yes")
    assert again.code == 0, again.err
    assert "counts no more, as before" in again.out
    number = int(made["channel"])
    assert f"then: tessera channel withdraw --channel {number}, from " in again.out


def test_a_grant_that_is_used_up_is_raised(served: Program) -> None:
    made = served.ok(
        "keys", "create", "short", "1", "--model", "keyed", "--cap", "0.01", "--as", "team"
    )
    assert ask(served, made["key"]).status_code == 200
    assert ask(served, made["key"]).json()["error"]["code"] == "insufficient_quota"
    assert ask(served, made["key"], "other").status_code == 403
    served.ok("keys", "grant", "short", "--cap", "0.02", "--model", "other")
    # For a grant that it does not know the gateway looks at a channel twice a second at most.
    time.sleep(0.6)
    assert ask(served, made["key"], "other").status_code == 200
    served.ok("keys", "grant", "short", "--cap", "0.02")
    # The chain takes the voucher that the gateway signed for the key.
    served.ok("settle")
    (short,) = [key for key in served.ok("keys", "list")["keys"] if key["id"] == made["id"]]
    assert (short["settled"], short["left"]) == ("20000", "980000")
    assert ask(served, made["key"]).status_code == 200


def test_nothing_is_signed_where_it_would_be_in_vain(served: Program) -> None:
    before = served.ok("keys", "list")["keys"]
    dry = served.ok("keys", "create", "dry", "1", "--model", "keyed", "--as", "team", "--dry-run")
    assert dry["dry_run"]
    for arguments in (
        ("create", "x", "1", "--model", "keyd"),
        ("create", "x", "1", "--model", "keyed", "--limit", "other=1"),
        ("create", "x", "1", "--model", "keyed", "--per", "week"),
        ("create", "x", "100000000", "--model", "keyed"),
        ("grant", "nobody", "--cap", "1"),
    ):
        refused = served("keys", *arguments, "--as", "team", "--yes")
        assert refused.code == 2, refused.err
    assert served.ok("keys", "list")["keys"] == before
