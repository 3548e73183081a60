"""The Launchpad against `tessera.spec.launchpad`: what it opens, and the books of its clones."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rig.contract import NOBODY, Contract
from rig.drawing import mostly
from rig.effort import times
from rig.people import Person, person
from rig.system import DAY, ONE_SHARE, deploy_world
from rig.twins import both

from tessera.spec.auction import AuctionSale
from tessera.spec.curve import CurveSale
from tessera.spec.launchpad import (
    MAX_DURATION,
    MAX_PRICE,
    MAX_SALE,
    MOST_RAISED,
    OWNERS_TIME,
    LaunchpadModel,
    Liquidity,
    Situation,
)
from tessera.spec.offering import Sale
from tessera.spec.signatures import address_of
from tessera.spec.vesting import Schedule

PUBLISHER, HOLDER = person("publisher"), person("holder")
DOLLAR = 10**6
OF_ALL, MOST = 10_000, 2**96 - 1


BUYERS_CAP = mostly([1, 2**256 - 1], 0)
POOL_BPS = mostly([0, 0, 1, 2_500, OF_ALL], OF_ALL + 1)
LIQUIDITY = st.builds(Liquidity, mostly([0, 3], 4), mostly([0, MAX_DURATION], MAX_DURATION + 1))
STARTS = mostly([-DAY, 0, DAY], 7 * DAY)
ENDS = mostly([7 * DAY, MAX_SALE], MAX_SALE + 1, 0)
BY = mostly([PUBLISHER], HOLDER)
# The publisher, or somebody that there is no selling for: nobody, the Exchange.
SELLER = mostly(["publisher"], "nobody", "exchange")


class LaunchpadTwin(RuleBasedStateMachine):
    """Every share in a clone is in the books of its asset, and a sale counts as open once."""

    @initialize()
    def deploy(self) -> None:
        self.world = world = deploy_world()
        self.launchpad = world.launchpad
        self.model = LaunchpadModel(address_of(world.exchange.address))
        # Two assets with shares, one of them with a pool, and one without shares.
        self.assets = [self._publish(bytes([place] * 32)) for place in (0, 1, 2)]
        self.pools = [False, False, False]
        self.registered = world.now
        self.speakers: dict[int, Contract] = {}
        self.stranger = world.actor()
        for asset in self.assets[:2]:
            share = world.tokenize(asset, PUBLISHER, supply=MOST)
            share("transfer", HOLDER.address, MOST // 2, by=PUBLISHER.address)
            for who in (PUBLISHER, HOLDER):
                share("approve", self.launchpad, 2**256 - 1, by=who.address)
        self.world.exchange.poke("pools", share.address, value=1 | 1 << 96)
        self.pools[1] = True

    def _publish(self, root: bytes) -> int:
        salt = root[:31] + b"\7"
        publication = ("slug", 1, salt, root, [], (salt, 1, "bundle://x"))
        nobody = (NOBODY, 0, (0, 0, 0), "")
        return int(self.world.registry("publish", publication, nobody, by=PUBLISHER.address))

    def _on(self, place: int, by: Person) -> Situation:
        return Situation(
            self.assets[place], self.world.now,
            by_owner=by is PUBLISHER, tokenized=place != 2, has_pool=self.pools[place],
        )  # fmt: skip

    def _seller(self, name: str) -> str:
        exchange = self.world.exchange.address
        return {"publisher": PUBLISHER.address, "nobody": NOBODY, "exchange": exchange}[name]

    def _opened(self, what: str, by: Person, asset: int, *plan: object) -> Any:
        """Do it on the contract; the numbers of the clones that it made."""
        before = self.launchpad("count")
        made = self.launchpad(what, asset, *plan, by=by.address)
        addresses = list(made) if isinstance(made, tuple | list) else [made]
        numbers = list(range(before + 1, before + 1 + len(addresses)))
        for number, at in zip(numbers, addresses, strict=True):
            assert self.launchpad("asset_of", at) == asset
            # What says whatever it is told, in the clone's place.
            self.speakers[number] = speaker = self.world.actor()
            row = self.launchpad.slot("clone_rows", at)
            self.launchpad.poke("clone_rows", speaker.address, value=row)
        return numbers if what == "vest" else numbers[0]

    # --- Sales ------------------------------------------------------------------------------------

    @rule(
        place=mostly([0, 0, 1], 2),
        by=BY,
        seller=SELLER,
        price=mostly([DOLLAR, 2 * DOLLAR], 0, 1, MAX_PRICE, MAX_PRICE + 1),
        for_sale=mostly([1_000 * ONE_SHARE], 1, 0, MOST + 1),
        part=mostly([0, 1, 2], 3),
        cap=BUYERS_CAP,
        start=STARTS,
        end=ENDS,
        bps=POOL_BPS,
        liquidity=LIQUIDITY,
    )
    def offer(
        self,
        place: int,
        by: Person,
        seller: str,
        price: int,
        for_sale: int,
        part: int,
        cap: int,
        start: int,
        end: int,
        bps: int,
        liquidity: Liquidity,
    ) -> None:
        on, publisher = self._on(place, by), self._seller(seller)
        start, end, soft_cap = on.now + start, on.now + end, for_sale * part // 2
        sale = Sale(
            address_of(publisher), price, for_sale, soft_cap, cap, start, end, liquidity_bps=bps
        )
        row = (publisher, price, for_sale, soft_cap, cap, start, end, bytes(32), (bps, *liquidity))
        both(
            lambda: self.model.offer(sale, liquidity, on),
            lambda: self._opened("offer", by, on.asset, row),
        )

    @rule(
        place=mostly([0, 0, 1], 2),
        by=BY,
        seller=SELLER,
        first=mostly([10 * DOLLAR], MAX_PRICE, MAX_PRICE + 1),
        lowest=mostly([DOLLAR, 10 * DOLLAR], 0, 1, 11 * DOLLAR),
        for_sale=mostly([1_000 * ONE_SHARE], 1, 0, MOST + 1),
        soft_cap=mostly([0, 500 * DOLLAR, 1_000 * DOLLAR], 10_001 * DOLLAR, 1),
        cap=BUYERS_CAP,
        start=STARTS,
        end=ENDS,
        bps=POOL_BPS,
        liquidity=LIQUIDITY,
    )
    def auction(
        self,
        place: int,
        by: Person,
        seller: str,
        first: int,
        lowest: int,
        for_sale: int,
        soft_cap: int,
        cap: int,
        start: int,
        end: int,
        bps: int,
        liquidity: Liquidity,
    ) -> None:
        on, publisher = self._on(place, by), self._seller(seller)
        start, end = on.now + start, on.now + end
        plan = (first, lowest, for_sale, soft_cap, cap, start, end)
        sale = AuctionSale(address_of(publisher), *plan, liquidity_bps=bps)
        row = (publisher, *plan, bytes(32), (bps, *liquidity))
        both(
            lambda: self.model.auction(sale, liquidity, on),
            lambda: self._opened("auction", by, on.asset, row),
        )

    @rule(
        place=mostly([0, 0, 1], 2),
        by=BY,
        seller=SELLER,
        shares=mostly([1_000 * ONE_SHARE], 0, 1, MOST + 1),
        money=mostly([1_000 * DOLLAR], 0, 1, MOST_RAISED + 1),
        goal=mostly([500 * DOLLAR, 5_000 * DOLLAR], 0, 1, MOST_RAISED + 1),
        cap=BUYERS_CAP,
        start=STARTS,
        end=ENDS,
        bps=mostly([2_500, OF_ALL], 0, OF_ALL + 1),
        liquidity=LIQUIDITY,
        surcharge=mostly([(0, 0), (OF_ALL, MAX_SALE)], (OF_ALL + 1, 0), (0, MAX_SALE + 1)),
    )
    def curve(
        self,
        place: int,
        by: Person,
        seller: str,
        shares: int,
        money: int,
        goal: int,
        cap: int,
        start: int,
        end: int,
        bps: int,
        liquidity: Liquidity,
        surcharge: tuple[int, int],
    ) -> None:
        on, publisher = self._on(place, by), self._seller(seller)
        start, end = on.now + start, on.now + end
        plan = (shares, money, goal, cap, start, end)
        sale = CurveSale(address_of(publisher), *plan, bps, *surcharge)
        row = (publisher, *plan, bytes(32), (bps, *liquidity), *surcharge)
        both(
            lambda: self.model.curve(sale, liquidity, on),
            lambda: self._opened("curve", by, on.asset, row),
        )

    # --- Vestings and allocations ---------------------------------------------------------------

    @rule(
        place=mostly([0, 1], 2),
        by=BY,
        amounts=st.lists(mostly([1, ONE_SHARE], 0, MOST + 1), max_size=3),
        start=mostly([0, 2**40 - 1], 2**40),
        cliff=mostly([0, DAY], 2 * DAY),
        duration=mostly([DAY, MAX_DURATION], MAX_DURATION + 1),
        to=mostly([HOLDER.address], NOBODY),
        together=st.booleans(),
    )
    def lock_on_a_schedule(
        self,
        place: int,
        by: Person,
        amounts: list[int],
        start: int,
        cliff: int,
        duration: int,
        to: str,
        together: bool,
    ) -> None:
        on = self._on(place, by)
        if together:
            grant = Schedule(sum(amounts), start, cliff, duration)
            both(
                lambda: self.model.contribute(grant, on, contributors=place == 1),
                lambda: self._opened("contribute", by, on.asset, tuple(grant)),
            )
            return
        plans = [Schedule(amount, start, cliff, duration) for amount in amounts]
        both(
            lambda: self.model.vest([(address_of(to), plan) for plan in plans], on),
            lambda: self._opened("vest", by, on.asset, [(to, *plan) for plan in plans]),
        )

    # --- Books ----------------------------------------------------------------------------------

    @rule(
        data=st.data(),
        left=st.fractions(0, 1),
        back=st.integers(0, 10**6),
        closes=st.booleans(),
        priced=st.booleans(),
    )
    @precondition(lambda self: self.speakers)
    def report(self, data: st.DataObject, left: Any, back: int, closes: bool, priced: bool) -> None:
        number = data.draw(mostly(sorted(self.speakers), None))
        speaker, out = self.stranger, 0
        if number is not None:
            speaker, clone = self.speakers[number], self.model.clones[number]
            book = self.model.books[clone.asset]
            out = int((book.in_sales if clone.is_sale else book.in_vestings) * left)
        plan, now = (out, back, closes, priced), self.world.now
        both(
            lambda: self.model.report(number, out, back, now, closes=closes, priced=priced),
            lambda: self.world.as_contract(speaker, self.launchpad, "report", *plan),
        )

    @rule(seconds=st.sampled_from([1, DAY, OWNERS_TIME - 1, OWNERS_TIME]))
    def wait(self, seconds: int) -> None:
        if self.world.now + seconds < 2**32 - MAX_SALE:
            self.world.wait(seconds)

    @invariant()
    def the_books_are_the_specs(self) -> None:
        for asset in self.assets:
            book = self.model.books[asset]
            assert self.launchpad("held_in_sales", asset) == book.in_sales
            assert self.launchpad("held_in_vesting", asset) == book.in_vestings
            assert self.launchpad("open_sales", asset) == book.open_sales
            anyone = self.model.anyone_opens(asset, self.registered, self.world.now)
            assert self.launchpad("anyone_opens", asset) == anyone
        assert self.launchpad("count") == len(self.model.clones)

    @invariant()
    def a_sale_counts_as_open_once(self) -> None:
        for asset in self.assets:
            sales = [clone for clone in self.model.clones.values() if clone.asset == asset]
            book = self.model.books[asset]
            assert book.open_sales == sum(clone.counts for clone in sales)
            assert book.promised == sum(clone.promises for clone in sales)


TestLaunchpadTwin = LaunchpadTwin.TestCase
TestLaunchpadTwin.settings = times(1, steps=1.5)
