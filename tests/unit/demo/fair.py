"""A fair's books, one kind at a time: sales, pools, products, votes, parts, charges.

Each function plays a short story by the twins and returns what a chain would show afterwards. Only
what one part of the accountant looks at is there, so each story stands alone.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tessera.bindings import (
    access,
    allocation,
    auction,
    channels,
    curve,
    exchange,
    governor,
    launchpad,
    offering,
    orders,
    registry,
    share,
    storefront,
    test_dollar,
)
from tessera.bindings.calls import Event
from tessera.demo.accountant import Entry, Facts, LineKey, PaidCall, ShareFacts
from tessera.ownership import governance
from tessera.spec.access import rent_cost, royalty_of
from tessera.spec.allocation import AllocationModel
from tessera.spec.auction import AuctionSale, price_at
from tessera.spec.curve import CurveModel, CurveSale
from tessera.spec.exchange import BURNT, ExchangeModel, bought_for, proceeds_of
from tessera.spec.governance import GovernanceModel, Rules
from tessera.spec.offering import WHOLE_SHARE, cost_of, pool_part
from tessera.spec.prices import Price
from tessera.spec.revenue import Stream
from tessera.spec.signatures import ZERO_ADDRESS_TEXT as NOBODY
from tessera.spec.signatures import address_of
from tessera.units import Shares, Units

(CURRENCY, CHANNELS, REGISTRY, LAUNCHPAD, EXCHANGE, GOVERNOR, ORDERS, STOREFRONT, TILL) = (
    f"0x{number:040x}" for number in range(1, 10)
)
PUBLISHER, BUYER, SECOND, OPERATOR, CONTRIBUTOR = (f"0x{number:040x}" for number in range(20, 25))
SHARE, SALE, ACCESS, ALLOCATION, VESTING = (f"0x{number:040x}" for number in range(40, 45))
ASSET = 7
ONE = WHOLE_SHARE
DOLLAR = 10**6
SUPPLY = 1_000 * ONE
EVERYBODY = bytes(32)


class Book:
    """Writes down what contracts say, and what they hold."""

    def __init__(self) -> None:
        self.now, self.tx = 1_000, 0
        self.entries: list[Entry] = []
        self.balances: Counter[str] = Counter()
        self.shares: Counter[str] = Counter()
        self.say(
            REGISTRY,
            registry.AssetRegistered(
                asset=ASSET, creator=PUBLISHER, number=1, kind=registry.Kind.MODEL, slug="model",
                contributions=b"\1" * 32, parents=(),
            ),
        )  # fmt: skip
        self.say(SHARE, share.Transfer(NOBODY, PUBLISHER, SUPPLY))
        self.say(
            REGISTRY,
            registry.Tokenized(
                asset=ASSET, share=SHARE, receiver=PUBLISHER, supply=SUPPLY, floor_bps=0,
                max_discount_bps=5_000, period=1,
            ),
        )  # fmt: skip
        self.shares[PUBLISHER] = SUPPLY

    def say(self, address: str, event: Event) -> None:
        self.entries.append(Entry(event, address, self.now, f"0x{self.tx:064x}"))

    def then(self, seconds: int = 1) -> None:
        """Begin another transaction."""
        self.now += seconds
        self.tx += 1

    def pay(self, sender: str, receiver: str, amount: int) -> None:
        self.balances[sender] -= amount
        self.balances[receiver] += amount
        self.say(CURRENCY, test_dollar.Transfer(sender, receiver, amount))

    def move(self, sender: str, receiver: str, amount: int) -> None:
        self.shares[sender] -= amount
        self.shares[receiver] += amount
        self.say(SHARE, share.Transfer(sender, receiver, amount))

    def earn(self, holder: str, amount: int) -> None:
        """Let a contract take revenue from the Share."""
        self.say(SHARE, share.RevenueClaimed(holder, amount))
        self.pay(SHARE, holder, amount)

    def facts(self, **known: Any) -> Facts:
        found = ShareFacts(
            balances=dict(self.shares), claimable={}, stream=Stream(0, 0, 0, 0), paid=0,
            obligations=0,
        )  # fmt: skip
        plain: dict[str, Any] = {
            "time": self.now, "currency": CURRENCY, "channels": CHANNELS, "supply": 0,
            "entries": tuple(self.entries), "balances": dict(self.balances), "obligations": 0,
            "channel_balances": {}, "lines": {}, "gross": {}, "pending": {}, "credit": {},
            "shares": {SHARE: found},
        }  # fmt: skip
        return Facts(**(plain | known))


def offering_books() -> Facts:
    """Two buyers at a fixed price; one waits for the soft cap; a quarter opens the pool."""
    book = Book()
    for_sale, bps = 100 * ONE, 2_500
    terms = launchpad.Sale(
        PUBLISHER, DOLLAR, for_sale, 40 * ONE, for_sale, book.now, book.now + 99, EVERYBODY,
        launchpad.Liquidity(bps, 1, 0),
    )  # fmt: skip
    book.move(PUBLISHER, SALE, for_sale + pool_part(for_sale, bps))
    book.say(LAUNCHPAD, launchpad.OfferingOpened(ASSET, SALE, PUBLISHER, terms))
    raised = 0
    for buyer, amount in ((BUYER, 30 * ONE + 1), (SECOND, 70 * ONE - 1)):
        book.then()
        cost = cost_of(amount, terms.price)
        raised += cost
        book.pay(buyer, SALE, cost)
        if buyer == SECOND:
            book.move(SALE, buyer, amount)
        book.say(SALE, offering.Bought(buyer, amount, cost))
    book.then()
    book.earn(SALE, 1_001)
    book.move(SALE, BUYER, 30 * ONE + 1)
    book.say(SALE, offering.Collected(BUYER, 30 * ONE + 1))
    book.pay(SALE, BUYER, 1_000)
    book.say(SALE, offering.RevenueClaimed(BUYER, BUYER, 1_000))
    in_pool, beside = pool_part(raised, bps), pool_part(for_sale, bps)
    book.pay(SALE, EXCHANGE, in_pool)
    book.move(SALE, EXCHANGE, beside)
    book.say(SALE, offering.PoolOpened(beside, in_pool, 0))
    book.pay(SALE, PUBLISHER, raised - in_pool)
    book.say(SALE, offering.ProceedsWithdrawn(PUBLISHER, PUBLISHER, raised - in_pool))
    return book.facts(offering_flows={SALE: (1_001, 1_000)})


def failed_offering_books() -> Facts:
    """A sale below its soft cap: the money goes back, and the shares too."""
    book = Book()
    terms = launchpad.Sale(
        PUBLISHER, DOLLAR, 100 * ONE, 40 * ONE, 100 * ONE, book.now, book.now + 9, EVERYBODY,
        launchpad.Liquidity(0, 0, 0),
    )  # fmt: skip
    book.move(PUBLISHER, SALE, 100 * ONE)
    book.say(LAUNCHPAD, launchpad.OfferingOpened(ASSET, SALE, PUBLISHER, terms))
    book.then()
    book.pay(BUYER, SALE, 30 * DOLLAR)
    book.say(SALE, offering.Bought(BUYER, 30 * ONE, 30 * DOLLAR))
    book.then(10)
    book.pay(SALE, BUYER, 30 * DOLLAR)
    book.say(SALE, offering.Refunded(BUYER, BUYER, 30 * DOLLAR))
    book.move(SALE, PUBLISHER, 100 * ONE)
    book.say(SALE, offering.UnsoldReturned(PUBLISHER, 100 * ONE))
    return book.facts(offering_flows={SALE: (0, 0)})


def auction_books() -> Facts:
    """A falling price; the last bid takes the rest, and both pay one price."""
    book = Book()
    fall = launchpad.AuctionSale(
        PUBLISHER, 4 * DOLLAR, DOLLAR, 100 * ONE, 50 * DOLLAR, 400 * DOLLAR, book.now,
        book.now + 90, EVERYBODY, launchpad.Liquidity(0, 0, 0),
    )  # fmt: skip
    twin = AuctionSale(
        address_of(PUBLISHER), fall.first_price, fall.lowest_price, fall.for_sale, fall.soft_cap,
        fall.cap_per_buyer, fall.start, fall.end,
    )  # fmt: skip
    book.move(PUBLISHER, SALE, fall.for_sale)
    book.say(LAUNCHPAD, launchpad.AuctionOpened(ASSET, SALE, PUBLISHER, fall))
    book.then(10)
    first = 100 * DOLLAR + 1
    book.pay(BUYER, SALE, first)
    book.say(SALE, auction.Bid(BUYER, first))
    book.then(21)
    worth = fall.for_sale * price_at(twin, book.now) // ONE
    book.pay(SECOND, SALE, worth - first)
    book.say(SALE, auction.Bid(SECOND, worth - first))
    book.say(SALE, auction.Closed(True, fall.for_sale, worth))
    for bidder, cost in ((BUYER, first), (SECOND, worth - first)):
        book.then()
        amount = cost * fall.for_sale // worth
        book.move(SALE, bidder, amount)
        book.say(SALE, auction.Collected(bidder, amount, cost))
    book.pay(SALE, PUBLISHER, worth)
    book.say(SALE, auction.ProceedsWithdrawn(PUBLISHER, PUBLISHER, worth))
    return book.facts(offering_flows={SALE: (0, 0)})


def curve_books() -> Facts:
    """Bought, sold back in part, and bought up to the target, which opens the pool."""
    book = Book()
    bent = launchpad.CurveSale(
        PUBLISHER, 200 * ONE, 100 * DOLLAR, 80 * DOLLAR, SUPPLY, book.now, book.now + 99, EVERYBODY,
        launchpad.Liquidity(3_000, 1, 0), 500, 60,
    )  # fmt: skip
    model = CurveModel(
        CurveSale(
            address_of(PUBLISHER), bent.virtual_shares, bent.virtual_currency, bent.target, SUPPLY,
            bent.start, bent.end, 3_000, 500, 60,
        )
    )  # fmt: skip
    needed = model.unsold
    book.move(PUBLISHER, SALE, needed)
    book.say(LAUNCHPAD, launchpad.CurveOpened(ASSET, SALE, PUBLISHER, bent, needed))
    for buyer, spend in ((BUYER, 30 * DOLLAR + 7), (SECOND, 100 * DOLLAR)):
        book.then(7)
        amount, cost = model.buy(address_of(buyer), spend, book.now)
        book.pay(buyer, SALE, cost)
        book.move(SALE, buyer, amount)
        book.say(SALE, curve.Bought(buyer, amount, cost))
        if buyer == BUYER:
            book.then()
            back = amount // 3
            paid = model.sell(address_of(buyer), back, book.now)
            book.move(buyer, SALE, back)
            book.pay(SALE, buyer, paid)
            book.say(SALE, curve.SoldBack(buyer, buyer, back, paid))
    beside, in_pool = model.pool
    book.say(SALE, curve.Graduated(model.sold, model.raised))
    book.pay(SALE, EXCHANGE, in_pool)
    book.move(SALE, EXCHANGE, beside)
    book.say(SALE, curve.PoolOpened(beside, in_pool, 0))
    book.then()
    book.pay(SALE, PUBLISHER, model.proceeds)
    book.say(SALE, curve.ProceedsWithdrawn(PUBLISHER, PUBLISHER, model.proceeds))
    rest = book.shares[SALE]
    book.move(SALE, PUBLISHER, rest)
    book.say(SALE, curve.UnsoldReturned(PUBLISHER, rest))
    return book.facts()


def pool_books() -> Facts:
    """A pool with two providers, trades both ways, revenue between, and one who leaves."""
    book = Book()
    model, token = ExchangeModel(address_of(CURRENCY)), address_of(SHARE)
    one, two = address_of(PUBLISHER), address_of(SECOND)
    book.then()
    liquidity = model.open_pool(token, 100 * ONE, 50 * DOLLAR, 1, one, 0, now=book.now)
    book.say(
        EXCHANGE,
        exchange.PoolOpened(
            token=SHARE, asset=ASSET, provider=PUBLISHER, tier=1, tokens=100 * ONE,
            currency_amount=50 * DOLLAR, liquidity=liquidity, locked_until=0,
        ),
    )  # fmt: skip
    pool = model.pool_of(token)
    book.then(5)
    bought = bought_for(pool.pool, 3 * DOLLAR)
    pool.store(pool.pool.tokens - bought, pool.pool.currency + 3 * DOLLAR, book.now)
    book.say(EXCHANGE, exchange.Bought(SHARE, BUYER, BUYER, bought, 3 * DOLLAR))
    book.then(5)
    added, tokens, money = model.add_liquidity(
        token, 20 * ONE, 99 * DOLLAR, 0, two, now=book.now, deadline=book.now, revenue=0
    )
    book.say(EXCHANGE, exchange.LiquidityAdded(SHARE, SECOND, tokens, money, added))
    book.then(5)
    proceeds = proceeds_of(pool.pool, 2 * ONE)
    pool.store(pool.pool.tokens + 2 * ONE, pool.pool.currency - proceeds, book.now)
    book.say(EXCHANGE, exchange.Sold(SHARE, BUYER, BUYER, 2 * ONE, proceeds))
    book.then()
    book.earn(EXCHANGE, 10_001)
    paid = model.claim(token, two, revenue=10_001)
    book.pay(EXCHANGE, SECOND, paid)
    book.say(EXCHANGE, exchange.RevenueClaimed(SHARE, SECOND, SECOND, paid))
    book.then()
    gone = model.remove_liquidity(
        token, added, 0, 0, two, now=book.now, deadline=book.now, revenue=0
    )
    book.say(EXCHANGE, exchange.LiquidityRemoved(SHARE, SECOND, SECOND, *gone, added))
    book.then()
    paid = model.claim(token, one, revenue=0)
    book.pay(EXCHANGE, PUBLISHER, paid)
    book.say(EXCHANGE, exchange.RevenueClaimed(SHARE, PUBLISHER, PUBLISHER, paid))
    book.balances[EXCHANGE] += pool.pool.currency
    book.shares[EXCHANGE] = pool.pool.tokens
    assert pool.total == liquidity + BURNT
    return book.facts(
        exchange=EXCHANGE,
        reserves={SHARE: (pool.pool.tokens, pool.pool.currency)},
        positions={SHARE: {PUBLISHER: liquidity, SECOND: 0}},
    )


def access_books() -> Facts:
    """A product that is bought, used, given back, rented out, and resold by a signed order."""
    book = Book()
    price, bps = 5 * DOLLAR, 1_000
    product = storefront.Product(
        OPERATOR, storefront.Kind.COUNT, price, 2, 100, 0, 50, bps, 1, 0, bytes(32), "L", "Use",
        "USE",
    )  # fmt: skip
    book.say(STOREFRONT, storefront.ProductCreated(ASSET, ACCESS, OPERATOR, 1, product))

    def get(buyer: str, units: int) -> None:
        book.then()
        book.pay(buyer, ACCESS, units * price)
        book.say(ACCESS, access.Transfer(NOBODY, buyer, units))
        book.say(ACCESS, access.Bought(buyer, buyer, units, units * price))

    def order(buyer: str, number: int) -> None:
        book.then()
        book.say(ACCESS, access.Transfer(buyer, NOBODY, 1))
        book.say(ACCESS, access.Ordered(number, buyer, 1))

    get(BUYER, 4)
    order(BUYER, 1)
    order(BUYER, 2)
    book.then(10)
    book.say(ACCESS, access.Proved(1, bytes(16), b"\2" * 32, b"\3" * 32))
    book.pay(ACCESS, TILL, price)
    book.pay(TILL, CHANNELS, price)
    book.then()
    book.say(ACCESS, access.RentOffered(1, 86_400 * 3 + 1, 100))
    book.then()
    cost = rent_cost(86_400 * 3 + 1, 30)
    royalty = royalty_of(cost, bps)
    book.pay(SECOND, BUYER, cost - royalty)
    book.pay(SECOND, TILL, royalty)
    book.say(ACCESS, access.Rented(1, SECOND, book.now + 30, cost, royalty))
    book.then()
    book.pay(TILL, CHANNELS, royalty)
    book.then(60)
    book.pay(ACCESS, BUYER, price)
    book.say(ACCESS, access.Refunded(2, BUYER, BUYER, price, False))
    offer = orders.Order(BUYER, ACCESS, 2, CURRENCY, 11 * DOLLAR, NOBODY, 0, bytes(32), 9_999)
    book.then()
    book.say(ORDERS, orders.Listed(BUYER, ACCESS, b"\4" * 32, offer, 0, 0))
    book.then()
    paid = 11 * DOLLAR // 2
    royalty = royalty_of(paid, bps)
    book.pay(SECOND, BUYER, paid - royalty)
    book.pay(SECOND, TILL, royalty)
    book.say(ACCESS, access.Transfer(BUYER, SECOND, 1))
    book.say(ORDERS, orders.Filled(BUYER, SECOND, b"\4" * 32, 1, paid, royalty))
    book.then()
    book.pay(TILL, CHANNELS, royalty)
    return book.facts(
        units={ACCESS: {BUYER: 1, SECOND: 1}},
        backing={ACCESS: 2 * price},
        tills=frozenset({TILL}),
        orders=ORDERS,
        uses=frozenset({(ACCESS, 1, b"\2" * 32, b"\3" * 32)}),
    )


def governor_books() -> Facts:
    """Locks, a treasury, a payment and a discount by vote, what locks earned, and their end."""
    book = Book()
    rules = Rules(1, 10, 1, 5, 100)
    model = GovernanceModel(rules, SUPPLY)
    book.move(PUBLISHER, SECOND, 300 * ONE)
    for owner, amount in ((PUBLISHER, 600 * ONE), (SECOND, 200 * ONE)):
        book.then()
        book.move(owner, GOVERNOR, amount)
        number = model.lock(address_of(owner), amount, book.now, revenue=0)
        book.say(GOVERNOR, governor.Locked(ASSET, owner, number, amount))
    book.then()
    book.pay(BUYER, GOVERNOR, 9 * DOLLAR)
    model.deposit(9 * DOLLAR)
    book.say(GOVERNOR, governor.TreasuryDeposited(ASSET, BUYER, 9 * DOLLAR))
    payment = governance.payment(CONTRIBUTOR, Units(4 * DOLLAR))
    discount = governance.discount(OPERATOR, 2_000, Shares(50 * ONE))
    for proposer, action, grave in ((PUBLISHER, payment, False), (SECOND, discount, True)):
        book.then()
        number = model.propose(
            address_of(proposer), action, book.now, grave=grave, could_vote=SUPPLY
        )
        book.say(
            GOVERNOR,
            governor.Proposed(
                ASSET, number, proposer, "a title", action, grave, book.now + 10, book.now + 11,
                book.now + 111,
            ),
        )  # fmt: skip
        for lock, owner in ((1, PUBLISHER), (2, SECOND)):
            support = grave or owner == PUBLISHER
            weight = model.vote(
                address_of(owner), number, support, [lock], book.now, could_vote=SUPPLY
            )
            book.say(GOVERNOR, governor.Voted(ASSET, number, owner, support, weight, (lock,)))
    book.then(30)
    model.execute(1, payment, book.now, grave=False)
    model.pay(4 * DOLLAR)
    book.say(GOVERNOR, governor.Executed(ASSET, 1))
    book.pay(GOVERNOR, CONTRIBUTOR, 4 * DOLLAR)
    book.say(GOVERNOR, governor.TreasuryPaid(ASSET, CONTRIBUTOR, 4 * DOLLAR))
    book.then()
    model.execute(2, discount, book.now, grave=True)
    book.say(GOVERNOR, governor.Executed(ASSET, 2))
    book.say(REGISTRY, registry.DiscountSet(ASSET, OPERATOR, 2, 2_000, 50 * ONE))
    _sell_by_vote(book, model)
    revenue = 10_003
    for lock, owner, backed in ((1, PUBLISHER, (1, 2, 3, 4)), (2, SECOND, (2, 3, 4))):
        book.then()
        if revenue:
            book.earn(GOVERNOR, revenue)
        paid = model.claim(address_of(owner), revenue=revenue)
        revenue = 0
        book.pay(GOVERNOR, owner, paid)
        book.say(GOVERNOR, governor.RevenueClaimed(ASSET, owner, owner, paid))
        amount = model.unlock(address_of(owner), lock, book.now, revenue=0, backed=backed)
        book.move(GOVERNOR, owner, amount)
        book.say(GOVERNOR, governor.Unlocked(ASSET, owner, lock, amount))
    return book.facts(
        governor=GOVERNOR,
        rules=(1, 10, 1, 5, 100),
        locked={ASSET: {PUBLISHER: 0, SECOND: 0}},
        votes={
            (ASSET, 1): (600 * ONE, 200 * ONE, SUPPLY),
            (ASSET, 2): (800 * ONE, 0, SUPPLY),
            (ASSET, 3): (800 * ONE, 0, SUPPLY),
            (ASSET, 4): (800 * ONE, 0, SUPPLY),
        },
        treasuries={ASSET: 5 * DOLLAR},
    )


def _sell_by_vote(book: Book, model: GovernanceModel) -> None:
    """A product that the holders made, and stopped."""
    terms = storefront.Product(
        OPERATOR, storefront.Kind.COUNT, DOLLAR, 2, 100, 0, 50, 0, 1, 0, bytes(32), "L", "Use", "U"
    )
    for number, action, grave in (
        (3, governance.product(terms), True),
        (4, governance.sale(ACCESS, False), False),
    ):
        book.then()
        model.propose(address_of(PUBLISHER), action, book.now, grave=grave, could_vote=SUPPLY)
        times = (book.now + 10, book.now + 11, book.now + 111)
        book.say(
            GOVERNOR,
            governor.Proposed(ASSET, number, PUBLISHER, "a title", action, grave, *times),
        )
        for lock, owner in ((1, PUBLISHER), (2, SECOND)):
            weight = model.vote(
                address_of(owner), number, True, [lock], book.now, could_vote=SUPPLY
            )
            book.say(GOVERNOR, governor.Voted(ASSET, number, owner, True, weight, (lock,)))
        book.then(30)
        model.execute(number, action, book.now, grave=grave)
        book.say(GOVERNOR, governor.Executed(ASSET, number))
        if grave:
            book.say(STOREFRONT, storefront.ProductCreated(ASSET, ACCESS, OPERATOR, 1, terms))
        else:
            book.say(ACCESS, access.SaleSwitched(False))


def contributors_books() -> Facts:
    """Shares set aside for two contributors; one has claimed its part, with what it earned."""
    book = Book()
    grant = launchpad.Grant(100 * ONE + 1, book.now, 1, 100)
    book.move(PUBLISHER, ALLOCATION, grant.amount)
    book.say(LAUNCHPAD, launchpad.AllocationOpened(ASSET, ALLOCATION, b"\1" * 32, grant))
    book.then()
    book.earn(ALLOCATION, 7_001)
    model, leaf = AllocationModel(grant.amount), b"\5" * 32
    amount, revenue = model.hand_over(leaf, 6_000, revenue=7_001)
    schedule = launchpad.Schedule(CONTRIBUTOR, amount, grant.start, 1, 100)
    book.say(LAUNCHPAD, launchpad.VestingOpened(ASSET, VESTING, CONTRIBUTOR, schedule))
    book.move(ALLOCATION, VESTING, amount)
    book.pay(ALLOCATION, CONTRIBUTOR, revenue)
    book.say(ALLOCATION, allocation.HandedOver(leaf, VESTING, CONTRIBUTOR, amount, revenue))
    book.say(
        LAUNCHPAD,
        launchpad.ContributionClaimed(ASSET, ALLOCATION, CONTRIBUTOR, VESTING, 6_000),
    )
    # The other one claims too; of a part that rounds down, less than a raw share stays.
    book.then()
    leaf = b"\6" * 32
    amount, revenue = model.hand_over(leaf, 4_000, revenue=0)
    other = launchpad.Schedule(SECOND, amount, grant.start, 1, 100)
    book.say(LAUNCHPAD, launchpad.VestingOpened(ASSET, SALE, SECOND, other))
    book.move(ALLOCATION, SALE, amount)
    book.pay(ALLOCATION, SECOND, revenue)
    book.say(ALLOCATION, allocation.HandedOver(leaf, SALE, SECOND, amount, revenue))
    book.say(LAUNCHPAD, launchpad.ContributionClaimed(ASSET, ALLOCATION, SECOND, SALE, 4_000))
    return book.facts()


def charged_books() -> Facts:
    """Calls before and after a new price and version; one payer has locked for a discount."""
    book = Book()
    calls: list[PaidCall] = []
    prices = [Price(per_call=1_000, per_1k_in=20_000), Price(per_call=2_000, per_1k_in=20_000)]

    def call(price: Price, channel: int, terms: int, units: int, version: int) -> None:
        cost = price.cost_ceil(units, 0)
        line = LineKey(OPERATOR, channel, ASSET, terms)
        name = f"receipt {len(calls)}"
        calls.append(PaidCall(name, line, cost, cost, book.now, units, version))

    for channel, payer in ((1, BUYER), (2, SECOND)):
        book.say(
            CHANNELS,
            channels.ChannelOpened(
                operator=OPERATOR, payer=payer, channel=channel, signer=payer, restricted=False
            ),
        )
    for version, price in enumerate(prices, start=1):
        said = registry.Price(price.per_call, price.per_1k_in, 0)
        book.say(
            REGISTRY,
            registry.EndpointSet(ASSET, OPERATOR, 1, 1_000, 100, said, "http://localhost"),
        )
        book.say(REGISTRY, registry.VersionReleased(ASSET, version, bytes(32), 1, ""))
        book.then(20)
        call(price, 1, 1, 3, version)
    book.say(GOVERNOR, governor.Locked(ASSET, SECOND, 1, 60 * ONE))
    book.say(REGISTRY, registry.DiscountSet(ASSET, OPERATOR, 2, 2_500, 60 * ONE))
    book.then(20)
    call(prices[1].discounted(2_500), 2, 2, 5, 2)
    return book.facts(calls=tuple(calls))
