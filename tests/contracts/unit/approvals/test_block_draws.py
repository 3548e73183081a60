"""Random numbers from blocks that do not exist yet."""

from __future__ import annotations

import pytest
from rig.approving import KEEPER
from rig.compiling import compiled
from rig.contract import Contract, deployed, refused
from rig.engines import new_engine
from rig.people import key_of

from tessera.spec.court import seed_of_block


@pytest.fixture
def draws() -> Contract:
    return deployed(new_engine(), compiled("BlockDraws"), 5, by=KEEPER.address)


def test_a_draw_is_over_one_block(draws: Contract) -> None:
    """The tests' engines make a block each second."""
    draw = draws("request")
    (event,) = draws.events("Requested")
    named = event.arguments["block_number"]
    assert draws("block_of", draw) == named
    with refused("block_draws: its block is still to come"):
        draws("fix", draw)
    draws.engine.now += 6
    assert draws("seed_of", draw) == bytes(32)
    seed = draws("fix", draw)
    assert draws("seed_of", draw) == seed != bytes(32)
    with refused("block_draws: fixed already"):
        draws("fix", draw)
    other = draws("request")
    draws.engine.now += 6
    assert draws("fix", other) != seed


def test_the_number_is_the_hash_of_the_block_that_was_named(draws: Contract) -> None:
    # Answers with the hash of the block that it is asked for.
    oracle = "0x" + "0b" * 20
    draws.engine.place(oracle, bytes.fromhex("5f35405f5260205ff3"))
    draw = draws("request")
    named = draws("block_of", draw)
    draws.engine.now += 20
    block_hash, _ = draws.engine.call(KEEPER.address, oracle, named.to_bytes(32, "big"))
    where = {"chain_id": draws.engine.chain_id, "draws": key_of(draws)}
    assert draws("fix", draw) == seed_of_block(draw, block_hash, **where)


def test_a_hash_that_is_gone_names_another_block(draws: Contract) -> None:
    draw = draws("request")
    named = draws("block_of", draw)
    draws.engine.now += 5 + 257
    assert draws("fix", draw) == bytes(32)
    assert draws("block_of", draw) > named
    draws.engine.now += 6
    assert draws("fix", draw) != bytes(32)


def test_what_is_refused(draws: Contract) -> None:
    with refused("block_draws: no such draw"):
        draws("fix", 1)
    for ahead in (0, 2**32):
        with refused("block_draws: blocks out of range"):
            deployed(draws.engine, compiled("BlockDraws"), ahead, by=KEEPER.address)
