"""A governed asset: its share among three holders, and actions spelled with what matters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rig.compiling import compiled
from rig.contract import NOBODY, Contract
from rig.people import Person, person
from rig.shop import ProductTerms
from rig.system import DAY, GOVERNANCE, ONE_SHARE, World, deploy_world

RELEASE, ENDPOINT, CLOSING, DISCOUNT, LICENCE, PAYMENT, PARENT, PRODUCT, SALE = (
    1 << bit for bit in range(9)
)
VOTING, DEFEATED, WAITING, READY, EXECUTED, CANCELLED, EXPIRED = (1 << bit for bit in range(7))
MIN_LOCK, VOTING_TIME, TIMELOCK, EXIT_DELAY, WINDOW = GOVERNANCE
SUPPLY = 1_000 * ONE_SHARE
NO_PRODUCT = ProductTerms(
    NOBODY, kind=0, price=0, per_unit=0, cap=0, serve_window=0, royalty_bps=0, scope=0,
    document=bytes(32), license="", name="", symbol="",
)  # fmt: skip


def action(
    kind: int,
    *,
    root: bytes = bytes(32),
    operator: Person | str = NOBODY,
    cut_bps: int = 0,
    price: tuple[int, int, int] = (0, 0, 0),
    discount_bps: int = 0,
    min_locked: int = 0,
    document: bytes = bytes(32),
    receiver: Person | str = NOBODY,
    amount: int = 0,
    parent: int = 0,
    royalty_bps: int = 0,
    product: ProductTerms = NO_PRODUCT,
    access: Contract | str = NOBODY,
    on: bool = False,
) -> tuple[Any, ...]:
    """Spell an action as the contract takes it."""
    serves = operator if isinstance(operator, str) else operator.address
    paid = receiver if isinstance(receiver, str) else receiver.address
    return (
        kind,
        (root, 1 if any(root) else 0, "bundle://x" if any(root) else ""),
        (serves, cut_bps, price, "http://localhost" if kind == ENDPOINT else ""),
        (discount_bps, min_locked),
        (document, "MIT" if any(document) else "", ""),
        (paid, amount),
        (parent, royalty_bps),
        product.row(),
        (access if isinstance(access, str) else access.address, on),
    )


@dataclass
class Council:
    """One asset with a Share that the Governor decides about, listed at a cut of 10 %."""

    world: World
    asset: int
    share: Contract
    publisher: Person
    operator: Person
    holders: list[Person]
    parent: int
    locks: dict[str, list[int]] = field(default_factory=dict)

    @property
    def governor(self) -> Contract:
        return self.world.governor

    def pool(self, tokens: int) -> None:
        """Let the Exchange say that its pool has so many raw shares."""
        self.world.exchange.poke("pools", self.share.address, value=tokens)

    def lock(self, who: Person, shares: int | None = None) -> int:
        """Lock raw shares, by default everything that somebody has."""
        amount = self.share("balanceOf", who.address) if shares is None else shares
        self.share("approve", self.governor, amount, by=who.address)
        number = int(self.governor("lock", self.asset, amount, by=who.address))
        self.locks.setdefault(who.address, []).append(number)
        return number

    def propose(self, who: Person, what: tuple[Any, ...], title: str = "a change") -> int:
        """Put an action to the vote."""
        return int(self.governor("propose", self.asset, what, title, by=who.address))

    def vote(self, who: Person, proposal: int, support: bool = True) -> int:
        """Vote with every lock that somebody has."""
        arguments = (self.asset, proposal, support, self.locks[who.address])
        return int(self.governor("vote", *arguments, by=who.address))

    def state(self, proposal: int) -> int:
        """Read where a proposal is."""
        return int(self.governor("state_of", self.asset, proposal))

    def execute(self, proposal: int, what: tuple[Any, ...], by: Person | None = None) -> None:
        """Execute, as anyone may."""
        who = (by or person("keeper")).address
        self.governor("execute", self.asset, proposal, what, by=who)

    def pass_through(
        self, what: tuple[Any, ...], *, grave: bool = False, by: Person | None = None
    ) -> int:
        """Propose, vote yes with all locks, wait, and execute."""
        proposal = self.propose(by or self.holders[0], what)
        for who in self.holders:
            if self.locks.get(who.address):
                self.vote(who, proposal)
        self.world.wait(VOTING_TIME + TIMELOCK + (EXIT_DELAY if grave else 0))
        self.execute(proposal, what)
        return proposal

    def make(self, terms: ProductTerms) -> Contract:
        """Let the holders vote for a product; its token."""
        what = action(PRODUCT, product=terms)
        proposal = self.propose(self.holders[0], what)
        for who in self.holders:
            self.vote(who, proposal)
        self.world.wait(VOTING_TIME + TIMELOCK + EXIT_DELAY)
        return self.made(proposal, terms)

    def made(self, proposal: int, terms: ProductTerms) -> Contract:
        """Execute a vote for a product; its token."""
        self.execute(proposal, action(PRODUCT, product=terms))
        return self.product_made()

    def product_made(self) -> Contract:
        """Return the product that the last call of the Governor made."""
        store = self.world.storefront
        (log,) = (log for log in self.governor.logs if log.address == store.address)
        event = store.interface.event(log)
        assert event is not None
        return Contract(self.world.engine, compiled("Access"), event.arguments["access"])


def open_council(
    world: World | None = None,
    *,
    parts: tuple[int, ...] = (500, 300, 200),
    floor_bps: int = 3_000,
    max_discount_bps: int = 4_000,
    locked: bool = True,
) -> Council:
    """Publish, tokenize and share an asset out; every holder locks everything, a day ago."""
    world = world or deploy_world(governed=True)
    publisher, operator = person("publisher"), person("operator")
    holders = [person(f"holder {number}") for number in range(len(parts))]
    parent = world.publish(publisher)
    asset = world.publish(publisher, operator=operator, cut_bps=1_000)
    share = world.tokenize(
        asset, publisher, supply=SUPPLY, period=DAY, floor_bps=floor_bps,
        max_discount_bps=max_discount_bps,
    )  # fmt: skip
    council = Council(world, asset, share, publisher, operator, holders, parent)
    for who, part in zip(holders, parts, strict=True):
        share("transfer", who.address, part * ONE_SHARE, by=publisher.address)
        if locked:
            council.lock(who)
    world.wait(DAY)
    return council
