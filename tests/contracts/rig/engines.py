"""Two EVMs behind one small surface: revm (fast) and py-evm through titanoboa (independent).

TESSERA_EVM chooses: `revm`, `boa`, or unset for revm where it is installed (it has no wheels for
every Python). A call on an engine is one transaction of its own, with nonces but without fees.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

# 2027-01-15: later than any build of ours, earlier than 2^32.
GENESIS = 1_800_000_000
CHAIN_ID = 31_337
_ERROR_STRING = bytes.fromhex("08c379a0")
_GAS = 300_000_000


class Reverted(Exception):
    """A call reverted; `reason` is its string, a custom error's four bytes as hex, or empty."""

    def __init__(self, output: bytes, halted: str = "") -> None:
        self.reason = halted
        if output[:4] == _ERROR_STRING:
            length = int.from_bytes(output[36:68], "big")
            self.reason = output[68 : 68 + length].decode()
        elif len(output) == len(_ERROR_STRING):
            self.reason = f"0x{output.hex()}"
        super().__init__(self.reason or "(no reason given)")


@dataclass(frozen=True)
class Log:
    """One event as the chain keeps it."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes


class Engine(Protocol):
    """An EVM with a clock that the test moves.

    What happens inside `trial` never happened: state and clock go back at its end.
    """

    now: int
    chain_id: int

    def deploy(self, sender: str, creation_code: bytes) -> str: ...

    def call(self, sender: str, to: str, data: bytes) -> tuple[bytes, list[Log]]: ...

    def storage(self, address: str, slot: int) -> int: ...

    def store(self, address: str, slot: int, value: int) -> None: ...

    def code(self, address: str) -> bytes: ...

    def place(self, address: str, code: bytes) -> None: ...

    def trial(self) -> AbstractContextManager[None]: ...


class Revm:
    """revm by pyrevm: about 50,000 small calls a second."""

    def __init__(self, chain_id: int = CHAIN_ID) -> None:
        import pyrevm

        self._pyrevm = pyrevm
        self.chain_id = chain_id
        self._now = GENESIS
        self._evm = pyrevm.EVM(
            env=pyrevm.Env(cfg=pyrevm.CfgEnv(chain_id=chain_id), block=self._block()),
            spec_id="CANCUN",
        )

    def _block(self) -> Any:
        return self._pyrevm.BlockEnv(
            number=1 + self._now - GENESIS, timestamp=self._now, gas_limit=_GAS
        )

    @property
    def now(self) -> int:
        return self._now

    @now.setter
    def now(self, value: int) -> None:
        self._now = value
        self._evm.set_block_env(self._block())

    def deploy(self, sender: str, creation_code: bytes) -> str:
        try:
            return str(self._evm.deploy(sender, creation_code))
        except RuntimeError as error:
            raise _from_revm(error) from None

    def call(self, sender: str, to: str, data: bytes) -> tuple[bytes, list[Log]]:
        try:
            output = bytes(self._evm.message_call(sender, to, data, gas=_GAS))
        except RuntimeError as error:
            raise _from_revm(error) from None
        result = self._evm.result
        logs = []
        for log in result.logs if result is not None else ():
            topics, body = log.data
            logs.append(Log(log.address.lower(), tuple(map(bytes, topics)), bytes(body)))
        return output, logs

    def storage(self, address: str, slot: int) -> int:
        return int(self._evm.storage(address, slot))

    def store(self, address: str, slot: int, value: int) -> None:
        self._evm.insert_account_storage(address, slot, value)

    def code(self, address: str) -> bytes:
        return bytes(self._evm.basic(address).code or b"").rstrip(b"\0")

    def place(self, address: str, code: bytes) -> None:
        self._evm.insert_account_info(address, self._pyrevm.AccountInfo(nonce=1, code=code))

    @contextmanager
    def trial(self) -> Iterator[None]:
        before, now = self._evm.snapshot(), self._now
        try:
            yield
        finally:
            self._evm.revert(before)
            self.now = now


def _from_revm(error: RuntimeError) -> Reverted:
    said = str(error)
    output = re.search(r"output: 0x([0-9a-f]*)", said)
    if said.startswith("Revert") and output is not None:
        return Reverted(bytes.fromhex(output[1]))
    return Reverted(b"", halted=said)


class Boa:
    """py-evm through titanoboa: slower, and written by other people."""

    def __init__(self, chain_id: int = CHAIN_ID) -> None:
        from boa.environment import Env
        from boa.interpret import disable_cache

        disable_cache()
        self._env = Env()
        self._env.evm.patch.chain_id = chain_id
        self.now = GENESIS
        # titanoboa wraps two opcodes of a table that all its environments share, once more for
        # each environment; nothing here reads what the wrappers record.
        opcodes = self._env.evm.vm.state.computation_class.opcodes
        for code, unwrapped in ((0x20, "sha3"), (0x55, "sstore")):
            while hasattr(opcodes[code], unwrapped):
                opcodes[code] = getattr(opcodes[code], unwrapped)
        self.chain_id = chain_id

    def split(self, chain_id: int) -> None:
        """Follow a branch of the chain that took another id."""
        self.chain_id = self._env.evm.patch.chain_id = chain_id

    @property
    def now(self) -> int:
        return int(self._env.evm.patch.timestamp)

    @now.setter
    def now(self, value: int) -> None:
        # A block each second, as in the other engine.
        self._env.evm.patch.block_number = 1 + value - GENESIS
        self._env.evm.patch.timestamp = value

    def deploy(self, sender: str, creation_code: bytes) -> str:
        from boa.util.abi import Address

        address, computation = self._env.deploy(
            sender=Address(sender), bytecode=creation_code, gas=_GAS
        )
        if computation.is_error:
            raise Reverted(bytes(computation.output))
        return str(address).lower()

    def call(self, sender: str, to: str, data: bytes) -> tuple[bytes, list[Log]]:
        from boa.util.abi import Address

        computation = self._env.execute_code(
            to_address=Address(to), sender=Address(sender), data=data, gas=_GAS
        )
        self._env.evm.vm.state.clear_transient_storage()
        if computation.is_error:
            raise Reverted(bytes(computation.output))
        logs = [
            Log(
                "0x" + bytes(address).hex(),
                tuple(int(topic).to_bytes(32, "big") for topic in topics),
                bytes(body),
            )
            for address, topics, body in computation.get_log_entries()
        ]
        return bytes(computation.output), logs

    def storage(self, address: str, slot: int) -> int:
        from boa.util.abi import Address

        return int(self._env.get_storage(Address(address), slot))

    def store(self, address: str, slot: int, value: int) -> None:
        from boa.util.abi import Address

        self._env.set_storage(Address(address), slot, value)

    def code(self, address: str) -> bytes:
        from boa.util.abi import Address

        return bytes(self._env.get_code(Address(address)))

    def place(self, address: str, code: bytes) -> None:
        from boa.util.abi import Address

        self._env.set_code(Address(address), code)

    @contextmanager
    def trial(self) -> Iterator[None]:
        now = self.now
        try:
            with self._env.anchor():
                yield
        finally:
            self.now = now


def new_engine(chain_id: int = CHAIN_ID) -> Engine:
    """Make the engine that TESSERA_EVM names."""
    wanted = os.environ.get("TESSERA_EVM", "")
    if wanted == "boa":
        return Boa(chain_id)
    try:
        return Revm(chain_id)
    except ImportError:
        if wanted == "revm":
            raise
        return Boa(chain_id)
