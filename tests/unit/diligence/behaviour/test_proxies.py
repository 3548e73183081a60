"""Whose code runs: every way to hand a call on, and a proxy to nothing."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode

from tessera.diligence.behaviour.examining import examine
from tessera.diligence.behaviour.ground import Given
from tessera.diligence.behaviour.proxies import ProxyKind, look_behind
from tessera.diligence.behaviour.verdicts import Verdict

PROXY, LOGIC, BEACON = ("0x" + digit * 20 for digit in ("a1", "b2", "c3"))
# if selector == 0x4e71d92d (claim): stop; else revert
CLAIM = bytes.fromhex("5f3560e01c634e71d92d146011575f5ffd5b00")
# calldatacopy everything, delegatecall to the address on the stack, return what it returned
FORWARD = "365f5f375f5f365f845af43d5f5f3e3d5ff3"
EIP1967 = 0x360894A13BA1A3210667C828492DB98DCA3E2076CC3735A920A3CA505D382BBC
EIP1967_BEACON = 0xA3F0AD74E5423AEBFD80D3EF4346578335A9A72AEAEE59FF6CB3582B35133D50
EIP1822 = 0xC5F16F0FCC639FA48A6947836D9850F504798523BF8C9A3A87D5876CF622BCF7


def _by_slot(slot: int) -> bytes:
    return bytes.fromhex(f"7f{slot:064x}54{FORWARD}")


@pytest.mark.parametrize(
    ("slot", "kind"),
    [
        (EIP1967, ProxyKind.LOGIC_SLOT),
        (EIP1822, ProxyKind.PROXIABLE),
        (5, ProxyKind.OWN_SLOT),
    ],
)
def test_a_slot_says_which_kind_of_proxy_it_is(slot: int, kind: ProxyKind) -> None:
    ground = Given({PROXY: _by_slot(slot), LOGIC: CLAIM}, {(PROXY, slot): int(LOGIC, 16)})
    behind = look_behind(ground, PROXY)
    assert (behind.kind, behind.implementations) == (kind, (LOGIC,))
    assert behind.kind.changeable
    assert [function.name for function in behind.functions] == ["claim()"]


def test_a_clone_cannot_be_changed() -> None:
    clone = bytes.fromhex(f"363d3d373d3d3d363d73{LOGIC[2:]}5af43d82803e903d91602b57fd5bf3")
    behind = look_behind(Given({PROXY: clone, LOGIC: CLAIM}), PROXY)
    assert behind.kind is ProxyKind.CLONE
    assert not behind.kind.changeable


def test_a_beacon_is_asked() -> None:
    # call beacon.implementation(), then forward to what it answered
    asks = f"635c60da1b60e01b5f5260205f60045f7f{EIP1967_BEACON:064x}545afa505f51"
    proxy = bytes.fromhex(asks + FORWARD)
    beacon = bytes.fromhex(f"73{LOGIC[2:]}5f5260205ff3")
    ground = Given(
        {PROXY: proxy, BEACON: beacon, LOGIC: CLAIM}, {(PROXY, EIP1967_BEACON): int(BEACON, 16)}
    )
    behind = look_behind(ground, PROXY)
    assert (behind.kind, behind.implementations) == (ProxyKind.BEACON, (LOGIC,))


def test_a_diamond_is_asked_for_its_facets() -> None:
    answer = encode(["address[]"], [[LOGIC]])
    head = "5f3560e01c6352ef6b2c146011575f5ffd5b"
    size = len(answer)
    copy = f"60{size:02x}60{18 + 10:02x}5f3960{size:02x}5ff3"
    code = bytes.fromhex(head + copy)
    code += answer
    behind = look_behind(Given({PROXY: code, LOGIC: CLAIM}), PROXY)
    assert (behind.kind, behind.implementations) == (ProxyKind.DIAMOND, (LOGIC,))


def test_a_proxy_to_nothing_is_unknown_and_says_so() -> None:
    """Every call succeeds and does nothing: a naive look finds no fault."""
    ground = Given({PROXY: _by_slot(EIP1967), LOGIC: b""}, {(PROXY, EIP1967): int(LOGIC, 16)})
    decision = examine(ground, PROXY).decision
    assert decision.verdict is Verdict.UNKNOWN
    assert "has no code" in decision.reason


def test_a_proxy_whose_logic_nobody_observed_is_unknown() -> None:
    ground = Given({PROXY: _by_slot(EIP1967)}, {(PROXY, EIP1967): int(LOGIC, 16)})
    decision = examine(ground, PROXY).decision
    assert decision.verdict is Verdict.UNKNOWN
    assert "was not observed" in decision.reason
