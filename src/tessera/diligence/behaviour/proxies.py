"""Whose code runs behind an address: found by calling it and watching where the call is handed on.

No pattern of bytes has to be known: EIP-1167 clones with and without arguments, EIP-1967, beacons,
EIP-1822 and slots of one's own are told apart by where the address handed on to came from. A
diamond (EIP-2535) is asked for its facets.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from tessera.diligence.behaviour.functions import Function, functions_of
from tessera.diligence.behaviour.ground import Ground
from tessera.diligence.behaviour.machine import Machine
from tessera.diligence.behaviour.runs import Exhausted, Limits

__all__ = ["Behind", "ProxyKind", "look_behind"]

_LOGIC = 0x360894A13BA1A3210667C828492DB98DCA3E2076CC3735A920A3CA505D382BBC
_BEACON = 0xA3F0AD74E5423AEBFD80D3EF4346578335A9A72AEAEE59FF6CB3582B35133D50
_PROXIABLE = 0xC5F16F0FCC639FA48A6947836D9850F504798523BF8C9A3A87D5876CF622BCF7
_FACETS = bytes.fromhex("52ef6b2c")  # facetAddresses()
# A selector that no contract is likely to have: it falls through to what hands calls on.
_NOBODYS = bytes.fromhex("fe5a1cd3") + b"\x00" * 32
_ASKER = b"\x77" * 20
_MOST_STEPS_BEHIND = 4
_MOST_FACETS = 64


class ProxyKind(enum.StrEnum):
    """Where a contract keeps the address of the code it runs."""

    NONE = "no proxy"
    CLONE = "clone (EIP-1167)"
    LOGIC_SLOT = "upgradeable (EIP-1967)"
    BEACON = "beacon (EIP-1967)"
    PROXIABLE = "upgradeable (EIP-1822)"
    OWN_SLOT = "upgradeable (a slot of its own)"
    DIAMOND = "diamond (EIP-2535)"

    @property
    def changeable(self) -> bool:
        """Whether somebody can put other code behind the address."""
        return self not in (ProxyKind.NONE, ProxyKind.CLONE)


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind an address.

    Parameters
    ----------
    implementations
        Addresses whose code runs, lower case, in the order handed on.
    missing
        The one of them that has no code, or whose code nobody observed; None where all is there.
    nothing
        It was observed that there is no code: every call to the address does nothing.
    """

    kind: ProxyKind
    implementations: tuple[str, ...]
    functions: tuple[Function, ...]
    missing: str | None = None
    nothing: bool = False


def look_behind(ground: Ground, address: str, limits: Limits | None = None) -> Behind:
    """Find the code that runs for `address`.

    Parameters
    ----------
    address
        Lower case.
    """
    own = functions_of(ground.code(address) or b"")
    machine = Machine(ground, limits or Limits(steps=20_000, seconds=5.0))
    machine.cast.add(_ASKER)
    target = bytes.fromhex(address[2:])
    try:
        facets = _facets(machine, target) if any(f.selector == _FACETS for f in own) else ()
        run = machine.call(target, _NOBODYS, _ASKER)
    except Exhausted:
        return Behind(ProxyKind.NONE, (), own)
    if facets:
        return _behind(ground, ProxyKind.DIAMOND, facets, own)
    if not run.delegations:
        return Behind(ProxyKind.NONE, (), own)
    chain = tuple(dict.fromkeys(to for _, to, _ in run.delegations[:_MOST_STEPS_BEHIND]))
    origin = run.delegations[0][2]
    kind = ProxyKind.CLONE
    if origin is not None:
        keys = {field.key for field in origin.fields if field.where == address}
        kind = ProxyKind.OWN_SLOT
        for slot, named in (
            (_BEACON, ProxyKind.BEACON),
            (_LOGIC, ProxyKind.LOGIC_SLOT),
            (_PROXIABLE, ProxyKind.PROXIABLE),
        ):
            if slot in keys or any(load.key == slot for load in run.loads):
                kind = named
                break
    elif any(load.key == _BEACON for load in run.loads):
        kind = ProxyKind.BEACON
    return _behind(ground, kind, chain, own)


def _behind(
    ground: Ground, kind: ProxyKind, chain: tuple[str, ...], own: tuple[Function, ...]
) -> Behind:
    found = {function.selector: function for function in own}
    missing, nothing = None, False
    for address in chain:
        code = ground.code(address)
        if not code:
            missing, nothing = address, code is not None or not int(address, 16)
            break
        for function in functions_of(code):
            found.setdefault(function.selector, function)
    functions = tuple(sorted(found.values(), key=lambda function: function.selector))
    return Behind(kind, chain, functions, missing, nothing)


def _facets(machine: Machine, target: bytes) -> tuple[str, ...]:
    """Facets that a diamond names, without the diamond itself."""
    run = machine.call(target, _FACETS, _ASKER, static=True)
    if not run.success:
        return ()
    try:
        (addresses,) = decode(["address[]"], run.output)
    except (DecodingError, OverflowError):
        return ()
    return tuple(str(address).lower() for address in addresses[:_MOST_FACETS])
