"""Ocean Protocol's factory, datatokens and exchange, as shipped in their npm package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from bench.gas.chain import ZERO_ADDRESS, Chain, Contract, Receipt, account, read_code
from bench.gas.dollar import UNIT, Dollar
from bench.gas.peers.packages import MODULES, compiled
from bench.gas.rows import Action, Row

_WHO = "Ocean"
_FOLDER = MODULES / "@oceanprotocol" / "contracts" / "artifacts" / "contracts"
_ONE = 10**18
_NO_SIGNATURE = (0, b"\0" * 32, b"\0" * 32)
_NO_PROVIDER_FEE = (ZERO_ADDRESS, ZERO_ADDRESS, 0, *_NO_SIGNATURE, 0, b"")
_NO_MARKET_FEE = (ZERO_ADDRESS, ZERO_ADDRESS, 0)
_MARKET_FEE = _ONE // 1000
_ENTERPRISE = 2


@dataclass(frozen=True, slots=True)
class _Market:
    """Ocean's contracts, joined as its own deployment joins them."""

    factory: Contract
    exchange: Contract
    dollar: Dollar


def measure(chain: Chain, dollar: Dollar) -> list[Row]:
    """Measure publishing with a price, buying access, ordering, and both in one transaction."""
    market = _deploy(chain, dollar)
    published = [_publish(chain, market, template=1) for _ in "123"]
    return [
        Row(
            Action.PUBLISH,
            _WHO,
            "createNftWithErc20WithFixedRate",
            "clones for the asset and for its access token, and the price; no content root",
            published[2].gas,
            published[0].gas,
        ),
        *_buy_and_order(chain, market, published[0]),
        _buy_with_order(chain, market),
    ]


def _contract(chain: Chain, path: str, *arguments: Any) -> Contract:
    name = path.rpartition("/")[2]
    code = read_code(_FOLDER / f"{path}.sol" / f"{name}.json")
    return chain.deploy(account("publisher"), code, *arguments)


def _deploy(chain: Chain, dollar: Dollar) -> _Market:
    owner = account("publisher")
    collector = _contract(
        chain, "communityFee/OPFCommunityFeeCollector", owner.address, owner.address
    )
    # Ocean's own token pays no community fee; a dollar does, as it would on Ocean's market.
    native = chain.deploy(owner, compiled()["PlainToken"], _ONE)
    # The pool template belongs to a part that was retired; any address that is not zero will do.
    router = _contract(
        chain,
        "pools/FactoryRouter",
        owner.address,
        native.address,
        owner.address,
        collector.address,
        [],
    )
    exchange = _contract(chain, "pools/fixedRate/FixedRateExchange", router.address)
    asset = _contract(chain, "templates/ERC721Template")
    access = _contract(chain, "templates/ERC20Template")
    enterprise = _contract(chain, "templates/ERC20TemplateEnterprise")
    factory = _contract(chain, "ERC721Factory", asset.address, access.address, router.address)
    chain.transact(owner, factory, "addTokenTemplate", enterprise.address)
    chain.transact(owner, router, "addFactory", factory.address)
    chain.transact(owner, router, "addFixedRateContract", exchange.address)
    return _Market(factory, exchange, dollar)


def _publish(chain: Chain, market: _Market, *, template: int) -> Receipt:
    publisher = account("publisher")
    nobody = ZERO_ADDRESS
    asset = ("Asset", "AST", 1, "https://example.org/asset", True, publisher.address)
    access: tuple[Any, ...] = (
        template,
        ["Access", "ACC"],
        [publisher.address, publisher.address, nobody, nobody],
        [1000 * _ONE, 0],
        [],
    )
    price = (
        market.exchange.address,
        [market.dollar.address, publisher.address, account("operator").address, nobody],
        [6, 18, _ONE, _MARKET_FEE, 1],
    )
    return chain.transact(
        publisher, market.factory, "createNftWithErc20WithFixedRate", asset, access, price
    )


def _access_token(chain: Chain, market: _Market, published: Receipt, template: str) -> Contract:
    created = keccak(text="TokenCreated(address,address,string,string,uint256,address)")
    topics = [
        log["topics"]
        for log in published.logs
        if log["address"].lower() == market.factory.address.lower()
        and log["topics"][0] == "0x" + created.hex()
    ]
    address = to_checksum_address("0x" + topics[0][1][-40:])
    code = read_code(_FOLDER / "templates" / f"{template}.sol" / f"{template}.json")
    return Contract(template, address, code.abi)


def _buy_and_order(chain: Chain, market: _Market, published: Receipt) -> list[Row]:
    access = _access_token(chain, market, published, "ERC20Template")
    consumer = account("consumer")
    exchange = market.exchange
    market.dollar.give(consumer.address, 10**6 * UNIT)
    market.dollar.approve(consumer, exchange.address)
    identity = chain.read(exchange, "generateExchangeId", market.dollar.address, access.address)
    order = (consumer.address, 1, _NO_PROVIDER_FEE, _NO_MARKET_FEE)
    purchase = (identity, 10 * _ONE, 100 * UNIT, ZERO_ADDRESS, 0)
    bought = [chain.transact(consumer, exchange, "buyDT", *purchase).gas for _ in "12"]
    ordered = [chain.transact(consumer, access, "startOrder", *order).gas for _ in "12"]
    return [
        Row(
            Action.BUY_ACCESS,
            _WHO,
            "buyDT",
            "the exchange mints the access tokens it sells",
            bought[1],
            bought[0],
        ),
        Row(
            Action.ORDER,
            _WHO,
            "startOrder",
            "one access token spent, bought before; no provider fee",
            ordered[1],
            ordered[0],
        ),
    ]


def _buy_with_order(chain: Chain, market: _Market) -> Row:
    published = _publish(chain, market, template=_ENTERPRISE)
    access = _access_token(chain, market, published, "ERC20TemplateEnterprise")
    consumer = account("consumer")
    market.dollar.approve(consumer, access.address)
    exchange = market.exchange
    identity = chain.read(exchange, "generateExchangeId", market.dollar.address, access.address)
    order = (consumer.address, 1, _NO_PROVIDER_FEE, _NO_MARKET_FEE)
    price = (exchange.address, identity, 2 * UNIT, 0, ZERO_ADDRESS)
    first, warm = (
        chain.transact(consumer, access, "buyFromFreAndOrder", order, price).gas for _ in "12"
    )
    return Row(
        Action.BUY_AND_ORDER,
        _WHO,
        "buyFromFreAndOrder",
        "dollars in, access token bought and spent",
        warm,
        first,
    )
