"""Who signed this? Our answer beside snekmate's and eth_account's, good or bent."""

from __future__ import annotations

from eth_account import Account
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st
from rig.compiling import mock
from rig.contract import NOBODY, Contract, deployed
from rig.effort import times
from rig.engines import Reverted, new_engine
from rig.people import person
from rig.signing import compact, twin

from tessera.spec.signatures import recover as recover_in_spec

SIGNER, DEPLOYER = person("consumer"), person("deployer")
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
words = st.one_of(
    st.integers(0, 2**256 - 1),
    st.sampled_from([0, 1, ORDER // 2, ORDER // 2 + 1, ORDER - 1, ORDER, 2**255, 2**256 - 1]),
)


def _recoverers() -> tuple[Contract, Contract]:
    engine = new_engine()
    ours = deployed(engine, mock("OurRecovery"), by=DEPLOYER.address)
    return ours, deployed(engine, mock("OracleRecovery"), by=DEPLOYER.address)


def _asked(contract: Contract, name: str, *arguments: object) -> str:
    try:
        return str(contract(name, *arguments))
    except Reverted:
        # snekmate reverts where ours answers nobody.
        return NOBODY


def _check(digest: bytes, v: int, r: int, s: int) -> str:
    ours, theirs = _recoverers()
    as_bytes = r.to_bytes(32, "big"), s.to_bytes(32, "big")
    answer = _asked(ours, "recover", digest, v, *as_bytes)
    assert answer == _asked(theirs, "recover", digest, v, r, s)
    assert bytes.fromhex(answer[2:]) == recover_in_spec(digest, b"".join(as_bytes) + bytes([v]))
    return answer


@times(4)
@given(message=st.binary(max_size=64))
def test_a_good_signature_names_its_signer(message: bytes) -> None:
    digest = keccak(message)
    signed = Account.unsafe_sign_hash(digest, SIGNER.account.key)
    assert _check(digest, signed.v, signed.r, signed.s) == SIGNER.address
    ours, theirs = _recoverers()
    pair = compact(signed.v, signed.r, signed.s)
    for contract in (ours, theirs):
        assert _asked(contract, "recover_compact", digest, *pair) == SIGNER.address
    assert _check(digest, *twin(signed.v, signed.r, signed.s)) == NOBODY


@times(8)
@given(digest=st.binary(min_size=32, max_size=32), v=st.integers(0, 255), r=words, s=words)
def test_garbage_is_garbage_to_all(digest: bytes, v: int, r: int, s: int) -> None:
    _check(digest, v, r, s)
    _check(digest, 27 + v % 2, r, s)
    ours, theirs = _recoverers()
    answer = _asked(ours, "recover_compact", digest, r, s)
    assert answer == _asked(theirs, "recover_compact", digest, r, s)
