"""Our channels beside x402's own SDK: the same functions, and the same digests for any numbers."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from eth_utils import keccak, to_checksum_address
from hypothesis import given
from hypothesis import strategies as st
from rig.contract import Contract, type_of
from rig.effort import times
from rig.people import key_of, person
from rig.x402 import COLLECTOR, SETTLEMENT, Standard, claim_of, deploy_standard, row_of, text_of
from x402.mechanisms.evm.batch_settlement import abi, authorizer_signer, constants, encoding, types
from x402.mechanisms.evm.batch_settlement.client.voucher import sign_voucher
from x402.mechanisms.evm.batch_settlement.utils import compute_channel_id
from x402.mechanisms.evm.constants import MULTICALL3_TRY_AGGREGATE_ABI
from x402.mechanisms.evm.signers import EthAccountSigner

from tessera.contracts import load_artifact
from tessera.spec.signatures import Address, recover
from tessera.spec.x402 import VoucherClaim
from tessera.spec.x402_digests import (
    MAX_WITHDRAW_DELAY_S,
    MIN_WITHDRAW_DELAY_S,
    ChannelConfig,
    ClaimEntry,
    channel_id,
    claims_digest,
    deposit_nonce,
    refund_digest,
    voucher_digest,
)

SIGNER = person("consumer")
CHAINS = st.sampled_from([31_337, 84_532])
ADDRESSES = st.binary(min_size=20, max_size=20).map(Address)
WORDS = st.binary(min_size=32, max_size=32)
AMOUNTS = st.one_of(st.integers(0, 100), st.integers(0, 2**128 - 1))
CONFIGS = st.builds(
    ChannelConfig,
    *[ADDRESSES] * 5,
    withdraw_delay=st.integers(0, 2**40 - 1),
    salt=WORDS,
)
ROWS = st.lists(
    st.builds(VoucherClaim, CONFIGS, AMOUNTS, st.binary(max_size=70), AMOUNTS), max_size=3
)
_KEPT: dict[int, Standard] = {}


def _on(chain: int) -> Contract:
    if chain not in _KEPT:
        _KEPT[chain] = deploy_standard(chain_id=chain)
    return _KEPT[chain].channels


def _theirs(config: ChannelConfig) -> types.ChannelConfig:
    parties = [to_checksum_address(text_of(address)) for address in config[:5]]
    return types.ChannelConfig(*parties, config.withdraw_delay, "0x" + config.salt.hex())


def _signers() -> tuple[EthAccountSigner, authorizer_signer.LocalAuthorizerSigner]:
    account = Account.from_key(SIGNER.account.key)
    return EthAccountSigner(account), authorizer_signer.LocalAuthorizerSigner(account)


def _selector(entry: dict[str, Any]) -> bytes:
    inputs = ",".join(map(type_of, entry["inputs"]))
    return keccak(text=f"{entry['name']}({inputs})")


@pytest.mark.parametrize("entry", abi.BATCH_SETTLEMENT_ABI, ids=lambda entry: entry["name"])
def test_everything_that_the_sdk_calls_is_here(entry: dict[str, Any]) -> None:
    content = load_artifact("X402Channels").content
    ours = {each["name"]: each for each in content["abi"] if each["type"] == entry["type"]}
    found = ours[entry["name"]]
    assert _selector(found) == _selector(entry)
    if entry["type"] == "function":
        # A struct and its members are the same bytes.
        returned = ",".join(map(type_of, found["outputs"])).strip("()")
        assert returned == ",".join(map(type_of, entry["outputs"]))
    else:
        indexed = [field["indexed"] for field in found["inputs"]]
        assert indexed == [field["indexed"] for field in entry["inputs"]]


def test_the_reads_of_tools_are_here() -> None:
    ours = {_selector(e) for e in load_artifact("Multicall").abi if e["type"] == "function"}
    assert {_selector(entry) for entry in MULTICALL3_TRY_AGGREGATE_ABI} <= ours


def test_addresses_and_limits_are_the_standards() -> None:
    assert constants.BATCH_SETTLEMENT_ADDRESS.lower() == SETTLEMENT
    assert constants.ERC3009_DEPOSIT_COLLECTOR_ADDRESS.lower() == COLLECTOR
    limits = _on(31_337)("MIN_WITHDRAW_DELAY"), _on(31_337)("MAX_WITHDRAW_DELAY")
    assert limits == (constants.MIN_WITHDRAW_DELAY, constants.MAX_WITHDRAW_DELAY)
    assert limits == (MIN_WITHDRAW_DELAY_S, MAX_WITHDRAW_DELAY_S)


@given(chain=CHAINS, config=CONFIGS)
@times(1)
def test_a_channel_has_the_sdks_id(chain: int, config: ChannelConfig) -> None:
    theirs = bytes.fromhex(compute_channel_id(_theirs(config), chain)[2:])
    assert _on(chain)("getChannelId", row_of(config)) == channel_id(chain, config) == theirs


@given(chain=CHAINS, channel=WORDS, amount=AMOUNTS, nonce=st.integers(0, 2**256 - 1))
@times(1)
def test_what_the_sdk_signs_is_what_the_contract_hashes(
    chain: int, channel: bytes, amount: int, nonce: int
) -> None:
    payer, authorizer = _signers()
    network = f"eip155:{chain}"
    voucher = sign_voucher(payer, "0x" + channel.hex(), amount, network)
    digest = _on(chain)("getVoucherDigest", channel, amount)
    assert digest == voucher_digest(chain, channel, amount)
    assert recover(digest, bytes.fromhex(voucher.signature[2:])) == key_of(SIGNER)
    refund = authorizer_signer.sign_refund(authorizer, "0x" + channel.hex(), amount, nonce, network)
    digest = _on(chain)("getRefundDigest", channel, nonce, amount)
    assert digest == refund_digest(chain, channel, nonce, amount)
    assert recover(digest, bytes.fromhex(refund.removeprefix("0x"))) == key_of(SIGNER)


@given(chain=CHAINS, rows=ROWS)
@times(1)
def test_a_batch_is_hashed_as_the_sdk_signs_it(chain: int, rows: list[VoucherClaim]) -> None:
    digest = _on(chain)("getClaimBatchDigest", [claim_of(row) for row in rows])
    ids = [(channel_id(chain, row.config), row) for row in rows]
    entries = [ClaimEntry(channel, row.maximum, row.claimed) for channel, row in ids]
    assert digest == claims_digest(chain, entries)
    claims = [
        types.VoucherClaim(
            _theirs(row.config), str(row.maximum), "0x" + row.signature.hex(), str(row.claimed)
        )
        for row in rows
    ]
    _, authorizer = _signers()
    signed = authorizer_signer.sign_claim_batch(authorizer, claims, f"eip155:{chain}")
    assert recover(digest, bytes.fromhex(signed.removeprefix("0x"))) == key_of(SIGNER)


@given(channel=WORDS, salt=st.integers(0, 2**256 - 1))
@times(1)
def test_a_deposits_nonce_is_the_sdks(channel: bytes, salt: int) -> None:
    theirs = encoding.build_erc3009_deposit_nonce("0x" + channel.hex(), hex(salt))
    assert "0x" + deposit_nonce(channel, salt).hex() == theirs
