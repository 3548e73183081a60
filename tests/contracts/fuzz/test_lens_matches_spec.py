"""The Lens against `tessera.spec.lens`: wherever shares went, whatever is listed in any order."""

from __future__ import annotations

from functools import partial
from typing import Any

from eth_utils import keccak
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rig.compiling import compiled
from rig.contract import NOBODY, Contract
from rig.effort import times
from rig.people import Person, person
from rig.sales import sale_terms
from rig.sums import Sums
from rig.supply import every_share_is_somewhere
from rig.system import DAY, LENS_EPOCH, ONE_SHARE, deploy_world
from rig.twins import both, key_of

from tessera.spec.lens import LensModel, Vested, Whereabouts
from tessera.spec.merkle import MerkleTree, leaf_of
from tessera.spec.signatures import Address, address_of
from tessera.spec.vesting import Schedule, VestingModel

PUBLISHER, KEEPER = person("publisher"), person("keeper")
PEOPLE = [PUBLISHER, *(person(f"holder {number}") for number in range(3))]
SUPPLY = 100_000 * ONE_SHARE
WEIGHTS = (7_000, 1_234)
WHO = st.sampled_from(PEOPLE)
AMOUNT = st.one_of(st.integers(1, 50), st.integers(1, 500 * ONE_SHARE))


class LensTwin(RuleBasedStateMachine):
    """Every share is somewhere, and the Lens says where."""

    @initialize()
    def deploy(self) -> None:
        self.world = world = deploy_world(governed=True)
        self.lens, self.exchange, self.governor = world.lens, world.exchange, world.governor
        self.sums = Sums()
        leaves = [leaf_of(self._leaf(place)) for place in range(2)]
        self.tree, self.leaves = MerkleTree(leaves), leaves
        salt = keccak(text="lens")
        publication = ("slug", 1, salt, self.tree.root, [], (salt, 1, "bundle://x"))
        self.asset = world.registry(
            "publish", publication, (NOBODY, 0, (0, 0, 0), ""), by=PUBLISHER.address
        )
        request = ("Share", "SHR", SUPPLY, DAY, 0, 0, PUBLISHER.address)
        made = self._do(PUBLISHER, world.registry, "tokenize", self.asset, request)
        self.share = Contract(world.engine, compiled("Share"), made)
        for who in PEOPLE:
            world.fund(who, 10**15)
            self._do(PUBLISHER, self.share, "transfer", who.address, 1_000 * ONE_SHARE)
            for spender in (world.launchpad, self.exchange, self.governor):
                for token in (self.share, world.currency):
                    token("approve", spender, 2**256 - 1, by=who.address)
        self.vestings: dict[Address, tuple[Contract, Person, VestingModel]] = {}
        self.sales: list[Contract] = []
        self.sale_end = 0
        self.allocations: list[tuple[Contract, int, set[int]]] = []
        self.locks: dict[int, tuple[Person, int]] = {}
        self.pooled = 0
        self.marks = LensModel(LENS_EPOCH)
        self.income = 0
        self._vest(PEOPLE[1], 100 * ONE_SHARE, 0, 10, 100)

    def _do(self, by: Person, contract: Contract, name: str, *arguments: object) -> Any:
        answer = contract(name, *arguments, by=by.address)
        money = self.world.currency.address
        self.sums.apply(log for log in contract.logs if log.address != money)
        return answer

    def _held(self, who: Person | Contract) -> int:
        return int(self.sums.of[self.share.address][who.address])

    def _leaf(self, place: int) -> bytes:
        who = person(f"holder {place}")
        return bytes(12) + key_of(who) + b"".join(
            number.to_bytes(32, "big") for number in (1, WEIGHTS[place], 0)
        )  # fmt: skip

    # --- Shares go somewhere ----------------------------------------------------------------------

    @rule(
        who=WHO,
        amount=AMOUNT,
        begins=st.integers(-5, 5),
        cliff=st.integers(0, 20),
        days=st.integers(20, 60),
    )
    @precondition(lambda self: len(self.vestings) < 6)
    def vest(self, who: Person, amount: int, begins: int, cliff: int, days: int) -> None:
        self._vest(who, amount, begins, cliff, days)

    def _vest(self, who: Person, amount: int, begins: int, cliff: int, days: int) -> None:
        schedule = Schedule(amount, self.world.now + begins * DAY, cliff * DAY, days * DAY)
        plan = (who.address, *schedule)
        (made,) = self._do(PUBLISHER, self.world.launchpad, "vest", self.asset, [plan])
        self._note_vesting(made, who, schedule)

    def _note_vesting(self, made: str, who: Person, schedule: Schedule) -> None:
        vesting = Contract(self.world.engine, compiled("Vesting"), made)
        self.vestings[address_of(made)] = (vesting, who, VestingModel(schedule))

    @rule(data=st.data(), gift=st.sampled_from([0, 0, 1, ONE_SHARE]))
    def release(self, data: st.DataObject, gift: int) -> None:
        vesting, _, model = data.draw(st.sampled_from([*self.vestings.values()]))
        if gift <= self._held(PUBLISHER):
            self._do(PUBLISHER, self.share, "transfer", vesting.address, gift)
        sent = model.release(self._held(vesting), self.world.now)
        assert self._do(KEEPER, vesting, "release") == sent

    @rule(amount=AMOUNT)
    @precondition(lambda self: len(self.allocations) < 2)
    def set_aside_for_contributors(self, amount: int) -> None:
        plan = (amount, self.world.now, DAY, 30 * DAY)
        made = self._do(PUBLISHER, self.world.launchpad, "contribute", self.asset, plan)
        allocation = Contract(self.world.engine, compiled("Allocation"), made)
        self.allocations.append((allocation, amount, set()))
        self.begun = self.world.now

    @rule(place=st.integers(0, 1))
    @precondition(lambda self: len(self.allocations) == 1)
    def claim_a_contribution(self, place: int) -> None:
        allocation, amount, claimed = self.allocations[0]
        if place in claimed or amount * WEIGHTS[place] < 10_000:
            return
        who = person(f"holder {place}")
        proof = list(self.tree.proof(self.leaves[place]) or ())
        plan = (allocation.address, (who.address, 1, WEIGHTS[place], bytes(32)), proof)
        made = self._do(KEEPER, self.world.launchpad, "claim_contribution", *plan)
        claimed.add(place)
        part = amount * WEIGHTS[place] // 10_000
        self._note_vesting(made, who, Schedule(part, self.begun, DAY, 30 * DAY))

    @rule(amount=st.integers(1, 500), pool_bps=st.sampled_from([0, 2_500]))
    @precondition(lambda self: len(self.sales) < 2 and not self.pooled)
    def offer(self, amount: int, pool_bps: int) -> None:
        whole = amount * ONE_SHARE
        liquidity = (pool_bps if not self.sales else 0, 1, 0)
        soft_cap = whole if pool_bps else 0
        terms = sale_terms(
            self.world, for_sale=whole, soft_cap=soft_cap, liquidity=liquidity, price=10**6
        )
        made = self._do(PUBLISHER, self.world.launchpad, "offer", self.asset, terms)
        sale = Contract(self.world.engine, compiled("Offering"), made)
        self.sales.append(sale)
        self.sale_end = self.world.now + 7 * DAY
        for who in PEOPLE:
            self.world.currency("approve", sale, 2**256 - 1, by=who.address)

    @rule(who=st.sampled_from(PEOPLE[1:]), thousandths=st.integers(1, 1_000))
    @precondition(lambda self: self.sales)
    def buy(self, who: Person, thousandths: int) -> None:
        sale = self.sales[-1]
        amount = sale("unsold") * thousandths // 1_000
        if amount and self.world.now < self.sale_end:
            self._do(who, sale, "buy", amount)

    @rule(tokens=st.integers(10, 500), money=st.integers(10**4, 10**9))
    @precondition(lambda self: not self.pooled and not self.sales)
    def open_the_pool(self, tokens: int, money: int) -> None:
        self.pooled = tokens * ONE_SHARE
        plan = (self.share.address, self.pooled, money, 1, PUBLISHER.address, 0)
        self._do(PUBLISHER, self.exchange, "open_pool", *plan)

    @rule(who=WHO, money=st.integers(100, 10**9))
    @precondition(lambda self: self.pooled)
    def trade(self, who: Person, money: int) -> None:
        sides = (self.world.currency.address, self.share.address)
        plan = (*sides, money, 0, who.address, self.world.now)
        self.pooled -= self._do(who, self.exchange, "swap_exact_in", *plan)

    @rule(who=WHO, to=WHO, amount=AMOUNT)
    def transfer(self, who: Person, to: Person, amount: int) -> None:
        amount = min(amount, self._held(who))
        self._do(who, self.share, "transfer", to.address, amount)

    @rule(who=WHO, amount=AMOUNT)
    def lock(self, who: Person, amount: int) -> None:
        amount = min(amount, self._held(who))
        if amount:
            number = self._do(who, self.governor, "lock", self.asset, amount)
            self.locks[number] = (who, amount)

    @rule(data=st.data())
    @precondition(lambda self: self.locks)
    def unlock(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.locks)))
        self.world.wait(DAY)
        who, _ = self.locks.pop(number)
        self._do(who, self.governor, "unlock", self.asset, number, [])

    @rule(amount=st.integers(1, 10**12))
    def earn(self, amount: int) -> None:
        self.world.fund(self.share.address, amount)
        self.share("sync")
        self.world.wait(DAY)

    @rule(seconds=st.sampled_from([1, DAY, 5 * DAY, 40 * DAY]))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    @rule(seconds=st.sampled_from([0, 1, DAY // 2]))
    def mark(self, seconds: int) -> None:
        self.world.wait(seconds)
        figures = self._figures()
        assert self.lens("mark", self.asset, by=KEEPER.address) == self.marks.mark(
            self.world.now, **figures
        )

    def _figures(self) -> dict[str, int]:
        channels = self.world.channels
        return {
            "revenue": self.share("revenue_index"),
            "demand": channels("demand_of", self.asset),
        }

    # --- And the Lens says where ------------------------------------------------------------------

    def _whereabouts(self) -> Whereabouts:
        balances = {address_of(a): n for a, n in self.sums.of[self.share.address].items()}
        locked: dict[Address, int] = {}
        for who, amount in self.locks.values():
            locked[key_of(who)] = locked.get(key_of(who), 0) + amount
        allocated = sum(
            amount - sum(amount * WEIGHTS[place] // 10_000 for place in claimed)
            for _, amount, claimed in self.allocations
        )
        clones = [*self.sales, *(allocation for allocation, *_ in self.allocations)]
        keepers = (*clones, self.exchange, self.governor)
        return Whereabouts(
            total=SUPPLY,
            for_sale=sum(self._held(sale) for sale in self.sales),
            pooled=self.pooled,
            allocated=allocated,
            balances=balances,
            locked=locked,
            vestings={
                at: Vested(key_of(who), model, self._held(vesting))
                for at, (vesting, who, model) in self.vestings.items()
            },
            keepers=frozenset([*(address_of(one.address) for one in keepers), *self.vestings]),
        )

    @invariant()
    def the_supply_is_the_specs(self) -> None:
        assert self.lens("supply_of", self.asset) == self._whereabouts().supply
        every_share_is_somewhere(
            self.lens,
            self.asset,
            self.sums.of[self.share.address],
            sales=self.sales,
            vestings=[
                *(vesting for vesting, *_ in self.vestings.values()),
                *(allocation for allocation, *_ in self.allocations),
            ],
            pool=(self.exchange, self.pooled),
            locks=(self.governor, sum(amount for _, amount in self.locks.values())),
        )

    @rule(data=st.data(), days=st.lists(st.integers(-10, 90), max_size=4))
    def ask_for_the_calendar(self, data: st.DataObject, days: list[int]) -> None:
        vestings, found = self._some(data, [*self.vestings]), self._whereabouts()
        moments = [self.world.now + day * DAY + day for day in days]
        both(
            partial(_as_tuple, found.unlock_calendar, vestings, moments),
            partial(self.lens, "unlock_calendar", self.asset, _hex(vestings), moments),
        )

    @rule(data=st.data())
    def ask_who_holds(self, data: st.DataObject) -> None:
        found = self._whereabouts()
        vestings = self._some(data, [*self.vestings])
        accounts = self._some(data, [*map(key_of, PEOPLE)])
        if data.draw(st.sampled_from([False] * 4 + [True])):
            accounts = sorted([*accounts, data.draw(st.sampled_from(sorted(found.keepers)))])
        answer = both(
            partial(_as_tuple, found.holdings_of, accounts, vestings),
            partial(self._holdings, _hex(accounts), _hex(vestings)),
        )
        if answer is not None:
            # Nobody who is not listed has more than the rest, looked at through votes.
            rest = answer[1]
            for who in PEOPLE:
                key = key_of(who)
                if key not in accounts:
                    assert found.balances.get(key, 0) + found.locked.get(key, 0) <= rest

    def _holdings(self, accounts: list[str], vestings: list[str]) -> Any:
        holdings, rest = self.lens("holdings_of", self.asset, accounts, vestings)
        return tuple((address_of(at), *parts) for at, *parts in holdings), rest

    def _some(self, data: st.DataObject, every: list[Address]) -> list[Address]:
        """Draw a list: mostly some in order, sometimes with a stranger or in any order."""
        chosen = data.draw(st.lists(st.sampled_from(every), unique=True, max_size=5))
        stranger = address_of(self.share.address)
        disorder = data.draw(st.sampled_from([False] * 5 + [True]))
        odd = data.draw(st.sampled_from([False] * 5 + [True]))
        listed = [*chosen, stranger] if odd else chosen
        return [*listed, *chosen[:1]] if disorder else sorted(listed)

    @invariant()
    def the_marks_are_the_specs(self) -> None:
        now = self.world.now
        assert self.lens("revenue_now", self.asset) == self.marks.now(now, **self._figures())
        first = now // LENS_EPOCH - 60
        expected = self.marks.revenue_marks(first, 64)
        assert list(self.lens("revenue_marks", self.asset, first, 64)) == expected


def _hex(keys: list[Address]) -> list[str]:
    return ["0x" + key.hex() for key in keys]


def _as_tuple(view: Any, *arguments: object) -> tuple[tuple[Any, ...], int]:
    """Ask the twin, and answer as the contract's decoder does."""
    listed, rest = view(*arguments)
    return tuple(listed), rest


TestLensTwin = LensTwin.TestCase
TestLensTwin.settings = times(0.5, steps=1.5)
