"""Access: bought, redeemed, proved, rented, and resold by a signed order."""

from __future__ import annotations

from typing import Any

from eth_abi.abi import decode, encode
from eth_account.signers.local import LocalAccount
from eth_keys import keys
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from bench.gas.chain import ZERO_ADDRESS, Contract, account, bytes_of, event_topic
from bench.gas.dollar import UNIT
from bench.gas.ours.market import DAY, WHO, Market, code
from bench.gas.rows import Action, Row, per

_COUNT, _PERPETUAL = 1, 4
_PRICE = UNIT
_PROOFS = 32
_UNLIMITED = 2**256 - 1
_USE = keccak(text="Use(uint256 order,bytes16 call,bytes32 request,uint64 deadline)")


def measure(market: Market) -> list[Row]:
    """Measure a product of calls, one of licences, and the order book."""
    shop = _Shop(market)
    calls = shop.product(_COUNT, per_unit=100)
    licence = shop.product(_PERPETUAL, per_unit=0)
    return [*_bought(shop, calls), *_served(shop, calls), *_rented(shop, licence), *_resold(shop)]


class _Shop:
    """An asset, its products, and a consumer with dollars."""

    def __init__(self, market: Market) -> None:
        self.market, self.chain = market, market.chain
        founder = account("founder")
        registry, channels = market.registry.address, market.channels.address
        dollar = market.dollar.address
        access = self.chain.deploy(founder, code("Access"), dollar, channels, registry)
        self.storefront = self.chain.deploy(
            founder, code("Storefront"), registry, channels, access.address
        )
        self.orders = self.chain.deploy(
            founder, code("Orders"), dollar, registry, self.storefront.address
        )
        self.asset, _ = market.publish()
        self.created: list[int] = []
        self.consumer = account("consumer")

    def product(self, kind: int, *, per_unit: int) -> Contract:
        """Make a product and let the consumer pay there."""
        terms: tuple[Any, ...] = (
            account("operator").address,
            kind,
            _PRICE,
            per_unit,
            10**6,
            0,
            DAY,
            500,
            1,
            0,
            keccak(text="the licence"),
            "LicenseRef-Calls",
            "Acme calls",
            "CALLS",
        )
        receipt = self.chain.transact(
            account("publisher"), self.storefront, "create", self.asset, terms
        )
        self.created.append(receipt.gas)
        event = event_topic(self.storefront.abi, "ProductCreated")
        topics = next(log["topics"] for log in receipt.logs if log["topics"][0] == event)
        (address,) = decode(["address"], bytes_of(topics[2]))
        made = Contract("Access", to_checksum_address(address), code("Access").abi)
        self.market.fund(self.consumer, made)
        return made

    def use(self, access: Contract, order: int) -> tuple[Any, ...]:
        """Sign one request of the consumer's, and name an answer."""
        domain = self.chain.read(access, "DOMAIN_SEPARATOR")
        call, request, deadline = bytes(16), keccak(text="request"), self.chain.now + 300
        words = ["bytes32", "uint256", "bytes16", "bytes32", "uint256"]
        struct = keccak(encode(words, [_USE, order, call, request, deadline]))
        digest = keccak(b"\x19\x01" + domain + struct)
        return (
            order,
            call,
            request,
            deadline,
            keccak(text="answer"),
            *_sign(self.consumer, digest),
        )


def _sign(signer: LocalAccount, digest: bytes) -> tuple[int, int]:
    signed = keys.PrivateKey(bytes(signer.key)).sign_msg_hash(digest)
    return signed.r, signed.s | signed.v << 255


def _bought(shop: _Shop, access: Contract) -> list[Row]:
    chain, consumer = shop.chain, shop.consumer
    both = [chain.transact(consumer, access, "buy_and_redeem", 1).gas for _ in "12"]
    bought = [chain.transact(consumer, access, "buy", 2).gas for _ in "12"]
    ordered = [chain.transact(consumer, access, "redeem", 1).gas for _ in "12"]
    return [
        Row(
            Action.PRODUCT,
            WHO,
            "Storefront.create",
            "a product with its price and licence, on an asset published before",
            shop.created[1],
            shop.created[0],
        ),
        Row(
            Action.BUY_AND_ORDER,
            WHO,
            "Access.buy_and_redeem",
            "dollars in, kept for a refund; the order written",
            both[1],
            both[0],
        ),
        Row(
            Action.BUY_ACCESS,
            WHO,
            "Access.buy",
            "dollars in, kept for a refund; tokens out",
            bought[1],
            bought[0],
        ),
        Row(
            Action.ORDER,
            WHO,
            "Access.redeem",
            "one access token spent, bought before; the order written",
            ordered[1],
            ordered[0],
        ),
    ]


def _served(shop: _Shop, access: Contract) -> list[Row]:
    chain, operator = shop.chain, account("operator")
    numbers = []
    for _ in range(2 * _PROOFS):
        chain.transact(shop.consumer, access, "buy_and_redeem", 1)
        numbers.append(chain.read(access, "state")[1])
    proved, flushed = [], []
    for batch in (numbers[:_PROOFS], numbers[_PROOFS:]):
        uses = [shop.use(access, number) for number in batch]
        proved.append(chain.transact(operator, access, "prove", uses).gas)
        flushed.append(chain.transact(operator, access, "flush").gas)
    chain.transact(shop.consumer, access, "buy_and_redeem", 1)
    number = chain.read(access, "state")[1]
    chain.pass_time(DAY + 1)
    back = chain.transact(shop.consumer, access, "refund", number).gas
    return [
        Row(
            Action.PROVE,
            WHO,
            "Access.prove",
            f"{_PROOFS} orders in one transaction / {_PROOFS}",
            per(_PROOFS, proved[1]),
            per(_PROOFS, proved[0]),
        ),
        Row(
            Action.PROVE,
            WHO,
            "Access.flush",
            "their money through the Till, split; one transaction for all",
            flushed[1],
            flushed[0],
        ),
        Row(Action.REFUND, WHO, "Access.refund", "dollars back", back),
    ]


def _rented(shop: _Shop, licence: Contract) -> list[Row]:
    chain, consumer, renter = shop.chain, shop.consumer, account("buyer")
    chain.transact(consumer, licence, "buy_and_redeem", 1)
    chain.transact(account("operator"), licence, "prove", [shop.use(licence, 1)])
    chain.transact(consumer, licence, "offer_rent", 1, UNIT, DAY)
    shop.market.fund(renter, licence)
    rented = []
    for _ in "12":
        rented.append(chain.transact(renter, licence, "rent", 1, DAY, UNIT).gas)
        chain.pass_time(DAY)
    return [
        Row(
            Action.RENT,
            WHO,
            "Access.rent",
            "dollars to the owner, royalty to the creator",
            rented[1],
            rented[0],
        )
    ]


def _resold(shop: _Shop) -> list[Row]:
    chain, maker, taker = shop.chain, shop.consumer, account("buyer")
    access = shop.product(_COUNT, per_unit=100)
    chain.transact(maker, access, "buy", 10)
    chain.transact(maker, access, "approve", shop.orders.address, _UNLIMITED)
    shop.market.fund(taker, shop.orders)
    order = (
        maker.address,
        access.address,
        10,
        shop.market.dollar.address,
        10 * UNIT,
        ZERO_ADDRESS,
        0,
        bytes(32),
        chain.now + DAY,
    )
    signature = _sign(maker, chain.read(shop.orders, "digest_of", order))
    filled = [
        chain.transact(taker, shop.orders, "fill", order, *signature, 1, UNIT).gas for _ in "123"
    ]
    return [
        Row(
            Action.FILL,
            WHO,
            "Orders.fill",
            "a signed order filled in part: tokens, dollars and the royalty moved",
            filled[2],
            filled[0],
        )
    ]
