"""`tessera account faucet` and `send`: how a key elsewhere comes to gas and money."""

from __future__ import annotations

from tests.integration.cli.conftest import Program


def held(program: Program, name: str, *chain: str) -> int:
    return int(program.ok("portfolio", name, *chain)["money"])


def test_who_has_no_gas_elsewhere_reads_a_command_that_helps(
    world: Program, elsewhere: tuple[Program, tuple[str, ...]]
) -> None:
    there, chain = elsewhere
    poor = there.ok("account", "create", "poor")["address"]
    refused = there("account", "faucet", "poor", *chain)
    advice = f"in the data folder of whoever runs the chain: tessera account faucet {poor}"
    assert (refused.code, advice in refused.err) == (2, True), refused.err
    refused = there("account", "faucet", poor, *chain, "--json")
    assert (refused.code, refused.json["code"]) == (3, "not_allowed")
    assert f"tessera account faucet {poor}" in refused.err

    assert world.ok("account", "faucet", poor, "5")["held"] == str(5 * 10**6)
    assert there.ok("account", "faucet", "poor", "2", *chain)["held"] == str(7 * 10**6)
    # Gas alone is a wish, too.
    assert world.ok("account", "faucet", poor, "0")["held"] == str(7 * 10**6)


def test_money_and_coins_are_sent_to_an_address(
    world: Program, elsewhere: tuple[Program, tuple[str, ...]]
) -> None:
    there, chain = elsewhere
    friend = there.ok("account", "create", "friend")["address"]
    payer = world.ok("account", "create", "sending")["address"]
    give = ("account", "send", friend, "1.5", "--as", "sending")
    dry = world.ok(*give, "--dry-run")
    assert [(e["account"], e["change"]) for e in dry["effects"]] == [
        (payer, "-1500000"),
        (friend, "1500000"),
    ]
    asked = world(*give)
    assert (asked.code, "add --yes" in asked.err) == (2, True)
    assert held(there, "friend", *chain) == 0
    assert "gas" not in dry
    sent = world.ok(*give)
    assert sent["effects"] == dry["effects"]
    assert sent["gas"]["transactions"] == 1
    assert 21_000 < sent["gas"]["used"] < 100_000
    assert int(sent["gas"]["wei"]) >= sent["gas"]["used"]
    assert held(there, "friend", *chain) == 1_500_000
    assert f"{payer} (sending)  -1.5 coins  sent" in world(*give, "--coins", "--dry-run").out
    opening = world("channel", "open", "1", "--as", "sending", "--dry-run").out
    assert " (Channels)  +1.00 TUSD" in opening
    told = world(*give, "--coins", "--yes").err
    assert "gas       21,000, 0.0000" in told
    # The coins are there: it can send some of its money back.
    there.ok("account", "send", payer, "0.5", "--as", "friend", *chain)
    assert held(there, "friend", *chain) == 1_000_000
    too_much = there("account", "send", payer, "9", "--as", "friend", "--yes", *chain)
    assert (too_much.code, "found '1.00 TUSD', wanted 9.00 TUSD" in too_much.err) == (2, True)
    mistyped = world("account", "send", friend[:-1] + "z", "1", "--yes")
    assert (mistyped.code, "wanted 0x and 40 hex digits" in mistyped.err) == (2, True)
    swapped = world("account", "send", friend.swapcase().replace("X", "x", 1), "1", "--yes")
    assert (swapped.code, "as its checksum has them" in swapped.err) == (2, True)
