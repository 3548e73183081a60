"""Who is measured, each started fresh for every round, and whether our books are right after it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from functools import partial

from bench.gateway import ours, servers, upstream
from bench.gateway.calls import CONNECTIONS, GAPS, STREAMS, Signed, chat, template
from bench.gateway.rounds import Failed, Round
from bench.gateway.servers import Server, free_port
from bench.gateway.stage import Stage
from bench.gateway.table import Who

_LOOKED_AT = 4


@contextlib.contextmanager
def our_gateway(stage: Stage, name: str, model: int) -> Iterator[Server]:
    port = free_port()
    books = stage.folder / name
    books.mkdir(exist_ok=True)
    command = servers.python("bench.gateway.ours", "--folder", str(books), "--port", str(port))
    command += ["--upstream", f"http://127.0.0.1:{model}/v1"]
    with stage.start(name, command, port) as server:
        yield server


def look_at_receipts(stage: Stage, server: Server, who: Who, body: bytes) -> None:
    """Before the first round make some calls whose receipts are checked, and note their cost."""
    if who not in stage.costs:
        stage.costs[who] = asyncio.run(ours.cost_of_a_call(server.port, body, _LOOKED_AT))


def paid(stage: Stage) -> Round:
    body = chat(ours.PAID)
    stage.signed.setdefault(Who.PAID, Signed(stage.folder, body, ours.WHOLE_FIRST, CONNECTIONS))
    with our_gateway(stage, "books", stage.whole) as server:
        look_at_receipts(stage, server, Who.PAID, body)
        return stage.load(server, Who.PAID, template(server.port, body, GAPS))


def unpaid(stage: Stage) -> Round:
    with our_gateway(stage, "books", stage.whole) as server:
        return stage.load(server, Who.UNPAID, template(server.port, chat(ours.FREE), {}))


def paid_streams(stage: Stage) -> Round:
    body = chat(ours.PAID, stream=True)
    stage.signed.setdefault(Who.STREAM_PAID, Signed(stage.folder, body, ours.STREAM_FIRST, STREAMS))
    with our_gateway(stage, "streams", stage.stream) as server:
        look_at_receipts(stage, server, Who.STREAM_PAID, body)
        request = template(server.port, body, GAPS)
        return stage.load(server, Who.STREAM_PAID, request, connections=STREAMS)


def nginx(stage: Stage, *, streams: bool = False) -> Round:
    port = free_port()
    model = stage.stream if streams else stage.whole
    configuration = upstream.proxy_conf(stage.folder, port, model, streams=streams)
    with stage.start("nginx", servers.nginx_command(configuration), port) as server:
        request = template(port, chat("instant", stream=streams), {})
        if streams:
            return stage.load(server, Who.STREAM_NGINX, request, connections=STREAMS)
        return stage.load(server, Who.NGINX, request)


def litellm(stage: Stage) -> Round:
    port = free_port()
    command, environment = servers.litellm_command(stage.folder, port, stage.whole)
    with stage.start("litellm", command, port, environment) as server:
        request = template(port, chat("paid"), servers.LITELLM_HEADERS)
        return stage.load(server, Who.LITELLM, request)


def portkey(stage: Stage) -> Round:
    port = free_port()
    command, environment = servers.portkey_command(port)
    with stage.start("portkey", command, port, environment) as server:
        headers = servers.portkey_headers(stage.whole)
        return stage.load(server, Who.PORTKEY, template(port, chat("instant"), headers))


def x402(stage: Stage) -> Round:
    port = free_port()
    # Each run of each round has channels of its own: it wants every voucher in its place.
    command = servers.x402_command("serve", str(port), str(2 * stage.rounds))
    with stage.start("x402", command, port) as server:
        request = template(port, chat("instant"), {"payment-signature": "\0"})
        return stage.load(server, Who.X402, request)


CONTENDERS: dict[Who, Callable[[Stage], Round]] = {
    Who.NGINX: nginx,
    Who.PAID: paid,
    Who.UNPAID: unpaid,
    Who.PORTKEY: portkey,
    Who.X402: x402,
    Who.LITELLM: litellm,
    Who.STREAM_NGINX: partial(nginx, streams=True),
    Who.STREAM_PAID: paid_streams,
}

BOOKS = {
    Who.PAID: ("books", ours.WHOLE_FIRST, CONNECTIONS),
    Who.STREAM_PAID: ("streams", ours.STREAM_FIRST, STREAMS),
}


def checked(stage: Stage, who: Who) -> str:
    """Replay the books that SIGKILL left, and compare them with the answers that arrived.

    Raises
    ------
    Failed
        An answered call is not in them, or more than could have been cut off.
    """
    name, first, connections = BOOKS[who]
    cost = stage.costs[who]
    total = asyncio.run(ours.charged(stage.folder / name, first, connections))
    answered, cut = stage.answered[who], stage.runs[who] * connections
    # A stream that is cut off is paid for as far as it was sent; a whole answer, or not.
    broken = who is Who.PAID and total % cost
    if broken or not answered * cost <= total <= (answered + cut) * cost:
        raise Failed(
            f"books: found {total / cost:,.2f} calls charged, wanted the {answered:,} answered "
            f"and at most {cut} that were cut off at the end of a run"
        )
    return f"{name}: {answered:,} answered, {total / cost:,.0f} charged in what SIGKILL left"
