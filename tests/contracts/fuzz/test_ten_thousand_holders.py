"""Ten thousand holders: a payment costs the same, and everybody's claim is exact."""

from __future__ import annotations

import random

import pytest
from eth_utils import keccak
from rig.contract import Contract
from rig.engines import Revm, new_engine
from rig.people import person
from rig.system import DAY, ONE_SHARE, World, deploy_world

HOLDERS = 10_000
SUPPLY = 21_000_000 * ONE_SHARE
PUBLISHER = person("publisher")


def _spread(share: Contract, seed: int) -> dict[str, int]:
    dice = random.Random(seed)
    left, balances = SUPPLY, {}
    for number in range(HOLDERS):
        address = "0x" + keccak(text=f"holder {seed} {number}")[12:].hex()
        amount = left if number == HOLDERS - 1 else dice.randint(1, 2 * left // HOLDERS)
        share("transfer", address, amount, by=PUBLISHER.address)
        balances[address] = amount
        left -= amount
    return balances


@pytest.mark.parametrize("seed", [1])
def test_every_claim_is_its_part_of_every_payment(seed: int) -> None:
    if not isinstance(new_engine(), Revm):
        pytest.skip("needs revm: 30,000 transactions take minutes in py-evm")
    world: World = deploy_world()
    share = world.new_share(PUBLISHER, supply=SUPPLY)
    balances = _spread(share, seed)
    assert sum(balances.values()) == SUPPLY
    revenue = 0
    for payment in (1, 999_999_999, 12_345_678_901_234):
        world.fund(share.address, payment)
        assert share("sync") == payment
        revenue += payment
        world.wait(DAY)
    # Half of them claim between two payments, which must change nothing for anybody.
    early = dict(list(balances.items())[: HOLDERS // 2])
    paid = {address: share("claim", by=address) for address in early}
    world.fund(share.address, 777_777)
    share("sync")
    revenue += 777_777
    world.wait(DAY)
    for address, balance in balances.items():
        total = paid.get(address, 0) + share("claim", by=address)
        assert total in {balance * revenue // SUPPLY, balance * revenue // SUPPLY - 1}
        paid[address] = total
    assert share("paid") == sum(paid.values()) <= revenue
    assert revenue - sum(paid.values()) < HOLDERS
    assert world.held(share) == share("obligations") == revenue - sum(paid.values())
