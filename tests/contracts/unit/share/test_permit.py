"""EIP-2612: the domain's name is the token's own, so a permit for one Share is none for another."""

from __future__ import annotations

import pytest
from rig.contract import NOBODY, Contract, refused
from rig.people import Person
from rig.signing import domain_of, sign, twin
from rig.system import World

PERMIT = [
    {"name": "owner", "type": "address"},
    {"name": "spender", "type": "address"},
    {"name": "value", "type": "uint256"},
    {"name": "nonce", "type": "uint256"},
    {"name": "deadline", "type": "uint256"},
]


@pytest.fixture
def share(world: World, holder: Person) -> Contract:
    return world.new_share(holder, name="Sentiment", symbol="SNT")


def _permit(
    share: Contract, owner: Person, spender: Person, value: int, deadline: int, name: str
) -> tuple[int, int, int]:
    message = {
        "owner": owner.address,
        "spender": spender.address,
        "value": value,
        "nonce": share("nonces", owner.address),
        "deadline": deadline,
    }
    return sign(owner, domain_of(share, name), "Permit", {"Permit": PERMIT}, message)


def _use(
    share: Contract,
    owner: str,
    spender: Person,
    value: int,
    deadline: int,
    signature: tuple[int, int, int],
) -> None:
    v, r, s = signature
    share(
        "permit",
        owner,
        spender.address,
        value,
        deadline,
        v,
        r.to_bytes(32, "big"),
        s.to_bytes(32, "big"),
        by=spender.address,
    )


def test_a_signature_sets_the_allowance_once(
    world: World, share: Contract, holder: Person, keeper: Person
) -> None:
    signature = _permit(share, holder, keeper, 9, world.now, "Sentiment")
    _use(share, holder.address, keeper, 9, world.now, signature)
    assert share("allowance", holder.address, keeper.address) == 9
    assert share("nonces", holder.address) == 1
    with refused("permit: not signed by the owner"):
        _use(share, holder.address, keeper, 9, world.now, signature)


def test_a_late_permit_is_refused(
    world: World, share: Contract, holder: Person, keeper: Person
) -> None:
    deadline = world.now
    signature = _permit(share, holder, keeper, 9, deadline, "Sentiment")
    world.wait(1)
    with refused("permit: expired"):
        _use(share, holder.address, keeper, 9, deadline, signature)


def test_a_permit_for_another_share_counts_for_nothing(
    world: World, share: Contract, holder: Person, keeper: Person
) -> None:
    other = world.new_share(holder, name="Sentiment", symbol="SNT")
    signature = _permit(other, holder, keeper, 9, world.now, "Sentiment")
    with refused("permit: not signed by the owner"):
        _use(share, holder.address, keeper, 9, world.now, signature)


@pytest.mark.parametrize("fault", ["high s", "v of 0", "v of 29", "nobody", "another amount"])
def test_a_bent_signature_is_refused(
    world: World, share: Contract, holder: Person, keeper: Person, fault: str
) -> None:
    v, r, s = _permit(share, holder, keeper, 9, world.now, "Sentiment")
    owner, value = holder.address, 9
    if fault == "high s":
        v, r, s = twin(v, r, s)
    elif fault == "v of 0":
        v = 0
    elif fault == "v of 29":
        v = 29
    elif fault == "nobody":
        # ecrecover answers zero for garbage, and zero has no shares to be protected.
        owner, r, s = NOBODY, 0, 0
    else:
        value = 10
    with refused("permit: not signed by the owner"):
        _use(share, owner, keeper, value, world.now, (v, r, s))


def test_the_domain_is_told_as_eip_5267_wants_it(world: World, share: Contract) -> None:
    fields, name, version, chain_id, contract, salt, extensions = share("eip712Domain")
    assert (fields, name, version, chain_id) == (b"\x0f", "Sentiment", "1", world.engine.chain_id)
    assert (contract, salt, extensions) == (share.address, bytes(32), ())
    assert len(share("DOMAIN_SEPARATOR")) == 32
