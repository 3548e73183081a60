"""Everything together under random people: a sale, a pool, votes, calls, products, orders.

No twin walks beside it; each contract has a machine of its own with one. Here are plain sums only:
what the Transfer events add up to, what was signed, who held what while revenue streamed. And every
few steps, in a trial, everybody leaves.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction
from typing import Any

from eth_utils import keccak
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rig.abi import encode
from rig.compiling import compiled
from rig.contract import NOBODY, Contract, deployed
from rig.effort import times
from rig.engines import Log, Reverted
from rig.governing import DISCOUNT, ENDPOINT, PARENT, PAYMENT, PRODUCT, SALE, action
from rig.hiring import WorkflowRules
from rig.licences import LicenceRules
from rig.people import Person, person
from rig.sales import auction_terms, curve_terms, sale_terms
from rig.shop import (
    USE_FIELDS,
    ProductTerms,
    key_of,
    limit_order,
    row_of,
    sign_order,
)
from rig.signing import Batch, SignedLine, compact, domain_of, sign, sign_voucher
from rig.sums import Sums
from rig.supply import every_share_is_somewhere
from rig.system import DAY, ONE_SHARE, WITHDRAW_DELAY, create_address, deploy_world

DOLLAR = 10**6
SUPPLY = 4_000 * ONE_SHARE
BPS = 10_000
FEE_BPS, CUT_BPS, ROYALTY_BPS, FLOOR_BPS = 100, 2_000, 500, 3_000
PRICE = 5 * DOLLAR
SERVE_WINDOW = DAY
SALE_TIME = 7 * DAY
MIN_LOCK, VOTING_TIME, TIMELOCK, EXIT_DELAY, EXECUTION_WINDOW = (
    *(DAY, DAY, DAY // 2, 2 * DAY, 3 * DAY),
)
GRANTED, CLIFF, DURATION = 300 * ONE_SHARE, 2 * DAY, 20 * DAY
ALLOCATED = 200 * ONE_SHARE
WEIGHTS = (6_000, 4_000)
UNLIMITED = 2**256 - 1

PUBLISHER, KEEPER, OPERATOR = person("publisher"), person("keeper"), person("operator")
VALIDATORS, FOUNDER = person("validators"), person("founder")
HOLDERS = [person("holder"), person("provider"), person("attacker")]
CONSUMERS = [person("consumer"), person("second consumer")]
CONTRIBUTORS = [person("contributor"), person("second contributor")]
EVERYBODY = [PUBLISHER, KEEPER, OPERATOR, VALIDATORS, FOUNDER, *HOLDERS, *CONSUMERS, *CONTRIBUTORS]
TRADERS = [PUBLISHER, FOUNDER, *HOLDERS]
PARTS = st.one_of(st.fractions(0, 1), st.just(Fraction(1)))
EXECUTED = 16
# A lock is let go by at most so many proposals in one call.
MOST_BACKED = 16
# Steps between two trials in which everybody leaves.
EVERY = 6


class WholeMarketPromises(LicenceRules, WorkflowRules, RuleBasedStateMachine):
    """Promises: solvent, conserved, index_never_falls, no_past_revenue, price_honest, never_early,
    can_always_claim, settled_once, holders_floor, terms_at_call, escrow_until_final, wash_loses,
    budget_fixed."""

    @initialize(
        kind=st.sampled_from(["offer", "auction", "curve"]),
        soft=st.sampled_from([Fraction(1, 100), Fraction(1, 10), Fraction(1, 2)]),
        pool_bps=st.sampled_from([0, 2_500, 10_000]),
        locked=st.sampled_from([0, DAY, 30 * DAY]),
        period=st.sampled_from([600, DAY]),
        surcharge_bps=st.sampled_from([0, 2_000]),
        stage=st.sampled_from(["sale", "trading", "trading", "voting"]),
    )
    def launch(
        self,
        kind: str,
        soft: Fraction,
        pool_bps: int,
        locked: int,
        period: int,
        surcharge_bps: int,
        stage: str,
    ) -> None:
        elector = person("governor's deployer").address
        self.world = world = deploy_world(governor=create_address(elector, 0))
        self.currency, self.registry, self.channels = world.currency, world.registry, world.channels
        self.exchange, self.orders = world.exchange, world.orders
        self.governor = deployed(
            *(world.engine, compiled("Governor"), world.registry, world.launchpad),
            *(world.exchange, world.storefront, world.currency),
            *(MIN_LOCK, VOTING_TIME, TIMELOCK, EXIT_DELAY, EXECUTION_WINDOW),
            by=elector,
        )
        self.lens = deployed(
            *(world.engine, compiled("Lens"), world.registry, world.launchpad),
            *(world.exchange, self.governor, world.channels, DAY),
            by=elector,
        )
        self.sums = Sums()
        self.share: Contract | None = None
        self.claimed: Counter[str] = Counter()
        self.steps = 0
        self.refusals: list[str] = []
        network = (FEE_BPS, world.commons.address, VALIDATORS.address)
        self._must(world.owner, self.registry, "set_network", *network)
        self.parent = self._publish("parent", (), bytes(32))
        leaves = [self._leaf(place) for place in range(2)]
        root = keccak(min(leaves) + max(leaves))
        self.asset = self._publish("child", ((self.parent, ROYALTY_BPS),), root)
        self.terms = self.registry("endpoint_of", self.asset, OPERATOR.address)[1]
        self.till = (self.asset, OPERATOR.address, self.terms)
        product = ProductTerms(OPERATOR.address, price=PRICE, serve_window=SERVE_WINDOW)
        made = self._must(PUBLISHER, world.storefront, "create", self.asset, product.row())
        self.access = Contract(world.engine, compiled("Access"), made)
        for who in EVERYBODY:
            self._must(world.owner, self.currency, "mint", who.address, 20_000 * DOLLAR)
        self.begin_licences(PUBLISHER, OPERATOR)
        self.begin_workflows()
        request = ("Share", "SHR", SUPPLY, period, FLOOR_BPS, 2_000, PUBLISHER.address)
        made = self._must(PUBLISHER, self.registry, "tokenize", self.asset, request)
        self.share = Contract(world.engine, compiled("Share"), made)
        self.period = period
        for who in (*HOLDERS, FOUNDER):
            self._must(PUBLISHER, self.share, "transfer", who.address, 200 * ONE_SHARE)
        self._open_sale(kind, soft, pool_bps or 2_500 if kind == "curve" else pool_bps, locked,
                        surcharge_bps)  # fmt: skip
        for who in EVERYBODY:
            for token in (self.currency, self.share, self.access):
                for spender in (self.sale, self.exchange, self.channels, self.access,
                                self.governor, self.orders):  # fmt: skip
                    self._must(who, token, "approve", spender.address, UNLIMITED)
        self._begin_ghosts()
        if stage != "sale":
            self._go_to_trading()
        if stage == "voting":
            self._go_to_voting()

    def _go_to_trading(self) -> None:
        """Begin where most of a market's life is: a pool is open, and calls are paid."""
        for who in HOLDERS:
            self.buy_first(who, Fraction(2, 5))
        self.wait(DAY)
        self.claim(FOUNDER, "vesting")
        self.never_early()
        self.wait(SALE_TIME)
        self.go_on_with_the_sale("close", KEEPER)
        self.go_on_with_the_sale("open_pool", KEEPER)
        self.go_on_with_the_sale("return_unsold", KEEPER)
        self.open_a_pool(PUBLISHER, Fraction(1, 10), Fraction(1, 10))
        for who in HOLDERS:
            self.go_on_with_the_sale("collect", who)
        self.provide(HOLDERS[1], HOLDERS[1], Fraction(1, 4))
        for who in CONSUMERS:
            self.fund_a_channel(who, Fraction(1), leaves=False)
            self.pay_a_till(who, Fraction(1))
        self.hand_income_on()
        self.sign_an_order(HOLDERS[0], True, Fraction(1, 10), DOLLAR)
        for taker in HOLDERS[1:]:
            self._fill(taker, *self.book[0], part=Fraction(2, 5))
        self.trade_licences()
        self.hire(CONSUMERS[0], [DOLLAR, 5], reserved=True, enough=True)

    def _go_to_voting(self) -> None:
        """Go on to where almost everybody has locked shares and something is proposed."""
        for who in TRADERS:
            self.lock(who, Fraction(9, 10))
        self.wait(DAY)
        self.fill_the_treasury(CONSUMERS[0], Fraction(1))
        for place, kind in enumerate(("discount", "payment", "dearer")):
            self.propose([PUBLISHER, *HOLDERS][place], kind, HOLDERS[0])
        self._change_mind(min(n for n, (who, _, _) in self.locks.items() if who is FOUNDER),
                          MOST_BACKED + 1)  # fmt: skip
        assert max(len(backed) for backed in self.backed.values()) > MOST_BACKED
        self.propose(FOUNDER, "product", HOLDERS[0])
        product = max(self.proposals)
        for proposal in (*sorted(self.proposals)[:2], product):
            self._vote(proposal, support=True)
        self._pass(2)
        self._pass(product)

    def _open_sale(
        self, kind: str, soft: Fraction, pool_bps: int, locked: int, surcharge_bps: int
    ) -> None:
        world = self.world
        liquidity = (pool_bps, 1, locked)
        end = world.now + SALE_TIME
        sale: tuple[Any, ...]
        if kind == "offer":
            least = int(1_000 * soft) * ONE_SHARE
            sale = sale_terms(world, liquidity=liquidity, soft_cap=least, end=end)
        elif kind == "auction":
            least = int(2_000 * soft) * DOLLAR
            sale = auction_terms(world, liquidity=liquidity, soft_cap=least, end=end)
        else:
            calm = DAY if surcharge_bps else 0
            sale = curve_terms(
                *(world,), liquidity=liquidity, surcharge_bps=surcharge_bps, calm=calm, end=end
            )
        self._must(PUBLISHER, self.share, "approve", world.launchpad.address, UNLIMITED)
        launch = {name: [sale] if name == kind else [] for name in ("offer", "auction", "curve")}
        self.granted_at = world.now
        made = self._must(
            *(PUBLISHER, world.launchpad, "launch", self.asset, *launch.values()),
            [(FOUNDER.address, GRANTED, world.now, CLIFF, DURATION)],
            [(ALLOCATED, world.now, CLIFF, DURATION)],
        )
        name = {"offer": "Offering", "auction": "Auction", "curve": "Curve"}[kind]
        self.kind, self.pool_bps, self.locked = kind, pool_bps, locked
        self.sale_end = world.now + SALE_TIME
        self.sale = Contract(world.engine, compiled(name), made[0])
        self.vestings = [Contract(world.engine, compiled("Vesting"), made[1])]
        self.allocation = Contract(world.engine, compiled("Allocation"), made[2])

    def _begin_ghosts(self) -> None:
        self.index = 0
        # Raw shares x base units that each account's shares earned, and the same behind the pool
        # and behind the locks.
        self.earned: Counter[str] = Counter()
        self.behind: dict[str, defaultdict[str, Fraction]] = {
            "pool": defaultdict(Fraction),
            "locks": defaultdict(Fraction),
        }
        self.claimed_behind: dict[str, Counter[str]] = {"pool": Counter(), "locks": Counter()}
        self.slack: Counter[str] = Counter()
        self.waited: set[str] = set()
        self.root: Fraction | None = None
        self.paid: Counter[str] = Counter()
        self.channel_of: dict[Person, int] = {}
        self.signed: Counter[tuple[int, int]] = Counter()
        self.charged: Counter[tuple[int, int]] = Counter()
        self.vouchers: list[tuple[int, SignedLine, tuple[int, int]]] = []
        self.grossed = 0
        self.units = 0
        self.ordered: dict[int, tuple[Person, int, str]] = {}
        self.sold: Counter[bytes] = Counter()
        self.book: list[tuple[Any, tuple[int, int], bytes]] = []
        self.gone: set[bytes] = set()
        self.locks: dict[int, tuple[Person, int, int]] = {}
        self.backed: defaultdict[int, list[int]] = defaultdict(list)
        self.proposals: dict[int, tuple[Any, int, bool]] = {}
        self.contributed: set[int] = set()
        # Products that holders voted for; each consumer has one unit.
        self.voted: list[Contract] = []
        self.splits = {0: None, self.terms: self._split(self.terms)}

    # --- Doing things -----------------------------------------------------------------------------

    def _must(self, by: Person, contract: Contract, name: str, *arguments: object) -> Any:
        answer = contract(name, *arguments, by=by.address)
        self.sums.apply(contract.logs)
        for log in contract.logs:
            if self.share is not None and log.address == self.share.address:
                event = self.share.interface.event(log)
                if event is not None and event.name == "RevenueClaimed":
                    self.claimed[event.arguments["holder"]] += event.arguments["amount"]
        return answer

    def _try(self, by: Person, contract: Contract, name: str, *arguments: object) -> Any:
        """Do it, or be refused with a reason; None then."""
        try:
            answer = self._must(by, contract, name, *arguments)
        except Reverted as refusal:
            self.refusals.append(f"{name}: {refusal.reason}")
            return None
        return True if answer is None else answer

    def _publish(self, slug: str, parents: tuple[tuple[int, int], ...], root: bytes) -> int:
        salt = keccak(text=slug)
        publication = (slug, 1, salt, root, list(parents), (keccak(salt), 1, "bundle://x"))
        endpoint = (OPERATOR.address, CUT_BPS, (1_000, 0, 0), "http://localhost")
        return int(self._must(PUBLISHER, self.registry, "publish", publication, endpoint))

    def _contribution(self, place: int) -> tuple[str, int, int, bytes]:
        return (CONTRIBUTORS[place].address, 1, WEIGHTS[place], bytes(32))

    def _leaf(self, place: int) -> bytes:
        kinds = ["address", "uint8", "uint32", "bytes32"]
        return bytes(keccak(keccak(encode(kinds, self._contribution(place)))))

    def _held(self, token: Contract, who: Person | Contract) -> int:
        return self.sums.of[token.address][who.address]

    def _split(self, terms: int) -> Any:
        return self.registry("split_of", self.asset, OPERATOR.address, terms)[:3]

    def _has_pool(self) -> bool:
        return bool(self.exchange("has_pool", self.share.address))

    def _liquidity(self) -> Counter[str]:
        return self.sums.of[f"liquidity {self.share.address}"]

    # --- The first sale ---------------------------------------------------------------------------

    @rule(who=st.sampled_from(HOLDERS), part=PARTS)
    def buy_first(self, who: Person, part: Fraction) -> None:
        # What left the buyer: a purchase also fetches the sale's revenue, which nobody paid.
        before = self._held(self.currency, who)
        if self.kind == "offer":
            amount = int(self.sale("unsold") * part)
            self._try(who, self.sale, "buy", amount)
        elif self.kind == "auction":
            self._try(who, self.sale, "bid", int(2_000 * DOLLAR * part))
        else:
            spend = int(1_500 * DOLLAR * part)
            least = self.sale("preview_buy", spend)[0]
            bought = self._try(who, self.sale, "buy", spend, least, self.world.now)
            if bought and self.sale("graduated"):
                assert self._has_pool()
                self.paid.clear()
                return
        self.paid[who.address] += before - self._held(self.currency, who)

    @rule(who=st.sampled_from(HOLDERS), part=PARTS)
    def sell_back(self, who: Person, part: Fraction) -> None:
        if self.kind == "curve":
            has = min(self.sale("bought", who.address), self._held(self.share, who))
            amount = int(has * part)
            shown = self.sale("preview_sell", who.address, amount)
            self._try(who, self.sale, "sell", amount, shown, self.world.now)

    @rule(
        what=st.sampled_from(
            ["close", "open_pool", "return_unsold", "withdraw_proceeds", "collect", "refund"]
        ),
        who=st.sampled_from(HOLDERS),
    )
    def go_on_with_the_sale(self, what: str, who: Person) -> None:
        functions = {name for name, _ in self.sale.interface.functions}
        if what not in functions:
            return
        if what == "collect":
            self._try(KEEPER, self.sale, "collect", who.address)
            return
        if what == "refund":
            paid = self._try(who, self.sale, "refund")
            if paid:
                # Once, and exactly what was paid.
                assert paid == self.paid.pop(who.address)
            return
        by = PUBLISHER if what == "withdraw_proceeds" else KEEPER
        if self._try(by, self.sale, what) and what == "open_pool":
            self._note_pool()

    @rule(who=st.sampled_from([PUBLISHER, HOLDERS[2]]), shares=PARTS, money=PARTS)
    def open_a_pool(self, who: Person, shares: Fraction, money: Fraction) -> None:
        tokens = int(self._held(self.share, who) * shares)
        pay = int(self._held(self.currency, who) * money)
        plan = (self.share.address, tokens, pay, 1, who.address, 0)
        if self._try(who, self.exchange, "open_pool", *plan):
            assert self.world.launchpad("open_sales", self.asset) == 0
            self._note_pool()

    def _note_pool(self) -> None:
        self.slack["pool"] += 1
        # Revenue of shares that lay at the Exchange before anyone provided is the first ones'.
        if self.earned[self.exchange.address]:
            self.waited.add("pool")

    # --- Trading ----------------------------------------------------------------------------------

    @rule(who=st.sampled_from(TRADERS), buys=st.booleans(), part=PARTS, dust=st.booleans(),
          exact_out=st.booleans())  # fmt: skip
    def swap(self, who: Person, buys: bool, part: Fraction, dust: bool, exact_out: bool) -> None:
        if not self._has_pool():
            return
        given, got = (self.currency, self.share) if buys else (self.share, self.currency)
        amount = 1 if dust else int(self._held(given, who) * part / 4)
        sides, now = (given.address, got.address), self.world.now
        had = self._held(got, who)
        try:
            shown = self.exchange("preview_exact_in", *sides, amount)
        except Reverted:
            return
        if exact_out:
            taken = self.exchange("preview_exact_out", *sides, shown)
            plan = (*sides, shown, taken, who.address, now)
            assert self._try(who, self.exchange, "swap_exact_out", *plan) == taken <= amount
        else:
            plan = (*sides, amount, shown, who.address, now)
            assert self._try(who, self.exchange, "swap_exact_in", *plan) == shown
        assert self._held(got, who) - had == shown

    @rule(who=st.sampled_from(TRADERS), receiver=st.sampled_from(TRADERS), shares=PARTS)
    def provide(self, who: Person, receiver: Person, shares: Fraction) -> None:
        if self._has_pool():
            tokens = int(self._held(self.share, who) * shares)
            pay = self._held(self.currency, who) // 2
            plan = (self.share.address, tokens, pay, 0, receiver.address, self.world.now)
            self._try(who, self.exchange, "add_liquidity", *plan)
            self.slack["pool"] += 1

    @rule(who=st.sampled_from(TRADERS), part=PARTS)
    def stop_providing(self, who: Person, part: Fraction) -> None:
        amount = int(self._liquidity()[who.address] * part)
        if amount:
            plan = (self.share.address, amount, 0, 0, who.address, self.world.now)
            self._try(who, self.exchange, "remove_liquidity", *plan)
            self.slack["pool"] += 1

    @rule(who=st.sampled_from(TRADERS), to=st.sampled_from(TRADERS), part=PARTS)
    def give_liquidity(self, who: Person, to: Person, part: Fraction) -> None:
        amount = int(self._liquidity()[who.address] * part)
        if amount:
            key = int(self.share.address, 16)
            self._try(who, self.exchange, "transfer", to.address, key, amount)
            self.slack["pool"] += 1

    @rule(maker=st.sampled_from(HOLDERS), sells=st.booleans(), part=PARTS,
          price=st.integers(1, 10 * DOLLAR))  # fmt: skip
    def sign_an_order(self, maker: Person, sells: bool, part: Fraction, price: int) -> None:
        shares = int(self._held(self.share, maker) * part)
        money = shares * price // ONE_SHARE
        if not shares or not money:
            return
        sides = [(key_of(self.share), shares), (key_of(self.currency), money)]
        (sell, sell_amount), (buy, buy_amount) = sides if sells else sides[::-1]
        order = limit_order(
            *(self.world, maker), sell=sell, sell_amount=sell_amount, buy=buy,
            buy_amount=buy_amount, salt=len(self.book).to_bytes(32, "big"),
        )  # fmt: skip
        signature = sign_order(self.world, order, maker)
        digest = bytes(self.orders("digest_of", row_of(order)))
        self.book.append((order, signature, digest))

    @precondition(lambda self: self.book)
    @rule(data=st.data(), taker=st.sampled_from(HOLDERS), part=PARTS, cancels=st.booleans())
    def fill_or_cancel(
        self, data: st.DataObject, taker: Person, part: Fraction, cancels: bool
    ) -> None:
        order, signature, digest = data.draw(st.sampled_from(self.book))
        if cancels:
            maker = next(who for who in EVERYBODY if key_of(who) == order.maker)
            self._must(maker, self.orders, "cancel", row_of(order))
            self.gone.add(digest)
            return
        self._fill(taker, order, signature, digest, part=part)

    def _fill(
        self,
        taker: Person,
        order: Any,
        signature: tuple[int, int],
        digest: bytes,
        *,
        part: Fraction,
    ) -> None:
        maker = next(who for who in EVERYBODY if key_of(who) == order.maker)
        amount = int(order.sell_amount * part)
        filled = self._try(taker, self.orders, "fill", row_of(order), *signature, amount, UNLIMITED)
        if filled is not None:
            assert digest not in self.gone
            assert maker is not taker
            # The maker never gets less than the price.
            assert filled * order.sell_amount >= amount * order.buy_amount
            self.sold[digest] += amount

    @rule(who=st.sampled_from(TRADERS), to=st.sampled_from([*TRADERS, KEEPER]), part=PARTS)
    def transfer(self, who: Person, to: Person, part: Fraction) -> None:
        amount = int(self._held(self.share, who) * part)
        self._must(who, self.share, "transfer", to.address, amount)

    # --- Consumers --------------------------------------------------------------------------------

    @rule(who=st.sampled_from(CONSUMERS), part=PARTS, leaves=st.booleans())
    def fund_a_channel(self, who: Person, part: Fraction, leaves: bool) -> None:
        channels, operator = self.channels, OPERATOR.address
        number = self.channel_of.get(who)
        amount = int(self._held(self.currency, who) * part / 4)
        if number is None:
            opened = self._try(who, channels, "open", operator, bytes(32), amount, who.address, [])
            if opened is not None:
                self.channel_of[who] = opened
        elif leaves:
            if self._try(who, channels, "withdraw", operator, number) is None:
                self._try(who, channels, "request_withdrawal", operator, number)
        else:
            self._try(who, channels, "top_up", operator, number, amount)

    @precondition(lambda self: self.channel_of)
    @rule(data=st.data(), part=PARTS)
    def sign_a_voucher(self, data: st.DataObject, part: Fraction) -> None:
        who = data.draw(st.sampled_from(sorted(self.channel_of, key=str)))
        number = self.channel_of[who]
        terms = data.draw(st.sampled_from(sorted(self.splits)))
        maximum = self.signed[number, terms] + int(100 * DOLLAR * part)
        self.signed[number, terms] = maximum
        line = SignedLine(self.asset, terms, maximum, int(maximum * part))
        signature = compact(*sign_voucher(who, domain_of(self.channels), number, [line]))
        self.vouchers.append((number, line, signature))

    @precondition(lambda self: self.vouchers)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """Settle any vouchers, old ones again too."""
        chosen = data.draw(st.lists(st.sampled_from(self.vouchers), min_size=1, max_size=4))
        batch = Batch(sorted({(line.asset, line.terms) for _, line, _ in chosen}))
        for number, line, signature in chosen:
            batch.add(number, [line], signature)
        taken = self._try(OPERATOR, self.channels, "settle", batch.tills, batch.words)
        grown = 0
        for number, line, _ in chosen:
            at = (number, line.terms)
            now = self.channels("line_of", OPERATOR.address, number, self.asset, line.terms)[0]
            grown += now - self.charged[at]
            self.charged[at] = now
        assert grown == (taken or 0)
        self.grossed += grown

    @rule(who=st.sampled_from(CONSUMERS), part=PARTS)
    def pay_a_till(self, who: Person, part: Fraction) -> None:
        till = self.channels("till_of", *self.till)
        amount = int(200 * DOLLAR * part)
        self._try(who, self.currency, "transfer", till, amount)
        self.grossed += self._must(KEEPER, self.channels, "flush_till", *self.till)

    @rule()
    def hand_income_on(self) -> None:
        self._must(KEEPER, self.channels, "flush", self.asset)

    # --- Access -----------------------------------------------------------------------------------

    @rule(who=st.sampled_from([*CONSUMERS, HOLDERS[2]]), units=st.integers(1, 4),
          how=st.sampled_from(["buy", "redeem", "buy_and_redeem"]))  # fmt: skip
    def get_access(self, who: Person, units: int, how: str) -> None:
        made = self._try(who, self.access, how, units)
        if made is not None:
            self.units += 0 if how == "redeem" else units
            if how != "buy":
                self.ordered[made] = (who, units, "open")

    @precondition(lambda self: self.ordered)
    @rule(data=st.data(), how=st.sampled_from(["prove", "refund", "refund_for", "decline"]))
    def serve_or_not(self, data: st.DataObject, how: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.ordered)))
        who, units, state = self.ordered[number]
        ordered_at = self.access("order_of", number)[3]
        in_time = self.world.now <= ordered_at + SERVE_WINDOW
        if how == "prove":
            domain = domain_of(self.access, "Tessera Access")
            message = {"order": number, "call": bytes(16), "request": bytes(32), "deadline": 1}
            fields = [{"name": name, "type": typ} for name, typ in USE_FIELDS.items()]
            r, vs = compact(*sign(who, domain, "Use", {"Use": fields}, message))
            use = (number, bytes(16), bytes(32), 1, bytes(32), r, vs)
            done = self._must(OPERATOR, self.access, "prove", [use])
            assert done == (state == "open" and in_time)
            if done:
                self.ordered[number] = (who, units, "proved")
            return
        by = {"refund": who, "refund_for": KEEPER, "decline": OPERATOR}[how]
        paid = self._try(by, self.access, how, number)
        assert (paid is not None) == (state == "open" and (how == "decline" or not in_time))
        if paid is not None:
            assert paid == units * PRICE
            self.units -= units
            self.ordered[number] = (who, units, "void")

    @rule()
    def flush_access(self) -> None:
        till = self.channels("till_of", *self.till)
        before = self.sums.went[self.currency.address, till, self.channels.address]
        self._must(KEEPER, self.access, "flush")
        self.grossed += self.sums.went[self.currency.address, till, self.channels.address] - before

    # --- Votes ------------------------------------------------------------------------------------

    @rule(who=st.sampled_from(TRADERS), part=PARTS)
    def lock(self, who: Person, part: Fraction) -> None:
        amount = int(self._held(self.share, who) * part)
        number = self._try(who, self.governor, "lock", self.asset, amount)
        if number is not None:
            self.locks[number] = (who, amount, self.world.now)
            self.slack["locks"] += 1

    @precondition(lambda self: self.locks)
    @rule(data=st.data())
    def unlock(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.locks)))
        who, amount, since = self.locks[number]
        backed = self.backed[number]
        over = [p for p in backed if self.governor("state_of", self.asset, p) & 0b1101 == 0]
        while len(over) > MOST_BACKED:
            some, over = over[:MOST_BACKED], over[MOST_BACKED:]
            self._must(KEEPER, self.governor, "let_go", self.asset, number, some)
            self.backed[number] = backed = [p for p in backed if p not in some]
        got = self._try(who, self.governor, "unlock", self.asset, number, over)
        if got is not None:
            assert got == amount
            assert self.world.now >= since + MIN_LOCK
            assert over == backed
            del self.locks[number]
            self.slack["locks"] += 1

    @rule(
        who=st.sampled_from(TRADERS),
        kind=st.sampled_from(
            ["discount", "price", "dearer", "payment", "parent", "stop", "resume", "product"]
        ),
        benefit=st.sampled_from(HOLDERS),
    )
    def propose(self, who: Person, kind: str, benefit: Person) -> None:
        grave = kind in ("discount", "dearer", "parent", "resume", "product")
        if kind == "discount":
            what = action(DISCOUNT, operator=OPERATOR, discount_bps=1_000, min_locked=ONE_SHARE)
        elif kind == "dearer":
            what = action(ENDPOINT, operator=OPERATOR, cut_bps=3_000, price=(1_000, 0, 0))
        elif kind == "price":
            what = action(ENDPOINT, operator=OPERATOR, cut_bps=CUT_BPS, price=(2_000, 0, 0))
        elif kind == "payment":
            amount = self.governor("treasury_of", self.asset) // 2
            what = action(PAYMENT, receiver=benefit, amount=amount)
        elif kind == "parent":
            what = action(PARENT, parent=self.parent, royalty_bps=300)
        elif kind == "product":
            terms = ProductTerms(OPERATOR.address, price=2 * PRICE, serve_window=SERVE_WINDOW)
            what = action(PRODUCT, product=terms)
        else:
            what = action(SALE, access=self.access, on=kind == "resume")
        if kind == "dearer" and self.governor("preview_grave", self.asset, what) is False:
            grave = False
        number = self._try(who, self.governor, "propose", self.asset, what, "a benign title")
        if number is not None:
            self.proposals[number] = (what, self.world.now, grave)

    @precondition(lambda self: self.proposals and self.locks)
    @rule(data=st.data(), support=st.sampled_from([True, True, False]))
    def vote(self, data: st.DataObject, support: bool) -> None:
        """Let everybody whose locks may vote, say the same: so that something passes at all."""
        self._vote(data.draw(st.sampled_from(sorted(self.proposals))), support=support)

    def _vote(self, proposal: int, *, support: bool) -> None:
        proposed_at = self.proposals[proposal][1]
        for number, (who, amount, since) in sorted(self.locks.items()):
            plan = (self.asset, proposal, support, [number])
            weight = self._try(who, self.governor, "vote", *plan)
            if weight is not None:
                assert weight == amount
                assert since < proposed_at
                if support:
                    self.backed[number].append(proposal)

    @precondition(lambda self: self.locks)
    @rule(data=st.data())
    def change_ones_mind(self, data: st.DataObject) -> None:
        """Back more proposals than one call lets go, each of them taken back by its proposer."""
        number = data.draw(st.sampled_from(sorted(self.locks)))
        if len(self.backed[number]) <= MOST_BACKED:
            self._change_mind(number, MOST_BACKED + 1)

    def _change_mind(self, number: int, often: int) -> None:
        who, _, _ = self.locks[number]
        nothing = action(PAYMENT, receiver=who)
        for _ in range(often):
            made = self._try(who, self.governor, "propose", self.asset, nothing, "never mind")
            if made is None:
                return
            plan = (self.asset, made, True, [number])
            if self._try(who, self.governor, "vote", *plan) is not None:
                self.backed[number].append(made)
            self._must(who, self.governor, "cancel", self.asset, made)

    @precondition(lambda self: self.proposals)
    @rule(data=st.data())
    def pass_a_proposal(self, data: st.DataObject) -> None:
        """Wait for the end of a vote, and of everything behind it, and execute."""
        self._pass(data.draw(st.sampled_from(sorted(self.proposals))))

    def _pass(self, number: int) -> None:
        if number not in self.proposals:
            return
        _, proposed_at, grave = self.proposals[number]
        due = proposed_at + VOTING_TIME + TIMELOCK + (EXIT_DELAY if grave else 0)
        self.wait(max(1, due - 1 - self.world.now))
        self._execute(number)
        self.wait(1)
        self._execute(number)

    @precondition(lambda self: self.proposals)
    @rule(data=st.data())
    def execute(self, data: st.DataObject) -> None:
        self._execute(data.draw(st.sampled_from(sorted(self.proposals))))

    def _execute(self, number: int) -> None:
        what, proposed_at, grave = self.proposals[number]
        done = self._try(KEEPER, self.governor, "execute", self.asset, number, what)
        logs = self.governor.logs
        if done is not None:
            wait = VOTING_TIME + TIMELOCK + (EXIT_DELAY if grave else 0)
            assert self.world.now >= proposed_at + wait
            assert self.governor("state_of", self.asset, number) == EXECUTED
            yes, no = self.governor("proposal_of", self.asset, number)[7:9]
            assert yes > no
            if grave:
                assert 3 * yes >= 2 * SUPPLY
            if what[0] == PRODUCT:
                self._sell_what_was_voted_for(logs)
            for terms in range(1, 8):
                split = self._split_if_any(terms)
                if split is not None and terms not in self.splits:
                    self.splits[terms] = split

    def _sell_what_was_voted_for(self, logs: list[Log]) -> None:
        """The holders made a product: it is theirs, and its units are backed as others are."""
        storefront = self.world.storefront
        (made,) = (
            event.arguments["access"]
            for log in logs
            if log.address == storefront.address
            and (event := storefront.interface.event(log)) is not None
            and event.name == "ProductCreated"
        )
        assert storefront("asset_of", made) == self.asset
        product = Contract(self.world.engine, compiled("Access"), made)
        self.voted.append(product)
        for who in CONSUMERS:
            self._must(who, self.currency, "approve", made, UNLIMITED)
            self._must(who, product, "buy", 1)

    def _split_if_any(self, terms: int) -> Any:
        try:
            return self._split(terms)
        except Reverted:
            return None

    @rule(who=st.sampled_from(CONSUMERS), part=PARTS)
    def fill_the_treasury(self, who: Person, part: Fraction) -> None:
        self._try(who, self.governor, "deposit", self.asset, int(50 * DOLLAR * part))

    # --- Claims, gifts, time ----------------------------------------------------------------------

    @rule(
        who=st.sampled_from(TRADERS),
        where=st.sampled_from(["share", "pool", "locks", "sale", "vesting", "credit"]),
    )
    def claim(self, who: Person, where: str) -> None:
        if where == "share":
            self._claim_from_share(who)
        elif where == "pool" and self._has_pool():
            got = self._try(who, self.exchange, "claim", self.share.address)
            self.claimed_behind["pool"][who.address] += got or 0
        elif where == "locks":
            got = self._must(who, self.governor, "claim", self.asset)
            self.claimed_behind["locks"][who.address] += got
        elif where == "sale":
            self._try(who, self.sale, "claim")
        elif where == "vesting":
            for vesting in self.vestings:
                self._must(KEEPER, vesting, "release")
                self._try(who, vesting, "claim")
        elif where == "credit":
            self._must(OPERATOR, self.channels, "withdraw_credit")

    def _claim_from_share(self, who: Person) -> None:
        self._must(who, self.share, "claim")

    @rule(place=st.integers(0, 1), own=st.booleans())
    def claim_contribution(self, place: int, own: bool) -> None:
        proof = [self._leaf(1 - place)]
        by = CONTRIBUTORS[place] if own else KEEPER
        plan = (self.allocation.address, self._contribution(place), proof)
        made = self._try(by, self.world.launchpad, "claim_contribution", *plan)
        assert (made is not None) == (place not in self.contributed)
        if made is not None:
            self.contributed.add(place)
            self.vestings.append(Contract(self.world.engine, compiled("Vesting"), made))

    @rule(
        who=st.sampled_from(HOLDERS),
        where=st.sampled_from(["exchange", "governor", "sale", "channels", "access", "share"]),
        money=st.booleans(),
        amount=st.integers(1, 10 * ONE_SHARE),
    )
    def send_by_mistake(self, who: Person, where: str, money: bool, amount: int) -> None:
        """Gifts change no price, and nobody can take what is not theirs by them."""
        target: Contract = getattr(self, where)
        token = self.currency if money else self.share
        given = min(amount, self._held(token, who), 20 * DOLLAR if money else SUPPLY)
        reserves = self.exchange("reserves_of", self.share.address)
        self._try(who, token, "transfer", target.address, given)
        assert self.exchange("reserves_of", self.share.address) == reserves
        if where == "exchange" and not money:
            self._try(KEEPER, self.exchange, "skim", self.share.address)
        elif where == "governor":
            self._must(KEEPER, self.governor, "rescue", token.address)
        elif where == "channels" and money:
            self._must(KEEPER, self.channels, "absorb_surplus")
        elif where == "share" and money:
            self._must(KEEPER, self.share, "sync")

    @rule(seconds=st.sampled_from([1, 600, WITHDRAW_DELAY]))
    def wait_a_little(self, seconds: int) -> None:
        self.wait(seconds)

    @rule(seconds=st.sampled_from([DAY, DAY, 3 * DAY, SALE_TIME]))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)
        index = int(self.share("revenue_index"))
        assert index >= self.index
        grown, self.index = index - self.index, index
        if not grown:
            return
        for account, held in self.sums.of[self.share.address].items():
            self.earned[account] += grown * held
        liquidity = {a: held for a, held in self._liquidity().items() if a != NOBODY and held}
        self._spread("pool", grown * self._held(self.share, self.exchange), liquidity)
        locked: Counter[str] = Counter()
        for who, amount, _ in self.locks.values():
            locked[who.address] += amount
        self._spread("locks", grown * self._held(self.share, self.governor), locked)

    def _spread(self, where: str, earned: int, parts: dict[str, int]) -> None:
        whole = sum(parts.values())
        if earned and not whole:
            self.waited.add(where)
        for account, part in parts.items():
            self.behind[where][account] += Fraction(earned * part, whole * SUPPLY)

    # --- Promises ---------------------------------------------------------------------------------

    @invariant()
    def solvent(self) -> None:
        held = self._held
        assert held(self.currency, self.share) >= self.share("obligations")
        for keeps in (self.channels, self.workflows):
            assert held(self.currency, keeps) == keeps("obligations")
        tokens, money = self.exchange("reserves_of", self.share.address)
        assert held(self.share, self.exchange) >= tokens
        received, paid = self.exchange("revenue_of", self.share.address)
        _, beside = self.exchange("reserves_of", self.licence.address)
        assert held(self.currency, self.exchange) >= money + beside + received - paid
        assert held(self.share, self.governor) >= self.governor("locked_total", self.asset)
        reserved = self.governor("reserved", self.currency.address)
        assert held(self.currency, self.governor) >= reserved
        assert reserved >= self.governor("treasury_of", self.asset)
        assert held(self.currency, self.access) >= self.access("backing")
        for product in self.voted:
            backing = product("backing")
            assert held(self.currency, product) >= backing == len(CONSUMERS) * 2 * PRICE
        assert held(self.share, self.allocation) >= self.allocation("left")
        self._sale_is_solvent()
        launchpad = self.world.launchpad
        kinds = ("unsold",) if self.kind == "curve" else ("unsold", "escrowed", "pooled")
        assert launchpad("held_in_sales", self.asset) == sum(self.sale(part) for part in kinds)

    def _sale_is_solvent(self) -> None:
        money = self._held(self.currency, self.sale)
        if self.kind == "curve":
            owed = self.sale("proceeds" if self.sale("graduated") else "raised")
            assert self._held(self.share, self.sale) >= self.sale("unsold")
        else:
            owed = self.sale("received") - self.sale("distributed")
            if not self.sale("final"):
                owed += sum(self.paid.values())
            else:
                owed += self.sale("proceeds")
                if not self.sale("pool_opened"):
                    owed += self.sale("raised") * self.pool_bps // BPS
            kept = sum(self.sale(part) for part in ("unsold", "escrowed", "pooled"))
            assert self._held(self.share, self.sale) >= kept
        assert money >= owed

    @invariant()
    def conserved(self) -> None:
        for token in (self.currency, self.share, self.access, self.licence, *self.voted):
            book = self.sums.of[token.address]
            for account, held in book.items():
                if self.steps % EVERY == 0 or (token.address, account) in self.sums.touched:
                    assert token("balanceOf", account) == held
            assert sum(book.values()) == self.sums.supply[token.address] == token("totalSupply")
        assert self.sums.supply[self.share.address] == SUPPLY
        book, key = self._liquidity(), int(self.share.address, 16)
        self.sums.touched.clear()
        for account, held in book.items():
            if account != NOBODY:
                assert self.exchange("balanceOf", account, key) == held
        assert sum(book.values()) == self.exchange("liquidity_of", self.share.address)
        # Nothing is ever kept by those who only pass things on.
        for passes in (self.orders, self.world.launchpad, self.world.storefront, self.registry):
            assert not self._held(self.currency, passes)
            assert not self._held(self.share, passes)

    @invariant()
    def every_share_is_somewhere(self) -> None:
        every_share_is_somewhere(
            *(self.lens, self.asset, self.sums.of[self.share.address]),
            sales=[self.sale],
            vestings=[*self.vestings, self.allocation],
            pool=(self.exchange, self.exchange("token_reserve", self.share.address)),
            locks=(self.governor, sum(amount for _, amount, _ in self.locks.values())),
        )

    @invariant()
    def index_never_falls(self) -> None:
        assert self.share("revenue_index") == self.index

    @invariant()
    def no_past_revenue(self) -> None:
        """Everybody has what their shares earned while they held them, but for fractions."""
        total = 0
        for account, earned in self.earned.items():
            due = self.share("claimable", account)
            got = self.claimed[account] + due
            assert earned // SUPPLY - 1 <= got <= earned // SUPPLY
            total += got
        assert total <= self.index
        paid = self.share("paid")
        assert sum(self.claimed.values()) == paid
        for where, view, key in (
            ("pool", self.exchange, self.share.address),
            ("locks", self.governor, self.asset),
        ):
            if where in self.waited or (where == "pool" and not self._has_pool()):
                continue
            for account, fraction in self.behind[where].items():
                got = self.claimed_behind[where][account] + view("claimable", key, account)
                assert abs(got - fraction) <= 2 + self.slack[where]

    @invariant()
    def price_honest(self) -> None:
        tokens, money = self.exchange("reserves_of", self.share.address)
        if tokens:
            liquidity = self.exchange("liquidity_of", self.share.address)
            root = Fraction(tokens * money, liquidity**2)
            assert self.root is None or root >= self.root
            self.root = root

    @invariant()
    def never_early(self) -> None:
        age = self.world.now - self.granted_at
        part = 0 if age < CLIFF else min(age, DURATION)
        for vesting in self.vestings:
            amount = vesting("schedule")[2]
            unlocked = amount * part // DURATION
            assert self._held(self.share, vesting) >= amount - unlocked
        holder, amount, until = self.exchange("lock_of", self.share.address)
        if self.world.now < until:
            assert self._liquidity()[holder] >= amount
        for number, (who, amount, _) in self.locks.items():
            assert self.governor("lock_of", self.asset, number)[:2] == (who.address, amount)

    @invariant()
    def refused_with_words(self) -> None:
        """Whoever is refused is told why."""
        for refusal in self.refusals:
            assert not refusal.endswith(": "), refusal
        self.refusals.clear()

    @invariant()
    def settled_once(self) -> None:
        for (number, terms), charged in self.charged.items():
            assert charged <= self.signed[number, terms]
        for digest, sold in self.sold.items():
            if digest not in self.gone:
                assert self.orders("filled", digest) == sold
        for order, _, digest in self.book:
            assert self.sold[digest] <= order.sell_amount
        for number, (_, _, state) in self.ordered.items():
            view = self.access("order_of", number)
            assert (view[7], view[8]) == (state == "proved", state == "void")

    @invariant()
    def budget_fixed(self) -> None:
        self.plans_cost_what_was_signed()

    @invariant()
    def holders_floor(self) -> None:
        income = self.channels("pending_of", self.asset)
        income += self.sums.went[self.currency.address, self.channels.address, self.share.address]
        assert income >= self.grossed * FLOOR_BPS // BPS - len(self.splits)

    @invariant()
    def terms_at_call(self) -> None:
        for terms, split in self.splits.items():
            if split is not None:
                fee, cut, royalties = self._split(terms)
                # The cut of terms that were replaced lapses to nothing; the rest stays for ever.
                assert (fee, royalties) == (split[0], split[2])
                assert cut in (0, split[1])
        grossed = sum(
            self.channels("gross_of", self.asset, OPERATOR.address, terms) for terms in self.splits
        )
        assert grossed == self.grossed

    @invariant()
    def escrow_until_final(self) -> None:
        over = self.sale("graduated") if self.kind == "curve" else self.sale("final")
        if not over and self.kind != "curve":
            assert self._held(self.currency, self.sale) >= sum(self.paid.values())
        if not over:
            assert not self._has_pool() or not self.world.launchpad("open_sales", self.asset)
        unproved = sum(units for _, units, state in self.ordered.values() if state == "proved")
        assert self.access("backing") == (self.units - unproved) * PRICE

    @invariant()
    def wash_loses(self) -> None:
        """What the commons have, no coalition of all others gets back."""
        commons = self.channels("credit_of", self.world.commons.address)
        assert commons >= self.grossed * (FEE_BPS // 2) // BPS - len(self.splits)

    @invariant()
    def can_always_claim(self) -> None:
        """Everybody leaves, whatever the others do; only fractions stay."""
        self.steps += 1
        if self.steps % EVERY:
            return
        with self.world.engine.trial():
            self._end_the_sale()
            self._end_the_calls()
            self._end_the_votes()
            self._leave_the_pool()
            self._claim_the_rest()

    def _end_the_sale(self) -> None:
        world, sale = self.world, self.sale
        world.wait(max(0, self.sale_end - world.now))
        if self.kind == "curve":
            for who in HOLDERS:
                bought = sale("bought", who.address)
                amount = min(bought, self.share("balanceOf", who.address))
                if amount and not sale("graduated"):
                    sale("sell", amount, 0, world.now, by=who.address)
            sale("return_unsold")
        else:
            if self.kind == "auction" and not sale("closed"):
                sale("close")
            final = sale("final")
            waits = "bought" if self.kind == "offer" else "bid_of"
            for who in HOLDERS:
                if final and sale(waits, who.address):
                    sale("collect", who.address)
                elif not final and self.paid[who.address]:
                    assert sale("refund_for", who.address) == self.paid[who.address]
                if final:
                    sale("claim", by=who.address)
            if final and self.pool_bps and not sale("pool_opened"):
                sale("open_pool")
            waits = self.kind == "offer" and not sale("returned")
            if waits or (self.kind == "auction" and self.share("balanceOf", sale.address)):
                sale("return_unsold")
        sale("withdraw_proceeds", by=PUBLISHER.address)
        sale("claim", by=PUBLISHER.address)
        assert world.launchpad("open_sales", self.asset) == 0

    def _end_the_calls(self) -> None:
        for who, number in self.channel_of.items():
            if self.channels("channel_of", OPERATOR.address, number)[4] == 0:
                self.channels("request_withdrawal", OPERATOR.address, number, by=who.address)
        self.world.wait(WITHDRAW_DELAY)
        for who, number in self.channel_of.items():
            left = self.channels("channel_of", OPERATOR.address, number)[3]
            before = self.world.held(who)
            self.channels("withdraw", OPERATOR.address, number, by=who.address)
            assert self.world.held(who) - before == left
        self.world.wait(3 * SERVE_WINDOW + 1)
        for number, (who, units, state) in self.ordered.items():
            if state == "open":
                assert self.access("refund", number, by=who.address) == units * PRICE
        self.end_licences()
        self.end_workflows()
        self.access("flush")
        outstanding = self.access("totalSupply")
        assert self.world.held(self.access) == outstanding * PRICE
        for asset in (self.parent, self.asset):
            self.channels("flush", asset)
        for who in (*EVERYBODY, self.world.commons):
            self.channels("withdraw_credit", by=who.address)
        assert self.world.held(self.channels) <= 4 * len(self.splits)

    def _end_the_votes(self) -> None:
        self.world.wait(VOTING_TIME + TIMELOCK + EXIT_DELAY + EXECUTION_WINDOW)
        for number, (who, amount, _) in self.locks.items():
            backed = self.backed[number]
            for begin in range(MOST_BACKED, len(backed), MOST_BACKED):
                some = backed[begin : begin + MOST_BACKED]
                self.governor("let_go", self.asset, number, some, by=KEEPER.address)
            backed = backed[:MOST_BACKED]
            got = self.governor("unlock", self.asset, number, backed, by=who.address)
            assert got == amount

    def _leave_the_pool(self) -> None:
        self.world.wait(max(self.locked, self.period) + DAY)
        if not self._has_pool():
            return
        for who in EVERYBODY:
            self.exchange("claim", self.share.address, by=who.address)
            held = self.exchange("balanceOf", who.address, int(self.share.address, 16))
            if held:
                plan = (self.share.address, held, 0, 0, who.address, self.world.now)
                self.exchange("remove_liquidity", *plan, by=who.address)
        tokens, money = self.exchange("reserves_of", self.share.address)
        burnt = self.exchange("liquidity_of", self.share.address)
        assert burnt == 2**20
        assert tokens
        assert money

    def _claim_the_rest(self) -> None:
        for place in {0, 1} - self.contributed:
            plan = (self.allocation.address, self._contribution(place), [self._leaf(1 - place)])
            made = self.world.launchpad("claim_contribution", *plan)
            vesting = Contract(self.world.engine, compiled("Vesting"), made)
            vesting("release")
            vesting("claim", by=CONTRIBUTORS[place].address)
        self.world.wait(max(0, self.granted_at + DURATION - self.world.now))
        for vesting in self.vestings:
            vesting("release")
            assert self.share("balanceOf", vesting.address) == 0
            owner = vesting("schedule")[1]
            vesting("claim", by=owner)
        for who in EVERYBODY:
            self.governor("claim", self.asset, by=who.address)
            self.share("claim", by=who.address)
            assert self.share("claimable", who.address) == 0


TestWholeMarketPromises = WholeMarketPromises.TestCase
TestWholeMarketPromises.settings = times(0.4, steps=2)
