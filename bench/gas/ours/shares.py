"""Revenue to holders: distribution, claims, and transfers while it streams and when it does not."""

from __future__ import annotations

from bench.gas.chain import Contract, account
from bench.gas.dollar import UNIT
from bench.gas.ours.market import DAY, SUPPLY, WHO, Market
from bench.gas.rows import Action, Row

HOLDERS = 100
PERIODS = 12
# Each holder has much more than is ever moved, so that no transfer empties an account.
_ENDOWMENT = SUPPLY // (2 * HOLDERS)
_AMOUNT = 10**18
_REVENUE = 100 * UNIT


def measure(market: Market) -> list[Row]:
    """Measure one Share with 100 holders through its first payments and into its steady state."""
    asset, _ = market.publish()
    publisher = account("publisher")
    _, created_first = market.tokenize(asset, publisher.address)
    other, _ = market.publish()
    share, created = market.tokenize(other, publisher.address)
    for number in range(HOLDERS):
        holder = account(f"holder {number}").address
        market.chain.transact(publisher, share, "transfer", holder, _ENDOWMENT)
    return [
        Row(
            Action.DEPLOY_SHARE,
            WHO,
            "Registry.tokenize",
            "a clone; the supply to one receiver",
            created.gas,
            created_first.gas,
        ),
        _distribution(market, share),
        *_claims(market, share),
        *_transfers(market, share),
    ]


def _transfer(market: Market, share: Contract, sender: str, receiver: str) -> int:
    return market.chain.transact(
        account(sender), share, "transfer", account(receiver).address, _AMOUNT
    ).gas


def _distribution(market: Market, share: Contract) -> Row:
    payer = account("payer")
    market.fund(payer, share)
    figures = [
        market.chain.transact(payer, share, "distributeRevenue", _REVENUE).gas for _ in "123"
    ]
    return Row(
        Action.DISTRIBUTE,
        WHO,
        "Share.distributeRevenue",
        "100 holders; streaming, meets a running stream; dollars moved in",
        figures[2],
        figures[0],
    )


def _periods(market: Market, share: Contract) -> None:
    for _ in range(PERIODS):
        market.chain.transact(account("payer"), share, "distributeRevenue", _REVENUE)
        market.chain.pass_time(DAY)


def _claims(market: Market, share: Contract) -> list[Row]:
    chain, holder, seller = market.chain, account("holder 0"), account("holder 1")
    _periods(market, share)
    first = chain.transact(holder, share, "claim").gas
    _transfer(market, share, "holder 1", "holder 2")
    first_owed = chain.transact(seller, share, "claim").gas
    _periods(market, share)
    chain.transact(account("payer"), share, "distributeRevenue", _REVENUE)
    warm = chain.transact(holder, share, "claim").gas
    _transfer(market, share, "holder 1", "holder 2")
    warm_owed = chain.transact(seller, share, "claim").gas
    return [
        Row(
            Action.CLAIM,
            WHO,
            "Share.claim",
            "12 payments and a running stream; dollars moved out",
            warm,
            first,
        ),
        Row(
            Action.CLAIM,
            WHO,
            "Share.claim",
            "the same, after a transfer that had put revenue aside",
            warm_owed,
            first_owed,
        ),
    ]


def _transfers(market: Market, share: Contract) -> list[Row]:
    def between() -> int:
        return _transfer(market, share, "holder 3", "holder 4")

    after_first = between()
    market.chain.pass_time(DAY)
    after_warm = between()
    market.chain.transact(account("payer"), share, "distributeRevenue", _REVENUE)
    streaming = between()
    market.chain.pass_time(2 * DAY)
    between()
    quiet = between()
    quiet_first = _transfer(market, share, "holder 3", "newcomer")
    return [
        Row(
            Action.TRANSFER_QUIET,
            WHO,
            "Share.transfer",
            "earns revenue; both sides settled before",
            quiet,
            quiet_first,
        ),
        Row(
            Action.TRANSFER_AFTER_REVENUE,
            WHO,
            "Share.transfer",
            "both sides settled in it, revenue put aside for both",
            after_warm,
            after_first,
        ),
        Row(
            Action.TRANSFER_AFTER_REVENUE,
            WHO,
            "Share.transfer",
            "the same, in the middle of a stream",
            streaming,
        ),
    ]
