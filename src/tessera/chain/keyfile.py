"""The content of a key file: Web3 Secret Storage, version 3, which other wallets read and write.

Our own few lines and not eth-keyfile's, which makes every program that opens a key compute the
constants of a curve that Ethereum's validators sign on: half a second, of no use here.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from typing import Any, Final

import sha3

__all__ = ["Unopened", "open_key", "sealed"]

_VERSION: Final = 3
_CIPHER: Final = "aes-128-ctr"
_KEY_BYTES: Final = 32
_SCRYPT_BLOCKS: Final = 8
# A file may ask for more work than any wallet does; twice what the costliest of them asks.
_MOST_MEMORY: Final = 1 << 30


class Unopened(ValueError):
    """The passphrase is another one."""


def sealed(key: bytes, address: str, passphrase: bytes, *, rounds: int) -> dict[str, Any]:
    """Return what keeps a key.

    Parameters
    ----------
    key
        32 bytes.
    address
        0x-hex; for whoever looks without the passphrase.
    passphrase
        Opens it.
    rounds
        Cost of guessing, a power of two: scrypt's n.
    """
    salt, start = secrets.token_bytes(16), secrets.token_bytes(16)
    costs = {"dklen": _KEY_BYTES, "n": rounds, "r": _SCRYPT_BLOCKS, "p": 1, "salt": salt.hex()}
    derived = _derived("scrypt", costs, passphrase)
    hidden = _aes(derived, start).encrypt(key)
    return {
        "address": address.removeprefix("0x"),
        "crypto": {
            "cipher": _CIPHER,
            "cipherparams": {"iv": start.hex()},
            "ciphertext": hidden.hex(),
            "kdf": "scrypt",
            "kdfparams": costs,
            "mac": _mac(derived, hidden).hex(),
        },
        "id": str(uuid.uuid4()),
        "version": _VERSION,
    }


def open_key(content: dict[str, Any], passphrase: bytes) -> bytes:
    """Return the key of a file's content.

    Raises
    ------
    Unopened
        The passphrase is another one.
    ValueError, KeyError, TypeError
        The content is damaged, or of another kind.
    """
    content = _lower(content)
    crypto = content["crypto"]
    if content["version"] != _VERSION or crypto["cipher"] != _CIPHER:
        raise ValueError(f"a file of version {content['version']}, ciphered by {crypto['cipher']}")
    derived = _derived(crypto["kdf"], crypto["kdfparams"], passphrase)
    hidden = _bytes(crypto["ciphertext"])
    if not hmac.compare_digest(_mac(derived, hidden), _bytes(crypto["mac"])):
        raise Unopened("the passphrase is another one")
    key: bytes = _aes(derived, _bytes(crypto["cipherparams"]["iv"])).decrypt(hidden)
    return key


def _derived(kind: str, costs: dict[str, Any], passphrase: bytes) -> bytes:
    salt, size = _bytes(costs["salt"]), costs["dklen"]
    if size < _KEY_BYTES:
        raise ValueError(f"a derived key of {size} bytes")
    if kind == "scrypt":
        return hashlib.scrypt(
            passphrase,
            salt=salt,
            n=costs["n"],
            r=costs["r"],
            p=costs["p"],
            dklen=size,
            maxmem=_MOST_MEMORY,
        )
    if kind == "pbkdf2" and costs["prf"] == "hmac-sha256":
        return hashlib.pbkdf2_hmac("sha256", passphrase, salt, costs["c"], size)
    raise ValueError(f"a key derived by {kind}")


def _aes(derived: bytes, start: bytes) -> Any:
    from Crypto.Cipher import AES  # only whoever opens or makes a key waits for it

    return AES.new(derived[:16], AES.MODE_CTR, initial_value=start, nonce=b"")


def _mac(derived: bytes, hidden: bytes) -> bytes:
    return bytes(sha3.keccak_256(derived[16:32] + hidden).digest())


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _lower(content: Any) -> Any:
    """Names in small letters: some wallets wrote `Crypto`."""
    if isinstance(content, dict):
        return {str(name).lower(): _lower(part) for name, part in content.items()}
    return content
