"""The market that the actors meet: four assets, three first sales, pools, a product, one clock."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from bench.simulation.evm import CHAIN_ID, NOBODY, Contract, Evm, Log
from bench.simulation.ledger import Ledger
from bench.simulation.system import DAY, SERVE_WINDOW, address_of, deploy_system
from tessera.errors import TransactionReverted
from tessera.spec.signatures import Domain, Signer, compact
from tessera.spec.signatures import address_of as key_of
from tessera.spec.vouchers import Line

DOLLAR = 10**6
SHARE = 10**18
SUPPLY = 1_000_000 * SHARE
FLOOR_BPS = 3_000
CUT_BPS = 2_000
SALE_TIME = 4 * DAY
LOCKED = 12 * DAY
NO_LIMIT = 2**256 - 1
LICENCE_PRICE = 40 * DOLLAR
LICENCE_ROYALTY_BPS = 500
_POOLED = 40
# Of twenty people.
_ROLES = (
    *("noise",) * 8,
    *("consumer",) * 4,
    *("holder",) * 4,
    *("value",) * 2,
    *("momentum", "provider"),
)
_PURSES = {"consumer": 20_000 * DOLLAR, "publisher": 50_000 * DOLLAR}
_PURSE = 4_000 * DOLLAR


@dataclass(slots=True)
class Actor:
    """Somebody with an address, a role, and a temper of their own between 0 and 1."""

    name: str
    role: str
    temper: float
    address: str = ""
    signer: Signer | None = None

    def __post_init__(self) -> None:
        self.signer = Signer(keccak(text=f"tessera simulation: {self.name}"))
        self.address = "0x" + self.signer.address.hex()

    def sign(self, digest: bytes) -> tuple[int, int]:
        """Sign a digest, packed as EIP-2098 does."""
        assert self.signer is not None
        return compact(self.signer.sign(digest))


@dataclass(slots=True)
class Asset:
    """One asset with its people, and what the market remembers of it."""

    name: str
    number: int
    publisher: Actor
    operator: Actor
    share: Contract
    terms: int
    sale: Contract
    sale_ends: int
    popularity: float
    vestings: list[Contract] = field(default_factory=list)
    # (time, base units for one share) after each trade
    prices: list[tuple[int, int]] = field(default_factory=list)
    # Base units traded and revenue taken in, by day
    volume: Counter[int] = field(default_factory=Counter)
    revenue: Counter[int] = field(default_factory=Counter)
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=40))
    buyers: dict[str, Actor] = field(default_factory=dict)

    @property
    def price(self) -> int:
        """Base units for one share at the last trade; 0 before the first."""
        return self.prices[-1][1] if self.prices else 0


@dataclass(slots=True)
class Channel:
    """A consumer's channel, and what was signed on it."""

    consumer: Actor
    operator: Actor
    number: int
    deposit: int
    lines: dict[tuple[int, int], int] = field(default_factory=dict)
    settled: int = 0

    @property
    def signed(self) -> int:
        """Everything that was charged so far, base units."""
        return sum(self.lines.values())


@dataclass(slots=True)
class Limit:
    """A signed limit order that somebody sells a share with."""

    maker: Actor
    asset: Asset
    order: tuple[Any, ...]
    signature: tuple[int, int]
    left: int


class Market:
    """Contracts, people and books. What an actor does goes through `send`."""

    def __init__(self, actors: int, steps: int, seed: int) -> None:
        self.rng = random.Random(seed)
        self.evm = Evm()
        self.system = deploy_system(self.evm)
        self.ledger = Ledger(self.system.exchange)
        self.ledger.follow(self.system.currency)
        self.refusals: Counter[tuple[str, str]] = Counter()
        self.counts: Counter[str] = Counter()
        self._allowed: set[tuple[str, str, str]] = set()
        self.everybody: dict[str, Actor] = {}
        self.channels: dict[tuple[str, str], Channel] = {}
        self.tills: dict[tuple[int, str, int], str] = {}
        self.unflushed: dict[tuple[int, str, int], None] = {}
        # Orders of the product that wait for service: number -> consumer
        self.orders: dict[int, Actor] = {}
        self.never_served: set[int] = set()
        self.limits: list[Limit] = []
        self.allocation = ""
        self.logs: list[Log] = []
        # (asset, lock number) -> owner; proposals by asset with their action
        self.locks: dict[tuple[int, int], Actor] = {}
        self.proposals: dict[tuple[int, int], Any] = {}
        self.backed: dict[tuple[int, int], list[int]] = {}
        self.operators = [self._person(f"operator {number}", "operator") for number in range(2)]
        self.publishers = [self._person(f"publisher {number}", "publisher") for number in range(3)]
        self.contributors = [self._person(f"contributor {n}", "contributor") for n in range(3)]
        self.keeper = self._person("keeper", "keeper")
        self.people = [self._actor(number) for number in range(actors)]
        for actor in self.everybody.values():
            purse = _PURSES.get(actor.role, _PURSE)
            self.send("faucet", actor, self.system.currency, "faucet", purse)
        # The clock: `steps` steps take about six weeks, however many they are.
        self.pace = max(20, 42 * DAY // max(1, steps))
        self.parent = self._publish(self.publishers[0], "data", ())
        self.assets: list[Asset] = []
        # Orders of licences by number, those that wait for service, and who sells a unit.
        self.licences: dict[int, Actor] = {}
        self.unserved: dict[int, None] = {}
        self.resales: list[Limit] = []
        self.licence_till = (0, "", 0)
        self.parts_claimed = 0
        self.product, self.licence = self._open()
        self._pool_licences()

    # --- People ---------------------------------------------------------------------------------

    def _actor(self, number: int) -> Actor:
        return self._person(f"actor {number}", _ROLES[number % len(_ROLES)])

    def _person(self, name: str, role: str) -> Actor:
        actor = Actor(name, role, self.rng.random())
        self.everybody[actor.address] = actor
        return actor

    def cash(self, actor: Actor) -> int:
        """Base units that somebody has."""
        return self.ledger.of(self.system.currency, actor.address)

    # --- Transactions ---------------------------------------------------------------------------

    def send(
        self, action: str, actor: Actor, contract: Contract, function: str, *arguments: Any
    ) -> Any:
        """Do something as an actor, and enter it in the books.

        Raises
        ------
        TransactionReverted
            The contract refused.
        """
        data = contract.data(function, *arguments)
        output, self.logs = self.evm.send(action, actor.address, contract.address, data)
        self.ledger.apply(self.logs)
        self.counts[action] += 1
        return contract.decoded(function, len(arguments), output)

    def attempt(
        self, action: str, actor: Actor, contract: Contract, function: str, *arguments: Any
    ) -> Any:
        """As `send`, where a refusal is part of life: a price moved, a sale was over. Then None."""
        try:
            answer = self.send(action, actor, contract, function, *arguments)
        except TransactionReverted as refusal:
            self.refusals[action, str(refusal.operands.get("reason", refusal))] += 1
            return None
        return True if answer is None else answer

    def allow(self, actor: Actor, token: Contract, spender: Contract | str) -> None:
        """Let a contract take what somebody has of a token, once."""
        address = spender if isinstance(spender, str) else spender.address
        key = (actor.address, token.address, address)
        if key not in self._allowed:
            self._allowed.add(key)
            self.send("approve", actor, token, "approve", address, NO_LIMIT)

    def chance(self, part: float) -> bool:
        """Happen so often."""
        return self.rng.random() < part

    # --- The opening ----------------------------------------------------------------------------

    def _publish(
        self, publisher: Actor, name: str, parents: Sequence[tuple[int, int]], root: bytes = b""
    ) -> int:
        salt = keccak(text=name)
        publication = (
            name,
            1,
            salt,
            root or bytes(32),
            list(parents),
            (keccak(salt), 1, f"bundle://{name}"),
        )
        operator = self.operators[len(self.everybody) % 2 if name == "data" else 0]
        endpoint = (operator.address, CUT_BPS, (1_000, 0, 0), "https://example.org")
        registry = self.system.registry
        return int(self.send("publish", publisher, registry, "publish", publication, endpoint))

    def _open(self) -> tuple[Contract, Contract]:
        """Publish three models, sell their shares in three ways, and make two products of one."""
        products = None
        kinds = ("fixed price", "auction", "curve")
        for place, (kind, publisher) in enumerate(zip(kinds, self.publishers, strict=True)):
            root = self._root() if place == 0 else b""
            parents = ((self.parent, 500),) if place != 1 else ()
            asset = self._publish(publisher, kind, parents, root)
            terms = self.system.registry.read("endpoint_of", asset, self.operators[0].address)[1]
            if place == 0:
                products = (
                    self._product(asset, publisher),
                    self._licences(asset, publisher),
                )
                self.licence_till = (asset, self.operators[0].address, terms)
            share = self._tokenize(asset, publisher, kind)
            now = self.evm.now
            self.allow(publisher, share, self.system.launchpad)
            made = self._launch(place, asset, publisher, now)
            sale = Contract(self.evm, ("Offering", "Auction", "Curve")[place], made[0])
            row = Asset(
                *(kind, asset, publisher, self.operators[0], share, terms, sale),
                sale_ends=now + SALE_TIME,
                popularity=0.5 + self.rng.random(),
            )
            row.vestings = [Contract(self.evm, "Vesting", address) for address in made[1:2]]
            self.assets.append(row)
        if products is None:
            raise AssertionError("the first asset has two products")
        return products

    def _tokenize(self, asset: int, publisher: Actor, name: str) -> Contract:
        request = (name, "SHR", SUPPLY, DAY, FLOOR_BPS, 2_000, publisher.address)
        data = self.system.registry.data("tokenize", asset, request)
        registry = self.system.registry.address
        output, logs = self.evm.send("tokenize", publisher.address, registry, data)
        share = Contract(self.evm, "Share", decode(["address"], output)[0])
        self.ledger.follow(share)
        self.ledger.apply(logs)
        return share

    def _launch(self, place: int, asset: int, publisher: Actor, now: int) -> list[str]:
        """Sale, team vesting and contributors' allocation in one transaction."""
        end = now + SALE_TIME
        liquidity = (5_000, 1, SALE_TIME + LOCKED)
        nobody = bytes(32)
        sales: list[Any] = []
        auctions: list[Any] = []
        curves: list[Any] = []
        dollar, who = DOLLAR, publisher.address
        if place == 0:
            amounts = (dollar, 300_000 * SHARE, 100 * SHARE, SUPPLY)
            sales = [(who, *amounts, now, end, nobody, liquidity)]
        elif place == 1:
            prices = (4 * dollar, dollar // 2, 300_000 * SHARE, 100 * dollar, NO_LIMIT >> 160)
            auctions = [(who, *prices, now, end, nobody, liquidity)]
        else:
            target = 20_000 * dollar
            curve = (100_000 * SHARE, 50_000 * dollar, target, SUPPLY)
            curves = [(who, *curve, now, end, nobody, liquidity, 500, 3_600)]
        schedules = [(who, 100_000 * SHARE, now, 5 * DAY, 30 * DAY)]
        grants = [(50_000 * SHARE, now, DAY, 10 * DAY)] if place == 0 else []
        made = self.send(
            *("launch", publisher, self.system.launchpad, "launch"),
            *(asset, sales, auctions, curves, schedules, grants),
        )
        if grants:
            self.allocation = made[-1]
        return list(made)

    # --- Contributions: a tree of three leaves ----------------------------------------------------

    def _contribution(self, place: int) -> tuple[str, int, int, bytes]:
        weight = (5_000, 3_000, 2_000)[place]
        return (self.contributors[place].address, 1, weight, keccak(text=f"evidence {place}"))

    def _leaf(self, place: int) -> bytes:
        kinds = ["address", "uint8", "uint32", "bytes32"]
        return keccak(keccak(encode(kinds, self._contribution(place))))

    def _root(self) -> bytes:
        first, second, third = (self._leaf(place) for place in range(3))
        return _pair(_pair(first, second), third)

    def claim_next_part(self) -> None:
        """Let the next contributor who has not claimed yet do so."""
        if self.parts_claimed < len(self.contributors):
            self.claim_contribution(self.parts_claimed)
            self.parts_claimed += 1

    def claim_contribution(self, place: int) -> None:
        """Move a contributor's part into a vesting of its own."""
        first, second, third = (self._leaf(each) for each in range(3))
        proof = ([second, third], [first, third], [_pair(first, second)])[place]
        what = (self.allocation, self._contribution(place), proof)
        who, launchpad = self.contributors[place], self.system.launchpad
        vesting = self.send("claim contribution", who, launchpad, "claim_contribution", *what)
        self.assets[0].vestings.append(Contract(self.evm, "Vesting", vesting))

    # --- The product ------------------------------------------------------------------------------

    def _product(self, asset: int, publisher: Actor) -> Contract:
        """A pack of calls for five dollars, resold with a royalty of 5 %."""
        product = (
            self.operators[0].address,
            1,
            5 * DOLLAR,
            100,
            10**6,
            0,
            SERVE_WINDOW,
            500,
            1,
            0,
            keccak(text="the licence"),
            "LicenseRef-Calls",
            "Calls",
            "CALL",
        )
        storefront = self.system.storefront
        address = self.send("create product", publisher, storefront, "create", asset, product)
        access = Contract(self.evm, "Access", address)
        self.ledger.follow(access)
        return access

    def _licences(self, asset: int, publisher: Actor) -> Contract:
        """A licence for good, which can be rented out, with the same royalty."""
        product = (
            *(self.operators[0].address, 4, LICENCE_PRICE, 0, 10**6, 0),
            *(SERVE_WINDOW, LICENCE_ROYALTY_BPS, 1, 0, keccak(text="for good")),
            *("LicenseRef-Ever", "Licences", "EVER"),
        )
        storefront = self.system.storefront
        address = self.send("create product", publisher, storefront, "create", asset, product)
        access = Contract(self.evm, "Access", address)
        self.ledger.follow(access)
        return access

    def _pool_licences(self) -> None:
        """Let a publisher provide licences and money, so that they have a price day and night."""
        who, currency = self.publishers[0], self.system.currency
        for token, spender in (
            (currency, self.licence),
            (currency, self.system.exchange),
            (self.licence, self.system.exchange),
        ):
            self.allow(who, token, spender)
        self.send("buy access", who, self.licence, "buy", _POOLED)
        plan = (self.licence.address, _POOLED, _POOLED * LICENCE_PRICE, 1, who.address, 0)
        self.send("open pool", who, self.system.exchange, "open_pool", *plan)

    # --- Prices -----------------------------------------------------------------------------------

    def reserves(self, asset: Asset) -> tuple[int, int]:
        """Raw shares and base units in a pool, zeros before it is open."""
        tokens, money = self.system.exchange.read("reserves_of", asset.share.address)
        return int(tokens), int(money)

    def note_trades(self, logs: Sequence[Log]) -> None:
        """Remember what the Exchange says of prices and volume."""
        exchange = self.system.exchange
        day = self.evm.now // DAY
        for name, money in (("Bought", "cost"), ("Sold", "proceeds")):
            for event in exchange.events(logs, name):
                for asset in self.assets:
                    if asset.share.address == event["token"]:
                        tokens, held = self.reserves(asset)
                        asset.prices.append((self.evm.now, held * SHARE // tokens))
                        asset.recent.append(asset.price)
                        asset.volume[day] += event[money]

    def fair_price(self, asset: Asset, years: float) -> int:
        """Base units for one share: revenue of the last seven days, at so many years of it."""
        today = self.evm.now // DAY
        days = [asset.revenue[today - back] for back in range(1, 8) if asset.revenue[today - back]]
        if not days:
            return 0
        return int(sum(days) / len(days) * 365 * years * SHARE / SUPPLY)

    def voucher_domain(self) -> Domain:
        """Where vouchers count."""
        return Domain(CHAIN_ID, key_of(self.system.channels.address))


def line(asset: Asset, amount: int) -> Line:
    """A voucher's line."""
    return Line(asset.number, asset.terms, amount)


def _pair(one: bytes, other: bytes) -> bytes:
    return keccak(min(one, other) + max(one, other))


__all__ = [
    "DOLLAR",
    "LICENCE_PRICE",
    "LICENCE_ROYALTY_BPS",
    "NOBODY",
    "NO_LIMIT",
    "SHARE",
    "SUPPLY",
    "Actor",
    "Asset",
    "Channel",
    "Limit",
    "Market",
    "address_of",
    "line",
]
