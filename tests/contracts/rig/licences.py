"""Licences in the whole market: sold, served, rented out, resold by signed orders, and in a pool.

Rules and sums for a machine that has a world, an exchange, an order book and a Till of its asset.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from rig.compiling import compiled
from rig.contract import NOBODY, Contract
from rig.engines import Reverted
from rig.people import Person, person
from rig.shop import USE_FIELDS, ProductTerms, key_of, limit_order, row_of, sign_order
from rig.signing import compact, domain_of, sign
from rig.system import DAY

DOLLAR = 10**6
PERPETUAL = 4
LICENCE_PRICE = 7 * DOLLAR
ROYALTY_BPS = 500
WINDOW = 3 * DAY
BPS = 10_000
OWNERS = [person("holder"), person("provider"), person("consumer"), person("second consumer")]
UNLIMITED = 2**256 - 1
A_DAY = 86_400


def royalty(price: int) -> int:
    """Compute what a creator gets of a resale or a rent, rounded up."""
    return -(-price * ROYALTY_BPS // BPS)


class LicenceRules:
    """What people do with a second product, which is good for ever and so can be rented out."""

    def begin_licences(self, publisher: Person, operator: Person) -> None:
        """Make the product while its owner still may, and let people pay for it."""
        self.operator = operator
        terms = ProductTerms(
            operator.address, kind=PERPETUAL, price=LICENCE_PRICE, per_unit=0,
            serve_window=WINDOW, royalty_bps=ROYALTY_BPS, license="LicenseRef-Ever",
        )  # fmt: skip
        made = self._must(publisher, self.world.storefront, "create", self.asset, terms.row())
        self.licence = Contract(self.world.engine, compiled("Access"), made)
        for who in OWNERS:
            self._must(who, self.currency, "approve", self.licence.address, UNLIMITED)
            for spender in (self.exchange, self.orders):
                self._must(who, self.licence, "approve", spender.address, UNLIMITED)
        self.licence_units = 0
        # Order -> owner, units, and open, proved or void; and who rents it until when.
        self.licences: dict[int, tuple[Person, int, str]] = {}
        self.rents: dict[int, tuple[Person, int]] = {}
        self.licence_root: Fraction | None = None

    def trade_licences(self) -> None:
        """Begin with a licence that is rented out, one that was resold, and a pool of units."""
        owner, provider, renter, buyer = OWNERS
        self.get_licence(owner, 1, "buy_and_redeem")
        self.serve_licence(1, late=False)
        self.rent_out(1, renter, 3 * DOLLAR + 1, 2 * DAY)
        self.get_licence(provider, 40, "buy")
        self.open_licence_pool(provider, 30, 10 * DOLLAR)
        self.resell_a_licence(provider, buyer, 3, 9 * DOLLAR + 1, 2)
        assert self.rents
        assert self.exchange("has_pool", self.licence.address)
        assert self._held(self.licence, buyer) == 2

    def _licence_liquidity(self) -> Any:
        return self.sums.of[f"liquidity {self.licence.address}"]

    # --- Buying and serving -----------------------------------------------------------------------

    @rule(who=st.sampled_from(OWNERS), units=st.integers(1, 3),
          how=st.sampled_from(["buy", "redeem", "buy_and_redeem"]))  # fmt: skip
    def get_licence(self, who: Person, units: int, how: str) -> None:
        # An order of a licence is one unit.
        units = units if how == "buy" else 1
        made = self._try(who, self.licence, how, units)
        if made is not None:
            self.licence_units += 0 if how == "redeem" else units
            if how != "buy":
                self.licences[made] = (who, units, "open")

    @precondition(lambda self: self.licences)
    @rule(data=st.data(), late=st.booleans())
    def serve_a_licence(self, data: st.DataObject, late: bool) -> None:
        self.serve_licence(data.draw(st.sampled_from(sorted(self.licences))), late=late)

    def serve_licence(self, number: int, *, late: bool) -> None:
        """Prove an order, or take its money back: once, and only when it is time."""
        who, units, state = self.licences[number]
        in_time = self.world.now <= self.licence("order_of", number)[3] + WINDOW
        if late:
            paid = self._try(who, self.licence, "refund", number)
            assert (paid is not None) == (state == "open" and not in_time)
            if paid is not None:
                assert paid == units * LICENCE_PRICE
                self.licence_units -= units
                self.licences[number] = (who, units, "void")
            return
        domain = domain_of(self.licence, "Tessera Access")
        message = {"order": number, "call": bytes(16), "request": bytes(32), "deadline": 1}
        fields = [{"name": name, "type": typ} for name, typ in USE_FIELDS.items()]
        r, vs = compact(*sign(who, domain, "Use", {"Use": fields}, message))
        use = (number, bytes(16), bytes(32), 1, bytes(32), r, vs)
        done = self._must(self.operator, self.licence, "prove", [use])
        assert done == (state == "open" and in_time)
        if done:
            self.licences[number] = (who, units, "proved")

    # --- Rent -------------------------------------------------------------------------------------

    @precondition(lambda self: self.licences)
    @rule(data=st.data(), renter=st.sampled_from(OWNERS), daily=st.integers(0, 30 * DOLLAR),
          seconds=st.sampled_from([1, 600, DAY, 3 * DAY]))  # fmt: skip
    def rent_a_licence(self, data: st.DataObject, renter: Person, daily: int, seconds: int) -> None:
        self.rent_out(data.draw(st.sampled_from(sorted(self.licences))), renter, daily, seconds)

    def rent_out(self, number: int, renter: Person, daily: int, seconds: int) -> None:
        """Offer an order and rent it: what was agreed is paid, a royalty of it to the asset."""
        owner, _, state = self.licences[number]
        self._must(owner, self.licence, "offer_rent", number, daily, seconds)
        held = self._held
        till = self.channels("till_of", *self.till)
        before = held(self.currency, renter), held(self.currency, owner)
        waiting = self.sums.of[self.currency.address][till]
        cost = -(-daily * seconds // A_DAY)
        until = self._try(renter, self.licence, "rent", number, seconds, cost)
        if until is None:
            return
        assert state == "proved"
        _, ends = self.rents.get(number, (None, 0))
        # Nobody else had rented it for now.
        assert ends <= self.world.now
        assert until == self.world.now + seconds
        self.rents[number] = (renter, until)
        assert self.sums.of[self.currency.address][till] - waiting == royalty(cost)
        if renter is owner:
            assert held(self.currency, renter) == before[0] - royalty(cost)
        else:
            assert held(self.currency, renter) == before[0] - cost
            assert held(self.currency, owner) == before[1] + cost - royalty(cost)

    # --- Resale -----------------------------------------------------------------------------------

    @rule(maker=st.sampled_from(OWNERS), taker=st.sampled_from(OWNERS), units=st.integers(1, 3),
          price=st.integers(1, 30 * DOLLAR), taken=st.integers(1, 3))  # fmt: skip
    def resell_a_licence(
        self, maker: Person, taker: Person, units: int, price: int, taken: int
    ) -> None:
        """Sign an order that sells units, and fill it twice: never beyond itself."""
        order = limit_order(
            *(self.world, maker), sell=key_of(self.licence), sell_amount=units,
            buy=key_of(self.currency), buy_amount=price,
            salt=b"licence".ljust(28) + len(self.book).to_bytes(4, "big"),
        )  # fmt: skip
        signature = sign_order(self.world, order, maker)
        digest = bytes(self.orders("digest_of", row_of(order)))
        self.book.append((order, signature, digest))
        till = self.channels("till_of", *self.till)
        for _ in range(2):
            waiting = self.sums.of[self.currency.address][till]
            self._fill(taker, order, signature, digest, part=Fraction(taken, units))
            came = self.sums.of[self.currency.address][till] - waiting
            if self.sold[digest] and came:
                assert came == royalty(-(-price * taken // units))
        assert self.sold[digest] <= units

    # --- The pool of units ------------------------------------------------------------------------

    @rule(who=st.sampled_from(OWNERS), units=st.integers(1, 30),
          each=st.integers(1, 20 * DOLLAR))  # fmt: skip
    def open_licence_pool(self, who: Person, units: int, each: int) -> None:
        tokens = min(units, self._held(self.licence, who))
        if tokens:
            plan = (self.licence.address, tokens, tokens * each, 1, who.address, 0)
            self._try(who, self.exchange, "open_pool", *plan)

    @rule(who=st.sampled_from(OWNERS), units=st.integers(1, 5), buys=st.booleans())
    def trade_units(self, who: Person, units: int, buys: bool) -> None:
        """Buy so many units, or sell them: at the price that was shown, to the unit."""
        money, token = self.currency.address, self.licence.address
        try:
            if buys:
                cost = self.exchange("preview_exact_out", money, token, units)
                plan = (money, token, units, cost, who.address, self.world.now)
                assert self._try(who, self.exchange, "swap_exact_out", *plan) in (cost, None)
            else:
                shown = self.exchange("preview_exact_in", token, money, units)
                plan = (token, money, units, shown, who.address, self.world.now)
                assert self._try(who, self.exchange, "swap_exact_in", *plan) in (shown, None)
        except Reverted as refusal:
            self.refusals.append(f"preview: {refusal.reason}")

    @rule(who=st.sampled_from(OWNERS), units=st.integers(1, 10), leaves=st.booleans())
    def provide_units(self, who: Person, units: int, leaves: bool) -> None:
        now, token = self.world.now, self.licence.address
        liquidity = self._licence_liquidity()[who.address]
        if leaves and liquidity:
            plan = (token, liquidity, 0, 0, who.address, now)
            self._must(who, self.exchange, "remove_liquidity", *plan)
        elif not leaves:
            most = self._held(self.currency, who) // 2
            plan = (token, min(units, self._held(self.licence, who)), most, 0, who.address, now)
            self._try(who, self.exchange, "add_liquidity", *plan)

    # --- What must hold ---------------------------------------------------------------------------

    @invariant()
    def licences_are_backed_and_rented_once(self) -> None:
        """`solvent`, `settled_once`: a product holds its units' price, an order serves one user."""
        proved = sum(units for _, units, state in self.licences.values() if state == "proved")
        backing = (self.licence_units - proved) * LICENCE_PRICE
        assert self.licence("backing") == backing
        assert self._held(self.currency, self.licence) >= backing
        for number, (owner, _, state) in self.licences.items():
            view = self.licence("order_of", number)
            assert (view[7], view[8]) == (state == "proved", state == "void")
            renter, until = self.rents.get(number, (owner, 0))
            user = renter if self.world.now < until else owner
            assert view[1] == user.address

    @invariant()
    def a_pool_of_units_is_honest(self) -> None:
        """`price_honest`, `conserved`: what each unit of liquidity is worth only grows."""
        tokens, money = self.exchange("reserves_of", self.licence.address)
        if not tokens:
            return
        liquidity = self.exchange("liquidity_of", self.licence.address)
        assert sum(self._licence_liquidity().values()) == liquidity
        assert self._held(self.licence, self.exchange) >= tokens
        root = Fraction(tokens * money, liquidity**2)
        assert self.licence_root is None or root >= self.licence_root
        self.licence_root = root

    def end_licences(self) -> None:
        """Let everybody take what is theirs; the windows of all orders are over."""
        for number, (who, units, state) in self.licences.items():
            if state == "open":
                paid = self.licence("refund", number, by=who.address)
                assert paid == units * LICENCE_PRICE
        self.licence("flush")
        supply = self.licence("totalSupply")
        assert self.world.held(self.licence) == supply * LICENCE_PRICE
        for account, held in list(self._licence_liquidity().items()):
            if held and account != NOBODY:
                plan = (self.licence.address, held, 0, 0, account, self.world.now)
                self.exchange("remove_liquidity", *plan, by=account)
