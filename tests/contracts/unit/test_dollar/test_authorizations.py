"""The test dollar: a faucet, and EIP-3009 as the real one has it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from rig.compiling import compiled
from rig.contract import NOBODY, Contract, deployed, refused
from rig.people import Person
from rig.signing import domain_of, sign, twin
from rig.system import DAY, World

NONCE = b"\x09" * 32
FIELDS = [
    {"name": "from", "type": "address"},
    {"name": "to", "type": "address"},
    {"name": "value", "type": "uint256"},
    {"name": "validAfter", "type": "uint256"},
    {"name": "validBefore", "type": "uint256"},
    {"name": "nonce", "type": "bytes32"},
]
CANCEL = [{"name": "authorizer", "type": "address"}, {"name": "nonce", "type": "bytes32"}]


@pytest.fixture
def dollar(world: World, consumer: Person) -> Contract:
    dollar = deployed(world.engine, compiled("TestDollar"), 6, 1_000, by=world.owner.address)
    dollar("faucet", 1_000, by=consumer.address)
    return dollar


@dataclass
class Authorization:
    """One signed transfer of 400."""

    dollar: Contract
    payer: Person
    receiver: Person
    kind: str = "Transfer"
    amount: int = 400

    def __post_init__(self) -> None:
        now = self.dollar.engine.now
        self.after, self.before = now, now + DAY
        message = {
            "from": self.payer.address,
            "to": self.receiver.address,
            "value": self.amount,
            "validAfter": self.after,
            "validBefore": self.before,
            "nonce": NONCE,
        }
        name = f"{self.kind}WithAuthorization"
        self.signature = sign(
            self.payer, domain_of(self.dollar, "Test Dollar"), name, {name: FIELDS}, message
        )
        self.dollar.engine.now += 1

    def use(self, by: Person, kind: str | None = None) -> None:
        v, r, s = self.signature
        self.dollar(
            f"{(kind or self.kind).lower()}WithAuthorization",
            self.payer.address,
            self.receiver.address,
            self.amount,
            self.after,
            self.before,
            NONCE,
            v,
            r.to_bytes(32, "big"),
            s.to_bytes(32, "big"),
            by=by.address,
        )


def test_the_faucet_has_a_limit(dollar: Contract, holder: Person) -> None:
    assert dollar("faucet_limit") == 1_000
    with refused("test_dollar: more than the faucet gives"):
        dollar("faucet", 1_001, by=holder.address)
    assert (dollar("name"), dollar("symbol"), dollar("version")) == ("Test Dollar", "TUSD", "1")
    assert (dollar("decimals"), dollar("totalSupply")) == (6, 1_000)


def test_anyone_relays_a_transfer_once(
    dollar: Contract, consumer: Person, operator: Person, keeper: Person
) -> None:
    authorization = Authorization(dollar, consumer, operator)
    authorization.use(keeper)
    assert [event.name for event in dollar.events()] == ["AuthorizationUsed", "Transfer"]
    assert dollar.events()[0].arguments == {"authorizer": consumer.address, "nonce": NONCE}
    assert dollar("balanceOf", operator.address) == 400
    assert dollar("authorizationState", consumer.address, NONCE) is True
    with refused("test_dollar: authorization used or cancelled"):
        authorization.use(keeper)


def test_a_receive_is_used_by_its_receiver_only(
    dollar: Contract, consumer: Person, operator: Person, attacker: Person
) -> None:
    authorization = Authorization(dollar, consumer, operator, kind="Receive")
    with refused("test_dollar: only the receiver may use this authorization"):
        authorization.use(attacker)
    with refused("test_dollar: not signed by the authorizer"):
        authorization.use(attacker, kind="Transfer")
    authorization.use(operator)
    assert dollar("balanceOf", operator.address) == 400


def test_an_authorization_has_its_time(
    dollar: Contract, consumer: Person, operator: Person, keeper: Person
) -> None:
    authorization = Authorization(dollar, consumer, operator)
    dollar.engine.now -= 1
    with refused("test_dollar: authorization is not valid yet"):
        authorization.use(keeper)
    dollar.engine.now += DAY
    with refused("test_dollar: authorization expired"):
        authorization.use(keeper)


@pytest.mark.parametrize("fault", ["amount", "high s", "v"])
def test_a_bent_authorization_is_refused(
    dollar: Contract, consumer: Person, operator: Person, attacker: Person, fault: str
) -> None:
    authorization = Authorization(dollar, consumer, operator)
    v, r, s = authorization.signature
    if fault == "amount":
        authorization.amount += 1
    else:
        authorization.signature = twin(v, r, s) if fault == "high s" else (v - 27, r, s)
    with refused("test_dollar: not signed by the authorizer"):
        authorization.use(attacker)


def test_a_payer_takes_an_authorization_back(
    dollar: Contract, consumer: Person, operator: Person, keeper: Person
) -> None:
    authorization = Authorization(dollar, consumer, operator)
    message = {"authorizer": consumer.address, "nonce": NONCE}
    types = {"CancelAuthorization": CANCEL}
    domain = domain_of(dollar, "Test Dollar")
    v, r, s = sign(consumer, domain, "CancelAuthorization", types, message)
    arguments = (consumer.address, NONCE, v, r.to_bytes(32, "big"), s.to_bytes(32, "big"))
    dollar("cancelAuthorization", *arguments, by=keeper.address)
    assert [event.name for event in dollar.events()] == ["AuthorizationCanceled"]
    with refused("test_dollar: authorization used or cancelled"):
        authorization.use(keeper)
    with refused("test_dollar: authorization used or cancelled"):
        dollar("cancelAuthorization", *arguments, by=keeper.address)


def test_a_dollar_moves_as_an_erc20_does(
    dollar: Contract, consumer: Person, operator: Person, keeper: Person
) -> None:
    with refused("erc20: balance too low"):
        dollar("transfer", operator.address, 1_001, by=consumer.address)
    with refused("erc20: receiver is the zero address"):
        dollar("transfer", NOBODY, 1, by=consumer.address)
    with refused("erc20: allowance too low"):
        dollar("transferFrom", consumer.address, operator.address, 1, by=keeper.address)
    dollar("transfer", consumer.address, 1_000, by=consumer.address)
    assert dollar("balanceOf", consumer.address) == 1_000
    dollar("approve", keeper.address, 10, by=consumer.address)
    dollar("transferFrom", consumer.address, operator.address, 10, by=keeper.address)
    assert dollar("balanceOf", operator.address) == 10
