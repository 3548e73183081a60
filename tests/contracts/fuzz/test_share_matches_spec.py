"""Share against `tessera.spec.revenue`: the same steps, the same storage words."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from rig.contract import NOBODY, Contract, refused
from rig.effort import times
from rig.engines import Reverted
from rig.people import person
from rig.system import World, deploy_world

from tessera.errors import TransactionReverted
from tessera.spec.revenue import ShareModel
from tessera.spec.signatures import Address

HOLDERS = [person(f"holder {number}") for number in range(4)]
MOST = 2**96 - 1
supplies = st.one_of(
    st.integers(10**18, MOST),
    st.sampled_from([10**18, 10**18 + 1, 10**24, 10**27, 2**95, MOST - 1, MOST]),
)
periods = st.one_of(st.integers(1, 10), st.integers(1, 365 * 86_400))
# Dust and dollars, and what comes near the end of the word.
amounts = st.one_of(st.integers(0, 3), st.integers(0, 10**12), st.integers(0, 2**90))
waits = st.one_of(st.integers(0, 3), st.integers(0, 100_000), st.integers(0, 40_000_000))
people = st.integers(0, len(HOLDERS) - 1)
# Who may not hold the Share, and one contract that may.
FORBIDDEN = ("nobody", "itself", "currency", "registry", "a share")
strangers = st.sampled_from([*FORBIDDEN, "channels"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("transfer"), people, people, st.integers(0, 1_000)),
        st.tuples(st.just("wei"), people, people, st.integers(0, 3)),
        st.tuples(st.just("wei"), people, strangers, st.integers(0, 3)),
        st.tuples(st.just("nothing"), st.one_of(people, strangers), st.one_of(people, strangers)),
        st.tuples(st.just("distribute"), amounts),
        st.tuples(st.just("gift"), amounts),
        st.tuples(st.just("claim"), people),
        st.tuples(st.just("wait"), waits),
    ),
    min_size=8,
    max_size=40,
)


@dataclass
class Pair:
    """A Share, its twin, and the money that both are told of."""

    world: World
    share: Contract
    model: ShareModel
    places: dict[object, str]

    def agree(self) -> None:
        """Compare storage words, not only what the views say."""
        now = self.world.now
        assert self.share.slot("stream") == self.model.stream.word()
        assert self.share("paid") == self.model.paid
        assert self.share("obligations") == self.model.obligations()
        for place, address in self.places.items():
            if place in FORBIDDEN:
                assert self.share("balanceOf", address) == 0
            account = self.model.account_of(_key(address))
            assert self.share.slot("accounts", address) == account.word()
            # Behind a cleared flag an old word may stay; nobody reads it.
            owed = self.share.slot("owed", address) if account.owed else 0
            assert owed == account.owed
        for holder in HOLDERS:
            claimable = self.share("claimable", holder.address)
            assert claimable == self.model.claimable(_key(holder.address), now)

    def step(self, step: tuple[object, ...]) -> None:
        """Do one thing on both sides; both must refuse it or neither."""
        try:
            expected = self._on_model(step)
        except TransactionReverted as error:
            with refused(error.reason):
                self._on_contract(step)
        else:
            assert self._on_contract(step) == expected

    def _on_model(self, step: tuple[object, ...]) -> object:
        now = self.world.now
        match step:
            case ("transfer" | "wei", int(sender), receiver, int()):
                self.model.transfer(self._key(sender), self._key(receiver), self._raw(step), now)
                return True
            case ("nothing", sender, receiver):
                self.model.transfer(self._key(sender), self._key(receiver), 0, now)
                return True
            case ("distribute", int(amount)):
                self.model.absorb(self.world.held(self.share) + amount, now)
                return None
            case ("gift", int(amount)):
                return self.model.absorb(self.world.held(self.share) + amount, now)
            case ("claim", int(holder)):
                return self.model.claim(self._key(holder), now)
            case _:
                return None

    def _on_contract(self, step: tuple[object, ...]) -> object:
        match step:
            case ("transfer" | "wei", int(sender), receiver, int()):
                amount = self._raw(step, contract=True)
                places = self.places
                return self.share("transfer", places[receiver], amount, by=places[sender])
            case ("nothing", sender, receiver):
                # Nobody needs an allowance for nothing.
                places = self.places
                return self.share("transferFrom", places[sender], places[receiver], 0)
            case ("distribute", int(amount)):
                payer = person("payer")
                self.world.fund(payer, amount, spender=self.share)
                return self.share("distributeRevenue", amount, by=payer.address)
            case ("gift", int(amount)):
                self.world.fund(self.share.address, amount)
                try:
                    return self.share("sync")
                except Reverted:
                    self._take_back(amount)
                    raise
            case ("claim", int(holder)):
                return self.share("claim", by=HOLDERS[holder].address)
            case ("wait", int(seconds)):
                self.world.wait(seconds)
        return None

    def _raw(self, step: tuple[object, ...], *, contract: bool = False) -> int:
        """Size a transfer: raw units, or thousandths of the sender's balance before the step."""
        kind, sender, _, size = step
        assert isinstance(sender, int)
        assert isinstance(size, int)
        if kind == "wei":
            return size
        if not contract:
            self._balance_before = self.model.account_of(self._key(sender)).balance
        # 1,000 thousandths and one more unit: sometimes more than there is.
        return self._balance_before * size // 999

    def _key(self, place: object) -> Address:
        return _key(self.places[place])

    def _take_back(self, amount: int) -> None:
        # A gift that the Share refuses to count still lies there; take it away for the next step.
        self.world.currency("burn", self.share.address, amount)


def _key(address: str) -> Address:
    return Address(bytes.fromhex(address[2:]))


def _pair(world: World, supply: int, period: int) -> Pair:
    share = world.new_share(HOLDERS[0], supply=supply, period=period)
    places: dict[object, str] = {
        **{number: holder.address for number, holder in enumerate(HOLDERS)},
        "nobody": NOBODY,
        "itself": share.address,
        "currency": world.currency.address,
        "registry": world.registry.address,
        "a share": world.new_share(HOLDERS[0]).address,
        "channels": world.channels.address,
    }
    refused_ = {
        _key(places["itself"]): "share: receiver is the share itself",
        _key(places["currency"]): "share: receiver is the currency or the registry",
        _key(places["registry"]): "share: receiver is the currency or the registry",
        _key(places["a share"]): "share: receiver is a share",
    }
    model = ShareModel(supply, period, _key(places[0]), world.now, refused_)
    return Pair(world, share, model, places)


@times(4)
@given(supply=supplies, period=periods, story=steps)
def test_every_step_leaves_the_same_words(
    supply: int, period: int, story: list[tuple[object, ...]]
) -> None:
    pair = _pair(deploy_world(), supply, period)
    for step in story:
        pair.step(step)
        pair.agree()


@given(supply=supplies, payments=st.lists(st.integers(1, 2**94), max_size=3))
def test_revenue_near_the_end_of_the_word_is_paid_whole(supply: int, payments: list[int]) -> None:
    pair = _pair(deploy_world(), supply, 100)
    for payment in payments:
        pair.step(("gift", payment))
        pair.step(("wait", 100))
        pair.step(("wei", 0, 1, 1))
        pair.step(("claim", 0))
        pair.step(("claim", 1))
        pair.agree()
    # Two accounts, each with less than a unit in its pocket and a settlement's dust in each round.
    assert sum(payments) - 2 - len(payments) <= pair.model.paid <= sum(payments)


def test_lifetime_revenue_of_a_full_word_is_refused_by_both() -> None:
    pair = _pair(deploy_world(), 10**18, 10)
    pair.step(("gift", MOST))
    pair.agree()
    pair.step(("wait", 5))
    pair.step(("gift", 1))
    pair.step(("distribute", 1))
    pair.step(("claim", 0))
    pair.step(("gift", 1))
    pair.agree()
