"""The x402 channels on a fresh engine, at the standard's addresses, paid in a test dollar.

What payers and receivers sign is signed by eth_account, and not by our signer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data

from rig.abi import encode
from rig.compiling import Compiled, compiled, mock
from rig.contract import Contract, deployed
from rig.engines import CHAIN_ID, Engine, new_engine
from rig.people import Person, key_of, person
from rig.system import DAY
from tessera.spec.signatures import Address
from tessera.spec.x402 import VoucherClaim
from tessera.spec.x402_digests import (
    BATCH_SETTLEMENT,
    DEPOSIT_COLLECTOR,
    ChannelConfig,
    channel_id,
    deposit_nonce,
)

SETTLEMENT = "0x" + BATCH_SETTLEMENT.hex()
COLLECTOR = "0x" + DEPOSIT_COLLECTOR.hex()
DEPLOYER = person("deployer").address
PAYER, PAYERS_KEY = person("consumer"), person("consumer's key")
RECEIVER, OPERATOR = person("receiver"), person("operator")
DELAY = 3_600
UINT128 = 2**128 - 1

_TYPES: dict[str, list[tuple[str, str]]] = {
    "Voucher": [("channelId", "bytes32"), ("maxClaimableAmount", "uint128")],
    "Refund": [("channelId", "bytes32"), ("nonce", "uint256"), ("amount", "uint128")],
    "ClaimBatch": [("claims", "ClaimEntry[]")],
    "ClaimEntry": [
        ("channelId", "bytes32"),
        ("maxClaimableAmount", "uint128"),
        ("totalClaimed", "uint128"),
    ],
    "ReceiveWithAuthorization": [
        ("from", "address"),
        ("to", "address"),
        ("value", "uint256"),
        ("validAfter", "uint256"),
        ("validBefore", "uint256"),
        ("nonce", "bytes32"),
    ],
}
_SALTS = count(1)


def typed_signature(signer: Person, domain: dict[str, Any], kind: str, message: Any) -> bytes:
    """Sign as a wallet does; 65 bytes."""
    kinds = [kind, "ClaimEntry"] if kind == "ClaimBatch" else [kind]
    types = {k: [{"name": n, "type": t} for n, t in _TYPES[k]] for k in kinds}
    signable = encode_typed_data(domain_data=domain, message_types=types, message_data=message)
    return bytes(Account.sign_message(signable, signer.account.key).signature)


def text_of(address: Address) -> str:
    """Write an address as both engines do."""
    return "0x" + address.hex()


def row_of(config: ChannelConfig) -> tuple[object, ...]:
    """Write a channel's terms as the ABI takes them."""
    return (*(text_of(address) for address in config[:5]), config.withdraw_delay, config.salt)


def claim_of(claim: VoucherClaim) -> tuple[object, ...]:
    """Write a row of a claim as the ABI takes it."""
    return ((row_of(claim.config), claim.maximum), claim.signature, claim.claimed)


@dataclass
class Standard:
    """The contracts that the standard puts on a chain, and a token."""

    engine: Engine
    token: Contract
    channels: Contract
    collector: Contract
    # Brings what it is told to; where signatures are not the matter.
    any_collector: Contract

    def config(self, **changes: Any) -> ChannelConfig:
        """Name a channel of the consumer toward the operator, whose money goes to a receiver."""
        terms: dict[str, Any] = {
            "payer": key_of(PAYER),
            "payer_authorizer": key_of(PAYERS_KEY),
            "receiver": key_of(RECEIVER),
            "receiver_authorizer": key_of(OPERATOR),
            "token": key_of(self.token),
            "withdraw_delay": DELAY,
            "salt": bytes(32),
        }
        return ChannelConfig(**{**terms, **changes})

    def id(self, config: ChannelConfig) -> bytes:
        """Return a channel's id, as the twin computes it."""
        return channel_id(self.engine.chain_id, config)

    @property
    def domain(self) -> dict[str, Any]:
        """The EIP-712 domain that the standard names."""
        return {
            "name": "x402 Batch Settlement",
            "version": "1",
            "chainId": self.engine.chain_id,
            "verifyingContract": SETTLEMENT,
        }

    def fund(self, config: ChannelConfig, amount: int, *, by: Person = PAYER) -> None:
        """Deposit by the collector that asks for no signature."""
        self.channels("deposit", row_of(config), amount, self.any_collector, b"", by=by.address)

    def opened(self, amount: int, **changes: Any) -> ChannelConfig:
        """Open a channel of its own with a deposit."""
        config = self.config(**{"salt": next(_SALTS).to_bytes(32, "big"), **changes})
        self.fund(config, amount)
        return config

    def voucher(
        self, config: ChannelConfig, maximum: int, claimed: int, *, by: Person = PAYERS_KEY
    ) -> VoucherClaim:
        """Sign a voucher as its payer and fill in what was earned."""
        message = {"channelId": self.id(config), "maxClaimableAmount": maximum}
        signature = typed_signature(by, self.domain, "Voucher", message)
        return VoucherClaim(config, maximum, signature, claimed)

    def batch_signature(self, rows: list[VoucherClaim], *, by: Person = OPERATOR) -> bytes:
        """Sign a claim as the receiver's authorizer."""
        entries = [
            {
                "channelId": self.id(row.config),
                "maxClaimableAmount": row.maximum,
                "totalClaimed": row.claimed,
            }
            for row in rows
        ]
        return typed_signature(by, self.domain, "ClaimBatch", {"claims": entries})

    def refund_signature(
        self, config: ChannelConfig, amount: int, nonce: int, *, by: Person = OPERATOR
    ) -> bytes:
        """Sign a refund as the receiver's authorizer."""
        message = {"channelId": self.id(config), "nonce": nonce, "amount": amount}
        return typed_signature(by, self.domain, "Refund", message)

    def authorization(
        self,
        config: ChannelConfig,
        amount: int,
        salt: int = 0,
        *,
        by: Person = PAYER,
        receiver: str = COLLECTOR,
        chain_id: int | None = None,
    ) -> bytes:
        """Sign a deposit's EIP-3009 authorization; the collector's data."""
        after, before = self.engine.now - 1, self.engine.now + DAY
        message = {
            "from": by.address,
            "to": receiver,
            "value": amount,
            "validAfter": after,
            "validBefore": before,
            "nonce": deposit_nonce(self.id(config), salt),
        }
        domain = {
            "name": "Test Dollar",
            "version": "1",
            "chainId": chain_id or self.engine.chain_id,
            "verifyingContract": self.token.address,
        }
        signature = typed_signature(by, domain, "ReceiveWithAuthorization", message)
        return encode(["uint256", "uint256", "uint256", "bytes"], [after, before, salt, signature])

    def claim(self, *rows: VoucherClaim, by: Person = OPERATOR) -> None:
        """Claim as the receiver's side."""
        self.channels("claim", [claim_of(row) for row in rows], by=by.address)

    def money(self, who: Person | Contract | str) -> int:
        """Read a balance of the token."""
        address = who if isinstance(who, str) else who.address
        return int(self.token("balanceOf", address))

    def state(self, config: ChannelConfig) -> tuple[int, int]:
        """Read a channel's balance and what was claimed of it."""
        balance, claimed = self.channels("channels", self.id(config))
        return int(balance), int(claimed)

    def pending(self, config: ChannelConfig) -> tuple[int, int]:
        """Read a withdrawal that was announced: how much, and when."""
        amount, at = self.channels("pendingWithdrawals", self.id(config))
        return int(amount), int(at)

    def earned(self, receiver: Person = RECEIVER) -> tuple[int, int]:
        """Read what a receiver earned, and how much of it was sent."""
        claimed, settled = self.channels("receivers", receiver.address, self.token.address)
        return int(claimed), int(settled)


def placed(engine: Engine, name: str, address: str, *arguments: object) -> Contract:
    """Put one of our contracts where a chain's first block has it."""
    part = compiled(name)
    made = deployed(engine, part, *arguments, by=DEPLOYER)
    engine.place(address, engine.code(made.address))
    return Contract(engine, part, address)


def deploy_standard(
    token: Compiled | None = None,
    *arguments: object,
    chain_id: int = CHAIN_ID,
    engine: Engine | None = None,
) -> Standard:
    """Deploy a token, by default one that anybody mints, and put the standard's contracts there."""
    engine = engine or new_engine(chain_id)
    if token is None:
        token, arguments = mock("PlainCurrency"), (6,)
    return Standard(
        engine=engine,
        token=deployed(engine, token, *arguments, by=DEPLOYER),
        channels=placed(engine, "X402Channels", SETTLEMENT),
        collector=placed(engine, "X402Collector", COLLECTOR, SETTLEMENT),
        any_collector=deployed(engine, mock("AnyCollector"), by=DEPLOYER),
    )
