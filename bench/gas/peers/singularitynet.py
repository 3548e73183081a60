"""SingularityNET's MultiPartyEscrow and Registry, as shipped in their npm package."""

from __future__ import annotations

import json

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from bench.gas.chain import Chain, Code, Contract, account, bytes_of
from bench.gas.dollar import UNIT, Dollar
from bench.gas.peers.packages import MODULES
from bench.gas.rows import Action, Row, per

VOUCHERS = 100
_WHO = "SingularityNET MPE"
_FOLDER = MODULES / "singularitynet-platform-contracts"
_PRICE = UNIT // 100
_GROUP = b"\x01" * 32
_YEAR = 365 * 86_400


def measure(chain: Chain, dollar: Dollar) -> list[Row]:
    """Measure a claim of 100 vouchers, the life of a channel, and a service's registration."""
    return [*_escrow(chain, dollar), _registry(chain)]


def _code(name: str) -> Code:
    abi = json.loads((_FOLDER / "abi" / f"{name}.json").read_text("utf-8"))
    creation = json.loads((_FOLDER / "bytecode" / f"{name}.json").read_text("utf-8"))
    return Code(name, abi, bytes_of(creation))


def _escrow(chain: Chain, dollar: Dollar) -> list[Row]:
    consumer, operator = account("snet consumer"), account("snet operator")
    escrow = chain.deploy(account("publisher"), _code("MultiPartyEscrow"), dollar.address)
    dollar.give(consumer.address, 10**6 * UNIT)
    dollar.approve(consumer, escrow.address)
    deposits = [chain.transact(consumer, escrow, "deposit", 10**5 * UNIT).gas for _ in "12"]

    until = chain.now + _YEAR
    opening = (consumer.address, operator.address, _GROUP, 100 * UNIT, until)
    opened = [
        chain.transact(consumer, escrow, "openChannel", *opening).gas for _ in range(VOUCHERS)
    ]
    extended = [chain.transact(consumer, escrow, "channelAddFunds", 0, UNIT).gas for _ in "12"]

    claim = _Claimer(chain, escrow, consumer, operator)
    # The recipient's balance in the escrow exists before, as it does for anyone who was paid once.
    one_first = claim.channels(1)
    first = claim.channels(VOUCHERS)
    warm = claim.channels(VOUCHERS)
    one_warm = claim.channels(1)
    withdrawn = [chain.transact(operator, escrow, "withdraw", UNIT // 10).gas for _ in "12"]
    return [
        Row(
            Action.SETTLE_VOUCHER,
            _WHO,
            "multiChannelClaim, 100 channels",
            "one payee, to its balance in the escrow; whole transaction / 100",
            per(VOUCHERS, warm),
            per(VOUCHERS, first),
        ),
        Row(
            Action.SETTLE_ONE,
            _WHO,
            "multiChannelClaim, 1 channel",
            "one payee",
            one_warm,
            one_first,
        ),
        Row(
            Action.OPEN_CHANNEL,
            _WHO,
            "openChannel",
            "out of a balance deposited before",
            opened[1],
            opened[0],
        ),
        Row(Action.DEPOSIT, _WHO, "deposit", "dollars moved in", deposits[1], deposits[0]),
        Row(Action.DEPOSIT, _WHO, "channelAddFunds", "balance to channel only", extended[1]),
        Row(Action.WITHDRAW, _WHO, "withdraw", "dollars moved out", withdrawn[1], withdrawn[0]),
    ]


class _Claimer:
    """The operator, who keeps each channel's nonce and claims the next voucher of the first few."""

    def __init__(
        self, chain: Chain, escrow: Contract, consumer: LocalAccount, operator: LocalAccount
    ) -> None:
        self._chain = chain
        self._escrow = escrow
        self._consumer = consumer
        self._operator = operator
        self._nonces = [0] * VOUCHERS

    def channels(self, count: int) -> int:
        """Claim one price from each of the first channels; gas of the transaction."""
        signed = [self._sign(channel) for channel in range(count)]
        receipt = self._chain.transact(
            self._operator,
            self._escrow,
            "multiChannelClaim",
            list(range(count)),
            [_PRICE] * count,
            [_PRICE] * count,
            [False] * count,
            [v for v, _, _ in signed],
            [r for _, r, _ in signed],
            [s for _, _, s in signed],
        )
        for channel in range(count):
            self._nonces[channel] += 1
        return receipt.gas

    def _sign(self, channel: int) -> tuple[int, bytes, bytes]:
        words = (channel, self._nonces[channel], _PRICE)
        message = b"__MPE_claim_message" + bytes_of(self._escrow.address)
        message += b"".join(word.to_bytes(32, "big") for word in words)
        signature = Account.sign_message(encode_defunct(keccak(message)), self._consumer.key)
        return signature.v, signature.r.to_bytes(32, "big"), signature.s.to_bytes(32, "big")


def _registry(chain: Chain) -> Row:
    publisher = account("publisher")
    registry = chain.deploy(publisher, _code("Registry"))
    organization, where = b"org".ljust(32, b"\0"), b"ipfs://QmServiceMetadata".ljust(46, b"x")
    chain.transact(publisher, registry, "createOrganization", organization, where, [])
    services = [
        chain.transact(
            publisher,
            registry,
            "createServiceRegistration",
            organization,
            f"service {number}".encode().ljust(32, b"\0"),
            where,
        ).gas
        for number in range(3)
    ]
    return Row(
        Action.REGISTER,
        "SingularityNET Registry",
        "createServiceRegistration",
        "a name and a link; the price is off chain, nothing can be owned",
        services[2],
        services[0],
    )
