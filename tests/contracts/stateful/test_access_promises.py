"""A product under random buyers, users, renters and an operator, beside its twin and plain sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from rig.contract import refused
from rig.currencies import CURRENCIES
from rig.effort import times
from rig.people import Person, person
from rig.shop import (
    COUNT,
    PERIOD,
    PERPETUAL,
    key_of,
    limit_order,
    open_shop,
    row_of,
    sign_order,
)
from rig.system import DAY

from tessera.errors import TransactionReverted
from tessera.spec.access import AccessModel
from tessera.spec.orders import LimitOrder, OrdersModel, orders_domain
from tessera.spec.signatures import Address

PEOPLE = [person(f"consumer {number}") for number in range(3)]
KEEPER = person("keeper")
WINDOW = 3 * DAY
WHOLE = [name for name in CURRENCIES if name != "fee in transit"]
SOMEBODY = st.sampled_from(PEOPLE)


class AccessPromises(RuleBasedStateMachine):
    """Promises: solvent, conserved, settled_once, escrow_until_final, can_always_claim."""

    @initialize(
        currency=st.sampled_from(sorted(WHOLE)),
        kind=st.sampled_from([COUNT, PERIOD, PERPETUAL]),
        price=st.one_of(st.just(0), st.integers(1, 9), st.integers(1, 10**9)),
        limit=st.sampled_from([0, 4]),
        royalty=st.sampled_from([0, 1, 333, 5_000]),
    )
    def make_a_product(
        self, currency: str, kind: int, price: int, limit: int, royalty: int
    ) -> None:
        self.world = world = CURRENCIES[currency].world()
        self.shop = open_shop(
            world,
            kind=kind,
            price=price,
            per_unit=0 if kind == PERPETUAL else 10 * DAY,
            cap=12,
            most_per_account=4 if price == 0 else limit,
            serve_window=WINDOW,
            royalty_bps=royalty,
        )
        self.access, self.operator = self.shop.access, self.shop.operator
        self.model = AccessModel(self.shop.terms.product())
        self.book = OrdersModel(
            orders_domain(world.engine.chain_id, key_of(world.orders)),
            key_of(world.currency),
            {key_of(self.access): royalty},
        )
        self.signed: list[tuple[LimitOrder, tuple[int, int]]] = []
        self.asked: dict[bytes, int] = {}
        self.paid_in = self.refunded = self.flushed = self.gifts = 0
        self.funded = 0
        self.royalties = 0
        for who in PEOPLE:
            self._fund(who, 0)
            world.currency("approve", world.orders, 2**256 - 1, by=who.address)
            self.access("approve", world.orders, 2**256 - 1, by=who.address)

    def _fund(self, who: Person, amount: int) -> None:
        self.world.fund(who, amount, spender=self.access)
        self.funded += amount

    def _both(self, model: Callable[[], Any], contract: Callable[[], Any]) -> Any:
        try:
            expected = model()
        except TransactionReverted as error:
            with refused(error.reason):
                contract()
            return None
        return expected, contract()

    # --- Units and orders -------------------------------------------------------------------------

    @rule(buyer=SOMEBODY, receiver=SOMEBODY, amount=st.integers(0, 5))
    def buy(self, buyer: Person, receiver: Person, amount: int) -> None:
        self._fund(buyer, amount * self.shop.terms.price)
        done = self._both(
            lambda: self.model.buy(key_of(buyer), key_of(receiver), amount),
            lambda: self.access("buy", amount, receiver.address, by=buyer.address),
        )
        if done:
            assert done[0] == done[1]
            self.paid_in += done[0]

    @rule(buyer=SOMEBODY, owner=SOMEBODY, units=st.integers(0, 3))
    def buy_and_redeem(self, buyer: Person, owner: Person, units: int) -> None:
        self._fund(buyer, units * self.shop.terms.price)
        now = self.world.now
        done = self._both(
            lambda: self.model.buy_and_redeem(key_of(buyer), units, key_of(owner), now),
            lambda: self.access("buy_and_redeem", units, owner.address, by=buyer.address),
        )
        if done:
            assert done[0][1] == done[1]
            self.paid_in += done[0][0]

    @rule(holder=SOMEBODY, owner=SOMEBODY, units=st.integers(0, 3))
    def redeem(self, holder: Person, owner: Person, units: int) -> None:
        now = self.world.now
        done = self._both(
            lambda: self.model.redeem(key_of(holder), units, key_of(owner), now),
            lambda: self.access("redeem", units, owner.address, by=holder.address),
        )
        assert done is None or done[0] == done[1]

    @rule(giver=SOMEBODY, receiver=SOMEBODY, amount=st.integers(0, 2))
    def transfer(self, giver: Person, receiver: Person, amount: int) -> None:
        if self.model.balances[key_of(giver)] < amount:
            with refused("erc20: balance too low"):
                self.access("transfer", receiver.address, amount, by=giver.address)
            return
        self.access("transfer", receiver.address, amount, by=giver.address)
        self._moved(key_of(giver), key_of(receiver), amount)

    def _moved(self, giver: Address, receiver: Address, amount: int) -> None:
        self.model.balances[giver] -= amount
        self.model.balances[receiver] += amount

    @rule(on=st.booleans())
    def switch(self, on: bool) -> None:
        self.access("set_on_sale", on, by=self.shop.publisher.address)
        self.model.on_sale = on

    # --- Service, refund, rent --------------------------------------------------------------------

    @rule(uses=st.lists(st.tuples(st.integers(0, 6), SOMEBODY), max_size=4), who=st.booleans())
    def prove(self, uses: list[tuple[int, Person]], who: bool) -> None:
        now, sender = self.world.now, self.operator if who else KEEPER
        signed = [self.shop.use(order, signer) for order, signer in uses]
        done = self._both(
            lambda: self.model.prove(
                key_of(sender), [(order, key_of(signer)) for order, signer in uses], now
            ),
            lambda: self.access("prove", signed, by=sender.address),
        )
        assert done is None or done[0] == done[1]

    @rule(order=st.integers(1, 6), sender=st.sampled_from([None, *PEOPLE]))
    def refund(self, order: int, sender: Person | None) -> None:
        now = self.world.now
        done = self._both(
            lambda: self.model.refund(sender and key_of(sender), order, now),
            lambda: (
                self.access("refund", order, by=sender.address)
                if sender
                else self.access("refund_for", order, by=KEEPER.address)
            ),
        )
        if done:
            assert done[0] == done[1]
            self.refunded += done[0]

    @rule(order=st.integers(1, 6))
    def decline(self, order: int) -> None:
        done = self._both(
            lambda: self.model.decline(key_of(self.operator), order),
            lambda: self.access("decline", order, by=self.operator.address),
        )
        if done:
            assert done[0] == done[1]
            self.refunded += done[0]

    @rule(order=st.integers(0, 6), who=SOMEBODY, price=st.integers(0, 10**7))
    def offer_rent(self, order: int, who: Person, price: int) -> None:
        self._both(
            lambda: self.model.offer_rent(key_of(who), order, price, 6 * DAY),
            lambda: self.access("offer_rent", order, price, 6 * DAY, by=who.address),
        )

    @rule(
        order=st.integers(0, 6),
        renter=SOMEBODY,
        duration=st.one_of(st.integers(0, 10), st.integers(1, 7 * DAY)),
    )
    def rent(self, order: int, renter: Person, duration: int) -> None:
        self._fund(renter, 10**8)
        now, limit = self.world.now, 10**8
        done = self._both(
            lambda: self.model.rent(order, duration, limit, key_of(renter), now),
            lambda: self.access("rent", order, duration, limit, by=renter.address),
        )
        if done:
            (until, _, royalty), found = done
            assert until == found
            self.royalties += royalty if self.shop.terms.royalty_bps else 0

    @rule()
    def flush(self) -> None:
        self.flushed += self.access("flush", by=KEEPER.address)

    @rule(amount=st.integers(0, 100))
    def send_money_by_mistake(self, amount: int) -> None:
        self.world.fund(self.access.address, amount)
        self.funded += amount
        self.gifts += amount

    # --- The order book -------------------------------------------------------------------------

    @rule(maker=SOMEBODY, asks=st.booleans(), units=st.integers(1, 4), money=st.integers(1, 1_000))
    def sign(self, maker: Person, asks: bool, units: int, money: int) -> None:
        token = key_of(self.access)
        sides = {"sell": token, "sell_amount": units, "buy_amount": money}
        if not asks:
            sides = {"buy": token, "sell_amount": money, "buy_amount": units}
        order = limit_order(
            self.world,
            maker,
            **sides,
            series=self.book.series_of[key_of(maker)],
            salt=len(self.signed).to_bytes(32, "big"),
        )
        self.signed.append((order, sign_order(self.world, order, maker)))

    @rule(data=st.data(), taker=SOMEBODY, amount=st.integers(0, 500), exact=st.booleans())
    def fill(self, data: st.DataObject, taker: Person, amount: int, exact: bool) -> None:
        if not self.signed:
            return
        order, signature = data.draw(st.sampled_from(self.signed))
        left = self.book.left(order, self.world.now)
        amount = left if exact else min(amount, left + 1)
        token, seller_is_maker = key_of(self.access), order.sell == key_of(self.access)
        maker = next(who for who in PEOPLE if key_of(who) == order.maker)
        self._fund(maker, 10**4)
        self._fund(taker, 10**4)
        seller = order.maker if seller_is_maker else key_of(taker)
        buyer = key_of(taker) if seller_is_maker else order.maker
        before = self.book.filled.copy()
        now = self.world.now
        call = (row_of(order), *signature, amount, 2**200)
        try:
            filled = self.book.fill(order, order.maker, amount, 2**200, key_of(taker), now)
        except TransactionReverted as error:
            with refused(error.reason):
                self.world.orders("fill", *call, by=taker.address)
            return
        units = filled.sold if seller_is_maker else filled.paid
        if self.model.balances[seller] < units:
            self.book.filled = before
            with refused("erc20: balance too low"):
                self.world.orders("fill", *call, by=taker.address)
            return
        assert self.world.orders("fill", *call, by=taker.address) == filled.paid
        self._moved(seller, buyer, units)
        self.royalties += filled.royalty
        assert token in {order.sell, order.buy}

    @rule(data=st.data(), who=SOMEBODY, bulk=st.booleans())
    def cancel(self, data: st.DataObject, who: Person, bulk: bool) -> None:
        if bulk:
            found = self.world.orders("cancel_series", by=who.address)
            assert found == self.book.cancel_series(key_of(who))
        elif self.signed:
            order, _ = data.draw(st.sampled_from(self.signed))
            self._both(
                lambda: self.book.cancel(order, key_of(who)),
                lambda: self.world.orders("cancel", row_of(order), by=who.address),
            )

    @rule(seconds=st.sampled_from([1, DAY // 3, DAY, WINDOW, 11 * DAY]))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    # --- Promises -------------------------------------------------------------------------------

    @invariant()
    def conserved(self) -> None:
        model = self.model
        assert self.access("totalSupply") == model.supply == sum(model.balances.values())
        for who in PEOPLE:
            assert self.access("balanceOf", who.address) == model.balances[key_of(who)]
            bought = self.access("bought_by", who.address)
            assert bought == model.bought_by[key_of(who)] <= self.shop.terms.most_per_account
        assert self.access("state") == (
            model.sold,
            len(model.orders),
            model.pending,
            model.on_sale,
        )
        # All money that ever came in lies with people, here, at the Till, or in Channels.
        world = self.world
        places = [*PEOPLE, self.access, world.channels, world.orders]
        till = self.access("terms")[14]
        held = sum(world.held(place) for place in places) + world.held(till)
        assert held == self.funded
        assert world.held(till) + self.flushed >= self.royalties

    @invariant()
    def solvent(self) -> None:
        assert self.world.held(self.access) >= self.access("backing") == self.model.backing
        assert self.world.held(self.world.orders) == 0

    @invariant()
    def escrow_until_final(self) -> None:
        """What was flushed was proved or given; what may be refunded is all here."""
        price = self.shop.terms.price
        proved = sum(order.units for order in self.model.orders.values() if order.proved)
        assert self.flushed <= proved * price + self.gifts
        assert self.paid_in == self.refunded + proved * price + self.model.backing

    @invariant()
    def settled_once(self) -> None:
        """No order is both proved and given up, and each says the same as the twin's."""
        now = self.world.now
        for number, order in self.model.orders.items():
            assert not (order.proved and order.void)
            rented = now < order.rented_until
            until = self.model.valid_until(number)
            found = self.access("order_of", number)
            assert found == (
                _text(order.owner),
                _text(self.model.user_of(number, now)),
                order.units,
                order.ordered_at,
                until,
                order.rented_until if rented else until,
                self.model.calls_of(number),
                order.proved,
                order.void,
            )
            if rented:
                assert order.proved
                assert order.rented_until <= until
        for order_, _ in self.signed:
            left = self.world.orders("left_of", row_of(order_))
            assert left == self.book.left(order_, now)

    @invariant()
    def can_always_claim(self) -> None:
        """With the operator gone for good, every unit and every open order is paid back."""
        with self.world.engine.trial():
            for who in PEOPLE:
                units = self.access("balanceOf", who.address)
                for _ in range(units):
                    self.access("redeem", 1, by=who.address)
            self.world.wait(WINDOW + 1)
            before = self.access("backing")
            paid = 0
            for number in range(1, self.access("state")[1] + 1):
                if not any(self.access("order_of", number)[7:]):
                    paid += self.access("refund_for", number, by=KEEPER.address)
            assert paid == before
            assert self.access("backing") == 0


def _text(address: Address) -> str:
    return "0x" + address.hex()


TestAccessPromises = AccessPromises.TestCase
TestAccessPromises.settings = times(1, steps=1.5)
