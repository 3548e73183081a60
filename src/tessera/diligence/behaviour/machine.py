"""The sandbox: py-evm with a shadow stack, bounded in steps, depth and time.

Each run is traced: branches with where their condition came from, loads and stores of storage,
calls, transfers of ether. py-evm executes every opcode; nothing of the EVM is written again here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

from eth.abc import MessageAPI, StateAPI, TransactionContextAPI
from eth.exceptions import Halt, Revert
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun.transaction_context import CancunTransactionContext
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState
from eth.vm.logic.invalid import InvalidOpcode
from eth.vm.message import Message
from eth_typing import Address, BlockNumber, Hash32

from tessera.diligence.behaviour.ground import Ground
from tessera.diligence.behaviour.keys import KeyBook
from tessera.diligence.behaviour.origins import Origin
from tessera.diligence.behaviour.runs import Branch, Exhausted, Limits, Run
from tessera.diligence.behaviour.strangers import Strangers
from tessera.diligence.behaviour.tracing import Tracer, number
from tessera.diligence.behaviour.world import World, address_text
from tessera.spec.signatures import keccak

__all__ = ["RICH", "Machine", "producer"]

RICH = 10**26  # wei of every account but a contract on trial
_SECONDS_A_BLOCK = 12


# Words popped by each opcode, where a shadow has to follow; pushes are told by the stack itself.
_POPS: dict[int, int] = {
    **dict.fromkeys((0x15, 0x19), 1),
    **dict.fromkeys(range(0x01, 0x08), 2),
    **dict.fromkeys((0x08, 0x09), 3),
    **dict.fromkeys((0x0A, 0x0B, 0x10, 0x11, 0x12, 0x13, 0x14, 0x16, 0x17, 0x18), 2),
    **dict.fromkeys((0x1A, 0x1B, 0x1C, 0x1D, 0x20), 2),
    **dict.fromkeys((0x31, 0x35, 0x3B, 0x3F, 0x40, 0x49, 0x50, 0x51, 0x54, 0x56, 0x5C, 0xFF), 1),
    **dict.fromkeys((0x37, 0x39, 0x3E, 0x5E), 3),
    0x3C: 4,
    **dict.fromkeys((0x52, 0x53, 0x55, 0x57, 0x5D, 0xF3, 0xFD), 2),
    **{0xA0 + topics: 2 + topics for topics in range(5)},
    0xF0: 3,
    0xF1: 7,
    0xF2: 7,
    0xF4: 6,
    0xF5: 4,
    0xFA: 6,
}


class _State(PragueState):
    """py-evm's state on a `World`."""

    def __init__(self, machine: Machine, context: Any) -> None:
        self.machine = machine
        self._db: Any = None
        self.execution_context = context
        self._account_db: Any = machine.world

    def snapshot(self) -> Any:
        return self.machine.world.record()

    def revert(self, snapshot: Any) -> None:
        self.machine.world.discard(snapshot)

    def commit(self, snapshot: Any) -> None:
        """Nothing: what was written stays until an outer mark undoes it."""

    # Transient words live for one call of the machine, so each call has its own.
    def get_transient_storage(self, address: bytes, slot: int) -> bytes:
        key = ("transient", self.machine.calls, address, slot)
        return bytes(self.machine.world.get(key, b""))

    def set_transient_storage(self, address: bytes, slot: int, value: bytes) -> None:
        self.machine.world.put(("transient", self.machine.calls, address, slot), value)


class _Frame(PragueComputation):
    """One call, executed by py-evm opcode by opcode, with a shadow beside its stack."""

    number = 0
    marks = (0, 0)

    @property
    def words(self) -> list[int | bytes]:
        """py-evm's stack, the top last."""
        return cast("list[int | bytes]", cast("Any", self._stack).values)

    def held(self, at: int, size: int) -> bytes:
        """Bytes of memory; empty where memory does not reach so far."""
        memory = self._memory
        return bytes(memory.read_bytes(at, size)) if len(memory) >= at + size else b""

    @classmethod
    def apply_message(
        cls,
        state: StateAPI,
        message: MessageAPI,
        transaction_context: TransactionContextAPI,
        parent_computation: Any = None,
    ) -> Any:
        machine = cast("_State", state).machine
        if message.depth > machine.limits.depth:
            raise Exhausted("depth")
        return super().apply_message(state, message, transaction_context, parent_computation)

    @classmethod
    def apply_computation(
        cls,
        state: StateAPI,
        message: MessageAPI,
        transaction_context: TransactionContextAPI,
        parent_computation: Any = None,
    ) -> Any:
        machine = cast("_State", state).machine
        code_address = message.code_address
        with cls(state, message, transaction_context) as frame:
            frame.contracts_created = (
                [] if parent_computation is None else parent_computation.contracts_created
            )
            if message.is_create:
                frame.contracts_created.append(message.storage_address)
            machine.enter(frame)
            precompile = frame.precompiles.get(code_address)
            if precompile is not None:
                precompile(frame)
                return frame
            if code_address in machine.world.strangers:
                answer = machine.stranger_answers(code_address, message)
                if answer is None:
                    raise Revert(b"")
                frame.output = answer
                return frame
            _execute(machine, frame)
        machine.leave(frame)
        return frame


_State.computation_class = _Frame
# py-evm warns at each SELFDESTRUCT that the opcode is going away; contracts on trial have it all
# the same. What it wraps is what runs.
_DESTROY = PragueComputation.opcodes[0xFF]
_Frame.opcodes = {**PragueComputation.opcodes, 0xFF: getattr(_DESTROY, "__wrapped__", _DESTROY)}


def _execute(machine: Machine, frame: Any) -> None:
    """Run a frame's code; the shadow stack mirrors py-evm's own."""
    run, tracer = machine.run_now, machine.tracer
    stack = frame.words
    opcodes = frame.opcodes
    code = frame.code
    shadow: list[Origin | None] = []
    memory: dict[int, Origin] = {}
    steps_left = machine.limits.steps
    for opcode in code:
        run.steps += 1
        if run.steps > steps_left or (run.steps & 0x3FF == 0 and machine.is_late()):
            raise Exhausted("steps")
        handler = opcodes.get(opcode)
        if handler is None:
            handler = InvalidOpcode(opcode)
        if 0x5F <= opcode <= 0x7F:  # PUSH
            handler(computation=frame)
            shadow.append(None)
        elif 0x80 <= opcode <= 0x8F:  # DUP
            handler(computation=frame)
            shadow.append(shadow[-(opcode - 0x7F)])
        elif 0x90 <= opcode <= 0x9F:  # SWAP
            handler(computation=frame)
            other = -(opcode - 0x8F) - 1
            shadow[-1], shadow[other] = shadow[other], shadow[-1]
        elif opcode == 0x5B:  # JUMPDEST
            handler(computation=frame)
        else:
            pops = _POPS.get(opcode, 0)
            if pops > len(stack):
                handler(computation=frame)  # raises: the stack has too little
            values = stack[: -pops - 1 : -1] if pops else []
            origins = shadow[: -pops - 1 : -1] if pops else []
            if opcode == 0x57:  # JUMPI
                run.branches.append(
                    Branch(
                        frame.number, code.program_counter - 1, bool(number(values[1])), origins[1]
                    )
                )
            prepared = tracer.before(frame, opcode, values, origins, memory)
            try:
                handler(computation=frame)
            except Halt:
                break
            if pops:
                del shadow[-pops:]
            if len(stack) > len(shadow):
                shadow.append(tracer.after(frame, opcode, values, origins, memory, prepared))
            elif opcode in (0x52, 0x37, 0x39, 0x3E, 0x55):
                tracer.wrote(frame, opcode, values, origins, memory)


def producer(block: int, *, other: bool) -> bytes:
    """Address of who made the block: none that a contract could know beforehand."""
    return bytes(keccak(f"producer of {block}, {other}".encode())[12:])


class Machine:
    """One sandbox over one ground.

    Parameters
    ----------
    ground
        What was observed.
    limits
        Bounds.
    """

    def __init__(self, ground: Ground, limits: Limits | None = None) -> None:
        self.ground = ground
        self.limits = limits or Limits()
        self.world = World(ground)
        self.strangers = Strangers(self.world, ground.head.timestamp)
        self.keys = KeyBook()
        self.cast: set[bytes] = set()  # accounts of ours, without code
        self.tracer = Tracer(self.world, self.keys, self.cast)
        self.warped = 0
        self.calls = 0
        self.spent = 0  # opcodes of all runs
        self.other_block = False  # run in a block that another producer made
        self.run_now = Run()
        self.chosen: Mapping[tuple[str, int], int] = {}
        self._frames = 0
        self._deadline = time.monotonic() + self.limits.seconds

    # Running ----------------------------------------------------------------------------------
    def is_late(self) -> bool:
        """Whether the time of this sandbox is spent."""
        return self.spent > self.limits.total_steps or time.monotonic() > self._deadline

    def warp(self, seconds: int) -> None:
        """Let time pass, and blocks with it."""
        self.warped += seconds

    def call(
        self,
        target: bytes,
        data: bytes,
        sender: bytes,
        *,
        value: int = 0,
        static: bool = False,
    ) -> Run:
        """Send one call and keep what it did; a failed one leaves nothing behind.

        Raises
        ------
        Exhausted
            The time of the whole sandbox is spent. A run that meets its own bound ends as one
            that did not succeed, with `Run.stopped`.
        """
        if self.is_late():
            raise Exhausted("time")
        head = self.ground.head
        context = ExecutionContext(
            coinbase=Address(producer(head.number, other=self.other_block)),
            timestamp=head.timestamp + self.warped,
            block_number=BlockNumber(head.number + 1 + self.warped // _SECONDS_A_BLOCK),
            difficulty=0,
            mix_hash=Hash32(keccak(producer(head.number, other=self.other_block))),
            gas_limit=60_000_000 if self.other_block else 36_000_000,
            # No two alike, as on a chain: code that compares them would know where it is.
            prev_hashes=(
                Hash32(keccak(producer(head.number - back, other=self.other_block)))
                for back in range(1, 257)
            ),
            chain_id=head.chain_id,
            base_fee_per_gas=7 * 10**9 if self.other_block else 10**9,
            excess_blob_gas=0,
        )
        state = _State(self, context)
        run = self.run_now = Run()
        self.calls += 1
        self._frames = 0
        self.tracer.begin(run)
        mark = self.world.record()
        message = Message(
            gas=self.limits.gas,
            to=Address(target),
            sender=Address(sender),
            value=value,
            data=data,
            code=self.world.get_code(target),
            is_static=static,
        )
        price = 8 * 10**9 if self.other_block else 2 * 10**9
        transaction = CancunTransactionContext(gas_price=price, origin=Address(sender))
        try:
            frame = _Frame.apply_message(state, message, transaction)
            self.spent += run.steps
        except Exhausted:
            self.spent += run.steps
            run.stopped = True
            self.world.discard(mark)
            if self.is_late():
                raise
            return run
        run.success = frame.is_success
        run.output = bytes(frame.output)
        run.destroyed = run.success and bool(frame.get_accounts_for_deletion())
        if not run.success or static:
            self.world.discard(mark)
        return run

    # What frames tell -------------------------------------------------------------------------
    def enter(self, frame: Any) -> None:
        """A frame begins: give it a number, and note ether that came with it."""
        frame.number = self._frames
        self._frames += 1
        run = self.run_now
        frame.marks = (len(run.stores), len(run.paid))
        run.called.add(address_text(frame.msg.storage_address))

    def leave(self, frame: Any) -> None:
        """A frame ended: what it did counts for nothing if it failed."""
        if frame.is_error:
            run = self.run_now
            stores, paid = frame.marks
            del run.stores[stores:]
            del run.paid[paid:]
            run.failed_frames.add(frame.number)

    def stranger_answers(self, address: bytes, message: Any) -> bytes | None:
        """A simulated contract is called."""
        data = bytes(message.data)
        name = address_text(address)
        before = self.world.record()
        answer = self.strangers.answer(
            address, message.sender, data, lambda selector: self.chosen.get((name, selector), 0)
        )
        if answer is None:
            self.world.discard(before)
        return answer
