"""Our own Share, as it lies on a chain: code and slots observed, nothing assumed."""

from __future__ import annotations

from rig.people import person
from rig.system import World, deploy_world

from tessera.diligence.behaviour.examining import examine
from tessera.diligence.behaviour.ground import Given, Head
from tessera.diligence.behaviour.proxies import ProxyKind, look_behind
from tessera.diligence.behaviour.verdicts import Caveat, Kind, Verdict


class _Observed:
    """All of an engine's code and storage, observed."""

    def __init__(self, world: World) -> None:
        self._engine = world.engine
        self.head = Head(world.engine.chain_id, 1_000, world.engine.now)

    def code(self, address: str) -> bytes:
        return self._engine.code(address)

    def slot(self, address: str, key: int) -> int:
        return self._engine.storage(address, key)


def test_our_own_share_pays_pro_rata_by_code_and_nobody_can_stop_it() -> None:
    world = deploy_world()
    publisher = person("publisher")
    share = world.new_share(publisher).address.lower()
    examination = examine(_Observed(world), share, holders=[publisher.address.lower()])
    decision = examination.decision
    assert examination.behind is not None
    assert examination.behind.kind is ProxyKind.CLONE
    assert not examination.behind.kind.changeable
    assert decision.verdict is Verdict.CODED_PRORATA
    assert decision.kind is Kind.ACCUMULATOR
    assert decision.caveats == (), "nothing assumed, nobody privileged, paid again, never twice"
    assert decision.payout is not None
    assert not decision.payout.assumed
    assert decision.payout.amounts[0] * 7 == decision.payout.amounts[1] * 3


def test_its_code_alone_is_enough_where_nobody_read_its_slots() -> None:
    """What an indexer keeps of a token: its code and what it is a clone of, and no balances."""
    world = deploy_world()
    observed = _Observed(world)
    share = world.new_share(person("publisher")).address.lower()
    behind = look_behind(observed, share)
    codes = {address: observed.code(address) for address in (share, *behind.implementations)}
    examination = examine(Given(codes, head=observed.head), share)
    assert examination.decision.verdict is Verdict.CODED_PRORATA
    assert Caveat.ASSUMED in examination.decision.caveats
    assert Caveat.CLAWBACK not in examination.decision.caveats
    # Setting a clone up, once, stops nobody's claims.
    assert Caveat.STOPPABLE not in examination.decision.caveats
    assert examination.safety.mintable is False
