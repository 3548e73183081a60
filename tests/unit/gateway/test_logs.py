"""No line of a log opens, pays or signs anything."""

from __future__ import annotations

import io
import logging
import random
from base64 import urlsafe_b64encode
from collections.abc import Iterator

import msgspec
import pytest

from tessera.gateway.logs import FIELDS, log_to, redact

# Drawn once: what a test is called must not change from one process to the next.
_DRAWN = random.Random(7)
SIGNATURE = "0x" + _DRAWN.randbytes(65).hex()
KEY = "tsk_0123456789abcdef" + urlsafe_b64encode(_DRAWN.randbytes(33)).decode()
PRIVATE = _DRAWN.randbytes(32).hex()
VOUCHER = urlsafe_b64encode(_DRAWN.randbytes(300)).decode()
PASSPHRASE = "correct horse"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers = handlers
    root.setLevel(level)


def written(form: str, message: str, **fields: object) -> str:
    stream = io.StringIO()
    log_to("debug", form, [PASSPHRASE], stream)
    try:
        raise ValueError(message)
    except ValueError:
        logging.getLogger("tessera.test").exception("%s", message, extra={FIELDS: fields})
    return stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    ("message", "secret"),
    [
        (f"voucher {SIGNATURE} refused", SIGNATURE[10:40]),
        (f"Authorization: Bearer {KEY}", KEY[25:]),
        (f"key {KEY} is revoked", KEY[25:]),
        ("authorization: Basic c2VjcmV0OnNlY3JldA==", "c2VjcmV0"),
        ("headers {'authorization': 'Bearer sk-abcdef012345'}", "sk-abcdef012345"),
        ("headers [(b'authorization', b'Bearer sk-abcdef012345')]", "sk-abcdef012345"),
        ("sent with bearer sk-abcdef012345 to it", "sk-abcdef012345"),
        (f"Tessera-Payment: {VOUCHER}", VOUCHER[50:80]),
        ("Tessera-Payment: short", "short"),
        (f"[(b'payment-signature', b'{VOUCHER}')]", VOUCHER[50:80]),
        (f"X-Payment={VOUCHER}", VOUCHER[50:80]),
        (f"found {VOUCHER!r}, wanted a voucher", VOUCHER[50:80]),
        (f"private key 0x{PRIVATE}", PRIVATE),
        (f"private_key={PRIVATE}", PRIVATE),
        (f"opened with {PASSPHRASE}", PASSPHRASE),
        ("passphrase=hunter22", "hunter22"),
    ],
)
def test_a_secret_is_in_no_line_and_in_no_traceback(form: str, message: str, secret: str) -> None:
    text = written(form, message, note=message)
    assert secret not in text
    assert "[removed]" in text


def test_attack_a_secret_deep_in_a_value_stands_in_a_line_for_machines() -> None:
    """Whoever reads the log of a gateway as JSON looks into lists and errors as well."""
    values = {"refused": [{f"key {KEY}": ("a", ValueError(f"found {VOUCHER!r}"))}], "calls": 3}
    (line,) = written("json", "reloaded", **values).splitlines()
    said = msgspec.json.decode(line)
    assert KEY[25:] not in line
    assert VOUCHER[50:80] not in line
    assert said["calls"] == 3
    assert said["refused"][0] == {f"key {KEY[:20]}[removed]": ["a", "found '[removed]'"]}


def test_what_is_no_secret_stays() -> None:
    for plain in (
        f"serving digits version 3 in transaction 0x{'ab' * 32} for tsk_0123456789abcdef",
        "at http://127.0.0.1:8402/v1 authorization of 0x" + "cd" * 20 + " is missing",
        "opened /a/folder" * 3 + "/a/folder" * 20 + "/file.py",
    ):
        assert redact(plain) == plain


def test_a_line_of_json_is_one_object_with_its_further_values() -> None:
    (line,) = written("json", "two\nlines", model="digits", cost=340).splitlines()
    found = msgspec.json.decode(line)
    assert found["level"] == "error"
    assert found["room"] == "tessera.test"
    assert found["message"] == "two\nlines"
    assert (found["model"], found["cost"]) == ("digits", 340)
    assert "ValueError: two\nlines" in found["error"]
    assert found["time"].endswith("Z")


def test_a_line_of_text_has_its_further_values_behind_it() -> None:
    assert "ERROR tessera.test: hello model=digits cost=340" in written(
        "text", "hello", model="digits", cost=340
    )


def test_what_is_said_again_replaces_what_was_said_before() -> None:
    first, second = io.StringIO(), io.StringIO()
    log_to("info", "text", (), first)
    log_to("error", "json", (), second)
    logging.getLogger("tessera.test").warning("not news")
    logging.getLogger("tessera.test").error("news")
    assert first.getvalue() == ""
    assert msgspec.json.decode(second.getvalue())["message"] == "news"
