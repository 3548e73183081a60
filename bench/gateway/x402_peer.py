"""x402's official FastAPI middleware, and the vouchers that it is paid with.

Run by the Python of its own environment: it imports nothing of ours. `serve PORT ROUNDS` serves;
`sign ROUND CALLS PATTERN` writes payment headers, a file for each connection, a line for each call.

It answers without any upstream, its channels are funded beforehand, and it never has to ask its
facilitator or a chain: all of that would only make it slower than what is measured.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from pathlib import Path
from typing import Any

import uvicorn
from coincurve import PrivateKey
from eth_utils import keccak, to_checksum_address
from fastapi import FastAPI, Request
from x402 import x402ResourceServer
from x402.http.middleware.fastapi import payment_middleware
from x402.mechanisms.evm.batch_settlement.constants import BATCH_SETTLEMENT_ADDRESS
from x402.mechanisms.evm.batch_settlement.server import (
    BatchSettlementEvmScheme,
    BatchSettlementEvmSchemeServerConfig,
    Channel,
    InMemoryChannelStorage,
)
from x402.mechanisms.evm.batch_settlement.types import ChannelConfig
from x402.mechanisms.evm.batch_settlement.utils import compute_channel_id
from x402.schemas import SupportedKind, SupportedResponse

CONNECTIONS = 32
CHAIN_ID = 84532
NETWORK = f"eip155:{CHAIN_ID}"
AMOUNT = 1000
DELAY_S = 86_400
PATH = "/v1/chat/completions"
ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "instant",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hello there, this is an instant answer"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 230, "completion_tokens": 8, "total_tokens": 238},
}


def _key(role: str) -> PrivateKey:
    return PrivateKey(keccak(text=f"tessera bench: {role}"))


def _address(role: str) -> str:
    return to_checksum_address(keccak(_key(role).public_key.format(compressed=False)[1:])[12:])


TOKEN = to_checksum_address("0x036CbD53842c5426634e7929541eC2318f3dCF7e")
PAYER, PAYEE, AUTHORIZER = (_address(role) for role in ("payer", "payee", "authorizer"))


def config(number: int) -> dict[str, Any]:
    """Describe one channel; each connection of each round has its own."""
    return {
        "payer": PAYER,
        "payerAuthorizer": PAYER,
        "receiver": PAYEE,
        "receiverAuthorizer": AUTHORIZER,
        "token": TOKEN,
        "withdrawDelay": DELAY_S,
        "salt": "0x" + number.to_bytes(32, "big").hex(),
    }


def serve(port: int, rounds: int) -> None:
    """Serve until killed."""

    class Facilitator:
        """Says what it supports; is never asked for more."""

        def get_supported(self) -> SupportedResponse:
            extra = {"receiverAuthorizer": AUTHORIZER}
            kind = SupportedKind(
                x402_version=2, scheme="batch-settlement", network=NETWORK, extra=extra
            )
            return SupportedResponse(kinds=[kind])

        async def verify(self, payload: Any, requirements: Any) -> Any:
            raise AssertionError("the facilitator was asked to verify")

        async def settle(self, payload: Any, requirements: Any) -> Any:
            raise AssertionError("the facilitator was asked to settle")

    storage = InMemoryChannelStorage()
    for number in range(rounds * CONNECTIONS):
        described = ChannelConfig.from_dict(config(number))
        name = compute_channel_id(described, NETWORK)
        record = Channel(
            channel_id=name,
            channel_config=described,
            balance=str(10**12),
            # Fresh for the whole run.
            onchain_synced_at=int(time.time() * 1000) + 10**7,
        )
        storage.update_channel(name, lambda _, record=record: record)
    scheme = BatchSettlementEvmScheme(
        PAYEE,
        BatchSettlementEvmSchemeServerConfig(storage=storage, withdraw_delay=DELAY_S),
    )
    resources = x402ResourceServer(Facilitator())
    resources.register(NETWORK, scheme)
    price = {"amount": str(AMOUNT), "asset": TOKEN, "extra": {"name": "USDC", "version": "2"}}
    accepted = {
        "scheme": "batch-settlement",
        "payTo": PAYEE,
        "price": price,
        "network": NETWORK,
        "maxTimeoutSeconds": 60,
    }
    gate = payment_middleware({f"POST {PATH}": {"accepts": accepted}}, resources)
    app = FastAPI()

    @app.middleware("http")
    async def paid(request: Request, call_next: Any) -> Any:
        return await gate(request, call_next)

    @app.post(PATH)
    async def chat(request: Request) -> dict[str, Any]:
        await request.json()
        return ANSWER

    uvicorn.run(
        app, host="127.0.0.1", port=port, log_level="error", loop="uvloop", access_log=False
    )


def sign(number: int, calls: int, pattern: str) -> None:
    """Write the payments of one round."""
    domain = keccak(
        keccak(
            text="EIP712Domain(string name,string version,uint256 chainId,"
            "address verifyingContract)"
        )
        + keccak(text="x402 Batch Settlement")
        + keccak(text="1")
        + CHAIN_ID.to_bytes(32, "big")
        + bytes(12)
        + bytes.fromhex(BATCH_SETTLEMENT_ADDRESS[2:])
    )
    voucher = keccak(text="Voucher(bytes32 channelId,uint128 maxClaimableAmount)")
    payer = _key("payer")
    accepted = {
        "scheme": "batch-settlement",
        "network": NETWORK,
        "asset": TOKEN,
        "amount": str(AMOUNT),
        "payTo": PAYEE,
        "maxTimeoutSeconds": 60,
        "extra": {
            "name": "USDC",
            "version": "2",
            "receiverAuthorizer": AUTHORIZER,
            "withdrawDelay": DELAY_S,
            "minDeposit": str(AMOUNT * 10),
        },
    }
    for place in range(CONNECTIONS):
        channel = config(number * CONNECTIONS + place)
        name = compute_channel_id(ChannelConfig.from_dict(channel), NETWORK)
        with Path(pattern % place).open("w", encoding="ascii") as file:
            for count in range(1, calls + 1):
                most = AMOUNT * count
                struct = keccak(voucher + bytes.fromhex(name[2:]) + most.to_bytes(32, "big"))
                raw = payer.sign_recoverable(keccak(b"\x19\x01" + domain + struct), hasher=None)
                signature = raw[:64] + bytes([27 + raw[64]])
                payload = {
                    "type": "voucher",
                    "channelConfig": channel,
                    "voucher": {
                        "channelId": name,
                        "maxClaimableAmount": str(most),
                        "signature": "0x" + signature.hex(),
                    },
                }
                payment = {"x402Version": 2, "accepted": accepted, "payload": payload}
                file.write(base64.b64encode(json.dumps(payment).encode()).decode() + "\n")


if __name__ == "__main__":
    task, *arguments = sys.argv[1:]
    if task == "serve":
        serve(int(arguments[0]), int(arguments[1]))
    else:
        sign(int(arguments[0]), int(arguments[1]), arguments[2])
