"""Keys stay on the machine, encrypted, and out of sight."""

from __future__ import annotations

import json
import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from eth_account import Account as OtherAccount

from tessera.chain.wallet import Account, Wallet
from tessera.errors import DataError, InputError, NotAllowed, NotFound

KEY = bytes(range(1, 33))
OTHER = OtherAccount.from_key(KEY)


def test_addresses_and_signatures_are_the_ecosystems() -> None:
    account = Account(KEY)
    assert account.address == OTHER.address
    fields = {"nonce": 3, "gas": 21_000, "to": OTHER.address, "value": 7, "data": b"\1\2"}
    theirs = OTHER.sign_transaction(
        {**fields, "chainId": 31_337, "maxFeePerGas": 10, "maxPriorityFeePerGas": 2, "type": 2}
    )
    ours = account.sign_transaction(
        chain_id=31_337,
        nonce=3,
        gas=21_000,
        max_fee=10,
        max_priority_fee=2,
        to=OTHER.address,
        value=7,
        data=b"\1\2",
    )
    assert ours.raw == bytes(theirs.raw_transaction)
    assert ours.hash == f"0x{bytes(theirs.hash).hex()}"


def test_typed_data_is_signed_as_wallets_do() -> None:
    domain = {"name": "T", "version": "1", "chainId": 1, "verifyingContract": OTHER.address}
    types = {"Line": [{"name": "asset", "type": "uint256"}]}
    ours = Account(KEY).sign_typed_data(domain, types, {"asset": 5})
    theirs = OTHER.sign_typed_data(domain, types, {"asset": 5})
    assert ours == bytes(theirs.signature)
    assert int.from_bytes(ours[32:64], "big") <= (2**256 - 1) // 2


@pytest.mark.parametrize("key", [b"", b"\0" * 32, b"\xff" * 32, b"\1" * 31])
def test_a_key_that_is_none_is_refused_and_not_shown(key: bytes) -> None:
    with pytest.raises(InputError) as caught:
        Account(key)
    assert not key or key.hex() not in str(caught.value.details())


def test_no_account_shows_or_gives_out_its_key() -> None:
    account = Account(KEY)
    shown = repr(account) + str(account) + f"{account}"
    assert KEY.hex() not in shown
    assert account.address in shown
    assert not hasattr(account, "__dict__")
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(account)


def test_a_fresh_key_is_kept_and_opened_again(tmp_path: Path) -> None:
    wallet = Wallet(tmp_path / "keys", passphrase="correct horse", light=True)
    assert wallet.names() == []
    account = wallet.load_or_create("operator")
    assert wallet.load_or_create("operator").address == account.address
    assert wallet.load("operator").address == account.address
    assert wallet.names() == ["operator"]
    file = tmp_path / "keys" / "operator.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [each.name for each in file.parent.iterdir()] == ["operator.json"]
    other = OtherAccount.from_key(OtherAccount.decrypt(file.read_text(), "correct horse"))
    assert other.address == account.address


def test_another_passphrase_opens_nothing(tmp_path: Path) -> None:
    Wallet(tmp_path, passphrase="one", light=True).create("operator")
    with pytest.raises(NotAllowed, match="passphrase") as caught:
        Wallet(tmp_path, passphrase="two", light=True).load("operator")
    assert "two" not in str(caught.value.details())
    assert "two" not in repr(Wallet(tmp_path, passphrase="two"))


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    wallet = Wallet(tmp_path)
    before = wallet.create("operator", Account(KEY))
    with pytest.raises(InputError, match="exists already"):
        wallet.create("operator")
    assert wallet.load("operator").address == before.address == OTHER.address
    assert [file.name for file in tmp_path.iterdir()] == ["operator.json"]


def test_names_that_leave_the_folder_are_refused(tmp_path: Path) -> None:
    wallet = Wallet(tmp_path / "keys")
    for name in ("", "../x", "a/b", ".hidden", "A", "x" * 65, "a\0"):
        with pytest.raises(InputError, match="name of a key"):
            wallet.create(name)
    with pytest.raises(NotFound, match="key: found 'operator'"):
        wallet.load("operator")


@pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2"])
def test_a_file_of_another_wallet_is_opened(tmp_path: Path, kdf: str) -> None:
    content = OtherAccount.encrypt(KEY, "their word", kdf=kdf, iterations=1_024)
    content["Crypto"] = content.pop("crypto")
    (tmp_path / "theirs.json").write_text(json.dumps(content))
    assert Wallet(tmp_path, passphrase="their word").load("theirs").address == OTHER.address
    with pytest.raises(NotAllowed, match="passphrase"):
        Wallet(tmp_path, passphrase="their other word").load("theirs")


@pytest.mark.parametrize(
    ("of", "name", "value"),
    [
        ("crypto", "cipher", "aes-128-cbc"),
        ("crypto", "kdf", "md5"),
        ("kdfparams", "n", 3),
        ("kdfparams", "n", 2**40),
        ("kdfparams", "dklen", 16),
        ("kdfparams", "salt", "no hex"),
        ("cipherparams", "iv", "00"),
        ("", "version", 4),
    ],
)
def test_a_file_that_asks_for_what_no_wallet_does_is_damaged(
    tmp_path: Path, of: str, name: str, value: object
) -> None:
    """Nor does a file make us take all memory, or a cipher that nobody agreed to."""
    content = OtherAccount.encrypt(KEY, "", kdf="scrypt", iterations=1_024)
    crypto = content["crypto"]
    parts = {"": content, "crypto": crypto, **crypto}
    parts[of][name] = value
    (tmp_path / "theirs.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="Web3 Secret Storage"):
        Wallet(tmp_path).load("theirs")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"version": 3}', b'{"crypto": 1}'])
def test_a_damaged_file_is_called_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "operator.json").write_bytes(content)
    with pytest.raises(DataError, match="Web3 Secret Storage"):
        Wallet(tmp_path).load("operator")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match="mend the folder's permissions"):
        Wallet(tmp_path / "keys").create("operator")


def test_two_programs_that_start_at_once_get_one_key(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tessera.chain.wallet import Wallet\n"
        "print(Wallet(Path(sys.argv[1])).load_or_create('operator').address)"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "keys")], stdout=subprocess.PIPE
        )
        for _ in range(3)
    ]
    addresses = {process.communicate()[0] for process in started}
    assert len(addresses) == 1
    assert addresses != {b""}


def test_a_file_tells_its_address_without_the_passphrase(tmp_path: Path) -> None:
    made = Wallet(tmp_path, passphrase="long and secret", light=True).create("holder", Account(KEY))
    forgot = Wallet(tmp_path, passphrase="another")
    assert forgot.address_in_file("holder") == made.address
    (tmp_path / "holder.json").write_text('{"address": 7}')
    with pytest.raises(DataError):
        forgot.address_in_file("holder")
    with pytest.raises(NotFound):
        forgot.address_in_file("nobody")
