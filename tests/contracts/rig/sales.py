"""First sales of every kind, with terms that a test changes by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rig.compiling import compiled
from rig.contract import Contract
from rig.people import Person, person
from rig.system import DAY, ONE_SHARE, World

FOR_EVER = 2**40
DOLLAR = 10**6


@dataclass
class Stand:
    """A tokenized asset whose publisher has let the Launchpad take shares."""

    world: World
    asset: int
    share: Contract
    publisher: Person

    def open(self, kind: str, terms: tuple[Any, ...], *, by: Person | None = None) -> Contract:
        """Open a sale; `kind` is the Launchpad's function."""
        seller = (by or self.publisher).address
        address = self.world.launchpad(kind, self.asset, terms, by=seller)
        name = {"offer": "Offering", "auction": "Auction", "curve": "Curve"}[kind]
        return Contract(self.world.engine, compiled(name), address)

    def shares_of(self, who: Person | Contract) -> float:
        """Read a balance in whole shares."""
        return int(self.share("balanceOf", who.address)) / ONE_SHARE

    def pay_holders(self, amount: int) -> None:
        """Let revenue come in and stream to its end."""
        self.world.fund(self.share.address, amount)
        self.share("sync")
        self.world.wait(DAY)


def open_stand(world: World, *, supply: int = 100_000) -> Stand:
    """Tokenize an asset of the publisher."""
    publisher = person("publisher")
    asset = world.publish(publisher)
    share = world.tokenize(asset, publisher, supply=supply * ONE_SHARE, period=DAY)
    share("approve", world.launchpad, 2**256 - 1, by=publisher.address)
    return Stand(world, asset, share, publisher)


def pool_of(world: World, share: Contract) -> tuple[int, int, str, int]:
    """Read a pool: raw shares, base units, whose liquidity is locked, and until when."""
    holder, _, until = world.exchange("lock_of", share.address)
    shares, money = world.exchange("reserves_of", share.address)
    return shares, money, holder, until


def sale_terms(world: World, **changes: Any) -> tuple[Any, ...]:
    """1,000 shares at 2.00 each, soft cap 400, a week."""
    parts = {
        "publisher": person("publisher").address,
        "price": 2 * DOLLAR,
        "for_sale": 1_000 * ONE_SHARE,
        "soft_cap": 400 * ONE_SHARE,
        "cap_per_buyer": 1_000 * ONE_SHARE,
        "start": world.now,
        "end": world.now + 7 * DAY,
        "allowed": bytes(32),
        "liquidity": (0, 0, 0),
    }
    assert set(changes) <= set(parts)
    return tuple({**parts, **changes}.values())


def auction_terms(world: World, **changes: Any) -> tuple[Any, ...]:
    """1,000 shares from 10.00 down to 2.00 each within eight days, soft cap 500.00."""
    parts = {
        "publisher": person("publisher").address,
        "first_price": 10 * DOLLAR,
        "lowest_price": 2 * DOLLAR,
        "for_sale": 1_000 * ONE_SHARE,
        "soft_cap": 500 * DOLLAR,
        "cap_per_buyer": 10_000 * DOLLAR,
        "start": world.now,
        "end": world.now + 8 * DAY,
        "allowed": bytes(32),
        "liquidity": (0, 0, 0),
    }
    assert set(changes) <= set(parts)
    return tuple({**parts, **changes}.values())


def curve_terms(world: World, **changes: Any) -> tuple[Any, ...]:
    """1,000 shares from 1.00 to 4.00 each, target 2,000.00, half of it for the pool, a week."""
    parts = {
        "publisher": person("publisher").address,
        "virtual_shares": 2_000 * ONE_SHARE,
        "virtual_currency": 2_000 * DOLLAR,
        "target": 2_000 * DOLLAR,
        "cap_per_buyer": 2_000 * ONE_SHARE,
        "start": world.now,
        "end": world.now + 7 * DAY,
        "allowed": bytes(32),
        "liquidity": (5_000, 1, 365 * DAY),
        "surcharge_bps": 0,
        "calm": 0,
    }
    assert set(changes) <= set(parts)
    return tuple({**parts, **changes}.values())
