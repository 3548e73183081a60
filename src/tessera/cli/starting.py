"""`tessera up` and `tessera demo`: what keeps running, and what tells its story and ends."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec.structs import replace

from tessera.cli.served import served_lines
from tessera.cli.session import Session, command, default_of

if TYPE_CHECKING:
    from tessera.app import Operator, Running, World
    from tessera.config import Config
    from tessera.gateway.server import GatewayServer

__all__ = ["register"]

_ROLES = ("publisher", "holder", "consumer")
_POCKET_MONEY = 1_000
_FILES = 16_384


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @command(app)
    async def up(
        session: Session,
        *,
        demo: Annotated[
            bool, typer.Option("--demo", help="Fill a new chain with the demo's world.")
        ] = False,
        deploy: Annotated[
            bool, typer.Option("--deploy", help="With --rpc-url: deploy contracts there first.")
        ] = False,
        operator: Annotated[
            str | None,
            typer.Option(
                help="Name of the key that serves and settles.",
                show_default=default_of("operator"),
            ),
        ] = None,
        node_port: Annotated[
            int | None,
            typer.Option(help="Port of the chain; 0: any.", show_default=default_of("node_port")),
        ] = None,
        gateway_host: Annotated[
            str | None,
            typer.Option(help="Address of the gateway.", show_default=default_of("gateway_host")),
        ] = None,
        gateway_port: Annotated[
            int | None,
            typer.Option(
                help="Port of the gateway; 0: any.", show_default=default_of("gateway_port")
            ),
        ] = None,
        settle_every: Annotated[
            int | None,
            typer.Option(
                "--settle-every-s",
                help="Seconds between settlements.",
                show_default=default_of("settle_every_s"),
            ),
        ] = None,
        withdraw_delay: Annotated[
            int | None,
            typer.Option(
                "--withdraw-delay-s",
                help="Of a new chain's channels, seconds.",
                show_default=default_of("withdraw_delay_s"),
            ),
        ] = None,
        allow_python: Annotated[
            bool, typer.Option("--allow-python-runners", help="Run publishers' Python code.")
        ] = False,
        upstream: Annotated[
            list[str] | None,
            typer.Option("--upstream", help="URL of a model server to offer; may be repeated."),
        ] = None,
    ) -> int:
        """Start the chain, the contracts and the gateway; Ctrl-C ends all of it."""

        def read() -> Config:
            config = session.config(
                operator=operator,
                node_port=node_port,
                gateway_host=gateway_host,
                gateway_port=gateway_port,
                settle_every_s=settle_every,
                withdraw_delay_s=withdraw_delay,
                allow_python_runners=True if allow_python else None,
                upstreams=upstream or None,
            )
            if demo:
                from tessera.demo import demo_settings

                config = demo_settings(config)
            return config

        from tessera.gateway.logs import log_as

        config = read()
        log_as(config)
        _allow_files()
        stopping = asyncio.Event()
        # SIGTERM is how services are ended; Ctrl-C arrives as a cancellation, also before this.
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stopping.set)
        async with AsyncExitStack() as stack:
            world, serving, server, running = await _opened(session, stack, read, deploy=deploy)
            if demo:
                from tessera.demo import populate

                replace(running, making="the demo's world").leave(config.data_dir)
                console = session.err if session.as_json else None
                await populate(world, serving, server.url, console=console)
                running.leave(config.data_dir)
            loop.add_signal_handler(signal.SIGTERM, _end, stopping, server)
            await _present(session, world, serving, server.url)
            try:
                await _until_stopped(world, server, stopping)
            finally:
                session.note("stopped; tessera up goes on from here")
        return 0

    @command(app)
    async def reload(session: Session) -> None:
        """Let the running gateway read its settings and models anew; no call is lost."""
        from tessera.app import ask_supervisor

        told = await ask_supervisor(session.config().data_dir, "reload")
        lines = [f"{name} is {value} now" for name, value in told["changed"].items()]
        lines += [f"{name} counts from the next start on" for name in told["needs_restart"]]
        lines += served_lines(told["models"], told["refused"], none="none")
        session.say(told, *lines)

    @command(app)
    def demo(
        session: Session,
        *,
        data: Annotated[Path | None, typer.Option(help="Folder for it, kept afterwards.")] = None,
        keep: Annotated[bool, typer.Option("--keep", help="Keep the temporary folder.")] = False,
        report: Annotated[Path, typer.Option(help="Where the report goes.")] = Path(
            "demo-report.json"
        ),
        calls: Annotated[int, typer.Option(help="Paid calls in all.")] = 2_000,
    ) -> int:
        """Play the whole story on a chain of its own, and check that the books balance."""
        from tessera.demo import run

        if not session.as_json:
            return run(data=data, keep=keep, report=report, calls=calls)
        import sys

        import msgspec
        from rich.console import Console

        code = run(
            data=data, keep=keep, report=report, calls=calls, console=Console(file=sys.stderr)
        )
        found: dict[str, Any] = msgspec.json.decode(report.read_bytes())
        session.present({"report": found, "balanced": code == 0}, lambda _: None)
        return code


def _allow_files() -> None:
    # A connection is a file; a shell allows 1,024 where the system would allow many more.
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed < _FILES:
        wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(allowed, wanted), most))


def _end(stopping: asyncio.Event, server: GatewayServer) -> None:
    # Who says it twice does not want to wait.
    if stopping.is_set():
        server.hurry()
    stopping.set()


async def _opened(
    session: Session, stack: AsyncExitStack, read: Callable[[], Config], *, deploy: bool
) -> tuple[World, Operator, GatewayServer, Running]:
    from tessera.app import (
        Running,
        claims_json,
        income_json,
        open_world,
        operate,
        proofs_json,
        report_json,
    )
    from tessera.app.control import answer_commands
    from tessera.app.running import find_running
    from tessera.gateway.garbage import collect_seldom
    from tessera.gateway.listening import require_free
    from tessera.gateway.opening import open_gateway
    from tessera.gateway.reload import Reload

    config = read()
    # Where one runs already, that is the news, and not that it has its port.
    if find_running(config.data_dir) is None:
        require_free(config.gateway_host, config.gateway_port)
    world = await stack.enter_async_context(
        open_world(config, announce=session.note, deploy=deploy)
    )
    if world.node is not None:
        await _equip(session, world)
    operator = await stack.enter_async_context(operate(world))
    server = open_gateway(operator)
    await server.start()
    collect_seldom()
    stack.push_async_callback(server.stop)
    reload = Reload(operator, server, read)
    running = Running(
        pid=os.getpid(),
        chain_id=world.reader.chain_id,
        rpc_url=world.reader.url,
        gateway_url=server.url,
        operator=operator.account.address,
        started=int(world.clock()),
        embedded=world.node is not None,
    )

    async def settle() -> dict[str, Any]:
        settled = report_json(await operator.settle())
        proved = proofs_json(await operator.prove())
        claimed = claims_json(await operator.claim())
        return {**settled, **proved, **claimed, **income_json(await operator.send_on())}

    await stack.enter_async_context(
        answer_commands(
            config.data_dir, {"settle": settle, "status": operator.status, "reload": reload.now}
        )
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload.soon)
    running.leave(config.data_dir)
    stack.callback(running.take_away, config.data_dir)
    return world, operator, server, running


async def _equip(session: Session, world: World) -> None:
    """Make the keys that a newcomer needs, with gas and some test dollars."""
    from tessera.units import Units

    missing = [name for name in _ROLES if name not in world.wallet.names()]
    for name in missing:
        session.note(f"making the key {name}")
        account = await asyncio.to_thread(world.wallet.load_or_create, name)
        await world.fund(account.address)
        await world.mint(name, Units(_POCKET_MONEY * 10**world.currency.decimals))


async def _present(session: Session, world: World, operator: Operator, url: str) -> None:
    from tessera.app import find_upstreams
    from tessera.cli.upstreams import server_json, server_line

    config = world.config
    status, servers = await asyncio.gather(operator.status(), find_upstreams(config))
    data = {
        "chain": {
            "id": world.reader.chain_id,
            "rpc_url": world.reader.url,
            "height": status["height"],
            "embedded": world.node is not None,
        },
        "gateway": url,
        "x402": f"{url}/x402/MODEL/v1" if operator.x402 is not None else None,
        "metrics": f"{url}/metrics" if config.metrics else None,
        "operator": {"name": config.operator, "address": operator.account.address},
        "data_dir": str(config.data_dir),
        "currency": world.currency.symbol,
        "models": sorted(operator.models),
        "refused": operator.refused,
        "upstreams": [server_json(server) for server in servers],
    }
    none = "none yet: tessera publish FOLDER"
    lines = [
        f"chain     {world.reader.url} (id {world.reader.chain_id}, block {status['height']})",
        f"gateway   {url}/v1",
        *([f"x402      {data['x402']}"] if operator.x402 is not None else []),
        *([f"metrics   {data['metrics']}"] if config.metrics else []),
        f"operator  {config.operator} {operator.account.address}",
        f"data      {config.data_dir}",
        f"keys      {', '.join(world.wallet.names())}",
        *served_lines(operator.models, operator.refused, none=none),
    ]
    lines += [f"upstream  {server_line(server)}" for server in servers]
    if any(server.models for server in servers):
        lines.append("          offer one: tessera init FOLDER --upstream URL --model NAME")
    lines.append("Ctrl-C ends it; nothing that was confirmed is lost.")
    session.say(data, *lines)


async def _until_stopped(world: World, server: GatewayServer, stopping: asyncio.Event) -> None:
    waits: list[asyncio.Task[Any]] = [
        asyncio.create_task(stopping.wait()),
        asyncio.create_task(server.wait()),
    ]
    failing = asyncio.create_task(world.node.wait_failed()) if world.node is not None else None
    if failing is not None:
        waits.append(failing)
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if failing is not None and failing.done():
            raise failing.result()
    finally:
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
