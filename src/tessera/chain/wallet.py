"""Keys: made on this machine, kept encrypted in the data folder, and never shown.

A key file is the Web3 Secret Storage that other wallets read. It is written whole or not at all,
readable by its owner alone, and never overwritten.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import sha3
from coincurve import PrivateKey

from tessera.bindings.codec import checksummed
from tessera.chain.keyfile import Unopened, open_key, sealed
from tessera.errors import DataError, InputError, NotAllowed, NotFound, StorageFull
from tessera.storage.folders import sync_folder

__all__ = ["Account", "OutgoingTransaction", "Wallet"]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
# Cost of guessing a passphrase: about a second and 256 MB each, or 20 ms and 4 MB.
_SCRYPT_ROUNDS: Final = 2**18
_SCRYPT_ROUNDS_LIGHT: Final = 2**12


@dataclass(frozen=True, slots=True)
class OutgoingTransaction:
    """A transaction that only has to be sent.

    Parameters
    ----------
    raw
        What eth_sendRawTransaction takes.
    hash
        0x-hex.
    nonce
        Of the sender.
    max_fee, max_priority_fee
        Wei per gas.
    """

    raw: bytes
    hash: str
    nonce: int
    max_fee: int
    max_priority_fee: int


class Account:
    """One key. It signs; nothing gives it out, and printing it shows the address.

    Parameters
    ----------
    key
        32 bytes.
    """

    __slots__ = ("_key", "address", "public_key")

    def __init__(self, key: bytes) -> None:
        if len(key) != 32 or not 0 < int.from_bytes(key, "big") < _ORDER:
            raise InputError("private key: wanted 32 bytes within the order of secp256k1")
        self._key = PrivateKey(key)
        public = self._key.public_key.format(compressed=False)
        self.public_key: bytes = self._key.public_key.format()
        self.address: str = checksummed("0x" + _keccak(public[1:])[-20:].hex())

    def __repr__(self) -> str:
        return f"Account({self.address})"

    def __reduce__(self) -> Any:
        # A pickle would carry the key to wherever pickles go.
        raise TypeError("an account cannot be pickled")

    @classmethod
    def generate(cls, randomness: Callable[[int], bytes] = secrets.token_bytes) -> Account:
        """Make a fresh key."""
        while True:
            key = randomness(32)
            if 0 < int.from_bytes(key, "big") < _ORDER:
                return cls(key)

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign 32 bytes as they are.

        Returns
        -------
        bytes
            65 bytes: r, s (low) and v (27 or 28).
        """
        if len(digest) != 32:
            raise InputError("digest", found=f"{len(digest)} bytes", wanted="32 bytes")
        signature = self._key.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes((signature[64] + 27,))

    def agree(self, their_key: bytes) -> bytes:
        """Return what only this key's holder and the other's can compute: 32 secret bytes.

        Raises
        ------
        InputError
            `their_key` is no public key of 33 bytes.
        """
        try:
            secret: bytes = self._key.ecdh(their_key)
        except ValueError as error:
            raise InputError("public key", wanted="33 bytes, a point of secp256k1") from error
        return secret

    def sign_typed_data(
        self,
        domain: Mapping[str, object],
        types: Mapping[str, object],
        message: Mapping[str, object],
    ) -> bytes:
        """Sign EIP-712 data.

        Parameters
        ----------
        domain, types, message
            As `eth_account.messages.encode_typed_data` takes them.

        Returns
        -------
        bytes
            65 bytes: r, s (low) and v (27 or 28).
        """
        from eth_account.messages import encode_typed_data

        made = encode_typed_data(dict(domain), dict(types), dict(message))
        return self.sign_digest(_keccak(b"\x19" + made.version + made.header + made.body))

    def sign_transaction(
        self,
        *,
        chain_id: int,
        nonce: int,
        gas: int,
        max_fee: int,
        max_priority_fee: int,
        to: str | None,
        value: int = 0,
        data: bytes = b"",
    ) -> OutgoingTransaction:
        """Sign an EIP-1559 transaction.

        Parameters
        ----------
        max_fee, max_priority_fee
            Wei per gas.
        to
            None creates a contract.
        value
            Wei.
        """
        import rlp  # brings pydantic, which no `--help` should wait for

        fields: list[Any] = [
            *(chain_id, nonce, max_priority_fee, max_fee, gas),
            bytes.fromhex(to.removeprefix("0x")) if to else b"",
            *(value, data, []),
        ]
        signature = self.sign_digest(_keccak(b"\x02" + rlp.encode(fields)))
        r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
        raw = b"\x02" + rlp.encode([*fields, signature[64] - 27, r, s])
        return OutgoingTransaction(
            raw=raw,
            hash=f"0x{_keccak(raw).hex()}",
            nonce=nonce,
            max_fee=max_fee,
            max_priority_fee=max_priority_fee,
        )


class Wallet:
    """The key files of one folder.

    Parameters
    ----------
    folder
        Made, for its owner alone, with the first key.
    passphrase
        Encrypts the files. An empty one leaves the protection to the file system: for development.
    light
        A cheap key derivation, for development: opening costs 20 ms in place of a second.
    """

    def __init__(self, folder: Path, *, passphrase: str = "", light: bool = False) -> None:
        self._folder = folder
        self._passphrase = passphrase
        self._rounds = _SCRYPT_ROUNDS_LIGHT if light or not passphrase else _SCRYPT_ROUNDS

    def __repr__(self) -> str:
        return f"Wallet({str(self._folder)!r})"

    def names(self) -> list[str]:
        """Return the names of all keys, sorted."""
        return sorted(file.stem for file in self._folder.glob("*.json"))

    def address_in_file(self, name: str) -> str:
        """Return a key's address as its file has it, unopened: to show it, never to rely on it.

        Raises
        ------
        NotFound, DataError
            As `load`.
        """
        file, content = self._read(name)
        try:
            return checksummed("0x" + content["address"].lower())
        except (KeyError, AttributeError, ValueError) as error:
            raise _damaged(file, error) from error

    def load(self, name: str) -> Account:
        """Open a key.

        Raises
        ------
        NotFound
            There is no such key.
        NotAllowed
            The passphrase is another one.
        DataError
            The file is damaged.
        """
        file, content = self._read(name)
        try:
            return Account(open_key(content, self._passphrase.encode()))
        except Unopened:
            raise NotAllowed(
                f"key {name!r}: the passphrase does not open it",
                next_step="set the passphrase that it was made with",
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(file, error) from error

    def create(self, name: str, account: Account | None = None) -> Account:
        """Keep a key under a new name: a fresh one, or the one given.

        Raises
        ------
        InputError
            The name is taken, or is none.
        StorageFull, DataError
            The file cannot be written; there is none then.
        """
        if account is None:
            account = Account.generate()
        file = self._file(name)
        if not self._write(file, account):
            raise InputError(
                f"key {name!r} exists already", next_step="choose another name, or use that key"
            )
        return account

    def load_or_create(self, name: str) -> Account:
        """Open a key, or make a fresh one where there is none; safe where two start at once.

        Raises
        ------
        NotAllowed, InputError, StorageFull, DataError
            As for `load` and `create`.
        """
        file = self._file(name)
        if not file.exists():
            account = Account.generate()
            if self._write(file, account):
                return account
        return self.load(name)

    def _read(self, name: str) -> tuple[Path, dict[str, Any]]:
        file = self._file(name)
        try:
            return file, msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        except FileNotFoundError:
            raise NotFound.among("key", name, self.names()) from None
        except (OSError, msgspec.DecodeError) as error:
            raise _damaged(file, error) from error

    def _file(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InputError(
                "name of a key", found=name, wanted="a-z, 0-9, - and _, at most 64 characters"
            )
        return self._folder / f"{name}.json"

    def _write(self, file: Path, account: Account) -> bool:
        content = sealed(
            account._key.secret,  # noqa: SLF001 - the one place where a key leaves its account
            account.address,
            self._passphrase.encode(),
            rounds=self._rounds,
        )
        temporary = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(handle, "wb") as opened:
                    opened.write(msgspec.json.encode(content))
                    opened.flush()
                    os.fsync(opened.fileno())
                # A link fails where the name is taken; a rename would replace somebody's key.
                file.hardlink_to(temporary)
                sync_folder(self._folder)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    temporary.unlink()
        except FileExistsError:
            return False
        except OSError as error:
            kind = StorageFull if error.errno in _NO_ROOM else DataError
            raise kind(
                f"key file {file}",
                found=error.strerror or str(error),
                wanted="a folder that can be written",
                next_step="free some space, or mend the folder's permissions",
            ) from error
        return True


def _damaged(file: Path, error: Exception) -> DataError:
    return DataError(
        f"key file {file}",
        found=f"{type(error).__name__}",
        wanted="a Web3 Secret Storage file",
        next_step="restore it from a copy",
    )


def _keccak(data: bytes) -> bytes:
    digest: bytes = sha3.keccak_256(data).digest()
    return digest
