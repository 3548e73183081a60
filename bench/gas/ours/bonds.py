"""Bond and Conduct: what validators, operators, delegators and those who accuse them pay."""

from __future__ import annotations

from typing import Any

from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from bench.gas.chain import account
from bench.gas.ours.market import DAY, WHO, Market, code
from bench.gas.rows import Action, Row
from bench.gas.vouchers import sign_receipt

_TSR = 10**18
_ALL = 2**255
_DELAY, _NOTICE, _FREEZE, _PERIOD = 14 * DAY, 30 * DAY, 7 * DAY, DAY
_WINDOW = 3 * DAY


def measure(market: Market) -> list[Row]:
    """Measure a bonded operator with two delegators, through a reward and two slashes."""
    house = _House(market)
    operator = house.operator
    first, second = house.funded("delegator"), house.funded("second delegator")
    house.do(operator, "enlist", house.conduct.address)
    own = house.do(operator, "stake", operator.address, 1_000 * _TSR)
    house.do(first, "stake", operator.address, 100 * _TSR)
    house.do(operator, "set_take", 0)
    rewarded = [house.do(first, "reward", operator.address, 10 * _TSR) for _ in "123"]
    delegated = [house.do(second, "stake", operator.address, 100 * _TSR) for _ in "12"]
    left = [house.do(first, "unstake", operator.address, 10**24) for _ in "12"]
    cases = [house.accuse(charged) for charged in (1_000, 2_000)]
    accused = [gas for _, gas in cases]
    market.chain.pass_time(_WINDOW)
    convicted = house.convict(cases[0][0])
    market.chain.pass_time(_DELAY + _FREEZE)
    paid = house.do(first, "withdraw", operator.address)
    return [
        Row(
            Action.STAKE, WHO, "Bond.stake", "delegated while a reward streams; TSR moved in",
            delegated[1], delegated[0],
        ),
        Row(Action.STAKE, WHO, "Bond.stake", "a validator's own, in a new pool", own),
        Row(
            Action.UNSTAKE, WHO, "Bond.unstake", "while a reward streams; nothing is moved",
            left[1], left[0],
        ),
        Row(Action.BE_PAID_STAKE, WHO, "Bond.withdraw", "TSR moved out", paid),
        Row(
            Action.REWARD, WHO, "Bond.reward",
            "any number of delegators; meets a running stream; TSR moved in", rewarded[2],
            rewarded[0],
        ),
        Row(
            Action.ACCUSE, WHO, "Conduct.accuse",
            "its receipt checked, its bond frozen, the deposit moved in", accused[1], accused[0],
        ),
        Row(
            Action.SLASH, WHO, "Conduct.convict",
            "any number of delegators; the line read, stake taken from all there is, TSR moved "
            "to the commons and the accuser", convicted,
        ),
    ]  # fmt: skip


class _House:
    """A deployment of its own: the token, Bond and Conduct, and a channel to accuse about."""

    def __init__(self, market: Market) -> None:
        self._market, self._chain = market, market.chain
        founder = account("founder")
        self._token = self._chain.deploy(
            founder, code("NetworkToken"), 10**7 * _TSR, founder.address
        )
        self._bond = self._chain.deploy(
            founder,
            code("Bond"),
            *(self._token.address, market.registry.address),
            *(_DELAY, _NOTICE, _FREEZE, _PERIOD),
        )
        self.conduct = self._chain.deploy(
            founder,
            code("Conduct"),
            *(self._bond.address, market.channels.address, _WINDOW, 1_000, _TSR),
        )
        self.operator = self.funded("bonded operator")
        self._accuser = self.funded("challenger")
        consumer, salt = account("consumer"), keccak(text="accused")
        market.fund(consumer, market.channels)
        self._chain.transact(
            *(consumer, market.channels, "open", self.operator.address, salt, 1, consumer.address),
            [],
        )
        self._channel = self._chain.read(
            market.channels, "channel_number", consumer.address, self.operator.address, salt
        )
        self._domain: bytes = self._chain.read(market.channels, "DOMAIN_SEPARATOR")

    def funded(self, name: str) -> LocalAccount:
        """Give somebody network tokens that Bond and Conduct may take."""
        who = account(name)
        self._chain.transact(account("founder"), self._token, "transfer", who.address, 10**4 * _TSR)
        for spender in (self._bond, self.conduct):
            self._chain.transact(who, self._token, "approve", spender.address, _ALL)
        return who

    def do(self, who: LocalAccount, name: str, *arguments: Any) -> int:
        """Call Bond; the gas."""
        return self._chain.transact(who, self._bond, name, *arguments).gas

    def accuse(self, charged: int) -> tuple[bytes, int]:
        """Show a receipt that was never settled; its case, and the gas."""
        hashed = keccak(text="bytes")
        receipt = (self._channel, 1, 1, 1, charged, hashed, hashed, 12, 1_800_000_000, 1)
        proof, *by = sign_receipt(self._domain, self.operator, receipt, 0)
        shown = (self.operator.address, receipt, proof, *by)
        gas = self._chain.transact(self._accuser, self.conduct, "accuse", *shown).gas
        line = (self.operator.address, self._channel, 1, 1, charged)
        return self._chain.read(self.conduct, "case_of", *line), gas

    def convict(self, case: bytes) -> int:
        """End a case whose window is over; the gas."""
        return self._chain.transact(account("keeper"), self.conduct, "convict", case).gas
