"""Subnet tokens and emission: what traders, keepers, models and validators pay."""

from __future__ import annotations

from typing import Any

from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from bench.gas.chain import Contract, Receipt, account
from bench.gas.dollar import UNIT
from bench.gas.ours.market import DAY, WHO, Market, code
from bench.gas.rows import Action, Row
from bench.gas.vouchers import Till, Voucher, batch
from tessera.spec.epochs import EpochInputs, Former, PostedEpoch, RevealedRow, Rules, build
from tessera.spec.scores import Row as Scored
from tessera.spec.signatures import address_of

_TSR = 10**18
_ALL = 2**255
_LATE = 2**40
_TEMPO = 2 * DAY
_RULES = (_TEMPO, 32_767, 65_535, 900_000, False, 64, 16, DAY, DAY, _TSR, _TSR)
_CONSENSUS = Rules(32_767, 65_535, 900_000, False)
_WINDOW = DAY // 2
_HOUR = 3_600
_SALT = keccak(text="salt")
_SCORES = ((60_000, 20_000), (65_535, 1))
# Period, rate, owner, models, demand, bootstrap, its periods, two windows, floor, least depth.
_TERMS = (_TEMPO, _TSR // 12, 1_800, 4_100, 5_000, 5_000, 4, DAY, _HOUR, 1, UNIT)


def measure(market: Market) -> list[Row]:
    """Measure one subnet's market, and two epochs that pay."""
    house = _House(market)
    opened = house.do(house.owner, house.pool, "open", 1, 1_000 * _TSR).gas
    bought = [house.buy(_TSR) for _ in "12"]
    large = house.buy(900 * _TSR)
    sold = [house.sell(_TSR) for _ in "12"]
    market.chain.pass_time(10 * DAY)
    given = house.do(house.owner, house.pool, "inject", 1, _TSR).gas
    collected, closed, settled, models, validators = [], [], [], [], []
    for _ in "12":
        # The second epoch is the warm one.
        epoch = house.turn_to_next()
        for _ in "12":
            house.pay()
            collected.append(house.collect())
        posted = house.score(epoch)
        house.turn_to_next()
        closed.append(house.do(house.owner, house.emission, "close").gas)
        house.finalize(epoch, posted)
        header = posted.header.call
        settled.append(house.do(house.owner, house.emission, "settle", 1, epoch, header).gas)
        models.append(house.claim("claim_model", epoch, posted, posted.model_proof(0)))
        validators.append(house.claim("claim_validator", epoch, posted, posted.validator_proof(0)))
    flushed, took = house.take()
    return [
        Row(
            Action.OPEN_SUBNET_POOL, WHO, "SubnetPool.open", "the token made; TSR moved in",
            opened,
        ),
        Row(
            Action.TRADE_SUBNET, WHO, "SubnetPool.buy", "the least of powers; both tokens moved",
            bought[1], bought[0],
        ),
        Row(
            Action.TRADE_SUBNET, WHO, "SubnetPool.buy",
            "nearly doubles the pool; both tokens moved", large,
        ),
        Row(Action.TRADE_SUBNET, WHO, "SubnetPool.sell", "both tokens moved", sold[1], sold[0]),
        Row(Action.INJECT, WHO, "SubnetPool.inject", "TSR moved in", given),
        Row(
            Action.COLLECT_DEMAND, WHO, "Emission.collect_demand", "one asset, any number of calls",
            collected[3], collected[0],
        ),
        Row(
            Action.CLOSE_PERIOD, WHO, "Emission.close",
            "any number of subnets: two mean prices, the schedule, all fees fetched",
            closed[1], closed[0],
        ),
        Row(
            Action.SETTLE_EPOCH, WHO, "Emission.settle",
            "any number of models and validators; TSR minted", settled[1], settled[0],
        ),
        Row(
            Action.CLAIM_EPOCH, WHO, "Emission.claim_model", "its leaf of a final result proved",
            models[1], models[0],
        ),
        Row(
            Action.CLAIM_EPOCH, WHO, "Emission.claim_validator",
            "its leaf proved; TSR into its pool in Bond, for any number of delegators",
            validators[1], validators[0],
        ),
        Row(
            Action.FLUSH_EMISSION, WHO, "Emission.flush", "what an asset earned, to its owner",
            flushed,
        ),
        Row(Action.BE_PAID_EMISSION, WHO, "Emission.withdraw", "TSR moved out", took),
    ]  # fmt: skip


class _House:
    """A deployment of its own with one subnet, two models, two validators and a market of TSR."""

    def __init__(self, market: Market) -> None:
        self._market, self._chain = market, market.chain
        founder, commons = account("founder"), account("commons").address
        ahead = [self._chain.next_contract(founder, number) for number in range(11)]
        registry = market.registry.address
        parts: tuple[tuple[Any, ...], ...] = (
            ("NetworkToken", 10**7 * _TSR, founder.address),
            ("Bond", ahead[0], registry, 14 * DAY, 30 * DAY, 7 * DAY, DAY),
            (
                *("Subnets", ahead[0], registry, ahead[1], ahead[3], ahead[4]),
                *(_TEMPO, 100 * _TSR, 10 * DAY, _TEMPO, 2 * DAY, 300 * DAY),
            ),
            ("Scores", ahead[0], ahead[2], ahead[1], _TSR),
            (
                *("Epochs", ahead[0], registry, ahead[3], ahead[5]),
                (100 * _TSR, _TSR, DAY, _WINDOW, _HOUR, _HOUR),
            ),
            ("EpochCourt",),
            ("SubnetToken", ahead[7]),
            ("SubnetPool", ahead[0], ahead[2], ahead[6], commons, DAY),
            ("NetworkMarket", ahead[0], commons),
            ("Exchange", market.dollar.address, *(ahead[8],) * 3),
            (
                *("Emission", ahead[0], market.dollar.address, registry, market.channels.address),
                *(ahead[9], ahead[2], ahead[7], ahead[4], ahead[1], _TERMS),
            ),
        )
        made = [self._chain.deploy(founder, code(name), *arguments) for name, *arguments in parts]
        (
            self._token, self._bond, self._subnets, self._scores, self._epochs, _, _,
            self.pool, _, self._exchange, self.emission,
        ) = made  # fmt: skip
        self.do(founder, self._token, "set_minter", self.emission.address)
        self.do(founder, market.registry, "set_network", 100, commons, self.emission.address)
        self.owner = self._funded(account("publisher"))
        self._validators = [
            self._funded(account(role)) for role in ("first scorer", "second scorer")
        ]
        self.do(self.owner, self._subnets, "create", _RULES, _ALL)
        self._models = [market.publish()[0] for _ in "12"]
        for uid, asset in enumerate(self._models):
            self.do(self.owner, self._subnets, "register_model", 1, asset, uid, _ALL)
            self.do(self.owner, self.emission, "collect_demand", asset)
        for uid, who in enumerate(self._validators):
            self.do(who, self._bond, "enlist", self._scores.address)
            self.do(who, self._bond, "stake", who.address, 1_000 * _TSR)
            self.do(who, self._subnets, "register_validator", 1, uid, _ALL)
        self._open_market()
        self._open_channel()
        self._former: Former | None = None
        self._next = 0

    def do(self, who: LocalAccount, contract: Contract, name: str, *arguments: Any) -> Receipt:
        """Send one transaction."""
        return self._chain.transact(who, contract, name, *arguments)

    def buy(self, amount: int) -> int:
        """Buy the subnet's token; the gas."""
        return self.do(self.owner, self.pool, "buy", 1, amount, 0, _LATE).gas

    def sell(self, tokens: int) -> int:
        """Sell the subnet's token; the gas."""
        token = self._chain.read(self.pool, "token_of", 1)
        named = Contract("SubnetToken", token, code("SubnetToken").abi)
        self.do(self.owner, named, "approve", self.pool.address, _ALL)
        return self.do(self.owner, self.pool, "sell", 1, tokens, 0, _LATE).gas

    def pay(self) -> None:
        """Let the consumer pay 1,000 dollars for calls of the first model."""
        self._paid += 1_000 * UNIT
        consumer, operator = account("consumer"), account("operator")
        voucher = Voucher(self._channel, ((self._till, self._paid),))
        domain: bytes = self._chain.read(self._market.channels, "DOMAIN_SEPARATOR")
        keys, words = batch(domain, consumer, [voucher])
        self.do(operator, self._market.channels, "settle", keys, words)

    def collect(self) -> int:
        """Collect the first model's demand; the gas."""
        return self.do(self.owner, self.emission, "collect_demand", self._models[0]).gas

    def turn_to_next(self) -> int:
        """Let time pass until the next epoch has just begun; its number."""
        start, tempo = self._chain.read(self._subnets, "clock_of", 1)
        since = self._chain.now - start
        self._chain.pass_time(tempo - since % tempo)
        return int(since // tempo + 1)

    def score(self, epoch: int) -> PostedEpoch:
        """Let both validators score the present epoch; what comes of it."""
        rows = [Scored(dict(enumerate(scores)), 2) for scores in _SCORES]
        for uid, (who, row) in enumerate(zip(self._validators, rows, strict=True)):
            said = self._chain.read(
                self._scores, "commitment_of", row.root, row.sum, _SALT, who.address, 1, epoch
            )
            self.do(who, self._scores, "commit", 1, uid, said)
        self._chain.pass_time(_TEMPO // 2)
        for who, row in zip(self._validators, rows, strict=True):
            self.do(who, self._scores, "reveal", 1, epoch, row.root, row.sum, _SALT, "https://x")
        _, _, columns, _, digest = self._chain.read(self._scores, "epoch_of", 1, epoch)
        told = [self._chain.read(self._scores, "row_at", 1, epoch, place) for place in range(2)]
        revealed = tuple(
            RevealedRow(address_of(who), stake, _SCORES[place], void=False)
            for place, (who, _, _, stake) in enumerate(told)
        )
        posted = build(EpochInputs(columns, revealed, _CONSENSUS, digest, self._former))
        self._former = Former(
            epoch, posted, tuple(row.validator for row in revealed), (True,) * columns
        )
        return posted

    def finalize(self, epoch: int, posted: PostedEpoch) -> None:
        """Post an epoch's result and let its window end."""
        self._chain.pass_time(_TEMPO // 2)
        for empty in range(self._next, epoch):
            self.do(self.owner, self._epochs, "skip", 1, empty)
        self._next = epoch + 1
        self.do(self.owner, self._epochs, "post", 1, epoch, posted.header.call)
        self._chain.pass_time(_WINDOW)
        self.do(self.owner, self._epochs, "finalize", 1, epoch)

    def claim(self, name: str, epoch: int, posted: PostedEpoch, proof: tuple[Any, ...]) -> int:
        """Claim by a proof; the gas."""
        *leaf, path = proof
        nodes = [tuple(node) for node in path]
        header = posted.header.call
        return self.do(self.owner, self.emission, name, 1, epoch, header, *leaf, nodes).gas

    def take(self) -> tuple[int, int]:
        """Flush what the first model earned and withdraw it; the gas of both."""
        flushed = self.do(self.owner, self.emission, "flush", self._models[0]).gas
        return flushed, self.do(self.owner, self.emission, "withdraw").gas

    def _open_market(self) -> None:
        founder = account("founder")
        self._market.fund(founder, self._exchange)
        self.do(founder, self._token, "approve", self._exchange.address, _ALL)
        terms = (self._token.address, 100_000 * _TSR, 200_000 * UNIT, 1, founder.address, _LATE)
        self.do(founder, self._exchange, "open_pool", *terms)

    def _open_channel(self) -> None:
        consumer, operator = account("consumer"), account("operator")
        self._market.fund(consumer, self._market.channels)
        salt = keccak(text="emission")
        deposit, signer = 100_000 * UNIT, consumer.address
        channels = self._market.channels
        self.do(consumer, channels, "open", operator.address, salt, deposit, signer, [])
        self._channel = self._chain.read(
            channels, "channel_number", consumer.address, operator.address, salt
        )
        self._till: Till = self._market.till(self._models[0])
        self._paid = 0

    def _funded(self, who: LocalAccount) -> LocalAccount:
        founder = account("founder")
        self.do(founder, self._token, "transfer", who.address, 20_000 * _TSR)
        for spender in (self._bond, self._subnets, self._epochs, self.pool):
            self.do(who, self._token, "approve", spender.address, _ALL)
        return who
