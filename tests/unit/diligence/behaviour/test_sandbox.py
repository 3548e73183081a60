"""The sandbox itself: agrees with another EVM, keeps its bounds, and breaks on nothing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from eth_abi.abi import encode
from rig.compiling import compiled_file
from rig.engines import Engine, Reverted, new_engine

from tessera.diligence.behaviour.examining import examine
from tessera.diligence.behaviour.functions import functions_of
from tessera.diligence.behaviour.ground import Given, Head
from tessera.diligence.behaviour.machine import Machine
from tessera.diligence.behaviour.runs import Exhausted, Limits
from tessera.diligence.behaviour.scripts import calldata

OWNER, OTHER = "0x" + "ab" * 20, "0x" + "cd" * 20
SPOILERS = (0xFF, 0xF4, 0xF1, 0xF0, 0xF5, 0x3E, 0x39, 0x5E, 0x20, 0x55, 0x56, 0x57, 0x5B)


@pytest.fixture(scope="module")
def deployed() -> tuple[Engine, str]:
    engine = new_engine()
    creation = compiled_file(Path(__file__).parent / "contracts" / "Payer.vy").creation_code
    arguments = encode(["uint256", "address"], [0, OWNER])
    return engine, engine.deploy(OWNER, creation + arguments).lower()


def test_it_answers_as_another_evm_does_call_by_call(deployed: tuple[Engine, str]) -> None:
    """revm, where it is installed: outputs, refusals and the slots that a call leaves behind."""
    engine, address = deployed

    class Observed:
        head = Head(engine.chain_id, 100, engine.now)

        def code(self, where: str) -> bytes:
            return engine.code(where)

        def slot(self, where: str, key: int) -> int:
            return engine.storage(where, key)

    for function in functions_of(engine.code(address)):
        for caller in (OWNER, OTHER):
            data = calldata(function, bytes.fromhex(OTHER[2:]), {}, ())
            machine = Machine(Observed())
            run = machine.call(bytes.fromhex(address[2:]), data, bytes.fromhex(caller[2:]))
            with engine.trial():
                try:
                    output: bytes | None = engine.call(caller, address, data)[0]
                except Reverted:
                    output = None
                assert (run.output if run.success else None) == output, function.name
                for store in run.stores:
                    assert store.new == engine.storage(address, store.key), function.name


def test_a_loop_is_stopped_at_its_steps_and_the_whole_at_its_sum() -> None:
    loop = bytes.fromhex("5b5f56")
    target, caller = b"\x51" * 20, b"\x77" * 20
    machine = Machine(Given({"0x" + "51" * 20: loop}), Limits(steps=1_000, total_steps=2_500))
    for _ in range(2):
        run = machine.call(target, b"", caller)
        assert run.stopped
        assert not run.success
        assert run.steps <= 1_001
    with pytest.raises(Exhausted):
        machine.call(target, b"", caller)


def test_calls_within_calls_are_bounded() -> None:
    """The attacker calls itself without end, to exhaust the stack of whoever looks."""
    itself = bytes.fromhex("5f5f5f5f5f305af1")
    machine = Machine(Given({"0x" + "51" * 20: itself}), Limits(depth=8))
    assert machine.call(b"\x51" * 20, b"", b"\x77" * 20).stopped


def test_what_fails_leaves_nothing_behind() -> None:
    """It writes slot 0 and reverts."""
    machine = Machine(Given({"0x" + "51" * 20: bytes.fromhex("60015f555f5ffd")}))
    run = machine.call(b"\x51" * 20, b"", b"\x77" * 20)
    assert not run.success
    assert run.stores == []
    assert machine.world.get_storage(b"\x51" * 20, 0) == 0


def test_broken_code_breaks_nothing(deployed: tuple[Engine, str]) -> None:
    """An attacker's code is any bytes: a verdict comes out, and never an exception."""
    engine, address = deployed
    whole = engine.code(address)
    chance = random.Random(17)
    for _ in range(25):
        code = bytearray(whole)
        for _ in range(chance.randint(1, 30)):
            code[chance.randrange(len(code))] = chance.choice(SPOILERS)
        ground = Given({address: bytes(code[: chance.randint(40, len(code))])})
        assert examine(ground, address, Limits(steps=5_000, total_steps=15_000)).decision.reason
