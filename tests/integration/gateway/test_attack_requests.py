"""Requests made to be read in two ways, to be expensive, or to leave a mess behind."""

from __future__ import annotations

import json
import re

import pytest
from tests.integration.gateway.conftest import PARROT, Shop
from tests.integration.gateway.test_hostile_sockets import spoken

from tessera.serving.bodies import PAID_PATHS

HEAD = b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('"seed": ' + str(2**64), "seed"),
        ('"seed": -' + "9" * 5_000, "seed"),
        ('"max_tokens": -1', "max_tokens"),
        ('"max_tokens": 0', "max_tokens"),
        ('"max_tokens": 1e400', "max_tokens"),
        ('"n": 0', "n"),
        ('"temperature": NaN', "JSON"),
        ('"stop": ["a", "b", "c", "d", "e"]', "stop"),
        ('"stop": "\\ud800"', "JSON"),
    ],
)
async def test_no_json_makes_the_gateway_stumble(shop: Shop, more: str, said: str) -> None:
    """Numbers that no machine word holds, half a character: each
    was to become an error 500 with a page of traceback in the log, or a call that hangs."""
    body = '{"model": "parrot", "messages": [{"role": "user", "content": "x"}], ' + more + "}"
    answer = await shop.http.post("/v1/chat/completions", content=body.encode())
    assert answer.status_code in {400, 413, 422}
    assert said in answer.json()["error"]["message"]


async def test_a_key_that_is_there_twice_is_read_one_way(shop: Shop) -> None:
    """A body names two models: a free one for whoever asks the price, a paid one for whoever
    answers. Both readers take the last, so there is no such gap."""
    body = b'{"model": "free-parrot", "model": "parrot", "input": "four"}'
    assert (await shop.http.post("/v1/embeddings", content=body)).status_code == 402
    body = b'{"model": "parrot", "model": "free-parrot", "input": "four"}'
    answer = await shop.http.post("/v1/embeddings", content=body)
    assert answer.json()["model"] == "free-parrot@3"


@pytest.mark.parametrize("body", [b"\xef\xbb\xbf{}", b'{"model": "p\xff"}', b"{} {}", b""])
async def test_bytes_that_are_no_json_are_refused(shop: Shop, body: bytes) -> None:
    answer = await shop.http.post("/v1/embeddings", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_trailers_do_not_fill_the_memory(shop: Shop) -> None:
    """Behind the last chunk an attacker sends headers without end; they are kept beside those of
    the head, where nothing counted them."""
    chunk = b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    trailers = [b"x-%d: %s\r\n" % (n, b"y" * 4_000) for n in range(40)]
    told = await spoken(shop, HEAD + chunk, *trailers)
    assert told == b"" or b"431" in told


async def test_wrapping_around_chunks_is_counted(shop: Shop) -> None:
    """One chunk of two bytes, whose size is followed by a comment of a megabyte."""
    told = await spoken(shop, HEAD + b"transfer-encoding: chunked\r\n\r\n2;", *[b"x" * 50_000] * 20)
    assert told == b"" or b"431" in told


async def test_small_chunks_are_no_attack(shop: Shop) -> None:
    body = json.dumps({"model": "free-parrot", "input": "y" * 12_000}).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    told = await spoken(shop, HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 200")


async def test_a_trailer_is_no_header(shop: Shop) -> None:
    """A proxy looks at the head of a request; the payment comes behind its body."""
    paid = shop.pay(shop.books.chain.open(), (PARROT, 200))["tessera-payment"].encode()
    body = b'{"model": "parrot", "input": "four"}'
    told = await spoken(
        shop,
        HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(body), body),
        b"tessera-payment: " + paid + b"\r\n\r\n",
    )
    assert told.startswith(b"HTTP/1.1 402")


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: 2\r\ntransfer-encoding: chunked\r\n",
        b"content-length: 2\r\ncontent-length: 3\r\n",
        b"transfer-encoding: chunked, identity\r\n",
        b"content-length: -2\r\n",
        b"x: y\r\n z: folded\r\nTransfer-Encoding : chunked\r\n",
    ],
)
async def test_a_body_of_two_lengths_is_refused(shop: Shop, head: bytes) -> None:
    """Request smuggling: a proxy and the gateway end the body at different places, and what is
    between them is somebody else's next request."""
    told = await spoken(shop, HEAD + head + b"\r\n{}GET /healthz HTTP/1.1\r\n\r\n")
    assert told == b"" or told.startswith(b"HTTP/1.1 400")
    assert b'"ok":true' not in told


async def test_pipelined_requests_are_answered_in_order(shop: Shop) -> None:
    get = b"GET %b HTTP/1.1\r\nhost: x\r\n%b\r\n"
    told = await spoken(
        shop,
        get % (b"/healthz", b"")
        + get % (b"/nowhere", b"")
        + get % (b"/healthz", b"connection: close\r\n"),
    )
    assert re.findall(rb"HTTP/1.1 (\d+)", told) == [b"200", b"404", b"200"]


@pytest.mark.parametrize(
    "path", [b"/\xff\xfe", b"/v1/../receipts/x", b"//v1/models", b"/v1/models/../models", b"*"]
)
async def test_a_path_is_taken_as_it_is_written(shop: Shop, path: bytes) -> None:
    """Dots that a proxy's rule does not see through must not lead to another route here."""
    told = await spoken(shop, b"GET %b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" % path)
    assert told[:12] in {b"HTTP/1.1 400", b"HTTP/1.1 404"}


async def test_no_page_may_be_read_by_a_page_of_another_origin(shop: Shop) -> None:
    """A web page that the operator visits asks the gateway on his own machine to let it pay."""
    ask = {"origin": "https://attacker.example", "access-control-request-method": "POST"}
    for method, path in (("OPTIONS", "/v1/embeddings"), ("GET", "/v1/models")):
        answer = await shop.http.request(method, path, headers=ask)
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_the_document_describes_the_routes_that_there_are(shop: Shop) -> None:
    """Each path of /openapi.json answers its method and refuses the other; nothing else answers."""
    paths = (await shop.http.get("/openapi.json")).json()["paths"]
    gateway = shop.server.gateway
    served = {*PAID_PATHS, *gateway._pages, *gateway._folders, "/v1/keys/", "/x402/"}
    served -= {"/openapi.json"}
    described = {path.split("{")[0] for path in paths}
    assert described == served
    names = {"model": "parrot", "channel": "5", "call": "0" * 32, "receipt": "0" * 64}
    names |= {"access": "0x" + "11" * 20, "order": "1", "key": "tsk_" + "0" * 16}
    for path, methods in paths.items():
        url = re.sub(r"\{(\w+)\}", lambda found: names[found[1]], path)
        for method in methods:
            content = b"{}" if method == "post" else None
            told = await shop.http.request(method.upper(), url, content=content)
            assert told.status_code != 405
            assert "no such route" not in told.text
        other = next(one for one in ("get", "post", "put") if one not in methods)
        refused = await shop.http.request(other.upper(), url)
        assert (refused.status_code, refused.headers["allow"]) == (405, ", ".join(methods).upper())
