"""Opening, trading, giving to and closing a subnet's pool: what it does, says and refuses."""

from __future__ import annotations

import pytest
from rig.compiling import compiled, mock
from rig.contract import NOBODY, deployed, refused
from rig.people import person
from rig.signing import domain_of, sign
from rig.subnet_market import FOR_EVER, OPENING, SUBNET, SubnetMarket, deploy_subnet_market
from rig.system import DAY

from tessera.spec.weighted_pool import LEAST_IN, MAX_RESERVE, SUPPLY, WHOLE

TRADER, HOLDER = person("trader"), person("holder")


@pytest.fixture
def market() -> SubnetMarket:
    return deploy_subnet_market()


def test_a_pool_opens_with_all_tokens(market: SubnetMarket) -> None:
    token = market.open()
    assert token("totalSupply") == token("balanceOf", market.pool.address) == SUPPLY
    assert token("subnet") == SUBNET
    assert (token("name"), token("symbol"), token("decimals")) == ("Tessera Subnet 7", "TS7", 18)
    assert market.pool("token_of", SUBNET) == token.address
    assert market.pool("opening_of", SUBNET) == OPENING == market.held(market.pool)
    assert tuple(market.pool("pool_of", SUBNET)) == (SUPPLY, OPENING, WHOLE // 2, False)
    assert market.pool("price_of", SUBNET) == OPENING * WHOLE // SUPPLY
    assert market.pool("twap", SUBNET) == OPENING * WHOLE // SUPPLY
    assert market.pool("mean_window") == DAY


def test_opening_says_so(market: SubnetMarket) -> None:
    market.subnets("create", SUBNET, market.owner.address)
    market.fund(market.owner, OPENING)
    market.pool("open", SUBNET, OPENING, by=market.owner.address)
    (opened,) = market.pool.events("PoolOpened")
    assert opened.arguments == {
        "subnet": SUBNET,
        "token": market.pool("token_of", SUBNET),
        "tokens": SUPPLY,
        "amount": OPENING,
    }


def test_only_the_owner_of_a_live_subnet_opens_its_pool_and_once(market: SubnetMarket) -> None:
    market.subnets("create", SUBNET, market.owner.address)
    with refused("subnet_pool: only the subnet's owner"):
        market.pool("open", SUBNET, OPENING, by=TRADER.address)
    with market.engine.trial():
        market.subnets("dissolve", SUBNET)
        with refused("subnet_pool: subnet is not live"):
            market.pool("open", SUBNET, OPENING, by=market.owner.address)
    market.open()
    with refused("subnet_pool: subnet is not dissolved"):
        market.pool("close", SUBNET, by=market.owner.address)
    with refused("subnet_pool: pool exists"):
        market.pool("open", SUBNET, OPENING, by=market.owner.address)


@pytest.mark.parametrize("amount", [0, 10**18 - 1, MAX_RESERVE + 1])
def test_an_opening_has_bounds(market: SubnetMarket, amount: int) -> None:
    market.subnets("create", SUBNET, market.owner.address)
    with refused("subnet_pool: opening out of range"):
        market.pool("open", SUBNET, amount, by=market.owner.address)


def test_only_the_pool_makes_the_supply(market: SubnetMarket) -> None:
    with refused("subnet_token: only the pool"):
        market.open()("initialize", by=TRADER.address)


def test_a_token_is_approved_by_signature(market: SubnetMarket) -> None:
    token = market.open()
    tokens = market.buy(TRADER, OPENING)
    fields = ("owner", "address"), ("spender", "address"), ("value", "uint256")
    fields += ("nonce", "uint256"), ("deadline", "uint256")
    message = {
        "owner": TRADER.address,
        "spender": HOLDER.address,
        "value": tokens,
        "nonce": 0,
        "deadline": FOR_EVER,
    }
    types = {"Permit": [{"name": name, "type": typ} for name, typ in fields]}
    v, r, s = sign(TRADER, domain_of(token, "Tessera Subnet"), "Permit", types, message)
    given = (tokens, FOR_EVER, v, r.to_bytes(32, "big"), s.to_bytes(32, "big"))
    token("permit", TRADER.address, HOLDER.address, *given)
    token("transferFrom", TRADER.address, HOLDER.address, tokens, by=HOLDER.address)
    assert token("balanceOf", HOLDER.address) == tokens
    assert token("eip712Domain")[1:5] == ("Tessera Subnet", "1", 31_337, token.address)
    assert len(token("DOMAIN_SEPARATOR")) == 32


def test_who_buys_gets_what_was_quoted(market: SubnetMarket) -> None:
    token = market.open()
    quoted = market.pool("preview_buy", SUBNET, OPENING)
    assert quoted == market.model.buy(SUBNET, OPENING, now=market.now)
    assert market.buy(TRADER, OPENING) == quoted
    assert market.pool.events("Bought")[0].arguments == {
        "subnet": SUBNET,
        "buyer": TRADER.address,
        "receiver": TRADER.address,
        "tokens": quoted,
        "cost": OPENING,
    }
    # Half the weight and twice the money: a little less than half the tokens, for the fee.
    assert SUPPLY * 4_990 // 10_000 < quoted < SUPPLY // 2
    assert token("balanceOf", TRADER.address) == quoted


def test_who_sells_gets_what_was_quoted(market: SubnetMarket) -> None:
    market.open()
    tokens = market.buy(TRADER, OPENING)
    quoted = market.pool("preview_sell", SUBNET, tokens)
    assert market.sell(TRADER, tokens) == quoted == market.held(TRADER)
    assert market.pool.events("Sold")[0].arguments["proceeds"] == quoted
    # Two fees of 0.05 %, on a price that went to four times itself and back.
    assert OPENING * 998 // 1_000 < quoted < OPENING


def test_a_trade_keeps_to_limit_and_deadline(market: SubnetMarket) -> None:
    market.open()
    market.fund(TRADER, OPENING)
    quoted = market.pool("preview_buy", SUBNET, OPENING)
    with refused("subnet_pool: less than the limit"):
        market.pool("buy", SUBNET, OPENING, quoted + 1, FOR_EVER, by=TRADER.address)
    with refused("subnet_pool: too late"):
        market.pool("buy", SUBNET, OPENING, 0, market.now - 1, by=TRADER.address)
    tokens = market.pool("buy", SUBNET, OPENING, quoted, market.now, by=TRADER.address)
    with refused("subnet_pool: less than the limit"):
        market.sell(TRADER, tokens, least=OPENING)
    with refused("subnet_pool: too late"):
        market.pool("sell", SUBNET, tokens, 0, market.now - 1, by=TRADER.address)


def test_somebody_else_may_receive(market: SubnetMarket) -> None:
    token = market.open()
    market.fund(TRADER, OPENING)
    tokens = market.pool("buy", SUBNET, OPENING, 0, FOR_EVER, HOLDER.address, by=TRADER.address)
    assert token("balanceOf", HOLDER.address) == tokens
    market.fund(TRADER, LEAST_IN)
    with refused("erc20: receiver is the zero address"):
        market.pool("buy", SUBNET, LEAST_IN, 0, FOR_EVER, NOBODY, by=TRADER.address)


def test_a_trade_has_bounds(market: SubnetMarket) -> None:
    market.open()
    with refused("subnet_pool: too little"):
        market.pool("preview_buy", SUBNET, LEAST_IN - 1)
    with refused("subnet_pool: too much at once"):
        market.pool("preview_buy", SUBNET, 1_000 * OPENING + 1)
    market.pool("preview_buy", SUBNET, 1_000 * OPENING)
    market.pool.poke("pools", SUBNET, value=SUPPLY | 2**95 << 96 | WHOLE // 2 << 192)
    with refused("subnet_pool: pool is full"):
        market.pool("preview_buy", SUBNET, 2**95)
    market.pool.poke("means", SUBNET, value=market.pool("price_of", SUBNET) | market.now << 128)
    with refused("subnet_pool: pool is full"):
        market.pool("inject", SUBNET, 2**95, by=TRADER.address)
    market.pool.poke("pools", SUBNET, value=10**26 | 1 << 96 | WHOLE // 2 << 192)
    with refused("subnet_pool: nothing comes out"):
        market.pool("preview_sell", SUBNET, LEAST_IN)
    market.pool.poke("pools", SUBNET, value=1 | 2**90 << 96 | WHOLE // 2 << 192)
    with refused("subnet_pool: nothing comes out"):
        market.pool("preview_buy", SUBNET, LEAST_IN * 10**9)


def test_an_unknown_subnet_has_no_pool(market: SubnetMarket) -> None:
    for ask in ("price_of", "twap"):
        with refused("subnet_pool: no such pool"):
            market.pool(ask, SUBNET)
    with refused("subnet_pool: not closed"):
        market.pool("redeem", SUBNET, 1, by=TRADER.address)


def test_a_gift_deepens_the_pool_at_its_price(market: SubnetMarket) -> None:
    market.open()
    market.fund(TRADER, OPENING)
    before, quoted = market.pool("price_of", SUBNET), market.pool("preview_buy", SUBNET, OPENING)
    market.pool("inject", SUBNET, OPENING, by=TRADER.address)
    (given,) = market.pool.events("Injected")
    assert given.arguments["weight"] == 2 * WHOLE // 3
    after = market.pool("price_of", SUBNET)
    assert 0 <= after - before <= before // 10**15
    assert market.pool("preview_buy", SUBNET, OPENING) > quoted


def test_a_gift_has_bounds(market: SubnetMarket) -> None:
    market.open()
    market.fund(TRADER, MAX_RESERVE)
    for amount in (LEAST_IN - 1, MAX_RESERVE + 1):
        with refused("subnet_pool: amount out of range"):
            market.pool("inject", SUBNET, amount, by=TRADER.address)
    with refused("subnet_pool: weight out of range"):
        market.pool("inject", SUBNET, 99 * OPENING, by=TRADER.address)
    market.pool("inject", SUBNET, 98 * OPENING, by=TRADER.address)


def test_the_mean_follows_the_price_by_the_time_it_stood(market: SubnetMarket) -> None:
    market.open()
    first = market.pool("twap", SUBNET)
    market.buy(TRADER, OPENING)
    assert market.pool("twap", SUBNET) == first
    market.engine.now += DAY
    spot = market.pool("price_of", SUBNET)
    assert market.pool("twap", SUBNET) == (first + spot) // 2


def test_holders_share_what_was_paid_beyond_the_opening(market: SubnetMarket) -> None:
    token = market.open()
    mine, yours = market.buy(TRADER, OPENING), market.buy(HOLDER, 2 * OPENING)
    market.close()
    (closed,) = market.pool.events("PoolClosed")
    assert closed.arguments == {
        "subnet": SUBNET,
        "outside": mine + yours,
        "pot": 3 * OPENING,
        "commons": OPENING,
    }
    assert market.held(market.commons) == OPENING
    for who, tokens in ((HOLDER, yours), (TRADER, mine)):
        token("approve", market.pool, tokens, by=who.address)
        expected = market.pool("preview_redeem", SUBNET, tokens)
        assert market.pool("redeem", SUBNET, tokens, by=who.address) == expected
        assert market.pool.events("Redeemed")[0].arguments["amount"] == expected
    assert market.held(TRADER) + market.held(HOLDER) == 3 * OPENING
    assert market.held(market.pool) == 0
    with refused("subnet_pool: more than is outside"):
        market.pool("redeem", SUBNET, 1, by=TRADER.address)
    with refused("subnet_pool: more than is outside"):
        market.pool("preview_redeem", SUBNET, 1)


def test_without_holders_all_of_it_is_the_commons(market: SubnetMarket) -> None:
    market.open()
    market.fund(TRADER, OPENING)
    market.pool("inject", SUBNET, OPENING, by=TRADER.address)
    market.close()
    assert market.held(market.commons) == 2 * OPENING


def test_a_closed_pool_trades_no_more(market: SubnetMarket) -> None:
    market.open()
    tokens = market.buy(TRADER, OPENING)
    with refused("subnet_pool: not closed"):
        market.pool("preview_redeem", SUBNET, tokens)
    market.close()
    for act in (
        ("buy", SUBNET, OPENING, 0, FOR_EVER),
        ("sell", SUBNET, tokens, 0, FOR_EVER),
        ("inject", SUBNET, OPENING),
    ):
        with refused("subnet_pool: closed"):
            market.pool(*act, by=TRADER.address)
    with refused("subnet_pool: closed"):
        market.pool("close", SUBNET)
    assert tuple(market.pool("pool_of", SUBNET)) == (tokens, OPENING, 0, True)


def test_a_token_that_refuses_a_transfer_stops_everything(market: SubnetMarket) -> None:
    """The network token reverts instead of saying no; another one might not."""
    deployer = person("publisher").address
    quiet = deployed(market.engine, mock("FalseCurrency"), 18, by=deployer)
    pool = deployed(
        market.engine,
        compiled("SubnetPool"),
        *(quiet, market.subnets, market.pool.address, market.commons.address, DAY),
        by=deployer,
    )
    pool.poke("pools", SUBNET, value=SUPPLY | OPENING << 96 | WHOLE // 2 << 192)
    with refused("subnet_pool: token refused the transfer"):
        pool("buy", SUBNET, OPENING, 0, FOR_EVER, by=TRADER.address)


@pytest.mark.parametrize(
    ("commons", "window", "reason"),
    [
        (NOBODY, DAY, "subnet_pool: zero address"),
        (person("commons").address, 0, "subnet_pool: window out of range"),
    ],
)
def test_a_deployment_has_bounds(
    market: SubnetMarket, commons: str, window: int, reason: str
) -> None:
    part = (market.tsr.address,) * 3
    with refused(reason):
        deployed(market.engine, compiled("SubnetPool"), *part, commons, window, by=TRADER.address)
